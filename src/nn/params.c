#include "nn/params.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "tensor/q8.h"

struct reel_params {
    reel_env *env;
    reel_param *param; /* [capacity] */
    int32_t *bucket;   /* [2 * capacity]: open addressing, index + 1, 0 is free */
    int n, capacity;
    bool closed;
    int64_t epoch;
};

reel_status reel_params_new(reel_env *env, reel_params **params) {
    reel_params *p = reel_calloc(env, 1, sizeof *p, "params");
    if (!p) return REEL_E_NOMEM;
    p->env = env;
    p->epoch = 1;
    *params = p;
    return REEL_OK;
}

static void free_name(reel_env *env, const char *name) {
    char *owned;
    memcpy(&owned, &name, sizeof owned); /* the store made it; const is for readers */
    reel_free(env, owned);
}

void reel_params_free(reel_params **params) {
    reel_params *p = *params;
    if (!p) return;
    for (int i = 0; i < p->n; i++) {
        free_name(p->env, p->param[i].name);
        if (p->param[i].owned) reel_free(p->env, p->param[i].data);
    }
    reel_free(p->env, p->param);
    reel_free(p->env, p->bucket);
    reel_free(p->env, p);
    *params = NULL;
}

int reel_params_count(const reel_params *p) {
    return p->n;
}
reel_param *reel_params_at(reel_params *p, int index) {
    return &p->param[index];
}
void reel_params_close(reel_params *p) {
    p->closed = true;
}
bool reel_params_closed(const reel_params *p) {
    return p->closed;
}
void reel_params_begin_recording(reel_params *p) {
    p->epoch++;
}

int64_t reel_params_elements(const reel_params *p) {
    int64_t n = 0;
    for (int i = 0; i < p->n; i++)
        n += reel_shape_count(&p->param[i].shape);
    return n;
}

/* ---- names ---- */

/* The bucket that holds name, or the free one where it would go. */
static int32_t *bucket_of(const reel_params *p, const char *name) {
    const uint64_t n_buckets = 2 * (uint64_t)p->capacity;
    uint64_t at = reel_rng_stream(name) % n_buckets;
    while (p->bucket[at] && strcmp(p->param[p->bucket[at] - 1].name, name) != 0)
        at = (at + 1) % n_buckets;
    return &p->bucket[at];
}

reel_param *reel_params_find(reel_params *p, const char *name) {
    if (!p->n) return NULL;
    const int32_t index = *bucket_of(p, name);
    return index ? &p->param[index - 1] : NULL;
}

static reel_status make_room(reel_params *p) {
    if (p->n < p->capacity) return REEL_OK;
    const int capacity = p->capacity ? 2 * p->capacity : 64;
    int32_t *bucket = reel_calloc(p->env, 2 * (int64_t)capacity, sizeof *bucket, "params");
    if (!bucket) return REEL_E_NOMEM;
    reel_param *param = reel_realloc(p->env, p->param, capacity * (int64_t)sizeof *param, "params");
    if (!param) {
        reel_free(p->env, bucket);
        return REEL_E_NOMEM;
    }
    reel_free(p->env, p->bucket);
    p->param = param;
    p->bucket = bucket;
    p->capacity = capacity;
    for (int i = 0; i < p->n; i++)
        *bucket_of(p, p->param[i].name) = i + 1;
    return REEL_OK;
}

static reel_status insert(reel_params *p, const char *name, reel_param param) {
    reel_status status = reel_shape_check(p->env, &param.shape);
    if (status != REEL_OK) {
        reel_fail_within(p->env, "parameter %s", name);
        return status;
    }
    if (reel_params_find(p, name))
        return reel_fail(p->env, REEL_E_ARG, "parameter %s exists already", name);
    status = make_room(p);
    if (status != REEL_OK) return status;
    param.name = reel_strdup(p->env, name, "params");
    if (!param.name) return REEL_E_NOMEM;
    *bucket_of(p, name) = p->n + 1;
    p->param[p->n++] = param;
    return REEL_OK;
}

reel_status reel_params_set(reel_params *p, const char *name, reel_dtype dtype, reel_shape shape,
                            void *data) {
    return insert(p, name, (reel_param){.dtype = dtype, .shape = shape, .data = data});
}

reel_status reel_params_declare(reel_params *p, const char *name, reel_dtype dtype,
                                reel_shape shape, reel_init init) {
    return insert(p, name, (reel_param){.dtype = dtype, .shape = shape, .init = init});
}

reel_var reel_params_record(reel_params *p, reel_param *param, reel_tape *tape) {
    if (param->epoch == p->epoch) return param->var;
    param->var = (param->frozen ? reel_tape_input : reel_tape_param)(
        tape, param->dtype, param->shape, param->name, param->data);
    param->epoch = p->epoch;
    param->used = true;
    return param->var;
}

/* ---- initial values ---- */

/* Uniform in [-bound, bound) or normal: which, and how wide. */
static double spread(const reel_param *p) {
    const double fan_out = p->shape.rank ? (double)p->shape.dim[0] : 1;
    const double fan_in = (double)reel_shape_count(&p->shape) / (fan_out > 0 ? fan_out : 1);
    switch (p->init.kind) {
    case REEL_INIT_XAVIER:
        return (double)p->init.scale * sqrt(6 / (fan_in + fan_out));
    case REEL_INIT_FAN_IN:
        return (double)p->init.scale / sqrt(fan_in);
    default:
        return (double)p->init.scale;
    }
}

void reel_param_values(const reel_param *p, uint64_t seed, int64_t first, int64_t n, float *out) {
    const uint64_t stream = reel_rng_stream(p->name);
    const double width = spread(p);
    const reel_init_kind kind = p->init.kind;
    if (kind == REEL_INIT_NORMAL)
        reel_rng_fill_normal(seed, stream, (uint64_t)first, n, out);
    else if (kind != REEL_INIT_ZERO && kind != REEL_INIT_ONE)
        reel_rng_fill_uniform(seed, stream, (uint64_t)first, n, out);
    for (int64_t i = 0; i < n; i++) {
        if (kind == REEL_INIT_ZERO || kind == REEL_INIT_ONE)
            out[i] = kind == REEL_INIT_ONE;
        else if (kind == REEL_INIT_NORMAL)
            out[i] = (float)(width * (double)out[i]);
        else
            out[i] = (float)(width * (2 * (double)out[i] - 1));
    }
}

static void fill(reel_param *p, uint64_t seed) {
    enum { PIECE = 1 << 12 };
    float draft[PIECE];
    const int64_t all = reel_shape_count(&p->shape);
    for (int64_t first = 0; first < all; first += PIECE) {
        const int64_t n = all - first < PIECE ? all - first : PIECE;
        reel_param_values(p, seed, first, n, draft);
        reel_dtype_cast(p->dtype, (char *)p->data + first * reel_dtype_bytes(p->dtype), REEL_F32,
                        draft, n);
    }
}

reel_status reel_params_initialise(reel_params *p, uint64_t seed) {
    for (int i = 0; i < p->n; i++) {
        reel_param *param = &p->param[i];
        if (param->data) continue;
        const int64_t bytes = reel_dtype_size(param->dtype, reel_shape_count(&param->shape));
        param->data = reel_alloc(p->env, bytes, "params");
        if (!param->data) return REEL_E_NOMEM;
        param->owned = true;
        fill(param, seed);
    }
    return REEL_OK;
}

void reel_params_drop(reel_params *p, reel_param_choice *choose, void *context) {
    for (int i = 0; i < p->n; i++) {
        reel_param *param = &p->param[i];
        if (!param->owned || !choose(context, param)) continue;
        reel_free(p->env, param->data);
        param->data = NULL;
        param->owned = false;
    }
}

/* ---- 8-bit weights ---- */

static bool is_weight(void *context, const reel_param *p) {
    (void)context;
    static const char ending[] = ".weight";
    const size_t n = strlen(p->name), m = sizeof ending - 1;
    return n >= m && strcmp(p->name + n - m, ending) == 0;
}

typedef struct quantising {
    const reel_param *from;
    reel_q8_block *to;
} quantising;

/* One row of a weight. */
static void quantise_row(void *context, int64_t row, int lane) {
    (void)lane;
    const quantising *q = context;
    const int64_t I = q->from->shape.dim[1];
    const int64_t row_bytes = reel_dtype_size(q->from->dtype, I);
    reel_q8_quantise(q->to + row * (I / REEL_Q8_VALUES), q->from->dtype,
                     (const char *)q->from->data + row * row_bytes, I);
}

static reel_status quantise(reel_params *p, reel_param *param) {
    const int64_t bytes = reel_dtype_size(REEL_Q8_0, reel_shape_count(&param->shape));
    quantising q = {.from = param, .to = reel_alloc(p->env, bytes, "params")};
    if (!q.to) return REEL_E_NOMEM;
    reel_parallel_for(p->env->threads, param->shape.dim[0], quantise_row, &q);
    if (param->owned) reel_free(p->env, param->data);
    param->data = q.to;
    param->dtype = REEL_Q8_0;
    param->owned = param->frozen = true;
    return REEL_OK;
}

reel_status reel_params_quantise(reel_params *p, reel_param_choice *choose, void *context, int *n) {
    int done = 0;
    reel_status status = REEL_OK;
    for (int i = 0; i < p->n && status == REEL_OK; i++) {
        reel_param *param = &p->param[i];
        if (!param->data || param->shape.rank != 2 || !reel_dtype_is_float(param->dtype) ||
            param->shape.dim[1] % REEL_Q8_VALUES || !(choose ? choose : is_weight)(context, param))
            continue;
        status = quantise(p, param);
        done += status == REEL_OK;
    }
    if (n) *n = done;
    return status;
}
