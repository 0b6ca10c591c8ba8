#include "pipeline/known.h"

#include <string.h>

#include "media/video_reader.h"

static const char tag_known[] = "known";

/* ---- frames for the encoder ---- */

/* A file's frames as an encoder takes them: perhaps the first one twice, and the last one for as
 * long as it is asked. */
typedef struct feed {
    const reel_known_options *o;
    const reel_task_input *input;
    reel_video_reader *reader;
    reel_env *env;
    uint8_t *pixels; /* [H,W,3], the frame read last */
    int64_t n_read;
    bool doubled; /* encoded frame 0 is a copy of frame 1 */
} feed;

static reel_status next_frame(feed *f) {
    bool got;
    const reel_status status = reel_video_reader_next(f->reader, f->pixels, &got);
    if (status != REEL_OK) return status;
    const int64_t at = f->input->from + f->n_read, end = f->input->from + f->input->n;
    if (!got)
        return reel_fail(f->env, REEL_E_FORMAT, "%s: ends after %lld frames, wanted %lld",
                         f->input->path, (long long)at, (long long)end);
    f->n_read++;
    return REEL_OK;
}

static reel_status feed_open(reel_env *env, const reel_known_options *o, const reel_job *task,
                             const reel_task_input *input, feed *f) {
    *f = (feed){.o = o, .input = input, .env = env, .doubled = input->at > 0};
    f->pixels = reel_alloc(env, 3 * o->width * o->height, tag_known);
    if (!f->pixels) return REEL_E_NOMEM;
    reel_reader_options options = reel_reader_options_default();
    options.width = (int)o->width;
    options.height = (int)o->height;
    options.fit = task->fit;
    reel_status status = reel_video_reader_open(env, input->path, &options, &f->reader);
    for (int64_t i = 0; i < input->from && status == REEL_OK; i++)
        status = next_frame(f);
    f->n_read = 0;
    return status;
}

static void feed_close(feed *f) {
    reel_video_reader_close(&f->reader);
    reel_free(f->env, f->pixels);
}

static reel_status read_frames(void *context, int64_t first, int64_t n, float *pixels) {
    feed *f = context;
    const int64_t size = 3 * f->o->width * f->o->height;
    reel_status status = f->o->tick ? f->o->tick(f->o->context) : REEL_OK;
    for (int64_t i = first; i < first + n && status == REEL_OK; i++) {
        const int64_t wanted = f->doubled && i > 0 ? i - 1 : i;
        if (wanted >= f->n_read && f->n_read < f->input->n) status = next_frame(f);
        float *to = pixels + (i - first) * size;
        for (int64_t k = 0; k < size && status == REEL_OK; k++)
            to[k] = (float)f->pixels[k] * (2.0f / 255.0f) - 1.0f;
    }
    return status;
}

/* ---- inputs ---- */

static reel_status put_input(reel_env *env, const reel_job *task, const reel_task_input *input,
                             reel_wan_vae_stream *stream, const reel_known_options *o,
                             reel_canvas *canvas) {
    const int64_t frame = canvas->h * canvas->w;
    feed f;
    reel_status status = feed_open(env, o, task, input, &f);
    const int64_t lead = f.doubled, n = input->latents + lead;
    float *mean = NULL;
    if (status == REEL_OK) {
        mean = reel_alloc(env, canvas->C * n * frame * (int64_t)sizeof *mean, tag_known);
        if (!mean) status = REEL_E_NOMEM;
    }
    if (status == REEL_OK) {
        reel_wan_vae_stream_begin(stream);
        status = reel_wan_vae_encoder_run(stream, read_frames, &f, n, mean, NULL);
    }
    for (int64_t c = 0; lead && status == REEL_OK && c < canvas->C; c++) /* drop the copy's */
        memmove(mean + c * input->latents * frame, mean + (c * n + 1) * frame,
                (size_t)(input->latents * frame) * sizeof *mean);
    if (status == REEL_OK)
        status = reel_canvas_put(canvas, input->at, input->latents, mean, input->level);
    reel_free(env, mean);
    feed_close(&f);
    return status;
}

/* ---- the mask ---- */

/* The part of the pixels of latent (y,x) that is white. */
static float white_part(const reel_picture *mask, int64_t y, int64_t x, int64_t h, int64_t w) {
    const int64_t side_y = mask->height / h, side_x = mask->width / w;
    int64_t sum = 0;
    for (int64_t i = y * side_y; i < (y + 1) * side_y; i++)
        for (int64_t j = x * side_x; j < (x + 1) * side_x; j++)
            sum += mask->pixels[3 * (i * mask->width + j) + 1];
    return (float)sum / (float)(255 * side_y * side_x);
}

/* Positions that are at most half white are kept, the others start from the task's level. */
static reel_status put_mask(reel_env *env, const reel_known_options *o, const reel_job *task,
                            reel_canvas *canvas) {
    reel_picture stored = {0}, mask = {0};
    const int64_t n = reel_canvas_positions(canvas), frame = canvas->h * canvas->w;
    float *level = reel_alloc(env, n * (int64_t)sizeof *level, tag_known);
    if (!level) return REEL_E_NOMEM;
    reel_status status = reel_picture_read(env, task->mask, &stored);
    if (status == REEL_OK) status = reel_picture_init(env, (int)o->width, (int)o->height, &mask);
    if (status == REEL_OK) status = reel_picture_fit(env, &stored, task->fit, &mask);
    bool any = false;
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        const int64_t at = i % frame;
        const float white = white_part(&mask, at / canvas->w, at % canvas->w, canvas->h, canvas->w);
        level[i] = white > 0.5f ? (float)task->input[0].level : 0;
        any = any || white > 0.5f;
    }
    if (status == REEL_OK && !any)
        status = reel_fail(env, REEL_E_ARG,
                           "%s: nothing of the mask is white, so nothing is left to be changed",
                           task->mask);
    if (status == REEL_OK) status = reel_canvas_mask(canvas, 0, canvas->F, level);
    reel_picture_deinit(env, &stored);
    reel_picture_deinit(env, &mask);
    reel_free(env, level);
    return status;
}

reel_status reel_known_put(reel_env *env, const reel_known_options *o, const reel_job *task,
                           reel_canvas *canvas) {
    if (!task->n_inputs) return REEL_OK;
    const reel_wan_vae_stream_options options = {.params = o->params,
                                                 .table = o->table,
                                                 .compute = o->compute,
                                                 .height = o->height,
                                                 .width = o->width};
    reel_wan_vae_stream *stream = NULL;
    reel_status status = reel_wan_vae_encoder_open(env, o->config, &options, &stream);
    for (int i = 0; i < task->n_inputs && status == REEL_OK; i++)
        status = put_input(env, task, &task->input[i], stream, o, canvas);
    reel_wan_vae_stream_close(&stream);
    if (status == REEL_OK && task->mask) status = put_mask(env, o, task, canvas);
    if (status == REEL_OK) reel_canvas_align(canvas, o->patch);
    return status;
}
