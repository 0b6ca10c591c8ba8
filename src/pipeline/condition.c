#include "pipeline/condition.h"

#include <string.h>

#include "media/video_reader.h"
#include "ops/ops.h"

static const char tag_condition[] = "condition";

void reel_condition_deinit(reel_env *env, reel_condition *condition) {
    reel_free(env, condition->channels);
    reel_free(env, condition->rows);
    *condition = (reel_condition){0};
}

/* ---- channels ---- */

/* A clip that is grey but for a picture at its beginning and perhaps one at its end. */
typedef struct grey_clip {
    const reel_known_options *o;
    reel_picture picture[2]; /* fitted; no pixels: none */
    int64_t last;            /* index of the last frame */
} grey_clip;

static reel_status read_frames(void *context, int64_t first, int64_t n, float *pixels) {
    const grey_clip *clip = context;
    const int64_t size = 3 * clip->o->width * clip->o->height;
    for (int64_t i = first; i < first + n; i++) {
        float *to = pixels + (i - first) * size;
        const uint8_t *from = i == 0            ? clip->picture[0].pixels
                              : i == clip->last ? clip->picture[1].pixels
                                                : NULL;
        for (int64_t k = 0; k < size; k++)
            to[k] = from ? (float)from[k] * (2.0f / 255.0f) - 1.0f : 0;
    }
    return clip->o->tick ? clip->o->tick(clip->o->context) : REEL_OK;
}

static reel_status read_picture(reel_env *env, const reel_known_options *o, const reel_job *task,
                                const char *path, reel_picture *picture) {
    reel_picture stored = {0};
    reel_status status = reel_picture_read(env, path, &stored);
    if (status == REEL_OK) status = reel_picture_init(env, (int)o->width, (int)o->height, picture);
    if (status == REEL_OK) status = reel_picture_fit(env, &stored, task->fit, picture);
    reel_picture_deinit(env, &stored);
    return status;
}

/* Every frame of video has a flag in its latent frame's channels; latent frame 0 stands for one
 * frame and repeats its flag. flags [factor,F,h,w], zeroed. */
static void set_flags(const reel_job *task, int64_t F, int64_t positions, float *flags) {
    for (int i = 0; i < task->n_inputs; i++) {
        const int64_t at = task->input[i].at;
        for (int64_t c = at == 0 ? 0 : task->factor - 1; c < task->factor; c++)
            for (int64_t k = 0; k < positions; k++)
                flags[(c * F + at) * positions + k] = 1;
    }
}

static reel_status encode(reel_env *env, grey_clip *clip, int64_t F, float *latents) {
    const reel_known_options *o = clip->o;
    const reel_wan_vae_stream_options options = {.params = o->params,
                                                 .table = o->table,
                                                 .compute = o->compute,
                                                 .height = o->height,
                                                 .width = o->width,
                                                 .tile_height = o->tile[0],
                                                 .tile_width = o->tile[1],
                                                 .stride_height = o->stride[0],
                                                 .stride_width = o->stride[1]};
    reel_wan_vae_stream *stream = NULL;
    reel_status status = reel_wan_vae_encoder_open(env, o->config, &options, &stream);
    if (status == REEL_OK)
        status = reel_wan_vae_encoder_run(stream, read_frames, clip, F, latents, NULL);
    reel_wan_vae_stream_close(&stream);
    return status;
}

reel_status reel_condition_encode(reel_env *env, const reel_known_options *o, const reel_job *task,
                                  int64_t F, int64_t h, int64_t w, reel_condition *condition) {
    const int64_t flags = task->factor * F * h * w, latents = o->config->z_dim * F * h * w;
    grey_clip clip = {.o = o, .last = (F - 1) * task->factor};
    float *channels = reel_calloc(env, flags + latents, sizeof *channels, tag_condition);
    if (!channels) return REEL_E_NOMEM;
    reel_status status = REEL_OK;
    for (int i = 0; i < task->n_inputs && status == REEL_OK; i++)
        status =
            read_picture(env, o, task, task->input[i].path, &clip.picture[task->input[i].at > 0]);
    if (status == REEL_OK) set_flags(task, F, h * w, channels);
    if (status == REEL_OK) status = encode(env, &clip, F, channels + flags);
    for (int i = 0; i < 2; i++)
        reel_picture_deinit(env, &clip.picture[i]);
    if (status == REEL_OK)
        condition->channels = channels;
    else
        reel_free(env, channels);
    return status;
}

/* ---- rows ---- */

reel_status reel_condition_plan_look(reel_env *env, const reel_image_encoder *e, float *pixels,
                                     reel_look *look) {
    const reel_clip_vision_config *c = e->config;
    const reel_shape shape = REEL_SHAPE(1, 3, c->image_size, c->image_size);
    reel_plan_options options = reel_plan_options_default();
    options.dry = !pixels;
    *look = (reel_look){0};
    reel_status status = reel_ops_tape_new(env, &look->tape);
    if (status != REEL_OK) return status;
    reel_nn nn = reel_nn_start(look->tape, e->params, e->compute);
    const reel_var x = reel_tape_input(look->tape, REEL_F32, shape, "picture", pixels);
    look->out = reel_clip_vision(&nn, c, x, c->num_hidden_layers - 1); /* [1,T,C] */
    reel_tape_keep(look->tape, look->out);
    status = reel_plan_new(look->tape, e->table, &options, &look->plan);
    if (status != REEL_OK) reel_condition_unplan_look(look);
    return status;
}

void reel_condition_unplan_look(reel_look *look) {
    reel_plan_free(&look->plan);
    reel_tape_free(&look->tape);
}

static reel_status look_at(reel_env *env, const reel_image_encoder *e, float *pixels, float *rows) {
    const reel_clip_vision_config *c = e->config;
    reel_look look;
    reel_streaming streaming = {0};
    reel_status status = reel_condition_plan_look(env, e, pixels, &look);
    if (status == REEL_OK)
        status = reel_streaming_init(env, e->files, e->params, look.plan, e->tick, e->tick_context,
                                     &streaming);
    if (status == REEL_OK) status = reel_plan_run(look.plan, NULL);
    if (status == REEL_OK)
        memcpy(rows, reel_plan_data(look.plan, look.out),
               (size_t)(reel_clip_vision_rows(c) * c->hidden_size) * sizeof *rows);
    reel_streaming_deinit(&streaming);
    reel_condition_unplan_look(&look);
    return status;
}

reel_status reel_condition_look(reel_env *env, const reel_image_encoder *e, const char *path,
                                reel_condition *condition) {
    const int64_t S = e->config->image_size, T = reel_clip_vision_rows(e->config);
    reel_picture stored = {0};
    reel_status status = reel_picture_read(env, path, &stored);
    float *pixels = NULL, *rows = NULL;
    if (status == REEL_OK) {
        pixels = reel_alloc(env, 3 * S * S * (int64_t)sizeof *pixels, tag_condition);
        rows = reel_alloc(env, T * e->config->hidden_size * (int64_t)sizeof *rows, tag_condition);
        if (!pixels || !rows) status = REEL_E_NOMEM;
    }
    if (status == REEL_OK) {
        const reel_clip_picture picture = {
            .pixels = stored.pixels, .H = stored.height, .W = stored.width};
        reel_clip_preprocess(&picture, S, pixels);
        status = look_at(env, e, pixels, rows);
    }
    reel_picture_deinit(env, &stored);
    reel_free(env, pixels);
    if (status != REEL_OK) {
        reel_free(env, rows);
        return status;
    }
    condition->rows = rows;
    condition->n_rows = T;
    condition->dim = e->config->hidden_size;
    return REEL_OK;
}
