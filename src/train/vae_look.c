/* What a run of the autoencoder tells of itself: pictures held out, beside what becomes of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "data/quality.h"
#include "data/steps.h"
#include "media/sheet.h"
#include "train/vae_state.h"

enum { SHOWN_CLIPS = 5, SHOWN_FRAMES = 3 };
static const char tag[] = "vae look";

/* Sums over the held-out clips. */
typedef struct measures {
    reel_sheet *sheet; /* of the first clips, or NULL */
    double psnr, first, least, ssim;
    double *pulse;        /* [clips] */
    double *sum, *square; /* [z] of latents */
    int64_t n_latents;
} measures;

/* First, middle and last frame, each beside what became of it. */
static reel_status show_clip(const reel_vae_trainer *r, const reel_pool_clip *clip,
                             uint8_t *decoded, double psnr, reel_sheet *sheet) {
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

static reel_status measure_clip(reel_vae_trainer *r, int64_t i, uint8_t *u8, measures *m) {
    reel_vae_batch *a = &r->look;
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
    const int64_t n_latents = reel_vae_latents(r, a) / z;
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
static void take_statistics(reel_vae_trainer *r, const measures *m) {
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

static reel_status open_sheet(const reel_vae_trainer *r, reel_sheet **sheet) {
    reel_sheet_options o = reel_sheet_options_default();
    o.columns = 2 * SHOWN_FRAMES;
    o.cell_width = r->full.width > 16 ? (int)r->full.width : 16;
    o.cell_height = r->full.height > 16 ? (int)r->full.height : 16;
    return reel_sheet_new(r->env, &o, sheet);
}

/* A build without FFmpeg writes no pictures and trains all the same. */
static reel_status write_sheet(const reel_vae_trainer *r, reel_sheet *sheet) {
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

reel_status reel_vae_validate(void *context, reel_json_out *out) {
    reel_vae_trainer *r = context;
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
