/* The published models of the family by name, and small ones for tests. */
#include <stdio.h>
#include <string.h>

#include "zoo/create.h"
#include "zoo/presets.h"

/* What tells one preset from another; everything else is the defaults' of each class. */
typedef struct preset {
    reel_wan_dit_config dit;
    reel_wan_vae_config vae;
    reel_t5_config t5;
    double shift;
    const char *pipeline;
    bool expand_timesteps;
    double boundary_ratio; /* above 0: of two transformers */
    reel_clip_vision_config clip;
    bool has_clip;
} preset;

static preset wan21(void) {
    return (preset){.dit = reel_wan_dit_config_default(),
                    .vae = reel_wan_vae_config_default(),
                    .t5 = reel_t5_config_default(),
                    .shift = 3,
                    .pipeline = "WanPipeline"};
}

static void make_14b(preset *p) {
    p->dit.num_attention_heads = 40;
    p->dit.num_layers = 40;
    p->dit.ffn_dim = 13824;
    p->shift = 5;
}

static void make_i2v_14b(preset *p) {
    make_14b(p);
    p->dit.in_channels = 36; /* noise 16, mask 4, condition 16 */
    p->dit.image_dim = 1280;
    p->dit.added_kv_proj_dim = 5120;
    p->pipeline = "WanImageToVideoPipeline";
    p->clip = reel_clip_vision_config_default();
    p->has_clip = true;
}

/* Wan 2.2's pairs: one transformer for much noise, one for little. */
static void make_t2v_a14b(preset *p) {
    make_14b(p);
    p->shift = 12;
    p->boundary_ratio = 0.875;
}

static void make_i2v_a14b(preset *p) {
    make_14b(p);
    p->dit.in_channels = 36; /* as above, but for CLIP */
    p->pipeline = "WanImageToVideoPipeline";
    p->boundary_ratio = 0.9;
}

/* The statistics of Wan 2.2's 48 latent channels, as its VAE's config.json has them. */
static const float mean_of_48[48] = {
    -0.2289f, -0.0052f, -0.1323f, -0.2339f, -0.2799f, 0.0174f,  0.1838f,  0.1557f,
    -0.1382f, 0.0542f,  0.2813f,  0.0891f,  0.1570f,  -0.0098f, 0.0375f,  -0.1825f,
    -0.2246f, -0.1207f, -0.0698f, 0.5109f,  0.2665f,  -0.2108f, -0.2158f, 0.2502f,
    -0.2055f, -0.0322f, 0.1109f,  0.1567f,  -0.0729f, 0.0899f,  -0.2799f, -0.1230f,
    -0.0313f, -0.1649f, 0.0117f,  0.0723f,  -0.2839f, -0.2083f, -0.0520f, 0.3748f,
    0.0152f,  0.1957f,  0.1433f,  -0.2944f, 0.3573f,  -0.0548f, -0.1681f, -0.0667f};
static const float std_of_48[48] = {
    0.4765f, 1.0364f, 0.4514f, 1.1677f, 0.5313f, 0.4990f, 0.4818f, 0.5013f, 0.8158f, 1.0344f,
    0.5894f, 1.0901f, 0.6885f, 0.6165f, 0.8454f, 0.4978f, 0.5759f, 0.3523f, 0.7135f, 0.6804f,
    0.5833f, 1.4146f, 0.8986f, 0.5659f, 0.7069f, 0.5338f, 0.4889f, 0.4917f, 0.4069f, 0.4999f,
    0.6866f, 0.4093f, 0.5709f, 0.6065f, 0.6415f, 0.4944f, 0.5726f, 1.2042f, 0.5458f, 1.6887f,
    0.3971f, 1.0600f, 0.3943f, 0.5537f, 0.5444f, 0.4089f, 0.7468f, 0.7744f};

reel_wan_vae_config reel_wan22_vae_config(void) {
    reel_wan_vae_config c = reel_wan_vae_config_default();
    c.base_dim = 160;
    c.decoder_base_dim = 256;
    c.z_dim = 48;
    c.is_residual = true;
    c.in_channels = c.out_channels = 12;
    c.patch_size = 2;
    c.scale_factor_spatial = 16;
    memcpy(c.latents_mean, mean_of_48, sizeof mean_of_48);
    memcpy(c.latents_std, std_of_48, sizeof std_of_48);
    return c;
}

static void make_ti2v_5b(preset *p) {
    p->dit.num_attention_heads = 24;
    p->dit.num_layers = 30;
    p->dit.ffn_dim = 14336;
    p->dit.in_channels = p->dit.out_channels = 48;
    p->vae = reel_wan22_vae_config();
    p->shift = 5;
    p->expand_timesteps = true;
}

/* A few hundred kilobytes with every part of the real one. vocab_size is that of byte fallback and
 * a little more: a tokenizer trained to that size fits. */
static void make_tiny(preset *p) {
    p->dit.num_attention_heads = 2;
    p->dit.attention_head_dim = 12;
    p->dit.num_layers = 2;
    p->dit.ffn_dim = 56;
    p->dit.freq_dim = 32;
    p->dit.text_dim = 24;
    p->dit.in_channels = p->dit.out_channels = 4;
    p->vae.base_dim = 4;
    p->vae.z_dim = 4;
    for (int i = 0; i < 4; i++) {
        p->vae.latents_mean[i] = 0;
        p->vae.latents_std[i] = 1;
    }
    p->t5.vocab_size = 512;
    p->t5.d_model = 24;
    p->t5.d_kv = 8;
    p->t5.d_ff = 40;
    p->t5.num_heads = 3;
    p->t5.num_layers = 2;
}

static void make_tiny_5b(preset *p) {
    make_tiny(p);
    p->vae.is_residual = true;
    p->vae.decoder_base_dim = 4;
    p->vae.in_channels = p->vae.out_channels = 12;
    p->vae.patch_size = 2;
    p->vae.scale_factor_spatial = 16;
    p->expand_timesteps = true;
}

/* Channels for a known first frame: 4 for which frames of a latent are known, and its latents. */
static void make_tiny_i2v(preset *p) {
    make_tiny(p);
    p->dit.in_channels = 12;
    p->dit.image_dim = 24;
    p->dit.added_kv_proj_dim = 24;
    p->pipeline = "WanImageToVideoPipeline";
    p->clip = (reel_clip_vision_config){.hidden_size = 24,
                                        .intermediate_size = 96,
                                        .num_hidden_layers = 3,
                                        .num_attention_heads = 3,
                                        .image_size = 28,
                                        .patch_size = 7,
                                        .layer_norm_eps = 1e-5};
    p->has_clip = true;
}

static void make_tiny_pair(preset *p) {
    make_tiny(p);
    p->boundary_ratio = 0.875;
}

static void make_tiny_i2v_pair(preset *p) {
    make_tiny(p);
    p->dit.in_channels = 12;
    p->pipeline = "WanImageToVideoPipeline";
    p->boundary_ratio = 0.9;
}

static void make_1b(preset *p) {
    (void)p; /* the defaults */
}

static const char *const names[] = {"wan2.1-t2v-1.3b", "wan2.1-t2v-14b",    "wan2.1-i2v-14b",
                                    "wan2.2-t2v-a14b", "wan2.2-i2v-a14b",   "wan2.2-ti2v-5b",
                                    "wan-tiny",        "wan-tiny-ti2v",     "wan-tiny-i2v",
                                    "wan-tiny-pair",   "wan-tiny-i2v-pair", NULL};
static void (*const make[])(preset *) = {
    make_1b,   make_14b,     make_i2v_14b,  make_t2v_a14b,  make_i2v_a14b,     make_ti2v_5b,
    make_tiny, make_tiny_5b, make_tiny_i2v, make_tiny_pair, make_tiny_i2v_pair};

const char *const *reel_presets(void) {
    return names;
}

static reel_status unknown(reel_env *env, const char *name) {
    char list[240] = "";
    for (int i = 0; names[i]; i++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    return reel_fail(env, REEL_E_ARG, "got the model '%.80s', wanted a folder or one of %s", name,
                     list);
}

reel_status reel_blueprint_preset(reel_env *env, const char *name, reel_blueprint *blueprint) {
    int i = 0;
    while (names[i] && strcmp(names[i], name) != 0)
        i++;
    if (!names[i]) return unknown(env, name);
    preset p = wan21();
    make[i](&p);
    reel_blueprint b = {.scheduler = reel_scheduler_config_default()};
    b.scheduler.shift = p.shift;
    b.index.expand_timesteps = p.expand_timesteps;
    snprintf(b.index.pipeline, sizeof b.index.pipeline, "%s", p.pipeline);
    for (int kind = 0; kind < REEL_COMPONENT_COUNT; kind++) {
        b.has[kind] = true;
        b.config[kind].kind = (reel_component_kind)kind;
    }
    b.has[REEL_COMPONENT_TRANSFORMER_2] = p.boundary_ratio > 0;
    b.index.boundary_ratio = p.boundary_ratio;
    b.has[REEL_COMPONENT_IMAGE_ENCODER] = p.has_clip;
    b.config[REEL_COMPONENT_TRANSFORMER].transformer = p.dit;
    b.config[REEL_COMPONENT_TRANSFORMER_2].transformer = p.dit;
    b.config[REEL_COMPONENT_IMAGE_ENCODER].image_encoder = p.clip;
    b.config[REEL_COMPONENT_VAE].vae = p.vae;
    b.config[REEL_COMPONENT_TEXT_ENCODER].text_encoder = p.t5;
    *blueprint = b;
    return REEL_OK;
}
