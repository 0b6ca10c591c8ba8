/* Captions: they say what is recorded as said, in both languages, and nothing is cut in half. */
#include "world/caption.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/json_out.h"

static int begin(void **state) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    return reel_env_new(&options, (reel_env **)state) != REEL_OK;
}
static int end(void **state) {
    reel_env_free((reel_env **)state);
    return 0;
}

static reel_attributes attributes_of(reel_env *env, uint64_t index) {
    reel_scene_options o = reel_scene_options_default();
    o.index = index;
    reel_scene scene;
    assert_int_equal(reel_scene_sample(env, &o, &scene), REEL_OK);
    return reel_scene_attributes(&scene);
}

static bool says_color(const char *text, int color, reel_language language) {
    static const char *const chinese[][2] = {
        {"红色", ""}, {"橙色", "橘色"}, {"黄色", ""},     {"绿色", ""}, {"蓝色", ""},
        {"紫色", ""}, {"粉", ""},       {"棕色", "褐色"}, {"黑色", ""}, {"白色", ""}};
    if (language == REEL_ENGLISH)
        return strstr(text, reel_attribute_value_name(REEL_ATTRIBUTE_COLOR, color)) != NULL;
    return strstr(text, chinese[color][0]) ||
           (chinese[color][1][0] && strstr(text, chinese[color][1]));
}

static void test_caption_names_the_colors_it_records(void **state) {
    int left_out = 0;
    for (uint64_t i = 0; i < 150; i++)
        for (int language = 0; language < REEL_LANGUAGE_COUNT; language++) {
            const reel_attributes a = attributes_of(*state, i);
            const reel_caption_request r = {(reel_language)language, REEL_CAPTION_ANY, 7 * i};
            char text[REEL_CAPTION_BYTES];
            reel_mentions said;
            reel_caption_write(&a, &r, text, sizeof text, &said);
            assert_true(reel_utf8_valid(text));
            assert_true(strlen(text) > 10 && strlen(text) < REEL_CAPTION_BYTES - 100);
            for (int k = 0; k < a.n_objects; k++) {
                const bool named = said.object[k] >> REEL_ATTRIBUTE_COLOR & 1u;
                if (named && !says_color(text, a.object[k][REEL_ATTRIBUTE_COLOR], r.language))
                    fail_msg("object %d's color is missing: %s", k, text);
                left_out += !named;
            }
        }
    assert_true(left_out > 5);
}

static void test_caption_long_names_everything_that_stands_out(void **state) {
    for (uint64_t i = 0; i < 60; i++) {
        const reel_attributes a = attributes_of(*state, i);
        const reel_caption_request r = {REEL_ENGLISH, REEL_CAPTION_LONG, i};
        char text[REEL_CAPTION_BYTES];
        reel_mentions said;
        reel_caption_write(&a, &r, text, sizeof text, &said);
        assert_true(said.scene >> REEL_ATTRIBUTE_GROUND & 1u);
        assert_true(said.scene >> REEL_ATTRIBUTE_SKY & 1u);
        if (a.camera != REEL_CAMERA_STILL) assert_true(said.scene >> REEL_ATTRIBUTE_CAMERA & 1u);
        for (int k = 0; k < a.n_objects; k++)
            assert_true(said.object[k] >> REEL_ATTRIBUTE_KIND & 1u);
    }
}

/* Another color, the same variant: only the color's word differs. */
static void test_caption_swap_changes_one_word(void **state) {
    for (uint64_t i = 0; i < 60; i++) {
        reel_attributes a = attributes_of(*state, i);
        reel_attributes_set(&a, REEL_ATTRIBUTE_COLOR, 0, REEL_COLOR_RED);
        reel_attributes b = a;
        reel_attributes_set(&b, REEL_ATTRIBUTE_COLOR, 0, REEL_COLOR_BLUE);
        const reel_caption_request r = {REEL_ENGLISH, REEL_CAPTION_LONG, i};
        char of_a[REEL_CAPTION_BYTES], of_b[REEL_CAPTION_BYTES];
        reel_caption_write(&a, &r, of_a, sizeof of_a, NULL);
        reel_caption_write(&b, &r, of_b, sizeof of_b, NULL);
        int common = 0;
        while (of_a[common] && of_a[common] == of_b[common])
            common++;
        assert_true(strncmp(of_a + common, "red", 3) == 0);
        assert_true(strncmp(of_b + common, "blue", 4) == 0);
        assert_string_equal(of_a + common + 3, of_b + common + 4);
    }
}

static void test_caption_variants_differ(void **state) {
    const reel_attributes a = attributes_of(*state, 5);
    char text[40][REEL_CAPTION_BYTES];
    int same = 0;
    for (uint64_t v = 0; v < 40; v++) {
        const reel_caption_request r = {REEL_ENGLISH, REEL_CAPTION_MEDIUM, v};
        reel_caption_write(&a, &r, text[v], sizeof text[v], NULL);
        for (uint64_t w = 0; w < v; w++)
            same += strcmp(text[v], text[w]) == 0;
    }
    assert_true(same < 20); /* of 780 pairs */
}

static void test_caption_is_cut_between_characters(void **state) {
    const reel_attributes a = attributes_of(*state, 5);
    const reel_caption_request r = {REEL_CHINESE, REEL_CAPTION_LONG, 3};
    char whole[REEL_CAPTION_BYTES], text[REEL_CAPTION_BYTES];
    reel_caption_write(&a, &r, whole, sizeof whole, NULL);
    for (int room = 1; room <= (int)strlen(whole); room++) {
        memset(text, 'x', sizeof text);
        reel_caption_write(&a, &r, text, room, NULL);
        assert_true((int)strlen(text) < room);
        assert_true(reel_utf8_valid(text));
        assert_true(strncmp(text, whole, strlen(text)) == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_caption_names_the_colors_it_records, begin, end),
        cmocka_unit_test_setup_teardown(test_caption_long_names_everything_that_stands_out, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_caption_swap_changes_one_word, begin, end),
        cmocka_unit_test_setup_teardown(test_caption_variants_differ, begin, end),
        cmocka_unit_test_setup_teardown(test_caption_is_cut_between_characters, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
