/* A few long videos made from prompts alone: how their last seconds differ from their first, beside
 * renders of scenes laid out for as long.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/drift.h"
#include "eval/eval_tasks.h"

static const char tag[] = "eval tasks";
enum { MADE, REAL, N_SIDES, MOST_CLIPS = 64 };

typedef struct paths {
    char path[N_SIDES][MOST_CLIPS][REEL_TASKS_PATH];
    const char *clip[N_SIDES][MOST_CLIPS];
} paths;

/* The prompt as a recipe says it, for the judge of the render. */
static reel_status write_real(reel_tasks *t, const reel_prompt *p, int64_t frames,
                              const char *path) {
    const reel_bucket size = reel_tasks_size(t, frames);
    uint8_t *rgb = reel_alloc(t->e->env, reel_bucket_bytes(&size), tag);
    if (!rgb) return REEL_E_NOMEM;
    reel_status status = reel_tasks_render(t, p, frames, rgb);
    if (status == REEL_OK) status = reel_eval_write_clip(t->e, path, &size, p, rgb);
    reel_free(t->e->env, rgb);
    return status;
}

static reel_status make_clip(reel_tasks *t, paths *p, int64_t frames, int i) {
    reel_prompt prompt;
    reel_status status = reel_tasks_prompt(t, "drift", i, t->e->o->drift_clips, frames, &prompt);
    reel_tasks_path(t, i, "long.mkv", p->path[MADE][i]);
    reel_tasks_path(t, i, "long-real.mkv", p->path[REAL][i]);
    for (int side = 0; side < N_SIDES; side++)
        p->clip[side][i] = p->path[side][i];
    reel_generate_request request = {
        .prompt = prompt.text, .task = REEL_TASK_GENERATE, .frames = frames};
    if (status == REEL_OK) status = reel_tasks_make(t, &request, i, "long.mkv", frames, NULL);
    return status == REEL_OK ? write_real(t, &prompt, frames, p->path[REAL][i]) : status;
}

/* Rows of both sides come in the same order. */
static reel_status add_rows(reel_tasks *t, const reel_scores *side) {
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < side[MADE].n && status == REEL_OK; i++) {
        reel_scores_row row = side[MADE].row[i];
        row.reference = side[REAL].row[i].value;
        status = reel_scores_add(t->e->report, &row);
    }
    return status;
}

static reel_status measure(reel_tasks *t, paths *p) {
    const reel_eval_options *o = t->e->o;
    const int n = (int)o->drift_clips;
    const int64_t frames = (int64_t)rint(o->drift_s * o->fps);
    reel_status status = REEL_OK;
    reel_scores side[N_SIDES];
    for (int i = 0; i < n && status == REEL_OK; i++)
        status = make_clip(t, p, frames, i);
    for (int k = 0; k < N_SIDES; k++) {
        const reel_drift_options drift = {.clip = p->clip[k],
                                          .n_clips = n,
                                          .judge = t->e->judge ? t->e->judge_folder : NULL,
                                          .table = o->table};
        reel_scores_init(&side[k], t->e->env);
        if (status == REEL_OK) status = reel_drift_run(t->e->env, &drift, &side[k]);
    }
    if (status == REEL_OK) status = add_rows(t, side);
    for (int k = 0; k < N_SIDES; k++)
        reel_scores_deinit(&side[k]);
    return status == REEL_OK ? reel_tasks_clear(t) : status;
}

reel_status reel_tasks_drift(reel_tasks *t) {
    const reel_eval_options *o = t->e->o;
    if (!o->drift_clips) return REEL_OK;
    if (o->drift_clips > MOST_CLIPS || !(o->drift_s >= 2 * REEL_DRIFT_SECONDS))
        return reel_fail(t->e->env, REEL_E_ARG,
                         "drift: got %lld clips of %g seconds, wanted at most %d of at least %d",
                         (long long)o->drift_clips, o->drift_s, MOST_CLIPS, 2 * REEL_DRIFT_SECONDS);
    paths *p = reel_calloc(t->e->env, 1, sizeof *p, tag);
    if (!p) return REEL_E_NOMEM;
    const reel_status status = measure(t, p);
    reel_free(t->e->env, p);
    return status;
}
