#include "train/encoder.h"

#include <stdio.h>

#include "base/json.h"
#include "ops/concat.h"
#include "tape/plan.h"

static const char tag[] = "encoder";
enum { PATH_BYTES = 4096 };

struct reel_clip_encoder {
    reel_env *env;
    const reel_kernel_table *table;
    reel_component *component;
    reel_dtype compute;
    reel_tape *tape;
    reel_plan *plan; /* of clips of `size`; one size follows another in long runs */
    reel_bucket size;
    float *x;
    reel_var mean;
    char key[17];
};

/* FNV-1a over bytes. */
static uint64_t hash(uint64_t h, const void *data, int64_t bytes) {
    const unsigned char *p = data;
    for (int64_t i = 0; i < bytes; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static void make_key(reel_clip_encoder *e) {
    const reel_wan_vae_config *c = &e->component->config.vae;
    uint64_t h = 0xcbf29ce484222325u;
    h = hash(h, c->latents_mean, c->z_dim * (int64_t)sizeof(float));
    h = hash(h, c->latents_std, c->z_dim * (int64_t)sizeof(float));
    for (int i = 0; i < reel_params_count(e->component->params); i++) {
        const reel_param *p = reel_params_at(e->component->params, i);
        h = hash(h, p->data, reel_shape_count(&p->shape) * reel_dtype_bytes(p->dtype));
    }
    snprintf(e->key, sizeof e->key, "%016llx", (unsigned long long)h);
}

static reel_status open_component(reel_env *env, const char *folder, reel_component **component) {
    char path[PATH_BYTES];
    reel_json_doc *doc;
    reel_component_config config;
    snprintf(path, sizeof path, "%s/vae/config.json", folder);
    reel_status status = reel_json_load(env, path, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    status = reel_component_config_read(&root, REEL_COMPONENT_VAE, &config);
    reel_json_free(&doc);
    snprintf(path, sizeof path, "%s/vae/diffusion_pytorch_model.safetensors", folder);
    return status == REEL_OK
               ? reel_component_open(env, &config, path, REEL_WEIGHTS_STORED, component)
               : status;
}

reel_status reel_clip_encoder_open(reel_env *env, const reel_kernel_table *table,
                                   const char *folder, reel_dtype compute,
                                   reel_clip_encoder **encoder) {
    reel_clip_encoder *e = reel_calloc(env, 1, sizeof *e, tag);
    if (!e) return REEL_E_NOMEM;
    *e = (reel_clip_encoder){.env = env, .table = table, .compute = compute};
    reel_status status = open_component(env, folder, &e->component);
    if (status == REEL_OK) status = reel_ops_tape_new(env, &e->tape);
    if (status != REEL_OK) {
        reel_clip_encoder_close(&e);
        return status;
    }
    for (int i = 0; i < reel_params_count(e->component->params); i++)
        reel_params_at(e->component->params, i)->frozen = true;
    make_key(e);
    *encoder = e;
    return REEL_OK;
}

void reel_clip_encoder_close(reel_clip_encoder **encoder) {
    reel_clip_encoder *e = *encoder;
    if (!e) return;
    reel_plan_free(&e->plan);
    reel_tape_free(&e->tape);
    reel_component_close(&e->component);
    reel_free(e->env, e->x);
    reel_free(e->env, e);
    *encoder = NULL;
}

const reel_wan_vae_config *reel_clip_encoder_config(const reel_clip_encoder *e) {
    return &e->component->config.vae;
}
const char *reel_clip_encoder_key(const reel_clip_encoder *e) {
    return e->key;
}
const reel_component *reel_clip_encoder_component(const reel_clip_encoder *e) {
    return e->component;
}

static reel_status plan_for(reel_clip_encoder *e, const reel_bucket *b) {
    if (e->plan && e->size.frames == b->frames && e->size.height == b->height &&
        e->size.width == b->width)
        return REEL_OK;
    reel_plan_free(&e->plan);
    float *x = reel_realloc(e->env, e->x, reel_bucket_bytes(b) * (int64_t)sizeof *x, tag);
    if (!x) return REEL_E_NOMEM;
    e->x = x;
    e->size = *b;
    reel_tape_reset(e->tape);
    reel_nn nn = reel_nn_start(e->tape, e->component->params, e->compute);
    const reel_var clip = reel_tape_input(
        e->tape, REEL_F32, REEL_SHAPE(1, b->frames, b->height, b->width, 3), "clip", x);
    const reel_var m = reel_wan_vae_encode_piece(&nn, &e->component->config.vae, clip,
                                                 REEL_WAN_VAE_FIRST, NULL); /* [1,f,h,w,2z] */
    reel_var part[2];
    reel_split_evenly(e->tape, m, 4, 2, part);
    e->mean = part[0];
    reel_tape_keep(e->tape, e->mean);
    return reel_plan_new(e->tape, e->table, NULL, &e->plan);
}

static reel_status encode(void *context, const uint8_t *rgb, const reel_bucket *size,
                          reel_bf16 *latent) {
    reel_clip_encoder *e = context;
    reel_status status = plan_for(e, size);
    if (status != REEL_OK) return status;
    for (int64_t i = 0; i < reel_bucket_bytes(size); i++)
        e->x[i] = (float)rgb[i] * (2.0f / 255.0f) - 1.0f;
    status = reel_plan_run(e->plan, NULL);
    if (status != REEL_OK) return status;
    const reel_wan_vae_config *c = &e->component->config.vae;
    const float *mean = reel_plan_data(e->plan, e->mean);
    const int64_t n = (1 + (size->frames - 1) / reel_wan_vae_factor_t(c)) *
                      (size->height / reel_wan_vae_factor_s(c)) *
                      (size->width / reel_wan_vae_factor_s(c));
    for (int64_t i = 0; i < n * c->z_dim; i++) {
        const int64_t k = i % c->z_dim;
        latent[i] = reel_f32_to_bf16((mean[i] - c->latents_mean[k]) / c->latents_std[k]);
    }
    return REEL_OK;
}

reel_latents_encoder reel_clip_encoder_latents(reel_clip_encoder *e) {
    const reel_wan_vae_config *c = &e->component->config.vae;
    return (reel_latents_encoder){.context = e,
                                  .encode = encode,
                                  .z = c->z_dim,
                                  .factor_t = reel_wan_vae_factor_t(c),
                                  .factor_s = reel_wan_vae_factor_s(c)};
}
