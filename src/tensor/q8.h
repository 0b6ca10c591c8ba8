/* q8_0: weights in 8-bit blocks, ggml's layout.
 *
 * 32 consecutive values of a row are one block of 34 bytes: an f16 scale d, then 32 int8 q in
 * [-127,127]; the value is d q. d is the block's largest magnitude over 127, so that an element is
 * off by at most half a step, 0.4% of that magnitude. A tensor of dtype REEL_Q8_0 has the shape of
 * the values; its last axis is a multiple of 32.
 */
#ifndef REEL_TENSOR_Q8_H
#define REEL_TENSOR_Q8_H

#include "tensor/dtype.h"

typedef struct reel_q8_block {
    reel_f16 scale;
    int8_t q[REEL_Q8_VALUES];
} reel_q8_block;

/* n values (a multiple of REEL_Q8_VALUES) of f32, bf16 or f16 into blocks. A block with a value
 * that is not finite gets a NaN for its scale. */
void reel_q8_quantise(reel_q8_block *block, reel_dtype from, const void *src, int64_t n);
/* And back, to f32. */
void reel_q8_values(float *x, const reel_q8_block *block, int64_t n);

/* One block in f32: x[i] ~ scale q[i], the scale returned, NaN when a value is not finite. q is
 * x * (127 / max|x|) rounded to nearest, ties to even. What the activations of a product with q8_0
 * weights are rounded to, by every kernel alike. */
float reel_q8_round(const float x[REEL_Q8_VALUES], int8_t q[REEL_Q8_VALUES]);

#endif
