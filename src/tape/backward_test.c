/* Reverse-mode differentiation: who gets a gradient, how parts add up, recompute scopes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "ops/activation.h"
#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/reduce.h"
#include "support/small_dit.h"
#include "support/tape_rig.h"

static reel_var param(tape_rig *g, const float *data, int64_t n) {
    return reel_tape_param(g->tape, REEL_F32, REEL_SHAPE(n), "p", data);
}

static float gradient(const tape_rig *g, reel_var var, int i) {
    return ((const float *)tape_rig_data(g, reel_tape_grad(g->tape, var)))[i];
}

/* ---- who gets what ---- */

/* f = sum (a b + a): df/da = b + 1, df/db = a. */
static void test_backward_adds_the_parts_of_a_gradient(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const float x[2] = {2, 3}, y[2] = {5, 7};
    const reel_var a = param(&g, x, 2), b = param(&g, y, 2);
    const reel_var f = reel_add(g.tape, reel_mul(g.tape, a, b), a);
    reel_tape_backward(g.tape, reel_sum(g.tape, f, 1, REEL_DROP_AXES));
    tape_rig_run(&g, NULL);
    assert_true(gradient(&g, a, 0) == 6 && gradient(&g, a, 1) == 8);
    assert_true(gradient(&g, b, 0) == 2 && gradient(&g, b, 1) == 3);
    tape_rig_close(&g);
}

static void test_backward_asks_only_for_what_is_wanted(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const float x[2] = {2, 3};
    const reel_var p = param(&g, x, 2), unused = param(&g, x, 2);
    const reel_var plain = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(2), "plain", x);
    const reel_var asked = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(2), "asked", x);
    reel_tape_want_grad(g.tape, asked);
    const reel_var side = reel_scale(g.tape, plain, 3, 0); /* nothing learns above it */
    const reel_var y = reel_mul(g.tape, reel_mul(g.tape, p, asked), side);
    reel_tape_backward(g.tape, reel_sum(g.tape, y, 1, REEL_DROP_AXES));
    assert_int_equal(reel_tape_grad(g.tape, unused), 0);
    assert_int_equal(reel_tape_grad(g.tape, plain), 0);
    assert_int_equal(reel_tape_grad(g.tape, side), 0);
    tape_rig_run(&g, NULL);
    assert_true(gradient(&g, p, 1) == 3 * 9 && gradient(&g, asked, 0) == 2 * 6);
    tape_rig_close(&g);
}

static void test_backward_of_a_bf16_parameter_is_f32(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const reel_bf16 x[2] = {0x4000, 0x4040}; /* 2, 3 */
    const reel_var p = reel_tape_param(g.tape, REEL_BF16, REEL_SHAPE(2), "p", x);
    const reel_var h = reel_mul(g.tape, p, p);
    reel_tape_backward(g.tape, reel_sum(g.tape, h, 1, REEL_DROP_AXES));
    assert_int_equal(reel_tape_value(g.tape, reel_tape_grad(g.tape, p))->dtype, REEL_F32);
    assert_int_equal(reel_tape_value(g.tape, reel_tape_grad(g.tape, h))->dtype, REEL_BF16);
    tape_rig_run(&g, NULL);
    assert_true(gradient(&g, p, 0) == 4 && gradient(&g, p, 1) == 6);
    tape_rig_close(&g);
}

/* The loss is the parameter's own gradient's seed: 1, and it outlives the tape. */
static void test_backward_seed_outlives_the_tape(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const float x[1] = {2};
    const reel_var p = param(&g, x, 1), q = param(&g, x, 1);
    reel_tape_backward(g.tape, reel_add(g.tape, p, q));
    const reel_var dp = reel_tape_grad(g.tape, p);
    tape_rig_run(&g, NULL);
    reel_tape_free(&g.tape);
    assert_int_equal(reel_plan_run(g.plan, NULL), REEL_OK);
    assert_true(*(const float *)tape_rig_data(&g, dp) == 1);
    tape_rig_close(&g);
}

/* ---- refusals ---- */

static void test_backward_refuses_what_is_no_loss(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const float x[2] = {1, 2};
    reel_var p = param(&g, x, 2);
    reel_tape_backward(g.tape, reel_scale(g.tape, p, 1, 1));
    tape_rig_expect_failure(&g, REEL_E_SHAPE, "a loss of one f32 element", "got f32 [2]");
    p = param(&g, x, 1);
    reel_tape_backward(g.tape, reel_cast(g.tape, p, REEL_BF16));
    tape_rig_expect_failure(&g, REEL_E_SHAPE, "a loss of one f32 element", "got bf16 [1]");
    reel_tape_backward(g.tape, param(&g, x, 1)); /* nothing was computed */
    tape_rig_expect_failure(&g, REEL_E_SHAPE, "a loss of one f32 element", NULL);
    reel_tape_backward(g.tape, 0);
    tape_rig_expect_failure(&g, REEL_E_SHAPE, "a loss of one f32 element", NULL);
    tape_rig_close(&g);
}

static void test_backward_refuses_to_run_twice_or_inside_a_scope(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const float x[1] = {1};
    reel_var loss = reel_scale(g.tape, param(&g, x, 1), 2, 0);
    reel_scope_begin(g.tape, "block", REEL_RECOMPUTE);
    reel_tape_backward(g.tape, loss);
    tape_rig_expect_failure(&g, REEL_E_ARG, "block: backward inside a scope", NULL);
    loss = reel_scale(g.tape, param(&g, x, 1), 2, 0);
    reel_tape_backward(g.tape, loss);
    assert_int_equal(reel_tape_status(g.tape), REEL_OK);
    reel_tape_backward(g.tape, loss);
    tape_rig_expect_failure(&g, REEL_E_ARG, "backward a second time", NULL);
    loss = reel_scale(g.tape, param(&g, x, 1), 2, 0); /* a reset makes it possible again */
    reel_tape_backward(g.tape, loss);
    assert_int_equal(reel_tape_status(g.tape), REEL_OK);
    tape_rig_close(&g);
}

static void test_backward_refuses_a_gradient_that_does_not_fit(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const float x[2] = {1, 2};
    const reel_var p = param(&g, x, 2);
    const reel_var wrong = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(3), "wrong", NULL);
    reel_tape_add_grad(g.tape, p, wrong);
    tape_rig_expect_failure(&g, REEL_E_SHAPE, "gradient of value 1 must be f32 [2]", "got f32 [3]");
    tape_rig_close(&g);
}

static void test_backward_records_carry_their_forward_scope(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    small_dit dit = {.n_blocks = 2, .recompute = SMALL_DIT_NESTED};
    small_dit_record(&dit, g.tape);
    assert_int_equal(reel_tape_status(g.tape), REEL_OK);
    for (int k = 0; k < reel_tape_n_records(g.tape); k++) {
        const reel_record *r = reel_tape_record_at(g.tape, k);
        char path[64];
        reel_tape_scope_path(g.tape, r->scope, path, sizeof path);
        if (strncmp(r->op->name, "attention", 9) == 0) assert_string_equal(path, "pair.block.attn");
        if (strncmp(r->op->name, "norm_modulate", 13) == 0) assert_string_equal(path, "pair.block");
    }
    tape_rig_close(&g);
}

/* ---- recompute ---- */

/* Gradients and output of one way of recording, one after another. */
static float *run_dit(small_dit *dit, int64_t *n, int64_t *planned_bytes) {
    tape_rig g;
    tape_rig_open(&g);
    small_dit_record(dit, g.tape);
    tape_rig_run(&g, NULL);
    *planned_bytes = reel_plan_get_stats(g.plan).planned_bytes;
    float *all = test_calloc(1 << 16, sizeof *all);
    *n = 0;
    for (int i = -1; i < dit->n_params; i++) {
        const reel_var v = i < 0 ? dit->out : reel_tape_grad(g.tape, dit->param[i]);
        if (!v) fail_msg("parameter %d got no gradient", i);
        const reel_value *value = reel_tape_value(g.tape, v);
        const int64_t count = reel_shape_count(&value->shape);
        assert_true(value->dtype == REEL_F32 && *n + count <= 1 << 16);
        memcpy(all + *n, tape_rig_data(&g, v), (size_t)count * sizeof *all);
        *n += count;
    }
    tape_rig_close(&g);
    return all;
}

static void test_recompute_gives_the_same_bits(void **state) {
    (void)state;
    for (int d = 0; d < 2; d++) {
        small_dit plain = {.n_blocks = 5, .dtype = d ? REEL_BF16 : REEL_F32};
        int64_t n, bytes;
        float *wanted = run_dit(&plain, &n, &bytes);
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += (double)(wanted[i] * wanted[i]);
        assert_true(sum > 1 && sum < 1e12);
        for (int way = SMALL_DIT_BLOCKS; way <= SMALL_DIT_NESTED; way++) {
            small_dit dit = plain;
            dit.recompute = (small_dit_recompute)way;
            int64_t m, fewer;
            float *got = run_dit(&dit, &m, &fewer);
            assert_int_equal(m, n);
            assert_memory_equal(got, wanted, (size_t)n * sizeof *got);
            test_free(got);
        }
        test_free(wanted);
    }
}

enum { DEEP = 32, ROWS = 64, WIDTH = 32 };

/* Arena of a chain of DEEP blocks of two layers. */
static int64_t chain_bytes(reel_scope_flags flags) {
    static float w[WIDTH * WIDTH], x[ROWS * WIDTH];
    tape_rig g;
    tape_rig_open(&g);
    reel_var h = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(ROWS, WIDTH), "x", x);
    for (int i = 0; i < DEEP; i++) {
        reel_scope_begin(g.tape, "block", flags);
        for (int layer = 0; layer < 2; layer++) {
            const reel_var p = reel_tape_param(g.tape, REEL_F32, REEL_SHAPE(WIDTH, WIDTH), "w", w);
            h = reel_linear(g.tape, h, p, 0, REEL_ACT_GELU_TANH, REEL_F32);
        }
        reel_scope_end(g.tape);
    }
    reel_tape_backward(g.tape, reel_dot(g.tape, h, h));
    if (reel_plan_new(g.tape, g.table, NULL, &g.plan) != REEL_OK)
        fail_msg("%s", reel_env_message(g.env));
    const int64_t bytes = reel_plan_get_stats(g.plan).planned_bytes;
    tape_rig_close(&g);
    return bytes;
}

/* Without recompute a block keeps four tensors of ROWS x WIDTH for its gradient (the input and the
 * pre-activation of each layer), with it one: its input. Gradients of the parameters, half a tensor
 * for each of the two layers, appear as the others go. So 4 DEEP tensors become DEEP and a block's
 * own few; the last bound allows for gaps. */
static void test_recompute_shrinks_the_arena_of_a_deep_chain(void **state) {
    (void)state;
    const double tensor = ROWS * WIDTH * sizeof(float);
    const double plain = (double)chain_bytes(REEL_SCOPE_PLAIN) / tensor;
    const double recomputed = (double)chain_bytes(REEL_RECOMPUTE) / tensor;
    print_message("arena in tensors: %.1f without recompute, %.1f with\n", plain, recomputed);
    assert_true(plain >= 4 * DEEP - 1);
    assert_true(recomputed >= DEEP - 1);
    assert_true(recomputed <= 1.5 * DEEP);
}

/* A scope through which no gradient flows is not recorded again. */
static void test_recompute_leaves_out_what_needs_no_gradient(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const float x[2] = {1, 2};
    const reel_var in = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(2), "x", x);
    reel_scope_begin(g.tape, "frozen", REEL_RECOMPUTE);
    const reel_var h = reel_activate(g.tape, in, REEL_ACT_SILU);
    reel_scope_end(g.tape);
    const reel_var p = param(&g, x, 2);
    reel_tape_backward(g.tape, reel_dot(g.tape, h, p));
    int n = 0;
    for (int k = 0; k < reel_tape_n_records(g.tape); k++)
        n += reel_tape_record_at(g.tape, k)->op == &reel_op_activation;
    assert_int_equal(n, 1);
    tape_rig_close(&g);
}

/* A value of a recompute scope with two outputs, one read inside and one outside. */
static void test_recompute_follows_every_output(void **state) {
    (void)state;
    const float x[4] = {1, 2, 3, 4};
    float got[2][4];
    for (int way = 0; way < 2; way++) {
        tape_rig g;
        tape_rig_open(&g);
        const reel_var p = param(&g, x, 4);
        reel_var part[2];
        reel_scope_begin(g.tape, "split", way ? REEL_RECOMPUTE : REEL_SCOPE_PLAIN);
        reel_split_evenly(g.tape, reel_mul(g.tape, p, p), 0, 2, part);
        const reel_var inside = reel_activate(g.tape, part[1], REEL_ACT_SILU);
        reel_scope_end(g.tape);
        const reel_var y = reel_mul(g.tape, inside, part[0]);
        reel_tape_backward(g.tape, reel_sum(g.tape, y, 1, REEL_DROP_AXES));
        tape_rig_run(&g, NULL);
        memcpy(got[way], tape_rig_data(&g, reel_tape_grad(g.tape, p)), sizeof got[way]);
        tape_rig_close(&g);
    }
    assert_memory_equal(got[0], got[1], sizeof got[0]);
    assert_true(got[0][0] != 0 && got[0][3] != 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backward_adds_the_parts_of_a_gradient),
        cmocka_unit_test(test_backward_asks_only_for_what_is_wanted),
        cmocka_unit_test(test_backward_of_a_bf16_parameter_is_f32),
        cmocka_unit_test(test_backward_seed_outlives_the_tape),
        cmocka_unit_test(test_backward_refuses_what_is_no_loss),
        cmocka_unit_test(test_backward_refuses_to_run_twice_or_inside_a_scope),
        cmocka_unit_test(test_backward_refuses_a_gradient_that_does_not_fit),
        cmocka_unit_test(test_backward_records_carry_their_forward_scope),
        cmocka_unit_test(test_recompute_gives_the_same_bits),
        cmocka_unit_test(test_recompute_shrinks_the_arena_of_a_deep_chain),
        cmocka_unit_test(test_recompute_leaves_out_what_needs_no_gradient),
        cmocka_unit_test(test_recompute_follows_every_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
