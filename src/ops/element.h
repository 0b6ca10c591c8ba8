/* Reading and writing single elements of any float type: what reference kernels are made of.
 *
 * Reference kernels are the definition, not the product: they compute in double, element by
 * element, in the order of the formula, so that fast kernels have something to be wrong against.
 */
#ifndef REEL_OPS_ELEMENT_H
#define REEL_OPS_ELEMENT_H

#include "tape/op.h"

static inline double reel_get(const reel_tensor *t, int64_t i) {
    switch (t->dtype) {
    case REEL_F32:
        return (double)((const float *)t->data)[i];
    case REEL_BF16:
        return (double)reel_bf16_to_f32(((const reel_bf16 *)t->data)[i]);
    default:
        return (double)reel_dtype_load(t->dtype, t->data, i);
    }
}

/* An output that nobody reads has no memory (tape/op.h) and is left alone: a recomputed linear,
 * say, of which only the pre-activation is wanted. */
static inline void reel_put(const reel_tensor *t, int64_t i, double x) {
    if (!t->data) return;
    switch (t->dtype) {
    case REEL_F32:
        ((float *)t->data)[i] = (float)x;
        return;
    case REEL_BF16:
        ((reel_bf16 *)t->data)[i] = reel_f32_to_bf16((float)x);
        return;
    default:
        reel_dtype_store(t->dtype, t->data, i, (float)x);
    }
}

/* y[i] = x[j], bit for bit, for two tensors of one dtype, whichever it is: ops that only move. */
static inline void reel_move(const reel_tensor *y, int64_t i, const reel_tensor *x, int64_t j) {
    if (!y->data) return;
    const int64_t item = reel_dtype_bytes(y->dtype);
    memcpy((char *)y->data + i * item, (const char *)x->data + j * item, (size_t)item);
}

#endif
