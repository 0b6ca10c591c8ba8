/* What an autoencoder begins with: a folder's weights, or silent networks; and the linear code. */
#include <string.h>

#include "data/quality.h"
#include "train/pca.h"
#include "train/vae_state.h"

enum { PCA_CLIPS = 40, PCA_PATCHES = 8192 };
static const char tag[] = "vae begin";

/* The first clip from place i on that has a patch of time; -1: they are all pictures. */
static int64_t moving_clip(const reel_vae_trainer *r, int64_t i, int64_t n) {
    for (int64_t k = 0; k < n; k++)
        if (reel_pool_at(r->pool, (i + k) % n).size->frames > r->factor_t) return (i + k) % n;
    return -1;
}

/* PCA of patches of the first clips, drawn at random places on the latent grid. */
static reel_status make_pca(reel_vae_trainer *r) {
    reel_run_tell(r->options, "vae", "prepare", "principal components of %d patches", PCA_PATCHES);
    const int64_t ft = r->factor_t, fs = r->factor_s, P = 3 * ft * fs * fs;
    const int64_t n_clips =
        reel_pool_count(r->pool) < PCA_CLIPS ? reel_pool_count(r->pool) : PCA_CLIPS;
    float *x = reel_alloc(r->env, PCA_PATCHES * P * (int64_t)sizeof *x, tag);
    r->pca_w = reel_alloc(r->env, r->config.z_dim * P * (int64_t)sizeof(float), tag);
    r->pca_b = reel_alloc(r->env, r->config.z_dim * (int64_t)sizeof(float), tag);
    r->pca_inverse = reel_alloc(r->env, r->config.z_dim * P * (int64_t)sizeof(float), tag);
    r->pca_mean = reel_alloc(r->env, P * (int64_t)sizeof(float), tag);
    const bool room = x && r->pca_w && r->pca_b && r->pca_inverse && r->pca_mean;
    reel_status status = room ? REEL_OK : REEL_E_NOMEM;
    if (status == REEL_OK && moving_clip(r, 0, n_clips) < 0)
        status = reel_fail(r->env, REEL_E_ARG,
                           "the first %lld clips are all pictures: a vae of video needs clips that "
                           "move",
                           (long long)n_clips);
    for (int64_t i = 0; i < PCA_PATCHES && status == REEL_OK; i++) {
        const reel_pool_clip clip = reel_pool_at(
            r->pool,
            moving_clip(r, (int64_t)reel_vae_draw(r, "pca clip", i, (uint64_t)n_clips), n_clips));
        const reel_bucket *s = clip.size;
        const reel_crop crop = {
            .frame = 1 + ft * (int64_t)reel_vae_draw(r, "pca frame", i,
                                                     (uint64_t)((s->frames - 1) / ft)),
            .y = fs * (int64_t)reel_vae_draw(r, "pca y", i, (uint64_t)(s->height / fs)),
            .x = fs * (int64_t)reel_vae_draw(r, "pca x", i, (uint64_t)(s->width / fs)),
            .frames = ft,
            .height = fs,
            .width = fs};
        reel_pool_crop(&clip, &crop, x + i * P);
    }
    reel_pca *pca = NULL;
    if (status == REEL_OK)
        status = reel_pca_new(r->env, r->table, x, PCA_PATCHES, P, r->config.z_dim,
                              (uint64_t)r->recipe->run.seed, &pca);
    if (status == REEL_OK) {
        reel_pca_layer(pca, r->pca_w, r->pca_b);
        reel_pca_inverse_layer(pca, r->pca_inverse, r->pca_mean);
        reel_run_tell(r->options, "vae", "prepare", "as a linear code they give %.2f dB",
                      reel_psnr(pca->residual / 4));
    }
    reel_pca_free(r->env, &pca);
    reel_free(r->env, x);
    return status;
}

static reel_status set_zero(reel_vae_trainer *r, const reel_param *p) {
    float *zero = reel_calloc(r->env, reel_shape_count(&p->shape), sizeof *zero, tag);
    if (!zero) return REEL_E_NOMEM;
    const reel_tensor value = {REEL_F32, p->shape, zero};
    const reel_status status = reel_learner_set(r->learner, p->name, &value);
    reel_free(r->env, zero);
    return status;
}

/* Residual branches begin at nothing, so that a fresh model is its shortcuts: means of pixels. */
static reel_status zero_branches(reel_vae_trainer *r, reel_params *shapes) {
    reel_status status = REEL_OK;
    for (int i = 0; i < reel_params_count(shapes) && status == REEL_OK; i++) {
        const reel_param *p = reel_params_at(shapes, i);
        if (!reel_pattern_match("*.conv2.weight", p->name) &&
            !reel_pattern_match("*.proj.weight", p->name))
            continue;
        status = set_zero(r, p);
    }
    return status;
}

static reel_status set(reel_vae_trainer *r, const char *name, reel_shape shape, float *data) {
    return reel_learner_set(r->learner, name, &(reel_tensor){REEL_F32, shape, data});
}

/* The linear path becomes the principal components, and the networks fall silent: the last layer of
 * each begins at nothing, whatever was learned in front of it. */
static reel_status graft_linear_path(reel_vae_trainer *r) {
    const int64_t z = r->config.z_dim, P = reel_vae_patch(r);
    reel_status status = set(r, "linear_encoder.weight", REEL_SHAPE(z, P, 1, 1, 1), r->pca_w);
    if (status == REEL_OK) status = set(r, "linear_encoder.bias", REEL_SHAPE(z), r->pca_b);
    if (status == REEL_OK)
        status = set(r, "linear_decoder.weight", REEL_SHAPE(P, z, 1, 1, 1), r->pca_inverse);
    if (status == REEL_OK) status = set(r, "linear_decoder.bias", REEL_SHAPE(P), r->pca_mean);
    static const char *const last[] = {"quant_conv.weight", "quant_conv.bias",
                                       "decoder.conv_out.weight", "decoder.conv_out.bias"};
    for (size_t i = 0; i < sizeof last / sizeof *last && status == REEL_OK; i++)
        status = set_zero(r, reel_params_find(reel_learner_declared(r->learner), last[i]));
    return status;
}

/* Weights and statistics of latents; the sizes are the recipe's and have to agree. */
static reel_status load(reel_vae_trainer *r) {
    reel_component_config config;
    const reel_status status =
        reel_load_part(r->env, r->recipe->vae.init, REEL_COMPONENT_VAE, "", r->learner, &config);
    if (status != REEL_OK) return status;
    r->config = config.vae;
    r->config.linear_path = r->config.linear_path || r->graft;
    return status;
}

/* A linear path that the folder has stays; one that it has not and the recipe asks for is new. */
static reel_status decide_linear_path(reel_vae_trainer *r) {
    reel_component_config config;
    r->graft = r->config.linear_path;
    if (!r->recipe->vae.init[0]) return REEL_OK;
    const reel_status status =
        reel_read_part_config(r->env, r->recipe->vae.init, REEL_COMPONENT_VAE, &config);
    if (status != REEL_OK) return status;
    r->graft = r->config.linear_path && !config.vae.linear_path;
    r->config.linear_path = r->graft || config.vae.linear_path;
    return REEL_OK;
}

reel_status reel_vae_open_learner(reel_vae_trainer *r) {
    reel_learner_options o = reel_recipe_learner(r->recipe);
    if (r->decoder) { /* in front of all others */
        memmove(o.rule + 3, o.rule, sizeof o.rule - 3 * sizeof *o.rule);
        o.rule[0] = (reel_rule){"encoder.*", REEL_METHOD_FROZEN, 0, 0};
        o.rule[1] = (reel_rule){"quant_conv.*", REEL_METHOD_FROZEN, 0, 0};
        o.rule[2] = (reel_rule){"linear_encoder.*", REEL_METHOD_FROZEN, 0, 0};
        o.n_rules = o.n_rules + 3 < REEL_MAX_RULES ? o.n_rules + 3 : REEL_MAX_RULES;
    }
    reel_status status = decide_linear_path(r);
    if (status == REEL_OK) status = reel_learner_new(r->env, r->table, &o, &r->learner);
    reel_vae_batch shape = {
        .trainer = r, .B = 1, .F = 1 + r->factor_t, .H = r->factor_s, .W = r->factor_s};
    if (status == REEL_OK) status = reel_learner_declare(r->learner, reel_vae_record_look, &shape);
    if (status == REEL_OK && r->recipe->vae.init[0])
        status = load(r);
    else if (status == REEL_OK && r->decoder)
        status = reel_fail(r->env, REEL_E_ARG,
                           "the decoder's stage needs vae.init: the folder of a "
                           "trained vae");
    else if (status == REEL_OK)
        status = zero_branches(r, reel_learner_declared(r->learner));
    if (status == REEL_OK && (r->graft || reel_vae_is_pulled(r))) status = make_pca(r);
    if (status == REEL_OK && r->graft) status = graft_linear_path(r);
    if (status == REEL_OK) status = reel_learner_begin(r->learner, (uint64_t)r->recipe->run.seed);
    return status;
}
