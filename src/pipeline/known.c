#include "pipeline/known.h"

#include <math.h>
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
                             const reel_task_input *input, bool doubled, feed *f) {
    *f = (feed){.o = o, .input = input, .env = env, .doubled = doubled};
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

/* Latent frames [from, end) of the task's canvas. */
typedef struct range {
    int64_t from, end;
} range;

static range of_window(const reel_window *w) {
    return (range){w->at, w->at + w->known + w->fresh};
}

/* What lies in both; empty when from is not below end. */
static range overlap(const reel_task_input *input, const reel_window *w) {
    const range own = of_window(w);
    const int64_t end = input->at + input->latents;
    return (range){own.from > input->at ? own.from : input->at, own.end < end ? own.end : end};
}

bool reel_known_touches(const reel_job *task, const reel_window *w) {
    for (int i = 0; i < task->n_inputs; i++) {
        const range r = overlap(&task->input[i], w);
        if (r.from < r.end) return true;
    }
    return false;
}

/* An input at the canvas' beginning, of which only latents r are wanted: its first frame is then
 * the last one that latent r.from stands for, and the rest falls into place behind it. */
static reel_task_input cut_input(const reel_task_input *input, int64_t factor, range r) {
    reel_task_input cut = *input;
    if (input->at > 0 || (r.from == 0 && r.end == input->latents)) return cut;
    const int64_t skip = r.from * factor < input->n ? r.from * factor : input->n - 1;
    const int64_t most = 1 + (r.end - r.from - 1) * factor;
    cut.at = r.from;
    cut.latents = r.end - r.from;
    cut.from += skip;
    cut.n = input->n - skip < most ? input->n - skip : most;
    return cut;
}

typedef struct encoding {
    reel_env *env;
    const reel_known_options *o;
    const reel_job *task;
    reel_wan_vae_stream *stream;
} encoding;

/* The latents r of an input, [C,r,h,w], to be freed by the caller. */
static reel_status encode_input(const encoding *e, const reel_task_input *input, range r, int64_t C,
                                int64_t frame, float **latents) {
    const bool doubled = input->at > 0;
    const reel_task_input cut = cut_input(input, e->task->factor, r);
    feed f;
    reel_status status = feed_open(e->env, e->o, e->task, &cut, doubled, &f);
    const int64_t n = cut.latents + doubled, wanted = r.end - r.from;
    float *mean = NULL;
    if (status == REEL_OK) {
        mean = reel_alloc(e->env, C * n * frame * (int64_t)sizeof *mean, tag_known);
        if (!mean) status = REEL_E_NOMEM;
    }
    if (status == REEL_OK) {
        reel_wan_vae_stream_begin(e->stream);
        status = reel_wan_vae_encoder_run(e->stream, read_frames, &f, n, mean, NULL);
    }
    feed_close(&f);
    for (int64_t c = 0; status == REEL_OK && wanted < n && c < C; c++) /* the others are dropped */
        memmove(mean + c * wanted * frame, mean + (c * n + doubled + r.from - cut.at) * frame,
                (size_t)(wanted * frame) * sizeof *mean);
    if (status == REEL_OK)
        *latents = mean;
    else
        reel_free(e->env, mean);
    return status;
}

/* How much of clip 1 a blend has at latent frame i. */
static double weight_at(const reel_job *task, int64_t i) {
    const double at = task->F > 1 ? (double)i / (double)(task->F - 1) : 0;
    const reel_curve_point *p = task->curve;
    int k = 1;
    while (k < task->n_curve - 1 && p[k].at < at)
        k++;
    const double gap = p[k].at - p[k - 1].at;
    const double part = gap > 0 ? (at - p[k - 1].at) / gap : 1;
    return p[k - 1].weight + (p[k].weight - p[k - 1].weight) * fmin(fmax(part, 0), 1);
}

/* Clip 1 over clip 0, which is there: where both show, neither can stay as it is. */
static void put_blend(const reel_job *task, int64_t at, range r, const float *latents,
                      reel_canvas *canvas) {
    const int64_t frame = canvas->h * canvas->w, n = r.end - r.from;
    for (int64_t i = 0; i < n; i++) {
        const double weight = weight_at(task, r.from + i);
        const double level = task->input[1].level * 4 * weight * (1 - weight);
        for (int64_t c = 0; c < canvas->C; c++)
            for (int64_t k = 0; k < frame; k++) {
                float *to = &canvas->known[(c * canvas->F + at + i) * frame + k];
                *to = (float)((1 - weight) * (double)*to +
                              weight * (double)latents[(c * n + i) * frame + k]);
            }
        for (int64_t k = 0; k < frame; k++)
            canvas->level[(at + i) * frame + k] = (float)level;
    }
}

static reel_status put_input(const encoding *e, int index, const reel_window *w,
                             reel_canvas *canvas) {
    const reel_task_input *input = &e->task->input[index];
    const range r = overlap(input, w);
    if (r.from >= r.end) return REEL_OK;
    const int64_t at = w->anchor + r.from - w->at;
    float *latents = NULL;
    reel_status status = encode_input(e, input, r, canvas->C, canvas->h * canvas->w, &latents);
    if (status == REEL_OK && e->task->n_curve && index == 1)
        put_blend(e->task, at, r, latents, canvas);
    else if (status == REEL_OK)
        status = reel_canvas_put(canvas, at, r.end - r.from, latents, input->level);
    reel_free(e->env, latents);
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

/* Adds a frame of the mask to white [h,w]. */
static void add_white(const reel_picture *mask, const reel_canvas *canvas, float *white) {
    for (int64_t i = 0; i < canvas->h * canvas->w; i++)
        white[i] += white_part(mask, i / canvas->w, i % canvas->w, canvas->h, canvas->w);
}

/* A mask that is read along with the canvas: a picture is the same at any time. */
typedef struct mask_reader {
    reel_video_reader *reader;
    reel_picture picture;
    int64_t n_read; /* frames */
    bool moves;
} mask_reader;

static reel_status mask_open(reel_env *env, const reel_known_options *o, const reel_job *task,
                             mask_reader *m) {
    reel_reader_options options = reel_reader_options_default();
    options.width = (int)o->width;
    options.height = (int)o->height;
    options.fit = task->fit;
    m->moves = task->mask_moves;
    reel_status status = reel_picture_init(env, (int)o->width, (int)o->height, &m->picture);
    if (status == REEL_OK) status = reel_video_reader_open(env, task->mask, &options, &m->reader);
    return status;
}

/* Reads up to frame `frame`. Behind the last one that one holds. */
static reel_status mask_read(mask_reader *m, int64_t frame) {
    bool got = true;
    reel_status status = REEL_OK;
    while (status == REEL_OK && got && m->n_read <= (m->moves ? frame : 0)) {
        status = reel_video_reader_next(m->reader, m->picture.pixels, &got);
        m->n_read++;
    }
    return status;
}

/* white [h,w]: the mean of the mask over the frames of latent i. */
static reel_status mask_latent(mask_reader *m, int64_t i, int64_t factor, const reel_canvas *canvas,
                               float *white) {
    const int64_t first = i ? 1 + (i - 1) * factor : 0, n = i ? factor : 1;
    memset(white, 0, (size_t)(canvas->h * canvas->w) * sizeof *white);
    for (int64_t k = 0; k < n; k++) {
        const reel_status status = mask_read(m, first + k);
        if (status != REEL_OK) return status;
        add_white(&m->picture, canvas, white);
    }
    for (int64_t k = 0; k < canvas->h * canvas->w; k++)
        white[k] /= (float)n;
    return REEL_OK;
}

/* Positions that are at most half white are kept, the others start from the task's level. */
static reel_status put_mask(reel_env *env, const reel_known_options *o, const reel_job *task,
                            const reel_window *w, reel_canvas *canvas) {
    const int64_t frame = canvas->h * canvas->w;
    float *level = reel_alloc(env, frame * (int64_t)sizeof *level, tag_known);
    if (!level) return REEL_E_NOMEM;
    mask_reader m = {0};
    reel_status status = mask_open(env, o, task, &m);
    bool any = false;
    for (int64_t i = 0; i < w->known + w->fresh && status == REEL_OK; i++) {
        status = mask_latent(&m, w->at + i, task->factor, canvas, level);
        for (int64_t k = 0; k < frame && status == REEL_OK; k++) {
            any = any || level[k] > 0.5f;
            level[k] = level[k] > 0.5f ? (float)task->input[0].level : 0;
        }
        if (status == REEL_OK) status = reel_canvas_mask(canvas, w->anchor + i, 1, level);
    }
    const bool is_all = !m.moves || w->known + w->fresh == task->F;
    if (status == REEL_OK && !any && is_all)
        status = reel_fail(env, REEL_E_ARG,
                           "%s: nothing of the mask is white, so nothing is left to be changed",
                           task->mask);
    reel_video_reader_close(&m.reader);
    reel_picture_deinit(env, &m.picture);
    reel_free(env, level);
    return status;
}

reel_status reel_known_put(reel_env *env, const reel_known_options *o, const reel_job *task,
                           const reel_window *w, reel_canvas *canvas) {
    if (!reel_known_touches(task, w)) return REEL_OK;
    const reel_wan_vae_stream_options options = {.params = o->params,
                                                 .table = o->table,
                                                 .compute = o->compute,
                                                 .height = o->height,
                                                 .width = o->width};
    encoding e = {.env = env, .o = o, .task = task};
    reel_status status = reel_wan_vae_encoder_open(env, o->config, &options, &e.stream);
    for (int i = 0; i < task->n_inputs && status == REEL_OK; i++)
        status = put_input(&e, i, w, canvas);
    reel_wan_vae_stream_close(&e.stream);
    if (status == REEL_OK && task->mask) status = put_mask(env, o, task, w, canvas);
    if (status == REEL_OK) reel_canvas_align(canvas, o->patch);
    return status;
}
