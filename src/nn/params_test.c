#include "nn/module.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/rng.h"
#include "support/op_check.h"
#include "tape/plan.h"

static const reel_init uniform = {REEL_INIT_FAN_IN, 1};

/* A store, a tape and a module on them; stores keep their names when recorded again. */
typedef struct fixture {
    reel_env *env;
    reel_tape *tape;
    reel_params *params;
} fixture;

static void open_fixture(fixture *f) {
    f->env = op_test_env(1);
    assert_int_equal(reel_ops_tape_new(f->env, &f->tape), REEL_OK);
    assert_int_equal(reel_params_new(f->env, &f->params), REEL_OK);
}

static void close_fixture(fixture *f) {
    reel_params_free(&f->params);
    reel_tape_free(&f->tape);
    reel_env_free(&f->env);
}

static reel_var record_two_layers(fixture *f) {
    reel_nn nn = reel_nn_start(f->tape, f->params, REEL_F32);
    reel_var x = reel_tape_input(f->tape, REEL_F32, REEL_SHAPE(3, 4), "x", NULL);
    reel_nn_begin(&nn, "blocks.%d", 0);
    x = reel_nn_linear(&nn, "fc1", x, 8, REEL_ACT_SILU);
    reel_nn_end(&nn);
    return reel_nn_linear(&nn, "out", x, 2, REEL_ACT_NONE);
}

static void test_params_an_open_store_learns_the_model(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    assert_true(record_two_layers(&f) > 0);
    const char *const names[] = {"blocks.0.fc1.weight", "blocks.0.fc1.bias", "out.weight",
                                 "out.bias"};
    assert_int_equal(reel_params_count(f.params), 4);
    assert_int_equal(reel_params_elements(f.params), 8 * 4 + 8 + 2 * 8 + 2);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(reel_params_at(f.params, i)->name, names[i]);
        assert_ptr_equal(reel_params_find(f.params, names[i]), reel_params_at(f.params, i));
    }
    assert_null(reel_params_find(f.params, "out.weigh"));
    close_fixture(&f);
}

static void test_params_a_closed_store_names_what_is_missing(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    static float data[64];
    assert_int_equal(
        reel_params_set(f.params, "blocks.0.fc1.weight", REEL_F32, REEL_SHAPE(8, 4), data),
        REEL_OK);
    reel_params_close(f.params);
    assert_int_equal(record_two_layers(&f), 0);
    assert_int_equal(reel_tape_status(f.tape), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(f.env), "parameter blocks.0.fc1.bias [8] is missing"));
    close_fixture(&f);
}

static void test_params_a_wrong_shape_is_refused(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    static float data[64];
    assert_int_equal(
        reel_params_set(f.params, "blocks.0.fc1.weight", REEL_F32, REEL_SHAPE(4, 8), data),
        REEL_OK);
    assert_int_equal(record_two_layers(&f), 0);
    assert_non_null(strstr(reel_env_message(f.env), "must be [8,4], got [4,8]"));
    close_fixture(&f);
}

static void test_params_taken_names_and_bad_shapes_are_refused(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    assert_int_equal(reel_params_declare(f.params, "w", REEL_F32, REEL_SHAPE(2), uniform), REEL_OK);
    assert_int_equal(reel_params_declare(f.params, "w", REEL_F32, REEL_SHAPE(2), uniform),
                     REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(f.env), "w exists already"));
    reel_env_clear(f.env);
    assert_int_equal(reel_params_declare(f.params, "v", REEL_F32, REEL_SHAPE(-1), uniform),
                     REEL_E_SHAPE);
    assert_int_equal(reel_params_count(f.params), 1);
    close_fixture(&f);
}

static void test_params_are_recorded_once_and_again_after_a_reset(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    reel_nn nn = reel_nn_start(f.tape, f.params, REEL_F32);
    const reel_var first = reel_nn_param(&nn, "w", REEL_SHAPE(2, 2), uniform);
    assert_int_equal(reel_nn_param(&nn, "w", REEL_SHAPE(2, 2), uniform), first);
    assert_int_equal(reel_tape_value(f.tape, first)->kind, REEL_VALUE_PARAM);
    reel_params_find(f.params, "w")->frozen = true;
    reel_tape_reset(f.tape);
    nn = reel_nn_start(f.tape, f.params, REEL_F32);
    const reel_var again = reel_nn_param(&nn, "w", REEL_SHAPE(2, 2), uniform);
    assert_int_equal(reel_tape_value(f.tape, again)->kind, REEL_VALUE_INPUT);
    close_fixture(&f);
}

static void test_params_start_by_name_and_seed_alone(void **state) {
    (void)state;
    fixture f, g;
    open_fixture(&f);
    open_fixture(&g);
    /* g holds another parameter first: the order of declaration must not matter */
    assert_int_equal(reel_params_declare(g.params, "first", REEL_F32, REEL_SHAPE(5), uniform),
                     REEL_OK);
    assert_int_equal(reel_params_declare(f.params, "w", REEL_F32, REEL_SHAPE(64, 100), uniform),
                     REEL_OK);
    assert_int_equal(reel_params_declare(g.params, "w", REEL_F32, REEL_SHAPE(64, 100), uniform),
                     REEL_OK);
    assert_int_equal(reel_params_initialise(f.params, 3), REEL_OK);
    assert_int_equal(reel_params_initialise(g.params, 3), REEL_OK);
    const float *a = reel_params_find(f.params, "w")->data,
                *b = reel_params_find(g.params, "w")->data;
    assert_memory_equal(a, b, 6400 * sizeof *a);
    float least = 1, most = -1;
    for (int i = 0; i < 6400; i++) {
        if (a[i] < least) least = a[i];
        if (a[i] > most) most = a[i];
    }
    /* uniform in +-1/sqrt(fan_in 100): 6400 draws come within 1% of both ends, never past them */
    assert_true(least >= -0.1f && least < -0.099f && most <= 0.1f && most > 0.099f);
    close_fixture(&f);
    close_fixture(&g);
}

static bool take_first_layer(void *context, const reel_param *p) {
    *(int *)context += 1;
    return strcmp(p->name, "wide.weight") == 0;
}

static reel_var record_wide(fixture *f, float *x) {
    reel_nn nn = reel_nn_start(f->tape, f->params, REEL_F32);
    reel_var y = reel_tape_input(f->tape, REEL_F32, REEL_SHAPE(2, 64), "x", x);
    y = reel_nn_linear(&nn, "wide", y, 32, REEL_ACT_SILU);
    y = reel_nn_linear(&nn, "narrow", y, 8, REEL_ACT_NONE);
    return reel_nn_linear(&nn, "odd", y, 3, REEL_ACT_NONE);
}

static void run_wide(fixture *f, float *x, float y[6]) {
    reel_kernel_table *table = NULL;
    reel_plan *plan = NULL;
    reel_tape_reset(f->tape);
    const reel_var out = record_wide(f, x);
    reel_tape_keep(f->tape, out);
    reel_tape_bind(f->tape, out, y);
    assert_int_equal(reel_ops_reference_table(f->env, &table), REEL_OK);
    assert_int_equal(reel_plan_new(f->tape, table, NULL, &plan), REEL_OK);
    assert_int_equal(reel_plan_run(plan, NULL), REEL_OK);
    reel_plan_free(&plan);
    reel_kernel_table_free(f->env, &table);
}

static bool take_second_layer(void *context, const reel_param *param) {
    (void)context;
    return strncmp(param->name, "out.", 4) == 0;
}

static void test_params_drop_gives_back_what_is_the_stores(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    record_two_layers(&f);
    const int64_t before = f.env->allocator.bytes;
    assert_int_equal(reel_params_initialise(f.params, 1), REEL_OK);
    int64_t left = before;
    for (int i = 0; i < reel_params_count(f.params); i++) {
        const reel_param *p = reel_params_at(f.params, i);
        if (!take_second_layer(NULL, p))
            left += reel_shape_count(&p->shape) * (int64_t)sizeof(float);
    }
    assert_true(left < f.env->allocator.bytes);
    for (int k = 0; k < 2; k++) { /* a second time there is nothing left to do */
        reel_params_drop(f.params, take_second_layer, NULL);
        assert_int_equal(f.env->allocator.bytes, left);
    }
    for (int i = 0; i < reel_params_count(f.params); i++) {
        const reel_param *p = reel_params_at(f.params, i);
        assert_true((p->data == NULL) == take_second_layer(NULL, p));
    }
    close_fixture(&f);
}

static void test_params_quantised_weights_give_nearly_the_same(void **state) {
    (void)state;
    fixture f;
    float x[128], exact[6], rounded[6];
    int n = 0, asked = 0;
    open_fixture(&f);
    reel_rng_fill_normal(1, 1, 0, 128, x);
    record_wide(&f, x);
    assert_int_equal(reel_params_initialise(f.params, 7), REEL_OK);
    run_wide(&f, x, exact);
    assert_int_equal(reel_params_quantise(f.params, take_first_layer, &asked, &n), REEL_OK);
    assert_int_equal(n, 1);
    assert_int_equal(asked, 2); /* "odd" has 8 inputs, no block; biases are no matrices */
    assert_int_equal(reel_params_find(f.params, "wide.weight")->dtype, REEL_Q8_0);
    assert_int_equal(reel_params_find(f.params, "narrow.weight")->dtype, REEL_F32);
    assert_int_equal(reel_params_quantise(f.params, NULL, NULL, &n), REEL_OK);
    assert_int_equal(n, 1); /* narrow.weight; the other is done */
    run_wide(&f, x, rounded);
    float error = 0, norm = 0;
    for (int i = 0; i < 6; i++) {
        error += (exact[i] - rounded[i]) * (exact[i] - rounded[i]);
        norm += exact[i] * exact[i];
    }
    assert_true(error > 0 && error < 4e-4f * norm); /* 2% of six values through two roundings */
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params_an_open_store_learns_the_model),
        cmocka_unit_test(test_params_a_closed_store_names_what_is_missing),
        cmocka_unit_test(test_params_a_wrong_shape_is_refused),
        cmocka_unit_test(test_params_taken_names_and_bad_shapes_are_refused),
        cmocka_unit_test(test_params_are_recorded_once_and_again_after_a_reset),
        cmocka_unit_test(test_params_start_by_name_and_seed_alone),
        cmocka_unit_test(test_params_drop_gives_back_what_is_the_stores),
        cmocka_unit_test(test_params_quantised_weights_give_nearly_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
