/* Losses: one f32 element to hand to reel_tape_backward.
 *
 * Regression losses weigh each element: with d = x - target and w repeated to x's shape,
 *
 *     L = sum_i w_i f(d_i) / sum_i w_i        (no w: the mean of f(d_i); sum w = 0: L = 0)
 *
 * so that a mask of zeros and ones gives the mean over what it lets through. Cross entropy is the
 * mean over the rows that have a target.
 */
#ifndef REEL_OPS_LOSS_H
#define REEL_OPS_LOSS_H

#include "ops/ops.h"

typedef enum reel_loss_kind {
    REEL_LOSS_MSE,       /* f(d) = d^2 */
    REEL_LOSS_L1,        /* f(d) = |d|, slope 0 at 0 */
    REEL_LOSS_SMOOTH_L1, /* f(d) = d^2 / (2 beta) for |d| < beta, else |d| - beta / 2 */
    REEL_LOSS_COUNT,
} reel_loss_kind;

/* attr of loss and loss_backward. */
typedef struct reel_loss_attr {
    int32_t kind; /* reel_loss_kind */
    float beta;   /* smooth l1 */
    float sign;   /* loss_backward: 1 for x, -1 for target */
    int32_t out_dtype;
} reel_loss_attr;

/* x [...] target [...] of one shape, w [...] that broadcasts to it or 0 -> L. The weights get no
 * gradient: the tape fails if they want one. */
reel_var reel_mse(reel_tape *tape, reel_var x, reel_var target, reel_var w);
reel_var reel_l1(reel_tape *tape, reel_var x, reel_var target, reel_var w);
/* beta > 0, else the tape fails with REEL_E_ARG. */
reel_var reel_smooth_l1(reel_tape *tape, reel_var x, reel_var target, reel_var w, float beta);

/* attr of cross_entropy and its backward. */
typedef struct reel_cross_entropy_attr {
    int32_t ignore;    /* rows with this target do not count */
    float smoothing;   /* e in [0,1): the target distribution is (1 - e) onehot + e / V */
    int32_t out_dtype; /* cross_entropy_backward: of dlogits */
} reel_cross_entropy_attr;

/* logits [R,V] f32 or bf16, target i32 [R] in [0,V) or `ignore` ->
 *     L = mean over rows r that count of  log sum_v e^x_rv - (1 - e) x_rt - e/V sum_v x_rv
 * and 0 when no row counts. A target that is neither makes L NaN, so that bad data is seen. */
reel_var reel_cross_entropy(reel_tape *tape, reel_var logits, reel_var target, int32_t ignore,
                            float smoothing);

#endif
