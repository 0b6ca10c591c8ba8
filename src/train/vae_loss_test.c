/* The error of steps from frame to frame: by hand, what it does not see, gradients. */
#include "train/vae_loss.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/op_check.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_delta_loss(t, in[0], in[1], in[2]);
}

/* Clips of `shape` and a weight of 1, or others, for each step. */
static op_case of(reel_shape shape, const float *y, const float *x, const float *weight) {
    const reel_shape w =
        REEL_SHAPE(shape.dim[0], shape.dim[1] - 1, 1, shape.dim[2] * shape.dim[3] * shape.dim[4]);
    return (op_case){.name = "delta loss",
                     .build = build,
                     .n_in = 3,
                     .in = {{.shape = shape, .value = y},
                            {.shape = shape, .value = x},
                            {.shape = w, .value = weight, .lo = 0.5, .hi = 2, .fixed = true}}};
}

static void test_delta_loss_has_hand_values(void **state) {
    (void)state;
    /* three frames of two pixels; errors (1,0), (2,0), (4,7): steps are off by (1,0) and (2,7) */
    const float x[6] = {3, 4, 5, 6, 0, 1};
    const float y[6] = {4, 4, 7, 6, 4, 8};
    const float weight[4] = {1, 1, 2, 4};
    const float wanted = (1 + 0 + 2 * 4 + 4 * 49) / 8.0f;
    const op_case c = of(REEL_SHAPE(1, 3, 1, 2, 1), y, x, weight);
    op_check_values(&c, &wanted, 1, 1e-7);
}

/* What is wrong alike in all of a clip is the business of other terms; clips do not mix. */
static void test_delta_loss_sees_steps_alone(void **state) {
    (void)state;
    const float x[12] = {0}, wanted = 0;
    const float y[12] = {2, 1, 2, 1, 2, 1, /* another clip: */ 9, 8, 9, 8, 9, 8};
    const op_case c = of(REEL_SHAPE(2, 3, 2, 1, 1), y, x, NULL);
    op_check_values(&c, &wanted, 1, 1e-7);
}

static void test_delta_loss_checks_at_odd_sizes(void **state) {
    (void)state;
    const op_case c = of(REEL_SHAPE(2, 5, 3, 7, 3), NULL, NULL, NULL);
    op_check(&c);
}

static void test_delta_weights_are_those_of_what_stands_still(void **state) {
    (void)state;
    const float level = 1 / 127.5f; /* three frames of two pixels */
    const float x[6] = {0, 1, 0, 1 - 12 * level, 6 * level, 1 - 12 * level};
    const float wanted[4] = {1, 0.2f, 0.5f, 1};
    float weight[4];
    reel_delta_weights(x, 3, 2, weight);
    for (int i = 0; i < 4; i++)
        assert_float_equal(weight[i], wanted[i], 1e-5f); /* 1 - 12 / 127.5 is rounded */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_loss_has_hand_values),
        cmocka_unit_test(test_delta_loss_sees_steps_alone),
        cmocka_unit_test(test_delta_weights_are_those_of_what_stands_still),
        cmocka_unit_test(test_delta_loss_checks_at_odd_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
