/* The published models of the family by name, and small ones for tests. */
#include <stdio.h>
#include <string.h>

#include "zoo/create.h"

/* What tells one preset from another; everything else is the defaults' of each class. */
typedef struct preset {
    reel_wan_dit_config dit;
    reel_wan_vae_config vae;
    reel_t5_config t5;
    double shift;
    const char *pipeline;
    bool expand_timesteps;
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
}

/* The latent statistics of the 2.2 autoencoder are not among the reference data here: a random
 * model has no use for them, so that means are 0 and deviations 1. */
static void make_ti2v_5b(preset *p) {
    p->dit.num_attention_heads = 24;
    p->dit.num_layers = 30;
    p->dit.ffn_dim = 14336;
    p->dit.in_channels = p->dit.out_channels = 48;
    p->vae.base_dim = 160;
    p->vae.decoder_base_dim = 256;
    p->vae.z_dim = 48;
    p->vae.is_residual = true;
    p->vae.in_channels = p->vae.out_channels = 12;
    p->vae.patch_size = 2;
    p->vae.scale_factor_spatial = 16;
    for (int i = 0; i < 48; i++) {
        p->vae.latents_mean[i] = 0;
        p->vae.latents_std[i] = 1;
    }
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

static void make_1b(preset *p) {
    (void)p; /* the defaults */
}

static const char *const names[] = {"wan2.1-t2v-1.3b",
                                    "wan2.1-t2v-14b",
                                    "wan2.1-i2v-14b",
                                    "wan2.2-ti2v-5b",
                                    "wan-tiny",
                                    "wan-tiny-ti2v",
                                    NULL};
static void (*const make[])(preset *) = {make_1b,      make_14b,  make_i2v_14b,
                                         make_ti2v_5b, make_tiny, make_tiny_5b};

const char *const *reel_presets(void) {
    return names;
}

static reel_status unknown(reel_env *env, const char *name) {
    char list[160] = "";
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
    b.config[REEL_COMPONENT_TRANSFORMER].transformer = p.dit;
    b.config[REEL_COMPONENT_VAE].vae = p.vae;
    b.config[REEL_COMPONENT_TEXT_ENCODER].text_encoder = p.t5;
    *blueprint = b;
    return REEL_OK;
}
