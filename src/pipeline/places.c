#include "pipeline/places.h"

#include <stdlib.h>
#include <string.h>

typedef struct reel_place place;

static int by_address(const void *a, const void *b) {
    const uintptr_t x = (uintptr_t)((const place *)a)->data;
    const uintptr_t y = (uintptr_t)((const place *)b)->data;
    return x < y ? -1 : x > y;
}

reel_status reel_places_init(reel_env *env, reel_safetensors_set *files, reel_places *places) {
    const int64_t n = reel_safetensors_set_count(files);
    place *list = reel_calloc(env, n ? n : 1, sizeof *list, "places");
    if (!list) return REEL_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        reel_tensor tensor;
        list[i].name = reel_safetensors_set_at(files, i)->name;
        const reel_status status = reel_safetensors_set_get(files, list[i].name, &tensor);
        if (status != REEL_OK) {
            reel_free(env, list);
            return status;
        }
        list[i].data = tensor.data;
    }
    qsort(list, (size_t)n, sizeof *list, by_address);
    *places = (reel_places){.env = env, .place = list, .n = n};
    return REEL_OK;
}

void reel_places_deinit(reel_places *places) {
    if (places->env) reel_free(places->env, places->place);
    *places = (reel_places){0};
}

const char *reel_places_find(const reel_places *places, const void *data) {
    const place key = {.data = data};
    const place *at = bsearch(&key, places->place, (size_t)places->n, sizeof key, by_address);
    return at ? at->name : NULL;
}

/* ---- quantising ---- */

typedef struct quantising {
    reel_places places;
    const reel_safetensors_set *files;
    const char *before; /* the tensor that was turned last; its pages are not needed any more */
} quantising;

static void drop_before(quantising *q) {
    if (q->before) reel_safetensors_set_done(q->files, q->before);
    q->before = NULL;
}

bool reel_places_is_linear(const reel_param *param) {
    const size_t n = strlen(param->name);
    return n >= 7 && strcmp(param->name + n - 7, ".weight") == 0 && param->shape.rank == 2 &&
           param->shape.dim[1] % REEL_Q8_VALUES == 0;
}

/* Asked before each parameter: the one before is done. */
static bool choose(void *context, const reel_param *param) {
    quantising *q = context;
    drop_before(q);
    if (!reel_places_is_linear(param)) return false;
    q->before = reel_places_find(&q->places, param->data);
    return true;
}

reel_status reel_places_quantise(reel_env *env, reel_safetensors_set *files, reel_params *params) {
    quantising q = {.files = files};
    reel_status status = reel_places_init(env, files, &q.places);
    if (status != REEL_OK) return status;
    status = reel_params_quantise(params, choose, &q, NULL);
    drop_before(&q);
    reel_places_deinit(&q.places);
    return status;
}
