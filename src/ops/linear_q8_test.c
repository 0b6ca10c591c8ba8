#include "ops/linear_q8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "cpu/cpu.h"
#include "ops/linear.h"
#include "support/op_check.h"
#include "tape/plan.h"
#include "tensor/q8.h"

enum { MAX_VALUES = 1 << 16 };

/* Weights of a case: normal, in blocks and as they were. */
typedef struct weights {
    int64_t O, I;
    reel_activation act;
    reel_dtype out_dtype;
    bool bias;
    float value[MAX_VALUES];
    reel_q8_block block[MAX_VALUES / REEL_Q8_VALUES];
} weights;

static void make(weights *w, int64_t O, int64_t I) {
    w->O = O;
    w->I = I;
    reel_rng_fill_normal(3, (uint64_t)(O * 1000 + I), 0, O * I, w->value);
    reel_q8_quantise(w->block, REEL_F32, w->value, O * I);
}

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    const weights *w = context;
    const reel_var v = reel_tape_input(t, REEL_Q8_0, REEL_SHAPE(w->O, w->I), "w", w->block);
    return reel_linear(t, in[0], v, w->bias ? in[1] : 0, w->act, w->out_dtype);
}

static op_case case_of(const char *name, const weights *w, reel_dtype dtype, int64_t R) {
    return (op_case){.name = name,
                     .build = build,
                     .context = w,
                     .n_in = 2,
                     .no_gradient = true,
                     .in = {{.dtype = dtype, .shape = REEL_SHAPE(R, w->I)},
                            {.dtype = dtype, .shape = REEL_SHAPE(w->O)}}};
}

static weights w; /* too large for a stack */

static void test_linear_q8_has_hand_values(void **state) {
    (void)state;
    float x[64] = {127, -127, 64, 1};
    const float bias[2] = {0.5f, -1};
    make(&w, 2, 64);
    memset(w.block, 0, sizeof w.block[0] * 4);
    for (int k = 0; k < 4; k++)
        w.block[k].scale = reel_f32_to_f16(k < 2 ? 0.5f : 2.0f);
    w.block[0].q[0] = 3;
    w.block[0].q[1] = -2;
    w.block[1].q[5] = 127; /* times 254 with scale 2: q 127 */
    w.block[2].q[3] = -10;
    w.block[3].q[5] = 1;
    x[32 + 5] = 254;
    w.act = REEL_ACT_NONE;
    w.out_dtype = REEL_F32;
    w.bias = true;
    op_case c = case_of("hand", &w, REEL_F32, 1);
    c.in[0].value = x;
    c.in[1].value = bias;
    /* 0.5 (3 127 + 2 127) + 0.5 127 254 + 0.5; 2 (-10) + 2 254 - 1 */
    op_check_values(&c, (const float[]){16447, 487}, 2, 1e-6);
}

static void test_linear_q8_checks_at_odd_sizes(void **state) {
    (void)state;
    static const struct {
        int64_t R, I, O;
        reel_dtype dtype, out;
        reel_activation act;
        bool bias;
    } size[] = {
        {1, 32, 1, REEL_F32, REEL_F32, REEL_ACT_NONE, false},
        {5, 64, 33, REEL_F32, REEL_F32, REEL_ACT_NONE, true},
        {7, 96, 16, REEL_F32, REEL_BF16, REEL_ACT_SILU, true},
        {13, 160, 70, REEL_BF16, REEL_BF16, REEL_ACT_GELU_TANH, true},
        {6, 512, 127, REEL_BF16, REEL_F32, REEL_ACT_GELU_ERF, false},
        {1030, 32, 3, REEL_F32, REEL_F32, REEL_ACT_NONE, true},
    };
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
        char name[64];
        make(&w, size[i].O, size[i].I);
        w.act = size[i].act;
        w.out_dtype = size[i].out;
        w.bias = size[i].bias;
        snprintf(name, sizeof name, "q8 %lldx%lldx%lld", (long long)size[i].R, (long long)size[i].I,
                 (long long)size[i].O);
        const op_case c = case_of(name, &w, size[i].dtype, size[i].R);
        op_check(&c);
    }
}

/* y of the machine's best kernel for given x. */
static void compute(reel_env *env, const float *x, int64_t R, float *y) {
    reel_tape *t = NULL;
    reel_plan *plan = NULL;
    reel_kernel_table *table = NULL;
    assert_int_equal(reel_cpu_table(env, REEL_ISA_AMX, &table), REEL_OK);
    assert_int_equal(reel_ops_tape_new(env, &t), REEL_OK);
    const reel_var in[2] = {reel_tape_input(t, REEL_F32, REEL_SHAPE(R, w.I), "x", x)};
    const reel_var out = build(t, in, &w);
    reel_tape_keep(t, out);
    reel_tape_bind(t, out, y);
    assert_int_equal(reel_plan_new(t, table, NULL, &plan), REEL_OK);
    assert_int_equal(reel_plan_run(plan, NULL), REEL_OK);
    reel_plan_free(&plan);
    reel_tape_free(&t);
    reel_kernel_table_free(env, &table);
}

static void test_linear_q8_is_within_a_hundredth_of_exact(void **state) {
    (void)state;
    enum { R = 20, O = 64, I = 1024 };
    static float x[R * I], y[R * O];
    reel_env *env = op_test_env(2);
    make(&w, O, I);
    w.act = REEL_ACT_NONE;
    w.out_dtype = REEL_F32;
    w.bias = false;
    reel_rng_fill_normal(5, 1, 0, R * I, x);
    compute(env, x, R, y);
    double error = 0, norm = 0;
    for (int r = 0; r < R; r++)
        for (int o = 0; o < O; o++) {
            double sum = 0;
            for (int i = 0; i < I; i++)
                sum += (double)x[r * I + i] * (double)w.value[o * I + i];
            error += (sum - (double)y[r * O + o]) * (sum - (double)y[r * O + o]);
            norm += sum * sum;
        }
    print_message("relative error %.2e\n", sqrt(error / norm));
    assert_true(sqrt(error / norm) < 1e-2); /* half a step of 127 in x and in w: 0.5% expected */
    reel_env_free(&env);
}

static void test_linear_q8_spreads_what_is_not_finite(void **state) {
    (void)state;
    enum { R = 8, O = 40, I = 64 };
    static float x[R * I], y[R * O];
    reel_env *env = op_test_env(1);
    make(&w, O, I);
    w.act = REEL_ACT_NONE;
    w.out_dtype = REEL_F32;
    w.bias = false;
    reel_rng_fill_normal(6, 1, 0, R * I, x);
    x[1 * I + 3] = NAN;
    x[6 * I + 63] = -INFINITY;
    for (int i = 0; i < I; i++)
        x[2 * I + i] = 0;
    compute(env, x, R, y);
    for (int r = 0; r < R; r++)
        for (int o = 0; o < O; o++)
            assert_int_equal(isnan(y[r * O + o]) != 0, r == 1 || r == 6);
    for (int o = 0; o < O; o++)
        assert_true(y[2 * O + o] == 0);
    reel_env_free(&env);
}

static reel_var build_plain_weights(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_linear_q8(t, in[0], in[1], 0, REEL_ACT_NONE, REEL_F32);
}

static void test_linear_q8_refuses_what_does_not_fit(void **state) {
    (void)state;
    make(&w, 4, 64);
    w.act = REEL_ACT_NONE;
    w.out_dtype = REEL_F32;
    w.bias = true;
    op_case c = case_of("x", &w, REEL_F32, 3);
    c.in[0].shape = REEL_SHAPE(3, 32);
    op_check_refused(&c, REEL_E_SHAPE, "x [3,32] needs w [O,32], got [4,64]", NULL);
    c = case_of("b", &w, REEL_F32, 3);
    c.in[1].shape = REEL_SHAPE(5);
    op_check_refused(&c, REEL_E_SHAPE, "w [4,64] needs b [4], got [5]", NULL);
    c.build = build_plain_weights;
    c.in[1] = (op_input){.dtype = REEL_F32, .shape = REEL_SHAPE(4, 64)};
    op_check_refused(&c, REEL_E_SHAPE, "w must be q8_0 [O,I], I a multiple of 32", "f32 [4,64]");
}

/* ---- quantise ---- */

static reel_var build_quantised(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_linear(t, in[0], reel_quantise(t, in[1]), 0, REEL_ACT_NONE, REEL_F32);
}

/* Blocks made on the tape are those made beforehand: at every level, in every plan. */
static void test_quantise_makes_the_blocks_that_are_kept(void **state) {
    (void)state;
    enum { R = 3, O = 9, I = 2048 }; /* more than one task */
    static float x[R * I], want[R * O];
    reel_env *env = op_test_env(2);
    make(&w, O, I);
    w.act = REEL_ACT_NONE;
    w.out_dtype = REEL_F32;
    w.bias = false;
    reel_rng_fill_normal(8, 1, 0, R * I, x);
    compute(env, x, R, want);
    op_case c = {.name = "quantise",
                 .build = build_quantised,
                 .n_in = 2,
                 .no_gradient = true,
                 .in = {{.dtype = REEL_F32, .shape = REEL_SHAPE(R, I), .value = x},
                        {.dtype = REEL_F32, .shape = REEL_SHAPE(O, I), .value = w.value}}};
    op_check_values(&c, want, R * O, 1e-6);
    op_check(&c);
    c.in[1].dtype = REEL_BF16;
    op_check(&c);
    reel_env_free(&env);
}

static reel_var build_quantise(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_quantise(t, in[0]);
}

static void test_quantise_refuses_rows_that_are_no_blocks(void **state) {
    (void)state;
    op_case c = {.name = "quantise",
                 .build = build_quantise,
                 .n_in = 1,
                 .no_gradient = true,
                 .in = {{.dtype = REEL_F32, .shape = REEL_SHAPE(4, 40)}}};
    op_check_refused(&c, REEL_E_SHAPE, "multiple of 32", "f32 [4,40]");
    c.in[0].shape = REEL_SHAPE(2, 4, 32);
    op_check_refused(&c, REEL_E_SHAPE, "a float type [O,I]", "f32 [2,4,32]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear_q8_has_hand_values),
        cmocka_unit_test(test_linear_q8_checks_at_odd_sizes),
        cmocka_unit_test(test_linear_q8_is_within_a_hundredth_of_exact),
        cmocka_unit_test(test_linear_q8_spreads_what_is_not_finite),
        cmocka_unit_test(test_linear_q8_refuses_what_does_not_fit),
        cmocka_unit_test(test_quantise_makes_the_blocks_that_are_kept),
        cmocka_unit_test(test_quantise_refuses_rows_that_are_no_blocks),
    };
    return cmocka_run_group_tests_name("linear_q8", tests, NULL, NULL);
}
