#include "zoo/config.h"

#include <string.h>

#include "base/env.h"
#include "zoo/fields.h"

static const char *const kind_name[REEL_COMPONENT_COUNT] = {
    [REEL_COMPONENT_TRANSFORMER] = "transformer",
    [REEL_COMPONENT_VAE] = "vae",
    [REEL_COMPONENT_TEXT_ENCODER] = "text_encoder",
    [REEL_COMPONENT_TRANSFORMER_2] = "transformer_2",
    [REEL_COMPONENT_IMAGE_ENCODER] = "image_encoder",
};

const char *reel_component_name(reel_component_kind kind) {
    return kind_name[kind];
}

reel_component_kind reel_component_parse(const char *name) {
    int kind = 0;
    while (kind < REEL_COMPONENT_COUNT && strcmp(kind_name[kind], name) != 0)
        kind++;
    return (reel_component_kind)kind;
}

bool reel_component_is_transformer(reel_component_kind kind) {
    return kind == REEL_COMPONENT_TRANSFORMER || kind == REEL_COMPONENT_TRANSFORMER_2;
}

const char *reel_component_class(const reel_component_config *config) {
    switch (config->kind) {
    case REEL_COMPONENT_TRANSFORMER:
    case REEL_COMPONENT_TRANSFORMER_2:
        return "WanTransformer3DModel";
    case REEL_COMPONENT_VAE:
        return "AutoencoderKLWan";
    case REEL_COMPONENT_IMAGE_ENCODER:
        return "CLIPVisionModel";
    default:
        return config->text_encoder.shared_bias ? "T5EncoderModel" : "UMT5EncoderModel";
    }
}

/* ---- the transformer ---- */

/* The class's own defaults, which a config may leave out: those of the 14B model. */
static const reel_wan_dit_config wan_defaults = {.patch_size = {1, 2, 2},
                                                 .num_attention_heads = 40,
                                                 .attention_head_dim = 128,
                                                 .in_channels = 16,
                                                 .out_channels = 16,
                                                 .text_dim = 4096,
                                                 .freq_dim = 256,
                                                 .ffn_dim = 13824,
                                                 .num_layers = 40,
                                                 .cross_attn_norm = true,
                                                 .qk_norm = true,
                                                 .eps = 1e-6};

enum { MOST = 1 << 24 }; /* of any size in a config; the models' own checks are narrower */

static void read_patch_size(reel_fields *f, reel_wan_dit_config *c) {
    int64_t n = 3;
    reel_field_ints(f, "patch_size", 1, 64, c->patch_size, 3, &n);
    if (f->status == REEL_OK && n != 3)
        f->status = reel_json_fail(f->at, REEL_E_FORMAT,
                                   "patch_size: wanted frames, height and width, got %lld numbers",
                                   (long long)n);
}

static reel_status read_transformer(const reel_json *at, reel_wan_dit_config *c) {
    static const char *const qk_norm[] = {"rms_norm_across_heads"};
    static const char *const harmless[] = {"rope_max_seq_len", "dtype", "torch_dtype", NULL};
    *c = wan_defaults;
    reel_fields f = reel_fields_begin(at);
    int norm = 0;
    read_patch_size(&f, c);
    reel_field_int(&f, "num_attention_heads", 1, MOST, &c->num_attention_heads);
    reel_field_int(&f, "attention_head_dim", 1, MOST, &c->attention_head_dim);
    reel_field_int(&f, "in_channels", 1, MOST, &c->in_channels);
    reel_field_int_or_null(&f, "out_channels", 1, MOST, &c->out_channels);
    reel_field_int(&f, "text_dim", 1, MOST, &c->text_dim);
    reel_field_int(&f, "freq_dim", 1, MOST, &c->freq_dim);
    reel_field_int(&f, "ffn_dim", 1, MOST, &c->ffn_dim);
    reel_field_int(&f, "num_layers", 1, MOST, &c->num_layers);
    reel_field_int_or_null(&f, "image_dim", 1, MOST, &c->image_dim);
    reel_field_int_or_null(&f, "added_kv_proj_dim", 1, MOST, &c->added_kv_proj_dim);
    reel_field_bool(&f, "cross_attn_norm", &c->cross_attn_norm);
    reel_field_bool(&f, "pooled_text", &c->pooled_text);
    reel_field_real(&f, "eps", 0, 1, &c->eps);
    reel_field_absent(&f, "pos_embed_seq_len", "learned positions of image embeddings");
    reel_fields_harmless(&f, harmless);
    if (reel_json_is_null(at, "qk_norm")) {
        c->qk_norm = false;
        reel_fields_harmless(&f, (const char *const[]){"qk_norm", NULL});
    } else {
        reel_field_word(&f, "qk_norm", qk_norm, 1, &norm);
    }
    if (!c->out_channels) c->out_channels = c->in_channels;
    return reel_fields_end(&f);
}

/* Wan's own repository: WanModel. image_dim is not in its config: component.c finds it in the
 * weights, where the image-conditioned variant has its embedding. */
static reel_status read_original(const reel_json *at, reel_wan_dit_config *c) {
    static const char *const type[] = {"t2v", "i2v", "ti2v"};
    static const char *const harmless[] = {"text_len", NULL};
    *c = wan_defaults;
    reel_fields f = reel_fields_begin(at);
    int64_t dim = 2048, heads = 16, size[2] = {-1, -1}, n = 2;
    c->ffn_dim = 8192;
    c->num_layers = 32;
    int variant = 0;
    read_patch_size(&f, c);
    reel_field_word(&f, "model_type", type, 3, &variant);
    reel_field_int(&f, "dim", 1, MOST, &dim);
    reel_field_int(&f, "num_heads", 1, MOST, &heads);
    reel_field_int(&f, "in_dim", 1, MOST, &c->in_channels);
    reel_field_int(&f, "out_dim", 1, MOST, &c->out_channels);
    reel_field_int(&f, "text_dim", 1, MOST, &c->text_dim);
    reel_field_int(&f, "freq_dim", 1, MOST, &c->freq_dim);
    reel_field_int(&f, "ffn_dim", 1, MOST, &c->ffn_dim);
    reel_field_int(&f, "num_layers", 1, MOST, &c->num_layers);
    reel_field_bool(&f, "qk_norm", &c->qk_norm);
    reel_field_bool(&f, "cross_attn_norm", &c->cross_attn_norm);
    reel_field_real(&f, "eps", 0, 1, &c->eps);
    reel_field_ints(&f, "window_size", -1, MOST, size, 2, &n);
    reel_fields_harmless(&f, harmless);
    if (f.status == REEL_OK && (size[0] != -1 || size[1] != -1))
        f.status = reel_json_fail(at, REEL_E_UNSUPPORTED,
                                  "window_size: reel does not compute windowed attention");
    if (f.status == REEL_OK && dim % heads)
        f.status = reel_json_fail(at, REEL_E_FORMAT, "dim %lld is no multiple of num_heads %lld",
                                  (long long)dim, (long long)heads);
    c->num_attention_heads = heads;
    c->attention_head_dim = dim / heads;
    return reel_fields_end(&f);
}

static void write_transformer(reel_json_out *out, const reel_wan_dit_config *c) {
    const struct {
        const char *name;
        int64_t value;
        bool or_null;
    } field[] = {
        {"added_kv_proj_dim", c->added_kv_proj_dim, true},
        {"attention_head_dim", c->attention_head_dim, false},
        {"ffn_dim", c->ffn_dim, false},
        {"freq_dim", c->freq_dim, false},
        {"image_dim", c->image_dim, true},
        {"in_channels", c->in_channels, false},
        {"num_attention_heads", c->num_attention_heads, false},
        {"num_layers", c->num_layers, false},
        {"out_channels", c->out_channels, false},
        {"rope_max_seq_len", 1024, false},
        {"text_dim", c->text_dim, false},
    };
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        reel_json_out_key(out, field[i].name);
        if (field[i].or_null && !field[i].value)
            reel_json_out_null(out);
        else
            reel_json_out_int(out, field[i].value);
    }
    reel_json_out_key(out, "cross_attn_norm");
    reel_json_out_bool(out, c->cross_attn_norm);
    reel_json_out_key(out, "eps");
    reel_json_out_real(out, c->eps);
    reel_json_out_key(out, "patch_size");
    reel_json_out_array_begin(out);
    for (int i = 0; i < 3; i++)
        reel_json_out_int(out, c->patch_size[i]);
    reel_json_out_end(out);
    if (c->pooled_text) { /* no field of the class in diffusers */
        reel_json_out_key(out, "pooled_text");
        reel_json_out_bool(out, true);
    }
    reel_json_out_key(out, "qk_norm");
    if (c->qk_norm)
        reel_json_out_string(out, "rms_norm_across_heads");
    else
        reel_json_out_null(out);
}

/* ---- the video autoencoder ---- */

/* Reads latents_mean or latents_std, whose length has to be z_dim when it is given. */
static void read_statistics(reel_fields *f, const char *key, int64_t z_dim, float *out) {
    double given[REEL_WAN_VAE_CHANNELS];
    int64_t n = -1;
    reel_field_reals(f, key, given, REEL_WAN_VAE_CHANNELS, &n);
    if (f->status != REEL_OK || n < 0) return;
    if (n != z_dim)
        f->status = reel_json_fail(f->at, REEL_E_FORMAT,
                                   "%s: wanted one number for each of z_dim %lld channels, got "
                                   "%lld",
                                   key, (long long)z_dim, (long long)n);
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)given[i];
}

/* A config that says nothing of the statistics has Wan 2.1's when it has their 16 channels. */
static void default_statistics(reel_wan_vae_config *c) {
    for (int64_t i = 0; i < c->z_dim && c->z_dim != 16; i++) {
        c->latents_mean[i] = 0;
        c->latents_std[i] = 1;
    }
}

static void read_levels(reel_fields *f, reel_wan_vae_config *c) {
    int64_t n = c->n_levels, n_between = c->n_levels - 1;
    reel_field_ints(f, "dim_mult", 1, MOST, c->dim_mult, REEL_WAN_VAE_LEVELS, &n);
    reel_field_bools(f, "temperal_downsample", c->temperal_downsample, REEL_WAN_VAE_LEVELS - 1,
                     &n_between);
    if (f->status == REEL_OK && (n < 1 || n_between != n - 1))
        f->status =
            reel_json_fail(f->at, REEL_E_FORMAT,
                           "temperal_downsample: wanted one entry between two of dim_mult's "
                           "%lld, got %lld",
                           (long long)n, (long long)n_between);
    c->n_levels = n;
}

static reel_status read_vae(const reel_json *at, reel_wan_vae_config *c) {
    static const char *const class[] = {"AutoencoderKLWan"};
    static const char *const harmless[] = {"dropout", "clip_output", NULL};
    int only;
    *c = reel_wan_vae_config_default();
    c->scale_factor_temporal = c->scale_factor_spatial = 0;
    c->patch_size = 0;
    reel_fields f = reel_fields_begin(at);
    reel_field_word(&f, "_class_name", class, 1, &only);
    reel_field_int(&f, "base_dim", 1, MOST, &c->base_dim);
    reel_field_int_or_null(&f, "decoder_base_dim", 1, MOST, &c->decoder_base_dim);
    reel_field_int(&f, "z_dim", 1, REEL_WAN_VAE_CHANNELS, &c->z_dim);
    read_levels(&f, c);
    reel_field_int(&f, "num_res_blocks", 1, MOST, &c->num_res_blocks);
    reel_field_bool(&f, "is_residual", &c->is_residual);
    reel_field_bool(&f, "linear_path", &c->linear_path);
    reel_field_int(&f, "in_channels", 1, MOST, &c->in_channels);
    reel_field_int(&f, "out_channels", 1, MOST, &c->out_channels);
    reel_field_int_or_null(&f, "patch_size", 1, MOST, &c->patch_size);
    reel_field_int_or_null(&f, "scale_factor_temporal", 1, MOST, &c->scale_factor_temporal);
    reel_field_int_or_null(&f, "scale_factor_spatial", 1, MOST, &c->scale_factor_spatial);
    default_statistics(c);
    read_statistics(&f, "latents_mean", c->z_dim, c->latents_mean);
    read_statistics(&f, "latents_std", c->z_dim, c->latents_std);
    reel_field_absent(&f, "attn_scales", "attention between the levels of the autoencoder");
    reel_fields_harmless(&f, harmless);
    if (!c->patch_size) c->patch_size = 1;
    return reel_fields_end(&f);
}

static void write_reals(reel_json_out *out, const char *key, const float *x, int64_t n) {
    reel_json_out_key(out, key);
    reel_json_out_array_begin(out);
    for (int64_t i = 0; i < n; i++)
        reel_json_out_f32(out, x[i]);
    reel_json_out_end(out);
}

static void write_vae(reel_json_out *out, const reel_wan_vae_config *c) {
    const struct {
        const char *name;
        int64_t value, none; /* written as null when it is that */
    } field[] = {
        {"base_dim", c->base_dim, 0},
        {"decoder_base_dim", c->decoder_base_dim, 0},
        {"in_channels", c->in_channels, 0},
        {"num_res_blocks", c->num_res_blocks, 0},
        {"out_channels", c->out_channels, 0},
        {"patch_size", c->patch_size, 1},
        {"scale_factor_spatial", reel_wan_vae_factor_s(c), 0},
        {"scale_factor_temporal", reel_wan_vae_factor_t(c), 0},
        {"z_dim", c->z_dim, 0},
    };
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        reel_json_out_key(out, field[i].name);
        if (field[i].value == field[i].none)
            reel_json_out_null(out);
        else
            reel_json_out_int(out, field[i].value);
    }
    reel_json_out_key(out, "attn_scales");
    reel_json_out_array_begin(out);
    reel_json_out_end(out);
    reel_json_out_key(out, "dim_mult");
    reel_json_out_array_begin(out);
    for (int64_t i = 0; i < c->n_levels; i++)
        reel_json_out_int(out, c->dim_mult[i]);
    reel_json_out_end(out);
    reel_json_out_key(out, "temperal_downsample");
    reel_json_out_array_begin(out);
    for (int64_t i = 0; i + 1 < c->n_levels; i++)
        reel_json_out_bool(out, c->temperal_downsample[i]);
    reel_json_out_end(out);
    reel_json_out_key(out, "dropout");
    reel_json_out_real(out, 0);
    reel_json_out_key(out, "is_residual");
    reel_json_out_bool(out, c->is_residual);
    if (c->linear_path) { /* diffusers does not know it */
        reel_json_out_key(out, "linear_path");
        reel_json_out_bool(out, true);
    }
    write_reals(out, "latents_mean", c->latents_mean, c->z_dim);
    write_reals(out, "latents_std", c->latents_std, c->z_dim);
}

/* ---- the text encoder ---- */

static reel_status read_text_encoder(const reel_json *at, reel_t5_config *c) {
    static const char *const type[] = {"umt5", "t5"};
    static const char *const proj[] = {"gated-gelu"};
    static const char *const act[] = {"gelu_new"};
    static const char *const yes[] = {"architectures",
                                      "classifier_dropout",
                                      "decoder_start_token_id",
                                      "dropout_rate",
                                      "dtype",
                                      "eos_token_id",
                                      "gradient_checkpointing",
                                      "initializer_factor",
                                      "is_encoder_decoder",
                                      "n_positions",
                                      "num_decoder_layers",
                                      "output_past",
                                      "pad_token_id",
                                      "scalable_attention",
                                      "task_specific_params",
                                      "tie_encoder_decoder",
                                      "tie_word_embeddings",
                                      "tokenizer_class",
                                      "torch_dtype",
                                      "transformers_version",
                                      "use_cache",
                                      NULL};
    *c = reel_t5_config_default();
    reel_fields f = reel_fields_begin(at);
    int variant = 0, word = 0;
    bool gated = true;
    if (f.status == REEL_OK) f.status = reel_json_choice(at, "model_type", type, 2, &variant);
    reel_field_word(&f, "model_type", type, 2, &variant);
    reel_field_word(&f, "feed_forward_proj", proj, 1, &word);
    reel_field_word(&f, "dense_act_fn", act, 1, &word);
    reel_field_bool(&f, "is_gated_act", &gated);
    reel_field_int(&f, "vocab_size", 1, MOST, &c->vocab_size);
    reel_field_int(&f, "d_model", 1, MOST, &c->d_model);
    reel_field_int(&f, "d_kv", 1, MOST, &c->d_kv);
    reel_field_int(&f, "d_ff", 1, MOST, &c->d_ff);
    reel_field_int(&f, "num_heads", 1, MOST, &c->num_heads);
    reel_field_int(&f, "num_layers", 1, MOST, &c->num_layers);
    reel_field_int(&f, "relative_attention_num_buckets", 1, MOST,
                   &c->relative_attention_num_buckets);
    reel_field_int(&f, "relative_attention_max_distance", 1, MOST,
                   &c->relative_attention_max_distance);
    reel_field_real(&f, "layer_norm_epsilon", 0, 1, &c->layer_norm_epsilon);
    reel_fields_harmless(&f, yes);
    if (f.status == REEL_OK && !gated)
        f.status = reel_json_fail(at, REEL_E_UNSUPPORTED,
                                  "is_gated_act: reel does not compute an mlp without a gate");
    c->shared_bias = variant == 1;
    return reel_fields_end(&f);
}

static void write_text_encoder(reel_json_out *out, const reel_t5_config *c, reel_dtype weights) {
    const struct {
        const char *name;
        int64_t value;
    } field[] = {
        {"d_ff", c->d_ff},
        {"d_kv", c->d_kv},
        {"d_model", c->d_model},
        {"decoder_start_token_id", 0},
        {"eos_token_id", 1},
        {"num_decoder_layers", c->num_layers},
        {"num_heads", c->num_heads},
        {"num_layers", c->num_layers},
        {"pad_token_id", 0},
        {"relative_attention_max_distance", c->relative_attention_max_distance},
        {"relative_attention_num_buckets", c->relative_attention_num_buckets},
        {"vocab_size", c->vocab_size},
    };
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        reel_json_out_key(out, field[i].name);
        reel_json_out_int(out, field[i].value);
    }
    const struct {
        const char *name, *value;
    } word[] = {
        {"dense_act_fn", "gelu_new"},
        {"feed_forward_proj", "gated-gelu"},
        {"model_type", c->shared_bias ? "t5" : "umt5"},
        {"torch_dtype", weights == REEL_BF16 ? "bfloat16" : "float32"},
    };
    for (size_t i = 0; i < sizeof word / sizeof *word; i++) {
        reel_json_out_key(out, word[i].name);
        reel_json_out_string(out, word[i].value);
    }
    reel_json_out_key(out, "is_gated_act");
    reel_json_out_bool(out, true);
    reel_json_out_key(out, "layer_norm_epsilon");
    reel_json_out_real(out, c->layer_norm_epsilon);
}

/* ---- the image encoder ---- */

static reel_status read_image_encoder(const reel_json *at, reel_clip_vision_config *c) {
    static const char *const type[] = {"clip_vision_model"};
    static const char *const act[] = {"gelu"};
    static const char *const harmless[] = {"architectures",
                                           "attention_dropout",
                                           "dropout",
                                           "dtype",
                                           "initializer_factor",
                                           "initializer_range",
                                           "projection_dim",
                                           "torch_dtype",
                                           "transformers_version",
                                           NULL};
    /* the class's own defaults are those of ViT-B/32 */
    *c = (reel_clip_vision_config){768, 3072, 12, 12, 224, 32, 1e-5, false};
    reel_fields f = reel_fields_begin(at);
    int word = 0;
    int64_t channels = 3;
    if (f.status == REEL_OK) f.status = reel_json_choice(at, "model_type", type, 1, &word);
    if (f.status == REEL_OK) f.status = reel_json_choice(at, "hidden_act", act, 1, &word);
    reel_field_word(&f, "model_type", type, 1, &word);
    reel_field_word(&f, "hidden_act", act, 1, &word); /* not "quick_gelu", the class's default */
    reel_field_int(&f, "hidden_size", 1, MOST, &c->hidden_size);
    reel_field_int(&f, "intermediate_size", 1, MOST, &c->intermediate_size);
    reel_field_int(&f, "num_hidden_layers", 1, MOST, &c->num_hidden_layers);
    reel_field_int(&f, "num_attention_heads", 1, MOST, &c->num_attention_heads);
    reel_field_int(&f, "image_size", 1, MOST, &c->image_size);
    reel_field_int(&f, "patch_size", 1, MOST, &c->patch_size);
    reel_field_int(&f, "num_channels", 3, 3, &channels);
    reel_field_real(&f, "layer_norm_eps", 0, 1, &c->layer_norm_eps);
    reel_fields_harmless(&f, harmless);
    return reel_fields_end(&f);
}

static void write_image_encoder(reel_json_out *out, const reel_clip_vision_config *c,
                                reel_dtype weights) {
    const struct {
        const char *name;
        int64_t value;
    } field[] = {
        {"hidden_size", c->hidden_size},
        {"image_size", c->image_size},
        {"intermediate_size", c->intermediate_size},
        {"num_attention_heads", c->num_attention_heads},
        {"num_channels", 3},
        {"num_hidden_layers", c->num_hidden_layers},
        {"patch_size", c->patch_size},
    };
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        reel_json_out_key(out, field[i].name);
        reel_json_out_int(out, field[i].value);
    }
    reel_json_out_key(out, "hidden_act");
    reel_json_out_string(out, "gelu");
    reel_json_out_key(out, "model_type");
    reel_json_out_string(out, "clip_vision_model");
    reel_json_out_key(out, "torch_dtype");
    reel_json_out_string(out, weights == REEL_BF16 ? "bfloat16" : "float32");
    reel_json_out_key(out, "layer_norm_eps");
    reel_json_out_real(out, c->layer_norm_eps);
}

/* ---- any component ---- */

static reel_status check(reel_env *env, const reel_component_config *config) {
    switch (config->kind) {
    case REEL_COMPONENT_TRANSFORMER:
    case REEL_COMPONENT_TRANSFORMER_2:
        return reel_wan_dit_config_check(env, &config->transformer);
    case REEL_COMPONENT_VAE:
        return reel_wan_vae_config_check(env, &config->vae);
    case REEL_COMPONENT_IMAGE_ENCODER:
        return reel_clip_vision_config_check(env, &config->image_encoder);
    default:
        return reel_t5_config_check(env, &config->text_encoder);
    }
}

static reel_status read_wan(const reel_json *at, reel_component_config *c) {
    static const char *const classes[] = {"WanTransformer3DModel", "WanModel"};
    int class = 0;
    const reel_status status = reel_json_choice(at, "_class_name", classes, 2, &class);
    if (status != REEL_OK) return status;
    c->original = class == 1;
    return c->original ? read_original(at, &c->transformer) : read_transformer(at, &c->transformer);
}

reel_status reel_component_config_read(const reel_json *at, reel_component_kind kind,
                                       reel_component_config *config) {
    reel_component_config c = {.kind = kind};
    reel_status status;
    switch (kind) {
    case REEL_COMPONENT_TRANSFORMER:
    case REEL_COMPONENT_TRANSFORMER_2:
        status = read_wan(at, &c);
        break;
    case REEL_COMPONENT_IMAGE_ENCODER:
        status = read_image_encoder(at, &c.image_encoder);
        break;
    case REEL_COMPONENT_VAE:
        status = read_vae(at, &c.vae);
        break;
    default:
        status = read_text_encoder(at, &c.text_encoder);
    }
    if (status != REEL_OK) return status;
    reel_env *env = reel_json_env(at);
    status = check(env, &c);
    if (status != REEL_OK) {
        reel_fail_within(env, "%s", reel_json_name(at));
        return status;
    }
    *config = c;
    return REEL_OK;
}

void reel_component_config_write(reel_json_out *out, const reel_component_config *config,
                                 reel_dtype weights) {
    reel_json_out_object_begin(out);
    const bool image = config->kind == REEL_COMPONENT_IMAGE_ENCODER;
    if (config->kind == REEL_COMPONENT_TEXT_ENCODER || image) {
        reel_json_out_key(out, "architectures");
        reel_json_out_array_begin(out);
        reel_json_out_string(out, reel_component_class(config));
        reel_json_out_end(out);
        if (image)
            write_image_encoder(out, &config->image_encoder, weights);
        else
            write_text_encoder(out, &config->text_encoder, weights);
    } else {
        reel_json_out_key(out, "_class_name");
        reel_json_out_string(out, reel_component_class(config));
        if (config->kind == REEL_COMPONENT_VAE)
            write_vae(out, &config->vae);
        else
            write_transformer(out, &config->transformer);
    }
    reel_json_out_end(out);
}
