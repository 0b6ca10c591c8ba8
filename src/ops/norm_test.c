#include "ops/norm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "support/op_check.h"

/* in: x, w, b; w and b may be left out. */
static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    return reel_norm(t, in[0], in[1], in[2], context);
}
static reel_var build_weight(reel_tape *t, const reel_var *in, const void *context) {
    return reel_norm(t, in[0], in[1], 0, context);
}
static reel_var build_plain(reel_tape *t, const reel_var *in, const void *context) {
    return reel_norm(t, in[0], 0, 0, context);
}

static op_build *const builds[3] = {build_plain, build_weight, build};

static op_case rows(const char *name, const reel_norm_attr *attr, int n_in, int64_t R, int64_t C) {
    return (op_case){
        .name = name,
        .build = builds[n_in - 1],
        .context = attr,
        .n_in = n_in,
        .in = {{.shape = REEL_SHAPE(R, C)}, {.shape = REEL_SHAPE(C)}, {.shape = REEL_SHAPE(C)}}};
}

static void test_norm_has_hand_values(void **state) {
    (void)state;
    const float x[4] = {1, 2, 3, 6}, w[4] = {1, 2, 1, -1}, b[4] = {0, 0, 10, 0};
    /* mean 3, variance 14/4 = 3.5; mean square 12.5; length sqrt 50 */
    reel_norm_attr attr = {.kind = REEL_NORM_LAYER, .eps = 0.5f};
    op_case c = rows("layer", &attr, 3, 1, 4);
    c.in[0].value = x;
    c.in[1].value = w;
    c.in[2].value = b;
    op_check_values(&c, (const float[]){-1, -1, 10, -1.5f}, 4, 1e-6);
    attr = (reel_norm_attr){.kind = REEL_NORM_RMS, .eps = 3.5f};
    op_check_values(&c, (const float[]){0.25f, 1, 10.75f, -1.5f}, 4, 1e-6);
    attr = (reel_norm_attr){.kind = REEL_NORM_L2, .eps = 1e-12f};
    op_check_values(&c, (const float[]){0.2828427f, 1.1313708f, 10.8485281f, -1.6970563f}, 4, 1e-6);
    attr.eps = 20; /* longer than x: clamped to sqrt(4) / 20 */
    op_check_values(&c, (const float[]){0.1f, 0.4f, 10.3f, -0.6f}, 4, 1e-6);
}

static void test_norm_takes_channels_first(void **state) {
    (void)state;
    /* two positions, two channels: (3,4) and (0,5) */
    const float x[4] = {3, 0, 4, 5}, w[2] = {1, 2};
    const reel_norm_attr attr = {.kind = REEL_NORM_L2, .channels_first = 1, .eps = 1e-12f};
    const op_case c = {.name = "grid",
                       .build = build_weight,
                       .context = &attr,
                       .n_in = 2,
                       .in = {{.shape = REEL_SHAPE(1, 2, 2), .value = x},
                              {.shape = REEL_SHAPE(2, 1, 1, 1), .value = w}}};
    op_check_values(&c, (const float[]){0.8485281f, 0, 2.2627417f, 2.8284271f}, 4, 1e-6);
}

static void test_norm_checks_at_odd_sizes(void **state) {
    (void)state;
    static const int64_t widths[] = {7, 17, 33, 64, 100};
    for (int kind = 0; kind < REEL_NORM_KINDS; kind++)
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
            const reel_norm_attr attr = {.kind = kind, .eps = 1e-2f};
            for (int n_in = 1; n_in <= 3; n_in++) {
                const op_case c = rows(reel_norm_kind_name((reel_norm_kind)kind), &attr, n_in,
                                       i % 2 ? 5 : 1, widths[i]);
                op_check(&c);
            }
        }
    /* one channel: with a small eps the gradient of an RMS norm is all cancellation */
    const reel_norm_attr rms = {.kind = REEL_NORM_RMS, .eps = 1};
    op_case c = rows("one channel", &rms, 3, 5, 1);
    op_check(&c);
    /* a layer norm is 0, and so is its gradient, which leaves no size to compare roundings with */
    const reel_norm_attr layer = {.kind = REEL_NORM_LAYER, .eps = 1e-6f};
    c.context = &layer;
    op_check_gradients(&c);
    c.in[0].fixed = true;
    op_check_kernels(&c);
}

static void test_norm_checks_mixed_types(void **state) {
    (void)state;
    static const reel_dtype types[][3] = {{REEL_F32, REEL_F32, REEL_BF16},
                                          {REEL_BF16, REEL_F32, REEL_BF16},
                                          {REEL_BF16, REEL_BF16, REEL_BF16},
                                          {REEL_F32, REEL_BF16, REEL_F32},
                                          {REEL_BF16, REEL_BF16, REEL_F32}};
    for (int kind = 0; kind < REEL_NORM_KINDS; kind++)
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            for (int first = 0; first < 2; first++) {
                const reel_norm_attr attr = {.kind = kind,
                                             .channels_first = first,
                                             .out_dtype = (int32_t)types[i][2],
                                             .eps = 1e-5f};
                op_case c = rows("types", &attr, 3, 9, 100);
                if (first) c.in[0].shape = REEL_SHAPE(2, 100, 3, 7);
                c.in[0].dtype = types[i][0];
                c.in[1].dtype = c.in[2].dtype = types[i][1];
                op_check_plans(&c);
                op_check_kernels(&c);
            }
}

static void test_norm_checks_grids(void **state) {
    (void)state;
    for (int kind = 0; kind < REEL_NORM_KINDS; kind++)
        for (int n_in = 1; n_in <= 3; n_in++) {
            const reel_norm_attr attr = {.kind = kind, .channels_first = 1, .eps = 1e-3f};
            op_case c = rows("grid", &attr, n_in, 1, 5);
            c.in[0].shape = REEL_SHAPE(2, 5, 2, 3, 3);
            op_check(&c);
            c = rows("large grid", &attr, n_in, 1, 19);
            c.in[0].shape = REEL_SHAPE(3, 19, 2, 17, 31); /* several tiles, and a ragged end */
            op_check_kernels(&c);
        }
}

static void test_norm_checks_long_rows(void **state) {
    (void)state;
    for (int kind = 0; kind < REEL_NORM_KINDS; kind++) {
        const reel_norm_attr attr = {.kind = kind, .eps = 1e-6f};
        const op_case c = rows("long", &attr, 3, 67, 1536); /* several tasks */
        op_check_kernels(&c);
    }
}

/* Ten thousand and a little: the naive E[x^2] - E[x]^2 has no correct digit here. */
static void test_layer_norm_survives_a_large_mean(void **state) {
    (void)state;
    enum { R = 3, C = 1000 };
    static float x[R * C];
    for (int i = 0; i < R * C; i++)
        x[i] = 10000.0f + (float)sin(1.7 * i) * 1.41421f;
    x[C] = -50000; /* an outlier where a shift would be taken from */
    const reel_norm_attr attr = {.kind = REEL_NORM_LAYER, .eps = 1e-6f};
    op_case c = rows("large mean", &attr, 1, R, C);
    c.in[0].value = x;
    op_check_kernels(&c);
    c.in[0].shape = REEL_SHAPE(R, C, 1);
    const reel_norm_attr first = {.kind = REEL_NORM_LAYER, .channels_first = 1, .eps = 1e-6f};
    c.context = &first;
    op_check_kernels(&c);
}

static void test_norm_of_constant_rows_is_finite(void **state) {
    (void)state;
    for (int kind = 0; kind < REEL_NORM_KINDS; kind++) {
        const float zero[34] = {0}, same[17] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3};
        const reel_norm_attr attr = {.kind = kind, .eps = 1e-6f};
        op_case c = rows("zero rows", &attr, 1, 2, 17);
        c.in[0].value = zero;
        op_check_kernels(&c);
        op_check_values(&c, zero, 34, 0);
        if (kind != REEL_NORM_LAYER) continue;
        c = rows("constant row", &attr, 1, 1, 17);
        c.in[0].value = same;
        op_check_kernels(&c);
        op_check_values(&c, zero, 17, 0);
    }
}

static void test_norm_keeps_nan_in_its_row(void **state) {
    (void)state;
    enum { R = 3, C = 21 };
    float x[R * C];
    for (int i = 0; i < R * C; i++)
        x[i] = (float)(i % 7) - 2;
    x[C + 4] = NAN;
    x[2 * C] = INFINITY;
    for (int kind = 0; kind < REEL_NORM_KINDS; kind++) {
        const reel_norm_attr attr = {.kind = kind, .eps = 1e-6f};
        op_case c = rows("nan row", &attr, 1, R, C);
        c.in[0].value = x;
        c.no_gradient = c.in[0].fixed = true;
        op_check_kernels(&c); /* the reference has NaN where it must; row 0 is compared */
    }
}

static void test_norm_refuses_misfits(void **state) {
    (void)state;
    reel_norm_attr attr = {.kind = REEL_NORM_RMS, .eps = 1e-6f};
    op_case c = rows("w", &attr, 3, 2, 8);
    c.in[1].shape = REEL_SHAPE(7);
    op_check_refused(&c, REEL_E_SHAPE, "norm: x [2,8] needs w [8]", "got f32 [7]");
    c = rows("b", &attr, 3, 2, 8);
    c.in[2].dtype = REEL_I32;
    op_check_refused(&c, REEL_E_SHAPE, "needs b [8] of a float type", "got i32 [8]");
    c = rows("x", &attr, 3, 2, 8);
    c.in[0].dtype = REEL_U8;
    op_check_refused(&c, REEL_E_SHAPE, "x must be a float type", "u8");
    c = rows("rank", &attr, 1, 2, 8);
    attr.channels_first = 1;
    c.in[0].shape = REEL_SHAPE(8);
    op_check_refused(&c, REEL_E_SHAPE, "x must be [B,C,...]", "got [8]");
    attr = (reel_norm_attr){.kind = REEL_NORM_RMS, .eps = -1};
    c = rows("eps", &attr, 1, 2, 8);
    op_check_refused(&c, REEL_E_ARG, "eps -1", "eps >= 0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norm_has_hand_values),
        cmocka_unit_test(test_norm_takes_channels_first),
        cmocka_unit_test(test_norm_checks_at_odd_sizes),
        cmocka_unit_test(test_norm_checks_mixed_types),
        cmocka_unit_test(test_norm_checks_grids),
        cmocka_unit_test(test_norm_checks_long_rows),
        cmocka_unit_test(test_layer_norm_survives_a_large_mean),
        cmocka_unit_test(test_norm_of_constant_rows_is_finite),
        cmocka_unit_test(test_norm_keeps_nan_in_its_row),
        cmocka_unit_test(test_norm_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
