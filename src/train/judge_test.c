/* The judge learns what it is shown, and says the same when its folder is opened again. */
#include "train/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "data/questions.h"
#include "models/judge/judge.h"
#include "support/op_check.h"
#include "support/scratch.h"

enum { CLIPS = 8, FRAMES = 17, SIDE = 32 };
static const reel_bucket size = {SIDE, SIDE, FRAMES, 1};

static reel_recipe small_recipe(void) {
    reel_recipe o = reel_recipe_default();
    o.run.steps = 110;
    o.run.checkpoint_minutes = o.run.validate_minutes = 0;
    o.optimiser.batch = CLIPS;
    o.optimiser.warmup = 2;
    o.optimiser.ema = 0.9;
    o.optimiser.rule[0] = (reel_rule){"*", REEL_METHOD_ADAMW, 0.004, 0};
    o.optimiser.n_rules = 1;
    o.data.bucket[0] = size;
    o.data.pool = o.data.pool_start = CLIPS;
    o.data.fresh = 0;
    o.data.validation = 3; /* less than a batch */
    o.judge.channels = (reel_recipe_list){4, {8, 8, 16, 16}};
    o.judge.features = 32;
    o.judge.soften = 0;
    o.judge.mirror = o.judge.pairs = 1; /* all clips, so that it is known which */
    o.judge.smoothing = 0;
    return o;
}

typedef struct seen {
    double first, last;
    char metrics[2048];
} seen;

static int watch(void *context, const reel_train_event *event) {
    seen *s = context;
    if (strcmp(event->phase, "step") == 0) {
        if (event->step == 1) s->first = event->loss;
        s->last = event->loss;
    }
    if (strcmp(event->phase, "validate") == 0)
        snprintf(s->metrics, sizeof s->metrics, "%s", event->text);
    return 0;
}

static void train(reel_env *env, const reel_kernel_table *table, const char *folder,
                  const reel_recipe *recipe, seen *s) {
    const reel_run_options run = {
        .folder = folder, .recipe = recipe, .progress = watch, .context = s};
    bool stopped;
    if (reel_train_judge(env, table, &run, &stopped) != REEL_OK)
        fail_msg("%s", reel_env_message(env));
    assert_false(stopped);
}

static void flip(uint8_t *rgb) {
    for (int64_t row = 0; row < FRAMES * SIDE; row++)
        for (int x = 0; x < SIDE / 2; x++)
            for (int k = 0; k < 3; k++) {
                uint8_t *a = rgb + (row * SIDE + x) * 3 + k;
                uint8_t *b = rgb + (row * SIDE + SIDE - 1 - x) * 3 + k, was = *a;
                *a = *b;
                *b = was;
            }
}

/* The share of answers about the clips it was trained on that are right: held-out pairs, in a
 * mirror. */
static double remembered(reel_env *env, const reel_kernel_table *table, const char *folder) {
    static uint8_t rgb[FRAMES * SIDE * SIDE * 3];
    const reel_world_source source = {.seed = 1, .split = REEL_SOURCE_HELDOUT_PAIRS, .fps = 8};
    reel_judge_model *model;
    int n = 0, right = 0;
    assert_int_equal(reel_judge_open(env, table, folder, &model), REEL_OK);
    for (int64_t i = 0; i < CLIPS; i++) {
        int32_t answer[REEL_QUESTION_ALL];
        reel_attributes truth;
        assert_int_equal(reel_world_source_clip(env, &source, i, &size, rgb), REEL_OK);
        assert_int_equal(reel_world_source_truth(env, &source, i, &size, &truth), REEL_OK);
        const bool mirrors = reel_question_mirrors(&truth);
        if (mirrors) flip(rgb);
        assert_int_equal(reel_judge_look(model, rgb, answer, NULL), REEL_OK);
        for (int q = 0; q < REEL_QUESTION_ALL; q++) {
            const int plain = reel_question_answer(&truth, q);
            const int wanted = mirrors ? reel_question_mirrored(q, plain) : plain;
            n += wanted != REEL_NO_ANSWER;
            right += wanted != REEL_NO_ANSWER && wanted == answer[q];
        }
    }
    reel_judge_close(&model);
    return (double)right / n;
}

static void test_judge_learns_eight_clips_by_heart(void **state) {
    (void)state;
    scratch folder;
    reel_env *env = op_test_env(2);
    reel_kernel_table *table;
    reel_recipe recipe = small_recipe();
    seen s = {0}, again = {0};
    scratch_make(&folder);
    assert_int_equal(reel_cpu_table(env, REEL_ISA_AMX, &table), REEL_OK);
    train(env, table, folder.path, &recipe, &s);
    assert_true(s.first > 42); /* the sum of ln(answers) is 45 to 51, by how many apply */
    assert_true(s.last < 0.2 * s.first);
    assert_true(remembered(env, table, SCRATCH(&folder, "judge")) > 0.95);
    static const char *const told[] = {
        "\"kind\":", "\"everything\":", "\"found\":", "\"one_object\":", "\"two_objects\":"};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        assert_non_null(strstr(s.metrics, told[i]));

    /* Another run goes on from what it learned. */
    recipe.run.steps = 1;
    snprintf(recipe.judge.init, sizeof recipe.judge.init, "%s", SCRATCH(&folder, "judge"));
    train(env, table, SCRATCH(&folder, "next"), &recipe, &again);
    assert_true(again.first < 0.3 * s.first);
    scratch_remove(&folder);
    reel_kernel_table_free(env, &table);
    reel_env_free(&env);
}

static void test_judge_init_must_fit(void **state) {
    (void)state;
    scratch folder;
    reel_env *env = op_test_env(2);
    reel_kernel_table *table;
    reel_recipe recipe = small_recipe();
    bool stopped;
    scratch_make(&folder);
    snprintf(recipe.judge.init, sizeof recipe.judge.init, "%s", SCRATCH(&folder, "absent"));
    const reel_run_options run = {.folder = folder.path, .recipe = &recipe};
    assert_int_equal(reel_cpu_table(env, REEL_ISA_AMX, &table), REEL_OK);
    assert_int_equal(reel_train_judge(env, table, &run, &stopped), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(env), "absent"));
    scratch_remove(&folder);
    reel_kernel_table_free(env, &table);
    reel_env_free(&env);
}

static void test_judge_refuses_sizes_it_cannot_fold(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_recipe recipe = small_recipe();
    bool stopped;
    recipe.data.bucket[0].frames = 18;
    const reel_run_options run = {.folder = "nowhere", .recipe = &recipe};
    assert_int_equal(reel_train_judge(env, NULL, &run, &stopped), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(env), "1 more than one of 16, got 32 x 32 x 18"));
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge_learns_eight_clips_by_heart),
        cmocka_unit_test(test_judge_init_must_fit),
        cmocka_unit_test(test_judge_refuses_sizes_it_cannot_fold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
