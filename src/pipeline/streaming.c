#include "pipeline/streaming.h"

#include <stdlib.h>

#include "pipeline/places.h"

typedef struct reel_streaming_drop drop_point;

static int by_record(const void *a, const void *b) {
    const drop_point *x = a, *y = b;
    return x->after < y->after ? -1 : x->after > y->after;
}

static reel_status list_drops(reel_streaming *s, reel_safetensors_set *files, reel_params *params,
                              const reel_plan *plan) {
    reel_places places;
    const reel_status status = reel_places_init(s->env, files, &places);
    if (status != REEL_OK) return status;
    const int n = reel_params_count(params);
    s->drop = reel_calloc(s->env, n ? n : 1, sizeof *s->drop, "streaming");
    for (int i = 0; s->drop && i < n; i++) {
        const reel_param *p = reel_params_at(params, i);
        const char *name = reel_places_find(&places, p->data);
        const int after = name && p->used ? reel_plan_last_use(plan, p->var) : -1;
        if (after >= 0) s->drop[s->n++] = (drop_point){after, name};
    }
    reel_places_deinit(&places);
    if (!s->drop) return REEL_E_NOMEM;
    qsort(s->drop, (size_t)s->n, sizeof *s->drop, by_record);
    return REEL_OK;
}

static reel_status after(void *context, int index) {
    reel_streaming *s = context;
    if (index == 0) s->next = 0;
    for (; s->next < s->n && s->drop[s->next].after <= index; s->next++)
        reel_safetensors_set_done(s->files, s->drop[s->next].name);
    return s->tick ? s->tick(s->tick_context) : REEL_OK;
}

reel_status reel_streaming_init(reel_env *env, reel_safetensors_set *files, reel_params *params,
                                reel_plan *plan, reel_tick *tick, void *tick_context,
                                reel_streaming *s) {
    *s = (reel_streaming){.env = env, .files = files, .tick = tick, .tick_context = tick_context};
    if (files) {
        const reel_status status = list_drops(s, files, params, plan);
        if (status != REEL_OK) {
            reel_streaming_deinit(s);
            return status;
        }
    }
    if (files || tick) reel_plan_set_after(plan, after, s);
    return REEL_OK;
}

void reel_streaming_deinit(reel_streaming *s) {
    if (s->env) reel_free(s->env, s->drop);
    *s = (reel_streaming){0};
}

int64_t reel_streaming_window(reel_params *params, const reel_plan *plan) {
    int64_t most = 0;
    const int n_records = reel_plan_get_stats(plan).n_records;
    for (int k = 0; k < n_records; k++) {
        int64_t sum = 0;
        for (int i = 0; i < reel_params_count(params); i++) {
            const reel_param *p = reel_params_at(params, i);
            if (p->used && reel_plan_last_use(plan, p->var) == k)
                sum += reel_dtype_size(p->dtype, reel_shape_count(&p->shape));
        }
        if (sum > most) most = sum;
    }
    return most;
}
