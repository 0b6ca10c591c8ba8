#include "support/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

static reel_safetensors *open_file(const golden *g, const char *name) {
    char path[512];
    reel_safetensors *file = NULL;
    snprintf(path, sizeof path, "%s/%s.safetensors", g->folder, name);
    if (reel_safetensors_open(g->env, path, &file) != REEL_OK)
        fail_msg("%s", reel_env_message(g->env));
    return file;
}

void golden_open(golden *g, reel_env *env, const char *folder) {
    *g = (golden){.env = env, .folder = folder};
    g->weights = open_file(g, "weights");
    g->inputs = open_file(g, "inputs");
    g->outputs = open_file(g, "outputs");
}

void golden_close(golden *g) {
    reel_safetensors_close(&g->weights);
    reel_safetensors_close(&g->inputs);
    reel_safetensors_close(&g->outputs);
}

static reel_tensor get(const golden *g, reel_safetensors *file, const char *name) {
    reel_tensor tensor = {0};
    if (reel_safetensors_get(file, name, &tensor) != REEL_OK)
        fail_msg("%s: %s", g->folder, reel_env_message(g->env));
    return tensor;
}

reel_params *golden_params(golden *g) {
    reel_params *params = NULL;
    assert_int_equal(reel_params_new(g->env, &params), REEL_OK);
    for (int64_t i = 0; i < reel_safetensors_count(g->weights); i++) {
        const char *name = reel_safetensors_at(g->weights, i)->name;
        const reel_tensor t = get(g, g->weights, name);
        assert_int_equal(reel_params_set(params, name, t.dtype, t.shape, t.data), REEL_OK);
    }
    reel_params_close(params);
    return params;
}

reel_params *golden_params_as(golden *g, reel_dtype dtype) {
    reel_params *params = NULL;
    assert_int_equal(reel_params_new(g->env, &params), REEL_OK);
    const reel_init zero = {REEL_INIT_ZERO, 0};
    for (int64_t i = 0; i < reel_safetensors_count(g->weights); i++) {
        const reel_stored *stored = reel_safetensors_at(g->weights, i);
        assert_int_equal(reel_params_declare(params, stored->name, dtype, stored->shape, zero),
                         REEL_OK);
    }
    assert_int_equal(reel_params_initialise(params, 0), REEL_OK);
    for (int i = 0; i < reel_params_count(params); i++) {
        const reel_param *p = reel_params_at(params, i);
        const reel_tensor t = get(g, g->weights, p->name);
        reel_dtype_cast(dtype, p->data, t.dtype, t.data, reel_tensor_count(&t));
    }
    reel_params_close(params);
    return params;
}

reel_tensor golden_input(golden *g, const char *name) {
    return get(g, g->inputs, name);
}

void golden_expect(golden *g, const char *name, reel_dtype dtype, const void *got, int64_t count,
                   double tol) {
    const reel_tensor want = get(g, g->outputs, name);
    if (!got || count != reel_tensor_count(&want))
        fail_msg("%s: %s: %lld values, wanted %s", g->folder, name, (long long)count,
                 REEL_SHAPE_STR(&want.shape));
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        const double w = (double)reel_dtype_load(want.dtype, want.data, i);
        const double d = (double)reel_dtype_load(dtype, got, i) - w;
        difference += d * d;
        norm += w * w;
    }
    const double error = sqrt(difference / norm);
    if (!(error <= tol))
        fail_msg("%s: %s: relative L2 error %.2e, tolerance %.2e", g->folder, name, error, tol);
}

void golden_expect_all_used(reel_params *params) {
    for (int i = 0; i < reel_params_count(params); i++)
        if (!reel_params_at(params, i)->used)
            fail_msg("parameter %s was never asked for", reel_params_at(params, i)->name);
}
