/* Caption-swap discrimination: the text's grip on the model, long before pictures show it. */
#include <math.h>

#include "eval/eval_state.h"

/* Noise hides nearly everything there, so that what is predicted must come from the text. What is
 * true of all of a clip (which way a car drives) can still be read out of 576 tokens at 0.9. */
static const double level = 0.98;

typedef struct swap {
    reel_eval *e;
    reel_world_source held;
    float *latents;
    int64_t right[REEL_ATTRIBUTE_COUNT], n[REEL_ATTRIBUTE_COUNT];
} swap;

/* Clip i: the true caption's error, then that of each caption with one attribute changed. */
static reel_status add_clip(swap *s, int64_t i) {
    reel_eval *e = s->e;
    double truth = -1, other;
    for (int a = 0; a < REEL_ATTRIBUTE_COUNT; a++) {
        char text[REEL_SOURCE_CAPTION_BYTES], swapped[REEL_SOURCE_CAPTION_BYTES];
        bool differs;
        reel_status status =
            reel_world_source_swap(e->env, &s->held, i, &e->size, a, text, swapped, &differs);
        if (status == REEL_OK && truth < 0)
            status = reel_eval_model_error(e->model, s->latents, text, level, (uint64_t)i, &truth);
        if (status == REEL_OK && differs)
            status =
                reel_eval_model_error(e->model, s->latents, swapped, level, (uint64_t)i, &other);
        if (status != REEL_OK) return status;
        s->n[a] += differs;
        s->right[a] += differs && truth < other;
    }
    return REEL_OK;
}

static reel_status report(const swap *s) {
    int64_t right = 0, n = 0;
    reel_status status = REEL_OK;
    for (int a = 0; a < REEL_ATTRIBUTE_COUNT && status == REEL_OK; a++) {
        if (!s->n[a]) continue;
        right += s->right[a];
        n += s->n[a];
        status =
            reel_eval_add_share(s->e, "swap", "true below swapped",
                                reel_attribute_name((reel_attribute)a), s->right[a], -1, s->n[a]);
    }
    if (status == REEL_OK && n)
        status = reel_eval_add_share(s->e, "swap", "true below swapped", "all", right, -1, n);
    return status;
}

reel_status reel_eval_swap(reel_eval *e) {
    const int64_t n = reel_eval_fewer(e);
    swap s = {
        .e = e,
        .held = {.seed = e->o->seed, .split = REEL_SOURCE_VALIDATION, .fps = (float)e->o->fps}};
    s.latents =
        reel_alloc(e->env, reel_eval_model_latents(e->model) * (int64_t)sizeof(float), "eval");
    reel_status status = s.latents ? REEL_OK : REEL_E_NOMEM;
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        status = reel_eval_told(e, "swap", i, n);
        if (status == REEL_OK)
            status = reel_world_source_clip(e->env, &s.held, i, &e->size, e->real);
        if (status == REEL_OK) status = reel_eval_model_encode(e->model, e->real, s.latents);
        if (status == REEL_OK) status = add_clip(&s, i);
    }
    reel_free(e->env, s.latents);
    return status == REEL_OK ? report(&s) : status;
}
