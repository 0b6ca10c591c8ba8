/* norm_modulate and gate: how a diffusion transformer lets the noise level steer its blocks.
 *
 *     norm_modulate: y = norm(x) (1 + scale) + shift         gate: y = x + g b
 *
 * (adaLN-Zero, Peebles & Xie 2023.) scale, shift and g are [R,C], one row for all tokens, for each
 * sample, for each token, or as a map says. Letters: R rows of modulation.
 */
#ifndef REEL_OPS_MODULATE_H
#define REEL_OPS_MODULATE_H

#include "ops/norm.h"

/* attr of norm_modulate and norm_modulate_backward. */
typedef struct reel_modulate_attr {
    int32_t kind;      /* REEL_NORM_LAYER or REEL_NORM_RMS, without weight */
    int32_t out_dtype; /* of y, or of dx */
    float eps;
} reel_modulate_attr;

/* attr of gate_backward. */
typedef struct reel_gate_grad_attr {
    int32_t out_dtype; /* of db */
} reel_gate_grad_attr;

/* x [...,C] shift scale [R,C] -> y of x's shape. Without map (0) R divides the tokens of x: token t
 * of T takes row t / (T / R), so R = 1 is all alike, R = samples per sample (of equal length, one
 * after another), R = T per token. With map, i32 of T elements, token t takes row map[t]; a row
 * outside [0,R) makes that token NaN. x, shift, scale f32 or bf16 (shift and scale alike). */
reel_var reel_norm_modulate(reel_tape *tape, reel_var x, reel_var shift, reel_var scale,
                            reel_var map, const reel_modulate_attr *attr);

/* x [...,C] b of x's shape, g [R,C] -> y = x + g b, f32; rows of g and map as above. Without g (0):
 * x + b. x, b, g f32 or bf16. */
reel_var reel_gate(reel_tape *tape, reel_var x, reel_var b, reel_var g, reel_var map);

/* The row of modulation of token t, -1 if the map names none. tokens_a_row is T / R. */
static inline int64_t reel_modulate_row(const int32_t *map, int64_t t, int64_t tokens_a_row,
                                        int64_t R) {
    if (!map) return t / tokens_a_row;
    return map[t] >= 0 && map[t] < R ? map[t] : -1;
}

#endif
