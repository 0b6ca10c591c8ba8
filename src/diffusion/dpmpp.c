/* DPM-Solver++ 2M: Lu et al. 2022, "DPM-Solver++: fast solver for guided sampling", algorithm 2,
 * and its stochastic form (SDE-DPM-Solver++). Works on predicted x_0 in lambda = log(alpha /
 * sigma). */
#include <math.h>

#include "diffusion/state.h"

/* Few steps end on a first-order one, since the step onto sigma 0 has infinite length in lambda. */
static int order_of(const reel_sampler *s, int i) {
    const reel_sampler_options *o = &s->options;
    const bool last = i + 1 == o->n_steps;
    if (o->order == 1 || s->progress->n_outputs < 1) return 1;
    return last && (o->final_sigma_zero || o->n_steps < 15) ? 1 : 2;
}

/* next = of_x x + of_m0 m0 + of_d1 d1 + of_noise noise, with d1 = (m0 - m1) / r0 */
typedef struct weights {
    double x, m0, d1, noise;
} weights;

static weights weights_of(const reel_sampler *s, int i) {
    const reel_level from = reel_sampler_level(s, i), to = reel_sampler_level(s, i + 1);
    const double h = to.lambda - from.lambda, ratio = to.sigma / from.sigma;
    const bool heun = s->options.solver_type == REEL_SOLVER_HEUN;
    if (s->options.sde) {
        const double gone = 1 - exp(-2 * h);
        const double d1 = heun ? gone / (-2 * h) + 1 : 0.5 * gone;
        return (weights){ratio * exp(-h), to.alpha * gone, to.alpha * d1, to.sigma * sqrt(gone)};
    }
    const double gone = 1 - exp(-h);
    const double d1 = heun ? 1 - gone / h : 0.5 * gone;
    return (weights){ratio, to.alpha * gone, to.alpha * d1, 0};
}

/* history[0]: x_0 as the last output predicted it */
void reel_dpmpp_step(reel_sampler *s, int i, const float *out, const float *noise, float *x) {
    const reel_level level = reel_sampler_level(s, i), to = reel_sampler_level(s, i + 1);
    const bool second = order_of(s, i) == 2;
    const weights w = weights_of(s, i);
    double per_r0 = 0;
    if (second) {
        const double h0 = level.lambda - reel_sampler_level(s, i - 1).lambda;
        per_r0 = (to.lambda - level.lambda) / h0;
    }
    for (int64_t k = 0; k < s->n; k++) {
        const double m0 =
            reel_predicted_x0(s->options.prediction, level, (double)x[k], (double)out[k]);
        double next = w.x * (double)x[k] + w.m0 * m0;
        if (second) next += w.d1 * per_r0 * (m0 - (double)s->history[0][k]);
        if (s->options.sde) next += w.noise * (double)noise[k];
        x[k] = (float)next;
        s->history[0][k] = (float)m0;
    }
    if (s->progress->n_outputs < s->options.order) s->progress->n_outputs++;
}
