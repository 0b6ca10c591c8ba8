/* Arithmetic element by element, with broadcasting: add, mul, cast; and sum_to, its gradient.
 *
 * Broadcasting is numpy's: shapes are aligned at the last axis, an axis of 1 (or a missing one)
 * repeats. Mixed f32 and bf16 operands are computed in f32.
 */
#ifndef REEL_OPS_ELEMENTWISE_H
#define REEL_OPS_ELEMENTWISE_H

#include "ops/ops.h"

/* a [...] b [...] -> a + b, a * b: the broadcast shape; f32 if either is f32, else their dtype.
 * Fails the tape with REEL_E_SHAPE when an axis differs and neither is 1. */
reel_var reel_add(reel_tape *tape, reel_var a, reel_var b);
reel_var reel_mul(reel_tape *tape, reel_var a, reel_var b);

/* attr of cast and sum_to. */
typedef struct reel_cast_attr {
    int32_t out_dtype;
    reel_shape shape; /* sum_to: the shape to sum to; cast: unused */
} reel_cast_attr;

/* x in another dtype; x itself when it has it already. */
reel_var reel_cast(reel_tape *tape, reel_var x, reel_dtype dtype);

/* Sums x over the axes along which `shape` was broadcast to x's shape, in f32, stored as dtype. */
reel_var reel_sum_to(reel_tape *tape, reel_var x, reel_shape shape, reel_dtype dtype);

/* Element i of the broadcast result reads element reel_broadcast_index(...) of an operand. */
int64_t reel_broadcast_index(const reel_shape *result, const reel_shape *operand, int64_t i);

#endif
