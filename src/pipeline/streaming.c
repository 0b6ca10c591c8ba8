#include "pipeline/streaming.h"

#include <stdlib.h>

typedef struct reel_streaming_drop drop_point;

/* A tensor of the files by its address, to find the parameter that lies there. */
typedef struct placed {
    const void *data;
    const char *name;
} placed;

static int by_address(const void *a, const void *b) {
    const uintptr_t x = (uintptr_t)((const placed *)a)->data;
    const uintptr_t y = (uintptr_t)((const placed *)b)->data;
    return x < y ? -1 : x > y;
}

static int by_record(const void *a, const void *b) {
    const drop_point *x = a, *y = b;
    return x->after < y->after ? -1 : x->after > y->after;
}

static reel_status list_places(reel_env *env, reel_safetensors_set *files, placed **places,
                               int64_t *n) {
    *n = reel_safetensors_set_count(files);
    placed *list = reel_calloc(env, *n ? *n : 1, sizeof *list, "streaming");
    if (!list) return REEL_E_NOMEM;
    for (int64_t i = 0; i < *n; i++) {
        reel_tensor tensor;
        list[i].name = reel_safetensors_set_at(files, i)->name;
        const reel_status status = reel_safetensors_set_get(files, list[i].name, &tensor);
        if (status != REEL_OK) {
            reel_free(env, list);
            return status;
        }
        list[i].data = tensor.data;
    }
    qsort(list, (size_t)*n, sizeof *list, by_address);
    *places = list;
    return REEL_OK;
}

static reel_status list_drops(reel_streaming *s, reel_safetensors_set *files, reel_params *params,
                              const reel_plan *plan) {
    placed *places;
    int64_t n_places;
    const reel_status status = list_places(s->env, files, &places, &n_places);
    if (status != REEL_OK) return status;
    const int n = reel_params_count(params);
    s->drop = reel_calloc(s->env, n ? n : 1, sizeof *s->drop, "streaming");
    for (int i = 0; s->drop && i < n; i++) {
        const reel_param *p = reel_params_at(params, i);
        const placed key = {.data = p->data};
        const placed *at = bsearch(&key, places, (size_t)n_places, sizeof *places, by_address);
        const int after = at && p->used ? reel_plan_last_use(plan, p->var) : -1;
        if (after >= 0) s->drop[s->n++] = (drop_point){after, at->name};
    }
    reel_free(s->env, places);
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
