#include "world/reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_out.h"

/* What is understood and what is not of a prompt, in room for `bytes`. */
static void expect(const char *prompt, int bytes, const char *understood, const char *unknown) {
    char text[512];
    reel_understood u;
    reel_prompt_understand(prompt, (int64_t)strlen(prompt), &u);
    reel_reading_understood(&u, text, bytes);
    assert_string_equal(text, understood);
    reel_reading_unknown(&u, prompt, text, bytes);
    assert_string_equal(text, unknown);
}

static void test_reading_says_what_was_understood(void **state) {
    (void)state;
    expect("a small red metal ball bounces on grass at sunset", 512,
           "small red metal ball (bounce); ground grass, sky sunset", "");
    expect("a house", 512, "house", "");
    expect("at night", 512, "sky night", "");
}

static void test_reading_names_the_words_it_does_not_know(void **state) {
    (void)state;
    expect("a green dragon flies over a red house", 512, "red house", "'dragon', 'flies'");
    expect("quarrel", 512, "", "'quarrel'");
    expect("一条龙", 512, "", "'条龙'");
}

static void test_reading_cuts_between_pieces(void **state) {
    (void)state;
    expect("a red ball bounces on grass, zzzz yyyy xxxx", 16, "red ball, ...", "'zzzz', ...");
    expect("龙龙龙龙龙龙龙龙龙龙", 16, "", "...");
    char text[512];
    char prompt[600] = "";
    for (int i = 0; i < 40; i++)
        strcat(prompt, "quux blub ");
    reel_understood u;
    reel_prompt_understand(prompt, (int64_t)strlen(prompt), &u);
    reel_reading_unknown(&u, prompt, text, sizeof text);
    assert_non_null(strstr(text, "and 64 more"));
    assert_true(reel_utf8_valid(text));
}

static void test_reading_lists_all_kinds(void **state) {
    (void)state;
    char text[256];
    reel_reading_kinds(text, sizeof text);
    for (int i = 0; i < REEL_KIND_COUNT; i++)
        assert_non_null(strstr(text, reel_attribute_value_name(REEL_ATTRIBUTE_KIND, i)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading_says_what_was_understood),
        cmocka_unit_test(test_reading_names_the_words_it_does_not_know),
        cmocka_unit_test(test_reading_cuts_between_pieces),
        cmocka_unit_test(test_reading_lists_all_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
