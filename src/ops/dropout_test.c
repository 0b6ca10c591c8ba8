#include "ops/dropout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "ops/elementwise.h"
#include "support/op_check.h"
#include "tape/plan.h"

enum { STREAM = 77 };

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    reel_tape_set_training(t, true);
    return reel_dropout(t, in[0], in[1], STREAM, *(const float *)context);
}

static const float seeds[2] = {12, 34};

static op_case sized(const float *p, reel_shape x) {
    return (op_case){
        .name = "dropout",
        .build = build,
        .context = p,
        .n_in = 2,
        .in = {{.shape = x}, {.dtype = REEL_I64, .shape = REEL_SHAPE(2), .value = seeds}}};
}

static const float third = 1.0f / 3, tenth = 0.1f;

/* What the header says, written out again: whether element e is kept. */
static bool kept(uint64_t seed, uint64_t step, double p, uint64_t e) {
    const reel_rng_block k = reel_rng(seed, STREAM, step);
    const uint64_t key = k.word[0] + ((uint64_t)k.word[1] << 32);
    const reel_rng_block b = reel_rng(key, STREAM, (e / 64) * 16 + e % 16);
    return b.word[(e % 64) / 16] >= (uint32_t)(p * 4294967296.0);
}

static void test_dropout_follows_the_counters(void **state) {
    (void)state;
    enum { N = 200 };
    float x[N], want[N];
    for (int i = 0; i < N; i++) {
        x[i] = (float)(i + 1);
        want[i] = kept(12, 34, (double)third, (uint64_t)i) ? x[i] * 1.5f : 0;
    }
    op_case c = sized(&third, REEL_SHAPE(N));
    c.in[0].value = x;
    op_check_values(&c, want, N, 1e-6);
}

static void test_dropout_checks_at_odd_sizes(void **state) {
    (void)state;
    op_case c = sized(&third, REEL_SHAPE(7, 29));
    op_check(&c);
    c.in[0].dtype = REEL_BF16;
    op_check(&c);
    c = sized(&tenth, REEL_SHAPE(3, 16389));
    op_check_kernels(&c);
    c.in[0].dtype = REEL_BF16;
    op_check_kernels(&c);
}

/* Runs dropout over ones and counts what is left; *sum is their sum. */
static int64_t survivors(reel_env *env, const int64_t seed[2], float p, float *y, int64_t n,
                         double *sum) {
    float *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = 1;
    reel_tape *t;
    reel_kernel_table *table;
    reel_plan *plan = NULL;
    assert_int_equal(reel_ops_tape_new(env, &t), REEL_OK);
    assert_int_equal(reel_ops_reference_table(env, &table), REEL_OK);
    reel_tape_set_training(t, true);
    const reel_var in = reel_tape_input(t, REEL_F32, REEL_SHAPE(n), "x", x);
    const reel_var s = reel_tape_input(t, REEL_I64, REEL_SHAPE(2), "seed", seed);
    const reel_var out = reel_dropout(t, in, s, STREAM, p);
    reel_tape_bind(t, out, y);
    assert_int_equal(reel_plan_new(t, table, NULL, &plan), REEL_OK);
    assert_int_equal(reel_plan_run(plan, NULL), REEL_OK);
    int64_t left = 0;
    *sum = 0;
    for (int64_t i = 0; i < n; i++) {
        left += y[i] != 0;
        *sum += (double)y[i];
    }
    reel_plan_free(&plan);
    reel_tape_free(&t);
    reel_kernel_table_free(env, &table);
    free(x);
    return left;
}

static void test_dropout_keeps_its_share_and_the_mean(void **state) {
    (void)state;
    enum { N = 100000 };
    reel_env *env = op_test_env(1);
    float *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b);
    double sum;
    const int64_t first[2] = {1, 0}, next[2] = {1, 1};
    const double share = (double)survivors(env, first, 0.3f, a, N, &sum) / N;
    assert_true(fabs(share - 0.7) < 5 * sqrt(0.3 * 0.7 / N)); /* five standard deviations */
    assert_true(fabs(sum / N - 1) < 5 * sqrt(0.3 * 0.7 / N) / 0.7);
    survivors(env, next, 0.3f, b, N, &sum);
    int64_t agree = 0;
    for (int i = 0; i < N; i++)
        agree += (a[i] != 0) == (b[i] != 0);
    const double chance = 0.7 * 0.7 + 0.3 * 0.3; /* another step, other coins */
    assert_true(fabs((double)agree / N - chance) < 5 * sqrt(0.25 / N));
    free(a);
    free(b);
    reel_env_free(&env);
}

/* y = dropout(x) squared, in a scope that is recorded again for backward: the gradient, 2 y / (1-p)
 * where x is kept, is right only if the coins are the same each time. */
static reel_var build_recomputed(reel_tape *t, const reel_var *in, const void *context) {
    reel_tape_set_training(t, true);
    reel_scope_begin(t, "block", REEL_RECOMPUTE);
    const reel_var y = reel_dropout(t, in[0], in[1], STREAM, *(const float *)context);
    const reel_var square = reel_mul(t, y, y);
    reel_scope_end(t);
    return square;
}

static void test_dropout_is_the_same_when_recomputed(void **state) {
    (void)state;
    op_case c = sized(&third, REEL_SHAPE(5, 31));
    c.build = build_recomputed;
    op_check(&c);
}

static void test_dropout_is_nothing_at_inference(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_tape *t;
    assert_int_equal(reel_ops_tape_new(env, &t), REEL_OK);
    const reel_var x = reel_tape_input(t, REEL_F32, REEL_SHAPE(3), "x", NULL);
    const reel_var s = reel_tape_input(t, REEL_I64, REEL_SHAPE(2), "seed", NULL);
    assert_int_equal(reel_dropout(t, x, s, 0, 0.5f), x);
    reel_tape_set_training(t, true);
    assert_int_equal(reel_dropout(t, x, s, 0, 0), x);
    assert_int_not_equal(reel_dropout(t, x, s, 0, 0.5f), x);
    reel_tape_free(&t);
    reel_env_free(&env);
}

static void test_dropout_drops_nan_and_passes_it(void **state) {
    (void)state;
    float x[70];
    for (int i = 0; i < 70; i++)
        x[i] = i % 3 ? NAN : INFINITY;
    op_case c = sized(&third, REEL_SHAPE(70));
    c.in[0].value = x;
    c.no_gradient = true;
    op_check_kernels(&c);
}

static void test_dropout_refuses_misfits(void **state) {
    (void)state;
    const float one = 1, negative = -0.1f;
    op_case c = sized(&one, REEL_SHAPE(3));
    op_check_refused(&c, REEL_E_ARG, "dropout: p must be in [0,1)", "got 1");
    c.context = &negative;
    op_check_refused(&c, REEL_E_ARG, "dropout: p must be in [0,1)", "got -0.1");
    c.context = &third;
    c.in[1].shape = REEL_SHAPE(1);
    op_check_refused(&c, REEL_E_SHAPE, "the seed must be i64 [2]", "got i64 [1]");
    c.in[1].dtype = REEL_F32;
    op_check_refused(&c, REEL_E_SHAPE, "the seed must be i64 [2]", "got f32 [1]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropout_follows_the_counters),
        cmocka_unit_test(test_dropout_checks_at_odd_sizes),
        cmocka_unit_test(test_dropout_keeps_its_share_and_the_mean),
        cmocka_unit_test(test_dropout_is_the_same_when_recomputed),
        cmocka_unit_test(test_dropout_is_nothing_at_inference),
        cmocka_unit_test(test_dropout_drops_nan_and_passes_it),
        cmocka_unit_test(test_dropout_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
