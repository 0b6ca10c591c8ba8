/* timestep: a noise level as a row of sines and cosines of falling frequency.
 *
 * The embedding of DiT (Peebles & Xie 2022, timestep_embedding), Wan and diffusers
 * (get_timestep_embedding), which goes back to Vaswani et al. 2017, section 3.5.
 */
#ifndef REEL_OPS_TIMESTEP_H
#define REEL_OPS_TIMESTEP_H

#include "ops/ops.h"

/* attr of timestep, by diffusers' names. */
typedef struct reel_timestep_attr {
    int32_t dim;                /* of the row; when odd, the last entry is 0 */
    int32_t flip_sin_to_cos;    /* 0: sines first; 1: cosines first, as DiT and Wan have it */
    float downscale_freq_shift; /* 0 in DiT and Wan; 1 in Vaswani's successors */
    float scale;                /* of the angles */
    float max_period;           /* > 0; 10000 */
} reel_timestep_attr;

/* dim 256, cosines first, shift 0, scale 1, period 10000. */
reel_timestep_attr reel_timestep_attr_default(void);

/* t [...] f32, a level per sample or per token -> [...,dim] f32:
 *     angle[k] = scale t max_period^(-k / (dim/2 - shift)),  k in [0, dim/2)
 *     row = [sin(angle), cos(angle)], flipped [cos(angle), sin(angle)]
 * No gradient flows to t: levels are drawn, not learned. Fails the tape with REEL_E_SHAPE. */
reel_var reel_timestep(reel_tape *tape, reel_var t, reel_timestep_attr attr);

/* max_period^(-k / (dim/2 - shift)), without the scale. */
double reel_timestep_frequency(const reel_timestep_attr *attr, int64_t k);

#endif
