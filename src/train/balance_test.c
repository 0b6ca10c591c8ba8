/* A text encoder's norm and what reads it, without the rest of either model. */
#include "train/balance.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cpu/cpu.h"
#include "ops/elementwise.h"
#include "ops/norm.h"
#include "ops/reduce.h"
#include "support/op_check.h"
#include "tensor/tolerance.h"

enum { N = 6, X = 5, D = 12, C = 8, LOUD = 3 };

typedef struct rig {
    reel_env *env;
    reel_kernel_table *table;
    reel_learner *learner;
    reel_program *program;
    bool pools;
    float hidden[N * X * D]; /* before the last norm; the last rows of some texts are zero */
    reel_var said, read, pooled;
} rig;

static reel_var record(void *context, reel_nn *nn) {
    rig *r = context;
    reel_tape *t = nn->tape;
    const reel_var x = reel_tape_input(t, REEL_F32, REEL_SHAPE(N, X, D), "x", r->hidden);
    reel_nn_begin(nn, "text_encoder");
    reel_nn_begin(nn, "encoder");
    const reel_var gain =
        reel_nn_param(nn, "final_layer_norm.weight", REEL_SHAPE(D), (reel_init){REEL_INIT_ONE, 0});
    reel_nn_end(nn);
    reel_nn_end(nn);
    r->said = reel_rms_norm(t, x, gain, 1e-6f, REEL_F32);
    reel_nn_begin(nn, "transformer");
    reel_nn_begin(nn, "condition_embedder");
    r->read = reel_nn_linear(nn, "text_embedder.linear_1", r->said, C, REEL_ACT_SILU);
    reel_tape_keep(t, r->said);
    reel_tape_keep(t, r->read);
    reel_var out = reel_mean(t, r->read, 7, REEL_DROP_AXES);
    if (r->pools) {
        reel_var h = reel_sum(t, r->said, 1u << 1, REEL_DROP_AXES);
        h = reel_rms_norm(t, h, 0, 1e-6f, REEL_F32);
        r->pooled = reel_nn_linear(nn, "pooled_embedder.linear_1", h, C, REEL_ACT_NONE);
        reel_tape_keep(t, r->pooled);
    }
    reel_nn_end(nn);
    reel_nn_end(nn);
    return out;
}

/* Every row of every text is loud in one channel, and the norm's gains are small in the others. */
static void open_rig(rig *r, bool pools) {
    *r = (rig){.pools = pools};
    float gains[D];
    for (int k = 0; k < D; k++)
        gains[k] = k == LOUD ? 1.2f : 0.02f + 0.001f * (float)k;
    reel_rng_fill_normal(1, 2, 0, N * X * D, r->hidden);
    for (int i = 0; i < N * X; i++)
        r->hidden[i * D + LOUD] = 10;
    for (int k = 0; k < D; k++)
        r->hidden[(2 * X + X - 1) * D + k] = 0;
    reel_learner_options o = reel_learner_options_default();
    o.compute = REEL_F32;
    r->env = op_test_env(2);
    assert_int_equal(reel_cpu_table(r->env, REEL_ISA_AMX, &r->table), REEL_OK);
    assert_int_equal(reel_learner_new(r->env, r->table, &o, &r->learner), REEL_OK);
    assert_int_equal(reel_learner_declare(r->learner, record, r), REEL_OK);
    const reel_tensor gain = {.dtype = REEL_F32, .shape = REEL_SHAPE(D), .data = gains};
    assert_int_equal(
        reel_learner_set(r->learner, "text_encoder.encoder.final_layer_norm.weight", &gain),
        REEL_OK);
    assert_int_equal(reel_learner_begin(r->learner, 3), REEL_OK);
    assert_int_equal(reel_program_new(r->learner, REEL_PROGRAM_LOOK, record, r, &r->program),
                     REEL_OK);
    assert_int_equal(reel_program_run(r->program), REEL_OK);
}

static void close_rig(rig *r) {
    reel_program_free(&r->program);
    reel_learner_free(&r->learner);
    reel_kernel_table_free(r->env, &r->table);
    reel_env_free(&r->env);
}

static reel_balance_texts texts_of(const rig *r) {
    return (reel_balance_texts){reel_program_data(r->program, r->said), N, X, D};
}

static void copy(const rig *r, reel_var var, int64_t n, float *to) {
    const float *from = reel_program_data(r->program, var);
    for (int64_t i = 0; i < n; i++)
        to[i] = from[i];
}

static void balance(rig *r) {
    const reel_balance_texts texts = texts_of(r);
    assert_int_equal(reel_balance_text(r->env, r->learner, &texts), REEL_OK);
    assert_int_equal(reel_program_run(r->program), REEL_OK);
}

static void test_balance_gives_every_channel_unit_size(void **state) {
    (void)state;
    rig r;
    open_rig(&r, false);
    balance(&r);
    const float *said = reel_program_data(r.program, r.said);
    for (int k = 0; k < D; k++) {
        double square = 0;
        for (int i = 0; i < N * X; i++)
            square += (double)said[i * D + k] * (double)said[i * D + k];
        assert_float_equal(square / (N * X - 1), 1, 1e-4); /* one row is empty */
    }
    close_rig(&r);
}

static void test_balance_changes_nothing_that_is_computed(void **state) {
    (void)state;
    for (int average = 0; average < 2; average++) {
        rig r;
        float before[N * X * C];
        open_rig(&r, false);
        if (average) {
            reel_program_free(&r.program);
            assert_int_equal(
                reel_program_new(r.learner, REEL_PROGRAM_AVERAGE, record, &r, &r.program), REEL_OK);
            assert_int_equal(reel_learner_refresh_average(r.learner), REEL_OK);
            assert_int_equal(reel_program_run(r.program), REEL_OK);
        }
        copy(&r, r.read, N * X * C, before);
        const reel_balance_texts texts = texts_of(&r);
        assert_int_equal(reel_balance_text(r.env, r.learner, &texts), REEL_OK);
        assert_int_equal(reel_learner_refresh_average(r.learner), REEL_OK);
        assert_int_equal(reel_program_run(r.program), REEL_OK);
        assert_true(reel_relative_l2(REEL_F32, reel_program_data(r.program, r.read), before,
                                     N * X * C) < 1e-5);
        close_rig(&r);
    }
}

/* What one channel hid is told apart, and what is made of it stays nearly what it was. */
static void test_balance_tells_pooled_texts_apart(void **state) {
    (void)state;
    rig r;
    float before[N * C];
    double apart[2];
    open_rig(&r, true);
    copy(&r, r.pooled, N * C, before);
    for (int k = 0; k < 2; k++) {
        const reel_balance_texts texts = texts_of(&r);
        assert_int_equal(reel_balance_apart(r.env, &texts, &apart[k]), REEL_OK);
        if (k == 0) balance(&r);
    }
    assert_true(apart[0] < 0.02);
    assert_true(apart[1] > 0.5);
    assert_true(reel_relative_l2(REEL_F32, reel_program_data(r.program, r.pooled), before, N * C) <
                0.2);
    close_rig(&r);
}

static void test_balance_apart_by_hand(void **state) {
    (void)state;
    const float rows[] = {1, 0, 2, 0, /**/ 0, 3, 0, 0, /**/ 3, 0, 0, 0};
    reel_env *env = op_test_env(1);
    double apart;
    /* (1,0), (0,1), (1,0) of unit mean square: neighbours are sqrt(2) apart per root channel */
    const reel_balance_texts texts = {rows, 3, 2, 2};
    assert_int_equal(reel_balance_apart(env, &texts, &apart), REEL_OK);
    assert_float_equal(apart, sqrt(2), 1e-6);
    const reel_balance_texts one = {rows, 1, 2, 2};
    assert_int_equal(reel_balance_apart(env, &one, &apart), REEL_OK);
    assert_true(isnan(apart));
    reel_env_free(&env);
}

static void test_balance_refuses_other_models(void **state) {
    (void)state;
    rig r;
    open_rig(&r, false);
    reel_balance_texts texts = texts_of(&r);
    texts.d = D / 2;
    texts.X = 2 * X;
    assert_int_equal(reel_balance_text(r.env, r.learner, &texts), REEL_E_ARG);
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_balance_gives_every_channel_unit_size),
        cmocka_unit_test(test_balance_changes_nothing_that_is_computed),
        cmocka_unit_test(test_balance_tells_pooled_texts_apart),
        cmocka_unit_test(test_balance_apart_by_hand),
        cmocka_unit_test(test_balance_refuses_other_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
