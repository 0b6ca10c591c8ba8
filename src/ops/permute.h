/* permute: axes in another order. */
#ifndef REEL_OPS_PERMUTE_H
#define REEL_OPS_PERMUTE_H

#include "ops/ops.h"

/* attr of permute: axis k of the result is axis[k] of the operand; from rank on 0. */
typedef struct reel_permute_attr {
    int32_t rank;
    int32_t axis[REEL_MAX_RANK];
} reel_permute_attr;

/* x of any dtype -> y with y.dim[k] = x.dim[axis[k]] (numpy's transpose). axis holds each of
 * 0..rank-1 once, rank being x's. When only axes of 1 move, no data does: a reshape is recorded.
 * Fails the tape with REEL_E_SHAPE when axis is no permutation of x's axes. */
reel_var reel_permute(reel_tape *tape, reel_var x, int rank, const int *axis);
/* The same with the axes written out: REEL_PERMUTE(tape, x, 0, 2, 1, 3). */
#define REEL_PERMUTE(tape, x, ...)                                                                 \
    reel_permute((tape), (x), (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)),                   \
                 (const int[]){__VA_ARGS__})

/* x with the axes a and b exchanged. */
reel_var reel_transpose(reel_tape *tape, reel_var x, int a, int b);

#endif
