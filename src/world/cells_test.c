/* Cells: every pixel of an object lies in one that is marked, and most of a clip in none. */
#include "world/cells.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"

enum { W = 96, H = 64, F = 9, SIZE = 16, LAYERS = 3, CELLS = (H / SIZE) * (W / SIZE) };

static const reel_view view = {W, H, F, 8.0f, 0.0f};

static reel_scene scene_at(reel_env *env, uint64_t index) {
    reel_scene_options o = reel_scene_options_default();
    o.index = index;
    o.duration_s = (float)(F - 1) / view.fps;
    reel_scene scene;
    assert_int_equal(reel_scene_sample(env, &o, &scene), REEL_OK);
    return scene;
}

static void test_cells_hold_every_pixel_of_an_object(void **state) {
    (void)state;
    static uint8_t rgb[F * H * W * 3], id[F * H * W];
    reel_env *env = NULL;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    int marked = 0, n_scenes = 40;
    for (int index = 0; index < n_scenes; index++) {
        const reel_scene scene = scene_at(env, (uint64_t)index);
        const reel_cells cells = {.frames = 4, .size = SIZE, .layers = LAYERS};
        uint8_t out[LAYERS * CELLS];
        assert_int_equal(reel_scene_render(env, &scene, &view, rgb, id, NULL), REEL_OK);
        reel_scene_cells(&scene, &view, &cells, out);
        for (int i = 0; i < F * H * W; i++) {
            const int f = i / (H * W), y = i / W % H, x = i % W, layer = (f + 3) / 4;
            if (id[i]) assert_true(out[layer * CELLS + y / SIZE * (W / SIZE) + x / SIZE] > 0);
        }
        for (int i = 0; i < LAYERS * CELLS; i++)
            marked += out[i] > 0;
    }
    assert_in_range(marked, 1, n_scenes * LAYERS * CELLS / 2);
    reel_env_free(&env);
}

/* Of two objects the nearer one has the cells that both touch. */
static void test_cells_are_those_of_the_nearest(void **state) {
    (void)state;
    reel_env *env = NULL;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    int shared = 0;
    for (uint64_t index = 0; index < 200; index++) {
        reel_scene both = scene_at(env, index);
        if (both.n_objects != 2) continue;
        const reel_cells cells = {.frames = 4, .size = SIZE, .layers = 1};
        const reel_eye eye = reel_scene_eye(&both, 0);
        const float z0 = reel_eye_project(&eye, reel_scene_pose(&both, 0, 0).position).z;
        const float z1 = reel_eye_project(&eye, reel_scene_pose(&both, 1, 0).position).z;
        reel_scene first = both, second = both;
        first.n_objects = second.n_objects = 1;
        second.object[0] = both.object[1];
        uint8_t out[CELLS], a[CELLS], b[CELLS];
        reel_scene_cells(&both, &view, &cells, out);
        reel_scene_cells(&first, &view, &cells, a);
        reel_scene_cells(&second, &view, &cells, b);
        for (int i = 0; i < CELLS; i++) {
            const int nearest = z0 < z1 ? 1 : 2;
            assert_int_equal(out[i], a[i] && b[i] ? nearest : a[i] ? 1 : b[i] ? 2 : 0);
            shared += a[i] && b[i];
        }
    }
    assert_in_range(shared, 10, 100000);
    reel_env_free(&env);
}

static void test_cells_fewer_layers_are_the_first(void **state) {
    (void)state;
    reel_env *env = NULL;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    const reel_scene scene = scene_at(env, 3);
    uint8_t all[LAYERS * CELLS] = {0}, few[LAYERS * CELLS];
    memset(few, 7, sizeof few);
    for (int layers = 1; layers <= LAYERS; layers += 2) {
        const reel_cells cells = {.frames = 4, .size = SIZE, .layers = layers};
        reel_scene_cells(&scene, &view, &cells, layers == 1 ? few : all);
    }
    assert_memory_equal(few, all, CELLS);
    for (int i = CELLS; i < LAYERS * CELLS; i++)
        assert_int_equal(few[i], 7);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells_hold_every_pixel_of_an_object),
        cmocka_unit_test(test_cells_are_those_of_the_nearest),
        cmocka_unit_test(test_cells_fewer_layers_are_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
