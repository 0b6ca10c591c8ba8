/* Normalising one row of C contiguous channels, forward and backward, and summing over blocks of
 * rows in a fixed order: what norm, norm_modulate and qk_norm_rope are made of.
 *
 * A row is read from memory once and stays in L1 for the second pass, which asks for the next row
 * meanwhile (or memory would idle half of the time). Rows are dealt out in blocks
 * whose bounds depend on shape alone; sums over rows (of weights, shifts, scales, gates) are taken
 * per block into scratch and then over blocks in rising order, so that the bytes do not depend on
 * the number of threads.
 */
#ifndef REEL_CPU_SIMD_NORM_ROW_H
#define REEL_CPU_SIMD_NORM_ROW_H

#include <math.h>

#include "cpu/simd/vec.h"
#include "ops/norm.h"

/* xhat = (x - origin) r + offset. */
typedef struct norm_row {
    float origin, r, offset;
    float slope; /* 0 where r does not depend on x, else 1 */
} norm_row;

/* BODY(i, n) for every vector of a row: n is the constant VF_N but for the rest at the end. */
#define NORM_FOR_VECTORS(C, BODY)                                                                  \
    do {                                                                                           \
        int64_t i_ = 0;                                                                            \
        for (; i_ + VF_N <= (C); i_ += VF_N)                                                       \
            BODY(i_, VF_N);                                                                        \
        if (i_ < (C)) BODY(i_, (int)((C)-i_));                                                     \
    } while (0)

VEC_INLINE vf norm_load(const void *p, int64_t i, bool bf16, int n) {
    return n == VF_N ? vec_load(p, i, bf16) : vec_load_part(p, i, bf16, n);
}
VEC_INLINE void norm_store(void *p, int64_t i, bool bf16, vf x, int n) {
    if (n == VF_N)
        vec_store(p, i, bf16, x);
    else
        vec_store_part(p, i, bf16, x, n);
}

/* A result that would fill a quarter of a usual last-level cache is stored past it: the op reads
 * two times as much or more, so little of it would be found there, and its lines need not be read
 * before they are written (4096 x 1536 on one core: gate 8.4 -> 3.2 ms, norm_modulate 1.9 -> 1.4).
 * Rows must be whole vectors, aligned. */
VEC_INLINE bool norm_streams(const reel_tensor *y, int64_t row) {
    return reel_tensor_bytes(y) >= (int64_t)8 << 20 && row % 32 == 0 &&
           (uintptr_t)y->data % 64 == 0;
}
VEC_INLINE void norm_put(void *p, int64_t i, bool bf16, bool streams, vf x, int n) {
    if (streams)
        vec_stream(p, i, bf16, x);
    else
        norm_store(p, i, bf16, x, n);
}

/* The first n lanes of x, zero in the others. */
VEC_INLINE vf norm_lanes(vf x, int n) {
    if (n == VF_N) return x;
    vi mask;
    for (int k = 0; k < VF_N; k++)
        mask[k] = k < n ? -1 : 0;
    return (vf)((vi)x & mask);
}

/* Sums over a row: of d = x - origin, d^2, g = dy a, and g d. */
typedef struct norm_sums {
    float d, dd, g, gd;
} norm_sums;

/* bf16: of x, of dy. dy NULL: no g and gd. Two accumulators hide the latency of the additions. */
VEC_INLINE norm_sums norm_row_sums(const void *x, const void *dy, const float *a, int64_t at,
                                   int64_t C, float origin, const bool bf16[2], bool layer) {
    vf d_sum[2] = {{0}}, dd_sum[2] = {{0}}, g_sum[2] = {{0}}, gd_sum[2] = {{0}};
#define STEP(i, n, k)                                                                              \
    do {                                                                                           \
        const vf x_ = norm_load(x, at + (i), bf16[0], n);                                          \
        const vf d_ = layer ? norm_lanes(x_ - origin, n) : x_;                                     \
        if (layer) d_sum[k] += d_;                                                                 \
        dd_sum[k] += d_ * d_;                                                                      \
        if (dy) {                                                                                  \
            const vf g_ = norm_load(dy, at + (i), bf16[1], n) * norm_load(a, i, false, n);         \
            if (layer) g_sum[k] += g_;                                                             \
            gd_sum[k] += g_ * d_;                                                                  \
        }                                                                                          \
    } while (0)
    int64_t i = 0;
    for (; i + 2 * VF_N <= C; i += 2 * VF_N) {
        STEP(i, VF_N, 0);
        STEP(i + VF_N, VF_N, 1);
    }
    for (; i + VF_N <= C; i += VF_N)
        STEP(i, VF_N, 0);
    if (i < C) STEP(i, (int)(C - i), 1);
#undef STEP
    return (norm_sums){layer ? vf_sum(d_sum[0] + d_sum[1]) : 0, vf_sum(dd_sum[0] + dd_sum[1]),
                       layer ? vf_sum(g_sum[0] + g_sum[1]) : 0, vf_sum(gd_sum[0] + gd_sum[1])};
}

/* The row's statistics, and its sums when dy is given (about the origin that was settled on).
 *
 * Layer norm in one pass: the variance about an origin near the mean, mean(d^2) - mean(d)^2. The
 * origin is the mean of the first vector; should it lie further from the mean than one standard
 * deviation (an outlier there), a second pass about the mean itself follows. So the subtraction
 * never cancels more than one bit, whatever the mean is (Chan, Golub & LeVeque 1983). */
VEC_INLINE norm_row norm_row_stats(reel_norm_kind kind, float eps, const void *x, const void *dy,
                                   const float *a, int64_t at, int64_t C, const bool bf16[2],
                                   norm_sums *sums) {
    if (kind != REEL_NORM_LAYER) {
        *sums = norm_row_sums(x, dy, a, at, C, 0, bf16, false);
        if (kind == REEL_NORM_RMS) return (norm_row){0, 1 / sqrtf(sums->dd / (float)C + eps), 0, 1};
        const float length = sqrtf(sums->dd);
        const bool clamped = length < eps;
        return (norm_row){0, sqrtf((float)C) / (clamped ? eps : length), 0, clamped ? 0 : 1};
    }
    const int n = C < VF_N ? (int)C : VF_N;
    float origin = vf_sum(norm_load(x, at, bf16[0], n)) / (float)n;
    *sums = norm_row_sums(x, dy, a, at, C, origin, bf16, true);
    float mean = sums->d / (float)C, variance = sums->dd / (float)C - mean * mean;
    if (mean * mean > variance) {
        origin += mean;
        *sums = norm_row_sums(x, dy, a, at, C, origin, bf16, true);
        mean = sums->d / (float)C;
        variance = sums->dd / (float)C - mean * mean;
    }
    const float r = 1 / sqrtf((variance < 0 ? 0 : variance) + eps);
    return (norm_row){origin, r, -mean * r, 1};
}

/* y = xhat a + s */
VEC_INLINE void norm_row_apply(norm_row row, const void *x, void *y, const float *a, const float *s,
                               int64_t at, int64_t C, const bool bf16[2], bool streams) {
#define STEP(i, n)                                                                                 \
    do {                                                                                           \
        const vf xhat_ = (norm_load(x, at + (i), bf16[0], n) - row.origin) * row.r + row.offset;   \
        vec_prefetch(x, at + C + (i), bf16[0]);                                                    \
        norm_put(y, at + (i), bf16[1], streams,                                                    \
                 xhat_ * norm_load(a, i, false, n) + norm_load(s, i, false, n), n);                \
    } while (0)
    NORM_FOR_VECTORS(C, STEP);
#undef STEP
}

/* What a row adds to the sums of its block: sum_a of dy xhat, sum_s of dy, both [C]. first: it is
 * the block's first row, and the sums have no value yet. */
typedef struct norm_block {
    float *sum_a, *sum_s;
    bool first;
} norm_block;

/* dx = r (g - mean(g) - xhat mean(g xhat)), g = dy a; dx NULL: only the sums. bf16: x, dy, dx. */
VEC_INLINE void norm_row_backward(norm_row row, norm_sums sums, const void *x, const void *dy,
                                  void *dx, const float *a, int64_t at, int64_t C,
                                  const bool bf16[3], bool streams, const norm_block *block) {
    const float mean_g = sums.g / (float)C;
    const float mean_gx = (sums.gd * row.r + sums.g * row.offset) / (float)C;
    const float by_xhat = -row.r * mean_gx * row.slope, by_one = -row.r * mean_g;
#define STEP(i, n)                                                                                 \
    do {                                                                                           \
        const vf xhat_ = (norm_load(x, at + (i), bf16[0], n) - row.origin) * row.r + row.offset;   \
        const vf dy_ = norm_load(dy, at + (i), bf16[1], n);                                        \
        vec_prefetch(x, at + C + (i), bf16[0]);                                                    \
        vec_prefetch(dy, at + C + (i), bf16[1]);                                                   \
        if (block) {                                                                               \
            vf a_ = dy_ * xhat_, s_ = dy_;                                                         \
            if (!block->first) {                                                                   \
                a_ += norm_load(block->sum_a, i, false, n);                                        \
                s_ += norm_load(block->sum_s, i, false, n);                                        \
            }                                                                                      \
            norm_store(block->sum_a, i, false, a_, n);                                             \
            norm_store(block->sum_s, i, false, s_, n);                                             \
        }                                                                                          \
        if (dx)                                                                                    \
            norm_put(dx, at + (i), bf16[2], streams,                                               \
                     dy_ * norm_load(a, i, false, n) * row.r + (xhat_ * by_xhat + by_one), n);     \
    } while (0)
    NORM_FOR_VECTORS(C, STEP);
#undef STEP
}

/* ---- rows of weights as f32 ---- */

/* to[i] = from[i] + add, from f32 or bf16; constant when from is NULL. */
VEC_INLINE void norm_widen(float *to, const void *from, int64_t at, int64_t C, bool bf16,
                           float add) {
#define STEP(i, n)                                                                                 \
    norm_store(to, i, false, (from ? norm_load(from, at + (i), bf16, n) : (vf){0}) + add, n)
    NORM_FOR_VECTORS(C, STEP);
#undef STEP
}

/* ---- blocks of rows ---- */

/* n_groups groups of rows_a_group rows, each cut into blocks_a_group blocks of at most rows_a_block
 * (the last one of a group may be shorter). */
typedef struct norm_blocks {
    int64_t n_groups, rows_a_group, blocks_a_group, rows_a_block;
} norm_blocks;

/* Blocks of about 32 K elements and at least least_rows: enough work for a task, and few partial
 * sums. */
VEC_INLINE norm_blocks norm_blocks_of(int64_t n_groups, int64_t rows_a_group, int64_t C,
                                      int64_t least_rows) {
    int64_t rows = C > 0 ? (1 << 15) / C : 1;
    if (rows < least_rows) rows = least_rows;
    if (rows > rows_a_group) rows = rows_a_group > 0 ? rows_a_group : 1;
    return (norm_blocks){n_groups, rows_a_group, (rows_a_group + rows - 1) / rows, rows};
}
VEC_INLINE int64_t norm_blocks_count(norm_blocks b) {
    return b.n_groups * b.blocks_a_group;
}
/* The rows [*from, *to) of block `index`; returns its group. */
VEC_INLINE int64_t norm_blocks_range(norm_blocks b, int64_t index, int64_t *from, int64_t *to) {
    const int64_t group = index / b.blocks_a_group, k = index % b.blocks_a_group;
    const int64_t start = k * b.rows_a_block, rest = b.rows_a_group - start;
    *from = group * b.rows_a_group + start;
    *to = *from + (rest < b.rows_a_block ? rest : b.rows_a_block);
    return group;
}

/* Sums over the blocks of each group, in rising order: out[group, k] = sum over blocks of
 * partial[block, first + k]; partial rows are `stride` floats apart. */
typedef struct norm_totals {
    const float *partial;
    float *out; /* [n_groups, C] */
    int64_t stride, first, C;
    norm_blocks blocks;
} norm_totals;

enum { NORM_TOTAL_COLUMNS = 256 };

VEC_INLINE int64_t norm_totals_tasks(const norm_totals *t) {
    return t->blocks.n_groups * ((t->C + NORM_TOTAL_COLUMNS - 1) / NORM_TOTAL_COLUMNS);
}

static inline __attribute__((unused)) void norm_totals_task(void *context, int64_t index,
                                                            int lane) {
    const norm_totals *t = context;
    (void)lane;
    const int64_t chunks = (t->C + NORM_TOTAL_COLUMNS - 1) / NORM_TOTAL_COLUMNS;
    const int64_t group = index / chunks, from = index % chunks * NORM_TOTAL_COLUMNS;
    const int64_t rest = t->C - from, width = rest < NORM_TOTAL_COLUMNS ? rest : NORM_TOTAL_COLUMNS;
    const float *p = t->partial + group * t->blocks.blocks_a_group * t->stride + t->first + from;
    float *out = t->out + group * t->C + from;
#define STEP(i, n)                                                                                 \
    do {                                                                                           \
        vf sum_ = {0};                                                                             \
        for (int64_t b_ = 0; b_ < t->blocks.blocks_a_group; b_++)                                  \
            sum_ += norm_load(p + b_ * t->stride, i, false, n);                                    \
        norm_store(out, i, false, sum_, n);                                                        \
    } while (0)
    NORM_FOR_VECTORS(width, STEP);
#undef STEP
}

#endif
