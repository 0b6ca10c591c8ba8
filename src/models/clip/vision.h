/* CLIP's image encoder: a picture in, one row for each of its patches and one for the whole out.
 *
 * Radford et al. 2021, "Learning transferable visual models from natural language supervision",
 * section 2.4: a vision transformer with norms before its branches. Wan 2.1's image-conditioned
 * models take the rows of OpenCLIP's ViT-H/14 before its last block. Names are those of
 * transformers' CLIPVisionModel.
 *
 * Letters: S the edge of the picture, P of a patch, T = 1 + (S / P)^2 rows.
 */
#ifndef REEL_MODELS_CLIP_VISION_H
#define REEL_MODELS_CLIP_VISION_H

#include "nn/module.h"

/* Field names of config.json. C = hidden_size. */
typedef struct reel_clip_vision_config {
    int64_t hidden_size, intermediate_size;
    int64_t num_hidden_layers, num_attention_heads;
    int64_t image_size, patch_size;
    double layer_norm_eps;
    /* Weights as OpenCLIP has them: queries, keys and values in one linear layer, and leading axes
     * of 1 on the class row and the positions. */
    bool open_clip;
} reel_clip_vision_config;

/* ViT-H/14. */
reel_clip_vision_config reel_clip_vision_config_default(void);

/* Fails with REEL_E_ARG naming the field that is out of range. */
REEL_MUST_USE reel_status reel_clip_vision_config_check(reel_env *env,
                                                        const reel_clip_vision_config *config);

/* T of a configuration. */
int64_t reel_clip_vision_rows(const reel_clip_vision_config *config);

/* Records the model on pictures x [B,3,S,S], B at most 8, normalised as reel_clip_preprocess does,
 * through the first n_blocks of its num_hidden_layers blocks: [B,T,C] f32, the row of the whole
 * picture first. Wan takes all blocks but the last. Fails the tape on misfit. */
reel_var reel_clip_vision(reel_nn *nn, const reel_clip_vision_config *config, reel_var x,
                          int64_t n_blocks);

/* All blocks and the norm behind them, as a file of weights has them: for what declares it. */
reel_var reel_clip_vision_whole(reel_nn *nn, const reel_clip_vision_config *config, reel_var x);

/* A picture as it is at hand: one of the two. */
typedef struct reel_clip_picture {
    const uint8_t *pixels; /* [H,W,3] */
    const float *planes;   /* [3,H,W] in [-1,1] */
    int64_t H, W;
} reel_clip_picture;

/* A picture -> [3,S,S] as CLIP was trained: stretched by cubic interpolation (Keys 1981, a = -0.75,
 * without smoothing, as Wan's own code does), then less the mean and over the deviation of each
 * colour. */
void reel_clip_preprocess(const reel_clip_picture *picture, int64_t S, float *out);

#endif
