/* The world as a source: lessons in directions among its clips, told in full. */
#include "data/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "data/questions.h"
#include "support/op_check.h"
#include "world/understand.h"

enum { N_CLIPS = 200 };
static const reel_bucket size = {64, 64, 33, 1};

/* Whether the text says where the camera goes, or under a still one where the object does. */
static bool tells_direction(const reel_attributes *truth, const char *text) {
    const reel_attribute what =
        truth->camera == REEL_CAMERA_STILL ? REEL_ATTRIBUTE_HEADING : REEL_ATTRIBUTE_CAMERA;
    reel_understood u;
    reel_prompt_understand(text, (int64_t)strlen(text), &u);
    const int value = reel_attributes_get(truth, what, 0);
    return value > 0 && reel_attributes_get(&u.attributes, what, 0) == value;
}

/* Whether the text says what both of two objects are. */
static bool tells_both(const reel_attributes *truth, const char *text) {
    reel_understood u;
    reel_prompt_understand(text, (int64_t)strlen(text), &u);
    bool told = true;
    for (int i = 0; i < 2; i++)
        for (reel_attribute k = REEL_ATTRIBUTE_KIND; k <= REEL_ATTRIBUTE_COLOR; k++)
            told = told &&
                   reel_attributes_get(&u.attributes, k, i) == reel_attributes_get(truth, k, i);
    return told;
}

static bool tells(const reel_attributes *truth, const char *text) {
    return truth->n_objects == 1 ? tells_direction(truth, text) : tells_both(truth, text);
}

/* Of N_CLIPS, those with one object that have a direction, or two, which four captions in English
 * and four in Chinese tell. */
static int lessons(reel_env *env, double drills, unsigned on) {
    const reel_world_source source = {
        .seed = 5, .split = REEL_SOURCE_TRAIN, .fps = 8, .drills = drills, .drill_on = on};
    const int objects = on == REEL_DRILL_PAIR ? 2 : 1;
    int n = 0;
    for (int64_t i = 0; i < N_CLIPS; i++) {
        reel_attributes a;
        assert_int_equal(reel_world_source_truth(env, &source, i, &size, &a), REEL_OK);
        bool told = a.n_objects == objects;
        for (uint64_t v = 0; v < 8 && told; v++) {
            char text[REEL_SOURCE_CAPTION_BYTES];
            assert_int_equal(reel_world_source_caption(env, &source, i, &size, v % 2 == 1,
                                                       v * 0x9e3779b97f4a7c15u, text),
                             REEL_OK);
            told = tells(&a, text);
        }
        n += told;
    }
    return n;
}

static void test_source_drills_are_told_in_full(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    const unsigned ways =
        REEL_DRILL_ALL & ~(unsigned)(REEL_DRILL_PAIR | REEL_DRILL_FALL | REEL_DRILL_BEHIND);
    const int none = lessons(env, 0, ways);
    assert_in_range(none, 0, N_CLIPS / 10); /* some happen to be */
    assert_int_equal(lessons(env, 1, ways), N_CLIPS);
    assert_in_range(lessons(env, 0.5, ways), N_CLIPS * 4 / 10, N_CLIPS * 6 / 10);
    assert_int_equal(lessons(env, 1, REEL_DRILL_PAIR), N_CLIPS);
    reel_env_free(&env);
}

/* Every cell that shows something has the kind and the color of an object of the scene. */
static void test_source_objects_are_labelled(void **state) {
    (void)state;
    enum { SIDE = 16 };
    reel_env *env = op_test_env(1);
    const reel_world_source world = {.seed = 5, .split = REEL_SOURCE_TRAIN, .fps = 8};
    const reel_source source = reel_source_of_world(&world);
    const reel_source_cells cells = {.frames = 4, .size = SIDE, .layers = 1};
    int shown = 0, second = 0;
    for (int64_t i = 0; i < N_CLIPS; i++) {
        uint8_t out[64 * 64];
        reel_attributes a;
        assert_true(size.height * size.width / SIDE / SIDE <= (int64_t)sizeof out);
        assert_int_equal(source.objects(env, source.context, i, &size, &cells, out), REEL_OK);
        assert_int_equal(reel_world_source_truth(env, &world, i, &size, &a), REEL_OK);
        for (int64_t k = 0; k < size.height / SIDE * (size.width / SIDE); k++) {
            int at = 0;
            if (!out[k]) continue;
            while (at < a.n_objects && (1 + a.object[at][REEL_ATTRIBUTE_KIND] != out[k] >> 4 ||
                                        1 + a.object[at][REEL_ATTRIBUTE_COLOR] != (out[k] & 15)))
                at++;
            assert_true(at < a.n_objects);
            shown++;
            second += at == 1;
        }
    }
    assert_true(shown > second && second > 0);
    reel_env_free(&env);
}

static void test_source_other_clips_stay_what_they_are(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    const reel_world_source plain = {.seed = 5, .split = REEL_SOURCE_TRAIN, .fps = 8};
    reel_world_source half = plain;
    half.drills = 0.5;
    int same = 0;
    for (int64_t i = 0; i < N_CLIPS; i++) {
        reel_attributes a, b;
        assert_int_equal(reel_world_source_truth(env, &plain, i, &size, &a), REEL_OK);
        assert_int_equal(reel_world_source_truth(env, &half, i, &size, &b), REEL_OK);
        same += memcmp(&a, &b, sizeof a) == 0;
    }
    assert_in_range(same, N_CLIPS * 4 / 10, N_CLIPS * 6 / 10);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_drills_are_told_in_full),
        cmocka_unit_test(test_source_objects_are_labelled),
        cmocka_unit_test(test_source_other_clips_stay_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
