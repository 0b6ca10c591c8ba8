/* The judge's configuration and folder. That it learns is tested with its trainer. */
#include "models/judge/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "cpu/cpu.h"
#include "support/op_check.h"
#include "support/scratch.h"

enum { FRAMES = 17, SIDE = 32, PIXELS = FRAMES * SIDE * SIDE * 3 };

static reel_judge_config small(void) {
    reel_judge_config c = {.frames = FRAMES,
                           .height = SIDE,
                           .width = SIDE,
                           .channels = {4, 8, 8, 8},
                           .features = 6,
                           .looks = 2,
                           .n_questions = 4,
                           .question = {{"kind", 3, false},
                                        {"sky", 2, false},
                                        {"what_is_red", 4, true},
                                        {"what_is_blue", 4, true}}};
    return c;
}

static reel_status parse(reel_env *env, const char *text, reel_judge_config *config) {
    reel_json_doc *doc;
    assert_int_equal(reel_json_parse(env, text, (int64_t)strlen(text), "config", &doc), REEL_OK);
    const reel_json root = reel_json_root(doc);
    reel_env_clear(env);
    const reel_status status = reel_judge_config_read(&root, config);
    reel_json_free(&doc);
    return status;
}

static void test_judge_config_reads_what_it_wrote(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    const reel_judge_config c = small();
    reel_judge_config back;
    reel_json_out out;
    reel_json_out_init(&out, env);
    reel_judge_config_write(&out, &c);
    assert_int_equal(parse(env, out.text, &back), REEL_OK);
    assert_int_equal(back.frames, c.frames);
    assert_int_equal(back.looks, 2);
    assert_memory_equal(back.channels, c.channels, sizeof c.channels);
    assert_int_equal(back.n_questions, 4);
    assert_string_equal(back.question[1].name, "sky");
    assert_int_equal(back.question[0].n_answers, 3);
    assert_false(back.question[1].sought);
    assert_true(back.question[3].sought);
    reel_json_out_deinit(&out);
    reel_env_free(&env);
}

static void test_judge_config_refuses_what_cannot_be(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_judge_config c;
    const char *const head = "{\"_class_name\":\"ReelJudge\",\"height\":32,\"width\":32,"
                             "\"channels\":[4,8,8,8],\"features\":6,\"looks\":2,";
    const struct {
        const char *rest, *message;
    } bad[] = {{"\"frames\":18,\"questions\":[{\"name\":\"a\",\"answers\":2}]}", "one of 16"},
               {"\"frames\":17,\"questions\":[]}", "questions must be in 1.."},
               {"\"frames\":17,\"questions\":[{\"name\":\"a\",\"answers\":1}]}", "answers"},
               {"\"frames\":17,\"questions\":[{\"name\":\"a b\",\"answers\":2}]}", "\"a b\""},
               {"\"frames\":17,\"questions\":[{\"name\":\"a\",\"answers\":2},{\"name\":\"a\","
                "\"answers\":2}]}",
                "asked twice"},
               {"\"frames\":17,\"questions\":[{\"name\":\"a\",\"answers\":2,\"sought\":true},"
                "{\"name\":\"b\",\"answers\":3,\"sought\":true}]}",
                "got 2 of a and 3 of b"},
               {"\"frames\":17,\"depth\":3,\"questions\":[]}", "depth"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s%s", head, bad[i].rest);
        assert_int_equal(parse(env, text, &c), REEL_E_FORMAT);
        assert_non_null(strstr(reel_env_message(env), bad[i].message));
    }
    reel_env_free(&env);
}

static reel_var record(reel_nn *nn, const reel_judge_config *c) {
    const reel_shape shape = REEL_SHAPE(1, c->frames, c->height, c->width, 3);
    return reel_judge(nn, c, reel_tape_input(nn->tape, REEL_F32, shape, "x", NULL)).features;
}

/* A folder of random weights. */
static void save_random(reel_env *env, const char *folder) {
    const reel_judge_config c = small();
    reel_tape *tape;
    reel_params *params;
    assert_int_equal(reel_ops_tape_new(env, &tape), REEL_OK);
    assert_int_equal(reel_params_new(env, &params), REEL_OK);
    reel_nn nn = reel_nn_start(tape, params, REEL_F32);
    assert_int_not_equal(record(&nn, &c), 0);
    reel_params_close(params);
    assert_int_equal(reel_params_initialise(params, 3), REEL_OK);
    assert_int_equal(reel_judge_save(env, folder, &c, params), REEL_OK);
    reel_params_free(&params);
    reel_tape_free(&tape);
}

static void test_judge_folder_looks_the_same_at_any_width(void **state) {
    (void)state;
    static uint8_t rgb[PIXELS];
    float features[2][6];
    int32_t answer[2][4];
    scratch folder;
    scratch_make(&folder);
    for (int i = 0; i < PIXELS; i++)
        rgb[i] = (uint8_t)reel_rng_below(1, 2, (uint64_t)i, 256);
    for (int k = 0; k < 2; k++) {
        reel_env *env = op_test_env(1 + k);
        reel_kernel_table *table;
        reel_judge_model *model;
        if (k == 0) save_random(env, folder.path);
        assert_int_equal(reel_cpu_table(env, REEL_ISA_AMX, &table), REEL_OK);
        assert_int_equal(reel_judge_open(env, table, folder.path, &model), REEL_OK);
        assert_int_equal(reel_judge_look(model, rgb, answer[k], features[k]), REEL_OK);
        reel_judge_close(&model);
        reel_kernel_table_free(env, &table);
        reel_env_free(&env);
    }
    assert_memory_equal(features[0], features[1], sizeof features[0]);
    assert_memory_equal(answer[0], answer[1], sizeof answer[0]);
    assert_in_range(answer[0][0], 0, 2);
    double size = 0;
    for (int i = 0; i < 6; i++)
        size += (double)features[0][i] * (double)features[0][i];
    assert_true(size > 0);
    scratch_remove(&folder);
}

/* One network answers all that is sought; what is not has a layer of its own. */
static void test_judge_seeks_with_shared_weights(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    const reel_judge_config c = small();
    reel_tape *tape;
    reel_params *params;
    assert_int_equal(reel_ops_tape_new(env, &tape), REEL_OK);
    assert_int_equal(reel_params_new(env, &params), REEL_OK);
    reel_nn nn = reel_nn_start(tape, params, REEL_F32);
    const reel_shape shape = REEL_SHAPE(3, FRAMES, SIDE, SIDE, 3);
    const reel_judge_output out =
        reel_judge(&nn, &c, reel_tape_input(tape, REEL_F32, shape, "x", NULL));
    assert_int_equal(reel_tape_status(tape), REEL_OK);
    for (int q = 0; q < 4; q++) {
        const reel_shape s = reel_tape_value(tape, out.answer[q])->shape;
        assert_int_equal(s.rank, 2);
        assert_int_equal(s.dim[0], 3);
        assert_int_equal(s.dim[1], c.question[q].n_answers);
    }
    assert_int_not_equal(out.answer[2], out.answer[3]);
    const reel_param *w = reel_params_find(params, "seek.answer.weight");
    assert_non_null(w);
    assert_int_equal(w->shape.dim[0], 4);
    assert_non_null(reel_params_find(params, "heads.sky.weight"));
    assert_null(reel_params_find(params, "heads.what_is_red.weight"));
    reel_params_free(&params);
    reel_tape_free(&tape);
    reel_env_free(&env);
}

static void test_judge_open_says_what_is_missing(void **state) {
    (void)state;
    scratch folder;
    reel_env *env = op_test_env(1);
    reel_kernel_table *table;
    reel_judge_model *model = NULL;
    scratch_make(&folder);
    assert_int_equal(reel_cpu_table(env, REEL_ISA_AMX, &table), REEL_OK);
    assert_int_equal(reel_judge_open(env, table, folder.path, &model), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(env), "config.json"));
    assert_null(model);
    scratch_remove(&folder);
    reel_kernel_table_free(env, &table);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge_config_reads_what_it_wrote),
        cmocka_unit_test(test_judge_config_refuses_what_cannot_be),
        cmocka_unit_test(test_judge_folder_looks_the_same_at_any_width),
        cmocka_unit_test(test_judge_seeks_with_shared_weights),
        cmocka_unit_test(test_judge_open_says_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
