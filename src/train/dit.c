#include "train/dit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "train/dit_state.h"

/* ---- the job ---- */

static bool tell_group(void *context, int64_t first, int64_t n) {
    reel_dit_trainer *r = context;
    if (reel_clock_s() - r->told_s < 1) return false; /* small files come by the hundred */
    r->told_s = reel_clock_s();
    return reel_run_tell(r->options, "dit", "prepare", "%s and encoding clips %lld to %lld",
                         r->material.clips ? "decoding" : "rendering", (long long)first,
                         (long long)(first + n - 1));
}

/* Clips that are cached before a step. */
static int64_t clips_at(const reel_recipe *r, int64_t step) {
    const double n = (double)r->data.pool_start + r->data.fresh * (double)step;
    return (int64_t)ceil(fmin(n, (double)r->data.pool));
}

/* Filling rows counts as waiting, too: it is done before a micro-step may begin. */
static reel_status fill_row(void *context, int64_t k) {
    reel_dit_rows *rows = context;
    const double start = reel_clock_s();
    const reel_status status = reel_dit_fill_row(context, k);
    rows->trainer->waited_s += reel_clock_s() - start;
    return status;
}

static reel_status step(void *context, int64_t index, double rate, reel_job_step *done) {
    reel_dit_trainer *r = context;
    const double start = reel_clock_s();
    reel_status status = reel_latents_advance(r->latents, clips_at(r->recipe, index), NULL, NULL);
    if (status != REEL_OK) return status;
    r->waited_s = reel_clock_s() - start;
    r->step = index;
    status = reel_program_step(r->train.program, rate, fill_row, &done->result);
    done->samples = r->train.row.n * r->recipe->optimiser.accumulate;
    done->waited_s = r->waited_s;
    return status;
}

static reel_program *program(void *context) {
    reel_dit_trainer *r = context;
    return r->train.program;
}

/* ---- the start ---- */

/* Tokens of the held-out clips together. */
static int64_t held_tokens(const reel_dit_trainer *r) {
    const reel_latents_encoder e = reel_clip_encoder_latents(r->encoder);
    const reel_source *s = &r->material.held;
    const reel_recipe *o = r->recipe;
    const int64_t p = r->dit.patch_size[1];
    int64_t n = 0;
    for (int64_t i = 0; i < r->held_clips; i++) {
        const int64_t k =
            r->material.clips ? s->bucket(s->context, o->data.bucket, o->data.n_buckets, -1, i) : 0;
        const reel_bucket *b = &o->data.bucket[k];
        n += (1 + (b->frames - 1) / e.factor_t) * (b->height / e.factor_s / p) *
             (b->width / e.factor_s / p);
    }
    return n;
}

static reel_status open_material(reel_dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    r->held_clips = o->data.validation;
    const reel_status status = reel_material_open(r->env, r->options, "dit", -1, &r->material);
    if (status != REEL_OK) return status;
    if (o->dit.layout > 0 && !r->material.train.objects)
        return reel_fail(r->env, REEL_E_ARG,
                         "dit.layout: got %g, but of clips of one's own nobody knows what stands "
                         "where; wanted 0, or reel's world",
                         o->dit.layout);
    const int64_t n = r->material.held.n_clips;
    if (n > 0 && n < r->held_clips) r->held_clips = n;
    return REEL_OK;
}

static reel_status open_rows(reel_dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    r->train.trainer = r->look.trainer = r;
    reel_row_options row = {.T = o->dit.row_tokens,
                            .N = o->dit.row_clips,
                            .X = r->text_length,
                            .z = r->z,
                            .patch = r->dit.patch_size[1],
                            .planes = reel_wan_dit_has_planes(&r->dit),
                            .objective = r->objective,
                            .object_weight = (float)o->dit.object_weight};
    reel_status status = reel_row_init(r->env, &row, &r->train.row);
    row.T = held_tokens(r);
    row.object_weight = 1;
    row.N = r->held_clips;
    if (status == REEL_OK) status = reel_row_init(r->env, &row, &r->look.row);
    return status;
}

static reel_status open_latents(reel_dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    const reel_material *m = &r->material;
    char folder[REEL_DIT_PATH_BYTES - 16], held[REEL_DIT_PATH_BYTES], key[128];
    char drills[32] = "";
    snprintf(folder, sizeof folder, "%s%s", o->data.cache[0] ? o->data.cache : r->options->folder,
             o->data.cache[0] ? "" : "/latents");
    snprintf(held, sizeof held, "%s/held-out", folder);
    if (o->data.drills > 0)
        snprintf(drills, sizeof drills, " drills %g of %02x", o->data.drills, m->world.drill_on);
    if (m->clips) /* names of their files say the rest */
        snprintf(key, sizeof key, "%s clips", reel_clip_encoder_key(r->encoder));
    else
        snprintf(key, sizeof key, "%s seed %lld fps %g%s", reel_clip_encoder_key(r->encoder),
                 (long long)o->data.seed, o->data.fps, drills);
    const reel_latents_encoder e = reel_clip_encoder_latents(r->encoder);
    reel_status status = reel_latents_open(r->env, folder, key, &m->train, o->data.bucket,
                                           o->data.n_buckets, &e, &r->latents);
    if (status == REEL_OK)
        status = reel_latents_open(r->env, held, key, &m->held, o->data.bucket,
                                   m->clips ? o->data.n_buckets : 1, &e, &r->held_out);
    if (status == REEL_OK) status = reel_latents_advance(r->held_out, r->held_clips, tell_group, r);
    if (status == REEL_OK) status = reel_latents_advance(r->latents, clips_at(o, 0), tell_group, r);
    return status;
}

static void close_all(reel_dit_trainer *r) {
    reel_program_free(&r->train.program);
    reel_program_free(&r->look.program);
    reel_row_deinit(&r->train.row);
    reel_row_deinit(&r->look.row);
    reel_learner_free(&r->learner);
    reel_latents_close(&r->latents);
    reel_latents_close(&r->held_out);
    reel_material_close(&r->material);
    reel_clip_encoder_close(&r->encoder);
    reel_tokenizer_close(&r->tokenizer);
    reel_folder_close(&r->folder);
    reel_free(r->env, r->buckets);
}

reel_status reel_train_dit(reel_env *env, const reel_kernel_table *table,
                           const reel_run_options *options, bool *stopped) {
    reel_dit_trainer *r = reel_calloc(env, 1, sizeof *r, "dit trainer");
    if (!r) return REEL_E_NOMEM;
    r->env = env;
    r->table = table;
    r->options = options;
    r->recipe = options->recipe;
    reel_status status = reel_dit_open_models(r);
    if (status == REEL_OK) status = reel_dit_check_sizes(r);
    if (status == REEL_OK) status = open_material(r);
    if (status == REEL_OK) status = open_rows(r);
    if (status == REEL_OK) status = reel_dit_open_learner(r);
    if (status == REEL_OK) status = open_latents(r);
    if (status == REEL_OK) {
        const reel_job job = {.kind = "dit",
                              .context = r,
                              .learner = r->learner,
                              .begin = reel_dit_balance,
                              .step = step,
                              .validate = reel_dit_validate,
                              .save = reel_dit_save,
                              .show = reel_dit_show,
                              .program = program};
        status = reel_run(env, &job, options, stopped);
    } else if (status == REEL_E_CANCELLED) {
        reel_env_clear(env);
        *stopped = true;
        status = REEL_OK;
    }
    close_all(r);
    reel_free(env, r);
    return status;
}
