/* Wan's VAE against the public reference implementation's vectors, both generations, intermediates
 * too; gradients against central differences; refusals. */
#include "models/wan/vae.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/elementwise.h"
#include "ops/loss.h"
#include "support/golden_rig.h"
#include "support/op_check.h"
#include "support/tape_rig.h"
#include "tensor/tolerance.h"

/* The cases' configurations. */
static reel_wan_vae_config tiny(int64_t base_dim) {
    reel_wan_vae_config c = reel_wan_vae_config_default();
    c.base_dim = base_dim;
    c.z_dim = 4;
    return c;
}

static reel_wan_vae_config tiny_residual(void) {
    reel_wan_vae_config c = tiny(4);
    c.decoder_base_dim = 4;
    c.is_residual = true;
    c.in_channels = c.out_channels = 12;
    c.patch_size = 2;
    c.scale_factor_spatial = 16;
    return c;
}

typedef struct golden_case {
    const char *folder, *latent; /* its input to decode */
    reel_wan_vae_config config;
} golden_case;

/* ---- intermediates ---- */

/* "dec.up0" as the scope "decoder.up_blocks.0" */
static void scope_of(const char *name, char path[64]) {
    const char *part = name + 4; /* behind "enc." or "dec." */
    const char *end = strchr(name, '#');
    const int length = end ? (int)(end - part) : (int)strlen(part);
    char block[32];
    snprintf(block, sizeof block, "%.*s", length, part);
    if (strncmp(part, "down", 4) == 0)
        snprintf(block, sizeof block, "down_blocks.%.*s", length - 4, part + 4);
    else if (strncmp(part, "up", 2) == 0)
        snprintf(block, sizeof block, "up_blocks.%.*s", length - 2, part + 2);
    snprintf(path, 64, "%s.%s", name[0] == 'e' ? "encoder" : "decoder", block);
}

/* What the last record at or below a scope made. */
static reel_var made_in(golden_rig *r, const char *scope) {
    reel_var made = 0;
    char path[REEL_NN_NAME_BYTES];
    const size_t n = strlen(scope);
    for (int i = 0; i < reel_tape_n_records(r->tape); i++) {
        const reel_record *record = reel_tape_record_at(r->tape, i);
        reel_tape_scope_path(r->tape, record->scope, path, sizeof path);
        if (strncmp(path, scope, n) == 0 && (path[n] == 0 || path[n] == '.')) made = record->out;
    }
    if (!made) fail_msg("no record in %s", scope);
    return made;
}

/* Intermediate `name`, [1,C,n,h,w] of the piece it is marked with, against frames of the whole
 * clip's value [1,F,h,w,C]. */
static void expect_intermediate(golden_rig *r, const char *name, double tol) {
    char path[64];
    reel_tensor want;
    scope_of(name, path);
    const reel_var var = made_in(r, path);
    const reel_value *v = reel_tape_value(r->tape, var);
    assert_int_equal(reel_safetensors_get(r->g.outputs, name, &want), REEL_OK);
    const char *mark = strchr(name, '#');
    const int64_t piece = mark ? atoi(mark + 1) : 0, n = want.shape.dim[2];
    const int64_t first = piece ? 1 + (piece - 1) * n : 0;
    const int64_t C = want.shape.dim[1], area = want.shape.dim[3] * want.shape.dim[4];
    assert_true(v->shape.dim[4] == C && v->shape.dim[2] * v->shape.dim[3] == area);
    assert_true(first + n <= v->shape.dim[1]);
    float *got = malloc((size_t)(C * n * area) * sizeof *got);
    for (int64_t c = 0; c < C; c++)
        for (int64_t i = 0; i < n * area; i++)
            got[c * n * area + i] =
                reel_dtype_load(v->dtype, reel_plan_data(r->plan, var), (first * area + i) * C + c);
    golden_expect(&r->g, name, REEL_F32, got, C * n * area, tol);
    free(got);
}

static void keep_intermediates(golden_rig *r, bool check, char part, double tol) {
    for (int64_t i = 0; i < reel_safetensors_count(r->g.outputs); i++) {
        const char *name = reel_safetensors_at(r->g.outputs, i)->name;
        char path[64];
        if (name[0] != part || name[3] != '.') continue;
        scope_of(name, path);
        if (check)
            expect_intermediate(r, name, tol);
        else
            reel_tape_keep(r->tape, made_in(r, path));
    }
}

static void expect_output(golden_rig *r, const char *name, reel_var var, double tol) {
    const reel_value *v = reel_tape_value(r->tape, var);
    golden_expect(&r->g, name, v->dtype, reel_plan_data(r->plan, var), reel_shape_count(&v->shape),
                  tol);
}

static void expect_golden(const golden_case *g, reel_dtype compute, reel_isa isa, double tol) {
    golden_rig r;
    golden_rig_open(&r, g->folder, compute, isa);
    reel_var logvar = 0;
    reel_nn nn = reel_nn_start(r.tape, r.params, compute);
    const reel_var mean =
        reel_wan_vae_encode(&nn, &g->config, golden_rig_input(&r, "video"), &logvar);
    reel_tape_keep(r.tape, mean);
    reel_tape_keep(r.tape, logvar);
    keep_intermediates(&r, false, 'e', 0);
    golden_rig_run(&r);
    expect_output(&r, "mu", mean, tol);
    expect_output(&r, "logvar", logvar, tol);
    keep_intermediates(&r, true, 'e', tol);

    reel_tape_reset(r.tape);
    reel_params_begin_recording(r.params);
    const reel_var video = reel_wan_vae_decode(&nn, &g->config, golden_rig_input(&r, g->latent));
    reel_tape_keep(r.tape, video);
    keep_intermediates(&r, false, 'd', 0);
    golden_rig_run(&r);
    golden_expect_all_used(r.params);
    expect_output(&r, "decoded", video, tol);
    keep_intermediates(&r, true, 'd', tol);
    golden_rig_close(&r);
}

static void test_wan_vae_reproduces_the_reference(void **state) {
    (void)state;
    const golden_case cases[] = {
        {"tests/golden/wan_vae_5f", "latent_raw", tiny(4)},
        {"tests/golden/wan_vae_9f", "latent_raw", tiny(3)},
        {"tests/golden/wan22_vae", "latent", tiny_residual()},
    };
    for (int isa = 0; isa <= (int)reel_isa_detect(); isa++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            expect_golden(&cases[i], REEL_F32, (reel_isa)isa, 1e-5);
            expect_golden(&cases[i], REEL_BF16, (reel_isa)isa, 2e-2);
        }
}

/* The last step of a whole pipeline: its latents, which are normalised, to its video. */
static void test_wan_vae_decodes_what_the_pipeline_denoised(void **state) {
    (void)state;
    enum { Z = 4 * 3 * 4 * 6 };
    golden_rig r;
    float latent[Z];
    golden_rig_open(&r, "tests/golden/wan_pipeline_t2v", REEL_F32, REEL_ISA_AMX);
    reel_wan_vae_config config = tiny(3);
    const float mean[4] = {0.2f, -0.1f, 0.4f, -0.5f}, std[4] = {1.2f, 0.7f, 1.1f, 0.9f};
    memcpy(config.latents_mean, mean, sizeof mean);
    memcpy(config.latents_std, std, sizeof std);
    reel_tensor steps;
    assert_int_equal(reel_safetensors_get(r.g.outputs, "latents_steps", &steps), REEL_OK);
    assert_int_equal(reel_tensor_count(&steps), 6 * Z);
    memcpy(latent, (const float *)steps.data + 5 * Z, sizeof latent);
    reel_wan_vae_denormalise(&config, latent, Z / 4);
    reel_nn nn = reel_nn_start(r.tape, r.params, REEL_F32);
    reel_nn_begin(&nn, "vae"); /* the file holds all three models */
    const reel_var z =
        reel_tape_input(r.tape, REEL_F32, REEL_SHAPE(1, 4, 3, 4, 6), "latent", latent);
    const reel_var video = reel_wan_vae_decode(&nn, &config, z);
    reel_nn_end(&nn);
    reel_tape_keep(r.tape, video);
    golden_rig_run(&r);
    expect_output(&r, "video", video, 1e-4);
    golden_rig_close(&r);
}

/* ---- gradients ---- */

/* mse of what comes back of a clip, and of its logvar, both to zero. */
static reel_var record_loss(golden_rig *r, const reel_wan_vae_config *config, const float *clip,
                            const float *zeros) {
    reel_var logvar = 0;
    const reel_shape shape = REEL_SHAPE(1, 3, 5, 32, 16);
    reel_nn nn = reel_nn_start(r->tape, r->params, REEL_F32);
    const reel_var x = reel_tape_input(r->tape, REEL_F32, shape, "clip", clip);
    const reel_var mean = reel_wan_vae_encode(&nn, config, x, &logvar);
    const reel_var back = reel_wan_vae_decode(&nn, config, mean);
    const reel_shape s = reel_tape_value(r->tape, logvar)->shape;
    const reel_var none = reel_tape_input(r->tape, REEL_F32, shape, "zeros", zeros);
    const reel_var few = reel_tape_input(r->tape, REEL_F32, s, "zeros", zeros);
    return reel_add(r->tape, reel_mse(r->tape, back, none, 0), reel_mse(r->tape, logvar, few, 0));
}

/* The slope of the loss along dp, the gradient of p, whose squared length is squares, by central
 * differences: forward alone, in r->plan. */
static double slope_along(golden_rig *r, const reel_param *p, const float *dp, double squares,
                          reel_var loss) {
    const int64_t n = reel_shape_count(&p->shape);
    float *w = p->data, *old = malloc((size_t)n * sizeof *old);
    const float scale = (float)(2e-4 / sqrt(squares));
    memcpy(old, w, (size_t)n * sizeof *old);
    double value[2];
    for (int side = 0; side < 2; side++) {
        for (int64_t k = 0; k < n; k++)
            w[k] = old[k] + (side ? -scale : scale) * dp[k];
        assert_int_equal(reel_plan_run(r->plan, NULL), REEL_OK);
        value[side] = (double)*(const float *)reel_plan_data(r->plan, loss);
    }
    memcpy(w, old, (size_t)n * sizeof *old);
    free(old);
    return (value[0] - value[1]) / (2 * (double)scale);
}

/* All gradients, one behind the other in the order of the store. The caller frees them. */
static float *gradients(golden_rig *r) {
    float *all = malloc((size_t)reel_params_elements(r->params) * sizeof *all), *to = all;
    for (int i = 0; i < reel_params_count(r->params); i++) {
        const reel_param *p = reel_params_at(r->params, i);
        const float *dp = reel_plan_data(r->plan, reel_tape_grad(r->tape, p->var));
        if (!dp) fail_msg("%s: no gradient", p->name);
        const int64_t n = reel_shape_count(&p->shape);
        memcpy(to, dp, (size_t)n * sizeof *to);
        to += n;
    }
    return all;
}

/* Every fifth parameter from `from` on. */
static void expect_gradients(const char *folder, const reel_wan_vae_config *config, int from) {
    golden_rig r;
    static float clip[3 * 5 * 32 * 16], zeros[3 * 5 * 32 * 16];
    tape_rig_fill(clip, 3 * 5 * 32 * 16, 7);
    golden_rig_open(&r, folder, REEL_F32, REEL_ISA_AMX);
    reel_tape_set_training(r.tape, true);
    reel_var loss = record_loss(&r, config, clip, zeros);
    reel_tape_backward(r.tape, loss);
    golden_rig_run(&r);
    float *all = gradients(&r);
    const float *dp = all;
    reel_tape_reset(r.tape);
    loss = record_loss(&r, config, clip, zeros);
    reel_tape_keep(r.tape, loss);
    golden_rig_run(&r);
    for (int i = 0; i < reel_params_count(r.params); i++) {
        const reel_param *p = reel_params_at(r.params, i);
        const int64_t n = reel_shape_count(&p->shape);
        double squares = 0;
        for (int64_t k = 0; k < n; k++)
            squares += (double)dp[k] * (double)dp[k];
        if (i % 5 == from && squares > 1e-10) {
            const double slope = slope_along(&r, p, dp, squares, loss);
            /* a short step, for norms over three channels bend; the loss is known to 1e-7 */
            if (!(fabs(slope - squares) < 2e-2 * squares + 5e-4 * sqrt(squares)))
                fail_msg("%s: slope along the gradient %.6g, wanted %.6g", p->name, slope, squares);
        }
        dp += n;
    }
    free(all);
    golden_rig_close(&r);
}

static void test_wan_vae_gradient_matches_central_differences(void **state) {
    (void)state;
    const reel_wan_vae_config plain = tiny(3), residual = tiny_residual();
    expect_gradients("tests/golden/wan_vae_9f", &plain, 0);
    expect_gradients("tests/golden/wan22_vae", &residual, 1);
}

/* ---- refusals ---- */

static void expect_refused(reel_wan_vae_config config, const char *part) {
    reel_env *env = op_test_env(1);
    assert_int_equal(reel_wan_vae_config_check(env, &config), REEL_E_ARG);
    if (!strstr(reel_env_message(env), part))
        fail_msg("'%s' does not say '%s'", reel_env_message(env), part);
    reel_env_free(&env);
}

static void test_wan_vae_config_refuses_what_cannot_be(void **state) {
    (void)state;
    const reel_wan_vae_config good = reel_wan_vae_config_default();
    reel_env *env = op_test_env(1);
    assert_int_equal(reel_wan_vae_config_check(env, &good), REEL_OK);
    assert_int_equal(reel_wan_vae_factor_t(&good), 4);
    assert_int_equal(reel_wan_vae_factor_s(&good), 8);
    reel_wan_vae_config c = tiny_residual();
    assert_int_equal(reel_wan_vae_config_check(env, &c), REEL_OK);
    assert_int_equal(reel_wan_vae_factor_s(&c), 16);
    reel_env_free(&env);
    c = good, c.z_dim = 257, expect_refused(c, "z_dim must be in 1..256, got 257");
    c = good, c.n_levels = 0, expect_refused(c, "dim_mult's length must be in 1..6, got 0");
    c = good, c.dim_mult[3] = -1, expect_refused(c, "dim_mult[3] must be in 1..64, got -1");
    c = good, c.latents_std[2] = 0, expect_refused(c, "channel 2 needs");
    c = good, c.scale_factor_spatial = 16, expect_refused(c, "must be 8, got 16");
    c = good, c.temperal_downsample[0] = true, expect_refused(c, "temporal must be 8, got 4");
    c = good, c.patch_size = 2, c.scale_factor_spatial = 0, expect_refused(c, "multiples of 4");
    c = tiny(3), c.dim_mult[1] = 1, expect_refused(c, "level 1 of the decoder needs an even width");
    c = tiny_residual(), c.dim_mult[3] = 8, expect_refused(c, "dim_mult[3] must divide 4");
    c = tiny_residual(), c.dim_mult[1] = 3, expect_refused(c, "dim_mult[1] must divide 8");
    c = tiny_residual(), c.dim_mult[0] = 5, expect_refused(c, "dim_mult[0] must divide 4");
}

static void test_wan_vae_refuses_clips_that_do_not_fit(void **state) {
    (void)state;
    golden_rig r;
    const reel_wan_vae_config config = tiny(4);
    const reel_shape shapes[] = {
        REEL_SHAPE(1, 3, 4, 16, 16), REEL_SHAPE(1, 3, 5, 12, 16), REEL_SHAPE(1, 4, 5, 16, 16),
        REEL_SHAPE(1, 3, 5, 16, 4),  REEL_SHAPE(1, 3, 0, 16, 16),
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        golden_rig_open(&r, "tests/golden/wan_vae_5f", REEL_F32, REEL_ISA_AMX);
        reel_nn nn = reel_nn_start(r.tape, r.params, REEL_F32);
        reel_var logvar;
        const reel_var x = reel_tape_input(r.tape, REEL_F32, shapes[i], "x", NULL);
        assert_int_equal(reel_wan_vae_encode(&nn, &config, x, &logvar), 0);
        assert_non_null(strstr(reel_env_message(r.env), "x needs [B,4n+1,8h,8w,3], got ["));
        golden_rig_close(&r);
    }
    golden_rig_open(&r, "tests/golden/wan_vae_5f", REEL_F32, REEL_ISA_AMX);
    reel_nn nn = reel_nn_start(r.tape, r.params, REEL_F32);
    const reel_wan_vae_config wide = tiny(8);
    const reel_var z = reel_tape_input(r.tape, REEL_F32, REEL_SHAPE(1, 4, 1, 2, 2), "z", NULL);
    assert_int_equal(reel_wan_vae_decode(&nn, &wide, z), 0);
    assert_non_null(strstr(reel_env_message(r.env),
                           "parameter decoder.conv_in.weight must be [32,4,3,3,3], got [16,"));
    golden_rig_close(&r);
}

static void test_wan_vae_normalises_latents_by_channel(void **state) {
    (void)state;
    reel_wan_vae_config c = tiny_residual();
    float z[4 * 2] = {1, 2, 3, 4, 5, 6, 7, 8};
    c.latents_mean[1] = 3;
    c.latents_std[1] = 0.5f;
    c.latents_mean[3] = -1;
    c.latents_std[3] = 2;
    reel_wan_vae_normalise(&c, z, 2);
    assert_true(z[2] == 0 && z[3] == 2 && z[6] == 4 && z[7] == 4.5f);
    reel_wan_vae_denormalise(&c, z, 2);
    for (int i = 2; i < 8; i += i == 3 ? 3 : 1) /* channels 1 and 3, exact in binary */
        assert_true(z[i] == (float)(i + 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wan_vae_reproduces_the_reference),
        cmocka_unit_test(test_wan_vae_decodes_what_the_pipeline_denoised),
        cmocka_unit_test(test_wan_vae_gradient_matches_central_differences),
        cmocka_unit_test(test_wan_vae_config_refuses_what_cannot_be),
        cmocka_unit_test(test_wan_vae_refuses_clips_that_do_not_fit),
        cmocka_unit_test(test_wan_vae_normalises_latents_by_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
