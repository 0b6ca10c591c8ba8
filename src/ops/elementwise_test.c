#include "ops/elementwise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "support/op_check.h"

static reel_var build_add(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_add(t, in[0], in[1]);
}
static reel_var build_sub(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_sub(t, in[0], in[1]);
}
static reel_var build_mul(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_mul(t, in[0], in[1]);
}
static reel_var build_combine(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_combine(t, in[0], 0.75f, in[1], -2.5f);
}
static reel_var build_scale(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_scale(t, in[0], -0.5f, 3);
}
static reel_var build_lerp(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_lerp(t, in[0], in[1], in[2]);
}
static reel_var build_cast(reel_tape *t, const reel_var *in, const void *context) {
    return reel_cast(t, in[0], *(const reel_dtype *)context);
}
/* A temporary of its own dtype between two ops, so that gradients of temporaries are taken too. */
static reel_var build_nested(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_mul(t, reel_mul(t, in[0], in[1]), reel_add(t, in[1], in[1]));
}

static op_build *const binary[] = {build_add, build_sub, build_mul, build_combine};
static const char *const binary_name[] = {"add", "sub", "mul", "combine"};
enum { N_BINARY = 4 };

static op_case pair(const char *name, op_build *build, reel_shape a, reel_shape b) {
    return (op_case){.name = name, .build = build, .n_in = 2, .in = {{.shape = a}, {.shape = b}}};
}

/* ---- values ---- */

static void test_elementwise_has_hand_values(void **state) {
    (void)state;
    const float a[4] = {1, -2, 3, 0.5f}, b[2] = {10, -4}, t[1] = {0.25f}, c[4] = {5, 6, 7, 8};
    const float want[N_BINARY][4] = {
        {11, -6, 13, -3.5f}, {-9, 2, -7, 4.5f}, {10, 8, 30, -2}, {-24.25f, 8.5f, -22.75f, 10.375f}};
    for (int k = 0; k < N_BINARY; k++) {
        op_case hand = pair(binary_name[k], binary[k], REEL_SHAPE(2, 2), REEL_SHAPE(2));
        hand.in[0].value = a;
        hand.in[1].value = b;
        op_check_values(&hand, want[k], 4, 1e-7);
    }
    const op_case scale = {.name = "scale",
                           .build = build_scale,
                           .n_in = 1,
                           .in = {{.shape = REEL_SHAPE(4), .value = a}}};
    op_check_values(&scale, (const float[]){2.5f, 4, 1.5f, 2.75f}, 4, 1e-7);
    const op_case lerp = {.name = "lerp",
                          .build = build_lerp,
                          .n_in = 3,
                          .in = {{.shape = REEL_SHAPE(4), .value = a},
                                 {.shape = REEL_SHAPE(4), .value = c},
                                 {.shape = REEL_SHAPE(1), .value = t}}};
    op_check_values(&lerp, (const float[]){2, 0, 4, 2.375f}, 4, 1e-7);
}

static void test_elementwise_broadcasts_middle_axes_and_both_operands(void **state) {
    (void)state;
    const float a[4] = {1, 2, 3, 4}, b[3] = {10, 20, 30}; /* a [2,1,2], b [3,1] -> [2,3,2] */
    op_case c = pair("both", build_add, REEL_SHAPE(2, 1, 2), REEL_SHAPE(3, 1));
    c.in[0].value = a;
    c.in[1].value = b;
    op_check_values(&c, (const float[]){11, 12, 21, 22, 31, 32, 13, 14, 23, 24, 33, 34}, 12, 1e-7);
}

static const reel_shape scalar = {0};

/* Every way two operands can line up: [0] and [1] broadcast to each other. */
static int shapes(reel_shape s[][2]) {
    int n = 0;
#define PAIR(x, y) s[n][0] = (x), s[n++][1] = (y)
    PAIR(REEL_SHAPE(3, 5, 7), REEL_SHAPE(3, 5, 7));
    PAIR(REEL_SHAPE(4, 37), scalar);
    PAIR(scalar, REEL_SHAPE(4, 37));
    PAIR(scalar, scalar);
    PAIR(REEL_SHAPE(6, 19), REEL_SHAPE(19));
    PAIR(REEL_SHAPE(6, 19), REEL_SHAPE(6, 1));
    PAIR(REEL_SHAPE(6, 1), REEL_SHAPE(1, 19));
    PAIR(REEL_SHAPE(3, 1, 17), REEL_SHAPE(3, 4, 17));
    PAIR(REEL_SHAPE(3, 4, 1), REEL_SHAPE(1, 4, 9));
    PAIR(REEL_SHAPE(2, 1, 3, 1, 5), REEL_SHAPE(2, 1, 4, 1));
    PAIR(REEL_SHAPE(2, 3, 1, 2, 1, 3), REEL_SHAPE(1, 3, 2, 1, 2, 3));
    PAIR(REEL_SHAPE(1, 1, 1), REEL_SHAPE(1));
#undef PAIR
    return n;
}

static void test_elementwise_checks_for_every_broadcast(void **state) {
    (void)state;
    reel_shape s[16][2];
    const int n = shapes(s);
    for (int k = 0; k < N_BINARY; k++)
        for (int i = 0; i < n; i++) {
            op_case c = pair(binary_name[k], binary[k], s[i][0], s[i][1]);
            op_check(&c);
            c.in[0].dtype = REEL_BF16;
            op_check(&c);
            c.in[1].dtype = REEL_BF16;
            op_check(&c);
            c.in[0].dtype = REEL_F32;
            op_check(&c);
        }
}

static void test_elementwise_checks_over_several_tasks(void **state) {
    (void)state;
    const reel_shape big[4][2] = {{REEL_SHAPE(3, 16389), REEL_SHAPE(3, 16389)},
                                  {REEL_SHAPE(3, 16389), REEL_SHAPE(16389)},
                                  {REEL_SHAPE(3, 16389), REEL_SHAPE(3, 1)},
                                  {REEL_SHAPE(40000, 1), REEL_SHAPE(3)}};
    for (int k = 0; k < N_BINARY; k++)
        for (int i = 0; i < 4; i++) {
            op_case c = pair(binary_name[k], binary[k], big[i][0], big[i][1]);
            op_check_kernels(&c);
            c.in[0].dtype = c.in[1].dtype = REEL_BF16;
            op_check_kernels(&c);
        }
}

static void test_elementwise_differentiates_through_temporaries(void **state) {
    (void)state;
    op_case c = pair("nested", build_nested, REEL_SHAPE(3, 4, 5), REEL_SHAPE(4, 1));
    op_check(&c);
    c.in[0].dtype = c.in[1].dtype = REEL_BF16;
    c.tolerance = 2e-2; /* three bf16 roundings in a row */
    op_check(&c);
}

static void test_lerp_checks_with_t_broadcast(void **state) {
    (void)state;
    const reel_shape at[] = {scalar,           REEL_SHAPE(3, 5, 7), REEL_SHAPE(3, 1, 1),
                             REEL_SHAPE(5, 1), REEL_SHAPE(7),       REEL_SHAPE(3, 5, 1)};
    for (int i = 0; i < 6; i++) {
        op_case c = {.name = "lerp",
                     .build = build_lerp,
                     .n_in = 3,
                     .in = {{.shape = REEL_SHAPE(3, 5, 7)},
                            {.shape = REEL_SHAPE(3, 5, 7)},
                            {.shape = at[i]}}};
        op_check(&c);
        c.in[1].dtype = REEL_BF16;
        op_check(&c);
        c.in[0].dtype = c.in[2].dtype = REEL_BF16;
        op_check(&c);
    }
    const op_case big = {.name = "lerp over tasks",
                         .build = build_lerp,
                         .n_in = 3,
                         .in = {{.shape = REEL_SHAPE(3, 16389)},
                                {.shape = REEL_SHAPE(3, 16389)},
                                {.shape = REEL_SHAPE(3, 1)}}};
    op_check_kernels(&big);
}

static void test_scale_checks_at_odd_sizes(void **state) {
    (void)state;
    op_case c = {
        .name = "scale", .build = build_scale, .n_in = 1, .in = {{.shape = REEL_SHAPE(5, 13)}}};
    op_check(&c);
    c.in[0].dtype = REEL_BF16;
    op_check(&c);
    c.in[0].shape = REEL_SHAPE(40009);
    op_check_kernels(&c);
}

static void test_cast_checks_between_float_types(void **state) {
    (void)state;
    const reel_dtype types[] = {REEL_F32, REEL_BF16, REEL_F16};
    for (int from = 0; from < 3; from++)
        for (int to = 0; to < 3; to++) {
            op_case c = {.name = "cast",
                         .build = build_cast,
                         .context = &types[to],
                         .n_in = 1,
                         .slack = 0.2, /* steps of 0.01 seen through a narrow type */
                         .in = {{.dtype = types[from], .shape = REEL_SHAPE(7, 37)}}};
            if (from == to) continue;
            op_check_plans(&c);
            op_check_kernels(&c);
            c.in[0].shape = REEL_SHAPE(40009);
            op_check_kernels(&c);
        }
}

static void test_elementwise_passes_nan_and_infinity(void **state) {
    (void)state;
    const float a[8] = {NAN, INFINITY, -INFINITY, 1e38f, -0.0f, 1e-42f, 3.4e38f, 7},
                b[8] = {1, 1, INFINITY, 1e38f, -0.0f, 1e-42f, 3.4e38f, NAN};
    for (int k = 0; k < N_BINARY; k++) {
        op_case c = pair(binary_name[k], binary[k], REEL_SHAPE(8), REEL_SHAPE(8));
        c.in[0].value = a;
        c.in[1].value = b;
        c.no_gradient = true;
        op_check_kernels(&c);
    }
    const reel_dtype narrow[] = {REEL_BF16, REEL_F16};
    for (int k = 0; k < 2; k++) {
        const op_case c = {.name = "cast",
                           .build = build_cast,
                           .context = &narrow[k],
                           .n_in = 1,
                           .no_gradient = true,
                           .in = {{.shape = REEL_SHAPE(8), .value = a}}};
        op_check_kernels(&c);
    }
}

/* ---- refusals ---- */

static void test_elementwise_refuses_misfits(void **state) {
    (void)state;
    op_case c = pair("axis", build_add, REEL_SHAPE(2, 3, 4), REEL_SHAPE(2, 4));
    op_check_refused(&c, REEL_E_SHAPE, "add: a [2,3,4] and b [2,4] do not broadcast",
                     "axis -2 is 3 and 2");
    c = pair("integers", build_mul, REEL_SHAPE(2), REEL_SHAPE(2));
    c.in[1].dtype = REEL_I32;
    op_check_refused(&c, REEL_E_SHAPE, "mul: operands must be float types", "f32 and i32");
    op_case lerp = {
        .name = "lerp",
        .build = build_lerp,
        .n_in = 3,
        .in = {{.shape = REEL_SHAPE(2, 3)}, {.shape = REEL_SHAPE(3, 2)}, {.shape = REEL_SHAPE(3)}}};
    op_check_refused(&lerp, REEL_E_SHAPE, "lerp: a [2,3] needs b of its shape", "got [3,2]");
    lerp.in[1].shape = REEL_SHAPE(2, 3);
    lerp.in[2].shape = REEL_SHAPE(2);
    op_check_refused(&lerp, REEL_E_SHAPE, "needs t that broadcasts to it", "got [2]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elementwise_has_hand_values),
        cmocka_unit_test(test_elementwise_broadcasts_middle_axes_and_both_operands),
        cmocka_unit_test(test_elementwise_checks_for_every_broadcast),
        cmocka_unit_test(test_elementwise_checks_over_several_tasks),
        cmocka_unit_test(test_elementwise_differentiates_through_temporaries),
        cmocka_unit_test(test_lerp_checks_with_t_broadcast),
        cmocka_unit_test(test_scale_checks_at_odd_sizes),
        cmocka_unit_test(test_cast_checks_between_float_types),
        cmocka_unit_test(test_elementwise_passes_nan_and_infinity),
        cmocka_unit_test(test_elementwise_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
