/* Classifier-free guidance: Ho & Salimans 2022, with its usual refinements.
 *
 * out = uncond + scale (cond - uncond). The rescale of Lin et al. 2023 (section 3.4) pulls the
 * result's standard deviation back towards the conditional one's; the interval of Kynkaanniemi et
 * al. 2024 leaves guidance out at the noisy and the clean end.
 */
#ifndef REEL_DIFFUSION_GUIDANCE_H
#define REEL_DIFFUSION_GUIDANCE_H

#include "base/env.h"

typedef struct reel_guidance {
    double scale;   /* 1: the conditional output alone; 0..100 */
    double rescale; /* 0: off .. 1: the conditional output's standard deviation */
    double from;    /* guidance acts while from <= progress < to; progress runs 0 to 1 over the */
    double to;      /* steps; default 0 and 1 */
} reel_guidance;

/* Scale 1, no rescale, the whole interval. */
reel_guidance reel_guidance_default(void);

/* Fails with REEL_E_ARG naming the field, its range and what was given. */
REEL_MUST_USE reel_status reel_guidance_check(reel_env *env, const reel_guidance *guidance);

/* Whether evaluation i of n needs the unconditional output at all. */
bool reel_guidance_acts(const reel_guidance *guidance, int i, int n);

/* out [n] = the guided output of one sample; cond, uncond [n]; out may be either of them. */
void reel_guidance_apply(const reel_guidance *guidance, int64_t n, const float *cond,
                         const float *uncond, float *out);

#endif
