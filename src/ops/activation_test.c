#include "ops/activation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "ops/elementwise.h"
#include "support/op_check.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    return reel_activate(t, in[0], *(const reel_activation *)context);
}

static const reel_activation all[] = {REEL_ACT_NONE, REEL_ACT_GELU_TANH, REEL_ACT_GELU_ERF,
                                      REEL_ACT_SILU};

static void test_activation_has_hand_values(void **state) {
    (void)state;
    /* Values of the formulas at -3, -1, 0, 0.5, 2, computed with 30 digits. */
    const float x[5] = {-3, -1, 0, 0.5f, 2};
    const float want[4][5] = {{-3, -1, 0, 0.5f, 2},
                              {-0.00363739f, -0.15880801f, 0, 0.34571401f, 1.95459769f},
                              {-0.00404969f, -0.15865525f, 0, 0.34573123f, 1.95449974f},
                              {-0.14227762f, -0.26894142f, 0, 0.31122967f, 1.76159416f}};
    for (int f = 0; f < 4; f++) {
        const op_case c = {.name = reel_activation_name(all[f]),
                           .build = build,
                           .context = &all[f],
                           .n_in = 1,
                           .in = {{.shape = REEL_SHAPE(5), .value = x}}};
        op_check_values(&c, want[f], 5, 1e-6);
    }
}

static void test_activation_checks_at_odd_sizes(void **state) {
    (void)state;
    for (int f = 0; f < 4; f++) {
        op_case c = {.name = reel_activation_name(all[f]),
                     .build = build,
                     .context = &all[f],
                     .n_in = 1,
                     .in = {{.shape = REEL_SHAPE(3, 37)}}};
        op_check(&c);
        c.in[0].dtype = REEL_BF16;
        op_check(&c);
        c.in[0].shape = REEL_SHAPE(113); /* one element beyond the whole vectors of every level */
        op_check_kernels(&c);
        c.in[0].shape = REEL_SHAPE(5, 16389); /* several tasks, and a ragged end */
        op_check_kernels(&c);
        c.in[0] = (op_input){.shape = REEL_SHAPE(4096), .lo = -13, .hi = 13}; /* into the tails */
        op_check_kernels(&c);
    }
}

/* Behind an op, so that the gradient comes in x's dtype, as inside a model. */
static reel_var build_behind(reel_tape *t, const reel_var *in, const void *context) {
    return reel_activate(t, reel_add(t, in[0], in[0]), *(const reel_activation *)context);
}

static void test_activation_gradient_of_a_temporary(void **state) {
    (void)state;
    for (int f = 0; f < 4; f++) {
        op_case c = {.name = reel_activation_name(all[f]),
                     .build = build_behind,
                     .context = &all[f],
                     .n_in = 1,
                     .in = {{.dtype = REEL_BF16, .shape = REEL_SHAPE(113)}}};
        op_check_kernels(&c);
        c.in[0].shape = REEL_SHAPE(3, 16389);
        op_check_kernels(&c);
    }
}

static void test_activation_passes_nan_and_saturates(void **state) {
    (void)state;
    const float x[8] = {NAN, 1e30f, -1e30f, 90, -90, 1e-30f, -0.0f, INFINITY};
    for (int f = 0; f < 4; f++) {
        op_case c = {.name = reel_activation_name(all[f]),
                     .build = build,
                     .context = &all[f],
                     .n_in = 1,
                     .in = {{.shape = REEL_SHAPE(7), .value = x}}};
        op_check_kernels(&c);
        c.in[0].shape = REEL_SHAPE(8); /* the formula has no slope at infinity, the limit has */
        c.no_gradient = true;
        op_check_kernels(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_activation_has_hand_values),
        cmocka_unit_test(test_activation_checks_at_odd_sizes),
        cmocka_unit_test(test_activation_gradient_of_a_temporary),
        cmocka_unit_test(test_activation_passes_nan_and_saturates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
