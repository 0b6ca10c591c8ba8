/* What a model that makes video from a picture is shown of it. */
#include "pipeline/condition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "media/video_writer.h"
#include "support/op_check.h"
#include "support/scratch.h"
#include "zoo/create.h"

enum { SIDE = 32, F = 3, FACTOR = 4, Z = 4, POSITIONS = 16 };

typedef struct rig {
    reel_env *env;
    int64_t idle_bytes;
    scratch place;
    char first[200], last[200];
    reel_blueprint model;
    reel_params *vae, *clip;
    reel_kernel_table *table;
    reel_condition condition;
} rig;

static void write_picture(rig *r, const char *path, int shade) {
    uint8_t pixels[SIDE * SIDE * 3];
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        pixels[i] = (uint8_t)(shade + i % 97);
    reel_video_writer *writer;
    reel_video_options o = reel_video_options_default();
    o.width = o.height = SIDE;
    assert_int_equal(reel_video_writer_open(r->env, path, &o, &writer), REEL_OK);
    assert_int_equal(reel_video_writer_push(writer, pixels), REEL_OK);
    assert_int_equal(reel_video_writer_finish(writer), REEL_OK);
    reel_video_writer_close(&writer);
}

static reel_params *random_part(rig *r, reel_component_kind kind) {
    reel_params *params;
    assert_int_equal(reel_params_new(r->env, &params), REEL_OK);
    assert_int_equal(reel_component_declare(r->env, &r->model.config[kind], REEL_F32, params),
                     REEL_OK);
    assert_int_equal(reel_params_initialise(params, 5), REEL_OK);
    reel_params_close(params);
    return params;
}

static int open_rig(void **state) {
    rig *r = calloc(1, sizeof *r);
    r->env = op_test_env(2);
    r->idle_bytes = r->env->allocator.bytes;
    scratch_make(&r->place);
    write_picture(r, scratch_path(&r->place, "first.png", r->first), 20);
    write_picture(r, scratch_path(&r->place, "last.png", r->last), 90);
    assert_int_equal(reel_blueprint_preset(r->env, "wan-tiny-i2v", &r->model), REEL_OK);
    r->vae = random_part(r, REEL_COMPONENT_VAE);
    r->clip = random_part(r, REEL_COMPONENT_IMAGE_ENCODER);
    assert_int_equal(reel_cpu_table(r->env, REEL_ISA_AMX, &r->table), REEL_OK);
    *state = r;
    return 0;
}

static int close_rig(void **state) {
    rig *r = *state;
    reel_condition_deinit(r->env, &r->condition);
    reel_params_free(&r->vae);
    reel_params_free(&r->clip);
    reel_kernel_table_free(r->env, &r->table);
    assert_int_equal(r->env->allocator.bytes, r->idle_bytes);
    scratch_remove(&r->place);
    reel_env_free(&r->env);
    free(r);
    return 0;
}

static reel_known_options options_of(const rig *r) {
    return (reel_known_options){.config = &r->model.config[REEL_COMPONENT_VAE].vae,
                                .params = r->vae,
                                .table = r->table,
                                .compute = REEL_F32,
                                .width = SIDE,
                                .height = SIDE};
}

static reel_status encode(rig *r, int n_pictures) {
    const reel_known_options options = options_of(r);
    const reel_job task = {.kind = REEL_TASK_ANIMATE,
                           .factor = FACTOR,
                           .condition = true,
                           .n_inputs = n_pictures,
                           .input = {{.path = r->first, .n = 1, .latents = 1},
                                     {.path = r->last, .n = 1, .at = F - 1, .latents = 1}}};
    reel_condition_deinit(r->env, &r->condition);
    return reel_condition_encode(r->env, &options, &task, F, 4, 4, &r->condition);
}

/* diffusers' mask is one flag for each frame of video; latent frame 0 repeats its one. */
static void test_condition_flags_say_which_frames_are_known(void **state) {
    rig *r = *state;
    for (int n = 1; n <= 2; n++) {
        if (encode(r, n) != REEL_OK) fail_msg("%s", reel_env_message(r->env));
        for (int c = 0; c < FACTOR; c++)
            for (int f = 0; f < F; f++) {
                const float want = f == 0 || (n == 2 && f == F - 1 && c == FACTOR - 1);
                for (int k = 0; k < POSITIONS; k++)
                    assert_true(r->condition.channels[(c * F + f) * POSITIONS + k] == want);
            }
    }
}

/* The clip a condition stands for, for the encoder. */
typedef struct clip {
    const float *first, *last; /* [SIDE,SIDE,3] in [-1,1]; NULL: grey */
} clip;

static reel_status read_clip(void *context, int64_t first, int64_t n, float *pixels) {
    const clip *c = context;
    const size_t size = SIDE * SIDE * 3;
    for (int64_t i = 0; i < n; i++) {
        const float *from = first + i == 0                  ? c->first
                            : first + i == (F - 1) * FACTOR ? c->last
                                                            : NULL;
        for (size_t k = 0; k < size; k++)
            pixels[(size_t)i * size + k] = from ? from[k] : 0;
    }
    return REEL_OK;
}

static float *shades(int shade) {
    float *x = malloc(SIDE * SIDE * 3 * sizeof *x);
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        x[i] = (float)(shade + i % 97) / 127.5f - 1;
    return x;
}

static void test_condition_latents_are_of_pictures_and_grey(void **state) {
    rig *r = *state;
    float *first = shades(20), *last = shades(90);
    const reel_wan_vae_stream_options options = {
        .params = r->vae, .table = r->table, .compute = REEL_F32, .height = SIDE, .width = SIDE};
    for (int n = 1; n <= 2; n++) {
        float want[Z * F * POSITIONS];
        reel_wan_vae_stream *stream;
        clip c = {.first = first, .last = n == 2 ? last : NULL};
        assert_int_equal(encode(r, n), REEL_OK);
        assert_int_equal(reel_wan_vae_encoder_open(r->env, &r->model.config[REEL_COMPONENT_VAE].vae,
                                                   &options, &stream),
                         REEL_OK);
        assert_int_equal(reel_wan_vae_encoder_run(stream, read_clip, &c, F, want, NULL), REEL_OK);
        reel_wan_vae_stream_close(&stream);
        const float *got = r->condition.channels + FACTOR * F * POSITIONS;
        for (int i = 0; i < Z * F * POSITIONS; i++)
            assert_true(got[i] - want[i] < 1e-4f && want[i] - got[i] < 1e-4f);
    }
    free(first);
    free(last);
}

static reel_status look(rig *r, const char *path) {
    const reel_image_encoder encoder = {
        .config = &r->model.config[REEL_COMPONENT_IMAGE_ENCODER].image_encoder,
        .params = r->clip,
        .table = r->table,
        .compute = REEL_F32};
    return reel_condition_look(r->env, &encoder, path, &r->condition);
}

static void test_condition_rows_are_of_the_picture(void **state) {
    rig *r = *state;
    reel_condition_deinit(r->env, &r->condition);
    assert_int_equal(look(r, r->first), REEL_OK);
    assert_int_equal(r->condition.n_rows, 17);
    assert_int_equal(r->condition.dim, 24);
    float before[17 * 24];
    memcpy(before, r->condition.rows, sizeof before);
    reel_condition_deinit(r->env, &r->condition);
    assert_int_equal(look(r, r->last), REEL_OK);
    assert_true(memcmp(before, r->condition.rows, sizeof before) != 0);
}

static void test_condition_of_no_picture_is_refused(void **state) {
    rig *r = *state;
    reel_condition_deinit(r->env, &r->condition);
    assert_int_equal(look(r, SCRATCH(&r->place, "none.png")), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(r->env), "none.png"));
    assert_null(r->condition.rows);
    reel_env_clear(r->env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_condition_flags_say_which_frames_are_known),
        cmocka_unit_test(test_condition_latents_are_of_pictures_and_grey),
        cmocka_unit_test(test_condition_rows_are_of_the_picture),
        cmocka_unit_test(test_condition_of_no_picture_is_refused),
    };
    return cmocka_run_group_tests(tests, open_rig, close_rig);
}
