#include "pipeline/splice.h"

#include <stdlib.h>
#include <string.h>

#include "media/video_reader.h"
#include "pipeline/joint.h"

static const char tag_splice[] = "splice";

struct reel_splice {
    reel_env *env;
    const reel_job *task;
    int width, height;
    reel_video_writer *writer;
    int segment;                  /* the one that is being written */
    int64_t written, in_all;      /* frames: of the segment; of the file */
    uint8_t *first, *last, *copy; /* [H,W,3]: of the file, so far; of a clip */
    double *step;                 /* [task->frames]: inside the segments */
    int64_t n_steps;
    double seam;       /* the largest, -1: none yet */
    reel_joint *joint; /* of the decoded frames, which are one segment; NULL: none needed */
    uint8_t *next;     /* [H,W,3]: the first frame behind them that was shown to the model, */
    int64_t next_at;   /* and where among the decoded ones it is; -1: there is none */
};

/* ---- measuring ---- */

static double difference(const reel_splice *s, const uint8_t *a, const uint8_t *b) {
    const int64_t n = (int64_t)3 * s->width * s->height;
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += abs(a[i] - b[i]);
    return (double)sum / (double)n;
}

static void measure(reel_splice *s, const uint8_t *pixels) {
    const size_t bytes = (size_t)3 * (size_t)s->width * (size_t)s->height;
    if (s->in_all == 0) {
        memcpy(s->first, pixels, bytes);
    } else {
        const double step = difference(s, s->last, pixels);
        if (s->written > 0)
            s->step[s->n_steps++] = step;
        else if (step > s->seam)
            s->seam = step;
    }
    memcpy(s->last, pixels, bytes);
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double reel_splice_seam(const reel_splice *s) {
    const double median = s->n_steps ? s->step[s->n_steps / 2] : 0;
    return s->seam >= 0 && median > 0 ? s->seam / median : -1;
}

/* ---- writing ---- */

static reel_status push(reel_splice *s, const uint8_t *pixels) {
    const reel_status status = reel_video_writer_push(s->writer, pixels);
    if (status != REEL_OK) return status;
    measure(s, pixels);
    s->written++;
    s->in_all++;
    return REEL_OK;
}

static reel_status copy_clip(reel_splice *s, const reel_task_segment *g) {
    reel_video_reader *reader = NULL;
    reel_reader_options options = reel_reader_options_default();
    options.width = s->width;
    options.height = s->height;
    options.fit = s->task->fit;
    reel_status status = reel_video_reader_open(s->env, g->path, &options, &reader);
    const int64_t end = g->from + g->n;
    for (int64_t i = 0; i < end && status == REEL_OK; i++) {
        bool got;
        status = reel_video_reader_next(reader, s->copy, &got);
        if (status == REEL_OK && !got)
            status = reel_fail(s->env, REEL_E_FORMAT, "%s: ends after %lld frames, wanted %lld",
                               g->path, (long long)i, (long long)end);
        if (status == REEL_OK && i >= g->from) status = push(s, s->copy);
    }
    reel_video_reader_close(&reader);
    return status;
}

/* Writes the clips that come next, up to a segment of decoded frames. */
static reel_status copy_clips(reel_splice *s) {
    for (; s->segment < s->task->n_segments; s->segment++) {
        const reel_task_segment *g = &s->task->segment[s->segment];
        if (!g->path && s->written < g->n) return REEL_OK;
        const reel_status status = g->path ? copy_clip(s, g) : REEL_OK;
        if (status != REEL_OK) return status;
        s->written = 0;
    }
    return REEL_OK;
}

/* ---- joints ---- */

static reel_status push_mended(void *context, const uint8_t *pixels) {
    return push(context, pixels);
}

/* The segment of decoded frames that has a clip on one side at least; -1: none has. */
static int segment_with_clips(const reel_job *t) {
    for (int i = 0; i < t->n_segments; i++)
        if (!t->segment[i].path && (t->n_segments > 1)) return i;
    return -1;
}

/* Reads frame `at` of a file into s->next. */
static reel_status read_next(reel_splice *s, const char *path, int64_t at) {
    reel_video_reader *reader = NULL;
    reel_reader_options options = reel_reader_options_default();
    options.width = s->width;
    options.height = s->height;
    options.fit = s->task->fit;
    s->next = reel_alloc(s->env, (int64_t)3 * s->width * s->height, tag_splice);
    if (!s->next) return REEL_E_NOMEM;
    reel_status status = reel_video_reader_open(s->env, path, &options, &reader);
    bool got = true;
    for (int64_t i = 0; i <= at && got && status == REEL_OK; i++)
        status = reel_video_reader_next(reader, s->next, &got);
    reel_video_reader_close(&reader);
    return status;
}

/* Looks for what the model was shown of the clip behind the decoded frames. */
static reel_status open_joint(reel_splice *s) {
    const reel_job *t = s->task;
    const int made = segment_with_clips(t);
    s->next_at = -1;
    if (made < 0) return REEL_OK;
    const reel_task_segment *g = &t->segment[made];
    reel_status status = REEL_OK;
    for (int i = 0; i < t->n_inputs && status == REEL_OK; i++) {
        const reel_task_input *input = &t->input[i];
        const int64_t at = 1 + (input->at - 1) * t->factor;
        if (input->at == 0 || at < g->from + g->n || t->n_steps) continue;
        s->next_at = at;
        status = read_next(s, input->path, input->from);
    }
    const reel_joint_options o = {.width = s->width,
                                  .height = s->height,
                                  .frames = g->n,
                                  .ends = s->next_at >= 0,
                                  .sink = push_mended,
                                  .context = s};
    return status == REEL_OK ? reel_joint_open(s->env, &o, &s->joint) : status;
}

/* ---- life ---- */

reel_status reel_splice_open(reel_env *env, const reel_job *task, int width, int height,
                             reel_video_writer *writer, reel_splice **splice) {
    const int64_t bytes = (int64_t)3 * width * height;
    reel_splice *s = reel_calloc(env, 1, sizeof *s, tag_splice);
    if (!s) return REEL_E_NOMEM;
    *s = (reel_splice){.env = env,
                       .task = task,
                       .width = width,
                       .height = height,
                       .writer = writer,
                       .first = reel_alloc(env, bytes, tag_splice),
                       .last = reel_alloc(env, bytes, tag_splice),
                       .copy = reel_alloc(env, bytes, tag_splice),
                       .step = reel_calloc(env, task->frames, sizeof *s->step, tag_splice),
                       .seam = -1};
    *splice = s;
    reel_status status = REEL_E_NOMEM;
    if (s->first && s->last && s->copy && s->step) status = open_joint(s);
    if (status != REEL_OK) reel_splice_close(splice);
    return status;
}

void reel_splice_close(reel_splice **splice) {
    reel_splice *s = *splice;
    if (!s) return;
    reel_free(s->env, s->first);
    reel_free(s->env, s->last);
    reel_free(s->env, s->copy);
    reel_free(s->env, s->step);
    reel_free(s->env, s->next);
    reel_joint_close(&s->joint);
    reel_free(s->env, s);
    *splice = NULL;
}

/* ---- frames ---- */

reel_status reel_splice_frame(void *context, int64_t index, const uint8_t *pixels) {
    reel_splice *s = context;
    const reel_status status = copy_clips(s);
    if (status != REEL_OK || s->segment == s->task->n_segments) return status;
    const reel_task_segment *g = &s->task->segment[s->segment];
    if (s->joint && index == g->from - 1 && s->segment > 0)
        reel_joint_begin(s->joint, s->last, pixels);
    if (s->joint && index == s->next_at) return reel_joint_end(s->joint, s->next, pixels);
    if (index < g->from || index >= g->from + g->n) return REEL_OK;
    return s->joint ? reel_joint_put(s->joint, pixels) : push(s, pixels);
}

reel_status reel_splice_finish(reel_splice *s) {
    reel_status status = s->joint ? reel_joint_end(s->joint, NULL, NULL) : REEL_OK;
    if (status == REEL_OK) status = copy_clips(s);
    if (status != REEL_OK) return status;
    if (s->segment < s->task->n_segments)
        return reel_fail(s->env, REEL_E_ARG, "splice: got %lld decoded frames, wanted %lld",
                         (long long)s->written, (long long)s->task->segment[s->segment].n);
    if (s->task->is_loop && s->in_all > 1) {
        const double step = difference(s, s->last, s->first);
        if (step > s->seam) s->seam = step;
    }
    qsort(s->step, (size_t)s->n_steps, sizeof *s->step, by_size);
    return REEL_OK;
}
