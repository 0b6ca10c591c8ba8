/* UMT5 and T5 v1.1 encoders against the public reference implementation's vectors. */
#include "models/t5/t5.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "support/golden_rig.h"
#include "support/op_check.h"
#include "tape/plan.h"

static const reel_t5_config tiny = {.vocab_size = 50,
                                    .d_model = 24,
                                    .d_kv = 8,
                                    .d_ff = 40,
                                    .num_heads = 3,
                                    .num_layers = 3,
                                    .relative_attention_num_buckets = 32,
                                    .relative_attention_max_distance = 128,
                                    .layer_norm_epsilon = 1e-6};

/* Rows of padding mean nothing in the reference either: they take its values before comparing. */
static void take_padding_from(golden *g, const char *name, const uint8_t *mask, int64_t rows,
                              int64_t C, float *got) {
    reel_tensor want;
    assert_int_equal(reel_safetensors_get(g->outputs, name, &want), REEL_OK);
    for (int64_t r = 0; r < rows; r++)
        if (!mask[r])
            memcpy(got + r * C, (const float *)want.data + r * C, (size_t)C * sizeof *got);
}

static void expect_golden(const char *folder, bool shared_bias, bool masked, reel_dtype compute,
                          reel_isa isa, double tol) {
    golden_rig r;
    golden_rig_open(&r, folder, compute, isa);
    reel_t5_config config = tiny;
    config.shared_bias = shared_bias;
    const reel_tensor ids = golden_input(&r.g, "input_ids"),
                      mask = golden_input(&r.g, "attention_mask");
    const int64_t B = ids.shape.dim[0], T = ids.shape.dim[1];
    int32_t *bucket = malloc((size_t)(T * T) * sizeof *bucket);
    uint8_t *keys = malloc((size_t)(B * T));
    reel_t5_buckets(&config, T, bucket);
    for (int64_t i = 0; i < B * T; i++)
        keys[i] = !masked || ((const int64_t *)mask.data)[i] != 0;
    reel_nn nn = reel_nn_start(r.tape, r.params, compute);
    const reel_t5_input input = {
        .ids = reel_tape_input(r.tape, ids.dtype, ids.shape, "ids", ids.data),
        .buckets = reel_tape_input(r.tape, REEL_I32, REEL_SHAPE(T, T), "buckets", bucket),
        .key_mask = masked ? reel_tape_input(r.tape, REEL_U8, ids.shape, "mask", keys) : 0};
    const reel_var out = reel_t5(&nn, &config, &input);
    reel_tape_keep(r.tape, out);
    golden_rig_run(&r);
    golden_expect_all_used(r.params);
    const char *name = masked ? "last_hidden_state" : "last_hidden_state_nomask";
    float *got = reel_plan_data(r.plan, out);
    take_padding_from(&r.g, name, keys, B * T, config.d_model, got);
    golden_expect(&r.g, name, REEL_F32, got, B * T * config.d_model, tol);

    free(bucket);
    free(keys);
    golden_rig_close(&r);
}

static void test_t5_reproduces_the_reference(void **state) {
    (void)state;
    for (int isa = 0; isa <= (int)reel_isa_detect(); isa++)
        for (int masked = 0; masked < 2; masked++) {
            expect_golden("tests/golden/umt5_encoder", false, masked, REEL_F32, (reel_isa)isa,
                          1e-5);
            expect_golden("tests/golden/umt5_encoder", false, masked, REEL_BF16, (reel_isa)isa,
                          2e-2);
            expect_golden("tests/golden/t5_encoder", true, masked, REEL_F32, (reel_isa)isa, 1e-5);
            expect_golden("tests/golden/t5_encoder", true, masked, REEL_BF16, (reel_isa)isa, 2e-2);
        }
}

static void test_t5_buckets_equal_the_reference(void **state) {
    (void)state;
    golden g;
    reel_env *env = op_test_env(1);
    golden_open(&g, env, "tests/golden/umt5_encoder");
    reel_tensor want;
    assert_int_equal(reel_safetensors_get(g.outputs, "relative_position_bucket", &want), REEL_OK);
    enum { T = 141 }; /* the reference lists distances -140..140 */
    static int32_t bucket[T * T];
    reel_t5_buckets(&tiny, T, bucket);
    for (int64_t q = 0; q < T; q++)
        for (int64_t k = 0; k < T; k++)
            assert_int_equal(bucket[q * T + k], ((const int64_t *)want.data)[140 + k - q]);
    golden_close(&g);
    reel_env_free(&env);
}

static void test_t5_config_out_of_range_is_refused(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_t5_config config = reel_t5_config_default();
    assert_int_equal(reel_t5_config_check(env, &config), REEL_OK);
    config.num_heads = 0;
    assert_int_equal(reel_t5_config_check(env, &config), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(env), "num_heads must be in 1..1024, got 0"));
    reel_env_clear(env);
    config = reel_t5_config_default();
    config.layer_norm_epsilon = (double)NAN;
    assert_int_equal(reel_t5_config_check(env, &config), REEL_E_ARG);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_t5_buckets_equal_the_reference),
        cmocka_unit_test(test_t5_reproduces_the_reference),
        cmocka_unit_test(test_t5_config_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
