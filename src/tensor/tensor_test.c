#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tensor/tensor.h"

static int make_env(void **state) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    return reel_env_new(&options, (reel_env **)state) != REEL_OK;
}

static int free_env(void **state) {
    reel_env_free((reel_env **)state);
    return 0;
}

static void test_shape_counts_and_spans(void **state) {
    (void)state;
    const reel_shape shape = REEL_SHAPE(2, 3, 4, 5);
    assert_int_equal(shape.rank, 4);
    assert_int_equal(reel_shape_count(&shape), 120);
    assert_int_equal(reel_shape_span(&shape, 1, 3), 12);
    assert_int_equal(reel_shape_span(&shape, 2, 2), 1);
    assert_int_equal(reel_shape_rows(&shape), 24);
    assert_int_equal(reel_shape_last(&shape), 5);
    const reel_tensor t = {.dtype = REEL_BF16, .shape = shape};
    assert_int_equal(reel_tensor_count(&t), 120);
    assert_int_equal(reel_tensor_bytes(&t), 240);
}

static void test_shape_scalar_and_empty(void **state) {
    (void)state;
    const reel_shape scalar = {0};
    assert_int_equal(reel_shape_count(&scalar), 1);
    assert_int_equal(reel_shape_rows(&scalar), 1);
    assert_int_equal(reel_shape_last(&scalar), 1);
    const reel_shape none = REEL_SHAPE(3, 0);
    assert_int_equal(reel_shape_count(&none), 0);
    assert_int_equal(reel_shape_rows(&none), 0);
}

static void test_shape_equal_looks_at_rank_and_dims(void **state) {
    (void)state;
    const reel_shape a = REEL_SHAPE(2, 3);
    const reel_shape same = REEL_SHAPE(2, 3);
    const reel_shape longer = REEL_SHAPE(2, 3, 1);
    const reel_shape other = REEL_SHAPE(2, 4);
    assert_true(reel_shape_equal(&a, &same));
    assert_false(reel_shape_equal(&a, &longer));
    assert_false(reel_shape_equal(&a, &other));
    assert_false(reel_shape_equal(&other, &a));
}

static void test_shape_text_fits_the_widest(void **state) {
    (void)state;
    const reel_shape shape = REEL_SHAPE(2, 1024, 384);
    assert_string_equal(REEL_SHAPE_STR(&shape), "[2,1024,384]");
    const reel_shape scalar = {0};
    assert_string_equal(REEL_SHAPE_STR(&scalar), "[]");
    const int64_t low = INT64_MIN;
    const reel_shape widest = REEL_SHAPE(low, low, low, low, low, low);
    assert_int_equal(strlen(REEL_SHAPE_STR(&widest)), 6 * 20 + 5 + 2);
}

static void test_shape_check_takes_what_fits(void **state) {
    const reel_shape good[] = {
        {0}, REEL_SHAPE(1), REEL_SHAPE(0, 5), REEL_SHAPE(1, 2, 3, 4, 5, 6), REEL_SHAPE(1LL << 59)};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(reel_shape_check(*state, &good[i]), REEL_OK);
}

static void test_shape_check_refuses_what_overflows(void **state) {
    reel_env *env = *state;
    const reel_shape bad[] = {REEL_SHAPE(-1),
                              REEL_SHAPE(1LL << 60),
                              REEL_SHAPE(1LL << 31, 1LL << 31),
                              REEL_SHAPE(INT64_MAX, INT64_MAX),
                              REEL_SHAPE(0, 1LL << 40, 1LL << 40),
                              {.rank = 7},
                              {.rank = -1}};
    static const char *const reason[] = {
        "axis 0 is negative", "counted", "counted", "counted", "counted", "got 7", "got -1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(reel_shape_check(env, &bad[i]), REEL_E_SHAPE);
        assert_non_null(strstr(reel_env_message(env), reason[i]));
        reel_env_clear(env);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape_counts_and_spans),
        cmocka_unit_test(test_shape_scalar_and_empty),
        cmocka_unit_test(test_shape_equal_looks_at_rank_and_dims),
        cmocka_unit_test(test_shape_text_fits_the_widest),
        cmocka_unit_test(test_shape_check_takes_what_fits),
        cmocka_unit_test(test_shape_check_refuses_what_overflows),
    };
    return cmocka_run_group_tests(tests, make_env, free_env);
}
