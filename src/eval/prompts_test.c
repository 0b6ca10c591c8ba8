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
        cmocka_unit_test(test_prompts_depend_on_seed_and_index_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
