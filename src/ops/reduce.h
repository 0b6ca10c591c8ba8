/* Reductions: sums, means and maxima over axes; sum_to and broadcast_to, which undo each other; and
 * dot, the sum of products that tests and losses end in.
 *
 * Axes are a set: bit i stands for axis i. Sums are taken in f32 or better.
 */
#ifndef REEL_OPS_REDUCE_H
#define REEL_OPS_REDUCE_H

#include "ops/ops.h"

enum { REEL_AXES_ALL = (1 << REEL_MAX_RANK) - 1 };

/* attr of sum_to, broadcast_to and max. */
typedef struct reel_reduce_attr {
    int32_t out_dtype;
    float factor; /* multiplies the result; max: unused */
    reel_shape shape;
} reel_reduce_attr;

/* Sums x over the axes along which `shape` was broadcast to x's shape; stored as dtype. */
reel_var reel_sum_to(reel_tape *tape, reel_var x, reel_shape shape, reel_dtype dtype);
/* The same times a factor that is part of the plan. */
reel_var reel_sum_to_scaled(reel_tape *tape, reel_var x, reel_shape shape, reel_dtype dtype,
                            float factor);
/* x repeated to `shape`, in dtype. */
reel_var reel_broadcast_to(reel_tape *tape, reel_var x, reel_shape shape, reel_dtype dtype);

/* What is left of the reduced axes. */
typedef enum reel_keep_axes {
    REEL_DROP_AXES, /* they vanish: [B,T,C] over axis 1 -> [B,C] */
    REEL_KEEP_AXES, /* they become 1: [B,1,C] */
} reel_keep_axes;

/* x [...] -> its sum, mean or greatest element over a set of axes, f32 for float x. Bits past x's
 * rank are ignored; an empty set gives x in f32. A mean or maximum over no elements fails with
 * REEL_E_SHAPE; max has no gradient and says so. */
reel_var reel_sum(reel_tape *tape, reel_var x, unsigned axes, reel_keep_axes keep);
reel_var reel_mean(reel_tape *tape, reel_var x, unsigned axes, reel_keep_axes keep);
reel_var reel_max(reel_tape *tape, reel_var x, unsigned axes, reel_keep_axes keep);

/* x [...] r [...] of one shape -> sum x r, one f32 element. */
reel_var reel_dot(reel_tape *tape, reel_var x, reel_var r);

#endif
