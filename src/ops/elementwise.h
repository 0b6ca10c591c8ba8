/* Arithmetic element by element, with broadcasting: add, mul, combine, scale, lerp, cast.
 *
 * Broadcasting is numpy's: shapes are aligned at the last axis, an axis of 1 (or a missing one)
 * repeats. Mixed f32 and bf16 operands are computed in f32. What undoes broadcasting, sum_to, is in
 * ops/reduce.h.
 */
#ifndef REEL_OPS_ELEMENTWISE_H
#define REEL_OPS_ELEMENTWISE_H

#include "ops/ops.h"
#include "ops/reduce.h"

/* attr of add (all zero: the tape adds gradients with it), mul and combine. */
typedef struct reel_binary_attr {
    int32_t wide; /* the result is f32 whatever the operands are */
    float p, q;   /* combine: the weights of a and b */
} reel_binary_attr;

/* a [...] b [...] -> a + b, a - b, a * b: the broadcast shape; f32 if either is f32, else their
 * dtype. Fails the tape with REEL_E_SHAPE when an axis differs and neither is 1. */
reel_var reel_add(reel_tape *tape, reel_var a, reel_var b);
reel_var reel_sub(reel_tape *tape, reel_var a, reel_var b);
reel_var reel_mul(reel_tape *tape, reel_var a, reel_var b);
/* p a + q b, with p and q part of the plan: numbers that change each step are operands of mul. */
reel_var reel_combine(reel_tape *tape, reel_var a, float p, reel_var b, float q);

/* attr of scale. */
typedef struct reel_scale_attr {
    int32_t out_dtype;
    float factor, offset;
} reel_scale_attr;

/* x [...] -> factor x + offset, of x's dtype. */
reel_var reel_scale(reel_tape *tape, reel_var x, float factor, float offset);

/* a [...] b [...] of one shape, at [...] that broadcasts to it -> a + at (b - a); f32 if a or b is
 * f32, else a's dtype. */
reel_var reel_lerp(reel_tape *tape, reel_var a, reel_var b, reel_var at);

/* attr of cast. */
typedef struct reel_cast_attr {
    int32_t out_dtype;
} reel_cast_attr;

/* x in another dtype; x itself when it has it already. */
reel_var reel_cast(reel_tape *tape, reel_var x, reel_dtype dtype);

/* Element i of the broadcast result reads element reel_broadcast_index(...) of an operand. */
int64_t reel_broadcast_index(const reel_shape *result, const reel_shape *operand, int64_t i);

/* Whether `slim` repeats to exactly `wide`. */
bool reel_broadcasts_to(const reel_shape *slim, const reel_shape *wide);

#endif
