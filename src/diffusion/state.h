/* What the files of diffusion/ share: a sampler's tables and its memory. */
#ifndef REEL_DIFFUSION_STATE_H
#define REEL_DIFFUSION_STATE_H

#include "diffusion/sampler.h"

enum { REEL_SAMPLER_MAX_HISTORY = 4 };

/* What survives a step besides the history arrays; plain data, saved as it is. */
typedef struct reel_sampler_progress {
    int32_t n_outputs;  /* outputs in the history, at most the order */
    int32_t last_order; /* of the step before: UniPC's corrector uses it */
} reel_sampler_progress;

struct reel_sampler {
    reel_env *env;
    reel_sampler_options options;
    int64_t n; /* elements of x */
    int n_evaluations;
    double *timestep; /* [n_evaluations] */
    double *sigma;    /* [n_steps + 1] */
    double *ac;       /* [num_train_timesteps], diffusion only */
    char *memory;     /* progress, then the history arrays */
    int64_t memory_bytes;
    reel_sampler_progress *progress;
    float *history[REEL_SAMPLER_MAX_HISTORY]; /* [n] each, newest output first; what else is kept
                                                 last */
};

/* alpha and sigma of x = alpha x_0 + sigma eps at table entry i, and the log of their ratio. */
typedef struct reel_level {
    double alpha, sigma, lambda;
} reel_level;
reel_level reel_sampler_level(const reel_sampler *s, int i);

/* x_0 as the output implies it, for element values x and out at a level. */
double reel_predicted_x0(reel_prediction prediction, reel_level level, double x, double out);

void reel_euler_step(reel_sampler *s, int i, const float *out, float *x);
void reel_heun_step(reel_sampler *s, int i, const float *out, float *x);
void reel_unipc_step(reel_sampler *s, int i, const float *out, float *x);
void reel_dpmpp_step(reel_sampler *s, int i, const float *out, const float *noise, float *x);
void reel_ddpm_step(reel_sampler *s, int i, const float *out, const float *variance,
                    const float *noise, float *x);
void reel_ddim_step(reel_sampler *s, int i, const float *out, const float *noise, float *x);

#endif
