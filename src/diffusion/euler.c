/* Euler: one straight step along the derivative dx / dsigma. */
#include "diffusion/state.h"

/* Flow: the output is the derivative. Diffusion, in the variance-exploding form x = x_0 + sigma eps
 * (Karras et al. 2022): the derivative is (x - x_0) / sigma. The model saw x / sqrt(sigma^2 + 1).
 */
static double derivative(const reel_sampler *s, double sigma, double x, double out) {
    switch (s->options.prediction) {
    case REEL_PREDICT_V: {
        const double x0 = x / (sigma * sigma + 1) - out * sigma / __builtin_sqrt(sigma * sigma + 1);
        return (x - x0) / sigma;
    }
    case REEL_PREDICT_SAMPLE:
        return (x - out) / sigma;
    default:
        return out;
    }
}

void reel_euler_step(reel_sampler *s, int i, const float *out, float *x) {
    const double sigma = s->sigma[i], step = s->sigma[i + 1] - sigma;
    for (int64_t k = 0; k < s->n; k++)
        x[k] = (float)((double)x[k] + step * derivative(s, sigma, (double)x[k], (double)out[k]));
}
