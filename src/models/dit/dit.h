/* DiT: the class-conditional diffusion transformer on image latents.
 *
 * Peebles & Xie 2022, "Scalable diffusion models with transformers", with the names of the original
 * checkpoints (DiT-XL-2-256x256). The smallest whole model of the house: it is the one to read
 * first, the training benchmark, and the one a handwritten twin is held against
 * (tests/golden/dit_by_hand.c).
 */
#ifndef REEL_MODELS_DIT_DIT_H
#define REEL_MODELS_DIT_DIT_H

#include "nn/module.h"

/* Field names of the original constructor, without input_size: that is x's shape. */
typedef struct reel_dit_config {
    int64_t patch_size;  /* 2, 4 or 8 in the paper */
    int64_t in_channels; /* 4: latents of Stable Diffusion's VAE */
    int64_t hidden_size; /* C, a multiple of num_heads */
    int64_t depth;       /* blocks */
    int64_t num_heads;   /* N */
    int64_t mlp_ratio;   /* width of the mlp over C */
    int64_t num_classes; /* the table holds one more row, for "no class" */
    bool learn_sigma;    /* output has twice the channels: noise, then variance */
    bool recompute;      /* training keeps only the blocks' inputs (not of the original) */
} reel_dit_config;

/* DiT-S/2. */
reel_dit_config reel_dit_config_default(void);

/* Fails with REEL_E_ARG naming the field that is out of range. */
REEL_MUST_USE reel_status reel_dit_config_check(reel_env *env, const reel_dit_config *config);

/* What a forward takes. */
typedef struct reel_dit_input {
    reel_var x; /* [B,in_channels,H,W] f32: noisy latents; H and W multiples of patch_size */
    reel_var t; /* [B] f32: timesteps, 0..1000 */
    reel_var y; /* [B] i64: classes, num_classes for none */
} reel_dit_input;

/* Records the model; returns its prediction [B,out,H,W] f32, with out = in_channels, or twice that
 * with learn_sigma (the noise, then how its variance lies between two bounds). The original is made
 * for one size: its positions are a parameter pos_embed [1,T,C], so T is what a checkpoint fixes.
 * Fails the tape on misfit. */
reel_var reel_dit(reel_nn *nn, const reel_dit_config *config, const reel_dit_input *input);

#endif
