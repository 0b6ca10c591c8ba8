/* Prompts come from what training does not see, and ask only for what they say. */
#include "eval/prompts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "support/op_check.h"
#include "world/split.h"

static void test_prompts_are_held_out(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    for (int g = 0; g < REEL_PROMPTS_COUNT; g++)
        for (int i = 0; i < 6; i++) {
            reel_prompt p;
            assert_int_equal(reel_prompt_make(env, (reel_prompt_group)g, 1, i, 4, &p), REEL_OK);
            assert_false(reel_split_admits(REEL_SPLIT_TRAIN, &p.truth));
            assert_int_equal(p.truth.n_objects,
                             g == REEL_PROMPTS_TWO || g == REEL_PROMPTS_BEHIND ? 2 : 1);
            if (g == REEL_PROMPTS_CHINESE) assert_true((unsigned char)p.text[0] >= 0x80);
        }
    reel_env_free(&env);
}

static void test_prompts_ask_for_what_they_say(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_prompt p;
    assert_int_equal(reel_prompt_make(env, REEL_PROMPTS_TWO, 1, 3, 4, &p), REEL_OK);
    assert_int_equal(reel_prompt_answer(&p, REEL_ATTRIBUTE_COLOR),
                     p.truth.object[0][REEL_ATTRIBUTE_COLOR]);
    assert_int_equal(reel_prompt_answer(&p, REEL_QUESTION_COLOR_1),
                     p.truth.object[1][REEL_ATTRIBUTE_COLOR]);
    assert_int_equal(reel_prompt_answer(&p, REEL_QUESTION_OBJECTS), 1);
    p.mentions.object[1] = 0;
    p.mentions.scene &= ~(1u << REEL_ATTRIBUTE_SKY);
    assert_int_equal(reel_prompt_answer(&p, REEL_QUESTION_COLOR_1), REEL_NO_ANSWER);
    assert_int_equal(reel_prompt_answer(&p, REEL_ATTRIBUTE_SKY), REEL_NO_ANSWER);
    assert_int_equal(reel_prompt_answer(&p, REEL_ATTRIBUTE_GROUND), p.truth.ground);
    reel_env_free(&env);
}

/* A red ball and a blue cube, as if a prompt had said so; answers that are all "nothing". */
static reel_prompt ball_and_cube(int32_t answer[REEL_QUESTION_ALL]) {
    reel_prompt p = {.truth = reel_attributes_any()};
    p.truth.n_objects = 2;
    reel_attributes_set(&p.truth, REEL_ATTRIBUTE_KIND, 0, REEL_KIND_BALL);
    reel_attributes_set(&p.truth, REEL_ATTRIBUTE_COLOR, 0, REEL_COLOR_RED);
    reel_attributes_set(&p.truth, REEL_ATTRIBUTE_KIND, 1, REEL_KIND_CUBE);
    reel_attributes_set(&p.truth, REEL_ATTRIBUTE_COLOR, 1, REEL_COLOR_BLUE);
    p.mentions.object[0] = p.mentions.object[1] = (1u << REEL_OBJECT_ATTRIBUTES) - 1;
    memset(answer, 0, REEL_QUESTION_ALL * sizeof *answer);
    return p;
}

static void test_prompts_find_each_object_in_its_color(void **state) {
    (void)state;
    int32_t answer[REEL_QUESTION_ALL];
    bool colors, objects;
    const reel_prompt p = ball_and_cube(answer);
    int32_t *red = &answer[REEL_QUESTION_KIND_OF + REEL_COLOR_RED];
    int32_t *blue = &answer[REEL_QUESTION_KIND_OF + REEL_COLOR_BLUE];
    *red = 1 + REEL_KIND_BALL;
    assert_true(reel_prompt_found(&p, answer, &colors, &objects));
    assert_false(colors || objects); /* nothing is blue */
    *blue = 1 + REEL_KIND_CONE;
    assert_true(reel_prompt_found(&p, answer, &colors, &objects));
    assert_true(colors && !objects);
    *blue = 1 + REEL_KIND_CUBE;
    assert_true(reel_prompt_found(&p, answer, &colors, &objects));
    assert_true(colors && objects);
}

static void test_prompts_that_leave_something_open_ask_for_no_objects(void **state) {
    (void)state;
    int32_t answer[REEL_QUESTION_ALL];
    bool colors, objects;
    reel_prompt p = ball_and_cube(answer);
    reel_attributes_set(&p.truth, REEL_ATTRIBUTE_COLOR, 1, REEL_COLOR_RED);
    assert_false(reel_prompt_found(&p, answer, &colors, &objects));
    p = ball_and_cube(answer);
    p.mentions.object[1] &= ~(1u << REEL_ATTRIBUTE_COLOR);
    assert_false(reel_prompt_found(&p, answer, &colors, &objects));
    p = ball_and_cube(answer);
    p.truth.n_objects = 1;
    assert_false(reel_prompt_found(&p, answer, &colors, &objects));
}

static void test_prompts_depend_on_seed_and_index_alone(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_prompt a, b, c;
    assert_int_equal(reel_prompt_make(env, REEL_PROMPTS_PAIR, 7, 2, 4, &a), REEL_OK);
    assert_int_equal(reel_prompt_make(env, REEL_PROMPTS_PAIR, 7, 2, 4, &b), REEL_OK);
    assert_int_equal(reel_prompt_make(env, REEL_PROMPTS_PAIR, 8, 2, 4, &c), REEL_OK);
    assert_string_equal(a.text, b.text);
    assert_string_not_equal(a.text, c.text);
    assert_true(reel_heldout_pair(a.scene.object[0].kind, a.scene.object[0].color));
    reel_env_free(&env);
}

/* Every attribute a long caption speaks of, but for the few that one kind of object alone can have.
 */
static void test_prompts_swap_one_attribute(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    int n_swapped = 0;
    for (int i = 0; i < 4; i++)
        for (int a = 0; a < REEL_ATTRIBUTE_COUNT; a++) {
            reel_prompt p, other;
            bool differs;
            assert_int_equal(reel_prompt_make(env, REEL_PROMPTS_ONE, 1, i, 4, &p), REEL_OK);
            assert_int_equal(reel_prompt_swap(env, &p, (reel_attribute)a, &other, &differs),
                             REEL_OK);
            if (!differs) continue;
            n_swapped++;
            assert_string_not_equal(p.text, other.text);
            const reel_attributes made = reel_scene_attributes(&other.scene);
            assert_memory_equal(&made, &other.truth, sizeof made);
            for (int q = 0; q < REEL_ATTRIBUTE_COUNT; q++) {
                const bool same = reel_attributes_get(&p.truth, (reel_attribute)q, 0) ==
                                  reel_attributes_get(&made, (reel_attribute)q, 0);
                assert_int_equal(same, q != a);
            }
        }
    assert_true(n_swapped >= 4 * 6);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompts_are_held_out),
        cmocka_unit_test(test_prompts_ask_for_what_they_say),
        cmocka_unit_test(test_prompts_swap_one_attribute),
        cmocka_unit_test(test_prompts_find_each_object_in_its_color),
        cmocka_unit_test(test_prompts_that_leave_something_open_ask_for_no_objects),
        cmocka_unit_test(test_prompts_depend_on_seed_and_index_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
