/* Samplers: from noise to data in a number of steps, given somebody who denoises.
 *
 * A sampler never sees a model. The caller asks for the timestep of evaluation i, computes the
 * model's output there, and hands it to reel_sampler_step, which moves x. Everything a sampler
 * remembers between steps is reachable as plain memory (reel_sampler_memory), so that a killed run
 * can go on from the step it had reached. Each kind is one file: euler.c, heun.c, unipc.c, dpmpp.c,
 * ddpm.c, ddim.c.
 */
#ifndef REEL_DIFFUSION_SAMPLER_H
#define REEL_DIFFUSION_SAMPLER_H

#include "diffusion/schedule.h"

typedef enum reel_sampler_kind {
    REEL_SAMPLER_EULER,
    REEL_SAMPLER_HEUN,  /* two evaluations a step, but for the last; flow only */
    REEL_SAMPLER_UNIPC, /* Zhao et al. 2023, predictor and corrector */
    REEL_SAMPLER_DPMPP, /* DPM-Solver++ 2M, Lu et al. 2022 */
    REEL_SAMPLER_DDPM,  /* Ho et al. 2020; diffusion only, as DDIM */
    REEL_SAMPLER_DDIM,  /* Song et al. 2020 */
    REEL_SAMPLER_COUNT,
} reel_sampler_kind;

/* What the model's output is. */
typedef enum reel_prediction {
    REEL_PREDICT_EPSILON, /* the noise */
    REEL_PREDICT_V,       /* sqrt(ac) eps - sqrt(1 - ac) x_0, Salimans & Ho 2022 */
    REEL_PREDICT_SAMPLE,  /* x_0 */
    REEL_PREDICT_FLOW,    /* the velocity eps - x_0; goes with a flow schedule, and only with one */
} reel_prediction;

typedef enum reel_variance {
    REEL_VARIANCE_SMALL,   /* the posterior's, DDPM eq. 7 */
    REEL_VARIANCE_LARGE,   /* beta */
    REEL_VARIANCE_LEARNED, /* the model's second half interpolates the two in log, Improved DDPM */
} reel_variance;

typedef enum reel_solver_type {
    REEL_SOLVER_DEFAULT,  /* bh2 for UniPC, midpoint for DPM-Solver++ */
    REEL_SOLVER_BH1,      /* UniPC */
    REEL_SOLVER_BH2,      /* UniPC */
    REEL_SOLVER_MIDPOINT, /* DPM-Solver++ */
    REEL_SOLVER_HEUN,     /* DPM-Solver++ */
} reel_solver_type;

typedef struct reel_sampler_options {
    reel_sampler_kind kind;
    reel_schedule schedule;
    reel_prediction prediction;
    int n_steps;          /* 1..REEL_MAX_STEPS, at most num_train_timesteps but for flow */
    reel_spacing spacing; /* diffusion */
    int steps_offset;     /* diffusion, leading spacing */
    const double
        *sigmas; /* flow: [n_steps] before the shift, falling in (0,1]; NULL: the kind's own */
    bool dynamic_shift; /* flow: shift by mu instead of schedule.shift */
    double mu;
    double shift_terminal; /* flow: stretches so that the last sigma is this; 0: not */
    bool final_sigma_zero; /* else the last step stays at the last sigma */
    bool karras_sigmas;    /* Karras et al. 2022, eq. 5, rho 7: DPM-Solver++ and Euler, diffusion */
    bool integer_timesteps; /* timesteps are cut to integers before the model sees them (as Wan
                               does) */
    int order;              /* UniPC: 1..3, DPM-Solver++: 1..2 */
    reel_solver_type solver_type;
    uint64_t disable_corrector; /* UniPC: bit i: no corrector after step i, i < 64 */
    bool sde;                   /* DPM-Solver++: the stochastic form */
    double eta;                 /* DDIM: 0 deterministic .. 1 */
    bool clip_sample;           /* DDPM, DDIM: clip the predicted x_0 to +-clip_sample_range */
    double clip_sample_range;
    bool set_alpha_to_one;  /* DDIM: after the last step there is no noise at all */
    reel_variance variance; /* DDPM */
} reel_sampler_options;

typedef struct reel_sampler reel_sampler;

/* The defaults of the kind, as diffusers has them: flow with shift 1 for Euler, Heun, UniPC and
 * DPM-Solver++; linear betas predicting epsilon for DDPM and DDIM. */
reel_sampler_options reel_sampler_options_default(reel_sampler_kind kind);

/* "euler", "heun", "unipc", "dpm++2m", "ddpm", "ddim". Static storage. */
const char *reel_sampler_name(reel_sampler_kind kind);
/* The kind with this name; REEL_SAMPLER_COUNT when there is none. */
reel_sampler_kind reel_sampler_parse(const char *name);

/* A sampler for x of n elements. Fails with REEL_E_ARG naming the option. The caller frees it. */
REEL_MUST_USE reel_status reel_sampler_new(reel_env *env, const reel_sampler_options *options,
                                           int64_t n, reel_sampler **sampler);
void reel_sampler_free(reel_sampler **sampler);

/* Model evaluations in all: n_steps, or 2 n_steps - 1 for Heun. */
int reel_sampler_n_evaluations(const reel_sampler *sampler);
/* What the model is told at evaluation i: 0..num_train_timesteps. */
double reel_sampler_timestep(const reel_sampler *sampler, int i);
/* The noise level at evaluation i (flow: in [0,1]; Euler's and DPM's: sqrt((1 - ac) / ac)); for
 * i = n_evaluations the level at the end. DDPM and DDIM: sqrt(1 - ac). */
double reel_sampler_sigma(const reel_sampler *sampler, int i);
/* The standard deviation x starts with: 1, or the first sigma for Euler on diffusion. */
double reel_sampler_initial_scale(const reel_sampler *sampler);
/* What the model is shown of x at evaluation i: x itself but for Euler on diffusion. [n] each. */
void reel_sampler_scale_input(const reel_sampler *sampler, int i, const float *x, float *scaled);
/* Whether step i reads noise. */
bool reel_sampler_wants_noise(const reel_sampler *sampler, int i);

/* Moves x [n] by one evaluation: output [n] is the model's at reel_sampler_timestep(i); noise [n]
 * is standard normal, NULL when not wanted; variance [n] is the model's second half
 * (REEL_VARIANCE_LEARNED) or NULL. Evaluations must come in order, 0 first (or the first one after
 * a restored memory). */
void reel_sampler_step(reel_sampler *sampler, int i, const float *output, const float *variance,
                       const float *noise, float *x);

/* Everything the sampler remembers, as *bytes of plain memory: copy it out after a step, copy it
 * back into a sampler of the same options to go on. Borrowed. */
void *reel_sampler_memory(reel_sampler *sampler, int64_t *bytes);
/* Whether the memory can be what evaluations 0..i-1 left: to be asked after a memory from outside
 * was copied in, which would otherwise be believed. */
bool reel_sampler_can_continue(const reel_sampler *sampler, int i);

#endif
