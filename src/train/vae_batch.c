/* Batches of the autoencoder's trainer: the loss, and the crops, noise and mistakes it is of. */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/loss.h"
#include "train/vae_loss.h"
#include "train/vae_mistakes.h"
#include "train/vae_state.h"

enum { FORGIVEN = 3 }; /* every so many batches are of noise, the others of mistakes */
static const char tag[] = "vae batch";

/* Whether the mean is pulled towards the linear code. */
bool reel_vae_is_pulled(const reel_vae_trainer *r) {
    return !r->decoder && r->recipe->vae.pca > 0;
}

/* ---- recording ---- */

static reel_var input(reel_nn *nn, reel_shape shape, const char *name, const float *data) {
    return reel_tape_input(nn->tape, REEL_F32, shape, name, data);
}

/* x [B,F,H,W,3] -> the mean [B,f,h,w,z] */
static reel_var encode(reel_vae_trainer *r, reel_nn *nn, reel_var x) {
    reel_var part[2];
    const reel_var m = reel_wan_vae_encode_piece(nn, &r->config, x, REEL_WAN_VAE_FIRST, NULL);
    reel_split_evenly(nn->tape, m, REEL_VAE_CHANNELS, 2, part);
    return part[0];
}

int64_t reel_vae_patch(const reel_vae_trainer *r) {
    return 3 * r->factor_t * r->factor_s * r->factor_s;
}

static int64_t frame_elements(const reel_vae_batch *a) {
    return a->H * a->W * 3;
}

/* Elements of the steps from frame to frame of a clip. */
static int64_t step_elements(const reel_vae_batch *a) {
    return (a->F - 1) * frame_elements(a);
}

/* The linear code of patches of 16 x 16 x 4 (say): [B,f,h,w,z] */
static reel_var linear_code(const reel_vae_batch *a, reel_nn *nn, reel_shape latent) {
    const reel_vae_trainer *r = a->trainer;
    const int64_t P = reel_vae_patch(r);
    const reel_var w = input(nn, REEL_SHAPE(r->config.z_dim, P), "pca weight", r->pca_w);
    const reel_var b = input(nn, REEL_SHAPE(r->config.z_dim), "pca bias", r->pca_b);
    latent.dim[REEL_VAE_CHANNELS] = P;
    const reel_var x = input(nn, latent, "patches", a->patches);
    return reel_linear(nn->tape, x, w, b, REEL_ACT_NONE, REEL_F32);
}

static reel_var record_loss(void *context, reel_nn *nn) {
    reel_vae_batch *a = context;
    reel_vae_trainer *r = a->trainer;
    reel_tape *t = nn->tape;
    const reel_recipe *o = r->recipe;
    const reel_var x = input(nn, REEL_SHAPE(a->B, a->F, a->H, a->W, 3), "clips", a->x);
    const reel_var mean = encode(r, nn, x);
    const reel_shape latent = reel_tape_value(t, mean)->shape;
    const reel_var eps = input(nn, latent, "noise", a->eps);
    const reel_var z = reel_add(t, mean, eps);
    const reel_var y = reel_wan_vae_decode_piece(nn, &r->config, z, REEL_WAN_VAE_FIRST, NULL);
    reel_var loss = reel_combine(t, reel_mse(t, y, x, 0), (float)o->vae.mse, reel_l1(t, y, x, 0),
                                 (float)o->vae.l1);
    if (a->still) {
        const reel_shape steps = REEL_SHAPE(a->B, a->F - 1, 1, frame_elements(a));
        const reel_var weight = input(nn, steps, "stillness", a->still);
        const reel_var off = reel_delta_loss(t, y, x, weight);
        loss = reel_combine(t, loss, 1, off, (float)o->vae.delta);
    }
    if (r->decoder) return loss;
    const reel_var size = reel_mean(t, reel_mul(t, mean, mean), REEL_AXES_ALL, REEL_DROP_AXES);
    loss = reel_combine(t, loss, 1, size, 0.5f * (float)o->vae.kl);
    if (!a->patches) return loss;
    const reel_var weight = input(nn, (reel_shape){0}, "pca weight of the loss", &r->pca_weight);
    const reel_var off = reel_mse(t, mean, linear_code(a, nn, latent), 0);
    return reel_add(t, loss, reel_mul(t, off, weight));
}

reel_var reel_vae_record_look(void *context, reel_nn *nn) {
    reel_vae_batch *a = context;
    reel_vae_trainer *r = a->trainer;
    const reel_var x = input(nn, REEL_SHAPE(a->B, a->F, a->H, a->W, 3), "clips", a->x);
    a->mean = encode(r, nn, x);
    reel_tape_keep(nn->tape, a->mean);
    a->y = reel_wan_vae_decode_piece(nn, &r->config, a->mean, REEL_WAN_VAE_FIRST, NULL);
    return a->y;
}

/* ---- batches ---- */

int64_t reel_vae_latents(const reel_vae_trainer *r, const reel_vae_batch *a) {
    return a->B * (1 + (a->F - 1) / r->factor_t) * (a->H / r->factor_s) * (a->W / r->factor_s) *
           r->config.z_dim;
}

static reel_status open_batch(reel_vae_trainer *r, reel_vae_batch *a, reel_program_kind kind,
                              int64_t B, int64_t F, int64_t H, int64_t W) {
    *a = (reel_vae_batch){.trainer = r, .B = B, .F = F, .H = H, .W = W};
    a->x = reel_calloc(r->env, B * F * H * W * 3, sizeof *a->x, tag);
    a->eps = reel_calloc(r->env, reel_vae_latents(r, a), sizeof *a->eps, tag);
    const bool coded = kind == REEL_PROGRAM_TRAIN && reel_vae_is_pulled(r);
    if (coded)
        a->patches =
            reel_calloc(r->env, reel_vae_latents(r, a) / r->config.z_dim * reel_vae_patch(r),
                        sizeof *a->patches, tag);
    const bool steps = kind == REEL_PROGRAM_TRAIN && r->recipe->vae.delta > 0 && F > 1;
    if (steps) a->still = reel_calloc(r->env, B * step_elements(a), sizeof *a->still, tag);
    if (!a->x || !a->eps || (coded && !a->patches) || (steps && !a->still)) return REEL_E_NOMEM;
    return reel_program_new(r->learner, kind,
                            kind == REEL_PROGRAM_TRAIN ? record_loss : reel_vae_record_look, a,
                            &a->program);
}

static void close_batch(reel_vae_trainer *r, reel_vae_batch *a) {
    reel_program_free(&a->program);
    reel_free(r->env, a->x);
    reel_free(r->env, a->eps);
    reel_free(r->env, a->patches);
    reel_free(r->env, a->still);
}

/* What a task of filling needs. */
typedef struct filling {
    reel_vae_trainer *r;
    reel_vae_batch *a;
    int64_t step;
} filling;

uint64_t reel_vae_draw(const reel_vae_trainer *r, const char *what, int64_t i, uint64_t n) {
    return reel_rng_below((uint64_t)r->recipe->run.seed, reel_rng_stream(what), (uint64_t)i, n);
}

/* The first clip from a place on that holds a crop; one without pixels when none does. */
static reel_pool_clip find_clip(const reel_vae_trainer *r, const reel_vae_batch *a, int64_t from) {
    const int64_t n = reel_pool_count(r->pool);
    for (int64_t k = 0; k < n; k++) {
        const reel_pool_clip clip = reel_pool_at(r->pool, (from + k) % n);
        if (clip.size->frames >= a->F && clip.size->height >= a->H && clip.size->width >= a->W)
            return clip;
    }
    return (reel_pool_clip){0};
}

/* A clip that a crop fits into: the first from a random place on. */
static reel_pool_clip draw_clip(const reel_vae_trainer *r, const reel_vae_batch *a, int64_t i) {
    const int64_t n = reel_pool_count(r->pool);
    return find_clip(r, a, (int64_t)reel_vae_draw(r, "crop clip", i, (uint64_t)n));
}

/* Clip b's patches, in the order of pixels: frame, row, column, color. The first frame, which has a
 * latent of its own, fills a patch by standing still. */
static void fill_patches(const reel_vae_trainer *r, const reel_vae_batch *a, int64_t b) {
    const int64_t ft = r->factor_t, fs = r->factor_s, P = reel_vae_patch(r);
    const int64_t h = a->H / fs, w = a->W / fs, f = 1 + (a->F - 1) / ft;
    const float *x = a->x + b * a->F * a->H * a->W * 3;
    float *out = a->patches + b * f * h * w * P;
    for (int64_t i = 0; i < f * h * w; i++)
        for (int64_t t = 0; t < ft; t++)
            for (int64_t y = 0; y < fs; y++, out += fs * 3) {
                const int64_t frame = i < h * w ? 0 : 1 + (i / (h * w) - 1) * ft + t;
                const int64_t row = i / w % h * fs + y;
                memcpy(out, x + ((frame * a->H + row) * a->W + i % w * fs) * 3,
                       (size_t)(fs * 3) * sizeof *out);
            }
}

static void fill_crop(void *context, int64_t b, int lane) {
    (void)lane;
    const filling *f = context;
    const reel_vae_trainer *r = f->r;
    reel_vae_batch *a = f->a;
    const int64_t i = f->step * 65536 + b;
    const reel_pool_clip clip = draw_clip(r, a, i);
    if (!clip.rgb) return;
    const reel_crop crop = {
        .frame =
            (int64_t)reel_vae_draw(r, "crop frame", i, (uint64_t)(clip.size->frames - a->F + 1)),
        .y = (int64_t)reel_vae_draw(r, "crop y", i, (uint64_t)(clip.size->height - a->H + 1)),
        .x = (int64_t)reel_vae_draw(r, "crop x", i, (uint64_t)(clip.size->width - a->W + 1)),
        .frames = a->F,
        .height = a->H,
        .width = a->W,
        .mirror = !r->mistakes.model && reel_vae_draw(r, "crop mirror", i, 2) != 0};
    reel_pool_crop(&clip, &crop, a->x + b * a->F * a->H * a->W * 3);
    if (a->patches) fill_patches(r, a, b);
    if (a->still)
        reel_delta_weights(a->x + b * a->F * frame_elements(a), a->F, frame_elements(a),
                           a->still + b * step_elements(a));
    const int64_t n = reel_vae_latents(r, a) / a->B;
    float *eps = a->eps + b * n;
    reel_rng_fill_normal((uint64_t)r->recipe->run.seed, reel_rng_stream("vae noise"),
                         (uint64_t)(i * ((n + 3) / 4 * 4)), n, eps);
    float sigma = (float)r->recipe->vae.noise;
    if (r->decoder) /* every amount of error up to the greatest */
        sigma *= reel_rng_uniform((uint64_t)r->recipe->run.seed, reel_rng_stream("vae sigma"),
                                  (uint64_t)i);
    for (int64_t k = 0; k < n; k++)
        eps[k] *= sigma;
}

/* The noise of a reel_vae_batch of whole clips is what a transformer gets wrong of them. */
static reel_status fill_mistakes(reel_vae_trainer *r, reel_vae_batch *a, int64_t step) {
    reel_status status = REEL_OK;
    for (int64_t b = 0; b < a->B && status == REEL_OK; b++) {
        const int64_t i = step * 65536 + b;
        const reel_pool_clip clip = draw_clip(r, a, i);
        const reel_mistake mistake = {.source = &r->material.train,
                                      .clip = &clip,
                                      .seed = (uint64_t)r->recipe->run.seed,
                                      .index = (uint64_t)i};
        status = reel_vae_mistake(r->env, &r->mistakes, &r->config, &mistake,
                                  a->eps + b * reel_vae_latents(r, a) / a->B);
    }
    return status;
}

/* Whole clips every now and then, while there are any; crops else. Mistakes are made of whole clips
 * alone. */
static reel_vae_batch *choose_batch(reel_vae_trainer *r, int64_t index) {
    const int64_t every = r->mistakes.model ? 1 : r->recipe->vae.full_every;
    const bool whole = every && index % every == every - 1;
    return whole && find_clip(r, &r->clips, 0).rgb ? &r->clips : &r->crops;
}

reel_status reel_vae_fill(reel_vae_trainer *r, int64_t index, reel_vae_batch **filled) {
    reel_vae_batch *a = choose_batch(r, index);
    *filled = a;
    if (!find_clip(r, a, 0).rgb)
        return reel_fail(r->env, REEL_E_ARG,
                         "none of the %lld clips in the pool holds a crop of vae.crop %lld and "
                         "vae.crop_frames %lld; make them smaller, or data.pool larger",
                         (long long)reel_pool_count(r->pool), (long long)r->recipe->vae.crop,
                         (long long)r->recipe->vae.crop_frames);
    filling f = {.r = r, .a = a, .step = index};
    reel_parallel_for(r->env->threads, a->B, fill_crop, &f);
    return r->mistakes.model && index % FORGIVEN ? fill_mistakes(r, a, index) : REEL_OK;
}

/* The model whose latents these are. */
static reel_status open_mistakes(reel_vae_trainer *r) {
    const char *folder = r->recipe->vae.mistakes;
    if (!folder[0]) return REEL_OK;
    if (!r->decoder || !r->options->mistakes)
        return reel_fail(r->env, REEL_E_ARG,
                         "vae.mistakes: got '%s', but a decoder alone learns to forgive a model",
                         folder);
    if (r->recipe->data.n_buckets > 1)
        return reel_fail(r->env, REEL_E_ARG,
                         "vae.mistakes needs clips of one size, data.buckets has %lld",
                         (long long)r->recipe->data.n_buckets);
    const reel_status status =
        r->options->mistakes(r->env, r->table, folder, &r->full, &r->mistakes);
    if (status != REEL_OK) return status;
    const int64_t wanted = reel_vae_latents(r, &r->clips) / r->clips.B;
    if (r->mistakes.latents == wanted) return REEL_OK;
    return reel_fail(r->env, REEL_E_ARG,
                     "vae.mistakes: a clip has %lld latents in %s, the vae here makes %lld",
                     (long long)r->mistakes.latents, folder, (long long)wanted);
}

reel_status reel_vae_open_batches(reel_vae_trainer *r) {
    const reel_recipe *o = r->recipe;
    const int64_t crop = o->vae.crop, frames = o->vae.crop_frames, B = o->optimiser.batch;
    reel_status status = open_batch(r, &r->crops, REEL_PROGRAM_TRAIN, B, frames, crop, crop);
    const int64_t whole = r->full.frames * r->full.height * r->full.width;
    const int64_t n = B * frames * crop * crop / whole;
    if (status == REEL_OK)
        status = open_batch(r, &r->clips, REEL_PROGRAM_TRAIN, n > 0 ? n : 1, r->full.frames,
                            r->full.height, r->full.width);
    if (status == REEL_OK)
        status = open_batch(r, &r->look, REEL_PROGRAM_AVERAGE, 1, r->full.frames, r->full.height,
                            r->full.width);
    return status == REEL_OK ? open_mistakes(r) : status;
}

void reel_vae_close_batches(reel_vae_trainer *r) {
    close_batch(r, &r->crops);
    close_batch(r, &r->clips);
    close_batch(r, &r->look);
    if (r->mistakes.model) r->mistakes.close(&r->mistakes);
}
