#include <math.h>

#include "base/clock.h"
#include "train/vae_state.h"

reel_wan_vae_config reel_recipe_vae_config(const reel_recipe *r) {
    reel_wan_vae_config c = reel_wan_vae_config_default();
    c.base_dim = r->vae.base_dim;
    c.decoder_base_dim = r->vae.decoder_base_dim;
    c.z_dim = r->vae.z_dim;
    c.n_levels = r->vae.dim_mult.n;
    for (int64_t i = 0; i < c.n_levels && i < REEL_WAN_VAE_LEVELS; i++)
        c.dim_mult[i] = r->vae.dim_mult.item[i];
    for (int64_t i = 0; i < REEL_WAN_VAE_LEVELS - 1; i++)
        c.temperal_downsample[i] =
            i < r->vae.temperal_downsample.n && r->vae.temperal_downsample.item[i] != 0;
    c.num_res_blocks = r->vae.num_res_blocks;
    c.is_residual = true;
    c.patch_size = r->vae.patch_size;
    c.linear_path = r->vae.linear_path != 0;
    c.in_channels = c.out_channels = 3 * c.patch_size * c.patch_size;
    c.scale_factor_temporal = c.scale_factor_spatial = 0;
    for (int64_t i = 0; i < c.z_dim && i < REEL_WAN_VAE_CHANNELS; i++) {
        c.latents_mean[i] = 0;
        c.latents_std[i] = 1;
    }
    return c;
}

/* ---- the job ---- */

static int64_t clips_made(const reel_recipe *r, int64_t step) {
    return r->data.pool_start + (int64_t)floor(r->data.fresh * (double)step);
}

static reel_status step(void *context, int64_t index, double rate, reel_job_step *done) {
    reel_vae_trainer *r = context;
    reel_vae_batch *a;
    const double start = reel_clock_s();
    reel_status status = reel_pool_advance(r->pool, clips_made(r->recipe, index));
    if (status == REEL_OK) status = reel_vae_fill(r, index, &a);
    if (status != REEL_OK) return status;
    done->waited_s = reel_clock_s() - start;
    const double s = fmin(1, (double)index / (double)r->recipe->vae.pca_steps);
    r->pca_weight = (float)(r->recipe->vae.pca * (1 - s) + r->recipe->vae.pca_final * s);
    status = reel_program_step(a->program, rate, NULL, &done->result);
    done->samples = a->B;
    return status;
}

static reel_status save(void *context, bool at_end) {
    (void)at_end;
    reel_vae_trainer *r = context;
    reel_params *params;
    reel_status status = reel_learner_export(r->learner, "", true, REEL_BF16, &params);
    if (status != REEL_OK) return status;
    const reel_component_config config = {.kind = REEL_COMPONENT_VAE, .vae = r->config};
    status = reel_save_part(r->env, r->options->folder, &config, params);
    reel_params_free(&params);
    return status;
}

static reel_program *program(void *context) {
    reel_vae_trainer *r = context;
    return r->crops.program;
}

/* ---- the start ---- */

static reel_status open_data(reel_vae_trainer *r) {
    const reel_recipe *o = r->recipe;
    reel_material *m = &r->material;
    reel_status status =
        reel_material_open(r->env, r->options, r->decoder ? "decoder" : "vae", 0, m);
    if (status == REEL_OK && m->clips && m->held.n_clips == 0)
        status = reel_fail(r->env, REEL_E_ARG,
                           "no clip has the size of the first of data.buckets, %lldx%lld and %lld "
                           "frames, which a vae is measured on",
                           (long long)r->full.width, (long long)r->full.height,
                           (long long)r->full.frames);
    if (status == REEL_OK)
        status = reel_pool_new(r->env, &m->train, o->data.bucket, o->data.n_buckets, o->data.pool,
                               &r->pool);
    if (status == REEL_OK)
        status = reel_pool_new(r->env, &m->held, &r->full, 1, o->data.validation, &r->held_out);
    if (status != REEL_OK) return status;
    reel_run_tell(
        r->options, "vae", "prepare", "%s %lld held-out clips", m->clips ? "decoding" : "rendering",
        (long long)(m->clips && m->held.n_clips < o->data.validation ? m->held.n_clips
                                                                     : o->data.validation));
    status = reel_pool_advance(r->held_out, o->data.validation);
    if (status == REEL_OK) status = reel_pool_advance(r->pool, o->data.pool_start);
    return status;
}

/* Sizes that the model can take. */
static reel_status check_sizes(const reel_vae_trainer *r) {
    const reel_recipe *o = r->recipe;
    for (int64_t i = 0; i < o->data.n_buckets; i++) {
        const reel_bucket *b = &o->data.bucket[i];
        if (b->width % r->factor_s || b->height % r->factor_s || (b->frames - 1) % r->factor_t)
            return reel_fail(r->env, REEL_E_ARG,
                             "data.buckets[%lld]: %lldx%lldx%lld: sides must be multiples of %lld "
                             "and frames 1 more than one of %lld",
                             (long long)i, (long long)b->width, (long long)b->height,
                             (long long)b->frames, (long long)r->factor_s, (long long)r->factor_t);
    }
    if (o->vae.crop % r->factor_s || (o->vae.crop_frames - 1) % r->factor_t ||
        o->vae.crop > r->full.width || o->vae.crop > r->full.height ||
        o->vae.crop_frames > r->full.frames || r->full.frames < 2)
        return reel_fail(
            r->env, REEL_E_ARG,
            "vae.crop %lld and vae.crop_frames %lld must fit into the first bucket and "
            "be a multiple of %lld, and 1 more than one of %lld",
            (long long)o->vae.crop, (long long)o->vae.crop_frames, (long long)r->factor_s,
            (long long)r->factor_t);
    return o->data.pool_start > o->data.pool
               ? reel_fail(r->env, REEL_E_ARG, "data.pool_start %lld is above data.pool %lld",
                           (long long)o->data.pool_start, (long long)o->data.pool)
               : REEL_OK;
}

reel_status reel_train_vae(reel_env *env, const reel_kernel_table *table,
                           const reel_run_options *options, bool decoder, bool *stopped) {
    reel_vae_trainer r = {.env = env,
                          .table = table,
                          .options = options,
                          .recipe = options->recipe,
                          .decoder = decoder,
                          .full = options->recipe->data.bucket[0]};
    r.config = reel_recipe_vae_config(r.recipe);
    reel_status status = reel_wan_vae_config_check(env, &r.config);
    r.factor_t = reel_wan_vae_factor_t(&r.config);
    r.factor_s = reel_wan_vae_factor_s(&r.config);
    if (status == REEL_OK) status = check_sizes(&r);
    if (status == REEL_OK) status = open_data(&r);
    if (status == REEL_OK) status = reel_vae_open_learner(&r);
    if (status == REEL_OK) status = reel_vae_open_batches(&r);
    if (status == REEL_OK) {
        const reel_job job = {.kind = decoder ? "decoder" : "vae",
                              .context = &r,
                              .learner = r.learner,
                              .step = step,
                              .validate = reel_vae_validate,
                              .save = save,
                              .program = program};
        status = reel_run(env, &job, options, stopped);
    } else if (status == REEL_E_CANCELLED) {
        reel_env_clear(env);
        *stopped = true;
        status = REEL_OK;
    }
    reel_vae_close_batches(&r);
    reel_free(env, r.pca_w);
    reel_free(env, r.pca_b);
    reel_free(env, r.pca_inverse);
    reel_free(env, r.pca_mean);
    reel_pool_free(&r.pool);
    reel_pool_free(&r.held_out);
    reel_material_close(&r.material);
    reel_learner_free(&r.learner);
    return status;
}
