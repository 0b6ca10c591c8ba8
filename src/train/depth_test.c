/* The depth head learns a clip by heart, and says the same when its folder is opened again; a
 * folder knows its own head. */
#include "train/depth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "cpu/cpu.h"
#include "data/depth.h"
#include "models/depth/depth.h"
#include "support/op_check.h"
#include "support/scratch.h"
#include "train/encoder.h"
#include "zoo/depth.h"

enum { SIDE = 32, FRAMES = 5, N = SIDE * SIDE };
static const reel_bucket size = {SIDE, SIDE, FRAMES, 1};

static reel_recipe small_recipe(const char *vae) {
    reel_recipe o = reel_recipe_default();
    o.run.steps = 80;
    o.run.checkpoint_minutes = o.run.validate_minutes = 0;
    o.optimiser.batch = 2;
    o.optimiser.warmup = 2;
    o.optimiser.ema = 0.9;
    o.optimiser.bf16 = 0;
    o.optimiser.rule[0] = (reel_rule){"*", REEL_METHOD_ADAMW, 0.006, 0};
    o.optimiser.n_rules = 1;
    o.data.bucket[0] = size;
    o.data.pool = o.data.pool_start = 1;
    o.data.fresh = 0;
    o.data.validation = 1;
    o.depth.channels = 24;
    o.depth.blocks = 1;
    o.depth.mid = 12;
    snprintf(o.depth.vae, sizeof o.depth.vae, "%s", vae);
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

static void make_vae(scratch *place) {
    scratch_make(place);
    scratch_copy(place, "vae/config.json", "tests/golden/wan_vae_9f/config.json");
    scratch_copy(place, "vae/diffusion_pytorch_model.safetensors",
                 "tests/golden/wan_vae_9f/weights.safetensors");
    scratch_write(place, "model_index.json",
                  "{\"_class_name\":\"WanPipeline\",\"vae\":[\"diffusers\",\"AutoencoderKLWan\"]}");
}

static reel_status keep(void *context, int64_t first, int64_t n, const float *nearness) {
    memcpy((float *)context + first * N, nearness, (size_t)(n * N) * sizeof *nearness);
    return REEL_OK;
}

/* Mean error of what the folder's head says of the clip it was trained on. */
static double error_of(reel_env *env, const reel_kernel_table *table, const char *path) {
    static uint8_t rgb[3 * FRAMES * N];
    static float truth[FRAMES * N], said[FRAMES * N];
    const reel_world_source source = {.seed = 1, .split = REEL_SOURCE_TRAIN, .fps = 8};
    reel_clip_encoder *encoder;
    reel_folder *folder;
    reel_depth_model *model;
    assert_int_equal(reel_world_source_eye(env, &source, 0, &size, 0, rgb, truth), REEL_OK);
    assert_int_equal(reel_clip_encoder_open(env, table, path, REEL_F32, &encoder), REEL_OK);
    const reel_latents_encoder e = reel_clip_encoder_latents(encoder);
    const int64_t h = SIDE / e.factor_s, n = 2 * h * h * e.z;
    reel_bf16 *latent = reel_calloc(env, n, sizeof *latent, "test");
    float *x = reel_calloc(env, n, sizeof *x, "test");
    assert_int_equal(e.encode(e.context, rgb, &size, latent), REEL_OK);
    for (int64_t i = 0; i < n; i++) /* [f,h,w,z] to [z,f,h,w] */
        x[i % e.z * (n / e.z) + i / e.z] = reel_bf16_to_f32(latent[i]);
    assert_int_equal(reel_folder_open(env, path, &folder), REEL_OK);
    if (reel_folder_depth(env, folder, table, &model) != REEL_OK)
        fail_msg("%s", reel_env_message(env));
    assert_int_equal(reel_depth_run(model, x, 2, h, h, keep, said), REEL_OK);
    double error = 0;
    for (int i = 0; i < FRAMES * N; i++)
        error += (double)fabsf(said[i] - truth[i]) / (FRAMES * N);
    reel_depth_close(&model);
    reel_folder_close(&folder);
    reel_clip_encoder_close(&encoder);
    reel_free(env, latent);
    reel_free(env, x);
    return error;
}

static void test_depth_learns_a_clip_by_heart(void **state) {
    (void)state;
    scratch place;
    reel_env *env = op_test_env(2);
    reel_kernel_table *table;
    reel_folder *folder;
    reel_depth_model *model = NULL;
    seen s = {0};
    bool stopped;
    make_vae(&place);
    const reel_recipe recipe = small_recipe(place.path);
    const reel_run_options run = {
        .folder = place.path, .recipe = &recipe, .progress = watch, .context = &s};
    assert_int_equal(reel_cpu_table(env, REEL_ISA_AMX, &table), REEL_OK);
    assert_int_equal(reel_folder_open(env, place.path, &folder), REEL_OK);
    assert_int_equal(reel_folder_depth(env, folder, table, &model), REEL_E_UNSUPPORTED);
    assert_non_null(strstr(reel_env_message(env), "reel train depth"));
    reel_folder_close(&folder);
    reel_env_clear(env);

    if (reel_train_depth(env, table, &run, &stopped) != REEL_OK)
        fail_msg("%s", reel_env_message(env));
    assert_true(s.first > 0.1);
    assert_true(s.last < 0.25 * s.first);
    assert_non_null(strstr(s.metrics, "\"error_px\":"));
    assert_true(error_of(env, table, place.path) < 0.3 * s.first);

    /* another autoencoder in its place */
    scratch_copy(&place, "vae/config.json", "tests/golden/wan_vae_5f/config.json");
    scratch_copy(&place, "vae/diffusion_pytorch_model.safetensors",
                 "tests/golden/wan_vae_5f/weights.safetensors");
    assert_int_equal(reel_folder_open(env, place.path, &folder), REEL_OK);
    assert_int_equal(reel_folder_depth(env, folder, table, &model), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(env), "another autoencoder"));
    assert_null(model);
    reel_folder_close(&folder);
    scratch_remove(&place);
    reel_kernel_table_free(env, &table);
    reel_env_free(&env);
}

static void test_depth_refuses_sizes_the_autoencoder_has_not(void **state) {
    (void)state;
    scratch place;
    reel_env *env = op_test_env(1);
    reel_kernel_table *table;
    bool stopped;
    make_vae(&place);
    reel_recipe recipe = small_recipe(place.path);
    recipe.data.bucket[0].frames = 6;
    const reel_run_options run = {.folder = place.path, .recipe = &recipe};
    assert_int_equal(reel_cpu_table(env, REEL_ISA_AMX, &table), REEL_OK);
    assert_int_equal(reel_train_depth(env, table, &run, &stopped), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(env), "32 x 32 x 6"));
    scratch_remove(&place);
    reel_kernel_table_free(env, &table);
    reel_env_free(&env);
}

/* Half the shorter side times nearness times the way of the eye: where a point is seen then. */
static void test_nearness_says_where_the_second_eye_sees(void **state) {
    (void)state;
    enum { S = 64 };
    static uint8_t rgb[2][3 * S * S];
    static float nearness[S * S];
    const reel_world_source source = {.seed = 1, .split = REEL_SOURCE_TRAIN, .fps = 8};
    const reel_bucket one = {S, S, 1, 1};
    reel_env *env = op_test_env(1);
    double still = 0, moved = 0;
    for (int64_t clip = 0; clip < 4; clip++) {
        assert_int_equal(reel_world_source_eye(env, &source, clip, &one, 0, rgb[0], nearness),
                         REEL_OK);
        assert_int_equal(reel_world_source_eye(env, &source, clip, &one, 0.25f, rgb[1], NULL),
                         REEL_OK);
        for (int i = 0; i < S * S; i++) {
            const int x = i % S, to = x - (int)lrintf(0.25f * (S / 2) * nearness[i]);
            if (to < 0) continue;
            for (int c = 0; c < 3; c++) {
                const int from = rgb[0][3 * i + c];
                still += abs(from - rgb[1][3 * i + c]);
                moved += abs(from - rgb[1][3 * (i - x + to) + c]);
            }
        }
    }
    assert_true(moved < 0.5 * still);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth_learns_a_clip_by_heart),
        cmocka_unit_test(test_depth_refuses_sizes_the_autoencoder_has_not),
        cmocka_unit_test(test_nearness_says_where_the_second_eye_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
