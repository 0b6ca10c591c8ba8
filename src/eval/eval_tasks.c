/* The tasks of the canvas, each measured on held-out scenes: what they share. */
#include "eval/eval_tasks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"

static const char tag[] = "eval tasks", section[] = "tasks";

reel_bucket reel_tasks_size(const reel_tasks *t, int64_t frames) {
    reel_bucket size = t->e->size;
    size.frames = frames;
    return size;
}

/* ---- what a task is given ---- */

reel_status reel_tasks_prompt(reel_tasks *t, const char *part, int64_t i, int64_t n, int64_t frames,
                              reel_prompt *prompt) {
    reel_eval *e = t->e;
    const reel_status status = reel_eval_told(e, part, i, n);
    if (status != REEL_OK) return status;
    const float duration_s = (float)((double)(frames - 1) / e->o->fps);
    return reel_prompt_make(e->env, REEL_PROMPTS_ONE, e->o->seed, i, duration_s, prompt);
}

reel_status reel_tasks_render(reel_tasks *t, const reel_prompt *prompt, int64_t frames,
                              uint8_t *rgb) {
    const reel_bucket size = reel_tasks_size(t, frames);
    return reel_prompt_render(t->e->env, prompt, &size, (float)t->e->o->fps, rgb);
}

void reel_tasks_path(const reel_tasks *t, int64_t i, const char *name, char path[REEL_TASKS_PATH]) {
    snprintf(path, REEL_TASKS_PATH, "%s/%04lld-%.40s", t->folder, (long long)i, name);
}

reel_status reel_tasks_write(reel_tasks *t, int64_t i, const char *name, int64_t frames,
                             const uint8_t *rgb, char path[REEL_TASKS_PATH]) {
    const reel_bucket size = reel_tasks_size(t, frames);
    reel_tasks_path(t, i, name, path);
    return reel_clip_file_write(t->e->env, path, &size, t->e->o->fps, NULL, rgb);
}

/* ---- what it makes of it ---- */

static reel_status run(reel_tasks *t, const reel_generate_request *request) {
    const reel_backend backend = {.table = t->e->o->table, .isa = t->e->o->isa};
    reel_generate *generate = NULL;
    reel_status status = reel_generate_open(t->e->env, request, &backend, &generate);
    if (status == REEL_OK) status = reel_generate_run(generate, NULL, NULL, NULL);
    reel_generate_close(&generate);
    return status;
}

reel_status reel_tasks_make(reel_tasks *t, reel_generate_request *request, int64_t i,
                            const char *name, int64_t frames, uint8_t *rgb) {
    const reel_eval_options *o = t->e->o;
    char path[REEL_TASKS_PATH];
    reel_tasks_path(t, i, name, path);
    request->model = o->model;
    request->output = path;
    request->seed = (int64_t)((o->seed + (uint64_t)i) & INT64_MAX);
    request->steps = o->steps;
    request->cfg_scale = o->cfg_scale;
    request->cfg_to = -1;
    request->anchor = -1; /* windows hang together as the model has it */
    request->context_noise = -1;
    if (!request->clip[0]) { /* clips have a size and a rate of their own */
        request->width = t->e->size.width;
        request->height = t->e->size.height;
        request->fps = o->fps;
    }
    const reel_status status = run(t, request);
    const reel_bucket size = reel_tasks_size(t, frames);
    if (status != REEL_OK || !rgb) return status;
    return reel_clip_file_read(t->e->env, path, &size, rgb);
}

static reel_status remove_clips(reel_tasks *t, reel_arena *arena) {
    const char *const *name;
    int64_t n;
    reel_status status = reel_folder_list(t->e->env, arena, t->folder, "", "", &name, &n);
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        char path[REEL_TASKS_PATH];
        snprintf(path, sizeof path, "%s/%.60s", t->folder, name[i]);
        status = reel_file_remove(t->e->env, path);
    }
    return status;
}

reel_status reel_tasks_clear(reel_tasks *t) {
    if (t->keeps) return REEL_OK;
    reel_arena arena;
    reel_arena_init(&arena, t->e->env, 4096, tag);
    const reel_status status = remove_clips(t, &arena);
    reel_arena_deinit(&arena);
    return status;
}

/* ---- rows, and the judge ---- */

reel_status reel_tasks_share(reel_tasks *t, const char *group, const char *name, int64_t right,
                             int64_t real, int64_t n) {
    return n ? reel_eval_add_share(t->e, section, group, name, right, real, n) : REEL_OK;
}

reel_status reel_tasks_value(reel_tasks *t, const char *group, const char *name, double value,
                             double real, int64_t n) {
    return n ? reel_eval_add(t->e, section, group, name, value, real, n) : REEL_OK;
}

reel_status reel_tasks_judge(reel_tasks *t, const reel_prompt *prompt, const uint8_t *rgb,
                             reel_tasks_score *score, int32_t *answer) {
    int32_t own[REEL_JUDGE_QUESTIONS];
    int32_t *said = answer ? answer : own;
    const reel_status status = reel_judge_look(t->e->judge, rgb, said, NULL);
    for (int q = 0; q < REEL_QUESTION_COUNT && score && status == REEL_OK; q++) {
        const int truth = reel_prompt_answer(prompt, q);
        if (truth == REEL_NO_ANSWER || q == REEL_QUESTION_OBJECTS) continue;
        score->asked++;
        score->right += said[q] == truth;
    }
    return status;
}

/* ---- all of them ---- */

static reel_status measure(reel_tasks *t) {
    reel_status status = reel_tasks_animate(t);
    if (status == REEL_OK) status = reel_tasks_extend(t);
    if (status == REEL_OK) status = reel_tasks_connect(t);
    if (status == REEL_OK) status = reel_tasks_loop(t);
    if (status == REEL_OK) status = reel_tasks_edit(t);
    if (status == REEL_OK) status = reel_tasks_drift(t);
    return status;
}

/* The folder somebody wants to keep the clips in, or one that nobody else has. */
static reel_status open_folder(reel_tasks *t) {
    const reel_eval_options *o = t->e->o;
    const char *below = o->clips ? o->clips : o->scratch && o->scratch[0] ? o->scratch : "/tmp";
    const int n =
        snprintf(t->folder, sizeof t->folder, "%s%s", below, o->clips ? "" : "/reel-eval.XXXXXX");
    t->keeps = o->clips != NULL;
    if (n >= (int)sizeof t->folder)
        return reel_fail(t->e->env, REEL_E_ARG, "%.80s...: too long a name of a folder", below);
    if (t->keeps) return reel_folder_make(t->e->env, o->clips);
    if (mkdtemp(t->folder)) return REEL_OK;
    t->folder[0] = '\0';
    return reel_fail(t->e->env, REEL_E_IO, "%s: no folder for clips can be made there", below);
}

reel_status reel_eval_tasks(reel_eval *e) {
    reel_tasks t = {.e = e};
    const int64_t bytes = 2 * reel_bucket_bytes(&e->size);
    if (!e->judge)
        reel_log(e->env, REEL_LOG_WARN,
                 "tasks: without a judge, what prompts and clips show is not measured");
    t.made = reel_alloc(e->env, bytes, tag);
    t.real = reel_alloc(e->env, bytes, tag);
    reel_status status = t.made && t.real ? open_folder(&t) : REEL_E_NOMEM;
    if (status == REEL_OK) status = measure(&t);
    reel_free(e->env, t.made);
    reel_free(e->env, t.real);
    if (t.keeps || !t.folder[0]) return status;
    const reel_status cleared = reel_tasks_clear(&t); /* of a measurement that failed, too */
    (void)rmdir(t.folder);
    return status == REEL_OK ? cleared : status;
}
