/* What is asked about a clip, and how the answers follow from the truth. */
#include "data/questions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static reel_attributes two(reel_kind kind_0, reel_color color_0, reel_kind kind_1,
                           reel_color color_1) {
    reel_attributes a = reel_attributes_any();
    a.n_objects = 2;
    reel_attributes_set(&a, REEL_ATTRIBUTE_KIND, 0, kind_0);
    reel_attributes_set(&a, REEL_ATTRIBUTE_COLOR, 0, color_0);
    reel_attributes_set(&a, REEL_ATTRIBUTE_KIND, 1, kind_1);
    reel_attributes_set(&a, REEL_ATTRIBUTE_COLOR, 1, color_1);
    return a;
}

static int kind_of(const reel_attributes *a, reel_color color) {
    return reel_question_answer(a, REEL_QUESTION_KIND_OF + (int)color);
}

static void test_question_says_what_has_a_color(void **state) {
    (void)state;
    const reel_attributes a = two(REEL_KIND_BALL, REEL_COLOR_RED, REEL_KIND_CUBE, REEL_COLOR_BLUE);
    assert_int_equal(kind_of(&a, REEL_COLOR_RED), 1 + REEL_KIND_BALL);
    assert_int_equal(kind_of(&a, REEL_COLOR_BLUE), 1 + REEL_KIND_CUBE);
    assert_int_equal(kind_of(&a, REEL_COLOR_GREEN), 0);
    assert_string_equal(reel_question_name(REEL_QUESTION_KIND_OF + REEL_COLOR_WHITE),
                        "kind_of_white");
    assert_string_equal(reel_question_answer_name(REEL_QUESTION_KIND_OF, 0), "nothing");
    assert_string_equal(reel_question_answer_name(REEL_QUESTION_KIND_OF, 1 + REEL_KIND_CUBE),
                        "cube");
}

static void test_question_of_a_color_that_two_kinds_share_has_no_answer(void **state) {
    (void)state;
    const reel_attributes other =
        two(REEL_KIND_BALL, REEL_COLOR_RED, REEL_KIND_CUBE, REEL_COLOR_RED);
    const reel_attributes same =
        two(REEL_KIND_BALL, REEL_COLOR_RED, REEL_KIND_BALL, REEL_COLOR_RED);
    assert_int_equal(kind_of(&other, REEL_COLOR_RED), REEL_NO_ANSWER);
    assert_int_equal(kind_of(&same, REEL_COLOR_RED), 1 + REEL_KIND_BALL);
}

static void test_question_mirror_exchanges_left_and_right_alone(void **state) {
    (void)state;
    for (int q = 0; q < REEL_QUESTION_ALL; q++) {
        assert_int_equal(reel_question_mirrored(q, REEL_NO_ANSWER), REEL_NO_ANSWER);
        for (int i = 0; i < reel_question_answers(q); i++) {
            const int there = reel_question_mirrored(q, i);
            assert_int_equal(reel_question_mirrored(q, there), i);
            if (q != REEL_ATTRIBUTE_HEADING && q != REEL_ATTRIBUTE_CAMERA)
                assert_int_equal(there, i);
        }
    }
    assert_int_equal(reel_question_mirrored(REEL_ATTRIBUTE_HEADING, REEL_HEADING_LEFT),
                     REEL_HEADING_RIGHT);
    assert_int_equal(reel_question_mirrored(REEL_ATTRIBUTE_CAMERA, REEL_CAMERA_PAN_LEFT),
                     REEL_CAMERA_PAN_RIGHT);
    assert_int_equal(reel_question_mirrored(REEL_ATTRIBUTE_CAMERA, REEL_CAMERA_ORBIT_RIGHT),
                     REEL_CAMERA_ORBIT_LEFT);
    assert_int_equal(reel_question_mirrored(REEL_ATTRIBUTE_CAMERA, REEL_CAMERA_TILT_UP),
                     REEL_CAMERA_TILT_UP);
}

static void test_question_mirror_leaves_what_is_left_of_something(void **state) {
    (void)state;
    reel_attributes a = two(REEL_KIND_BALL, REEL_COLOR_RED, REEL_KIND_CUBE, REEL_COLOR_BLUE);
    a.relation = REEL_RELATION_BEHIND;
    assert_true(reel_question_mirrors(&a));
    a.relation = REEL_RELATION_LEFT_OF;
    assert_false(reel_question_mirrors(&a));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question_says_what_has_a_color),
        cmocka_unit_test(test_question_of_a_color_that_two_kinds_share_has_no_answer),
        cmocka_unit_test(test_question_mirror_exchanges_left_and_right_alone),
        cmocka_unit_test(test_question_mirror_leaves_what_is_left_of_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
