#include "ops/loss.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "support/op_check.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    switch (*(const reel_loss_kind *)context) {
    case REEL_LOSS_MSE:
        return reel_mse(t, in[0], in[1], in[2]);
    case REEL_LOSS_L1:
        return reel_l1(t, in[0], in[1], in[2]);
    default:
        return reel_smooth_l1(t, in[0], in[1], in[2], 0.5f);
    }
}
static reel_var build_bad_beta(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_smooth_l1(t, in[0], in[1], 0, 0);
}

enum { IGNORE = -100 };
static reel_var build_cross_entropy(reel_tape *t, const reel_var *in, const void *context) {
    return reel_cross_entropy(t, in[0], in[1], IGNORE, *(const float *)context);
}

static const reel_loss_kind kinds[] = {REEL_LOSS_MSE, REEL_LOSS_L1, REEL_LOSS_SMOOTH_L1};
static const char *const names[] = {"mse", "l1", "smooth_l1"};
static const float sharp = 0, smooth = 0.1f;

static op_case weighted(int kind, reel_shape x, reel_shape w) {
    return (op_case){.name = names[kind],
                     .build = build,
                     .context = &kinds[kind],
                     .n_in = 3,
                     .in = {{.shape = x},
                            {.shape = x, .lo = 3, .hi = 5}, /* away from |d|'s corners */
                            {.shape = w, .lo = 0.1, .hi = 2, .fixed = true}}};
}

static void test_loss_has_hand_values(void **state) {
    (void)state;
    /* d = 1, -2, 0.25, 0 */
    const float x[4] = {1, 0, 3.25f, 7}, target[4] = {0, 2, 3, 7}, w[2] = {1, 3};
    const float plain[3] = {5.0625f / 4, 3.25f / 4, (0.75f + 1.75f + 0.0625f) / 4};
    /* w repeats down the rows: columns d = (1, 0.25) weigh 1, (-2, 0) weigh 3; sum 8 */
    const float with[3] = {(1 + 0.0625f + 12) / 8, (1.25f + 6) / 8, (0.75f + 0.0625f + 5.25f) / 8};
    for (int k = 0; k < 3; k++) {
        op_case c = weighted(k, REEL_SHAPE(2, 2), REEL_SHAPE(2));
        c.in[0].value = x;
        c.in[1].value = target;
        c.in[2].value = w;
        op_check_values(&c, &with[k], 1, 1e-7);
        c.n_in = 2;
        op_check_values(&c, &plain[k], 1, 1e-7);
    }
}

static void test_cross_entropy_has_hand_values(void **state) {
    (void)state;
    /* rows: uniform over 4 (log 4); logits 0, log 3 (p = 1/4, 3/4); one ignored */
    const float third = 1.0986122886681098f, inf = INFINITY;
    const float x[12] = {2, 2, 2, 2, 0, third, -inf, -inf, 9, 1, 1, 1};
    const float target[3] = {1, 1, IGNORE};
    op_case c = {.name = "cross entropy",
                 .build = build_cross_entropy,
                 .context = &sharp,
                 .n_in = 2,
                 .in = {{.shape = REEL_SHAPE(3, 4), .value = x},
                        {.dtype = REEL_I32, .shape = REEL_SHAPE(3), .value = target}}};
    const float want = (1.3862943611198906f + 0.2876820724517809f) / 2; /* log 4, log 4/3 */
    op_check_values(&c, &want, 1, 1e-7);
    c.in[0].shape = REEL_SHAPE(1, 4); /* smoothing changes nothing for uniform logits */
    c.in[1].shape = REEL_SHAPE(1);
    c.context = &smooth;
    op_check_values(&c, &(const float){1.3862943611198906f}, 1, 1e-6);
    /* logits 1, 0: lse = log(1 + e) = 1.31326168; L = lse - 0.9 * 1 - 0.05 * 1 */
    const float two[2] = {1, 0}, zero[1] = {0};
    c.in[0] = (op_input){.shape = REEL_SHAPE(1, 2), .value = two};
    c.in[1].value = zero;
    op_check_values(&c, &(const float){0.36326168f}, 1, 1e-6);
}

static void test_loss_checks_for_every_kind_and_weight(void **state) {
    (void)state;
    const reel_shape w[] = {REEL_SHAPE(3, 5, 7), {0},           REEL_SHAPE(3, 1, 1),
                            REEL_SHAPE(5, 1),    REEL_SHAPE(7), REEL_SHAPE(3, 1, 7)};
    for (int k = 0; k < 3; k++) {
        for (size_t i = 0; i < sizeof w / sizeof *w; i++) {
            op_case c = weighted(k, REEL_SHAPE(3, 5, 7), w[i]);
            op_check(&c);
            c.in[0].dtype = REEL_BF16;
            op_check(&c);
            c.in[1].dtype = c.in[2].dtype = REEL_BF16;
            op_check(&c);
        }
        op_case c = weighted(k, REEL_SHAPE(3, 5, 7), REEL_SHAPE(7));
        c.n_in = 2;
        op_check(&c);
        c.in[0].shape = c.in[1].shape = REEL_SHAPE(3, 16389); /* several tasks */
        op_check_kernels(&c);
        c = weighted(k, REEL_SHAPE(3, 16389), REEL_SHAPE(3, 1));
        op_check_kernels(&c);
    }
}

static op_case entropy(const float *smoothing, int64_t R, int64_t V) {
    return (op_case){.name = "cross entropy",
                     .build = build_cross_entropy,
                     .context = smoothing,
                     .n_in = 2,
                     .in = {{.shape = REEL_SHAPE(R, V)},
                            {.dtype = REEL_I32, .shape = REEL_SHAPE(R), .lo = 0, .hi = (double)V}}};
}

static void test_cross_entropy_checks_at_odd_sizes(void **state) {
    (void)state;
    const float *const ways[2] = {&sharp, &smooth};
    for (int k = 0; k < 2; k++) {
        op_case c = entropy(ways[k], 5, 37);
        op_check(&c);
        c = entropy(ways[k], 3, 1);
        op_check_plans(&c);
        c = entropy(ways[k], 77, 501);
        op_check_kernels(&c);
        c.in[0].dtype = REEL_BF16;
        op_check_kernels(&c);
    }
    const float some[5] = {3, IGNORE, 0, IGNORE, 36};
    op_case c = entropy(&smooth, 5, 37);
    c.in[1].value = some;
    op_check(&c);
}

static void test_cross_entropy_of_no_rows_is_zero(void **state) {
    (void)state;
    const float none[3] = {IGNORE, IGNORE, IGNORE};
    op_case c = entropy(&sharp, 3, 5);
    c.in[1].value = none;
    op_check_values(&c, &(const float){0}, 1, 0);
    op_check_kernels(&c);
    op_case masked = weighted(0, REEL_SHAPE(2, 3), REEL_SHAPE(3));
    masked.in[2].value = (const float[3]){0, 0, 0};
    op_check_values(&masked, &(const float){0}, 1, 0);
    op_check_kernels(&masked);
}

static void test_loss_shows_bad_data(void **state) {
    (void)state;
    const float nan[1] = {NAN}, outside[2] = {1, 5};
    op_case c = entropy(&sharp, 2, 5);
    c.in[1].value = outside;
    op_check_values(&c, nan, 1, 0);
    op_check_kernels(&c);
    float x[40];
    for (int i = 0; i < 40; i++)
        x[i] = (float)(i % 7) - 3;
    x[17] = 1e30f; /* its row is sure of it */
    c = entropy(&sharp, 5, 8);
    c.in[0].value = x;
    op_check_kernels(&c);
    x[17] = NAN;
    op_check_kernels(&c);
    for (int k = 0; k < 3; k++) {
        c = weighted(k, REEL_SHAPE(40), (reel_shape){0});
        c.in[0].value = x;
        op_check_values(&c, nan, 1, 0);
        op_check_kernels(&c);
    }
}

static void test_loss_refuses_misfits(void **state) {
    (void)state;
    op_case c = weighted(0, REEL_SHAPE(2, 3), REEL_SHAPE(2));
    op_check_refused(&c, REEL_E_SHAPE, "loss: x [2,3] needs weights that broadcast", "got [2]");
    c = weighted(0, REEL_SHAPE(2, 3), REEL_SHAPE(3));
    c.in[1].shape = REEL_SHAPE(3, 2);
    op_check_refused(&c, REEL_E_SHAPE, "needs a target of its shape", "got [3,2]");
    c.build = build_bad_beta;
    op_check_refused(&c, REEL_E_ARG, "beta must be above 0", "got 0");
    c = entropy(&sharp, 2, 5);
    c.in[1].dtype = REEL_I64;
    op_check_refused(&c, REEL_E_SHAPE, "logits [2,5] need targets i32 [2]", "got i64 [2]");
    const float two = 2;
    c = entropy(&two, 2, 5);
    op_check_refused(&c, REEL_E_ARG, "label smoothing must be in [0,1)", "got 2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss_has_hand_values),
        cmocka_unit_test(test_cross_entropy_has_hand_values),
        cmocka_unit_test(test_loss_checks_for_every_kind_and_weight),
        cmocka_unit_test(test_cross_entropy_checks_at_odd_sizes),
        cmocka_unit_test(test_cross_entropy_of_no_rows_is_zero),
        cmocka_unit_test(test_loss_shows_bad_data),
        cmocka_unit_test(test_loss_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
