/* Noise schedules: how much noise there is at each training timestep, and which of those a sampler
 * visits.
 *
 * Two families share one description. Diffusion (DDPM, Ho et al. 2020; Improved DDPM, Nichol &
 * Dhariwal 2021): x_t = sqrt(ac_t) x_0 + sqrt(1 - ac_t) eps with ac the cumulative product of
 * alphas. Rectified flow (Lipman et al. 2022; Liu et al. 2022): x_s = (1 - s) x_0 + s eps. Field
 * names and conventions are diffusers', whose scheduler configs this has to reproduce.
 */
#ifndef REEL_DIFFUSION_SCHEDULE_H
#define REEL_DIFFUSION_SCHEDULE_H

#include "base/env.h"

/* The most steps a sampler takes, and the most timesteps a model is trained with. */
enum { REEL_MAX_STEPS = 1000, REEL_MAX_TRAIN_TIMESTEPS = 100000 };

typedef enum reel_beta_schedule {
    REEL_BETA_LINEAR,
    REEL_BETA_SCALED_LINEAR, /* linear in sqrt(beta): Stable Diffusion */
    REEL_BETA_COSINE,        /* squaredcos_cap_v2: Improved DDPM, eq. 17, beta capped at 0.999 */
} reel_beta_schedule;

typedef enum reel_spacing {
    REEL_SPACING_LINSPACE,
    REEL_SPACING_LEADING,
    REEL_SPACING_TRAILING,
} reel_spacing;

/* What is common to training and sampling. */
typedef struct reel_schedule {
    int num_train_timesteps;          /* 1000 */
    reel_beta_schedule beta_schedule; /* diffusion only, as the next three */
    double beta_start, beta_end;      /* 0.0001, 0.02 */
    bool rescale_betas_zero_snr;      /* Lin et al. 2023: ac at the last timestep becomes 0 */
    bool flow;                        /* rectified flow instead of diffusion */
    double shift;                     /* flow: s' = shift s / (1 + (shift - 1) s); >= 1e-3 */
} reel_schedule;

/* Linear betas, 1000 timesteps, no flow, shift 1. */
reel_schedule reel_schedule_default(void);

/* Fails with REEL_E_ARG naming the field, its range and what was given. */
REEL_MUST_USE reel_status reel_schedule_check(reel_env *env, const reel_schedule *schedule);

/* alphas_cumprod[num_train_timesteps], each in [0,1], falling. The schedule must be a checked one.
 */
void reel_schedule_alphas_cumprod(const reel_schedule *schedule, double *alphas_cumprod);

/* The shift of rectified flow: sigma in [0,1] -> [0,1]; larger shifts spend more steps on noise. */
double reel_flow_shift(double sigma, double shift);
/* The resolution-dependent form of the same (Esser et al. 2024): shift = e^mu. */
double reel_flow_shift_exponential(double sigma, double mu);

/* n timesteps in [0,n_train), falling, in the given spacing; DDIM's and DDPM's reading of it
 * (Euler's and the multistep solvers' is in sampler.c). */
void reel_schedule_timesteps(int n_train, reel_spacing spacing, int steps_offset, int n,
                             double *timesteps);

#endif
