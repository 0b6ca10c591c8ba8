/* Training of Wan's video autoencoder on clips of the world or of one's own (train/material.h).
 *
 * The loss is that of a variational autoencoder whose posterior has one fixed deviation:
 *
 *     z = mu(x) + sigma eps,  y = decode(z)
 *     L = a |y - x|^2 + b |y - x| + kl mu^2 / 2 + c |mu - linear(x)|^2
 *
 * (each a mean over elements). linear is the code of principal components (train/pca.h): a fresh
 * encoder is led to it first and kept near it by a small weight, which orders latents by energy.
 * With the encoder frozen (stage decoder) the decoder is finished on latents with more noise, and
 * on those of a diffusion model's mistakes (train/vae_mistakes.h), so that it forgives them.
 */
#ifndef REEL_TRAIN_VAE_H
#define REEL_TRAIN_VAE_H

#include "models/wan/vae.h"
#include "train/run.h"

/* The configuration a recipe asks for; latents_mean 0 and latents_std 1. */
reel_wan_vae_config reel_recipe_vae_config(const reel_recipe *recipe);

/* Trains to the end of the recipe or until stopped; options->folder gets vae/. decoder: the second
 * stage, which starts from the vae/ of recipe->vae.init. */
REEL_MUST_USE reel_status reel_train_vae(reel_env *env, const reel_kernel_table *table,
                                         const reel_run_options *options, bool decoder,
                                         bool *stopped);

#endif
