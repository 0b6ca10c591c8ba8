/* How badly a normal distribution fits: its negative log likelihood, as a loss.
 *
 * What a learned variance is trained with (Improved DDPM, Nichol & Dhariwal 2021). With l the log
 * variance and s a second moment about the mean,
 *
 *     L = sum_rc w_r (l_rc + s_rc e^-l_rc) / 2 / (C sum_r w_r)         (sum w = 0: L = 0)
 *
 * For s = (x - mu)^2 that is -log N(x; mu, e^l) but for a constant; for s = e^q + (mu_q - mu)^2 it
 * is the divergence of N(mu, e^l) from N(mu_q, e^q) but for one.
 */
#ifndef REEL_OPS_GAUSSIAN_H
#define REEL_OPS_GAUSSIAN_H

#include "ops/ops.h"

/* attr of gaussian_backward. */
typedef struct reel_gaussian_attr {
    int32_t out_dtype;
} reel_gaussian_attr;

/* l [...,C] s [...,C] w [...,1] -> L f32. Only l gets a gradient: s and w are taken as they are,
 * whatever they depend on, which is what keeps a variance from spoiling the mean. */
reel_var reel_gaussian(reel_tape *tape, reel_var l, reel_var s, reel_var w);

#endif
