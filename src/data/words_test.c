#include "data/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"

typedef struct fixture {
    reel_env *env;
    reel_arena arena;
    reel_words words;
} fixture;

static int open_fixture(void **state) {
    static fixture f;
    f = (fixture){0};
    if (reel_env_new(NULL, &f.env) != REEL_OK) return 1;
    reel_arena_init(&f.arena, f.env, 4096, "test");
    *state = &f;
    return 0;
}

static int close_fixture(void **state) {
    fixture *f = *state;
    reel_arena_deinit(&f->arena);
    const bool leaks = f->env->allocator.bytes != 0;
    reel_env_free(&f->env);
    return leaks;
}

static reel_status read_words(fixture *f, bool json, const char *text) {
    return reel_words_read(f->env, &f->arena, "clip", text, (int64_t)strlen(text), json, &f->words);
}

static void test_words_of_text_are_its_lines(void **state) {
    fixture *f = *state;
    assert_int_equal(read_words(f, false, "\xef\xbb\xbf  a red  ball \r\n\n\ta boat"), REEL_OK);
    assert_int_equal(f->words.n_english, 2);
    assert_string_equal(f->words.english[0], "a red ball");
    assert_string_equal(f->words.english[1], "a boat");
    assert_int_equal(f->words.n_chinese, 0);
}

static void test_words_of_json_are_under_their_keys(void **state) {
    fixture *f = *state;
    assert_int_equal(read_words(f, true,
                                "{\"caption\":\"one\",\"width\":3,\"captions\":[\"two\","
                                "{\"text\":\"three\"},{\"text\":\"\xe7\x90\x83\","
                                "\"language\":\"zh\"}],\"captions_zh\":[\"\xe8\x88\xb9\"]}"),
                     REEL_OK);
    assert_int_equal(f->words.n_english, 3);
    assert_string_equal(f->words.english[0], "one");
    assert_string_equal(f->words.english[2], "three");
    assert_int_equal(f->words.n_chinese, 2);
    assert_string_equal(f->words.chinese[1], "\xe8\x88\xb9");
}

static void test_words_that_are_none_are_refused(void **state) {
    fixture *f = *state;
    static const struct {
        bool json;
        const char *text, *said;
    } bad[] = {{false, "caf\xe9", "clip: is not text in UTF-8"},
               {true, "{\"caption\":\"caf\xe9\"}", "clip"},
               {true, "not JSON", "clip"},
               {true, "[\"a\"]", "wanted an object"},
               {true, "{\"caption\":7}", "caption: wanted"},
               {true, "{\"captions\":[7]}", "captions[0]: wanted"},
               {true, "{\"captions\":{}}", "captions: wanted an array"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_words(f, bad[i].json, bad[i].text), REEL_E_FORMAT);
        if (!strstr(reel_env_message(f->env), bad[i].said))
            fail_msg("'%s' lacks '%s'", reel_env_message(f->env), bad[i].said);
        reel_env_clear(f->env);
    }
    assert_int_equal(reel_words_read(f->env, &f->arena, "clip", "a\0b", 3, false, &f->words),
                     REEL_E_FORMAT);
    assert_int_equal(f->words.n_english, 0);
}

static void test_words_pick_language_variant_and_length(void **state) {
    fixture *f = *state;
    char text[8];
    reel_words_pick(&f->words, false, 0, text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(read_words(f, true, "{\"captions\":[\"one\",\"two\"]}"), REEL_OK);
    reel_words_pick(&f->words, false, 5, text, sizeof text);
    assert_string_equal(text, "two");
    reel_words_pick(&f->words, true, 4, text, sizeof text); /* there is no Chinese */
    assert_string_equal(text, "one");
    assert_int_equal(
        read_words(f, true, "{\"caption_zh\":\"\xe7\x90\x83\xe7\x90\x83\xe7\x90\x83\"}"), REEL_OK);
    reel_words_pick(&f->words, true, 4, text, sizeof text); /* 9 bytes: two characters fit */
    assert_string_equal(text, "\xe7\x90\x83\xe7\x90\x83");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(test_words_of_text_are_its_lines),
        TEST(test_words_of_json_are_under_their_keys),
        TEST(test_words_that_are_none_are_refused),
        TEST(test_words_pick_language_variant_and_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
