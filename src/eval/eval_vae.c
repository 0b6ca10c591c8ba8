/* How near held-out clips come back from the autoencoder. */
#include <math.h>
#include <stdlib.h>

#include "data/quality.h"
#include "eval/eval_state.h"

/* Sums over clips. */
typedef struct sums {
    double psnr, first, least, ssim;
    double edge[2];    /* |step of the error| between neighbours: inside latents, across edges */
    int64_t n_edge[2]; /* how many of each */
} sums;

/* The error's steps from a pixel to the next. Where latents meet they are no larger than elsewhere,
 * unless there are seams. */
static void add_steps(const reel_eval *e, sums *s) {
    const int64_t H = e->size.height, W = e->size.width, fs = reel_eval_model_factor_s(e->model);
    for (int64_t i = 0; i < reel_bucket_bytes(&e->size); i++) {
        const int64_t x = i / 3 % W, y = i / 3 / W % H;
        const int error = (int)e->made[i] - (int)e->real[i];
        if (x > 0) {
            s->edge[x % fs == 0] += abs(error - ((int)e->made[i - 3] - (int)e->real[i - 3]));
            s->n_edge[x % fs == 0]++;
        }
        if (y > 0) {
            const int64_t above = i - 3 * W;
            s->edge[y % fs == 0] += abs(error - ((int)e->made[above] - (int)e->real[above]));
            s->n_edge[y % fs == 0]++;
        }
    }
}

static reel_status add_clip(reel_eval *e, sums *s) {
    const int64_t n = reel_bucket_bytes(&e->size), frame = n / e->size.frames;
    const int64_t every = (int64_t)fmax(1, e->o->fps); /* SSIM of a frame a second */
    const double psnr = reel_psnr(reel_mean_square(e->made, e->real, n));
    double sum = 0, ssim;
    int64_t n_frames = 0;
    s->psnr += psnr;
    s->least = fmin(s->least, psnr);
    s->first += reel_psnr(reel_mean_square(e->made, e->real, frame));
    for (int64_t f = 0; f < e->size.frames; f += every, n_frames++) {
        const reel_status status = reel_ssim(e->env, e->made + f * frame, e->real + f * frame,
                                             e->size.height, e->size.width, &ssim);
        if (status != REEL_OK) return status;
        sum += ssim;
    }
    s->ssim += sum / (double)n_frames;
    add_steps(e, s);
    return REEL_OK;
}

static reel_status report(reel_eval *e, const sums *s, int64_t n) {
    const char *const group = "held-out clips";
    const struct {
        const char *name;
        double value;
    } row[] = {{"psnr", s->psnr / (double)n},
               {"first_frame_psnr", s->first / (double)n},
               {"least_psnr", s->least},
               {"ssim", s->ssim / (double)n},
               {"seams",
                s->edge[1] / (double)s->n_edge[1] / fmax(s->edge[0] / (double)s->n_edge[0], 1e-9)}};
    reel_status status = REEL_OK;
    for (size_t i = 0; i < sizeof row / sizeof *row && status == REEL_OK; i++)
        if (isfinite(row[i].value))
            status = reel_eval_add(e, "vae", group, row[i].name, row[i].value, (double)NAN, n);
    return status;
}

reel_status reel_eval_vae(reel_eval *e) {
    const reel_world_source held = {
        .seed = e->o->seed, .split = REEL_SOURCE_VALIDATION, .fps = (float)e->o->fps};
    const int64_t n = reel_eval_fewer(e);
    float *latents =
        reel_alloc(e->env, reel_eval_model_latents(e->model) * (int64_t)sizeof *latents, "eval");
    reel_status status = latents ? REEL_OK : REEL_E_NOMEM;
    sums s = {.least = 1000};
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        status = reel_eval_told(e, "vae", i, n);
        if (status == REEL_OK) status = reel_world_source_clip(e->env, &held, i, &e->size, e->real);
        if (status == REEL_OK) status = reel_eval_model_encode(e->model, e->real, latents);
        if (status == REEL_OK) status = reel_eval_model_decode(e->model, latents, e->made);
        if (status == REEL_OK) status = add_clip(e, &s);
    }
    reel_free(e->env, latents);
    return status == REEL_OK ? report(e, &s, n) : status;
}
