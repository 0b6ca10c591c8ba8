/* Scenes: the same for the same seed, sensible, varied, and true to mechanics. */
#include "world/world.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"
#include "world/kinds.h"
#include "world/split.h"

enum { N_SCENES = 400 };

static int begin(void **state) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    return reel_env_new(&options, (reel_env **)state) != REEL_OK;
}
static int end(void **state) {
    reel_env_free((reel_env **)state);
    return 0;
}

static reel_scene scene_of(reel_env *env, uint64_t index, reel_split split) {
    reel_scene_options o = reel_scene_options_default();
    o.seed = 11;
    o.index = index;
    o.split = split;
    reel_scene scene;
    assert_int_equal(reel_scene_sample(env, &o, &scene), REEL_OK);
    return scene;
}

/* A scene with one attribute of object 0, one of the scene, and the rest drawn. */
static reel_scene moving(reel_env *env, reel_motion motion, uint64_t index) {
    reel_attributes a = reel_attributes_any();
    reel_attributes_set(&a, REEL_ATTRIBUTE_MOTION, 0, motion);
    reel_scene_options o = reel_scene_options_default();
    o.index = index;
    reel_scene scene;
    assert_int_equal(reel_scene_from_attributes(env, &o, &a, &scene), REEL_OK);
    assert_int_equal(scene.object[0].motion, motion);
    return scene;
}

static void test_scene_is_a_function_of_seed_and_index(void **state) {
    for (uint64_t i = 0; i < 20; i++) {
        const reel_scene a = scene_of(*state, i, REEL_SPLIT_TRAIN);
        const reel_scene b = scene_of(*state, i, REEL_SPLIT_TRAIN);
        const reel_scene c = scene_of(*state, i + 1, REEL_SPLIT_TRAIN);
        assert_memory_equal(&a, &b, sizeof a);
        assert_true(memcmp(&a.object, &c.object, sizeof a.object) != 0);
    }
}

static void test_scene_objects_can_be_seen(void **state) {
    int seen = 0;
    for (uint64_t i = 0; i < 100; i++) {
        const reel_scene s = scene_of(*state, i, REEL_SPLIT_TRAIN);
        seen += reel_scene_visible(&s);
    }
    assert_int_equal(seen, 100);
}

/* 400 scenes hold every value of every attribute, and no value crowds out the others. */
static void test_scene_draws_hold_every_value(void **state) {
    int count[REEL_ATTRIBUTE_COUNT][16] = {0};
    for (uint64_t i = 0; i < N_SCENES; i++) {
        const reel_scene s = scene_of(*state, i, REEL_SPLIT_TRAIN);
        const reel_attributes a = reel_scene_attributes(&s);
        for (int k = 0; k < REEL_ATTRIBUTE_COUNT; k++) {
            const int n = k < REEL_OBJECT_ATTRIBUTES ? a.n_objects : 1;
            for (int o = 0; o < n; o++)
                count[k][reel_attributes_get(&a, (reel_attribute)k, o)]++;
        }
    }
    for (int k = 0; k < REEL_ATTRIBUTE_COUNT; k++)
        for (int v = 0; v < reel_attribute_values((reel_attribute)k); v++)
            assert_in_range(count[k][v], 4, N_SCENES * 9 / 10 + 160);
}

static void test_scene_splits_hold_out_what_they_say(void **state) {
    for (uint64_t i = 0; i < N_SCENES; i++) {
        const reel_scene train = scene_of(*state, i, REEL_SPLIT_TRAIN);
        const reel_attributes a = reel_scene_attributes(&train);
        for (int k = 0; k < train.n_objects; k++)
            assert_false(reel_heldout_pair(train.object[k].kind, train.object[k].color));
        assert_false(reel_heldout_combination(&a));
    }
    for (uint64_t i = 0; i < 40; i++) {
        const reel_scene pair = scene_of(*state, i, REEL_SPLIT_HELDOUT_PAIRS);
        assert_true(reel_heldout_pair(pair.object[0].kind, pair.object[0].color));
        const reel_scene held = scene_of(*state, i, REEL_SPLIT_VALIDATION);
        assert_false(reel_heldout_pair(held.object[0].kind, held.object[0].color));
        const reel_attributes a = reel_scene_attributes(&held);
        assert_true(reel_split_admits(REEL_SPLIT_VALIDATION, &a));
        assert_false(reel_split_admits(REEL_SPLIT_TRAIN, &a));
    }
}

/* Drills of a set: how often the camera moves each way and, where it is still, the object. Returns
 * how many show two objects, which are not counted otherwise. */
static int count_drills(reel_env *env, unsigned set, int *camera, int *heads) {
    int pairs = 0;
    memset(camera, 0, REEL_CAMERA_COUNT * sizeof *camera);
    memset(heads, 0, REEL_HEADING_COUNT * sizeof *heads);
    for (uint64_t i = 0; i < N_SCENES; i++) {
        reel_scene_options o = reel_scene_options_default();
        o.index = i;
        o.drill = set;
        o.n_objects = 3; /* not looked at */
        reel_scene scene;
        assert_int_equal(reel_scene_sample(env, &o, &scene), REEL_OK);
        const reel_attributes a = reel_scene_attributes(&scene);
        assert_true(reel_split_admits(REEL_SPLIT_TRAIN, &a));
        if (scene.n_objects == 2) {
            assert_int_equal(a.camera, REEL_CAMERA_STILL);
            pairs++;
            continue;
        }
        assert_int_equal(scene.n_objects, 1);
        camera[(int)a.camera]++;
        if (a.camera == REEL_CAMERA_STILL)
            heads[reel_attributes_get(&a, REEL_ATTRIBUTE_HEADING, 0)]++;
    }
    return pairs;
}

static void test_scene_drills_go_somewhere(void **state) {
    int camera[REEL_CAMERA_COUNT], heads[REEL_HEADING_COUNT];
    const unsigned ways =
        REEL_DRILL_ALL & ~(unsigned)(REEL_DRILL_PAIR | REEL_DRILL_FALL | REEL_DRILL_BEHIND);
    assert_int_equal(count_drills(*state, ways, camera, heads), 0);
    /* each way of each is awaited 33 times of 400, the deviation being 5.5 */
    for (int k = 1; k < REEL_CAMERA_COUNT; k++)
        assert_in_range(camera[k], 12, 56);
    assert_int_equal(heads[REEL_HEADING_NONE], 0);
    assert_in_range(heads[REEL_HEADING_LEFT], 12, 56);
    assert_in_range(heads[REEL_HEADING_RIGHT], 12, 56);

    assert_int_equal(count_drills(*state, REEL_DRILL_ZOOM | REEL_DRILL_HEADING, camera, heads), 0);
    assert_in_range(camera[REEL_CAMERA_ZOOM_IN], 60, 140);
    assert_in_range(camera[REEL_CAMERA_ZOOM_OUT], 60, 140);
    assert_int_equal(camera[REEL_CAMERA_ZOOM_IN] + camera[REEL_CAMERA_ZOOM_OUT] +
                         heads[REEL_HEADING_LEFT] + heads[REEL_HEADING_RIGHT],
                     N_SCENES);
}

static void test_scene_drills_with_two_objects(void **state) {
    int camera[REEL_CAMERA_COUNT], heads[REEL_HEADING_COUNT];
    assert_int_equal(count_drills(*state, REEL_DRILL_PAIR, camera, heads), N_SCENES);
    /* half of them, whatever else is in the set, the deviation being 10 of 400 */
    assert_in_range(count_drills(*state, REEL_DRILL_PAIR | REEL_DRILL_TILT, camera, heads),
                    N_SCENES / 2 - 50, N_SCENES / 2 + 50);
    assert_in_range(camera[REEL_CAMERA_TILT_UP], 60, 140);
    assert_int_equal(camera[REEL_CAMERA_STILL], 0);
    assert_in_range(count_drills(*state, REEL_DRILL_ALL, camera, heads), N_SCENES / 2 - 50,
                    N_SCENES / 2 + 50);
}

/* Each object 0 of a lesson about a motion has it. */
static void test_scene_drills_about_a_motion(void **state) {
    static const struct {
        unsigned set;
        int motion, n_objects;
    } lesson[] = {{REEL_DRILL_FALL, REEL_MOTION_FALL, 1},
                  {REEL_DRILL_BEHIND, REEL_MOTION_PASS_BEHIND, 2}};
    for (size_t k = 0; k < sizeof lesson / sizeof *lesson; k++)
        for (uint64_t i = 0; i < N_SCENES; i++) {
            reel_scene_options o = reel_scene_options_default();
            o.index = i;
            o.drill = lesson[k].set;
            reel_scene scene;
            assert_int_equal(reel_scene_sample(*state, &o, &scene), REEL_OK);
            assert_int_equal(scene.n_objects, lesson[k].n_objects);
            assert_int_equal(scene.object[0].motion, lesson[k].motion);
            assert_int_equal(scene.camera.move, REEL_CAMERA_STILL);
        }
}

static void test_scene_drills_by_name(void **state) {
    (void)state;
    unsigned set;
    assert_true(reel_drills_parse("", &set));
    assert_int_equal(set, REEL_DRILL_ALL);
    assert_true(reel_drills_parse("pan, orbit heading,", &set));
    assert_int_equal(set, REEL_DRILL_PAN | REEL_DRILL_ORBIT | REEL_DRILL_HEADING);
    assert_true(reel_drills_parse("tilt,zoom,dolly,pair", &set));
    assert_int_equal(set, REEL_DRILL_TILT | REEL_DRILL_ZOOM | REEL_DRILL_DOLLY | REEL_DRILL_PAIR);
    assert_true(reel_drills_parse("fall,behind", &set));
    assert_int_equal(set, REEL_DRILL_FALL | REEL_DRILL_BEHIND);
    assert_false(reel_drills_parse("pan,zoo", &set));
    assert_false(reel_drills_parse("pans", &set));
}

static void test_split_holds_out_one_pair_of_each_kind(void **state) {
    (void)state;
    for (int kind = 0; kind < REEL_KIND_COUNT; kind++) {
        int n = 0;
        for (int color = 0; color < REEL_COLOR_COUNT; color++)
            n += reel_heldout_pair((reel_kind)kind, (reel_color)color);
        assert_int_equal(n, 1);
    }
}

static void test_split_prompts_are_possible_and_held_out(void **state) {
    (void)state;
    int n;
    const reel_heldout_prompt *p = reel_heldout_prompts(&n);
    assert_true(n >= 10);
    for (int i = 0; i < n; i++) {
        reel_attributes a = reel_attributes_any();
        a.n_objects = 1;
        reel_attributes_set(&a, REEL_ATTRIBUTE_KIND, 0, p[i].kind);
        reel_attributes_set(&a, REEL_ATTRIBUTE_COLOR, 0, p[i].color);
        reel_attributes_set(&a, REEL_ATTRIBUTE_MOTION, 0, p[i].motion);
        a.ground = (int8_t)p[i].ground;
        a.sky = (int8_t)p[i].sky;
        char why[160] = "";
        if (!reel_attributes_possible(&a, why, sizeof why)) fail_msg("%s: %s", p[i].english, why);
        assert_false(reel_split_admits(REEL_SPLIT_TRAIN, &a));
    }
}

/* ---- mechanics ---- */

/* Heights of object 0 at even times in [from,to). */
static void heights(const reel_scene *s, float from, float to, int n, double *y) {
    for (int i = 0; i < n; i++)
        y[i] = (double)reel_scene_pose(s, 0, from + (to - from) * (float)i / (float)n).position.y;
}

static void test_scene_what_falls_has_constant_acceleration(void **state) {
    for (uint64_t i = 0; i < 10; i++) {
        const reel_scene s = moving(*state, REEL_MOTION_FALL, i);
        const reel_scene_object *o = &s.object[0];
        const float impact = sqrtf(2.0f * (o->start.y - o->rest_y) / o->gravity);
        enum { N = 16 };
        double y[N];
        heights(&s, 0, impact, N, y);
        const double dt = (double)impact / N;
        for (int k = 1; k + 1 < N; k++) {
            const double a = (y[k - 1] - 2 * y[k] + y[k + 1]) / (dt * dt);
            /* Second differences of f32 heights of some metres: rounding over dt^2. */
            assert_true(fabs(a + (double)o->gravity) < 4e-6 / (dt * dt));
        }
        assert_true(reel_scene_pose(&s, 0, impact * 0.5f).position.y > o->rest_y);
        assert_true(fabsf(reel_scene_pose(&s, 0, 50.0f).position.y - o->rest_y) < 1e-4f);
    }
}

static void test_scene_each_bounce_keeps_restitution_squared_of_the_height(void **state) {
    for (uint64_t i = 0; i < 10; i++) {
        const reel_scene s = moving(*state, REEL_MOTION_BOUNCE, i);
        const reel_scene_object *o = &s.object[0];
        const float h = o->start.y - o->rest_y, first = sqrtf(2.0f * h / o->gravity);
        const float flight = 2.0f * first * o->restitution;
        const float top = reel_scene_pose(&s, 0, first + 0.5f * flight).position.y - o->rest_y;
        assert_true(fabsf(top - h * o->restitution * o->restitution) < 1e-4f);
        assert_true(o->restitution < 1.0f && top < h);
        for (float t = 0; t < s.duration_s; t += 0.01f)
            assert_true(reel_scene_pose(&s, 0, t).position.y > o->rest_y - 1e-4f);
    }
}

static void test_scene_what_rolls_does_not_slip(void **state) {
    for (uint64_t i = 0; i < 10; i++) {
        const reel_scene s = moving(*state, REEL_MOTION_ROLL, i);
        const float dt = 1e-3f, r = s.object[0].rest_y;
        const reel_pose a = reel_scene_pose(&s, 0, 1.0f), b = reel_scene_pose(&s, 0, 1.0f + dt);
        const float moved = b.position.x - a.position.x;
        /* The turn about -z that takes axis a to axis b, for small turns its sine. */
        const reel_vec3 u = a.axis[0], v = b.axis[0];
        const float turned = u.y * v.x - u.x * v.y;
        assert_true(fabsf(turned * r - moved) < 1e-3f * fabsf(moved) + 1e-6f);
    }
}

static void test_scene_a_collision_keeps_momentum(void **state) {
    for (uint64_t i = 0; i < 10; i++) {
        const reel_scene s = moving(*state, REEL_MOTION_COLLIDE, i);
        const reel_scene_object *a = &s.object[0], *b = &s.object[1];
        assert_int_equal(b->motion, REEL_MOTION_PUSHED);
        const float ma = 1.5f * a->scale * a->scale * a->scale, mb = b->scale * b->scale * b->scale;
        const float before = ma * a->velocity.x, after = ma * a->after.x + mb * b->after.x;
        assert_true(fabsf(before - after) < 1e-4f * fabsf(before));
        /* They part with restitution times the speed they met with. */
        const float parting = b->after.x - a->after.x;
        assert_true(fabsf(parting - a->restitution * a->velocity.x) < 1e-4f * fabsf(a->velocity.x));
        const float touch = reel_kind_shape_of(a->kind)->half_width * a->scale +
                            reel_kind_shape_of(b->kind)->half_width * b->scale;
        for (float t = 0; t < s.duration_s; t += 0.05f) {
            const float gap =
                fabsf(reel_scene_pose(&s, 1, t).position.x - reel_scene_pose(&s, 0, t).position.x);
            assert_true(gap > touch - 1e-3f);
            if (t < a->event_s) assert_true(reel_scene_pose(&s, 1, t).position.x == b->start.x);
        }
    }
}

static void test_scene_refuses_what_makes_no_sense(void **state) {
    reel_env *env = *state;
    const int wrong[][2][2] = {
        {{REEL_ATTRIBUTE_KIND, REEL_KIND_TREE}, {REEL_ATTRIBUTE_MOTION, REEL_MOTION_ROLL}},
        {{REEL_ATTRIBUTE_KIND, REEL_KIND_BOAT}, {REEL_ATTRIBUTE_GROUND, REEL_GROUND_SAND}},
        {{REEL_ATTRIBUTE_KIND, REEL_KIND_CAR}, {REEL_ATTRIBUTE_GROUND, REEL_GROUND_WATER}},
        {{REEL_ATTRIBUTE_SKY, REEL_SKY_SUNSET}, {REEL_ATTRIBUTE_WEATHER, REEL_WEATHER_RAIN}},
        {{REEL_ATTRIBUTE_MOTION, REEL_MOTION_SPIN}, {REEL_ATTRIBUTE_HEADING, REEL_HEADING_LEFT}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        reel_attributes a = reel_attributes_any();
        for (int k = 0; k < 2; k++)
            reel_attributes_set(&a, (reel_attribute)wrong[i][k][0], 0, wrong[i][k][1]);
        const reel_scene_options o = reel_scene_options_default();
        reel_scene scene;
        assert_int_equal(reel_scene_from_attributes(env, &o, &a, &scene), REEL_E_ARG);
        assert_non_null(strstr(reel_env_message(env), "no such scene"));
        reel_env_clear(env);
    }
    reel_scene_options o = reel_scene_options_default();
    reel_scene scene;
    o.duration_s = NAN;
    assert_int_equal(reel_scene_sample(env, &o, &scene), REEL_E_ARG);
    reel_env_clear(env);
    o = reel_scene_options_default();
    o.n_objects = 4;
    assert_int_equal(reel_scene_sample(env, &o, &scene), REEL_E_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scene_is_a_function_of_seed_and_index, begin, end),
        cmocka_unit_test_setup_teardown(test_scene_objects_can_be_seen, begin, end),
        cmocka_unit_test_setup_teardown(test_scene_draws_hold_every_value, begin, end),
        cmocka_unit_test_setup_teardown(test_scene_splits_hold_out_what_they_say, begin, end),
        cmocka_unit_test(test_scene_drills_go_somewhere),
        cmocka_unit_test(test_scene_drills_with_two_objects),
        cmocka_unit_test(test_scene_drills_about_a_motion),
        cmocka_unit_test(test_scene_drills_by_name),
        cmocka_unit_test(test_split_holds_out_one_pair_of_each_kind),
        cmocka_unit_test(test_split_prompts_are_possible_and_held_out),
        cmocka_unit_test_setup_teardown(test_scene_what_falls_has_constant_acceleration, begin,
                                        end),
        cmocka_unit_test_setup_teardown(
            test_scene_each_bounce_keeps_restitution_squared_of_the_height, begin, end),
        cmocka_unit_test_setup_teardown(test_scene_what_rolls_does_not_slip, begin, end),
        cmocka_unit_test_setup_teardown(test_scene_a_collision_keeps_momentum, begin, end),
        cmocka_unit_test_setup_teardown(test_scene_refuses_what_makes_no_sense, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
