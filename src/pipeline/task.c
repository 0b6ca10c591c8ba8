#include "pipeline/task.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "diffusion/schedule.h"
#include "media/video_reader.h"
#include "models/wan/vae.h"

/* Of a clip's end or beginning so many latent frames are shown to the model, if it has them. */
enum { LEAST_CONTEXT = 3, MOST_CONTEXT = 9, LEAST_SIDE = 16 };
static const double default_seconds = 2;

const char *reel_task_name(reel_task_kind kind) {
    static const char *const name[] = {
        [REEL_TASK_GENERATE] = "generate", [REEL_TASK_ANIMATE] = "animate",
        [REEL_TASK_EXTEND] = "extend",     [REEL_TASK_CONNECT] = "connect",
        [REEL_TASK_LOOP] = "loop",         [REEL_TASK_EDIT] = "edit",
        [REEL_TASK_BLEND] = "blend"};
    return name[kind];
}

/* ---- looking at files ---- */

static reel_status hash_file(reel_env *env, const char *path, uint64_t *hash) {
    reel_map map;
    const reel_status status = reel_map_open(env, path, &map);
    if (status != REEL_OK) return status;
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    const unsigned char *byte = map.data;
    for (int64_t i = 0; i < map.bytes; i++)
        h = (h ^ byte[i]) * 0x100000001b3u;
    reel_map_close(&map);
    *hash = h;
    return REEL_OK;
}

/* What a file turned out to be. */
typedef struct look {
    int width, height;
    reel_rational fps;
    int64_t from, frames; /* those that are used: all of them, or a part */
    bool is_picture;
} look;

static reel_status look_at(reel_env *env, const char *path, look *found) {
    reel_video_reader *reader = NULL;
    found->from = 0;
    reel_status status = reel_video_reader_open(env, path, NULL, &reader);
    if (status == REEL_OK) status = reel_video_reader_count(reader, &found->frames);
    if (status == REEL_OK) {
        const reel_video_info info = reel_video_reader_info(reader);
        found->width = info.width;
        found->height = info.height;
        found->fps = info.fps;
        found->is_picture = info.is_picture;
    }
    reel_video_reader_close(&reader);
    if (status != REEL_OK) return status;
    if (found->width < LEAST_SIDE || found->height < LEAST_SIDE)
        return reel_fail(env, REEL_E_ARG, "%s: is %dx%d pixels, wanted at least %dx%d", path,
                         found->width, found->height, LEAST_SIDE, LEAST_SIDE);
    return REEL_OK;
}

static reel_status look_at_picture(reel_env *env, const char *path, look *found) {
    const reel_status status = look_at(env, path, found);
    if (status != REEL_OK || found->is_picture) return status;
    return reel_fail(env, REEL_E_ARG, "%s: is a video, wanted a picture (PNG, JPEG or WebP)", path);
}

static reel_status look_at_clip(reel_env *env, const char *path, look *found) {
    if (!path) return reel_fail(env, REEL_E_ARG, "no clip was given");
    const reel_status status = look_at(env, path, found);
    if (status != REEL_OK) return status;
    if (found->is_picture)
        return reel_fail(env, REEL_E_ARG,
                         "%s: is a picture, wanted a video; `reel animate` takes pictures", path);
    if (found->frames < 1) return reel_fail(env, REEL_E_FORMAT, "%s: has no frames", path);
    return REEL_OK;
}

/* ---- the lists ---- */

static reel_status add_input(reel_env *env, reel_job *t, reel_task_input input) {
    if (t->n_inputs == REEL_TASK_INPUTS)
        return reel_fail(env, REEL_E_ARG, "more than %d pictures were given", REEL_TASK_INPUTS);
    const reel_status status = hash_file(env, input.path, &input.hash);
    if (status == REEL_OK) t->input[t->n_inputs++] = input;
    return status;
}

static void add_segment(reel_job *t, const char *path, int64_t from, int64_t n) {
    t->segment[t->n_segments++] = (reel_task_segment){path, from, n};
    t->frames += n;
}

/* Frames of n latent frames from the canvas' first on. */
static int64_t frames_of(const reel_job *t, int64_t n) {
    return 1 + (n - 1) * t->factor;
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* As much as is made, within bounds: the canvas should stay as short as models are trained on. One
 * that is made in windows (ends of them known) begins with what every window begins with. */
static int64_t context_for(const reel_job *t, int64_t made, int ends) {
    const int64_t part = (made + ends - 1) / ends;
    const int64_t known = part < LEAST_CONTEXT ? LEAST_CONTEXT : least(part, MOST_CONTEXT);
    return made + ends * known <= t->spans.most ? known : t->spans.context;
}

/* The end of a clip, at the beginning of the canvas, `latents` of it at most. */
static reel_status add_end(reel_env *env, reel_job *t, const char *path, const look *clip,
                           int64_t *latents) {
    *latents = least(*latents, 1 + (clip->frames - 1) / t->factor);
    const int64_t n = frames_of(t, *latents);
    return add_input(
        env, t,
        (reel_task_input){
            .path = path, .from = clip->from + clip->frames - n, .n = n, .latents = *latents});
}

/* Frames [from, from + n) of a file at latent frame `at`, which is not the first: `latents` of them
 * at most, as many as the frames fill, at least one. */
static reel_task_input beginning(const reel_job *t, const char *path, int64_t from, int64_t n,
                                 int64_t at, int64_t latents) {
    latents = least(latents, n / t->factor);
    if (latents < 1) latents = 1;
    return (reel_task_input){.path = path,
                             .from = from,
                             .n = least(n, latents * t->factor),
                             .at = at,
                             .latents = latents};
}

/* The beginning of a clip, but for its first `skip` frames. */
static reel_status add_beginning(reel_env *env, reel_job *t, const char *path, const look *clip,
                                 int64_t skip, int64_t at, int64_t *latents) {
    skip = least(skip, clip->frames - 1);
    const reel_task_input input =
        beginning(t, path, clip->from + skip, clip->frames - skip, at, *latents);
    *latents = input.latents;
    return add_input(env, t, input);
}

/* ---- tasks with clips ---- */

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static reel_status lay_forward(reel_env *env, reel_job *t, const char *path, const look *clip,
                               int64_t fresh) {
    const int64_t made = divide_up(fresh, t->factor);
    int64_t known = context_for(t, made, 1);
    const reel_status status = add_end(env, t, path, clip, &known);
    t->F = known + made;
    add_segment(t, path, clip->from, clip->frames);
    add_segment(t, NULL, frames_of(t, known), fresh);
    return status;
}

/* ---- backwards, in steps ---- */

/* Frames that step i makes, of `left` at its beginning, and the latents it knows. */
typedef struct step {
    int64_t n, known, left;
} step;

static step first_step(const reel_job *t) {
    return (step){.known = t->input[0].latents, .left = t->segment[0].n};
}

static void measure_step(const reel_job *t, step *s) {
    s->n = least(s->left, frames_of(t, t->F - s->known));
}

static void next_step(const reel_job *t, step *s) {
    s->left -= s->n;
    s->known = least(t->spans.context, s->n / t->factor);
    if (s->known < 1) s->known = 1;
}

static step step_at(const reel_job *t, int64_t i) {
    step s = first_step(t);
    measure_step(t, &s);
    for (int64_t k = 0; k < i; k++) {
        next_step(t, &s);
        measure_step(t, &s);
    }
    return s;
}

int64_t reel_task_step_frames(const reel_job *t, int64_t i) {
    return step_at(t, i).n;
}

void reel_task_step(const reel_job *t, int64_t i, const char *before, reel_job *job) {
    const step s = step_at(t, i);
    *job = (reel_job){.kind = t->kind,
                      .spans = t->spans,
                      .factor = t->factor,
                      .fit = t->fit,
                      .F = t->F,
                      .n_inputs = 1};
    job->input[0] = t->input[0];
    if (i > 0)
        job->input[0] = beginning(t, before, 0, step_at(t, i - 1).n, t->F - s.known, s.known);
    add_segment(job, NULL, frames_of(t, t->F - s.known) - s.n, s.n);
    add_segment(job, job->input[0].path, job->input[0].from, 0); /* what they are joined to */
}

static void count_steps(reel_job *t) {
    step s = first_step(t);
    while (s.left > 0) {
        measure_step(t, &s);
        next_step(t, &s);
        t->n_steps++;
    }
}

static reel_status lay_backward(reel_env *env, reel_job *t, const char *path, const look *clip,
                                int64_t fresh) {
    int64_t made = 1 + divide_up(fresh - 1, t->factor);
    int64_t known = context_for(t, made, 1) - 1;
    const bool in_steps = made + known > t->spans.most;
    if (in_steps) {
        known = least(t->spans.context, clip->frames < t->factor ? 1 : clip->frames / t->factor);
        made = t->spans.window - known;
    }
    const reel_status status = add_beginning(env, t, path, clip, 0, made, &known);
    t->F = made + known;
    add_segment(t, NULL, in_steps ? 0 : frames_of(t, made) - fresh, fresh);
    add_segment(t, path, clip->from, clip->frames);
    if (in_steps) count_steps(t);
    return status;
}

/* ---- between clips ---- */

/* From the end of clip 0 to the beginning of clip 1; a loop has one clip, twice. What is made ends
 * where a latent frame may not: the model is not shown the first frames of clip 1 then. */
static reel_status lay_between(reel_env *env, reel_job *t, const char *const path[2],
                               const look clip[2], int64_t fresh) {
    const int64_t made = divide_up(fresh, t->factor);
    int64_t end = context_for(t, made, 2), start = end > 1 ? end - 1 : 1;
    reel_status status = add_end(env, t, path[0], &clip[0], &end);
    if (status == REEL_OK)
        status =
            add_beginning(env, t, path[1], &clip[1], made * t->factor - fresh, end + made, &start);
    if (status != REEL_OK) return status;
    t->F = end + made + start;
    add_segment(t, path[0], clip[0].from, clip[0].frames);
    add_segment(t, NULL, frames_of(t, end), fresh);
    if (t->is_loop) return REEL_OK;
    add_segment(t, path[1], clip[1].from, clip[1].frames);
    return REEL_OK;
}

/* ---- clips made anew ---- */

static reel_status check_strength(reel_env *env, const reel_generate_request *r) {
    if (r->strength > 0 && r->strength <= 1) return REEL_OK;
    return reel_fail(env, REEL_E_ARG, "strength must be above 0 and at most 1, got %g",
                     r->strength);
}

static reel_status lay_edit(reel_env *env, reel_job *t, const reel_generate_request *r,
                            const look *clip) {
    reel_status status = check_strength(env, r);
    if (status != REEL_OK) return status;
    t->F = 1 + divide_up(clip->frames - 1, t->factor);
    add_segment(t, NULL, 0, clip->frames);
    status = add_input(
        env, t,
        (reel_task_input){
            .path = r->clip[0], .n = clip->frames, .latents = t->F, .level = r->strength});
    if (status != REEL_OK || !r->mask) return status;
    look mask;
    t->mask = r->mask;
    status = look_at(env, r->mask, &mask);
    t->mask_moves = status == REEL_OK && !mask.is_picture;
    if (t->mask_moves && mask.frames != clip->frames)
        return reel_fail(env, REEL_E_ARG, "%s: the mask has %lld frames, wanted the clip's %lld",
                         r->mask, (long long)mask.frames, (long long)clip->frames);
    if (status == REEL_OK && (mask.width != clip->width || mask.height != clip->height))
        return reel_fail(env, REEL_E_ARG, "%s: the mask is %dx%d, wanted the clip's %dx%d", r->mask,
                         mask.width, mask.height, clip->width, clip->height);
    return status == REEL_OK ? hash_file(env, r->mask, &t->mask_hash) : status;
}

static reel_status check_curve(reel_env *env, const reel_generate_request *r) {
    const reel_curve_point *p = r->curve;
    bool good = r->n_curve >= 2 && p[0].at <= 0 && p[r->n_curve - 1].at >= 1;
    for (int i = 0; i < r->n_curve && good; i++)
        good = p[i].weight >= 0 && p[i].weight <= 1 && p[i].at >= 0 && p[i].at <= 1 &&
               (i == 0 || p[i].at >= p[i - 1].at);
    if (good) return REEL_OK;
    return reel_fail(env, REEL_E_ARG,
                     "the curve of %d points must go from time 0 to 1 without turning back, with "
                     "weights in 0..1",
                     r->n_curve);
}

/* Both clips from their first frames on, as far as the shorter one goes. */
static reel_status lay_blend(reel_env *env, reel_job *t, const reel_generate_request *r,
                             const look clip[2]) {
    reel_status status = check_strength(env, r);
    if (status == REEL_OK) status = check_curve(env, r);
    if (status != REEL_OK) return status;
    const int64_t n = least(clip[0].frames, clip[1].frames);
    t->F = 1 + divide_up(n - 1, t->factor);
    t->curve = r->curve;
    t->n_curve = r->n_curve;
    add_segment(t, NULL, 0, n);
    for (int i = 0; i < 2 && status == REEL_OK; i++)
        status = add_input(
            env, t,
            (reel_task_input){.path = r->clip[i], .n = n, .latents = t->F, .level = r->strength});
    return status;
}

/* Frames that are to be made, at the rate of the file. */
static reel_status count_fresh(reel_env *env, const reel_generate_request *r, double fps,
                               int64_t *fresh) {
    const double n =
        r->frames ? (double)r->frames : rint((r->seconds > 0 ? r->seconds : default_seconds) * fps);
    if (!(n >= 1 && n <= 1000000))
        return reel_fail(env, REEL_E_ARG,
                         "%g seconds at %g frames a second are %g frames, wanted "
                         "1 to 1000000",
                         r->seconds, fps, n);
    *fresh = (int64_t)n;
    return REEL_OK;
}

static reel_status lay_clips(reel_env *env, const reel_generate_request *r, const look clip[2],
                             double fps, reel_job *t) {
    int64_t fresh = 0;
    if (t->kind == REEL_TASK_EDIT) return lay_edit(env, t, r, clip);
    if (t->kind == REEL_TASK_BLEND) return lay_blend(env, t, r, clip);
    const reel_status status = count_fresh(env, r, fps, &fresh);
    if (status != REEL_OK) return status;
    if (t->kind == REEL_TASK_EXTEND)
        return r->backward ? lay_backward(env, t, r->clip[0], &clip[0], fresh)
                           : lay_forward(env, t, r->clip[0], &clip[0], fresh);
    t->is_loop = t->kind == REEL_TASK_LOOP;
    const char *const path[2] = {r->clip[0], t->is_loop ? r->clip[0] : r->clip[1]};
    return lay_between(env, t, path, clip, fresh);
}

/* Leaves of a clip what is to be kept. */
static reel_status cut_clip(reel_env *env, const reel_generate_request *r, look *clip) {
    if (!(r->keep_to_s > r->keep_from_s)) return REEL_OK;
    const double fps = (double)clip->fps.num / clip->fps.den;
    const int64_t from = (int64_t)rint(r->keep_from_s * fps);
    const int64_t end = (int64_t)rint(r->keep_to_s * fps);
    if (r->keep_from_s < 0 || end > clip->frames || from >= end)
        return reel_fail(env, REEL_E_ARG,
                         "%s: %g s to %g s are frames %lld to %lld of its %lld (%g s), wanted at "
                         "least one of those it has",
                         r->clip[0], r->keep_from_s, r->keep_to_s, (long long)from, (long long)end,
                         (long long)clip->frames, (double)clip->frames / fps);
    clip->from = from;
    clip->frames = end - from;
    return REEL_OK;
}

static reel_status open_clips(reel_env *env, const reel_generate_request *r,
                              reel_generate_request *a, reel_job *t) {
    look clip[2];
    reel_status status = look_at_clip(env, r->clip[0], &clip[0]);
    clip[1] = clip[0];
    if (status == REEL_OK && (t->kind == REEL_TASK_CONNECT || t->kind == REEL_TASK_BLEND))
        status = look_at_clip(env, r->clip[1], &clip[1]);
    if (status == REEL_OK && t->kind == REEL_TASK_EXTEND) status = cut_clip(env, r, &clip[0]);
    if (status != REEL_OK) return status;
    if (!r->width && !r->height &&
        (clip[0].width != clip[1].width || clip[0].height != clip[1].height))
        return reel_fail(
            env, REEL_E_ARG, "%s is %dx%d and %s %dx%d: say which size both are to get (--size)",
            r->clip[0], clip[0].width, clip[0].height, r->clip[1], clip[1].width, clip[1].height);
    if (!r->width && !r->height) {
        a->width = clip[0].width;
        a->height = clip[0].height;
    }
    if (r->fps <= 0) a->fps = (double)clip[0].fps.num / clip[0].fps.den;
    status = lay_clips(env, r, clip, a->fps, t);
    a->frames = frames_of(t, t->F);
    a->seconds = 0;
    return status;
}

/* ---- tasks with pictures ---- */

static reel_status look_at_part(reel_env *env, const reel_keyframe *k) {
    look found;
    const reel_status status = look_at_clip(env, k->path, &found);
    if (status != REEL_OK) return status;
    if (k->from >= 0 && k->n <= found.frames && k->from <= found.frames - k->n) return REEL_OK;
    return reel_fail(env, REEL_E_ARG, "%s: has %lld frames, wanted frames %lld to %lld of it",
                     k->path, (long long)found.frames, (long long)k->from,
                     (long long)(k->from + k->n - 1));
}

static reel_status open_pictures(reel_env *env, const reel_generate_request *r) {
    if (r->n_keyframes < 1) return reel_fail(env, REEL_E_ARG, "no picture was given");
    for (int i = 0; i < r->n_keyframes; i++) {
        look found;
        const reel_status status = r->keyframe[i].n > 0
                                       ? look_at_part(env, &r->keyframe[i])
                                       : look_at_picture(env, r->keyframe[i].path, &found);
        if (status != REEL_OK) return status;
    }
    return REEL_OK;
}

/* The latent frames that the n frames of video from `frame` on fill, and no others do: of a clip
 * that begins inside a latent frame, from the next one on. n 0: the one a picture is in. */
static bool span_of(const reel_job *t, int64_t frame, int64_t n, int64_t *at, int64_t *latents) {
    *at = divide_up(frame, t->factor);
    if (n == 0) *latents = 1;
    if (n == 0) return true;
    const int64_t end = frame + n; /* frames 1 + (i - 1) factor to i factor make latent frame i */
    *latents = (*at == 0 ? 1 + (end - 1) / t->factor : (end - 1) / t->factor - *at + 1);
    if (*at > 0 && 1 + (*at - 1) * t->factor < frame) { /* it begins within this one */
        ++*at;
        --*latents;
    }
    return *latents > 0;
}

static reel_status place_picture(reel_env *env, const reel_keyframe *k, const reel_settings *s,
                                 reel_job *t) {
    const int64_t frame = k->frame < 0 ? s->frames + k->frame : k->frame;
    int64_t at, latents;
    if (frame < 0 || frame >= s->frames || k->n > s->frames - frame)
        return reel_fail(env, REEL_E_ARG, "%s: is to be at frame %lld, wanted 0 to %lld", k->path,
                         (long long)k->frame, (long long)(s->frames - (k->n > 0 ? k->n : 1)));
    if (!span_of(t, frame, k->n, &at, &latents))
        return reel_fail(env, REEL_E_ARG,
                         "%s: %lld frames from frame %lld on are too few: this model makes frames "
                         "1 + %lld k to %lld + %lld k at once",
                         k->path, (long long)k->n, (long long)frame, (long long)t->factor,
                         (long long)t->factor, (long long)t->factor);
    for (int i = 0; i < t->n_inputs; i++)
        if (at < t->input[i].at + t->input[i].latents && t->input[i].at < at + latents)
            return reel_fail(env, REEL_E_ARG,
                             "%s: frame %lld is too near to where %s is: this model makes frames "
                             "1 + %lld k to %lld + %lld k at once",
                             k->path, (long long)frame, t->input[i].path, (long long)t->factor,
                             (long long)t->factor, (long long)t->factor);
    const int64_t first = at ? 1 + (at - 1) * t->factor : 0;
    reel_task_input input = {.path = k->path, .n = 1, .at = at, .latents = latents};
    if (k->n > 0) {
        input.from = k->from + first - frame;
        input.n = at ? latents * t->factor : frames_of(t, latents);
    }
    return add_input(env, t, input);
}

/* How many latent frames are given. */
static int64_t count_given(const reel_job *t) {
    int64_t n = 0;
    for (int i = 0; i < t->n_inputs; i++)
        n += t->input[i].latents;
    return n;
}

/* What a model that is shown pictures can take. */
static reel_status check_shown(reel_env *env, const reel_settings *s, const reel_job *t) {
    bool first = false;
    for (int i = 0; i < t->n_inputs; i++) {
        const int64_t at = t->input[i].at;
        first = first || at == 0;
        if (t->input[i].n > 1)
            return reel_fail(env, REEL_E_UNSUPPORTED,
                             "%s: this model takes pictures, and no parts of clips",
                             t->input[i].path);
        if (at != 0 && t->first_only)
            return reel_fail(env, REEL_E_UNSUPPORTED,
                             "%s: this model takes one picture, for the first frame",
                             t->input[i].path);
        if (at != 0 && at != s->F - 1)
            return reel_fail(env, REEL_E_UNSUPPORTED,
                             "%s: this model takes pictures for the first and the last frame only",
                             t->input[i].path);
    }
    if (first) return REEL_OK;
    return reel_fail(env, REEL_E_ARG,
                     "no picture was given for the first frame, which this model "
                     "begins with");
}

static reel_status place_pictures(reel_env *env, const reel_generate_request *r,
                                  const reel_settings *s, reel_job *t) {
    add_segment(t, NULL, 0, s->frames);
    t->F = s->F;
    for (int i = 0; i < r->n_keyframes; i++) {
        const reel_status status = place_picture(env, &r->keyframe[i], s, t);
        if (status != REEL_OK) return status;
    }
    if (count_given(t) == s->F)
        return reel_fail(env, REEL_E_ARG, "all %lld frames are given: nothing is left to be made",
                         (long long)s->frames);
    return t->condition ? check_shown(env, s, t) : REEL_OK;
}

/* ---- all of it ---- */

/* Whether the folder's transformer is shown pictures beside its latents. */
static bool takes_picture(const reel_folder *folder) {
    const reel_component_config *c = reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER);
    return c && reel_wan_dit_takes_picture(&c->transformer);
}

static reel_status check_folder(reel_env *env, const reel_folder *folder, reel_task_kind kind) {
    const reel_component_config *vae = reel_folder_config(folder, REEL_COMPONENT_VAE);
    if (kind == REEL_TASK_ANIMATE && takes_picture(folder) && vae) return REEL_OK;
    if (!reel_folder_index(folder)->expand_timesteps || !vae)
        return reel_fail(env, REEL_E_UNSUPPORTED,
                         "%s: cannot %s: it takes one noise level for a whole video, so nothing "
                         "can be kept; wanted a model that takes one for each token "
                         "(\"expand_timesteps\": true in model_index.json), as reel's own and "
                         "Wan2.2-TI2V-5B do%s",
                         reel_folder_path(folder), reel_task_name(kind),
                         kind == REEL_TASK_ANIMATE ? ", or one made for it, as Wan's I2V are" : "");
    return REEL_OK;
}

reel_status reel_task_open(reel_env *env, const reel_folder *folder, const reel_generate_request *r,
                           const reel_spans *spans, reel_generate_request *adjusted, reel_job *t) {
    *adjusted = *r;
    *t = (reel_job){.kind = r->task, .spans = *spans, .factor = spans->factor};
    if (t->kind == REEL_TASK_GENERATE) return REEL_OK;
    const reel_status status = check_folder(env, folder, t->kind);
    if (status != REEL_OK) return status;
    const reel_status looked = reel_task_look(env, r, spans, adjusted, t);
    if (!takes_picture(folder)) return looked;
    t->condition = true; /* CLIP's rows are of one picture */
    t->first_only = reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER)->transformer.image_dim;
    return looked;
}

reel_status reel_task_look(reel_env *env, const reel_generate_request *r, const reel_spans *spans,
                           reel_generate_request *adjusted, reel_job *t) {
    *adjusted = *r;
    *t = (reel_job){.kind = r->task,
                    .spans = *spans,
                    .factor = spans->factor,
                    .fit = r->letterbox ? REEL_FIT_LETTERBOX : REEL_FIT_CROP};
    return t->kind == REEL_TASK_ANIMATE ? open_pictures(env, r) : open_clips(env, r, adjusted, t);
}

/* Frames that come through untouched must have a size the model makes. */
static reel_status check_kept(reel_env *env, const reel_generate_request *r, const reel_settings *s,
                              const reel_job *t) {
    for (int i = 0; i < t->n_segments; i++)
        if (t->segment[i].path && (r->width != s->width || r->height != s->height))
            return reel_fail(env, REEL_E_ARG,
                             "%s: %lldx%lld is not a size this model makes, so its frames cannot "
                             "stay as they are; --size %lldx%lld fits them into the nearest",
                             t->segment[i].path, (long long)r->width, (long long)r->height,
                             (long long)s->width, (long long)s->height);
    return REEL_OK;
}

/* A strength is a share of the schedule's steps, as diffusers counts it: half of them begin at a
 * level that is the higher the more the model's shift spends on noise. */
static void shift_levels(const reel_settings *s, reel_job *t) {
    if (t->kind != REEL_TASK_EDIT && t->kind != REEL_TASK_BLEND) return;
    for (int i = 0; i < t->n_inputs; i++)
        t->input[i].level = reel_flow_shift(t->input[i].level, s->sampler.schedule.shift);
}

reel_status reel_task_place(reel_env *env, const reel_generate_request *r, const reel_settings *s,
                            reel_job *t) {
    shift_levels(s, t);
    if (t->kind == REEL_TASK_GENERATE) return REEL_OK;
    if (t->kind == REEL_TASK_ANIMATE) return place_pictures(env, r, s, t);
    if (t->F != s->F)
        return reel_fail(env, REEL_E_UNSUPPORTED,
                         "this model makes %lld latent frames where clips need %lld",
                         (long long)s->F, (long long)t->F);
    return check_kept(env, r, s, t);
}
