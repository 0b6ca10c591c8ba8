/* The renderer: the same bytes however it is run, masks and depth that fit the geometry. */
#include "world/render.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"

enum { W = 48, H = 40, F = 5, N = W * H };

static reel_env *env_with(int n_threads) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = n_threads;
    reel_env *env = NULL;
    assert_int_equal(reel_env_new(&options, &env), REEL_OK);
    return env;
}

static reel_scene scene_of(reel_env *env, const reel_attributes *a, uint64_t index) {
    reel_scene_options o = reel_scene_options_default();
    o.index = index;
    reel_scene scene;
    assert_int_equal(reel_scene_from_attributes(env, &o, a, &scene), REEL_OK);
    return scene;
}

static const reel_view view = {W, H, F, 3.0f, 0.0f};

static void test_render_gives_the_same_bytes_at_any_thread_count(void **state) {
    (void)state;
    static uint8_t rgb[3][F * N * 3], id[3][F * N];
    static float depth[3][F * N];
    for (uint64_t index = 0; index < 12; index++) {
        for (int n = 1; n <= 3; n++) {
            reel_env *env = env_with(n);
            reel_scene_options o = reel_scene_options_default();
            o.index = index;
            reel_scene scene;
            assert_int_equal(reel_scene_sample(env, &o, &scene), REEL_OK);
            assert_int_equal(
                reel_scene_render(env, &scene, &view, rgb[n - 1], id[n - 1], depth[n - 1]),
                REEL_OK);
            assert_int_equal(env->allocator.bytes, 0);
            reel_env_free(&env);
        }
        for (int n = 1; n < 3; n++) {
            assert_memory_equal(rgb[n], rgb[0], sizeof rgb[0]);
            assert_memory_equal(id[n], id[0], sizeof id[0]);
            assert_memory_equal(depth[n], depth[0], sizeof depth[0]);
        }
    }
}

/* A frame does not depend on which others are drawn: the last of a clip is an image of its own. */
static void test_render_frame_is_the_same_alone(void **state) {
    (void)state;
    reel_env *env = env_with(1);
    static uint8_t clip[2 * N * 3], first[N * 3];
    for (uint64_t index = 0; index < 8; index++) {
        const reel_attributes any = reel_attributes_any();
        const reel_scene scene = scene_of(env, &any, index);
        reel_view v = view;
        v.frames = 2;
        assert_int_equal(reel_scene_render(env, &scene, &v, clip, NULL, NULL), REEL_OK);
        v.frames = 1;
        assert_int_equal(reel_scene_render(env, &scene, &v, first, NULL, NULL), REEL_OK);
        assert_memory_equal(clip, first, sizeof first);
    }
    reel_env_free(&env);
}

/* The centre of a ball in sight lies on the ball, at the depth of its front. */
static void test_render_mask_and_depth_lie_where_the_ball_is(void **state) {
    (void)state;
    reel_env *env = env_with(1);
    static uint8_t id[F * N];
    static float depth[F * N];
    static uint8_t rgb[F * N * 3];
    for (uint64_t index = 0; index < 6; index++) {
        reel_attributes a = reel_attributes_any();
        a.n_objects = 1;
        reel_attributes_set(&a, REEL_ATTRIBUTE_KIND, 0, REEL_KIND_BALL);
        reel_attributes_set(&a, REEL_ATTRIBUTE_MOTION, 0, REEL_MOTION_BOUNCE);
        const reel_scene scene = scene_of(env, &a, index);
        assert_int_equal(reel_scene_render(env, &scene, &view, rgb, id, depth), REEL_OK);
        int inside = 0;
        for (int f = 0; f < F; f++) {
            const float t = (float)f / view.fps;
            const reel_eye eye = reel_scene_eye(&scene, t);
            const reel_pose pose = reel_scene_pose(&scene, 0, t);
            const reel_vec3 at = reel_eye_project(&eye, pose.position);
            const int x = (int)(0.5f * W + at.x * 0.5f * H), y = (int)(0.5f * H + at.y * 0.5f * H);
            if (x < 0 || y < 0 || x >= W || y >= H) continue;
            inside++;
            const int pixel = f * N + y * W + x;
            assert_int_equal(id[pixel], 1);
            const float radius = 0.78f * scene.object[0].scale;
            assert_true(fabsf(depth[pixel] - (at.z - radius)) < 0.25f * radius);
        }
        assert_true(inside >= F - 2);
        for (int i = 0; i < F * N; i++)
            assert_true(depth[i] > 0.0f && depth[i] <= (float)REEL_SKY_DEPTH && id[i] <= 1);
    }
    reel_env_free(&env);
}

/* Seen by the second eye, near things stand further left than far ones: by b f / depth. */
static void test_render_stereo_shifts_by_the_depth(void **state) {
    (void)state;
    reel_env *env = env_with(1);
    reel_attributes a = reel_attributes_any();
    a.n_objects = 1;
    reel_attributes_set(&a, REEL_ATTRIBUTE_KIND, 0, REEL_KIND_BALL);
    reel_attributes_set(&a, REEL_ATTRIBUTE_MOTION, 0, REEL_MOTION_STILL);
    reel_attributes_set(&a, REEL_ATTRIBUTE_CAMERA, 0, REEL_CAMERA_STILL);
    const reel_scene scene = scene_of(env, &a, 3);
    enum { S = 128 };
    static uint8_t rgb[S * S * 3], id[2][S * S];
    double centre[2] = {0};
    const float baseline = 0.4f;
    for (int eye = 0; eye < 2; eye++) {
        const reel_view v = {S, S, 1, 8.0f, eye ? baseline : 0.0f};
        assert_int_equal(reel_scene_render(env, &scene, &v, rgb, id[eye], NULL), REEL_OK);
        double sum = 0, n = 0;
        for (int i = 0; i < S * S; i++)
            if (id[eye][i]) {
                sum += i % S;
                n++;
            }
        assert_true(n > 50);
        centre[eye] = sum / n;
    }
    const reel_eye eye = reel_scene_eye(&scene, 0);
    const float z = reel_eye_project(&eye, scene.object[0].start).z;
    const double wanted = (double)(baseline / (z * eye.half_tan) * 0.5f * S);
    assert_true(fabs(centre[0] - centre[1] - wanted) < 1.0); /* a pixel */
    reel_env_free(&env);
}

/* The color of an object can be read off its pixels: nearer to its own color under the scene's
 * light than to half of the others is too weak a test, so hue is compared for the vivid ones. */
static void test_render_red_is_red_and_blue_is_blue(void **state) {
    (void)state;
    reel_env *env = env_with(1);
    static uint8_t rgb[F * N * 3], id[F * N];
    const reel_color colors[] = {REEL_COLOR_RED, REEL_COLOR_BLUE, REEL_COLOR_GREEN};
    const int channel[] = {0, 2, 1};
    for (int c = 0; c < 3; c++)
        for (int sky = 0; sky < REEL_SKY_COUNT; sky++) {
            reel_attributes a = reel_attributes_any();
            a.n_objects = 1;
            reel_attributes_set(&a, REEL_ATTRIBUTE_KIND, 0, REEL_KIND_BALL);
            reel_attributes_set(&a, REEL_ATTRIBUTE_COLOR, 0, (int)colors[c]);
            reel_attributes_set(&a, REEL_ATTRIBUTE_MATERIAL, 0, REEL_MATERIAL_MATTE);
            a.sky = (int8_t)sky;
            const reel_scene scene = scene_of(env, &a, (uint64_t)sky);
            assert_int_equal(reel_scene_render(env, &scene, &view, rgb, id, NULL), REEL_OK);
            long sum[3] = {0};
            for (int i = 0; i < F * N; i++)
                for (int k = 0; k < 3 && id[i]; k++)
                    sum[k] += rgb[3 * i + k];
            for (int k = 0; k < 3; k++)
                if (k != channel[c]) assert_true(sum[channel[c]] * 10 > sum[k] * 11);
        }
    reel_env_free(&env);
}

static void test_render_refuses_views_out_of_range(void **state) {
    (void)state;
    reel_env *env = env_with(1);
    const reel_attributes any = reel_attributes_any();
    const reel_scene scene = scene_of(env, &any, 1);
    static uint8_t rgb[F * N * 3];
    const reel_view wrong[] = {
        {4, H, F, 8, 0}, {W, 5000, F, 8, 0}, {W, H, 0, 8, 0}, {W, H, F, 0, 0}, {W, H, F, NAN, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(reel_scene_render(env, &scene, &wrong[i], rgb, NULL, NULL), REEL_E_ARG);
        assert_non_null(strstr(reel_env_message(env), "wanted"));
        reel_env_clear(env);
    }
    reel_env_free(&env);
}

/* Every allocation may fail. */
static void test_render_survives_failing_allocations(void **state) {
    (void)state;
    reel_env *env = env_with(2);
    const reel_attributes any = reel_attributes_any();
    const reel_scene scene = scene_of(env, &any, 2);
    static uint8_t rgb[F * N * 3];
    reel_status status = REEL_E_NOMEM;
    for (int k = 1; k < 40 && status != REEL_OK; k++) {
        reel_alloc_fail_at(env, k);
        status = reel_scene_render(env, &scene, &view, rgb, NULL, NULL);
        assert_true(status == REEL_OK || status == REEL_E_NOMEM);
        reel_alloc_fail_at(env, 0);
        assert_int_equal(env->allocator.bytes, 0);
        reel_env_clear(env);
    }
    assert_int_equal(status, REEL_OK);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_render_gives_the_same_bytes_at_any_thread_count),
        cmocka_unit_test(test_render_frame_is_the_same_alone),
        cmocka_unit_test(test_render_mask_and_depth_lie_where_the_ball_is),
        cmocka_unit_test(test_render_stereo_shifts_by_the_depth),
        cmocka_unit_test(test_render_red_is_red_and_blue_is_blue),
        cmocka_unit_test(test_render_refuses_views_out_of_range),
        cmocka_unit_test(test_render_survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
