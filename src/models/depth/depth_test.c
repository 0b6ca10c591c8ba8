/* The depth head's configuration and folder, and that a long clip in pieces gives the numbers of
 * the whole. That it learns is tested with its trainer. */
#include "models/depth/depth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "cpu/cpu.h"
#include "support/op_check.h"
#include "support/scratch.h"
#include "tape/plan.h"

enum { Z = 3, FT = 2, FS = 8, SIDE = 2, LONG = 17 };

static reel_depth_config small(void) {
    return (reel_depth_config){.z_dim = Z,
                               .factor_t = FT,
                               .factor_s = FS,
                               .channels = 8,
                               .blocks = 2,
                               .mid = 4,
                               .latents = "0123456789abcdef"};
}

static reel_status parse(reel_env *env, const char *text, reel_depth_config *config) {
    reel_json_doc *doc;
    assert_int_equal(reel_json_parse(env, text, (int64_t)strlen(text), "config", &doc), REEL_OK);
    const reel_json root = reel_json_root(doc);
    reel_env_clear(env);
    const reel_status status = reel_depth_config_read(&root, config);
    reel_json_free(&doc);
    return status;
}

static void test_depth_config_reads_what_it_wrote(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    const reel_depth_config c = small();
    reel_depth_config back;
    reel_json_out out;
    reel_json_out_init(&out, env);
    reel_depth_config_write(&out, &c);
    assert_int_equal(parse(env, out.text, &back), REEL_OK);
    assert_int_equal(back.factor_s, FS);
    assert_int_equal(back.mid, 4);
    assert_string_equal(back.latents, "0123456789abcdef");
    reel_json_out_deinit(&out);
    reel_env_free(&env);
}

static void test_depth_config_refuses_what_cannot_be(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_depth_config c;
    const char *const head =
        "{\"_class_name\":\"ReelDepth\",\"z_dim\":3,\"factor_t\":4,\"blocks\":2,\"mid\":4,";
    const struct {
        const char *rest, *message;
    } bad[] = {{"\"factor_s\":10,\"channels\":8,\"latents\":\"a\"}", "multiple of 4, got 10"},
               {"\"factor_s\":8,\"channels\":0,\"latents\":\"a\"}", "channels"},
               {"\"factor_s\":8,\"channels\":8}", "latents"},
               {"\"factor_s\":8,\"channels\":8,\"latents\":\"0123456789abcdef0\"}", "16 char"},
               {"\"factor_s\":8,\"channels\":8,\"latents\":\"a\",\"width\":1}", "width"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s%s", head, bad[i].rest);
        assert_int_equal(parse(env, text, &c), REEL_E_FORMAT);
        assert_non_null(strstr(reel_env_message(env), bad[i].message));
    }
    reel_env_free(&env);
}

static reel_var record(reel_nn *nn, const reel_depth_config *c, int64_t f, const float *x) {
    float *data;
    memcpy(&data, &x, sizeof data);
    const reel_shape shape = REEL_SHAPE(1, f, SIDE, SIDE, Z);
    return reel_depth(nn, c, reel_tape_input(nn->tape, REEL_F32, shape, "x", data));
}

/* A folder of random weights. */
static void save_random(reel_env *env, const char *folder) {
    const reel_depth_config c = small();
    reel_tape *tape;
    reel_params *params;
    assert_int_equal(reel_ops_tape_new(env, &tape), REEL_OK);
    assert_int_equal(reel_params_new(env, &params), REEL_OK);
    reel_nn nn = reel_nn_start(tape, params, REEL_F32);
    assert_int_not_equal(record(&nn, &c, 1, NULL), 0);
    reel_params_close(params);
    assert_int_equal(reel_params_initialise(params, 3), REEL_OK);
    assert_int_equal(reel_depth_save(env, folder, &c, params), REEL_OK);
    reel_params_free(&params);
    reel_tape_free(&tape);
}

typedef struct seen {
    int64_t next;
    float *to;
} seen;

static reel_status keep(void *context, int64_t first, int64_t n, const float *nearness) {
    seen *s = context;
    const int64_t frame = SIDE * FS * SIDE * FS;
    assert_int_equal(first, s->next);
    memcpy(s->to + first * frame, nearness, (size_t)(n * frame) * sizeof *nearness);
    s->next += n;
    return REEL_OK;
}

static void test_depth_of_pieces_is_that_of_the_whole(void **state) {
    (void)state;
    enum { FRAMES = 1 + (LONG - 1) * FT, FRAME = SIDE * FS * SIDE * FS, POSITIONS = SIDE * SIDE };
    static float latents[Z * LONG * POSITIONS], x[LONG * POSITIONS * Z], y[2][FRAMES * FRAME];
    static float picture[FRAME];
    scratch folder;
    scratch_make(&folder);
    reel_rng_fill_normal(1, 2, 0, Z * LONG * POSITIONS, latents);
    for (int64_t i = 0; i < LONG * POSITIONS; i++)
        for (int64_t c = 0; c < Z; c++)
            x[i * Z + c] = latents[c * LONG * POSITIONS + i];
    for (int k = 0; k < 2; k++) {
        reel_env *env = op_test_env(1 + k);
        reel_kernel_table *table;
        reel_depth_model *model;
        seen s = {.to = y[k]};
        if (k == 0) save_random(env, folder.path);
        assert_int_equal(reel_cpu_table(env, REEL_ISA_AMX, &table), REEL_OK);
        assert_int_equal(reel_depth_open(env, table, folder.path, &model), REEL_OK);
        assert_int_equal(reel_depth_run(model, latents, LONG, SIDE, SIDE, keep, &s), REEL_OK);
        assert_int_equal(s.next, FRAMES);
        s = (seen){.to = picture}; /* a picture is one latent frame */
        assert_int_equal(reel_depth_run(model, latents, 1, SIDE, SIDE, keep, &s), REEL_OK);
        assert_int_equal(s.next, 1);
        reel_depth_close(&model);
        reel_kernel_table_free(env, &table);
        reel_env_free(&env);
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);

    reel_env *env = op_test_env(1);
    reel_kernel_table *table;
    reel_depth_model *model;
    reel_tape *tape;
    reel_params *params;
    reel_plan *plan;
    assert_int_equal(reel_cpu_table(env, REEL_ISA_AMX, &table), REEL_OK);
    assert_int_equal(reel_depth_open(env, table, folder.path, &model), REEL_OK);
    assert_int_equal(reel_ops_tape_new(env, &tape), REEL_OK);
    assert_int_equal(reel_params_new(env, &params), REEL_OK);
    reel_nn nn = reel_nn_start(tape, params, REEL_F32);
    assert_int_not_equal(record(&nn, reel_depth_config_of(model), 1, NULL), 0);
    reel_params_close(params);
    assert_int_equal(reel_params_initialise(params, 3), REEL_OK); /* the weights that were saved */
    reel_tape_reset(tape);
    nn = reel_nn_start(tape, params, REEL_BF16);
    const reel_var out = record(&nn, reel_depth_config_of(model), LONG, x);
    reel_tape_keep(tape, out);
    assert_int_equal(reel_plan_new(tape, table, NULL, &plan), REEL_OK);
    assert_int_equal(reel_plan_run(plan, NULL), REEL_OK);
    const float *wanted = (const float *)reel_plan_data(plan, out) + (FT - 1) * FRAME;
    double size = 0;
    for (int64_t i = 0; i < FRAMES * FRAME; i++) {
        assert_true(fabsf(fmaxf(wanted[i], 0) - y[0][i]) < 1e-5f);
        size += (double)y[0][i];
    }
    assert_true(size > 0);
    reel_plan_free(&plan);
    reel_tape_free(&tape);
    reel_params_free(&params);
    reel_depth_close(&model);
    reel_kernel_table_free(env, &table);
    reel_env_free(&env);
    scratch_remove(&folder);
}

static void test_depth_open_says_what_is_missing(void **state) {
    (void)state;
    scratch folder;
    reel_env *env = op_test_env(1);
    reel_kernel_table *table;
    reel_depth_model *model = NULL;
    scratch_make(&folder);
    assert_int_equal(reel_cpu_table(env, REEL_ISA_AMX, &table), REEL_OK);
    assert_int_equal(reel_depth_open(env, table, folder.path, &model), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(env), "config.json"));
    assert_null(model);
    scratch_remove(&folder);
    reel_kernel_table_free(env, &table);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth_config_reads_what_it_wrote),
        cmocka_unit_test(test_depth_config_refuses_what_cannot_be),
        cmocka_unit_test(test_depth_of_pieces_is_that_of_the_whole),
        cmocka_unit_test(test_depth_open_says_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
