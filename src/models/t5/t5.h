/* The T5 encoder: text in, one vector for each token out.
 *
 * Raffel et al. 2019, in the v1.1 form (gated GELU, no biases): T5 v1.1 shares one relative
 * position bias among all layers, UMT5 (Chung et al. 2023), which Wan reads its prompts with, has
 * one in each. Parameter names are transformers' (UMT5EncoderModel, T5EncoderModel).
 */
#ifndef REEL_MODELS_T5_T5_H
#define REEL_MODELS_T5_T5_H

#include "nn/module.h"

/* Field names of transformers' config.json. */
typedef struct reel_t5_config {
    int64_t vocab_size;
    int64_t d_model;   /* C */
    int64_t d_kv;      /* D, of one head */
    int64_t d_ff;      /* width of the mlp */
    int64_t num_heads; /* N; N D need not be C */
    int64_t num_layers;
    int64_t relative_attention_num_buckets;  /* 32 */
    int64_t relative_attention_max_distance; /* 128 */
    double layer_norm_epsilon;               /* 1e-6 */
    bool shared_bias;                        /* T5: layer 0's bias serves all; UMT5: false */
} reel_t5_config;

/* umt5-xxl, Wan's text encoder. */
reel_t5_config reel_t5_config_default(void);

/* Fails with REEL_E_ARG naming the field that is out of range. */
REEL_MUST_USE reel_status reel_t5_config_check(reel_env *env, const reel_t5_config *config);

/* What a forward takes. */
typedef struct reel_t5_input {
    reel_var ids;      /* [B,T] i32 or i64, each below vocab_size */
    reel_var buckets;  /* [T,T] i32, as reel_t5_buckets makes them */
    reel_var key_mask; /* u8 [B,T]: 1 for tokens, 0 for padding, which nobody attends to; or 0 */
} reel_t5_input;

/* bucket[q * T + k]: the bucket of the distance k - q, T5 paper section 2.1: half of the buckets
 * for either direction, exact up to a quarter, then logarithmic up to max_distance. [T,T]. */
void reel_t5_buckets(const reel_t5_config *config, int64_t T, int32_t *bucket);

/* Records the encoder -> [B,T,C] f32. Rows of padding are computed and mean nothing. Fails the tape
 * on misfit. */
reel_var reel_t5(reel_nn *nn, const reel_t5_config *config, const reel_t5_input *input);

#endif
