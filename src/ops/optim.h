/* Optimisers as ops: a training step, from forward to moving average, is one tape.
 *
 * They write over the memory of parameters and optimiser state: each result is bound to the memory
 * of the value it replaces, and since a plan runs in list order, everything recorded before reads
 * the old contents and everything after the new. Record them last. Numbers that change from step to
 * step are input values, so that the plan stays.
 *
 * A step whose gradient norm is not finite changes nothing when `clip` is given; without it a NaN
 * in a gradient goes into the weights.
 */
#ifndef REEL_OPS_OPTIM_H
#define REEL_OPS_OPTIM_H

#include "ops/ops.h"

/* Makes `value` (a record's output) be written to the memory of `target`, an input or parameter of
 * its dtype and shape that is bound already: target = value. Returns value. Fails the tape with
 * REEL_E_SHAPE or, when target has no memory yet, REEL_E_ARG. */
reel_var reel_update(reel_tape *tape, reel_var target, reel_var value);

/* ---- gradient norm ---- */

/* x[n] of any shapes, f32 or bf16 -> the sum of all squares, one f32 element. n >= 1. */
reel_var reel_square_sum(reel_tape *tape, const reel_var *x, int n);

/* grad[n], most f32 [] (0 or below: no limit) -> f32 [2]: the norm over all gradients together, and
 * the factor min(1, most / (norm + 1e-6)) for the optimisers to apply, NaN if the norm is. */
reel_var reel_grad_clip(reel_tape *tape, const reel_var *grad, int n, reel_var most);

/* ---- AdamW (Loshchilov & Hutter 2019, alg. 2) ---- */

/* hyper f32 [8] of adamw */
enum { REEL_ADAMW_HYPER = 8 };
typedef struct reel_adamw_options {
    double lr, beta1, beta2, eps, weight_decay;
} reel_adamw_options;
reel_adamw_options reel_adamw_options_default(void); /* 1e-3, 0.9, 0.999, 1e-8, 0.01 */
/* The values of step 1, 2, ...: lr, beta1, beta2, eps, decay, 1 - beta1^step, 1 - beta2^step, 0. */
void reel_adamw_hyper(const reel_adamw_options *options, int64_t step,
                      float hyper[REEL_ADAMW_HYPER]);

/* attr of adamw and descend. */
typedef struct reel_optim_attr {
    int32_t copy;      /* there is a bf16 copy of the weights to write */
    int32_t out_dtype; /* momentum, normalise: of their first output */
    float scale;       /* descend: of the direction */
} reel_optim_attr;

typedef struct reel_adamw_operands {
    reel_var w;    /* f32 [...], replaced: the parameter, or its f32 master */
    reel_var m, v; /* f32 [...], replaced; zero before the first step */
    reel_var grad; /* f32 or bf16 [...] */
    reel_var hyper;
    reel_var clip; /* f32 [2] of reel_grad_clip, or 0 */
    reel_var copy; /* bf16 [...], overwritten with the new w, or 0 */
} reel_adamw_operands;

/* g = clip grad; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
 * w = w - lr (m / c1 / (sqrt(v / c2) + eps) + decay w). Returns the new w. */
reel_var reel_adamw(reel_tape *tape, const reel_adamw_operands *o);

/* ---- Muon (Jordan et al. 2024), scaled to AdamW's step as in Liu et al. 2025 ---- */

/* hyper f32 [3] of muon: lr, momentum, weight decay */
enum { REEL_MUON_HYPER = 3, REEL_MUON_ITERATIONS = 5 };

typedef struct reel_muon_operands {
    reel_var w;   /* f32 [O,...], replaced; seen as a matrix [O,I] */
    reel_var buf; /* f32 [O,...], replaced; zero before the first step */
    reel_var grad;
    reel_var hyper;
    reel_var clip;      /* as above, or 0 */
    reel_var copy;      /* as above, or 0 */
    reel_dtype product; /* of the Newton-Schulz products: f32 or bf16 */
} reel_muon_operands;

/* buf = mu buf + g; u = g + mu buf (Nesterov); X = orthogonalised u by Newton-Schulz;
 * w = w - lr (0.2 sqrt(max(O, I)) X + decay w). Returns the new w. */
reel_var reel_muon(reel_tape *tape, const reel_muon_operands *o);

/* The Newton-Schulz part alone: u [O,I] -> X [O,I] in dtype, singular values near 1. */
reel_var reel_orthogonalise(reel_tape *tape, reel_var u, reel_dtype dtype);

/* ---- moving average ---- */

/* average = average + rate (w - average), rate f32 [] = 1 - decay. Returns the new average. */
reel_var reel_moving_average(reel_tape *tape, reel_var average, reel_var w, reel_var rate);

#endif
