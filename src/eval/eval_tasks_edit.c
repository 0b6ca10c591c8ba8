/* Editing held-out clips at half strength, by prompts that differ from theirs in one attribute:
 * whether that changes and the others stay; behind a mask, whether what is black comes through as
 * the autoencoder leaves it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/quality.h"
#include "data/steps.h"
#include "eval/eval_tasks.h"

static const char tag[] = "eval tasks", group[] = "edit";
static const double strength = 0.5;
static const double least_below_db = 1; /* as of animate */

/* What an edit is asked for, in turn: what a clip can change without moving otherwise. */
static const reel_attribute turn[] = {REEL_ATTRIBUTE_COLOR, REEL_ATTRIBUTE_GROUND,
                                      REEL_ATTRIBUTE_SKY, REEL_ATTRIBUTE_KIND};
enum { N_TURNS = sizeof turn / sizeof *turn };
enum { MADE, REAL, N_SIDES };

typedef struct edit {
    float *latents;                                /* of a clip */
    int64_t n[N_TURNS], changes[N_SIDES][N_TURNS]; /* clips */
    int64_t n_others, stays[N_SIDES];              /* answers */
    int64_t n_masked, kept;                        /* clips */
    double outside[2];                             /* sums of PSNR: of edits, of the autoencoder */
} edit;

/* The prompt with the attribute whose turn it is exchanged, or the next one that can be. */
static reel_status swap(reel_tasks *t, const reel_prompt *p, int64_t i, int *which,
                        reel_prompt *other) {
    for (int k = 0; k < N_TURNS; k++) {
        bool differs;
        *which = (int)((i + k) % N_TURNS);
        const reel_status status = reel_prompt_swap(t->e->env, p, turn[*which], other, &differs);
        if (status != REEL_OK || differs) return status;
    }
    return reel_fail(t->e->env, REEL_E_UNSUPPORTED, "nothing can be exchanged in: %s", p->text);
}

/* ---- with a judge ---- */

static void count(edit *x, int side, int which, const reel_prompt *other, const int32_t *before,
                  const int32_t *after) {
    const int asked = (int)turn[which];
    x->changes[side][which] += after[asked] == reel_prompt_answer(other, asked);
    for (int q = 0; q < REEL_QUESTION_COUNT; q++) {
        if (q == asked || q == REEL_QUESTION_OBJECTS) continue;
        if (reel_prompt_answer(other, q) == REEL_NO_ANSWER) continue;
        x->n_others += side == MADE;
        x->stays[side] += before[q] == after[q];
    }
}

/* Beside the edit stands a render of a scene where the other prompt is true. */
static reel_status judge(reel_tasks *t, edit *x, int which, const reel_prompt *other) {
    reel_eval *e = t->e;
    int32_t before[REEL_JUDGE_QUESTIONS], after[N_SIDES][REEL_JUDGE_QUESTIONS];
    if (!e->judge) return REEL_OK;
    reel_status status = reel_tasks_judge(t, other, e->real, NULL, before);
    if (status == REEL_OK) status = reel_tasks_judge(t, other, e->made, NULL, after[MADE]);
    if (status == REEL_OK) status = reel_tasks_render(t, other, e->size.frames, t->real);
    if (status == REEL_OK) status = reel_tasks_judge(t, other, t->real, NULL, after[REAL]);
    if (status != REEL_OK) return status;
    x->n[which]++;
    for (int side = 0; side < N_SIDES; side++)
        count(x, side, which, other, before, after[side]);
    return REEL_OK;
}

/* ---- behind a mask ---- */

/* White in the columns [from,to). */
static reel_status write_mask(reel_tasks *t, int64_t i, int64_t from, int64_t to,
                              char path[REEL_TASKS_PATH]) {
    const int64_t H = t->e->size.height, W = t->e->size.width;
    memset(t->real, 0, (size_t)(3 * H * W));
    for (int64_t y = 0; y < H; y++)
        memset(t->real + 3 * (y * W + from), 255, (size_t)(3 * (to - from)));
    return reel_tasks_write(t, i, "edit-mask.png", 1, t->real, path);
}

/* One half of the picture is edited, the other kept. */
static reel_status edit_half(reel_tasks *t, edit *x, reel_generate_request *request, int64_t i) {
    reel_eval *e = t->e;
    const int64_t W = e->size.width, white = i % 2 ? W / 2 : 0, black = W / 2 - white;
    char mask[REEL_TASKS_PATH];
    reel_status status = write_mask(t, i, white, white + W / 2, mask);
    request->mask = mask;
    if (status == REEL_OK)
        status = reel_tasks_make(t, request, i, "edit-masked.mkv", e->size.frames, e->made);
    if (status == REEL_OK) status = reel_eval_model_encode(e->model, e->real, x->latents);
    if (status == REEL_OK) status = reel_eval_model_decode(e->model, x->latents, t->real);
    if (status != REEL_OK) return status;
    const double made =
        reel_psnr(reel_columns_mean_square(e->made, e->real, &e->size, black, black + W / 2));
    const double own =
        reel_psnr(reel_columns_mean_square(t->real, e->real, &e->size, black, black + W / 2));
    x->outside[0] += made;
    x->outside[1] += own;
    x->kept += made >= own - least_below_db;
    x->n_masked++;
    return REEL_OK;
}

/* ---- both ---- */

static reel_status edit_clip(reel_tasks *t, edit *x, int64_t i) {
    reel_eval *e = t->e;
    char path[REEL_TASKS_PATH];
    reel_prompt p, other;
    int which = 0;
    reel_status status = reel_tasks_prompt(t, group, i, e->o->prompts, e->size.frames, &p);
    if (status == REEL_OK) status = swap(t, &p, i, &which, &other);
    if (status == REEL_OK) status = reel_tasks_render(t, &p, e->size.frames, e->real);
    if (status == REEL_OK)
        status = reel_tasks_write(t, i, "edit-given.mkv", e->size.frames, e->real, path);
    reel_generate_request request = {
        .prompt = other.text, .task = REEL_TASK_EDIT, .clip = {path}, .strength = strength};
    if (status == REEL_OK)
        status = reel_tasks_make(t, &request, i, "edit.mkv", e->size.frames, e->made);
    if (status == REEL_OK) status = judge(t, x, which, &other);
    if (status == REEL_OK) status = edit_half(t, x, &request, i);
    return status == REEL_OK ? reel_tasks_clear(t) : status;
}

static reel_status report_judged(reel_tasks *t, const edit *x) {
    int64_t n = 0, changes[N_SIDES] = {0, 0};
    for (int k = 0; k < N_TURNS; k++) {
        n += x->n[k];
        changes[MADE] += x->changes[MADE][k];
        changes[REAL] += x->changes[REAL][k];
    }
    reel_status status =
        reel_tasks_share(t, group, "asked changes", changes[MADE], changes[REAL], n);
    for (int k = 0; k < N_TURNS && status == REEL_OK; k++) {
        char name[REEL_REPORT_NAME_BYTES];
        snprintf(name, sizeof name, "%s changes", reel_attribute_name(turn[k]));
        status =
            reel_tasks_share(t, group, name, x->changes[MADE][k], x->changes[REAL][k], x->n[k]);
    }
    if (status != REEL_OK) return status;
    return reel_tasks_share(t, group, "others stay", x->stays[MADE], x->stays[REAL], x->n_others);
}

static reel_status report(reel_tasks *t, const edit *x) {
    const double n = (double)x->n_masked;
    reel_status status = report_judged(t, x);
    if (status == REEL_OK)
        status = reel_tasks_value(t, "masked edit", "psnr outside", x->outside[0] / n,
                                  x->outside[1] / n, x->n_masked);
    return status == REEL_OK
               ? reel_tasks_share(t, "masked edit", "outside kept", x->kept, -1, x->n_masked)
               : status;
}

reel_status reel_tasks_edit(reel_tasks *t) {
    edit x = {0};
    const int64_t n = reel_eval_model_latents(t->e->model);
    x.latents = reel_alloc(t->e->env, n * (int64_t)sizeof *x.latents, tag);
    reel_status status = x.latents ? REEL_OK : REEL_E_NOMEM;
    for (int64_t i = 0; i < t->e->o->prompts && status == REEL_OK; i++)
        status = edit_clip(t, &x, i);
    reel_free(t->e->env, x.latents);
    return status == REEL_OK ? report(t, &x) : status;
}
