/* From latents to files: the output, the parts of a long run, and what a stopped one leaves. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "media/video_reader.h"
#include "pipeline/making_state.h"
#include "pipeline/splice.h"

reel_status reel_making_open_writer(reel_making *r, const char *path, bool with_recipe,
                                    reel_video_writer **writer) {
    const reel_settings *s = &r->g->settings;
    reel_video_options o = reel_video_options_default();
    o.width = (int)s->width;
    o.height = (int)s->height;
    o.fps = (reel_rational){s->fps_num, s->fps_den};
    o.comment = with_recipe ? r->provenance : NULL;
    return reel_video_writer_open(r->env, path, &o, writer);
}

/* ---- what is there ---- */

/* Others copy a recipe with what they cut out of a file: frames are counted, too. */
static bool is_ours(const reel_making *r, reel_video_reader *reader) {
    const reel_video_info info = reel_video_reader_info(reader);
    int64_t n_frames;
    return info.comment && strcmp(info.comment, r->provenance) == 0 &&
           info.width == r->g->settings.width && info.height == r->g->settings.height &&
           reel_video_reader_count(reader, &n_frames) == REEL_OK && n_frames == r->g->shown.frames;
}

bool reel_making_is_finished(reel_making *r) {
    const char *path = r->g->request->output;
    reel_video_reader *reader = NULL;
    if (reel_path_look(path) != REEL_PATH_FILE) return false;
    const bool finished =
        reel_video_reader_open(r->env, path, NULL, &reader) == REEL_OK && is_ours(r, reader);
    reel_video_reader_close(&reader);
    reel_env_clear(r->env); /* what cannot be read is made anew */
    return finished;
}

/* ---- where decoded frames go ---- */

/* A file that is being written: decoded frames, spliced with the task's clips where it has some. */
typedef struct sink {
    reel_video_writer *writer;
    reel_splice *splice; /* or NULL */
} sink;

static reel_status sink_open(reel_making *r, const char *path, const reel_job *job, sink *s) {
    const reel_settings *settings = &r->g->settings;
    *s = (sink){0};
    reel_status status = reel_making_open_writer(r, path, true, &s->writer);
    if (status == REEL_OK && job->n_segments)
        status = reel_splice_open(r->env, job, (int)settings->width, (int)settings->height,
                                  s->writer, &s->splice);
    return status;
}

static void sink_close(sink *s) {
    reel_splice_close(&s->splice);
    reel_video_writer_close(&s->writer);
}

/* Takes decoded frame `index` [H,W,3], in order. context is a sink. */
static reel_status sink_put(void *context, int64_t index, const uint8_t *pixels) {
    sink *s = context;
    return s->splice ? reel_splice_frame(s->splice, index, pixels)
                     : reel_video_writer_push(s->writer, pixels);
}

static reel_status sink_finish(reel_making *r, sink *s) {
    reel_status status = s->splice ? reel_splice_finish(s->splice) : REEL_OK;
    if (status == REEL_OK) status = reel_video_writer_finish(s->writer);
    const double seam = status == REEL_OK && s->splice ? reel_splice_seam(s->splice) : -1;
    if (seam >= 0 && !r->is_stopping) {
        char text[96];
        snprintf(text, sizeof text, "%.3g times the median step between frames", seam);
        reel_making_tell(r, REEL_EVENT_SEAM, text, 0, 0);
    }
    return status;
}

/* ---- where they come from ---- */

typedef reel_status take_frame(void *context, int64_t index, const uint8_t *pixels);

static reel_status after_frames(void *context, int64_t frames) {
    reel_making *r = context;
    if (r->n_windows == 1 && !r->is_stopping)
        reel_making_tell(r, REEL_EVENT_FRAMES, NULL, frames, r->g->settings.frames);
    return reel_making_tick(r);
}

/* Decodes the canvas' latents [C,F,h,w] behind its anchor. */
static reel_status decode_latents(reel_making *r, const float *latents, take_frame *take,
                                  void *context) {
    const reel_canvas *c = &r->canvas;
    const int64_t skip = r->window.anchor, n = c->F - skip, frame = c->h * c->w;
    float *own = NULL;
    if (skip) {
        own = reel_alloc(r->env, c->C * n * frame * (int64_t)sizeof *own, "decode");
        if (!own) return REEL_E_NOMEM;
        for (int64_t k = 0; k < c->C; k++)
            memcpy(own + k * n * frame, latents + (k * c->F + skip) * frame,
                   (size_t)(n * frame) * sizeof *own);
    }
    reel_component *vae;
    reel_decode_options o;
    reel_status status = reel_making_open_vae(r, true, &vae, &o);
    if (status == REEL_OK) {
        o.f = n;
        o.frame = take;
        o.frame_context = context;
        o.progress = after_frames;
        o.context = r;
        status = reel_decode(r->env, &o, own ? own : latents, NULL);
        reel_component_close(&vae);
    }
    reel_free(r->env, own);
    return status;
}

/* Hands on the frames of part i, numbered from `first`. */
static reel_status read_part(reel_making *r, int64_t i, int64_t first, uint8_t *pixels,
                             take_frame *take, void *context) {
    char path[REEL_PARTS_PATH];
    reel_video_reader *reader = NULL;
    reel_status status = reel_parts_frames(&r->parts, i, path);
    if (status == REEL_OK) status = reel_video_reader_open(r->env, path, NULL, &reader);
    const int64_t n = reel_making_window_frames(r, i);
    for (int64_t k = 0; k < n && status == REEL_OK; k++) {
        bool got = false;
        status = reel_video_reader_next(reader, pixels, &got);
        if (status == REEL_OK && !got)
            status = reel_fail(r->env, REEL_E_FORMAT,
                               "%s: has %lld frames, wanted %lld; remove %s to begin anew", path,
                               (long long)k, (long long)n, r->parts.folder);
        if (status == REEL_OK) status = take(context, first + k, pixels);
        if (status == REEL_OK) status = reel_making_tick(r);
    }
    reel_video_reader_close(&reader);
    return status;
}

/* The frames of the finished parts, in the order in which they are shown. */
static reel_status read_parts(reel_making *r, take_frame *take, void *context) {
    const reel_settings *s = &r->g->settings;
    uint8_t *pixels = reel_alloc(r->env, 3 * s->width * s->height, "parts");
    if (!pixels) return REEL_E_NOMEM;
    reel_status status = REEL_OK;
    int64_t frames = 0;
    for (int64_t k = 0; k < r->n_done && status == REEL_OK; k++) {
        const int64_t i = r->g->task.n_steps ? r->n_done - 1 - k : k;
        status = read_part(r, i, frames, pixels, take, context);
        frames += reel_making_window_frames(r, i);
        if (!r->is_stopping)
            reel_making_tell(r, REEL_EVENT_FRAMES, NULL, frames, r->g->shown.frames);
    }
    reel_free(r->env, pixels);
    return status;
}

/* ---- the output ---- */

reel_status reel_making_decode(reel_making *r) {
    reel_making_begin_phase(r, "decode", 0, r->g->settings.frames);
    sink s;
    reel_status status = sink_open(r, r->g->request->output, r->job, &s);
    if (status == REEL_OK)
        status = decode_latents(r, reel_denoise_latents(r->denoise), sink_put, &s);
    if (status == REEL_OK) status = sink_finish(r, &s);
    sink_close(&s);
    return status;
}

reel_status reel_making_join(reel_making *r) {
    reel_making_begin_phase(r, "write", 0, r->g->shown.frames);
    sink s;
    reel_status status = sink_open(r, r->g->request->output, &r->g->task, &s);
    if (status == REEL_OK) status = read_parts(r, sink_put, &s);
    if (status == REEL_OK) status = sink_finish(r, &s);
    sink_close(&s);
    return status;
}

/* ---- parts ---- */

/* A part takes the frames behind the context that a window decodes to; those of a step are joined
 * to what is behind them. */
typedef struct part {
    reel_video_writer *writer;
    reel_splice *splice; /* of a step */
    int64_t first;
} part;

static reel_status part_put(void *context, int64_t index, const uint8_t *pixels) {
    const part *p = context;
    if (p->splice) return reel_splice_frame(p->splice, index, pixels);
    return index >= p->first ? reel_video_writer_push(p->writer, pixels) : REEL_OK;
}

static reel_status part_open(reel_making *r, int64_t i, part *p) {
    const reel_settings *s = &r->g->settings;
    char path[REEL_PARTS_PATH];
    *p = (part){.first = i ? 1 + (r->window.known - 1) * s->spans.factor : 0};
    reel_status status = reel_parts_frames(&r->parts, i, path);
    if (status == REEL_OK) status = reel_making_open_writer(r, path, false, &p->writer);
    if (status == REEL_OK && r->g->task.n_steps)
        status =
            reel_splice_open(r->env, r->job, (int)s->width, (int)s->height, p->writer, &p->splice);
    return status;
}

reel_status reel_making_decode_part(reel_making *r, int64_t i) {
    part p = {0};
    const float *latents = reel_denoise_latents(r->denoise);
    reel_status status = r->g->task.n_steps ? REEL_OK : reel_parts_save(&r->parts, i, latents);
    if (status == REEL_OK) status = part_open(r, i, &p);
    if (status == REEL_OK) status = decode_latents(r, latents, part_put, &p);
    if (status == REEL_OK && p.splice) status = reel_splice_finish(p.splice);
    if (status == REEL_OK) status = reel_video_writer_finish(p.writer);
    reel_splice_close(&p.splice);
    reel_video_writer_close(&p.writer);
    reel_memory_trim();
    return status;
}

/* ---- what a stopped run leaves ---- */

const char *reel_making_partial_path(reel_making *r) {
    const char *output = r->g->request->output;
    const char *slash = strrchr(output, '/'), *dot = strrchr(slash ? slash : output, '.');
    if (!dot) return NULL;
    return reel_arena_printf(&r->g->arena, "%.*s.partial%s", (int)(dot - output), output, dot);
}

/* The task's list of segments with no more decoded frames than there are; false when that leaves
 * none. */
static bool shorten(const reel_job *task, int64_t available, reel_job *job) {
    *job = *task;
    bool any = job->n_segments == 0 && available > 0;
    for (int i = 0; i < job->n_segments; i++) {
        reel_task_segment *g = &job->segment[i];
        if (g->path) continue;
        if (g->n > available - g->from) g->n = available > g->from ? available - g->from : 0;
        any = any || g->n > 0;
    }
    return any;
}

static reel_status write_partial(reel_making *r, const char *path, const reel_job *job,
                                 const float *estimate) {
    sink s;
    reel_status status = sink_open(r, path, job, &s);
    if (status == REEL_OK)
        status = estimate ? decode_latents(r, estimate, sink_put, &s) : read_parts(r, sink_put, &s);
    if (status == REEL_OK) status = sink_finish(r, &s);
    sink_close(&s);
    return status;
}

reel_status reel_making_keep_partial(reel_making *r) {
    const float *estimate = r->denoise && !r->n_done ? reel_denoise_estimate(r->denoise) : NULL;
    if (estimate && r->g->task.n_steps) estimate = NULL; /* its frames are not the first ones */
    int64_t frames = 0;
    for (int64_t i = 0; i < r->n_done; i++)
        frames += reel_making_window_frames(r, i);
    if (estimate) frames = 1 + (r->canvas.F - 1) * r->g->settings.spans.factor;
    const char *path = reel_making_partial_path(r);
    reel_job *job = reel_alloc(r->env, sizeof *job, "partial");
    if (!job || !path) {
        reel_free(r->env, job);
        return REEL_E_NOMEM;
    }
    reel_status status = REEL_OK;
    if (shorten(&r->g->task, frames, job)) {
        status = write_partial(r, path, job, estimate);
        if (status == REEL_OK) reel_making_tell(r, REEL_EVENT_PARTIAL, path, 0, 0);
    }
    reel_free(r->env, job);
    return status;
}
