#include "train/vae.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/rng.h"
#include "data/pool.h"
#include "data/quality.h"
#include "data/steps.h"
#include "media/sheet.h"
#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/loss.h"
#include "train/material.h"
#include "train/pca.h"
#include "train/save.h"
#include "train/vae_loss.h"
#include "train/vae_mistakes.h"

enum { CHANNELS = 4, PCA_CLIPS = 40, PCA_PATCHES = 8192, SHOWN_CLIPS = 5, SHOWN_FRAMES = 3 };
enum { FORGIVEN = 3 }; /* every so many batches are of noise, the others of mistakes */
static const char tag[] = "vae trainer";

/* A batch of crops of one size and the programs on it. */
typedef struct batch {
    struct vae_trainer *trainer;
    int64_t B, F, H, W; /* of pixels */
    float *x;           /* [B,F,H,W,3] */
    float *eps;         /* [B,f,h,w,z]: normal, times sigma */
    float *patches;     /* [B,f,h,w,P]: what the linear code reads; NULL without one */
    float *still;       /* [B,F-1,1,HW3]: weights of steps; NULL without that term */
    reel_program *program;
    reel_var mean, y; /* of a program that looks */
} batch;

typedef struct vae_trainer {
    reel_env *env;
    const reel_kernel_table *table;
    const reel_run_options *options;
    const reel_recipe *recipe;
    bool decoder; /* the second stage */
    bool graft;   /* the linear path is new: of this run's principal components */
    reel_wan_vae_config config;
    int64_t factor_t, factor_s;
    reel_learner *learner;
    reel_material material;
    reel_mistakes mistakes; /* of the model that is to be forgiven, if there is one */
    reel_pool *pool, *held_out;
    reel_bucket full;              /* the first bucket: what is validated on */
    float *pca_w, *pca_b;          /* into the linear code */
    float *pca_inverse, *pca_mean; /* and back */
    float pca_weight;              /* of this step */
    batch crops, clips, look;
    bool crops_ran_last;
} vae_trainer;

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

/* Whether the mean is pulled towards the linear code. */
static bool pulled(const vae_trainer *r) {
    return !r->decoder && r->recipe->vae.pca > 0;
}

/* ---- recording ---- */

static reel_var input(reel_nn *nn, reel_shape shape, const char *name, const float *data) {
    return reel_tape_input(nn->tape, REEL_F32, shape, name, data);
}

/* x [B,F,H,W,3] -> the mean [B,f,h,w,z] */
static reel_var encode(vae_trainer *r, reel_nn *nn, reel_var x) {
    reel_var part[2];
    const reel_var m = reel_wan_vae_encode_piece(nn, &r->config, x, REEL_WAN_VAE_FIRST, NULL);
    reel_split_evenly(nn->tape, m, CHANNELS, 2, part);
    return part[0];
}

static int64_t patch_elements(const vae_trainer *r) {
    return 3 * r->factor_t * r->factor_s * r->factor_s;
}

static int64_t frame_elements(const batch *a) {
    return a->H * a->W * 3;
}

/* Elements of the steps from frame to frame of a clip. */
static int64_t step_elements(const batch *a) {
    return (a->F - 1) * frame_elements(a);
}

/* The linear code of patches of 16 x 16 x 4 (say): [B,f,h,w,z] */
static reel_var linear_code(const batch *a, reel_nn *nn, reel_shape latent) {
    const vae_trainer *r = a->trainer;
    const int64_t P = patch_elements(r);
    const reel_var w = input(nn, REEL_SHAPE(r->config.z_dim, P), "pca weight", r->pca_w);
    const reel_var b = input(nn, REEL_SHAPE(r->config.z_dim), "pca bias", r->pca_b);
    latent.dim[CHANNELS] = P;
    const reel_var x = input(nn, latent, "patches", a->patches);
    return reel_linear(nn->tape, x, w, b, REEL_ACT_NONE, REEL_F32);
}

static reel_var record_loss(void *context, reel_nn *nn) {
    batch *a = context;
    vae_trainer *r = a->trainer;
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

static reel_var record_look(void *context, reel_nn *nn) {
    batch *a = context;
    vae_trainer *r = a->trainer;
    const reel_var x = input(nn, REEL_SHAPE(a->B, a->F, a->H, a->W, 3), "clips", a->x);
    a->mean = encode(r, nn, x);
    reel_tape_keep(nn->tape, a->mean);
    a->y = reel_wan_vae_decode_piece(nn, &r->config, a->mean, REEL_WAN_VAE_FIRST, NULL);
    return a->y;
}

/* ---- batches ---- */

static int64_t latent_elements(const vae_trainer *r, const batch *a) {
    return a->B * (1 + (a->F - 1) / r->factor_t) * (a->H / r->factor_s) * (a->W / r->factor_s) *
           r->config.z_dim;
}

static reel_status open_batch(vae_trainer *r, batch *a, reel_program_kind kind, int64_t B,
                              int64_t F, int64_t H, int64_t W) {
    *a = (batch){.trainer = r, .B = B, .F = F, .H = H, .W = W};
    a->x = reel_calloc(r->env, B * F * H * W * 3, sizeof *a->x, tag);
    a->eps = reel_calloc(r->env, latent_elements(r, a), sizeof *a->eps, tag);
    const bool coded = kind == REEL_PROGRAM_TRAIN && pulled(r);
    if (coded)
        a->patches =
            reel_calloc(r->env, latent_elements(r, a) / r->config.z_dim * patch_elements(r),
                        sizeof *a->patches, tag);
    const bool steps = kind == REEL_PROGRAM_TRAIN && r->recipe->vae.delta > 0 && F > 1;
    if (steps) a->still = reel_calloc(r->env, B * step_elements(a), sizeof *a->still, tag);
    if (!a->x || !a->eps || (coded && !a->patches) || (steps && !a->still)) return REEL_E_NOMEM;
    return reel_program_new(r->learner, kind,
                            kind == REEL_PROGRAM_TRAIN ? record_loss : record_look, a, &a->program);
}

static void close_batch(vae_trainer *r, batch *a) {
    reel_program_free(&a->program);
    reel_free(r->env, a->x);
    reel_free(r->env, a->eps);
    reel_free(r->env, a->patches);
    reel_free(r->env, a->still);
}

/* What a task of filling needs. */
typedef struct filling {
    vae_trainer *r;
    batch *a;
    int64_t step;
    bool exact; /* whole clips of the batch's size */
} filling;

static uint64_t draw(const vae_trainer *r, const char *what, int64_t i, uint64_t n) {
    return reel_rng_below((uint64_t)r->recipe->run.seed, reel_rng_stream(what), (uint64_t)i, n);
}

/* The first clip from a place on that holds a crop; one without pixels when none does. */
static reel_pool_clip find_clip(const vae_trainer *r, const batch *a, int64_t from) {
    const int64_t n = reel_pool_count(r->pool);
    for (int64_t k = 0; k < n; k++) {
        const reel_pool_clip clip = reel_pool_at(r->pool, (from + k) % n);
        if (clip.size->frames >= a->F && clip.size->height >= a->H && clip.size->width >= a->W)
            return clip;
    }
    return (reel_pool_clip){0};
}

/* A clip that a crop fits into: the first from a random place on. */
static reel_pool_clip draw_clip(const vae_trainer *r, const batch *a, int64_t i) {
    const int64_t n = reel_pool_count(r->pool);
    return find_clip(r, a, (int64_t)draw(r, "crop clip", i, (uint64_t)n));
}

/* Clip b's patches, in the order of pixels: frame, row, column, color. The first frame, which has a
 * latent of its own, fills a patch by standing still. */
static void fill_patches(const vae_trainer *r, const batch *a, int64_t b) {
    const int64_t ft = r->factor_t, fs = r->factor_s, P = patch_elements(r);
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
    const vae_trainer *r = f->r;
    batch *a = f->a;
    const int64_t i = f->step * 65536 + b;
    const reel_pool_clip clip = draw_clip(r, a, i);
    if (!clip.rgb) return;
    const reel_crop crop = {
        .frame = (int64_t)draw(r, "crop frame", i, (uint64_t)(clip.size->frames - a->F + 1)),
        .y = (int64_t)draw(r, "crop y", i, (uint64_t)(clip.size->height - a->H + 1)),
        .x = (int64_t)draw(r, "crop x", i, (uint64_t)(clip.size->width - a->W + 1)),
        .frames = a->F,
        .height = a->H,
        .width = a->W,
        .mirror = !r->mistakes.model && draw(r, "crop mirror", i, 2) != 0};
    reel_pool_crop(&clip, &crop, a->x + b * a->F * a->H * a->W * 3);
    if (a->patches) fill_patches(r, a, b);
    if (a->still)
        reel_delta_weights(a->x + b * a->F * frame_elements(a), a->F, frame_elements(a),
                           a->still + b * step_elements(a));
    const int64_t n = latent_elements(r, a) / a->B;
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

/* The noise of a batch of whole clips is what a transformer gets wrong of them. */
static reel_status fill_mistakes(vae_trainer *r, batch *a, int64_t step) {
    reel_status status = REEL_OK;
    for (int64_t b = 0; b < a->B && status == REEL_OK; b++) {
        const int64_t i = step * 65536 + b;
        const reel_pool_clip clip = draw_clip(r, a, i);
        const reel_mistake mistake = {.source = &r->material.train,
                                      .clip = &clip,
                                      .seed = (uint64_t)r->recipe->run.seed,
                                      .index = (uint64_t)i};
        status = reel_vae_mistake(r->env, &r->mistakes, &r->config, &mistake,
                                  a->eps + b * latent_elements(r, a) / a->B);
    }
    return status;
}

/* ---- the job ---- */

static int64_t clips_made(const reel_recipe *r, int64_t step) {
    return r->data.pool_start + (int64_t)floor(r->data.fresh * (double)step);
}

/* Whole clips every now and then, while there are any; crops else. Mistakes are made of whole clips
 * alone. */
static batch *choose_batch(vae_trainer *r, int64_t index) {
    const int64_t every = r->mistakes.model ? 1 : r->recipe->vae.full_every;
    const bool whole = every && index % every == every - 1;
    return whole && find_clip(r, &r->clips, 0).rgb ? &r->clips : &r->crops;
}

static reel_status step(void *context, int64_t index, double rate, reel_job_step *done) {
    vae_trainer *r = context;
    const double start = reel_clock_s();
    reel_status status = reel_pool_advance(r->pool, clips_made(r->recipe, index));
    if (status != REEL_OK) return status;
    batch *a = choose_batch(r, index);
    if (!find_clip(r, a, 0).rgb)
        return reel_fail(r->env, REEL_E_ARG,
                         "none of the %lld clips in the pool holds a crop of vae.crop %lld and "
                         "vae.crop_frames %lld; make them smaller, or data.pool larger",
                         (long long)reel_pool_count(r->pool), (long long)r->recipe->vae.crop,
                         (long long)r->recipe->vae.crop_frames);
    filling f = {.r = r, .a = a, .step = index};
    reel_parallel_for(r->env->threads, a->B, fill_crop, &f);
    done->waited_s = reel_clock_s() - start;
    if (r->mistakes.model && index % FORGIVEN) status = fill_mistakes(r, a, index);
    if (status != REEL_OK) return status;
    const double s = fmin(1, (double)index / (double)r->recipe->vae.pca_steps);
    r->pca_weight = (float)(r->recipe->vae.pca * (1 - s) + r->recipe->vae.pca_final * s);
    status = reel_program_step(a->program, rate, NULL, &done->result);
    done->samples = a->B;
    return status;
}

/* Sums over the held-out clips. */
typedef struct measures {
    reel_sheet *sheet; /* of the first clips, or NULL */
    double psnr, first, least, ssim;
    double *pulse;        /* [clips] */
    double *sum, *square; /* [z] of latents */
    int64_t n_latents;
} measures;

/* First, middle and last frame, each beside what became of it. */
static reel_status show_clip(const vae_trainer *r, const reel_pool_clip *clip, uint8_t *decoded,
                             double psnr, reel_sheet *sheet) {
    const int64_t F = r->full.frames, W = r->full.width, H = r->full.height;
    char label[32];
    snprintf(label, sizeof label, "%.1f dB", psnr);
    reel_status status = REEL_OK;
    for (int64_t k = 0; k < 2 * SHOWN_FRAMES && status == REEL_OK; k++) {
        const int64_t at = k / 2 * (F - 1) / (SHOWN_FRAMES - 1) * W * H * 3;
        reel_picture picture;
        status = reel_picture_init(r->env, (int)W, (int)H, &picture);
        if (status != REEL_OK) break;
        memcpy(picture.pixels, (k % 2 ? decoded : clip->rgb) + at, (size_t)(W * H * 3));
        status = reel_sheet_add(sheet, &picture, k % 2 ? label : r->material.held.noun);
        reel_picture_deinit(r->env, &picture);
    }
    return status;
}

static reel_status measure_clip(vae_trainer *r, int64_t i, uint8_t *u8, measures *m) {
    batch *a = &r->look;
    const int64_t n = a->F * a->H * a->W * 3, z = r->config.z_dim;
    const reel_pool_clip clip = reel_pool_at(r->held_out, i);
    const reel_crop all = {.frames = a->F, .height = a->H, .width = a->W};
    reel_pool_crop(&clip, &all, a->x);
    const reel_status status = reel_program_run(a->program);
    if (status != REEL_OK) return status;
    reel_pixels_to_u8(reel_program_data(a->program, a->y), n, u8);
    const double psnr = reel_psnr(reel_mean_square(u8, clip.rgb, n));
    m->psnr += psnr;
    m->least = fmin(m->least, psnr);
    m->first += reel_psnr(reel_mean_square(u8, clip.rgb, n / a->F));
    reel_pulse pulse = {0};
    reel_pulse_add(&pulse, u8, &r->full, r->factor_t);
    m->pulse[i] = reel_pulse_ratio(&pulse);
    if (m->sheet && i < SHOWN_CLIPS) {
        const reel_status shown = show_clip(r, &clip, u8, psnr, m->sheet);
        if (shown != REEL_OK) return shown;
    }
    const float *mean = reel_program_data(a->program, a->mean);
    const int64_t n_latents = latent_elements(r, a) / z;
    for (int64_t k = 0; k < n_latents * z; k++) {
        m->sum[k % z] += (double)mean[k];
        m->square[k % z] += (double)mean[k] * (double)mean[k];
    }
    m->n_latents += n_latents;
    double ssim, sum = 0;
    int64_t n_frames = 0;
    for (int64_t f = 0; f < a->F; f += 8, n_frames++) { /* one frame a second */
        const int64_t at = f * (n / a->F);
        const reel_status s = reel_ssim(r->env, u8 + at, clip.rgb + at, a->H, a->W, &ssim);
        if (s != REEL_OK) return s;
        sum += ssim;
    }
    m->ssim += sum / (double)n_frames;
    return REEL_OK;
}

/* latents_mean by channel; one deviation for all, so that channels keep the order of energy the
 * linear code gave them. */
static void take_statistics(vae_trainer *r, const measures *m) {
    const int64_t z = r->config.z_dim;
    double variance = 0;
    for (int64_t k = 0; k < z; k++) {
        const double mean = m->sum[k] / (double)m->n_latents;
        r->config.latents_mean[k] = (float)mean;
        variance += (m->square[k] / (double)m->n_latents - mean * mean) / (double)z;
    }
    for (int64_t k = 0; k < z; k++)
        r->config.latents_std[k] = (float)sqrt(fmax(variance, 1e-12));
}

static reel_status open_sheet(const vae_trainer *r, reel_sheet **sheet) {
    reel_sheet_options o = reel_sheet_options_default();
    o.columns = 2 * SHOWN_FRAMES;
    o.cell_width = r->full.width > 16 ? (int)r->full.width : 16;
    o.cell_height = r->full.height > 16 ? (int)r->full.height : 16;
    return reel_sheet_new(r->env, &o, sheet);
}

/* A build without FFmpeg writes no pictures and trains all the same. */
static reel_status write_sheet(const vae_trainer *r, reel_sheet *sheet) {
    char path[4096];
    snprintf(path, sizeof path, "%s/samples", r->options->folder);
    reel_status status = reel_folder_make(r->env, path);
    if (status != REEL_OK) return status;
    snprintf(path, sizeof path, "%s/samples/step-%010lld.png", r->options->folder,
             (long long)reel_learner_steps(r->learner));
    status = reel_sheet_write(sheet, path, NULL);
    if (status != REEL_E_UNSUPPORTED) return status;
    reel_env_clear(r->env);
    return REEL_OK;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts them. */
static double median(double *x, int64_t n) {
    qsort(x, (size_t)n, sizeof *x, by_size);
    return x[n / 2];
}

static void put(reel_json_out *out, const char *key, double x) {
    reel_json_out_key(out, key);
    reel_json_out_real(out, x);
}

static reel_status validate(void *context, reel_json_out *out) {
    vae_trainer *r = context;
    const int64_t z = r->config.z_dim, n = reel_pool_count(r->held_out);
    measures m = {.least = 1e9};
    m.pulse = reel_calloc(r->env, n, sizeof *m.pulse, tag);
    m.sum = reel_calloc(r->env, z, sizeof *m.sum, tag);
    m.square = reel_calloc(r->env, z, sizeof *m.square, tag);
    uint8_t *u8 = reel_alloc(r->env, reel_bucket_bytes(&r->full), tag);
    reel_status status = m.pulse && m.sum && m.square && u8 ? REEL_OK : REEL_E_NOMEM;
    if (status == REEL_OK) status = open_sheet(r, &m.sheet);
    if (status == REEL_OK) status = reel_learner_refresh_average(r->learner);
    for (int64_t i = 0; i < n && status == REEL_OK; i++)
        status = measure_clip(r, i, u8, &m);
    if (status == REEL_OK) status = write_sheet(r, m.sheet);
    reel_sheet_free(&m.sheet);
    if (status == REEL_OK) {
        if (!r->decoder || r->graft) take_statistics(r, &m);
        put(out, "psnr", m.psnr / (double)n);
        put(out, "first_frame_psnr", m.first / (double)n);
        put(out, "least_psnr", m.least);
        put(out, "ssim", m.ssim / (double)n);
        put(out, "pulse", median(m.pulse, n));
        put(out, "latent_std", (double)r->config.latents_std[0]);
    }
    reel_free(r->env, m.pulse);
    reel_free(r->env, m.sum);
    reel_free(r->env, m.square);
    reel_free(r->env, u8);
    return status;
}

static reel_status save(void *context, bool at_end) {
    (void)at_end;
    vae_trainer *r = context;
    reel_params *params;
    reel_status status = reel_learner_export(r->learner, "", true, REEL_BF16, &params);
    if (status != REEL_OK) return status;
    const reel_component_config config = {.kind = REEL_COMPONENT_VAE, .vae = r->config};
    status = reel_save_part(r->env, r->options->folder, &config, params);
    reel_params_free(&params);
    return status;
}

static reel_program *program(void *context) {
    vae_trainer *r = context;
    return r->crops.program;
}

/* ---- the start ---- */

/* The first clip from place i on that has a patch of time; -1: they are all pictures. */
static int64_t moving_clip(const vae_trainer *r, int64_t i, int64_t n) {
    for (int64_t k = 0; k < n; k++)
        if (reel_pool_at(r->pool, (i + k) % n).size->frames > r->factor_t) return (i + k) % n;
    return -1;
}

/* PCA of patches of the first clips, drawn at random places on the latent grid. */
static reel_status make_pca(vae_trainer *r) {
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
            r->pool, moving_clip(r, (int64_t)draw(r, "pca clip", i, (uint64_t)n_clips), n_clips));
        const reel_bucket *s = clip.size;
        const reel_crop crop = {
            .frame = 1 + ft * (int64_t)draw(r, "pca frame", i, (uint64_t)((s->frames - 1) / ft)),
            .y = fs * (int64_t)draw(r, "pca y", i, (uint64_t)(s->height / fs)),
            .x = fs * (int64_t)draw(r, "pca x", i, (uint64_t)(s->width / fs)),
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

static reel_status set_zero(vae_trainer *r, const reel_param *p) {
    float *zero = reel_calloc(r->env, reel_shape_count(&p->shape), sizeof *zero, tag);
    if (!zero) return REEL_E_NOMEM;
    const reel_tensor value = {REEL_F32, p->shape, zero};
    const reel_status status = reel_learner_set(r->learner, p->name, &value);
    reel_free(r->env, zero);
    return status;
}

/* Residual branches begin at nothing, so that a fresh model is its shortcuts: means of pixels. */
static reel_status zero_branches(vae_trainer *r, reel_params *shapes) {
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

static reel_status set(vae_trainer *r, const char *name, reel_shape shape, float *data) {
    return reel_learner_set(r->learner, name, &(reel_tensor){REEL_F32, shape, data});
}

/* The linear path becomes the principal components, and the networks fall silent: the last layer of
 * each begins at nothing, whatever was learned in front of it. */
static reel_status graft_linear_path(vae_trainer *r) {
    const int64_t z = r->config.z_dim, P = patch_elements(r);
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
static reel_status load(vae_trainer *r) {
    reel_component_config config;
    const reel_status status =
        reel_load_part(r->env, r->recipe->vae.init, REEL_COMPONENT_VAE, "", r->learner, &config);
    if (status != REEL_OK) return status;
    r->config = config.vae;
    r->config.linear_path = r->config.linear_path || r->graft;
    return status;
}

/* A linear path that the folder has stays; one that it has not and the recipe asks for is new. */
static reel_status decide_linear_path(vae_trainer *r) {
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

static reel_status open_learner(vae_trainer *r) {
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
    batch shape = {.trainer = r, .B = 1, .F = 1 + r->factor_t, .H = r->factor_s, .W = r->factor_s};
    if (status == REEL_OK) status = reel_learner_declare(r->learner, record_look, &shape);
    if (status == REEL_OK && r->recipe->vae.init[0])
        status = load(r);
    else if (status == REEL_OK && r->decoder)
        status = reel_fail(r->env, REEL_E_ARG,
                           "the decoder's stage needs vae.init: the folder of a "
                           "trained vae");
    else if (status == REEL_OK)
        status = zero_branches(r, reel_learner_declared(r->learner));
    if (status == REEL_OK && (r->graft || pulled(r))) status = make_pca(r);
    if (status == REEL_OK && r->graft) status = graft_linear_path(r);
    if (status == REEL_OK) status = reel_learner_begin(r->learner, (uint64_t)r->recipe->run.seed);
    return status;
}

static reel_status open_data(vae_trainer *r) {
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
static reel_status check_sizes(const vae_trainer *r) {
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

/* The model whose latents these are. */
static reel_status open_mistakes(vae_trainer *r) {
    const char *folder = r->recipe->vae.mistakes;
    if (!folder[0]) return REEL_OK;
    if (!r->decoder || !r->options->mistakes)
        return reel_fail(r->env, REEL_E_ARG,
                         "vae.mistakes: a decoder alone learns to forgive a model");
    if (r->recipe->data.n_buckets > 1)
        return reel_fail(r->env, REEL_E_ARG,
                         "vae.mistakes needs clips of one size, data.buckets has %lld",
                         (long long)r->recipe->data.n_buckets);
    const reel_status status =
        r->options->mistakes(r->env, r->table, folder, &r->full, &r->mistakes);
    if (status != REEL_OK) return status;
    const int64_t wanted = latent_elements(r, &r->clips) / r->clips.B;
    if (r->mistakes.latents == wanted) return REEL_OK;
    return reel_fail(r->env, REEL_E_ARG,
                     "vae.mistakes: a clip has %lld latents in %s, the vae here makes %lld",
                     (long long)r->mistakes.latents, folder, (long long)wanted);
}

static reel_status open_batches(vae_trainer *r) {
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
    return status;
}

reel_status reel_train_vae(reel_env *env, const reel_kernel_table *table,
                           const reel_run_options *options, bool decoder, bool *stopped) {
    vae_trainer r = {.env = env,
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
    if (status == REEL_OK) status = open_learner(&r);
    if (status == REEL_OK) status = open_batches(&r);
    if (status == REEL_OK) status = open_mistakes(&r);
    if (status == REEL_OK) {
        const reel_job job = {.kind = decoder ? "decoder" : "vae",
                              .context = &r,
                              .learner = r.learner,
                              .step = step,
                              .validate = validate,
                              .save = save,
                              .program = program};
        status = reel_run(env, &job, options, stopped);
    } else if (status == REEL_E_CANCELLED) {
        reel_env_clear(env);
        *stopped = true;
        status = REEL_OK;
    }
    close_batch(&r, &r.crops);
    close_batch(&r, &r.clips);
    close_batch(&r, &r.look);
    reel_free(env, r.pca_w);
    reel_free(env, r.pca_b);
    reel_free(env, r.pca_inverse);
    reel_free(env, r.pca_mean);
    reel_pool_free(&r.pool);
    reel_pool_free(&r.held_out);
    reel_material_close(&r.material);
    if (r.mistakes.model) r.mistakes.close(&r.mistakes);
    reel_learner_free(&r.learner);
    return status;
}
