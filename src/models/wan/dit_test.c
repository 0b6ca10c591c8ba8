/* Wan's DiT against the public reference implementation's vectors: text-to-video,
 * image-conditioned, one level per token; packed clips against the same clips alone; gradients. */
#include "models/wan/dit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/concat.h"
#include "ops/grid.h"
#include "ops/loss.h"
#include "support/golden_rig.h"
#include "support/op_check.h"
#include "tensor/tolerance.h"

static const reel_wan_dit_config tiny = {.patch_size = {1, 2, 2},
                                         .num_attention_heads = 2,
                                         .attention_head_dim = 12,
                                         .in_channels = 16,
                                         .out_channels = 16,
                                         .text_dim = 20,
                                         .freq_dim = 32,
                                         .ffn_dim = 56,
                                         .num_layers = 2,
                                         .cross_attn_norm = true,
                                         .qk_norm = true,
                                         .eps = 1e-6};

/* t of any shape as [R] */
static reel_var levels(golden_rig *r) {
    const reel_tensor t = golden_input(&r->g, "timestep");
    return reel_tape_input(r->tape, REEL_F32, REEL_SHAPE(reel_tensor_count(&t)), "t", t.data);
}

static void expect_golden(const char *folder, const reel_wan_dit_config *config, reel_dtype compute,
                          reel_isa isa, double tol) {
    golden_rig r;
    golden_rig_open(&r, folder, compute, isa);
    const reel_shape s = golden_input(&r.g, "hidden_states").shape;
    const int64_t f = s.dim[2], h = s.dim[3] / 2, w = s.dim[4] / 2;
    int32_t position[3 * 64];
    reel_wan_dit_positions(f, h, w, position);
    reel_nn nn = reel_nn_start(r.tape, r.params, compute);
    const reel_wan_dit_input input = {
        .positions =
            reel_tape_input(r.tape, REEL_I32, REEL_SHAPE(f * h * w, 3), "positions", position),
        .t = levels(&r),
        .text = golden_rig_input(&r, "encoder_hidden_states"),
        .image = config->image_dim ? golden_rig_input(&r, "encoder_hidden_states_image") : 0};
    const reel_var out = reel_wan_dit(&nn, config, golden_rig_input(&r, "hidden_states"), &input);
    reel_tape_keep(r.tape, out);
    golden_rig_run(&r);
    golden_expect_all_used(r.params);
    const int64_t count = reel_shape_count(&reel_tape_value(r.tape, out)->shape);
    golden_expect(&r.g, "sample", REEL_F32, reel_plan_data(r.plan, out), count, tol);
    golden_rig_close(&r);
}

static void test_wan_dit_reproduces_the_reference(void **state) {
    (void)state;
    reel_wan_dit_config i2v = tiny, ti2v = tiny;
    i2v.in_channels = 12;
    i2v.out_channels = 4;
    i2v.image_dim = 28;
    i2v.added_kv_proj_dim = 24;
    ti2v.in_channels = ti2v.out_channels = 6;
    for (int isa = 0; isa <= (int)reel_isa_detect(); isa++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            const reel_dtype compute = bf16 ? REEL_BF16 : REEL_F32;
            const double tol = bf16 ? 2e-2 : 1e-5; /* the two references differ by 2.6e-6 */
            expect_golden("tests/golden/wan_dit_t2v", &tiny, compute, (reel_isa)isa, tol);
            expect_golden("tests/golden/wan_dit_i2v", &i2v, compute, (reel_isa)isa, tol);
            expect_golden("tests/golden/wan22_dit_ti2v", &ti2v, compute, (reel_isa)isa, tol);
        }
}

/* ---- pooled text ---- */

/* Gives the tiny model's weights what pooled text goes through. */
static reel_wan_dit_config pool_text(reel_params *params) {
    enum { I = 20, C = 24 };
    static float first[C * I], second[C * C], bias[2][C];
    const struct {
        const char *name;
        float *data;
        reel_shape shape;
    } part[] = {{"linear_1.weight", first, REEL_SHAPE(C, I)},
                {"linear_1.bias", bias[0], REEL_SHAPE(C)},
                {"linear_2.weight", second, REEL_SHAPE(C, C)},
                {"linear_2.bias", bias[1], REEL_SHAPE(C)}};
    for (int i = 0; i < C * C; i++) {
        if (i < C * I) first[i] = 0.1f * (float)(i % 7 - 3);
        second[i] = 0.2f * (float)(i % 5 - 2);
    }
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        char name[64];
        snprintf(name, sizeof name, "condition_embedder.pooled_embedder.%s", part[i].name);
        assert_int_equal(reel_params_set(params, name, REEL_F32, part[i].shape, part[i].data),
                         REEL_OK);
    }
    reel_wan_dit_config config = tiny;
    config.pooled_text = true;
    return config;
}

/* ---- packing ---- */

/* The two clips of the golden case in one row, the second one with half of its text; with pooled
 * text with all of it. */
static void packed_clips_equal_clips_alone(bool pooled) {
    golden_rig r;
    golden_rig_open(&r, "tests/golden/wan_dit_t2v", REEL_F32, REEL_ISA_AMX);
    const reel_wan_dit_config config = pooled ? pool_text(r.params) : tiny;
    const int64_t second = pooled ? 9 : 4; /* rows of text */
    const reel_tensor x = golden_input(&r.g, "hidden_states");
    const reel_tensor text = golden_input(&r.g, "encoder_hidden_states");
    const reel_tensor t = golden_input(&r.g, "timestep");
    const int64_t T = 18, half = reel_tensor_count(&x) / 2, X = 9, I = 20;
    int32_t position[2 * 18 * 3], map[2 * 18];
    reel_wan_dit_positions(3, 2, 3, position);
    memcpy(position + 3 * T, position, sizeof *position * 3 * (size_t)T);
    for (int i = 0; i < 2 * T; i++)
        map[i] = i >= T;
    const int32_t offsets[3] = {0, 18, 36}, text_offsets[3] = {0, 9, 9 + (int32_t)second};
    reel_nn nn = reel_nn_start(r.tape, r.params, REEL_F32);
    reel_var clip[2], alone[2];
    for (int i = 0; i < 2; i++) {
        clip[i] = reel_tape_input(r.tape, REEL_F32, REEL_SHAPE(1, 16, 3, 4, 6), "clip",
                                  (const float *)x.data + i * half);
        const reel_wan_dit_input input = {
            .positions = reel_tape_input(r.tape, REEL_I32, REEL_SHAPE(T, 3), "positions", position),
            .t = reel_tape_input(r.tape, REEL_F32, REEL_SHAPE(1), "t", (const float *)t.data + i),
            .text = reel_tape_input(r.tape, REEL_F32, REEL_SHAPE(1, i ? second : X, I), "text",
                                    (const float *)text.data + i * X * I)};
        const reel_var rows =
            reel_patchify(r.tape, clip[i], (const int32_t[]){1, 2, 2}); /* [1,T,in P] */
        alone[i] = reel_wan_dit_tokens(&nn, &config, rows, &input);
        clip[i] = rows;
        reel_tape_keep(r.tape, alone[i]);
    }
    const reel_wan_dit_input input = {
        .positions = reel_tape_input(r.tape, REEL_I32, REEL_SHAPE(2 * T, 3), "positions", position),
        .t = reel_tape_input(r.tape, REEL_F32, REEL_SHAPE(2), "t", t.data),
        .map = reel_tape_input(r.tape, REEL_I32, REEL_SHAPE(2 * T), "map", map),
        .text = reel_tape_input(r.tape, REEL_F32, REEL_SHAPE(1, X + second, I), "text", text.data),
        .offsets = reel_tape_input(r.tape, REEL_I32, REEL_SHAPE(3), "offsets", offsets),
        .text_offsets = reel_tape_input(r.tape, REEL_I32, REEL_SHAPE(3), "text", text_offsets),
        .n_texts = pooled ? 2 : 0};
    const reel_var packed =
        reel_wan_dit_tokens(&nn, &config, reel_concat(r.tape, clip, 2, 1), &input);
    reel_tape_keep(r.tape, packed);
    golden_rig_run(&r);
    const float *both = reel_plan_data(r.plan, packed);
    for (int i = 0; i < 2; i++)
        assert_true(reel_relative_l2(REEL_F32, both + i * T * 64, reel_plan_data(r.plan, alone[i]),
                                     T * 64) < 1e-5);
    golden_rig_close(&r);
}

static void test_wan_dit_packed_clips_equal_clips_alone(void **state) {
    (void)state;
    packed_clips_equal_clips_alone(false);
    packed_clips_equal_clips_alone(true);
}

/* ---- gradients ---- */

/* d loss along a random direction of all parameters, against central differences of it. */
static void gradient_matches_central_differences(bool pooled) {
    golden_rig r;
    golden_rig_open(&r, "tests/golden/wan_dit_t2v", REEL_F32, REEL_ISA_PORTABLE);
    const reel_wan_dit_config config = pooled ? pool_text(r.params) : tiny;
    int32_t position[18 * 3];
    static float target[2 * 16 * 3 * 4 * 6];
    reel_wan_dit_positions(3, 2, 3, position);
    reel_tape_set_training(r.tape, true);
    reel_nn nn = reel_nn_start(r.tape, r.params, REEL_F32);
    const reel_wan_dit_input input = {
        .positions = reel_tape_input(r.tape, REEL_I32, REEL_SHAPE(18, 3), "positions", position),
        .t = levels(&r),
        .text = golden_rig_input(&r, "encoder_hidden_states")};
    const reel_var out = reel_wan_dit(&nn, &config, golden_rig_input(&r, "hidden_states"), &input);
    const reel_shape shape = reel_tape_value(r.tape, out)->shape;
    const reel_var loss =
        reel_mse(r.tape, out, reel_tape_input(r.tape, REEL_F32, shape, "target", target), 0);
    reel_tape_keep(r.tape, loss);
    reel_tape_backward(r.tape, loss);
    golden_rig_run(&r);
    for (int i = 0; i < reel_params_count(r.params); i++) {
        const reel_param *p = reel_params_at(r.params, i);
        const float *dp = reel_plan_data(r.plan, reel_tape_grad(r.tape, p->var));
        if (!dp) fail_msg("%s: no gradient", p->name);
        const int64_t n = reel_shape_count(&p->shape);
        /* along the gradient itself, where the slope is its squared length */
        double squares = 0;
        float *w = p->data, *old = malloc((size_t)n * sizeof *old);
        float *step = malloc((size_t)n * sizeof *step);
        for (int64_t k = 0; k < n; k++)
            squares += (double)dp[k] * (double)dp[k];
        const float scale = (float)(2e-2 / sqrt(squares + 1e-20));
        for (int64_t k = 0; k < n; k++) {
            old[k] = w[k];
            step[k] = scale * dp[k];
        }
        double value[2];
        for (int side = 0; side < 2; side++) {
            for (int64_t k = 0; k < n; k++)
                w[k] = old[k] + (side ? -step[k] : step[k]);
            assert_int_equal(reel_plan_run(r.plan, NULL), REEL_OK);
            value[side] = (double)*(const float *)reel_plan_data(r.plan, loss);
        }
        memcpy(w, old, (size_t)n * sizeof *old);
        const double slope = (value[0] - value[1]) / (2 * (double)scale);
        if (squares > 1e-10 &&
            !(fabs(slope - squares) < 2e-2 * squares + 2e-6 * sqrt(squares) / 2e-2))
            fail_msg("%s: slope along the gradient %.6g, wanted %.6g", p->name, slope, squares);
        free(old);
        free(step);
        assert_int_equal(reel_plan_run(r.plan, NULL), REEL_OK);
    }
    golden_rig_close(&r);
}

static void test_wan_dit_gradient_matches_central_differences(void **state) {
    (void)state;
    gradient_matches_central_differences(false);
    gradient_matches_central_differences(true);
}

static void test_wan_dit_refuses_what_does_not_fit(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_wan_dit_config config = reel_wan_dit_config_default();
    assert_int_equal(reel_wan_dit_config_check(env, &config), REEL_OK);
    config.attention_head_dim = 127;
    assert_int_equal(reel_wan_dit_config_check(env, &config), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(env), "attention_head_dim must be even, got 127"));
    reel_env_clear(env);
    config = reel_wan_dit_config_default();
    config.image_dim = 1280;
    assert_int_equal(reel_wan_dit_config_check(env, &config), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(env), "added_kv_proj_dim must be 1536, got 0"));
    reel_env_free(&env);
    golden_rig r;
    golden_rig_open(&r, "tests/golden/wan_dit_t2v", REEL_F32, REEL_ISA_AMX);
    reel_nn nn = reel_nn_start(r.tape, r.params, REEL_F32);
    const reel_wan_dit_input input = {.t = levels(&r),
                                      .image = golden_rig_input(&r, "hidden_states")};
    assert_int_equal(reel_wan_dit(&nn, &tiny, golden_rig_input(&r, "hidden_states"), &input), 0);
    assert_non_null(strstr(reel_env_message(r.env), "takes no image embeddings"));
    golden_rig_close(&r);
    golden_rig_open(&r, "tests/golden/wan_dit_t2v", REEL_F32, REEL_ISA_AMX);
    nn = reel_nn_start(r.tape, r.params, REEL_F32);
    config = pool_text(r.params);
    const reel_wan_dit_input uneven = {.t = levels(&r), /* two levels, three texts */
                                       .text = golden_rig_input(&r, "encoder_hidden_states"),
                                       .n_texts = 3};
    assert_int_equal(reel_wan_dit(&nn, &config, golden_rig_input(&r, "hidden_states"), &uneven), 0);
    assert_non_null(strstr(reel_env_message(r.env), "must fall into 3 texts"));
    golden_rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wan_dit_reproduces_the_reference),
        cmocka_unit_test(test_wan_dit_packed_clips_equal_clips_alone),
        cmocka_unit_test(test_wan_dit_gradient_matches_central_differences),
        cmocka_unit_test(test_wan_dit_refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
