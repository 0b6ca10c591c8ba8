#include "ops/gaussian.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "support/op_check.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_gaussian(t, in[0], in[1], in[2]);
}

static op_case rows(reel_shape l, reel_shape w) {
    return (op_case){.name = "gaussian",
                     .build = build,
                     .n_in = 3,
                     .in = {{.shape = l, .lo = -3, .hi = 2},
                            {.shape = l, .lo = 0, .hi = 4, .fixed = true},
                            {.shape = w, .lo = 0.1, .hi = 2, .fixed = true}}};
}

static void test_gaussian_has_hand_values(void **state) {
    (void)state;
    const float log2 = 0.69314718f;
    /* rows: (0 + 3) / 2 and (log 2 + 4 / 2) / 2, weighing 1; (-log 2 + 1 * 2) / 2 twice, weighing 3
     */
    const float l[4] = {0, log2, -log2, -log2}, s[4] = {3, 4, 1, 1}, w[2] = {1, 3};
    const float want = ((3 + log2 + 2) / 2 + 3 * (2 - log2)) / 8;
    op_case c = rows(REEL_SHAPE(2, 2), REEL_SHAPE(2, 1));
    c.in[0].value = l;
    c.in[1].value = s;
    c.in[2].value = w;
    op_check_values(&c, &want, 1, 1e-6);
}

static void test_gaussian_checks_at_odd_sizes(void **state) {
    (void)state;
    op_case c = rows(REEL_SHAPE(3, 5, 7), REEL_SHAPE(3, 5, 1));
    op_check(&c);
    c.in[0].dtype = REEL_BF16;
    op_check(&c);
    c.in[1].dtype = c.in[2].dtype = REEL_BF16;
    op_check(&c);
    c = rows(REEL_SHAPE(37), REEL_SHAPE(1));
    op_check(&c);
    c = rows(REEL_SHAPE(3, 16389), REEL_SHAPE(3, 1)); /* rows longer than a task */
    op_check_kernels(&c);
    c = rows(REEL_SHAPE(1000, 65), REEL_SHAPE(1000, 1)); /* several tasks */
    op_check_kernels(&c);
}

static void test_gaussian_of_no_weight_is_zero(void **state) {
    (void)state;
    op_case c = rows(REEL_SHAPE(2, 3), REEL_SHAPE(2, 1));
    c.in[2].value = (const float[2]){0, 0};
    op_check_values(&c, &(const float){0}, 1, 0);
    op_check_kernels(&c);
}

static void test_gaussian_shows_bad_data(void **state) {
    (void)state;
    float l[40];
    for (int i = 0; i < 40; i++)
        l[i] = (float)(i % 7) - 3;
    l[17] = NAN;
    op_case c = rows(REEL_SHAPE(5, 8), REEL_SHAPE(5, 1));
    c.in[0].value = l;
    op_check_values(&c, &(const float){NAN}, 1, 0);
    op_check_kernels(&c);
}

/* The least loss is where the variance is the moment: there the gradient is 0. */
static void test_gaussian_is_least_at_the_true_variance(void **state) {
    (void)state;
    double before = 1e300;
    for (int k = -4; k <= 4; k++) {
        const double l = log(2) + 0.1 * k, value = (l + 2 * exp(-l)) / 2;
        const float want = (float)value, l32 = (float)l;
        op_case c = rows(REEL_SHAPE(1, 1), REEL_SHAPE(1, 1));
        c.in[0].value = &l32;
        c.in[1].value = &(const float){2};
        c.in[2].value = &(const float){1};
        op_check_values(&c, &want, 1, 1e-6);
        assert_true(k <= 0 ? value < before : value > before);
        before = value;
    }
}

static void test_gaussian_refuses_misfits(void **state) {
    (void)state;
    op_case c = rows(REEL_SHAPE(2, 3), REEL_SHAPE(2));
    op_check_refused(&c, REEL_E_SHAPE, "log variances [2,3] need weights [2,1]", "got [2]");
    c = rows(REEL_SHAPE(2, 3), REEL_SHAPE(2, 1));
    c.in[1].shape = REEL_SHAPE(3, 2);
    op_check_refused(&c, REEL_E_SHAPE, "need moments of their shape", "got [3,2]");
    c = rows(REEL_SHAPE(2, 3), REEL_SHAPE(2, 1));
    c.in[2].dtype = REEL_I32;
    c.in[2].lo = 0;
    c.in[2].hi = 2;
    op_check_refused(&c, REEL_E_SHAPE, "operand 2 must be a float type", "got i32");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gaussian_has_hand_values),
        cmocka_unit_test(test_gaussian_checks_at_odd_sizes),
        cmocka_unit_test(test_gaussian_of_no_weight_is_zero),
        cmocka_unit_test(test_gaussian_shows_bad_data),
        cmocka_unit_test(test_gaussian_is_least_at_the_true_variance),
        cmocka_unit_test(test_gaussian_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
