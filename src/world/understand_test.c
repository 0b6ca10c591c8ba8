/* Understanding: every caption the world writes is read back as it was meant; what is outside the
 * world is named. */
#include "world/understand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"
#include "world/split.h"

static reel_understood read_text(const char *text) {
    reel_understood u;
    reel_prompt_understand(text, (int64_t)strlen(text), &u);
    return u;
}

static int of(const reel_understood *u, reel_attribute attribute, int object) {
    return reel_attributes_get(&u->attributes, attribute, object);
}

/* Every attribute a caption says it names has the scene's value, and no word is unknown. */
static void check_caption(const reel_attributes *a, reel_language language, uint64_t variant) {
    const reel_caption_request r = {language, REEL_CAPTION_ANY, variant};
    char text[REEL_CAPTION_BYTES];
    reel_mentions said;
    reel_caption_write(a, &r, text, sizeof text, &said);
    const reel_understood u = read_text(text);
    if (u.n_unknown)
        fail_msg("'%.*s' is not known in: %s", u.unknown[0].bytes, text + u.unknown[0].from, text);
    int named = 0;
    for (int i = 0; i < a->n_objects; i++) {
        if (!said.object[i]) continue;
        const int object = named++; /* objects that are not named leave no gap */
        for (int k = 0; k < REEL_OBJECT_ATTRIBUTES; k++) {
            if (!(said.object[i] >> k & 1u)) continue;
            if (of(&u, (reel_attribute)k, object) != a->object[i][k])
                fail_msg(
                    "%s of object %d is %s, read as %s: %s", reel_attribute_name((reel_attribute)k),
                    i, reel_attribute_value_name((reel_attribute)k, a->object[i][k]),
                    reel_attribute_value_name((reel_attribute)k, of(&u, (reel_attribute)k, object)),
                    text);
        }
    }
    for (int k = REEL_OBJECT_ATTRIBUTES; k < REEL_ATTRIBUTE_COUNT; k++) {
        const int value = reel_attributes_get(a, (reel_attribute)k, 0);
        if (!(said.scene >> k & 1u)) {
            if (of(&u, (reel_attribute)k, 0) != REEL_ANY)
                fail_msg("%s was not said: %s", reel_attribute_name((reel_attribute)k), text);
        } else if (of(&u, (reel_attribute)k, 0) != value) {
            fail_msg("%s is %s: %s", reel_attribute_name((reel_attribute)k),
                     reel_attribute_value_name((reel_attribute)k, value), text);
        }
    }
    assert_int_equal(u.attributes.n_objects, named);
}

static void test_understand_reads_captions_back(void **state) {
    (void)state;
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    reel_env *env = NULL;
    assert_int_equal(reel_env_new(&options, &env), REEL_OK);
    for (uint64_t i = 0; i < 150; i++) {
        reel_scene_options o = reel_scene_options_default();
        o.index = i;
        reel_scene scene;
        assert_int_equal(reel_scene_sample(env, &o, &scene), REEL_OK);
        const reel_attributes a = reel_scene_attributes(&scene);
        for (uint64_t v = 0; v < 4; v++) {
            check_caption(&a, REEL_ENGLISH, 31 * i + v);
            check_caption(&a, REEL_CHINESE, 31 * i + v);
        }
    }
    reel_env_free(&env);
}

static void test_understand_reads_the_held_out_prompts(void **state) {
    (void)state;
    int n;
    const reel_heldout_prompt *p = reel_heldout_prompts(&n);
    for (int i = 0; i < n; i++)
        for (int language = 0; language < 2; language++) {
            const char *text = language ? p[i].chinese : p[i].english;
            const reel_understood u = read_text(text);
            if (u.n_unknown)
                fail_msg("'%.*s' in %s", u.unknown[0].bytes, text + u.unknown[0].from, text);
            assert_true(u.possible);
            assert_int_equal(u.attributes.n_objects, 1);
            assert_int_equal(of(&u, REEL_ATTRIBUTE_KIND, 0), p[i].kind);
            assert_int_equal(of(&u, REEL_ATTRIBUTE_COLOR, 0), p[i].color);
            assert_int_equal(of(&u, REEL_ATTRIBUTE_MOTION, 0), p[i].motion);
            assert_int_equal(u.attributes.ground, p[i].ground);
            assert_int_equal(u.attributes.sky, p[i].sky);
        }
}

/* Commas and stops of full width are no words. */
static void test_understand_reads_chinese_punctuation(void **state) {
    (void)state;
    static const char text[] = "日落：一个红色的球在草地上弹跳，镜头静止！";
    reel_understood u;
    reel_prompt_understand(text, sizeof text - 1, &u);
    if (u.n_unknown) fail_msg("'%.*s' in %s", u.unknown[0].bytes, text + u.unknown[0].from, text);
    assert_int_equal(reel_attributes_get(&u.attributes, REEL_ATTRIBUTE_SKY, 0), REEL_SKY_SUNSET);
}

static void check_unknown(const char *text, const char *word, int n) {
    const reel_understood u = read_text(text);
    assert_int_equal(u.n_unknown, n);
    assert_int_equal(u.unknown[0].bytes, strlen(word));
    assert_memory_equal(text + u.unknown[0].from, word, strlen(word));
}

static void test_understand_names_what_it_does_not_know(void **state) {
    (void)state;
    check_unknown("a red dragon flies over the grass", "dragon", 2);
    check_unknown("An astronaut.", "astronaut", 1);
    check_unknown("a café on the sand", "caf", 2);
    check_unknown("一只红色的恐龙在草地上滚动", "恐龙", 1);
    check_unknown("four balls", "four", 1);
    const reel_understood nothing = read_text("");
    assert_int_equal(nothing.n_unknown + nothing.attributes.n_objects, 0);
}

static void test_understand_binds_adjectives_to_their_nouns(void **state) {
    (void)state;
    reel_understood u = read_text(
        "A Small  RED ball rolls to the left, and a blue metal cube spins on green grass");
    assert_int_equal(u.n_unknown, 0);
    assert_int_equal(u.attributes.n_objects, 2);
    assert_int_equal(of(&u, REEL_ATTRIBUTE_COLOR, 0), REEL_COLOR_RED);
    assert_int_equal(of(&u, REEL_ATTRIBUTE_SIZE, 0), REEL_SIZE_SMALL);
    assert_int_equal(of(&u, REEL_ATTRIBUTE_MATERIAL, 0), REEL_ANY);
    assert_int_equal(of(&u, REEL_ATTRIBUTE_HEADING, 0), REEL_HEADING_LEFT);
    assert_int_equal(of(&u, REEL_ATTRIBUTE_MOTION, 1), REEL_MOTION_SPIN);
    assert_int_equal(of(&u, REEL_ATTRIBUTE_COLOR, 1), REEL_COLOR_BLUE);
    assert_int_equal(of(&u, REEL_ATTRIBUTE_MATERIAL, 1), REEL_MATERIAL_METAL);
    u = read_text("the ball is yellow. The camera zooms out.");
    assert_int_equal(of(&u, REEL_ATTRIBUTE_COLOR, 0), REEL_COLOR_YELLOW);
    assert_int_equal(u.attributes.camera, REEL_CAMERA_ZOOM_OUT);
}

static void test_understand_says_what_cannot_be(void **state) {
    (void)state;
    const reel_understood u = read_text("a boat sails on the grass");
    assert_int_equal(u.n_unknown, 0);
    assert_false(u.possible);
    assert_true(strlen(u.why) > 10);
    assert_true(read_text("a boat sails on the water").possible);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_understand_reads_captions_back),
        cmocka_unit_test(test_understand_reads_the_held_out_prompts),
        cmocka_unit_test(test_understand_names_what_it_does_not_know),
        cmocka_unit_test(test_understand_binds_adjectives_to_their_nouns),
        cmocka_unit_test(test_understand_says_what_cannot_be),
        cmocka_unit_test(test_understand_reads_chinese_punctuation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
