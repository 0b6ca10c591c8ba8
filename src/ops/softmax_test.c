#include "ops/softmax.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "ops/reduce.h"
#include "support/op_check.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_softmax(t, in[0]);
}
static reel_var build_row_sums(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_sum(t, reel_softmax(t, in[0]), 1 << 1, REEL_DROP_AXES);
}

static op_case sized(reel_shape x) {
    return (op_case){.name = "softmax", .build = build, .n_in = 1, .in = {{.shape = x}}};
}

static void test_softmax_has_hand_values(void **state) {
    (void)state;
    /* logarithms of 1, 2, 5 and of 1, 1, 6, the second row far away */
    const float x[6] = {0, 0.69314718f, 1.60943791f, 500, 500, 501.791759f};
    op_case c = sized(REEL_SHAPE(2, 3));
    c.in[0].value = x;
    op_check_values(&c, (const float[]){0.125f, 0.25f, 0.625f, 0.125f, 0.125f, 0.75f}, 6, 1e-5);
}

static void test_softmax_rows_sum_to_one(void **state) {
    (void)state;
    op_case c = sized(REEL_SHAPE(3, 41));
    c.build = build_row_sums;
    op_check_values(&c, (const float[]){1, 1, 1}, 3, 1e-6);
}

static void test_softmax_checks_at_odd_sizes(void **state) {
    (void)state;
    const reel_shape small[] = {REEL_SHAPE(3, 37), REEL_SHAPE(2, 3, 1), REEL_SHAPE(16),
                                REEL_SHAPE(5, 2)};
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        op_case c = sized(small[i]);
        op_check(&c);
        c.in[0].dtype = REEL_BF16;
        op_check(&c);
    }
    const reel_shape big[] = {REEL_SHAPE(700, 67), REEL_SHAPE(3, 9001), REEL_SHAPE(5, 4096)};
    for (size_t i = 0; i < sizeof big / sizeof *big; i++) {
        op_case c = sized(big[i]);
        op_check_kernels(&c);
        c.in[0].dtype = REEL_BF16;
        op_check_kernels(&c);
    }
}

static void test_softmax_masks_and_passes_nan(void **state) {
    (void)state;
    float x[5 * 20];
    for (int i = 0; i < 100; i++)
        x[i] = (float)(i % 9) - 4;
    for (int i = 3; i < 20; i++)
        x[i] = -INFINITY; /* a masked row, */
    x[20 + 18] = NAN;     /* a broken one, */
    for (int i = 40; i < 60; i++)
        x[i] = -INFINITY; /* one that is all masked, */
    x[65] = INFINITY;
    x[85] = 3e38f; /* and one that is sure */
    op_case c = sized(REEL_SHAPE(5, 20));
    c.in[0].value = x;
    op_check_kernels(&c);
}

static void test_softmax_refuses_misfits(void **state) {
    (void)state;
    op_case c = sized((reel_shape){0});
    op_check_refused(&c, REEL_E_SHAPE, "softmax: x must be float [...,C]", "f32 []");
    c = sized(REEL_SHAPE(2, 3));
    c.in[0].dtype = REEL_U8;
    op_check_refused(&c, REEL_E_SHAPE, "softmax: x must be float", "u8 [2,3]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax_has_hand_values),
        cmocka_unit_test(test_softmax_rows_sum_to_one),
        cmocka_unit_test(test_softmax_checks_at_odd_sizes),
        cmocka_unit_test(test_softmax_masks_and_passes_nan),
        cmocka_unit_test(test_softmax_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
