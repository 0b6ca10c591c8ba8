#include "train/learner.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/learner_state.h"

static const char tag[] = "learner";

reel_learner_options reel_learner_options_default(void) {
    return (reel_learner_options){.compute = REEL_BF16,
                                  .beta1 = 0.9,
                                  .beta2 = 0.95,
                                  .eps = 1e-8,
                                  .momentum = 0.95,
                                  .clip = 1,
                                  .ema = 0.999,
                                  .accumulate = 1};
}

bool reel_pattern_match(const char *pattern, const char *name) {
    const char *star = NULL, *from = NULL; /* the last '*', and where its run ends so far */
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            from = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

/* ---- making ---- */

reel_status reel_learner_new(reel_env *env, const reel_kernel_table *table,
                             const reel_learner_options *options, reel_learner **learner) {
    reel_learner *l = reel_calloc(env, 1, sizeof *l, tag);
    if (!l) return REEL_E_NOMEM;
    l->env = env;
    l->table = table;
    l->options = *options;
    const reel_rule other = {"*", REEL_METHOD_ADAMW, 1e-3, 0};
    l->other = other;
    reel_status status = reel_ops_tape_new(env, &l->tape);
    for (int i = 0; i < N_STORES && status == REEL_OK; i++)
        status = reel_params_new(env, &l->store[i]);
    if (status != REEL_OK) {
        reel_learner_free(&l);
        return status;
    }
    *learner = l;
    return REEL_OK;
}

void reel_learner_free(reel_learner **learner) {
    reel_learner *l = *learner;
    if (!l) return;
    for (int i = 0; i < l->n; i++) {
        reel_learned *p = &l->learned[i];
        reel_free(l->env, p->moment[0]);
        reel_free(l->env, p->moment[1]);
        reel_free(l->env, p->average);
        reel_free(l->env, p->sum);
        reel_free(l->env, p->copy);
    }
    reel_free(l->env, l->learned);
    for (int i = 0; i < N_STORES; i++)
        reel_params_free(&l->store[i]);
    reel_tape_free(&l->tape);
    reel_free(l->env, l);
    *learner = NULL;
}

reel_status reel_learner_declare(reel_learner *l, reel_program_record *record, void *context) {
    reel_tape_reset(l->tape);
    reel_tape_set_training(l->tape, true);
    reel_nn nn = reel_nn_start(l->tape, l->store[MASTERS], l->options.compute);
    nn.weights = REEL_F32;
    record(context, &nn);
    return reel_tape_status(l->tape);
}

reel_status reel_learner_set(reel_learner *l, const char *name, const reel_tensor *value) {
    reel_param *p = reel_params_find(l->store[MASTERS], name);
    if (!p) return reel_fail(l->env, REEL_E_ARG, "the model has no parameter %s", name);
    if (!reel_shape_equal(&p->shape, &value->shape))
        return reel_fail(l->env, REEL_E_SHAPE, "parameter %s must be %s, got %s", name,
                         REEL_SHAPE_STR(&p->shape), REEL_SHAPE_STR(&value->shape));
    const int64_t n = reel_shape_count(&p->shape);
    if (!p->data) p->data = reel_alloc(l->env, n * (int64_t)sizeof(float), tag);
    if (!p->data) return REEL_E_NOMEM;
    p->owned = true;
    reel_dtype_cast(REEL_F32, p->data, value->dtype, value->data, n);
    return REEL_OK;
}

/* Matrices of products are computed with in bf16. Vectors, the gains and tables stored with axes of
 * one around them, stay f32: they are small and enter sums directly. */
static bool is_matrix(const reel_shape *shape) {
    return shape->rank >= 2 && shape->dim[0] > 1 && reel_shape_count(shape) > shape->dim[0];
}

static const reel_rule *rule_of(const reel_learner *l, const char *name) {
    for (int i = 0; i < l->options.n_rules; i++)
        if (reel_pattern_match(l->options.rule[i].pattern, name)) return &l->options.rule[i];
    return &l->other;
}

static float *zeros(reel_learner *l, int64_t n) {
    return reel_calloc(l->env, n, sizeof(float), tag);
}

/* Moments, average and copy of one parameter. */
static reel_status make_state(reel_learner *l, reel_learned *p) {
    const int64_t n = reel_shape_count(&p->shape);
    const bool trained = p->rule->method != REEL_METHOD_FROZEN;
    if (l->options.compute == REEL_BF16 && is_matrix(&p->shape)) {
        p->copy = reel_alloc(l->env, n * (int64_t)sizeof *p->copy, tag);
        if (!p->copy) return REEL_E_NOMEM;
        reel_dtype_cast(REEL_BF16, p->copy, REEL_F32, p->master, n);
    }
    if (!trained) return REEL_OK;
    p->moment[0] = zeros(l, n);
    if (p->rule->method == REEL_METHOD_ADAMW) p->moment[1] = zeros(l, n);
    p->average = zeros(l, n);
    if (l->options.accumulate > 1) p->sum = zeros(l, n);
    if (!p->moment[0] || !p->average || (p->rule->method == REEL_METHOD_ADAMW && !p->moment[1]) ||
        (l->options.accumulate > 1 && !p->sum))
        return REEL_E_NOMEM;
    memcpy(p->average, p->master, (size_t)n * sizeof(float));
    return REEL_OK;
}

/* The stores programs record against: the computing copies, or the masters where there are none. */
static reel_status fill_store(reel_learner *l, const reel_learned *p) {
    const bool narrow = p->copy != NULL;
    reel_status status = reel_params_set(l->store[COPIES], p->name, narrow ? REEL_BF16 : REEL_F32,
                                         p->shape, narrow ? (void *)p->copy : (void *)p->master);
    if (status == REEL_OK)
        reel_params_find(l->store[COPIES], p->name)->frozen = p->rule->method == REEL_METHOD_FROZEN;
    return status;
}

reel_status reel_learner_begin(reel_learner *l, uint64_t seed) {
    reel_params *masters = l->store[MASTERS];
    reel_params_close(masters);
    reel_status status = reel_params_initialise(masters, seed);
    if (status != REEL_OK) return status;
    const int n = reel_params_count(masters);
    l->learned = reel_calloc(l->env, n, sizeof *l->learned, tag);
    if (!l->learned) return REEL_E_NOMEM;
    for (int i = 0; i < n && status == REEL_OK; i++) {
        const reel_param *from = reel_params_at(masters, i);
        reel_learned *p = &l->learned[l->n++];
        p->name = from->name;
        p->shape = from->shape;
        p->master = from->data;
        p->rule = rule_of(l, from->name);
        if (p->rule->method == REEL_METHOD_MUON && p->shape.rank < 2) p->rule = &l->other;
        status = make_state(l, p);
        if (status == REEL_OK) status = fill_store(l, p);
    }
    reel_params_close(l->store[COPIES]);
    return status;
}

/* ---- looking ---- */

int reel_learner_count(const reel_learner *l) {
    return l->n;
}
reel_learned *reel_learner_at(reel_learner *l, int index) {
    return &l->learned[index];
}
const reel_learner_options *reel_learner_get_options(const reel_learner *l) {
    return &l->options;
}
int64_t reel_learner_steps(const reel_learner *l) {
    return l->steps;
}

int64_t reel_learner_elements(const reel_learner *l, bool trained_only) {
    int64_t n = 0;
    for (int i = 0; i < l->n; i++)
        if (!trained_only || l->learned[i].rule->method != REEL_METHOD_FROZEN)
            n += reel_shape_count(&l->learned[i].shape);
    return n;
}

void reel_learner_restore(reel_learner *l, int64_t steps) {
    l->steps = steps;
    for (int i = 0; i < l->n; i++) {
        const reel_learned *p = &l->learned[i];
        const int64_t n = reel_shape_count(&p->shape);
        if (p->copy) reel_dtype_cast(REEL_BF16, p->copy, REEL_F32, p->master, n);
    }
}

reel_status reel_learner_refresh_average(reel_learner *l) {
    reel_params *store = l->store[AVERAGES];
    for (int i = 0; i < l->n; i++) {
        const reel_learned *p = &l->learned[i];
        const float *from = p->average ? p->average : p->master;
        const reel_dtype dtype = p->copy ? REEL_BF16 : REEL_F32;
        const int64_t n = reel_shape_count(&p->shape);
        reel_param *to = reel_params_find(store, p->name);
        if (!to) {
            const reel_init none = {REEL_INIT_ZERO, 0};
            const reel_status status = reel_params_declare(store, p->name, dtype, p->shape, none);
            if (status != REEL_OK) return status;
            to = reel_params_find(store, p->name);
        }
        if (!to->data) to->data = reel_alloc(l->env, n * reel_dtype_bytes(dtype), tag);
        if (!to->data) return REEL_E_NOMEM;
        to->owned = to->frozen = true;
        reel_dtype_cast(dtype, to->data, REEL_F32, from, n);
    }
    if (!reel_params_closed(store)) reel_params_close(store);
    return REEL_OK;
}

static const float *value_of(const reel_learned *p, bool average) {
    return average && p->average ? p->average : p->master;
}

static const reel_learned *companion(const reel_learner *l, const char *weight, const char *name) {
    char full[REEL_NN_NAME_BYTES + 64];
    const size_t n = strlen(weight) - strlen("weight");
    snprintf(full, sizeof full, "%.*s%s", (int)n, weight, name);
    for (int i = 0; i < l->n; i++)
        if (strcmp(l->learned[i].name, full) == 0) return &l->learned[i];
    return NULL;
}

/* w [O,I] += B A, when the weight has a low-rank path. */
static void merge_low_rank(const reel_learner *l, const reel_learned *p, bool average, float *w) {
    const size_t n = strlen(p->name);
    if (n < 7 || strcmp(p->name + n - 7, ".weight") != 0) return;
    const reel_learned *a = companion(l, p->name, "lora_A.weight"),
                       *b = companion(l, p->name, "lora_B.weight");
    if (!a || !b) return;
    const int64_t O = b->shape.dim[0], r = b->shape.dim[1], I = a->shape.dim[1];
    const float *va = value_of(a, average), *vb = value_of(b, average);
    for (int64_t o = 0; o < O; o++)
        for (int64_t k = 0; k < r; k++)
            for (int64_t i = 0; i < I; i++)
                w[o * I + i] += vb[o * r + k] * va[k * I + i];
}

static reel_status export_one(const reel_learner *l, const reel_learned *p, bool average,
                              reel_param *to) {
    const int64_t n = reel_shape_count(&p->shape);
    to->data = reel_alloc(l->env, n * reel_dtype_bytes(to->dtype), tag);
    to->owned = true;
    float *wide = reel_alloc(l->env, n * (int64_t)sizeof *wide, tag);
    const bool ok = to->data && wide;
    if (ok) {
        memcpy(wide, value_of(p, average), (size_t)n * sizeof *wide);
        merge_low_rank(l, p, average, wide);
        reel_dtype_cast(to->dtype, to->data, REEL_F32, wide, n);
    }
    reel_free(l->env, wide);
    return ok ? REEL_OK : REEL_E_NOMEM;
}

reel_status reel_learner_export(reel_learner *l, const char *prefix, bool average, reel_dtype dtype,
                                reel_params **params) {
    reel_params *made;
    reel_status status = reel_params_new(l->env, &made);
    if (status != REEL_OK) return status;
    const size_t skip = strlen(prefix);
    for (int i = 0; i < l->n && status == REEL_OK; i++) {
        const reel_learned *p = &l->learned[i];
        if (strncmp(p->name, prefix, skip) != 0 || strstr(p->name, ".lora_")) continue;
        const char *name = p->name + skip;
        status = reel_params_declare(made, name, dtype, p->shape, (reel_init){REEL_INIT_ZERO, 0});
        if (status == REEL_OK) status = export_one(l, p, average, reel_params_find(made, name));
    }
    if (status != REEL_OK) {
        reel_params_free(&made);
        return status;
    }
    reel_params_close(made);
    *params = made;
    return REEL_OK;
}

reel_params *reel_learner_declared(reel_learner *l) {
    return l->store[MASTERS];
}
