/* CLIP's image encoder against the public reference implementation's vectors. */
#include "models/clip/vision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "cpu/cpu.h"
#include "ops/ops.h"
#include "support/golden.h"
#include "support/op_check.h"
#include "tape/plan.h"
#include "zoo/component.h"

static const reel_clip_vision_config tiny = {.hidden_size = 24,
                                             .intermediate_size = 96,
                                             .num_hidden_layers = 3,
                                             .num_attention_heads = 3,
                                             .image_size = 28,
                                             .patch_size = 7,
                                             .layer_norm_eps = 1e-5};

/* Records on n copies of the case's picture, runs, and hands the rows of each to check. */
static void run_golden(int64_t n, void (*check)(golden *g, const float *rows)) {
    golden g;
    reel_env *env = op_test_env(2);
    reel_tape *tape;
    reel_plan *plan;
    reel_kernel_table *table;
    reel_component *c;
    golden_open(&g, env, "tests/golden/wan_clip_vision");
    const reel_component_config config = {.kind = REEL_COMPONENT_IMAGE_ENCODER,
                                          .image_encoder = tiny};
    if (reel_component_open(env, &config, "tests/golden/wan_clip_vision/weights.safetensors",
                            REEL_WEIGHTS_STORED, &c) != REEL_OK)
        fail_msg("%s", reel_env_message(env));
    assert_true(c->config.image_encoder.open_clip); /* by the names in the file */
    assert_int_equal(reel_ops_tape_new(env, &tape), REEL_OK);
    assert_int_equal(reel_cpu_table(env, REEL_ISA_AMX, &table), REEL_OK);
    const reel_tensor pixels = golden_input(&g, "pixels");
    static float copies[2 * 3 * 28 * 28];
    for (int64_t i = 0; i < n; i++)
        memcpy(copies + i * 3 * 28 * 28, pixels.data, 3 * 28 * 28 * sizeof *copies);
    reel_nn nn = reel_nn_start(tape, c->params, REEL_F32);
    const reel_var x = reel_tape_input(tape, REEL_F32, REEL_SHAPE(n, 3, 28, 28), "x", copies);
    const reel_var out = reel_clip_vision(&nn, &c->config.image_encoder, x, 2);
    reel_tape_keep(tape, out);
    if (reel_plan_new(tape, table, NULL, &plan) != REEL_OK || reel_plan_run(plan, NULL) != REEL_OK)
        fail_msg("%s", reel_env_message(env));
    const float *rows = reel_plan_data(plan, out);
    for (int64_t i = 0; i < n; i++)
        check(&g, rows + i * 17 * 24);
    reel_plan_free(&plan);
    reel_tape_free(&tape);
    reel_kernel_table_free(env, &table);
    reel_component_close(&c);
    golden_close(&g);
    assert_int_equal(env->allocator.bytes, 0);
    reel_env_free(&env);
}

static void expect_tokens(golden *g, const float *rows) {
    golden_expect(g, "tokens", REEL_F32, rows, 17 * 24, 1e-5);
}

static void test_clip_rows_are_the_reference(void **state) {
    (void)state;
    run_golden(1, expect_tokens);
}

static void test_clip_pictures_of_a_batch_are_independent(void **state) {
    (void)state;
    run_golden(2, expect_tokens);
}

/* ---- pictures ---- */

static void test_clip_preprocessing_is_the_reference(void **state) {
    (void)state;
    golden g;
    float out[3 * 28 * 28];
    reel_env *env = op_test_env(1);
    golden_open(&g, env, "tests/golden/wan_clip_vision");
    const reel_tensor frame = golden_input(&g, "frame");
    const reel_clip_picture picture = {.planes = frame.data, .H = 40, .W = 52};
    reel_clip_preprocess(&picture, 28, out);
    golden_expect(&g, "preprocessed", REEL_F32, out, 3 * 28 * 28, 1e-5);
    golden_close(&g);
    reel_env_free(&env);
}

/* A picture of the right size is not interpolated, and its middle grey is known. */
static void test_clip_pixels_and_planes_are_one_picture(void **state) {
    (void)state;
    uint8_t pixels[4 * 4 * 3];
    float planes[3 * 4 * 4], a[3 * 4 * 4], b[3 * 4 * 4];
    for (int i = 0; i < 48; i++)
        pixels[i] = (uint8_t)(i * 5);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 16; i++)
            planes[c * 16 + i] = (float)pixels[3 * i + c] / 127.5f - 1;
    reel_clip_preprocess(&(reel_clip_picture){.pixels = pixels, .H = 4, .W = 4}, 4, a);
    reel_clip_preprocess(&(reel_clip_picture){.planes = planes, .H = 4, .W = 4}, 4, b);
    for (int i = 0; i < 48; i++)
        assert_true(fabsf(a[i] - b[i]) < 1e-5f);
    assert_true(fabsf(a[1] - (15 / 255.0f - 0.48145466f) / 0.26862954f) < 1e-5f);
    assert_true(fabsf(a[2 * 16] - (10 / 255.0f - 0.40821073f) / 0.27577711f) < 1e-5f);
}

/* ---- refusals ---- */

static void test_clip_refuses_a_picture_of_another_size(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_tape *tape;
    reel_params *params;
    assert_int_equal(reel_params_new(env, &params), REEL_OK);
    assert_int_equal(reel_ops_tape_new(env, &tape), REEL_OK);
    reel_nn nn = reel_nn_start(tape, params, REEL_F32);
    const reel_var x = reel_tape_input(tape, REEL_F32, REEL_SHAPE(1, 3, 28, 21), "x", NULL);
    reel_clip_vision(&nn, &tiny, x, 2);
    assert_int_equal(reel_tape_status(tape), REEL_E_SHAPE);
    assert_non_null(strstr(reel_env_message(env), "[1..8,3,28,28], got [1,3,28,21]"));
    reel_tape_free(&tape);
    reel_params_free(&params);
    reel_env_free(&env);
}

static void test_clip_config_names_what_is_out_of_range(void **state) {
    (void)state;
    static const struct {
        reel_clip_vision_config config;
        const char *part;
    } bad[] = {{{24, 96, 0, 3, 28, 7, 1e-5, false}, "num_hidden_layers"},
               {{25, 96, 3, 3, 28, 7, 1e-5, false}, "no multiple of num_attention_heads"},
               {{24, 96, 3, 3, 27, 7, 1e-5, false}, "no multiple of patch_size"},
               {{24, 96, 3, 3, 28, 7, 0, false}, "layer_norm_eps"}};
    reel_env *env = op_test_env(1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(reel_clip_vision_config_check(env, &bad[i].config), REEL_E_ARG);
        assert_non_null(strstr(reel_env_message(env), bad[i].part));
        reel_env_clear(env);
    }
    const reel_clip_vision_config real = reel_clip_vision_config_default();
    assert_int_equal(reel_clip_vision_config_check(env, &real), REEL_OK);
    assert_int_equal(reel_clip_vision_rows(&real), 257);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clip_rows_are_the_reference),
        cmocka_unit_test(test_clip_pictures_of_a_batch_are_independent),
        cmocka_unit_test(test_clip_preprocessing_is_the_reference),
        cmocka_unit_test(test_clip_pixels_and_planes_are_one_picture),
        cmocka_unit_test(test_clip_refuses_a_picture_of_another_size),
        cmocka_unit_test(test_clip_config_names_what_is_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
