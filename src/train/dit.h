/* Training of Wan's diffusion transformer, jointly with a small UMT5 text encoder, on cached
 * latents of the world or of one's own clips (train/material.h).
 *
 * A step packs clips of different sizes and lengths into a row of tokens (train/row.h); images are
 * clips of one frame, shorter clips the first latents of longer ones, which causal latents allow.
 * Noise levels are logit-normal (Esser et al. 2024), shifted towards noise with the number of
 * tokens; part of the clips have some frames known; part of the captions are left out.
 *
 * From nothing, or from a folder of the Wan family: the whole of it, or low-rank paths of its
 * transformer, which are then saved by themselves as well (zoo/adapter.h).
 */
#ifndef REEL_TRAIN_DIT_H
#define REEL_TRAIN_DIT_H

#include "train/run.h"

/* Trains to the end of the recipe or until stopped; options->folder gets model/, a folder that
 * reel and diffusers open. The recipe names the trained vae's folder and the tokenizer's file, or a
 * model folder to go on from, which has both. */
REEL_MUST_USE reel_status reel_train_dit(reel_env *env, const reel_kernel_table *table,
                                         const reel_run_options *options, bool *stopped);

#endif
