/* Animating the first frame of held-out clips: whether it is kept, whether anything moves, and what
 * a judge sees beside what it sees in text to video of the same prompts.
 */
#include <math.h>

#include "data/quality.h"
#include "data/steps.h"
#include "eval/eval_tasks.h"

static const char tag[] = "eval tasks", group[] = "animate";

/* How far below the autoencoder's own PSNR what is kept may be. */
static const double least_below_db = 1;
/* The share of the picture that has to leave the first frame: of 120 held-out scenes that move,
 * coded and decoded, the least (a small thing that spins) was 0.020; of 26 where nothing does, 22
 * stayed below 0.011, the others, of water, reached 0.026. */
static const double least_moved = 0.015;

typedef struct animate {
    float *latents;                    /* of a clip */
    double first[2];                   /* sums of PSNR: of the task, of the autoencoder */
    int64_t kept, n;                   /* clips */
    int64_t asked_to_move;             /* of them */
    int64_t moves[2];                  /* made, real */
    reel_pulse pulse, coded, rendered; /* of what is made, of the autoencoder alone, of renders */
    reel_tasks_score score, text, real;
} animate;

/* Object or camera: rain alone is no motion of the scene. */
static bool asks_for_motion(const reel_prompt *p) {
    const int motion = reel_prompt_answer(p, REEL_ATTRIBUTE_MOTION);
    const int camera = reel_prompt_answer(p, REEL_ATTRIBUTE_CAMERA);
    return (motion != REEL_NO_ANSWER && motion != REEL_MOTION_STILL) ||
           (camera != REEL_NO_ANSWER && camera != REEL_CAMERA_STILL);
}

/* The autoencoder alone, on the clip: its first frame does not depend on later ones. */
static reel_status own_psnr(reel_tasks *t, animate *a, double *psnr) {
    reel_eval *e = t->e;
    reel_status status = reel_eval_model_encode(e->model, e->real, a->latents);
    if (status == REEL_OK) status = reel_eval_model_decode(e->model, a->latents, t->real);
    if (status != REEL_OK) return status;
    *psnr = reel_psnr(reel_mean_square(t->real, e->real, e->size.width * e->size.height * 3));
    reel_pulse_add(&a->coded, t->real, &e->size, reel_eval_model_factor_t(e->model));
    return REEL_OK;
}

static reel_status judge(reel_tasks *t, animate *a, const reel_prompt *p, int64_t i) {
    reel_eval *e = t->e;
    if (!e->judge) return REEL_OK;
    reel_status status = reel_tasks_judge(t, p, e->made, &a->score, NULL);
    if (status == REEL_OK) status = reel_tasks_judge(t, p, e->real, &a->real, NULL);
    if (status == REEL_OK)
        status = reel_eval_model_generate(e->model, p->text, e->o->seed + (uint64_t)i, e->made);
    return status == REEL_OK ? reel_tasks_judge(t, p, e->made, &a->text, NULL) : status;
}

static void count(const reel_eval *e, animate *a, const reel_prompt *p, double own) {
    const int64_t frame = e->size.width * e->size.height * 3;
    const double first = reel_psnr(reel_mean_square(e->made, e->real, frame));
    a->first[0] += first;
    a->first[1] += own;
    a->kept += first >= own - least_below_db;
    a->n++;
    reel_pulse_add(&a->pulse, e->made, &e->size, reel_eval_model_factor_t(e->model));
    reel_pulse_add(&a->rendered, e->real, &e->size, reel_eval_model_factor_t(e->model));
    if (!asks_for_motion(p)) return;
    a->asked_to_move++;
    a->moves[0] += reel_moved_share(e->made, &e->size) >= least_moved;
    a->moves[1] += reel_moved_share(e->real, &e->size) >= least_moved;
}

static reel_status add_clip(reel_tasks *t, animate *a, int64_t i) {
    reel_eval *e = t->e;
    char path[REEL_TASKS_PATH];
    reel_prompt p;
    double own = 0;
    reel_status status = reel_tasks_prompt(t, group, i, e->o->prompts, e->size.frames, &p);
    if (status == REEL_OK) status = reel_tasks_render(t, &p, e->size.frames, e->real);
    if (status == REEL_OK) status = reel_tasks_write(t, i, "animate-first.png", 1, e->real, path);
    const reel_keyframe first = {.path = path};
    reel_generate_request request = {.prompt = p.text,
                                     .task = REEL_TASK_ANIMATE,
                                     .frames = e->size.frames,
                                     .keyframe = &first,
                                     .n_keyframes = 1};
    if (status == REEL_OK)
        status = reel_tasks_make(t, &request, i, "animate.mkv", e->size.frames, e->made);
    if (status == REEL_OK) status = own_psnr(t, a, &own);
    if (status != REEL_OK) return status;
    count(e, a, &p, own);
    status = judge(t, a, &p, i);
    return status == REEL_OK ? reel_tasks_clear(t) : status;
}

static double share(reel_tasks_score s) {
    return (double)s.right / (double)s.asked;
}

static reel_status report(reel_tasks *t, const animate *a) {
    const double n = (double)a->n;
    reel_status status =
        reel_tasks_value(t, group, "first frame psnr", a->first[0] / n, a->first[1] / n, a->n);
    if (status == REEL_OK)
        status = reel_tasks_share(t, group, "first frame kept", a->kept, -1, a->n);
    if (status == REEL_OK)
        status = reel_tasks_share(t, group, "motion", a->moves[0], a->moves[1], a->asked_to_move);
    const double rendered = reel_pulse_ratio(&a->rendered);
    if (status == REEL_OK)
        status = reel_tasks_value(t, group, "pulse", reel_pulse_ratio(&a->pulse), rendered, a->n);
    if (status == REEL_OK)
        status =
            reel_tasks_value(t, group, "pulse of vae", reel_pulse_ratio(&a->coded), rendered, a->n);
    if (status != REEL_OK || !a->score.asked) return status;
    status =
        reel_tasks_share(t, group, "judged right", a->score.right, a->real.right, a->score.asked);
    if (status == REEL_OK)
        status = reel_tasks_share(t, group, "text to video", a->text.right, a->real.right,
                                  a->text.asked);
    if (status == REEL_OK)
        status = reel_tasks_value(t, group, "points below it",
                                  100 * (share(a->text) - share(a->score)), (double)NAN, a->n);
    return status;
}

reel_status reel_tasks_animate(reel_tasks *t) {
    animate a = {0};
    const int64_t n = reel_eval_model_latents(t->e->model);
    a.latents = reel_alloc(t->e->env, n * (int64_t)sizeof *a.latents, tag);
    reel_status status = a.latents ? REEL_OK : REEL_E_NOMEM;
    for (int64_t i = 0; i < t->e->o->prompts && status == REEL_OK; i++)
        status = add_clip(t, &a, i);
    reel_free(t->e->env, a.latents);
    return status == REEL_OK ? report(t, &a) : status;
}
