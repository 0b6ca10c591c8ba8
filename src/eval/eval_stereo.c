/* How well the depth head places held-out clips before a second eye, against the renderer's own
 * second camera. What the exact depth gives stands beside it as what real renders give.
 */
#include <math.h>
#include <stdio.h>

#include "base/path.h"
#include "data/depth.h"
#include "data/quality.h"
#include "eval/eval_state.h"
#include "media/stereo.h"
#include "models/depth/depth.h"
#include "zoo/depth.h"

static const char tag[] = "eval";
static const float eye_m = 0.25f; /* as the second camera of `reel world --stereo` */

typedef struct stereo {
    reel_eval *e;
    reel_depth_model *depth;
    float *latents, *truth, *said; /* [z,f,h,w], [F,H,W], [F,H,W] */
    uint8_t *right, *view;         /* [F,H,W,3] */
    float gain;                    /* pixels of nearness 1 */
    double error, parallax;        /* sums of pixels over clips */
    double off;                    /* likewise, of places more than a pixel off */
    double psnr[3];                /* of views by the head, by the truth, and of the first eye */
} stereo;

static reel_status keep(void *context, int64_t first, int64_t n, const float *nearness) {
    stereo *s = context;
    const int64_t frame = s->e->size.width * s->e->size.height;
    for (int64_t i = 0; i < n * frame; i++)
        s->said[first * frame + i] = nearness[i];
    return REEL_OK;
}

/* How like the second camera's clip the view is that is drawn by some depth. */
static reel_status compare(stereo *s, const float *nearness, double *psnr) {
    const reel_bucket *b = &s->e->size;
    const int64_t frame = b->width * b->height;
    const reel_view_shift shift = {.gain = s->gain};
    for (int64_t f = 0; f < b->frames; f++) {
        const reel_status status =
            reel_view_draw(s->e->env, s->e->real + f * 3 * frame, nearness + f * frame,
                           (int)b->width, (int)b->height, shift, s->view + f * 3 * frame);
        if (status != REEL_OK) return status;
    }
    *psnr += reel_psnr(reel_mean_square(s->view, s->right, reel_bucket_bytes(b)));
    return REEL_OK;
}

static reel_status add_clip(stereo *s, const reel_world_source *held, int64_t i) {
    reel_eval *e = s->e;
    const reel_bucket *b = &e->size;
    const reel_depth_config *c = reel_depth_config_of(s->depth);
    const int64_t n = b->frames * b->width * b->height, bytes = reel_bucket_bytes(b);
    reel_status status = reel_world_source_eye(e->env, held, i, b, eye_m, s->right, NULL);
    if (status == REEL_OK) status = reel_world_source_eye(e->env, held, i, b, 0, e->real, s->truth);
    if (status == REEL_OK) status = reel_eval_model_encode(e->model, e->real, s->latents);
    if (status == REEL_OK)
        status = reel_depth_run(s->depth, s->latents, 1 + (b->frames - 1) / c->factor_t,
                                b->height / c->factor_s, b->width / c->factor_s, keep, s);
    if (status == REEL_OK) status = compare(s, s->said, &s->psnr[0]);
    if (status == REEL_OK) status = compare(s, s->truth, &s->psnr[1]);
    if (status != REEL_OK) return status;
    s->psnr[2] += reel_psnr(reel_mean_square(e->real, s->right, bytes));
    for (int64_t k = 0; k < n; k++) {
        const double pixels = (double)(fabsf(s->said[k] - s->truth[k]) * s->gain);
        s->error += pixels / (double)n;
        s->off += (pixels > 1) / (double)n;
        s->parallax += (double)(s->truth[k] * s->gain) / (double)n;
    }
    return REEL_OK;
}

static reel_status report(reel_eval *e, const stereo *s, int64_t n) {
    const char *const group = "held-out clips";
    const double clips = (double)n, none = (double)NAN;
    const struct {
        const char *name;
        double value, real;
    } row[] = {{"disparity_px", s->parallax / clips, none},
               {"disparity_error_px", s->error / clips, none},
               {"more_than_a_pixel_off", s->off / clips, none},
               {"second_view_psnr", s->psnr[0] / clips, s->psnr[1] / clips},
               {"first_view_psnr", s->psnr[2] / clips, none}};
    reel_status status = REEL_OK;
    for (size_t i = 0; i < sizeof row / sizeof *row && status == REEL_OK; i++)
        status = reel_eval_add(e, "stereo", group, row[i].name, row[i].value, row[i].real, n);
    return status;
}

static reel_status take_memory(stereo *s) {
    const reel_eval *e = s->e;
    const int64_t bytes = reel_bucket_bytes(&e->size), n = bytes / 3;
    s->latents = reel_calloc(e->env, reel_eval_model_latents(e->model), sizeof *s->latents, tag);
    s->truth = reel_calloc(e->env, n, sizeof *s->truth, tag);
    s->said = reel_calloc(e->env, n, sizeof *s->said, tag);
    s->right = reel_alloc(e->env, bytes, tag);
    s->view = reel_alloc(e->env, bytes, tag);
    return s->latents && s->truth && s->said && s->right && s->view ? REEL_OK : REEL_E_NOMEM;
}

static reel_status measure(stereo *s) {
    reel_eval *e = s->e;
    const reel_world_source held = {
        .seed = e->o->seed, .split = REEL_SOURCE_VALIDATION, .fps = (float)e->o->fps};
    const int64_t n = reel_eval_fewer(e);
    reel_status status = take_memory(s);
    s->gain =
        eye_m * 0.5f * (float)(e->size.width < e->size.height ? e->size.width : e->size.height);
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        status = reel_eval_told(e, "stereo", i, n);
        if (status == REEL_OK) status = add_clip(s, &held, i);
    }
    return status == REEL_OK ? report(e, s, n) : status;
}

/* A folder without a head, or one of an autoencoder alone, has nothing to be measured, which is an
 * error only when this part was asked for. */
static reel_status open_head(reel_eval *e, reel_depth_model **depth) {
    reel_folder *folder;
    char path[4096];
    snprintf(path, sizeof path, "%s/depth/config.json", e->o->model);
    if (e->o->parts == REEL_EVAL_ALL && reel_path_look(path) != REEL_PATH_FILE) return REEL_OK;
    reel_status status = reel_folder_open(e->env, e->o->model, &folder);
    if (status != REEL_OK) return status;
    status = reel_folder_depth(e->env, folder, e->o->table, depth);
    reel_folder_close(&folder);
    return status;
}

reel_status reel_eval_stereo(reel_eval *e) {
    stereo s = {.e = e};
    reel_status status = open_head(e, &s.depth);
    if (status == REEL_OK && s.depth) status = measure(&s);
    reel_depth_close(&s.depth);
    reel_free(e->env, s.latents);
    reel_free(e->env, s.truth);
    reel_free(e->env, s.said);
    reel_free(e->env, s.right);
    reel_free(e->env, s.view);
    return status;
}
