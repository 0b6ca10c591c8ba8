#include "train/learner.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/folder.h"
#include "base/rng.h"
#include "cpu/cpu.h"
#include "ops/loss.h"
#include "support/op_check.h"
#include "tensor/tolerance.h"
#include "train/checkpoint.h"
#include "train/run.h"

enum { B = 16, I = 24, O = 8 };

/* Two layers that learn a fixed linear map. */
typedef struct fixture {
    reel_env *env;
    reel_kernel_table *table;
    reel_learner *learner;
    reel_program *program;
    float x[B * I], y[B * O];
} fixture;

static reel_var record(void *context, reel_nn *nn) {
    fixture *f = context;
    const reel_var x = reel_tape_input(nn->tape, REEL_F32, REEL_SHAPE(B, I), "x", f->x);
    const reel_var y = reel_tape_input(nn->tape, REEL_F32, REEL_SHAPE(B, O), "y", f->y);
    reel_var h = reel_nn_linear(nn, "hidden", x, 32, REEL_ACT_SILU);
    h = reel_nn_linear(nn, "out", h, O, REEL_ACT_NONE);
    return reel_mse(nn->tape, h, y, 0);
}

/* The batch of a step: a function of its number. */
static void fill(fixture *f, int64_t step) {
    reel_rng_fill_normal(7, 1, (uint64_t)step * B * I, B * I, f->x);
    for (int b = 0; b < B; b++)
        for (int o = 0; o < O; o++)
            f->y[b * O + o] = f->x[b * I + o] - 0.5f * f->x[b * I + o + 8];
}

static reel_learner_options small_options(void) {
    reel_learner_options o = reel_learner_options_default();
    o.rule[0] = (reel_rule){"hidden.weight", REEL_METHOD_MUON, 0.02, 0};
    o.rule[1] = (reel_rule){"*", REEL_METHOD_ADAMW, 0.02, 0};
    o.n_rules = 2;
    o.ema = 0.9;
    return o;
}

static void open_fixture(fixture *f, const reel_learner_options *o) {
    f->env = op_test_env(2);
    assert_int_equal(reel_cpu_table(f->env, REEL_ISA_AMX, &f->table), REEL_OK);
    assert_int_equal(reel_learner_new(f->env, f->table, o, &f->learner), REEL_OK);
    assert_int_equal(reel_learner_declare(f->learner, record, f), REEL_OK);
    assert_int_equal(reel_learner_begin(f->learner, 3), REEL_OK);
    assert_int_equal(reel_program_new(f->learner, REEL_PROGRAM_TRAIN, record, f, &f->program),
                     REEL_OK);
}

static void close_fixture(fixture *f) {
    reel_program_free(&f->program);
    reel_learner_free(&f->learner);
    reel_kernel_table_free(f->env, &f->table);
    reel_env_free(&f->env);
}

static double train(fixture *f, int64_t from, int64_t to) {
    reel_step_result r = {0};
    for (int64_t s = from; s < to; s++) {
        fill(f, s);
        assert_int_equal(reel_program_step(f->program, 1, NULL, &r), REEL_OK);
    }
    return r.loss;
}

static void assert_same_state(fixture *a, fixture *b) {
    for (int i = 0; i < reel_learner_count(a->learner); i++) {
        const reel_learned *p = reel_learner_at(a->learner, i), *q = reel_learner_at(b->learner, i);
        const size_t n = (size_t)reel_shape_count(&p->shape);
        assert_memory_equal(p->master, q->master, n * sizeof(float));
        assert_memory_equal(p->average, q->average, n * sizeof(float));
        assert_memory_equal(p->moment[0], q->moment[0], n * sizeof(float));
        if (p->copy) assert_memory_equal(p->copy, q->copy, n * sizeof *p->copy);
    }
}

static void test_pattern_stars_stand_for_any_run(void **state) {
    (void)state;
    assert_true(reel_pattern_match("*", ""));
    assert_true(reel_pattern_match("a*c", "abbc"));
    assert_true(reel_pattern_match("*.attn.*.weight", "blocks.3.attn.to_q.weight"));
    assert_true(reel_pattern_match("*ab*ab", "xabab"));
    assert_false(reel_pattern_match("a*c", "abbd"));
    assert_false(reel_pattern_match("encoder.*", "text.encoder.x"));
    assert_false(reel_pattern_match("", "a"));
}

static void test_learner_learns(void **state) {
    (void)state;
    const reel_learner_options o = small_options();
    fixture f;
    open_fixture(&f, &o);
    const double first = train(&f, 0, 1), last = train(&f, 1, 150);
    assert_true(last < 0.1 * first);
    close_fixture(&f);
}

static void test_learner_micro_steps_make_the_step_of_their_mean(void **state) {
    (void)state;
    reel_learner_options o = small_options();
    o.compute = REEL_F32;
    fixture one, two;
    open_fixture(&one, &o);
    o.accumulate = 2;
    open_fixture(&two, &o);
    fill(&one, 0);
    fill(&two, 0);
    reel_step_result a, b; /* twice the same batch is the batch */
    assert_int_equal(reel_program_step(one.program, 1, NULL, &a), REEL_OK);
    assert_int_equal(reel_program_step(two.program, 1, NULL, &b), REEL_OK);
    assert_true(fabs(a.loss - b.loss) < 1e-6 && fabs(a.norm - b.norm) < 1e-5 * a.norm);
    for (int i = 0; i < reel_learner_count(one.learner); i++) {
        const reel_learned *p = reel_learner_at(one.learner, i);
        const reel_learned *q = reel_learner_at(two.learner, i);
        const int64_t n = reel_shape_count(&p->shape);
        assert_true(reel_relative_l2(REEL_F32, q->master, p->master, n) < 1e-4);
    }
    close_fixture(&one);
    close_fixture(&two);
}

static void test_learner_a_frozen_parameter_stays(void **state) {
    (void)state;
    reel_learner_options o = small_options();
    o.rule[0].method = REEL_METHOD_FROZEN;
    fixture f;
    open_fixture(&f, &o);
    float before[32 * I];
    const reel_learned *p = reel_learner_at(f.learner, 0);
    assert_string_equal(p->name, "hidden.weight");
    memcpy(before, p->master, sizeof before);
    train(&f, 0, 5);
    assert_memory_equal(before, p->master, sizeof before);
    assert_null(p->average);
    close_fixture(&f);
}

/* The two layers with low-rank paths, which alone are trained. */
static reel_var record_low_rank(void *context, reel_nn *nn) {
    nn->lora_rank = 3;
    return record(context, nn);
}

static void test_learner_low_rank_paths_are_merged_on_export(void **state) {
    (void)state;
    reel_learner_options o = small_options();
    o.compute = REEL_F32;
    fixture base, tuned;
    open_fixture(&base, &o);
    o.rule[0] = (reel_rule){"*.lora_*", REEL_METHOD_ADAMW, 0.01, 0};
    o.rule[1] = (reel_rule){"*", REEL_METHOD_FROZEN, 0, 0};
    open_fixture(&tuned, &o);
    reel_program_free(&tuned.program);
    reel_learner_free(&tuned.learner);
    assert_int_equal(reel_learner_new(tuned.env, tuned.table, &o, &tuned.learner), REEL_OK);
    assert_int_equal(reel_learner_declare(tuned.learner, record_low_rank, &tuned), REEL_OK);
    assert_int_equal(reel_learner_begin(tuned.learner, 3), REEL_OK);
    assert_int_equal(reel_program_new(tuned.learner, REEL_PROGRAM_TRAIN, record_low_rank, &tuned,
                                      &tuned.program),
                     REEL_OK);
    fill(&base, 0);
    fill(&tuned, 0);
    reel_step_result a, b; /* B is zero: at first the paths add nothing */
    assert_int_equal(reel_program_step(base.program, 0, NULL, &a), REEL_OK);
    assert_int_equal(reel_program_step(tuned.program, 0, NULL, &b), REEL_OK);
    assert_true(fabs(a.loss - b.loss) < 1e-6);
    assert_true(train(&tuned, 0, 40) < 0.8 * b.loss);

    reel_params *merged;
    assert_int_equal(reel_learner_export(tuned.learner, "", false, REEL_F32, &merged), REEL_OK);
    assert_int_equal(reel_params_count(merged), 4);
    for (int i = 0; i < 4; i++) {
        const reel_param *from = reel_params_at(merged, i);
        reel_learned *to = reel_learner_at(base.learner, i);
        assert_string_equal(from->name, to->name);
        memcpy(to->master, from->data, (size_t)reel_shape_count(&to->shape) * sizeof(float));
    }
    fill(&base, 77);
    fill(&tuned, 77);
    assert_int_equal(reel_program_step(base.program, 0, NULL, &a), REEL_OK);
    assert_int_equal(reel_program_step(tuned.program, 0, NULL, &b), REEL_OK);
    assert_true(fabs(a.loss - b.loss) < 1e-5 * b.loss);
    reel_params_free(&merged);
    close_fixture(&base);
    close_fixture(&tuned);
}

static void test_learner_nan_names_the_tensor_and_changes_nothing(void **state) {
    (void)state;
    const reel_learner_options o = small_options();
    fixture f, twin;
    open_fixture(&f, &o);
    open_fixture(&twin, &o);
    train(&f, 0, 3);
    train(&twin, 0, 3);
    fill(&f, 3);
    f.x[5] = NAN;
    reel_step_result r;
    assert_int_equal(reel_program_step(f.program, 1, NULL, &r), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(f.env), "step 4 is not finite"));
    assert_non_null(strstr(reel_env_message(f.env), "input x [16,24]"));
    for (int i = 0; i < reel_learner_count(f.learner); i++) {
        const reel_learned *p = reel_learner_at(f.learner, i),
                           *q = reel_learner_at(twin.learner, i);
        assert_memory_equal(p->master, q->master, (size_t)reel_shape_count(&p->shape) * 4);
    }
    close_fixture(&f);
    close_fixture(&twin);
}

static void test_learner_overflow_inside_names_the_call(void **state) {
    (void)state;
    reel_learner_options o = small_options();
    o.compute = REEL_F32;
    fixture f;
    open_fixture(&f, &o);
    fill(&f, 0);
    for (int i = 0; i < O; i++)
        f.y[i] = 3e38f; /* finite, but its square is not */
    reel_step_result r;
    assert_int_equal(reel_program_step(f.program, 1, NULL, &r), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(f.env), "result 0 of loss"));
    close_fixture(&f);
}

static void test_checkpoint_resumed_run_has_the_same_bytes(void **state) {
    (void)state;
    char folder[] = "checkpoint_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    const reel_learner_options o = small_options();
    const reel_recipe recipe = reel_recipe_default();
    fixture whole, half, resumed;
    open_fixture(&whole, &o);
    train(&whole, 0, 12);
    open_fixture(&half, &o);
    for (int64_t s = 0; s < 8; s += 2) { /* four checkpoints, of which two stay */
        train(&half, s, s + 2);
        const reel_run_state at = {.step = s + 2, .samples = 16 * (s + 2), .seconds = 0.5};
        assert_int_equal(reel_checkpoint_write(half.env, folder, "toy", half.learner, &recipe, &at),
                         REEL_OK);
    }
    close_fixture(&half); /* killed */
    open_fixture(&resumed, &o);
    reel_run_state from = {0};
    bool found = false;
    assert_int_equal(
        reel_checkpoint_read(resumed.env, folder, "toy", resumed.learner, &recipe, &from, &found),
        REEL_OK);
    assert_true(found && from.step == 8 && from.samples == 128);
    train(&resumed, from.step, 12);
    assert_same_state(&whole, &resumed);

    bool other = true; /* another kind of run, and another recipe, are refused */
    assert_int_equal(
        reel_checkpoint_read(resumed.env, folder, "vae", resumed.learner, &recipe, &from, &other),
        REEL_E_ARG);
    reel_env_clear(resumed.env);
    reel_recipe changed = recipe;
    changed.vae.z_dim++;
    assert_int_equal(
        reel_checkpoint_read(resumed.env, folder, "toy", resumed.learner, &changed, &from, &other),
        REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(resumed.env), "vae.z_dim is not what"));

    reel_arena arena;
    reel_arena_init(&arena, resumed.env, 4096, "test");
    const char *const *name;
    int64_t n;
    assert_int_equal(reel_folder_list(resumed.env, &arena, folder, "", "", &name, &n), REEL_OK);
    assert_int_equal(n, REEL_CHECKPOINTS_KEPT);
    for (int64_t i = 0; i < n; i++)
        unlink(reel_arena_printf(&arena, "%s/%s", folder, name[i]));
    reel_arena_deinit(&arena);
    assert_int_equal(rmdir(folder), 0);
    close_fixture(&whole);
    close_fixture(&resumed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pattern_stars_stand_for_any_run),
        cmocka_unit_test(test_learner_learns),
        cmocka_unit_test(test_learner_micro_steps_make_the_step_of_their_mean),
        cmocka_unit_test(test_learner_a_frozen_parameter_stays),
        cmocka_unit_test(test_learner_low_rank_paths_are_merged_on_export),
        cmocka_unit_test(test_learner_nan_names_the_tensor_and_changes_nothing),
        cmocka_unit_test(test_learner_overflow_inside_names_the_call),
        cmocka_unit_test(test_checkpoint_resumed_run_has_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
