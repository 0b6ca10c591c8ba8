/* DDPM: Ho et al. 2020, "Denoising diffusion probabilistic models", algorithm 2, on a thinned-out
 * list of timesteps (Nichol & Dhariwal 2021, section 4: betas follow from the alphas_cumprod kept).
 */
#include <math.h>

#include "diffusion/state.h"

/* q(x_{t-1} | x_t, x_0), DDPM eq. 6 and 7. */
typedef struct posterior {
    double of_x0, of_x; /* the mean's weights */
    double small, beta; /* its variance, and the upper bound beta_t */
} posterior;

static posterior posterior_at(const reel_sampler *s, int i) {
    const bool last = i + 1 == s->options.n_steps;
    const double ac = s->ac[(int)s->timestep[i]];
    const double ac_before = last ? 1 : s->ac[(int)s->timestep[i + 1]];
    const double alpha = ac / ac_before, beta = 1 - alpha;
    return (posterior){.of_x0 = sqrt(ac_before) * beta / (1 - ac),
                       .of_x = sqrt(alpha) * (1 - ac_before) / (1 - ac),
                       .small = (1 - ac_before) / (1 - ac) * beta,
                       .beta = beta};
}

/* The standard deviation of the noise of step i; v is the model's opinion in [-1,1]. */
static double deviation(const reel_sampler *s, int i, const posterior *p, double v) {
    if (s->options.variance == REEL_VARIANCE_LARGE) return sqrt(p->beta);
    if (s->options.variance == REEL_VARIANCE_SMALL) return sqrt(fmax(p->small, 1e-20));
    /* Improved DDPM, eq. 15. The last step's posterior variance is 0; its neighbour's stands in. */
    const bool last = i + 1 == s->options.n_steps;
    const double small = last && i > 0 ? posterior_at(s, i - 1).small : p->small;
    const double w = (v + 1) / 2;
    return exp(0.5 * (w * log(p->beta) + (1 - w) * log(fmax(small, 1e-20))));
}

void reel_ddpm_step(reel_sampler *s, int i, const float *out, const float *variance,
                    const float *noise, float *x) {
    const reel_sampler_options *o = &s->options;
    const double ac = s->ac[(int)s->timestep[i]];
    const reel_level level = {.alpha = sqrt(ac), .sigma = sqrt(1 - ac)};
    const posterior p = posterior_at(s, i);
    const bool noisy = reel_sampler_wants_noise(s, i);
    const double fixed = deviation(s, i, &p, 0);
    for (int64_t k = 0; k < s->n; k++) {
        double x0 = reel_predicted_x0(o->prediction, level, (double)x[k], (double)out[k]);
        if (o->clip_sample) x0 = fmin(fmax(x0, -o->clip_sample_range), o->clip_sample_range);
        double next = p.of_x0 * x0 + p.of_x * (double)x[k];
        if (noisy) {
            const double d = variance ? deviation(s, i, &p, (double)variance[k]) : fixed;
            next += d * (double)noise[k];
        }
        x[k] = (float)next;
    }
}
