/* Whether what falls speeds up evenly, and what passes behind something comes out the same. */
#include "eval/eval_state.h"
#include "eval/track.h"

/* How well a constant acceleration must explain a fall. */
static const double least_r2 = 0.97;
/* How far the shares of red, green and blue may move behind the obstacle. Neighbouring colors of
 * the world's palette are 0.17 apart or more; light and shade on real renders move them by 0.05. */
static const double most_apart = 0.09;

static reel_status passes(reel_eval *e, reel_prompt_group group, const uint8_t *rgb,
                          reel_track_point *point, bool *passed) {
    const reel_bucket *s = &e->size;
    const reel_status status = reel_track(e->env, rgb, s->frames, s->height, s->width, point);
    if (status != REEL_OK) return status;
    *passed = group == REEL_PROMPTS_FALL
                  ? reel_track_falls(point, s->frames, s->height, least_r2, NULL)
                  : reel_track_comes_back(point, s->frames, s->width, most_apart);
    return REEL_OK;
}

static reel_status measure(reel_eval *e, reel_prompt_group group, const char *name,
                           reel_track_point *point) {
    const int64_t n = reel_eval_fewer(e);
    int64_t made = 0, real = 0;
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        reel_prompt p;
        bool passed[2] = {false, false};
        status = reel_eval_told(e, "physics", i, n);
        if (status == REEL_OK)
            status = reel_prompt_make(e->env, group, e->o->seed, i, e->duration_s, &p);
        if (status == REEL_OK)
            status = reel_eval_model_generate(e->model, p.text, e->o->seed + (uint64_t)i, e->made);
        if (status == REEL_OK)
            status = reel_prompt_render(e->env, &p, &e->size, (float)e->o->fps, e->real);
        if (status == REEL_OK)
            status =
                reel_eval_keep_clip(e, group == REEL_PROMPTS_FALL ? "falling" : "behind", i, &p);
        if (status == REEL_OK) status = passes(e, group, e->made, point, &passed[0]);
        if (status == REEL_OK) status = passes(e, group, e->real, point, &passed[1]);
        made += passed[0];
        real += passed[1];
    }
    return status == REEL_OK ? reel_eval_add_share(e, "physics", reel_prompt_group_name(group),
                                                   name, made, real, n)
                             : status;
}

reel_status reel_eval_physics(reel_eval *e) {
    reel_track_point *point = reel_calloc(e->env, e->size.frames, sizeof *point, "eval");
    if (!point) return REEL_E_NOMEM;
    reel_status status = measure(e, REEL_PROMPTS_FALL, "speeds up evenly", point);
    if (status == REEL_OK) status = measure(e, REEL_PROMPTS_BEHIND, "same color after", point);
    reel_free(e->env, point);
    return status;
}
