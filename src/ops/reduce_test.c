#include "ops/reduce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "ops/elementwise.h"
#include "support/op_check.h"

/* How a case reduces: to a shape, or over axes. */
typedef struct how {
    reel_shape shape;
    reel_dtype dtype;
    unsigned axes;
    reel_keep_axes keep;
} how;

static reel_var build_sum_to(reel_tape *t, const reel_var *in, const void *context) {
    const how *h = context;
    return reel_sum_to(t, in[0], h->shape, h->dtype);
}
static reel_var build_broadcast_to(reel_tape *t, const reel_var *in, const void *context) {
    const how *h = context;
    return reel_broadcast_to(t, in[0], h->shape, h->dtype);
}
static reel_var build_sum(reel_tape *t, const reel_var *in, const void *context) {
    const how *h = context;
    return reel_sum(t, in[0], h->axes, h->keep);
}
static reel_var build_mean(reel_tape *t, const reel_var *in, const void *context) {
    const how *h = context;
    return reel_mean(t, in[0], h->axes, h->keep);
}
static reel_var build_max(reel_tape *t, const reel_var *in, const void *context) {
    const how *h = context;
    return reel_max(t, in[0], h->axes, h->keep);
}
static reel_var build_dot(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_dot(t, in[0], in[1]);
}

static op_case single(const char *name, op_build *build, const how *h, reel_shape x) {
    return (op_case){.name = name, .build = build, .context = h, .n_in = 1, .in = {{.shape = x}}};
}

static const float count[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static void test_reduce_has_hand_values(void **state) {
    (void)state;
    const how middle = {.axes = 1 << 1, .keep = REEL_DROP_AXES}, all = {.axes = REEL_AXES_ALL};
    const how ends = {.axes = 1 << 0 | 1 << 2, .keep = REEL_KEEP_AXES};
    op_case c = single("middle", build_sum, &middle, REEL_SHAPE(2, 3, 2));
    c.in[0].value = count;
    op_check_values(&c, (const float[]){9, 12, 27, 30}, 4, 1e-7);
    c.build = build_mean;
    op_check_values(&c, (const float[]){3, 4, 9, 10}, 4, 1e-7);
    c.build = build_max;
    op_check_values(&c, (const float[]){5, 6, 11, 12}, 4, 1e-7);
    c.context = &ends;
    op_check_values(&c, (const float[]){8, 10, 12}, 3, 1e-7);
    c.build = build_sum;
    op_check_values(&c, (const float[]){18, 26, 34}, 3, 1e-7);
    c.context = &all;
    op_check_values(&c, (const float[]){78}, 1, 1e-7);
    op_case dot = {.name = "dot",
                   .build = build_dot,
                   .n_in = 2,
                   .in = {{.shape = REEL_SHAPE(3), .value = count},
                          {.shape = REEL_SHAPE(3), .value = count + 3}}};
    op_check_values(&dot, (const float[]){32}, 1, 1e-7);
}

static void test_sum_keeps_or_drops_axes(void **state) {
    (void)state;
    const how keep = {.axes = 1 << 1, .keep = REEL_KEEP_AXES}, drop = {.axes = 1 << 1};
    const how *both[2] = {&keep, &drop};
    const reel_shape want[2] = {REEL_SHAPE(2, 1, 4), REEL_SHAPE(2, 4)};
    reel_env *env = op_test_env(1);
    for (int k = 0; k < 2; k++) {
        reel_tape *t;
        assert_int_equal(reel_ops_tape_new(env, &t), REEL_OK);
        const reel_var x = reel_tape_input(t, REEL_BF16, REEL_SHAPE(2, 3, 4), "x", NULL);
        const reel_value *y = reel_tape_value(t, reel_sum(t, x, both[k]->axes, both[k]->keep));
        assert_true(reel_shape_equal(&y->shape, &want[k]));
        assert_int_equal(y->dtype, REEL_F32);
        reel_tape_free(&t);
    }
    reel_env_free(&env);
}

static void test_sum_to_checks_for_every_pattern(void **state) {
    (void)state;
    const reel_shape pairs[][2] = {
        {REEL_SHAPE(6, 19), REEL_SHAPE(19)},
        {REEL_SHAPE(6, 19), REEL_SHAPE(6, 1)},
        {REEL_SHAPE(6, 19), {0}},
        {REEL_SHAPE(3, 4, 17), REEL_SHAPE(3, 1, 17)},
        {REEL_SHAPE(3, 4, 17), REEL_SHAPE(1, 4, 1)},
        {REEL_SHAPE(2, 3, 2, 2, 3, 5), REEL_SHAPE(1, 3, 1, 2, 1, 5)},
        {REEL_SHAPE(2, 3, 2, 2, 3, 5), REEL_SHAPE(2, 1, 2, 1, 3, 1)},
        {REEL_SHAPE(3, 3, 35), REEL_SHAPE(1, 1, 35)},
        {REEL_SHAPE(0, 5), REEL_SHAPE(5)},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        how h = {.shape = pairs[i][1], .dtype = REEL_F32};
        op_case c = single("sum_to", build_sum_to, &h, pairs[i][0]);
        const bool empty = reel_shape_count(&c.in[0].shape) == 0;
        if (empty)
            op_check_kernels(&c);
        else
            op_check(&c);
        c.in[0].dtype = REEL_BF16;
        op_check_kernels(&c);
        h.dtype = REEL_BF16;
        op_check_kernels(&c);
    }
}

static void test_sum_to_checks_over_several_tasks(void **state) {
    (void)state;
    const reel_shape pairs[][2] = {
        {REEL_SHAPE(1500, 67), REEL_SHAPE(67)},
        {REEL_SHAPE(9, 30011), REEL_SHAPE(9, 1)},
        {REEL_SHAPE(3, 50001), REEL_SHAPE(50001)},
        {REEL_SHAPE(100003), {0}},
        {REEL_SHAPE(30011, 5), REEL_SHAPE(5)},
        {REEL_SHAPE(30011, 5), REEL_SHAPE(30011, 1)},
        {REEL_SHAPE(4, 700, 33), REEL_SHAPE(700, 1)},
        {REEL_SHAPE(4, 700, 33), REEL_SHAPE(4, 1, 33)},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const how h = {.shape = pairs[i][1], .dtype = REEL_F32};
        op_case c = single("sum_to", build_sum_to, &h, pairs[i][0]);
        op_check_kernels(&c);
        c.in[0].dtype = REEL_BF16;
        op_check_kernels(&c);
    }
}

static void test_broadcast_to_checks(void **state) {
    (void)state;
    const reel_shape pairs[][2] = {
        {REEL_SHAPE(19), REEL_SHAPE(6, 19)},
        {REEL_SHAPE(6, 1), REEL_SHAPE(6, 19)},
        {{0}, REEL_SHAPE(5, 7)},
        {REEL_SHAPE(1, 4, 1), REEL_SHAPE(3, 4, 17)},
        {REEL_SHAPE(3, 1, 2, 1), REEL_SHAPE(2, 3, 4, 2, 5)},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        how h = {.shape = pairs[i][1], .dtype = REEL_F32};
        op_case c = single("broadcast_to", build_broadcast_to, &h, pairs[i][0]);
        op_check(&c);
        h.dtype = REEL_BF16;
        op_check_kernels(&c);
        c.in[0].dtype = REEL_BF16;
        op_check_kernels(&c);
    }
}

static void test_sum_and_mean_check_over_axes(void **state) {
    (void)state;
    const how ways[] = {{.axes = REEL_AXES_ALL},
                        {.axes = 1 << 2},
                        {.axes = 1 << 0 | 1 << 1},
                        {.axes = 1 << 1, .keep = REEL_KEEP_AXES},
                        {.axes = 0}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        op_case c = single("sum", build_sum, &ways[i], REEL_SHAPE(3, 5, 7));
        op_check(&c);
        c.build = build_mean;
        op_check(&c);
        c.in[0].dtype = REEL_BF16;
        op_check(&c);
        c.no_gradient = true;
        c.build = build_max;
        op_check(&c);
    }
}

static void test_dot_checks_at_odd_sizes(void **state) {
    (void)state;
    op_case c = {.name = "dot",
                 .build = build_dot,
                 .n_in = 2,
                 .in = {{.shape = REEL_SHAPE(5, 21)}, {.shape = REEL_SHAPE(5, 21)}}};
    op_check(&c);
    c.in[1].dtype = REEL_BF16;
    op_check(&c);
    c.in[0].dtype = REEL_BF16;
    op_check(&c);
    c.in[0].shape = c.in[1].shape = REEL_SHAPE(100003);
    op_check_kernels(&c);
}

static void test_reduce_passes_nan(void **state) {
    (void)state;
    float x[40];
    for (int i = 0; i < 40; i++)
        x[i] = (float)i;
    x[3] = NAN;
    x[25] = INFINITY;
    x[39] = -INFINITY;
    const how rows = {.axes = 1 << 1}, columns = {.axes = 1 << 0};
    op_build *const builds[] = {build_sum, build_mean, build_max};
    for (int k = 0; k < 3; k++) {
        op_case c = single("nan", builds[k], &rows, REEL_SHAPE(4, 10));
        c.in[0].value = x;
        c.no_gradient = true;
        op_check_kernels(&c);
        c.context = &columns;
        op_check_kernels(&c);
    }
}

static void test_reduce_refuses_misfits(void **state) {
    (void)state;
    const how h = {.shape = REEL_SHAPE(2, 4), .dtype = REEL_F32}, rows = {.axes = 1 << 1};
    op_case c = single("sum_to", build_sum_to, &h, REEL_SHAPE(2, 3));
    op_check_refused(&c, REEL_E_SHAPE, "sum_to: x [2,3] is not a broadcast of [2,4]", NULL);
    c = single("broadcast_to", build_broadcast_to, &h, REEL_SHAPE(2, 3));
    op_check_refused(&c, REEL_E_SHAPE, "broadcast_to: x [2,3] does not broadcast to [2,4]", NULL);
    c = single("mean", build_mean, &rows, REEL_SHAPE(2, 0));
    op_check_refused(&c, REEL_E_SHAPE, "mean: x [2,0] has no elements", NULL);
    c.build = build_max;
    op_check_refused(&c, REEL_E_SHAPE, "max: x [2,0] has no elements", NULL);
    c = single("integers", build_sum, &rows, REEL_SHAPE(2, 2));
    c.in[0].dtype = REEL_I64;
    op_check_refused(&c, REEL_E_SHAPE, "sum_to: x must be a float type", "i64");
}

static void test_max_says_that_it_has_no_gradient(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_tape *t;
    assert_int_equal(reel_ops_tape_new(env, &t), REEL_OK);
    const reel_var x = reel_tape_param(t, REEL_F32, REEL_SHAPE(3), "x", count);
    reel_tape_backward(t, reel_max(t, x, REEL_AXES_ALL, REEL_DROP_AXES));
    assert_int_equal(reel_tape_status(t), REEL_E_UNSUPPORTED);
    assert_non_null(strstr(reel_env_message(env), "max has no gradient"));
    reel_tape_free(&t);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reduce_has_hand_values),
        cmocka_unit_test(test_sum_keeps_or_drops_axes),
        cmocka_unit_test(test_sum_to_checks_for_every_pattern),
        cmocka_unit_test(test_sum_to_checks_over_several_tasks),
        cmocka_unit_test(test_broadcast_to_checks),
        cmocka_unit_test(test_sum_and_mean_check_over_axes),
        cmocka_unit_test(test_dot_checks_at_odd_sizes),
        cmocka_unit_test(test_reduce_passes_nan),
        cmocka_unit_test(test_reduce_refuses_misfits),
        cmocka_unit_test(test_max_says_that_it_has_no_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
