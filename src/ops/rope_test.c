#include "ops/rope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "ops/layout.h"
#include "support/op_check.h"

/* in: x, positions, wq, wk. The table is made inside, as a model makes it. */
typedef struct qk_context {
    reel_qk_attr attr;
    double theta;
    bool weights;
} qk_context;

static reel_var table_of(reel_tape *t, const reel_var *in, const qk_context *c) {
    return reel_rope_table(t, in[1], reel_shape_last(&reel_tape_value(t, in[0])->shape), c->theta);
}

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    const qk_context *c = context;
    return reel_qk_norm_rope(t, in[0], c->weights ? in[2] : 0, table_of(t, in, c), &c->attr);
}
static reel_var build_packed(reel_tape *t, const reel_var *in, const void *context) {
    const qk_context *c = context;
    return reel_qkv_norm_rope(t, in[0], c->weights ? in[2] : 0, c->weights ? in[3] : 0,
                              table_of(t, in, c), &c->attr);
}
static reel_var build_table(reel_tape *t, const reel_var *in, const void *context) {
    const reel_rope_table_attr *a = context;
    return reel_rope_table(t, in[0], a->D, a->theta);
}

static op_case sized(const char *name, const qk_context *context, int64_t T, int64_t N, int64_t D) {
    const int64_t n_w = context->attr.norm == REEL_QK_NORM_HEAD ? D : N * D;
    op_case c = {.name = name,
                 .build = build,
                 .context = context,
                 .n_in = context->weights ? 3 : 2,
                 .in = {{.shape = REEL_SHAPE(T, N, D)},
                        {.dtype = REEL_I32, .shape = REEL_SHAPE(T, 3), .lo = 0, .hi = 20},
                        {.shape = REEL_SHAPE(n_w)},
                        {.shape = REEL_SHAPE(n_w)}}};
    c.in[1].fixed = true;
    return c;
}

static op_case packed(const char *name, const qk_context *context, int64_t T, int64_t N,
                      int64_t D) {
    op_case c = sized(name, context, T, N, D);
    c.build = build_packed;
    c.n_in = context->weights ? 4 : 2;
    c.in[0].shape = REEL_SHAPE(T, 3, N, D);
    return c;
}

static void test_rope_table_has_hand_values(void **state) {
    (void)state;
    /* D = 10: 10 / 6 = 1, so 6 channels turn with t, 2 with h, 2 with w. theta 1000 = 10^3, so the
     * three pairs of t turn by 2, 2 / 10 and 2 / 100; h by 3; w by -1. */
    const float position[3] = {2, 3, -1};
    const reel_rope_table_attr attr = {1000, 10};
    const op_case c = {
        .name = "table",
        .build = build_table,
        .context = &attr,
        .n_in = 1,
        .no_gradient = true,
        .in = {{.dtype = REEL_I32, .shape = REEL_SHAPE(1, 3), .value = position, .fixed = true}}};
    const float want[10] = {-0.41614684f, 0.90929743f,  0.98006658f, 0.19866933f, 0.99980001f,
                            0.01999867f,  -0.98999250f, 0.14112001f, 0.54030231f, -0.84147098f};
    op_check_values(&c, want, 10, 1e-7);
    op_check_kernels(&c);
}

static void test_rope_table_checks_at_odd_sizes(void **state) {
    (void)state;
    static const int64_t widths[] = {2, 4, 6, 8, 14, 64, 128};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        const reel_rope_table_attr attr = {10000, widths[i]};
        const op_case c = {.name = "table",
                           .build = build_table,
                           .context = &attr,
                           .n_in = 1,
                           .no_gradient = true,
                           .in = {{.dtype = REEL_I32,
                                   .shape = REEL_SHAPE(301, 3),
                                   .lo = -5,
                                   .hi = 1024,
                                   .fixed = true}}};
        op_check_plans(&c);
        op_check_kernels(&c);
    }
}

static void test_qk_norm_rope_has_hand_values(void **state) {
    (void)state;
    /* Two heads of one pair, turned by 1: mean square (1 + 4 + 9 + 16) / 4 = 7.5 for a token;
     * 2.5 and 12.5 for its heads. */
    const float x[4] = {1, 2, 3, 4}, position[3] = {1, 0, 0}, w[4] = {1, 1, 2, 1};
    qk_context context = {{.norm = REEL_QK_NORM_NONE}, 10000, false};
    op_case c = sized("none", &context, 1, 2, 2);
    c.in[0].value = x;
    c.in[1].value = position;
    c.in[2].value = w;
    const float c1 = 0.54030231f, s1 = 0.84147098f;
    op_check_values(&c, (const float[]){c1 - 2 * s1, s1 + 2 * c1, 3 * c1 - 4 * s1, 3 * s1 + 4 * c1},
                    4, 1e-6);
    context.attr.norm = REEL_QK_NORM_TOKEN;
    context.weights = true;
    c.n_in = 3;
    const float r = 0.36514837f; /* 7.5^-1/2 */
    op_check_values(&c,
                    (const float[]){r * (c1 - 2 * s1), r * (s1 + 2 * c1), r * (6 * c1 - 4 * s1),
                                    r * (6 * s1 + 4 * c1)},
                    4, 1e-6);
    context.attr.norm = REEL_QK_NORM_HEAD;
    c.in[2].shape = REEL_SHAPE(2);
    const float r0 = 0.63245553f, r1 = 0.28284271f;
    op_check_values(&c,
                    (const float[]){r0 * (c1 - 2 * s1), r0 * (s1 + 2 * c1), r1 * (3 * c1 - 4 * s1),
                                    r1 * (3 * s1 + 4 * c1)},
                    4, 1e-6);
}

static void test_packed_parts_are_q_k_and_v(void **state) {
    (void)state;
    /* at position 0 nothing turns: q = 2 xhat, k = 3 xhat, v = x */
    const float x[6] = {3, 3, 1, -1, 5, 6}, position[3] = {0}, two[2] = {2, 2}, three[2] = {3, 3};
    const qk_context context = {{.norm = REEL_QK_NORM_TOKEN}, 10000, true};
    op_case c = packed("parts", &context, 1, 1, 2);
    c.in[0].value = x;
    c.in[1].value = position;
    c.in[2].value = two;
    c.in[3].value = three;
    op_check_values(&c, (const float[]){2, 2, 3, -3, 5, 6}, 6, 1e-6);
}

static void test_qk_norm_rope_checks_at_odd_sizes(void **state) {
    (void)state;
    static const struct {
        int64_t T, N, D;
    } size[] = {{1, 1, 2}, {5, 1, 14}, {3, 3, 6}, {4, 2, 20}, {2, 2, 64}, {3, 1, 38}};
    for (int norm = 0; norm < REEL_QK_NORM_COUNT; norm++)
        for (size_t i = 0; i < sizeof size / sizeof *size; i++)
            for (int weights = 0; weights <= (norm != REEL_QK_NORM_NONE); weights++) {
                const qk_context context = {{.norm = norm, .eps = 0.1f}, 100, weights};
                op_case c = sized("one part", &context, size[i].T, size[i].N, size[i].D);
                op_check(&c);
                c = packed("packed", &context, size[i].T, size[i].N, size[i].D);
                op_check(&c);
                c.in[0].shape = REEL_SHAPE(2, size[i].T, 3, size[i].N, size[i].D); /* a batch */
                op_check_kernels(&c);
            }
}

static void test_qk_norm_rope_checks_mixed_and_long(void **state) {
    (void)state;
    for (int k = 0; k < 8; k++) {
        const qk_context context = {
            {.norm = REEL_QK_NORM_TOKEN, .out_dtype = k & 1 ? REEL_BF16 : REEL_F32, .eps = 1e-6f},
            10000,
            true};
        op_case c = packed("types", &context, 7, 2, 50);
        c.in[0].dtype = k & 2 ? REEL_BF16 : REEL_F32;
        c.in[2].dtype = c.in[3].dtype = k & 4 ? REEL_BF16 : REEL_F32;
        op_check_plans(&c);
        op_check_kernels(&c);
        c = sized("types", &context, 200, 12, 128); /* several tasks */
        c.in[0].dtype = k & 2 ? REEL_BF16 : REEL_F32;
        if (k < 4) op_check_kernels(&c);
    }
}

/* The same out of rms_norm and a rotation in double: the table is the rotation's own input, so only
 * the order of channels and the signs are shared knowledge. */
static void test_qk_norm_rope_equals_norm_then_rotation(void **state) {
    (void)state;
    enum { T = 2, N = 2, D = 8, C = N * D };
    static const float position[T * 3] = {3, 1, 2, 0, 7, 5};
    float x[T * C], w[C], want[T * C];
    for (int i = 0; i < T * C; i++)
        x[i] = (float)sin(0.7 * i + 0.3) * 2;
    for (int i = 0; i < C; i++)
        w[i] = 1 + 0.1f * (float)(i % 5);
    /* D = 8: 4 channels for t (turns 1 and theta^(2/4)), 2 for h, 2 for w */
    for (int t = 0; t < T; t++) {
        double square = 0;
        for (int k = 0; k < C; k++)
            square += (double)x[t * C + k] * (double)x[t * C + k] / C;
        for (int k = 0; k < C; k += 2) {
            const int pair = k % D / 2;
            const double at = (double)position[3 * t + (pair < 2 ? 0 : pair - 1)];
            const double angle = pair == 1 ? at / sqrt(10000) : at;
            const double a = (double)x[t * C + k] / sqrt(square + 1e-6) * (double)w[k];
            const double b = (double)x[t * C + k + 1] / sqrt(square + 1e-6) * (double)w[k + 1];
            want[t * C + k] = (float)(a * cos(angle) - b * sin(angle));
            want[t * C + k + 1] = (float)(b * cos(angle) + a * sin(angle));
        }
    }
    const qk_context context = {{.norm = REEL_QK_NORM_TOKEN, .eps = 1e-6f}, 10000, true};
    op_case c = sized("by hand", &context, T, N, D);
    c.in[0].value = x;
    c.in[1].value = position;
    c.in[2].value = w;
    op_check_values(&c, want, T * C, 1e-6);
}

/* ---- against rms_norm: at position 0 nothing turns ---- */

static reel_var norm_alone(reel_tape *t, const reel_var *in, const void *context) {
    const qk_context *c = context;
    const reel_shape x = reel_tape_value(t, in[0])->shape;
    const bool head = c->attr.norm == REEL_QK_NORM_HEAD;
    const reel_var flat =
        head ? in[0] : reel_reshape(t, in[0], REEL_SHAPE(x.dim[0], x.dim[1] * x.dim[2]));
    return reel_reshape(t, reel_rms_norm(t, flat, in[2], c->attr.eps, REEL_F32), x);
}

static void test_qk_norm_rope_norms_as_rms_norm_does(void **state) {
    (void)state;
    static const float still[5 * 3] = {0};
    for (int norm = REEL_QK_NORM_TOKEN; norm <= REEL_QK_NORM_HEAD; norm++) {
        const qk_context context = {{.norm = norm, .eps = 1e-3f}, 10000, true};
        op_case fused = sized("at rest", &context, 5, 3, 14);
        fused.in[1].value = still;
        op_case alone = fused;
        alone.build = norm_alone;
        op_check_same(&fused, &alone, 1e-6);
    }
}

static void test_qk_norm_rope_survives_hard_rows(void **state) {
    (void)state;
    enum { T = 3, N = 2, D = 14 };
    float x[T * N * D];
    for (int i = 0; i < T * N * D; i++)
        x[i] = i < N * D ? 0 : 1e15f * (float)(i % 5 - 2);
    x[T * N * D - 1] = NAN;
    for (int norm = 0; norm < REEL_QK_NORM_COUNT; norm++) {
        const qk_context context = {{.norm = norm, .eps = 1e-6f}, 10000, false};
        op_case c = sized("zeros, giants, nan", &context, T, N, D);
        c.in[0].value = x;
        c.no_gradient = c.in[0].fixed = true;
        op_check_kernels(&c);
    }
}

static void test_qk_norm_rope_refuses_misfits(void **state) {
    (void)state;
    qk_context context = {{.norm = REEL_QK_NORM_TOKEN, .eps = 1e-6f}, 10000, true};
    op_case c = sized("odd D", &context, 2, 2, 8);
    c.in[0].shape = REEL_SHAPE(2, 2, 7);
    op_check_refused(&c, REEL_E_ARG, "rope_table: D must be even", "got 7");
    c = sized("w", &context, 2, 2, 8);
    c.in[2].shape = REEL_SHAPE(8);
    op_check_refused(&c, REEL_E_SHAPE, "qk_norm_rope: x [2,2,8] needs w [16]", "got f32 [8]");
    c = packed("parts", &context, 2, 2, 8);
    c.in[0].shape = REEL_SHAPE(2, 2, 2, 8);
    op_check_refused(&c, REEL_E_SHAPE, "x must be [...,3,N,D]", "got f32 [2,2,2,8]");
    c = sized("tokens", &context, 3, 2, 8);
    c.in[1].shape = REEL_SHAPE(2, 3);
    op_check_refused(&c, REEL_E_SHAPE, "x [3,2,8] has 3 tokens, not a multiple of table [2,8]",
                     NULL);
    c = sized("positions", &context, 3, 2, 8);
    c.in[1].shape = REEL_SHAPE(3, 2);
    op_check_refused(&c, REEL_E_SHAPE, "positions must be i32 [T,3]", "got i32 [3,2]");
    context.attr.norm = REEL_QK_NORM_NONE;
    c = sized("no norm", &context, 3, 2, 8);
    op_check_refused(&c, REEL_E_SHAPE, "a weight without a norm", "[16]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rope_table_has_hand_values),
        cmocka_unit_test(test_rope_table_checks_at_odd_sizes),
        cmocka_unit_test(test_qk_norm_rope_has_hand_values),
        cmocka_unit_test(test_packed_parts_are_q_k_and_v),
        cmocka_unit_test(test_qk_norm_rope_checks_at_odd_sizes),
        cmocka_unit_test(test_qk_norm_rope_checks_mixed_and_long),
        cmocka_unit_test(test_qk_norm_rope_equals_norm_then_rotation),
        cmocka_unit_test(test_qk_norm_rope_norms_as_rms_norm_does),
        cmocka_unit_test(test_qk_norm_rope_survives_hard_rows),
        cmocka_unit_test(test_qk_norm_rope_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
