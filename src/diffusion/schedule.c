#include "diffusion/schedule.h"

#include <math.h>

reel_schedule reel_schedule_default(void) {
    return (reel_schedule){.num_train_timesteps = 1000,
                           .beta_schedule = REEL_BETA_LINEAR,
                           .beta_start = 0.0001,
                           .beta_end = 0.02,
                           .shift = 1};
}

reel_status reel_schedule_check(reel_env *env, const reel_schedule *s) {
    if (s->num_train_timesteps < 1 || s->num_train_timesteps > REEL_MAX_TRAIN_TIMESTEPS)
        return reel_fail(env, REEL_E_ARG, "num_train_timesteps must be in 1..%d, got %d",
                         REEL_MAX_TRAIN_TIMESTEPS, s->num_train_timesteps);
    if (!(s->shift >= 1e-3 && s->shift <= 1e3))
        return reel_fail(env, REEL_E_ARG, "shift must be in 0.001..1000, got %g", s->shift);
    const bool betas = s->beta_start > 0 && s->beta_start <= s->beta_end && s->beta_end < 1;
    if (!s->flow && s->beta_schedule != REEL_BETA_COSINE && !betas)
        return reel_fail(env, REEL_E_ARG,
                         "betas must satisfy 0 < beta_start <= beta_end < 1, got %g and %g",
                         s->beta_start, s->beta_end);
    return REEL_OK;
}

/* Improved DDPM, eq. 17 */
static double cosine_bar(double t) {
    const double c = cos((t + 0.008) / 1.008 * M_PI / 2);
    return c * c;
}

static double beta_at(const reel_schedule *s, int t) {
    const int n = s->num_train_timesteps;
    const double u = n > 1 ? (double)t / (n - 1) : 0;
    switch (s->beta_schedule) {
    case REEL_BETA_SCALED_LINEAR: {
        const double a = sqrt(s->beta_start), b = sqrt(s->beta_end);
        return (a + (b - a) * u) * (a + (b - a) * u);
    }
    case REEL_BETA_COSINE:
        return fmin(1 - cosine_bar((double)(t + 1) / n) / cosine_bar((double)t / n), 0.999);
    default:
        return s->beta_start + (s->beta_end - s->beta_start) * u;
    }
}

/* Lin et al. 2023, "Common diffusion noise schedules and sample steps are flawed", algorithm 1:
 * sqrt(ac) is shifted so that the last is 0 and scaled so that the first stays. */
static void rescale_to_zero_snr(double *ac, int n) {
    const double first = sqrt(ac[0]), last = sqrt(ac[n - 1]);
    for (int t = 0; t < n; t++) {
        const double root = (sqrt(ac[t]) - last) * first / (first - last);
        ac[t] = root * root;
    }
}

void reel_schedule_alphas_cumprod(const reel_schedule *s, double *ac) {
    double product = 1;
    for (int t = 0; t < s->num_train_timesteps; t++) {
        product *= 1 - beta_at(s, t);
        ac[t] = product;
    }
    if (s->rescale_betas_zero_snr && s->num_train_timesteps > 1)
        rescale_to_zero_snr(ac, s->num_train_timesteps);
}

double reel_flow_shift(double sigma, double shift) {
    return shift * sigma / (1 + (shift - 1) * sigma);
}

double reel_flow_shift_exponential(double sigma, double mu) {
    return exp(mu) / (exp(mu) + (1 / sigma - 1));
}

void reel_schedule_timesteps(int n_train, reel_spacing spacing, int steps_offset, int n,
                             double *timesteps) {
    for (int i = 0; i < n; i++) {
        const int from_end = n - 1 - i;
        double t = 0;
        if (spacing == REEL_SPACING_LEADING)
            t = from_end * (n_train / n) + steps_offset;
        else if (spacing == REEL_SPACING_TRAILING)
            t = rint(n_train - i * ((double)n_train / n)) - 1;
        else
            t = n > 1 ? rint((double)(n_train - 1) * from_end / (n - 1)) : 0;
        timesteps[i] = fmin(fmax(t, 0), n_train - 1);
    }
}
