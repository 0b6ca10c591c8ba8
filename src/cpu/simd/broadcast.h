/* Walking over operands that repeat: what a broadcast looks like once its axes are merged.
 *
 * Neighbouring axes along which the same operands repeat are one axis, so that [B,T,C] + [C] is two
 * axes and the same shape twice is one. Axis 0 is the innermost. step is in elements, 0 where the
 * operand repeats.
 */
#ifndef REEL_CPU_SIMD_BROADCAST_H
#define REEL_CPU_SIMD_BROADCAST_H

#include "cpu/simd/vec.h"
#include "tensor/tensor.h"

typedef struct broadcast {
    int rank; /* >= 1: a scalar is one axis of 1 */
    int64_t dim[REEL_MAX_RANK];
    int64_t step[2][REEL_MAX_RANK];
} broadcast;

/* a and b as they are seen from the shape y they repeat to. */
VEC_INLINE broadcast broadcast_of(const reel_shape *y, const reel_shape *a, const reel_shape *b) {
    const reel_shape *operand[2] = {a, b};
    broadcast w = {.rank = 0};
    int64_t stride[2] = {1, 1};
    bool before[2] = {false, false};
    for (int k = 1; k <= y->rank; k++) {
        const int64_t n = y->dim[y->rank - k];
        if (n == 1) continue;
        bool moves[2];
        for (int j = 0; j < 2; j++)
            moves[j] = k <= operand[j]->rank && operand[j]->dim[operand[j]->rank - k] != 1;
        if (w.rank && moves[0] == before[0] && moves[1] == before[1]) {
            w.dim[w.rank - 1] *= n;
        } else {
            w.dim[w.rank] = n;
            for (int j = 0; j < 2; j++)
                w.step[j][w.rank] = moves[j] ? stride[j] : 0;
            w.rank++;
        }
        for (int j = 0; j < 2; j++) {
            before[j] = moves[j];
            if (moves[j]) stride[j] *= n;
        }
    }
    if (w.rank == 0) w = (broadcast){.rank = 1, .dim = {1}};
    return w;
}

/* A row: a position over all axes but the innermost, and where the operands' rows begin. */
typedef struct broadcast_row {
    int64_t at[REEL_MAX_RANK];
    int64_t offset[2];
} broadcast_row;

VEC_INLINE broadcast_row broadcast_row_at(const broadcast *w, int64_t row) {
    broadcast_row r = {.offset = {0, 0}};
    for (int k = 1; k < w->rank; k++) {
        r.at[k] = row % w->dim[k];
        row /= w->dim[k];
        for (int j = 0; j < 2; j++)
            r.offset[j] += r.at[k] * w->step[j][k];
    }
    return r;
}

VEC_INLINE void broadcast_row_next(const broadcast *w, broadcast_row *r) {
    for (int k = 1; k < w->rank; k++) {
        for (int j = 0; j < 2; j++)
            r->offset[j] += w->step[j][k];
        if (++r->at[k] < w->dim[k]) return;
        for (int j = 0; j < 2; j++)
            r->offset[j] -= w->dim[k] * w->step[j][k];
        r->at[k] = 0;
    }
}

#endif
