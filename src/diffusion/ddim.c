/* DDIM: Song et al. 2020, "Denoising diffusion implicit models", eq. 12 and 16. */
#include <math.h>

#include "diffusion/state.h"

static double clipped(const reel_sampler_options *o, double x0) {
    return o->clip_sample ? fmin(fmax(x0, -o->clip_sample_range), o->clip_sample_range) : x0;
}

void reel_ddim_step(reel_sampler *s, int i, const float *out, const float *noise, float *x) {
    const reel_sampler_options *o = &s->options;
    const int t = (int)s->timestep[i];
    const int before = t - o->schedule.num_train_timesteps / o->n_steps;
    const double ac = s->ac[t], last = o->set_alpha_to_one ? 1 : s->ac[0];
    const double ac_before = before >= 0 ? s->ac[before] : last;
    const reel_level level = {.alpha = sqrt(ac), .sigma = sqrt(1 - ac)};
    const double variance = (1 - ac_before) / (1 - ac) * (1 - ac / ac_before);
    const double deviation = o->eta * sqrt(variance);
    const double towards_x = sqrt(1 - ac_before - deviation * deviation);
    for (int64_t k = 0; k < s->n; k++) {
        const double y = (double)out[k], xk = (double)x[k];
        const double x0 = reel_predicted_x0(o->prediction, level, xk, y);
        double eps = y;
        if (o->prediction == REEL_PREDICT_V) eps = level.alpha * y + level.sigma * xk;
        if (o->prediction == REEL_PREDICT_SAMPLE) eps = (xk - level.alpha * x0) / level.sigma;
        double next = sqrt(ac_before) * clipped(o, x0) + towards_x * eps;
        if (deviation > 0) next += deviation * (double)noise[k];
        x[k] = (float)next;
    }
}
