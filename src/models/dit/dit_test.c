/* The DiT against the original implementation's vectors, and against a twin written by hand. */
#include "models/dit/dit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "golden/dit_by_hand.h"
#include "ops/elementwise.h"
#include "ops/loss.h"
#include "support/golden_rig.h"
#include "support/op_check.h"
#include "tape/plan.h"

static const reel_dit_config golden_config = {.patch_size = 2,
                                              .in_channels = 4,
                                              .hidden_size = 48,
                                              .depth = 2,
                                              .num_heads = 4,
                                              .mlp_ratio = 4,
                                              .num_classes = 10,
                                              .learn_sigma = true};

static void expect_golden(reel_dtype compute, reel_isa isa, double tol) {
    golden_rig r;
    golden_rig_open(&r, "tests/golden/dit_original", compute, isa);
    const reel_tensor x = golden_input(&r.g, "x"), y = golden_input(&r.g, "y");
    const reel_tensor steps = golden_input(&r.g, "t");
    float t[2];
    for (int i = 0; i < 2; i++)
        t[i] = (float)((const int64_t *)steps.data)[i];
    reel_nn nn = reel_nn_start(r.tape, r.params, compute);
    const reel_dit_input input = {.x = reel_tape_input(r.tape, x.dtype, x.shape, "x", x.data),
                                  .t = reel_tape_input(r.tape, REEL_F32, REEL_SHAPE(2), "t", t),
                                  .y = reel_tape_input(r.tape, y.dtype, y.shape, "y", y.data)};
    const reel_var out = reel_dit(&nn, &golden_config, &input);
    reel_tape_keep(r.tape, out);
    golden_rig_run(&r);
    golden_expect_all_used(r.params);
    golden_expect(&r.g, "sample", REEL_F32, reel_plan_data(r.plan, out), 2 * 8 * 8 * 8, tol);

    golden_rig_close(&r);
}

static void test_dit_reproduces_the_original(void **state) {
    (void)state;
    for (int isa = 0; isa <= (int)reel_isa_detect(); isa++) {
        expect_golden(REEL_F32, (reel_isa)isa, 1e-5); /* f32 vs f64 of the original: 1.6e-7 */
        expect_golden(REEL_BF16, (reel_isa)isa, 2e-2);
    }
}

/* ---- against the handwritten twin ---- */

/* One step of the tape's DiT at the twin's sizes: loss, output, gradients. */
typedef struct step {
    reel_env *env;
    reel_tape *tape;
    reel_plan *plan;
    reel_kernel_table *table;
    reel_params *params;
    reel_var loss, out;
    float x[4 * 4 * 4], target[8 * 4 * 4], t[1];
    int64_t y[1];
} step;

static const reel_dit_config twin_config = {.patch_size = 2,
                                            .in_channels = 4,
                                            .hidden_size = C,
                                            .depth = L,
                                            .num_heads = N,
                                            .mlp_ratio = 4,
                                            .num_classes = K - 1,
                                            .learn_sigma = true};

static void record(step *s, bool recompute) {
    reel_dit_config config = twin_config;
    config.recompute = recompute;
    reel_tape_reset(s->tape);
    reel_tape_set_training(s->tape, true);
    reel_nn nn = reel_nn_start(s->tape, s->params, REEL_F32);
    const reel_dit_input input = {
        .x = reel_tape_input(s->tape, REEL_F32, REEL_SHAPE(1, 4, 4, 4), "x", s->x),
        .t = reel_tape_input(s->tape, REEL_F32, REEL_SHAPE(1), "t", s->t),
        .y = reel_tape_input(s->tape, REEL_I64, REEL_SHAPE(1), "y", s->y)};
    const reel_var target =
        reel_tape_input(s->tape, REEL_F32, REEL_SHAPE(1, 8, 4, 4), "target", s->target);
    s->out = reel_dit(&nn, &config, &input);
    s->loss = reel_mse(s->tape, s->out, target, 0);
    reel_tape_keep(s->tape, s->out);
    reel_tape_keep(s->tape, s->loss);
}

static void open_step(step *s) {
    *s = (step){.env = op_test_env(2), .t = {417}, .y = {3}};
    for (int i = 0; i < 64; i++)
        s->x[i] = (float)sin(1.7 * i + 0.3);
    for (int i = 0; i < 128; i++)
        s->target[i] = (float)cos(2.3 * i);
    assert_int_equal(reel_ops_tape_new(s->env, &s->tape), REEL_OK);
    assert_int_equal(reel_cpu_table(s->env, REEL_ISA_AMX, &s->table), REEL_OK);
    assert_int_equal(reel_params_new(s->env, &s->params), REEL_OK);
    record(s, false);
    /* Zero-initialised layers would hide half of the gradients: everything starts random here. */
    for (int i = 0; i < reel_params_count(s->params); i++)
        reel_params_at(s->params, i)->init = (reel_init){REEL_INIT_NORMAL, 0.3f};
    assert_int_equal(reel_params_initialise(s->params, 5), REEL_OK);
}

static void run_step(step *s, bool recompute) {
    record(s, recompute);
    reel_tape_backward(s->tape, s->loss);
    reel_plan_free(&s->plan);
    if (reel_plan_new(s->tape, s->table, NULL, &s->plan) != REEL_OK ||
        reel_plan_run(s->plan, NULL) != REEL_OK)
        fail_msg("%s", reel_env_message(s->env));
}

static void close_step(step *s) {
    reel_plan_free(&s->plan);
    reel_tape_free(&s->tape);
    reel_kernel_table_free(s->env, &s->table);
    reel_params_free(&s->params);
    reel_env_free(&s->env);
}

/* Patches [T,I] in the order of the convolution's weights: channel, row, column. */
static void patches_of(const float *x, double *patch) {
    for (int t = 0; t < T; t++)
        for (int c = 0; c < 4; c++)
            for (int p = 0; p < 4; p++)
                patch[t * I + c * 4 + p] =
                    (double)x[c * 16 + (t / 2 * 2 + p / 2) * 4 + t % 2 * 2 + p % 2];
}

/* Images [8,4,4] as the rows the last layer makes: row, column, channel. */
static void rows_of(const float *image, double *rows) {
    for (int t = 0; t < T; t++)
        for (int p = 0; p < 4; p++)
            for (int c = 0; c < 8; c++)
                rows[t * O + p * 8 + c] =
                    (double)image[c * 16 + (t / 2 * 2 + p / 2) * 4 + t % 2 * 2 + p % 2];
}

static double distance(const float *got, const double *want, int64_t n) {
    double d = 0, w = 0;
    for (int64_t i = 0; i < n; i++) {
        d += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        w += want[i] * want[i];
    }
    return sqrt(d / (w + 1e-30));
}

static void expect_twin(step *s, dit *w, dit *g, const double *patch, const double *target) {
    double out[T * O], rows[T * O];
    memset(g, 0, sizeof *g);
    const double loss = dit_by_hand(w, g, patch, (double)s->t[0], (int)s->y[0], target, out);
    const float *tape_loss = reel_plan_data(s->plan, s->loss);
    assert_true(fabs((double)*tape_loss - loss) < 1e-5 * loss);
    rows_of(reel_plan_data(s->plan, s->out), rows);
    for (int i = 0; i < T * O; i++)
        assert_true(fabs(rows[i] - out[i]) < 1e-4);
    for (int i = 0; i < reel_params_count(s->params); i++) {
        const reel_param *p = reel_params_at(s->params, i);
        const float *dp = reel_plan_data(s->plan, reel_tape_grad(s->tape, p->var));
        const double *by_hand = dit_by_hand_weight(g, p->name);
        if (!dp || !by_hand) fail_msg("%s: no gradient", p->name);
        const double error = distance(dp, by_hand, reel_shape_count(&p->shape));
        if (!(error < 2e-4)) fail_msg("gradient of %s is off by %.2e", p->name, error);
    }
}

static void test_dit_equals_the_one_written_by_hand(void **state) {
    (void)state;
    step s;
    open_step(&s);
    dit *w = calloc(1, sizeof *w), *g = calloc(1, sizeof *g);
    double patch[T * I], target[T * O];
    patches_of(s.x, patch);
    rows_of(s.target, target);
    for (int i = 0; i < reel_params_count(s.params); i++) {
        const reel_param *p = reel_params_at(s.params, i);
        double *to = dit_by_hand_weight(w, p->name);
        if (!to) fail_msg("the twin has no %s", p->name);
        for (int64_t k = 0; k < reel_shape_count(&p->shape); k++)
            to[k] = (double)((const float *)p->data)[k];
    }
    run_step(&s, false);
    expect_twin(&s, w, g, patch, target);
    run_step(&s, true);
    expect_twin(&s, w, g, patch, target);
    free(w);
    free(g);
    close_step(&s);
}

/* The twin itself, against central differences in double: nobody else checks it. */
static void test_the_twin_has_the_gradient_it_claims(void **state) {
    (void)state;
    dit *w = calloc(1, sizeof *w), *g = calloc(1, sizeof *g), *unused = calloc(1, sizeof *unused);
    double *all = dit_by_hand_weight(w, "x_embedder.proj.weight");
    const double *gradient = dit_by_hand_weight(g, "x_embedder.proj.weight");
    const size_t n = sizeof *w / sizeof(double);
    double patch[T * I], target[T * O], out[T * O];
    for (size_t i = 0; i < n; i++)
        all[i] = 0.3 * sin(12.9898 * (double)i + 1);
    for (int i = 0; i < T * I; i++)
        patch[i] = cos(1.3 * i);
    for (int i = 0; i < T * O; i++)
        target[i] = sin(0.7 * i);
    dit_by_hand(w, g, patch, 417, 3, target, out);
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i += 3) {
        const double old = all[i], h = 1e-5;
        all[i] = old + h;
        const double above = dit_by_hand(w, unused, patch, 417, 3, target, out);
        all[i] = old - h;
        const double below = dit_by_hand(w, unused, patch, 417, 3, target, out);
        all[i] = old;
        const double numeric = (above - below) / (2 * h);
        difference += (gradient[i] - numeric) * (gradient[i] - numeric);
        norm += numeric * numeric;
    }
    assert_true(sqrt(difference / norm) < 1e-7);
    free(w);
    free(g);
    free(unused);
}

static void test_dit_config_out_of_range_is_refused(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_dit_config config = reel_dit_config_default();
    assert_int_equal(reel_dit_config_check(env, &config), REEL_OK);
    config.num_heads = 7;
    assert_int_equal(reel_dit_config_check(env, &config), REEL_E_ARG);
    assert_non_null(
        strstr(reel_env_message(env), "hidden_size 384 must be a multiple of num_heads 7"));
    reel_env_clear(env);
    config = reel_dit_config_default();
    config.patch_size = 0;
    assert_int_equal(reel_dit_config_check(env, &config), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(env), "patch_size must be in 1..64, got 0"));
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_twin_has_the_gradient_it_claims),
        cmocka_unit_test(test_dit_equals_the_one_written_by_hand),
        cmocka_unit_test(test_dit_reproduces_the_original),
        cmocka_unit_test(test_dit_config_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
