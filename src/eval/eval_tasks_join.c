/* Extending, connecting and looping held-out clips: how large the steps are where made frames meet
 * given ones, and whether the object is the same behind the joint.
 */
#include <math.h>
#include <stdlib.h>

#include "data/steps.h"
#include "eval/eval_tasks.h"

static const char tag[] = "eval tasks";
/* The largest step at a joint that is not seen, over the median of the others. */
static const double most_seam = 1.5;

/* Seams of all clips: of made ones, and of real ones at the same frames. */
typedef struct seams {
    double *made, *real; /* [prompts] */
    int64_t n, n_real;
} seams;

static reel_status seams_init(reel_tasks *t, seams *s) {
    const int64_t n = t->e->o->prompts;
    *s = (seams){.made = reel_calloc(t->e->env, n, sizeof *s->made, tag),
                 .real = reel_calloc(t->e->env, n, sizeof *s->real, tag)};
    return s->made && s->real ? REEL_OK : REEL_E_NOMEM;
}

static void seams_deinit(reel_tasks *t, seams *s) {
    reel_free(t->e->env, s->made);
    reel_free(t->e->env, s->real);
}

/* Adds those of t->made and, where has_real, of t->real. */
static reel_status seams_add(reel_tasks *t, seams *s, int64_t frames, const int64_t joint[2],
                             bool has_real) {
    const reel_bucket size = reel_tasks_size(t, frames);
    const int n = joint[1] ? 2 : 1;
    reel_status status = reel_seam_measure(t->e->env, t->made, &size, joint, n, &s->made[s->n++]);
    if (status == REEL_OK && has_real)
        status = reel_seam_measure(t->e->env, t->real, &size, joint, n, &s->real[s->n_real++]);
    return status;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The median; n 0: NaN. */
static double median(double *x, int64_t n) {
    qsort(x, (size_t)n, sizeof *x, by_size);
    return n ? x[n / 2] : (double)NAN;
}

static int64_t count_small(const double *x, int64_t n) {
    int64_t small = 0;
    for (int64_t i = 0; i < n; i++)
        small += x[i] <= most_seam;
    return small;
}

/* An infinite median (nothing but the joint moves) has no place in JSON; its share says enough. */
static reel_status seams_report(reel_tasks *t, seams *s, const char *group) {
    const int64_t real = s->n_real ? count_small(s->real, s->n_real) : -1;
    reel_status status =
        reel_tasks_share(t, group, "seam <= 1.5", count_small(s->made, s->n), real, s->n);
    const double middle = median(s->made, s->n);
    if (status == REEL_OK && isfinite(middle))
        status =
            reel_tasks_value(t, group, "median seam", middle, median(s->real, s->n_real), s->n);
    return status;
}

/* ---- extend ---- */

/* What a judge says of a clip and of what comes behind it. */
typedef struct kept {
    int64_t kind, color, both;
} kept;

typedef struct extend {
    seams seams;
    kept made, real;
} extend;

static void count_kept(kept *k, const int32_t *before, const int32_t *after) {
    const bool kind = before[REEL_ATTRIBUTE_KIND] == after[REEL_ATTRIBUTE_KIND];
    const bool color = before[REEL_ATTRIBUTE_COLOR] == after[REEL_ATTRIBUTE_COLOR];
    k->kind += kind;
    k->color += color;
    k->both += kind && color;
}

/* The given clip against what is made behind it, whose first frame is the clip's last. */
static reel_status judge(reel_tasks *t, extend *x, const reel_prompt *p) {
    reel_eval *e = t->e;
    const int64_t behind = (e->size.frames - 1) * e->size.height * e->size.width * 3;
    int32_t before[REEL_JUDGE_QUESTIONS], made[REEL_JUDGE_QUESTIONS], real[REEL_JUDGE_QUESTIONS];
    if (!e->judge) return REEL_OK;
    reel_status status = reel_tasks_judge(t, p, t->real, NULL, before);
    if (status == REEL_OK) status = reel_tasks_judge(t, p, t->made + behind, NULL, made);
    if (status == REEL_OK) status = reel_tasks_judge(t, p, t->real + behind, NULL, real);
    if (status != REEL_OK) return status;
    count_kept(&x->made, before, made);
    count_kept(&x->real, before, real);
    return REEL_OK;
}

/* A scene laid out for twice as long; its first half is given. */
static reel_status extend_clip(reel_tasks *t, extend *x, int64_t i) {
    reel_eval *e = t->e;
    const int64_t given = e->size.frames, fresh = given - 1, all = given + fresh;
    const int64_t joint[2] = {given, 0};
    char path[REEL_TASKS_PATH];
    reel_prompt p;
    reel_status status = reel_tasks_prompt(t, "extend", i, e->o->prompts, all, &p);
    if (status == REEL_OK) status = reel_tasks_render(t, &p, all, t->real);
    if (status == REEL_OK)
        status = reel_tasks_write(t, i, "extend-given.mkv", given, t->real, path);
    reel_generate_request request = {
        .prompt = p.text, .task = REEL_TASK_EXTEND, .clip = {path}, .frames = fresh};
    if (status == REEL_OK) status = reel_tasks_make(t, &request, i, "extend.mkv", all, t->made);
    if (status == REEL_OK) status = seams_add(t, &x->seams, all, joint, true);
    if (status == REEL_OK) status = judge(t, x, &p);
    return status == REEL_OK ? reel_tasks_clear(t) : status;
}

static reel_status report_extend(reel_tasks *t, extend *x) {
    const int64_t n = x->seams.n;
    reel_status status = seams_report(t, &x->seams, "extend");
    if (status != REEL_OK || !t->e->judge) return status;
    status = reel_tasks_share(t, "extend", "kind kept", x->made.kind, x->real.kind, n);
    if (status == REEL_OK)
        status = reel_tasks_share(t, "extend", "color kept", x->made.color, x->real.color, n);
    if (status == REEL_OK)
        status = reel_tasks_share(t, "extend", "both kept", x->made.both, x->real.both, n);
    return status;
}

reel_status reel_tasks_extend(reel_tasks *t) {
    extend x = {0};
    reel_status status = seams_init(t, &x.seams);
    for (int64_t i = 0; i < t->e->o->prompts && status == REEL_OK; i++)
        status = extend_clip(t, &x, i);
    if (status == REEL_OK) status = report_extend(t, &x);
    seams_deinit(t, &x.seams);
    return status;
}

/* ---- connect ---- */

/* A scene of three parts, of which the first and the last are given. */
static reel_status connect_clips(reel_tasks *t, seams *s, int64_t i) {
    reel_eval *e = t->e;
    const int64_t half = e->size.frames / 2, all = 3 * half + 1;
    const int64_t joint[2] = {half + 1, 2 * half + 1};
    const int64_t frame = e->size.height * e->size.width * 3;
    char a[REEL_TASKS_PATH], b[REEL_TASKS_PATH];
    reel_prompt p;
    reel_status status = reel_tasks_prompt(t, "connect", i, e->o->prompts, all, &p);
    if (status == REEL_OK) status = reel_tasks_render(t, &p, all, t->real);
    if (status == REEL_OK) status = reel_tasks_write(t, i, "connect-a.mkv", half + 1, t->real, a);
    if (status == REEL_OK)
        status = reel_tasks_write(t, i, "connect-b.mkv", half, t->real + joint[1] * frame, b);
    reel_generate_request request = {
        .prompt = p.text, .task = REEL_TASK_CONNECT, .clip = {a, b}, .frames = half};
    if (status == REEL_OK) status = reel_tasks_make(t, &request, i, "connect.mkv", all, t->made);
    if (status == REEL_OK) status = seams_add(t, s, all, joint, true);
    return status == REEL_OK ? reel_tasks_clear(t) : status;
}

/* ---- loop ---- */

/* From the end of a clip to its beginning. No render does that: nothing stands beside it. */
static reel_status loop_clip(reel_tasks *t, seams *s, int64_t i) {
    reel_eval *e = t->e;
    const int64_t given = e->size.frames, fresh = given / 2, all = given + fresh;
    const int64_t joint[2] = {given, all};
    char path[REEL_TASKS_PATH];
    reel_prompt p;
    reel_status status = reel_tasks_prompt(t, "loop", i, e->o->prompts, given, &p);
    if (status == REEL_OK) status = reel_tasks_render(t, &p, given, t->real);
    if (status == REEL_OK) status = reel_tasks_write(t, i, "loop-given.mkv", given, t->real, path);
    reel_generate_request request = {
        .prompt = p.text, .task = REEL_TASK_LOOP, .clip = {path}, .frames = fresh};
    if (status == REEL_OK) status = reel_tasks_make(t, &request, i, "loop.mkv", all, t->made);
    if (status == REEL_OK) status = seams_add(t, s, all, joint, false);
    return status == REEL_OK ? reel_tasks_clear(t) : status;
}

/* ---- both ---- */

static reel_status measure(reel_tasks *t, const char *group,
                           reel_status (*one)(reel_tasks *t, seams *s, int64_t i)) {
    seams s;
    reel_status status = seams_init(t, &s);
    for (int64_t i = 0; i < t->e->o->prompts && status == REEL_OK; i++)
        status = one(t, &s, i);
    if (status == REEL_OK) status = seams_report(t, &s, group);
    seams_deinit(t, &s);
    return status;
}

reel_status reel_tasks_connect(reel_tasks *t) {
    return measure(t, "connect", connect_clips);
}

reel_status reel_tasks_loop(reel_tasks *t) {
    return measure(t, "loop", loop_clip);
}
