/* Wan's diffusion transformer: video latents, a noise level and a text in, a velocity out.
 *
 * Wan Team 2025, "Wan: open and advanced large-scale video generative models", section 4.2; the
 * class is diffusers' WanTransformer3DModel, whose config fields and parameter names are used here.
 * Covers text-to-video (2.1, 2.2), one noise level per token (2.2's 5B, expand_timesteps) and the
 * image-conditioned variant (more input channels, CLIP image embeddings).
 *
 * Letters: in and out channels of latents, P the elements of a patch, R rows of modulation, X text
 * tokens, Y image tokens.
 */
#ifndef REEL_MODELS_WAN_DIT_H
#define REEL_MODELS_WAN_DIT_H

#include "nn/module.h"

/* Field names of config.json. C = num_attention_heads * attention_head_dim. */
typedef struct reel_wan_dit_config {
    int64_t patch_size[3]; /* frames, height, width: 1 2 2 */
    int64_t num_attention_heads;
    int64_t attention_head_dim; /* D, even */
    int64_t in_channels, out_channels;
    int64_t text_dim; /* of the text encoder's rows */
    int64_t freq_dim; /* length of the time sinusoid */
    int64_t ffn_dim;
    int64_t num_layers;
    int64_t image_dim; /* of CLIP's rows; 0: no image condition */
    int64_t
        added_kv_proj_dim; /* input of the image keys and values, C when there are any, else 0 */
    bool cross_attn_norm;  /* a layer norm with weights before cross-attention */
    bool qk_norm;          /* "rms_norm_across_heads", or null */
    bool pooled_text;      /* reel's own: levels also know all of a text, see below */
    double eps;
} reel_wan_dit_config;

/* Wan 2.1 T2V 1.3B. */
reel_wan_dit_config reel_wan_dit_config_default(void);

/* Fails with REEL_E_ARG naming the field that is out of range. */
REEL_MUST_USE reel_status reel_wan_dit_config_check(reel_env *env,
                                                    const reel_wan_dit_config *config);

/* A transformer that takes two channels more than it gives is shown where each latent stands: two
 * planes behind the latents, the row and the column of its frame, from -1 to 1 (Liu et al. 2018,
 * "An intriguing failing of convolutional neural networks and the CoordConv solution"). Rotations
 * say only how far apart two tokens are, and out of pure noise nothing tells top from bottom; a
 * small model that has seen tens of thousands of clips, not millions, puts the ground above the
 * sky. */
enum { REEL_WAN_DIT_PLANES = 2 };
bool reel_wan_dit_has_planes(const reel_wan_dit_config *config);
/* Whether it is shown a picture: in channels more than those two, or in rows of CLIP. */
bool reel_wan_dit_takes_picture(const reel_wan_dit_config *config);
/* What stands in a plane at row (or column) i of n: (2 i + 1) / n - 1. */
float reel_wan_dit_plane(int64_t i, int64_t n);

/* With pooled_text the sum of a text's rows, of unit mean square and through two layers, is added
 * to the embeddings of its clip's noise levels, so that it modulates every block, as the pooled
 * projections of Stable Diffusion 3 do (Esser et al. 2024, section 4): what is true of a whole clip
 * (a camera that pans, a thing that goes left) does not have to come through cross-attention alone.
 * Levels then belong to texts: level i to text i n_texts / R. */

/* What a forward takes. A batch of equal clips has one row of T tokens for each; clips of different
 * sizes share a row, one after another, with offsets that keep attention inside each. */
typedef struct reel_wan_dit_input {
    reel_var positions; /* [T,3] i32: frame, row and column of each token of a row */
    reel_var t;         /* [R] f32: noise levels, 0..1000 */
    reel_var map;       /* i32 [B*T]: which level each token has; 0: R divides the tokens evenly */
    reel_var text;      /* [B,X,text_dim]; padding rows are zeros and are attended to, as in Wan */
    reel_var image;     /* [B,Y,image_dim], or 0 without image condition */
    reel_var offsets;   /* i32 [n+1]: packed clips; then B is 1. 0: every row is one clip */
    reel_var text_offsets; /* i32 [n+1]: each packed clip's rows of text; goes with offsets */
    int64_t n_texts;       /* texts of equal length in the rows of text; 0: B. For pooled_text */
    reel_var *middle;      /* if not NULL: becomes what half of the blocks leave, [B,T,C] f32 */
} reel_wan_dit_input;

/* position[3 * i]: frame, row and column of token i of a clip of f x h x w tokens. */
void reel_wan_dit_positions(int64_t f, int64_t h, int64_t w, int32_t *position);

/* Records the model on rows of patches: tokens [B,T,in P] (reel_patchify's order) -> [B,T,P out]
 * f32 (reel_unpatchify's). Fails the tape on misfit. */
reel_var reel_wan_dit_tokens(reel_nn *nn, const reel_wan_dit_config *config, reel_var tokens,
                             const reel_wan_dit_input *input);

/* The same on latents: x [B,in,F,H,W] -> [B,out,F,H,W] f32, without offsets. */
reel_var reel_wan_dit(reel_nn *nn, const reel_wan_dit_config *config, reel_var x,
                      const reel_wan_dit_input *input);

#endif
