/* Mistakes: latents as a transformer gets them wrong, for a decoder that is to forgive it.
 *
 * What is generated is not off by white noise: neighboring places disagree about the same edge, and
 * a decoder that has seen clean latents alone paints every place's own version, in squares. So the
 * decoder's stage also decodes what a model predicts of held latents under noise, x0' = x0 + e, and
 * is asked for the clip itself.
 */
#ifndef REEL_TRAIN_VAE_MISTAKES_H
#define REEL_TRAIN_VAE_MISTAKES_H

#include "data/pool.h"
#include "models/wan/vae.h"
#include "train/run.h"

/* Which mistake: everything it is drawn from. */
typedef struct reel_mistake {
    const reel_source *source;  /* of the clip's captions */
    const reel_pool_clip *clip; /* all of it is shown to the model */
    uint64_t seed, index;
} reel_mistake;

/* The error e of one clip as raw latents, the channel fastest: error [f,h,w,z]. The level of noise
 * is uniform in [0.05,0.65], the language drawn. */
REEL_MUST_USE reel_status reel_vae_mistake(reel_env *env, const reel_mistakes *mistakes,
                                           const reel_wan_vae_config *config,
                                           const reel_mistake *mistake, float *error);

#endif
