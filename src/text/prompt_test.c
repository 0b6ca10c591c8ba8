#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "text/entities.h"
#include "text/prompt.h"
#include "text/unicode.h"

static int set_up(void **state) {
    return reel_env_new(NULL, (reel_env **)state) != REEL_OK;
}

static int tear_down(void **state) {
    reel_env *env = *state;
    const bool leaks = env->allocator.bytes != 0;
    reel_env_free(&env);
    return leaks;
}

typedef struct pair {
    const char *given;
    const char *wanted;
} pair;

static void expect_clean(void **state, const pair *pairs, size_t n) {
    reel_env *env = *state;
    for (size_t i = 0; i < n; i++) {
        char *clean = NULL;
        int64_t bytes = 0;
        const int64_t given = (int64_t)strlen(pairs[i].given);
        assert_int_equal(reel_prompt_clean(env, pairs[i].given, given, &clean, &bytes), REEL_OK);
        if (strcmp(clean, pairs[i].wanted) != 0)
            fail_msg("'%s' became '%s', wanted '%s'", pairs[i].given, clean, pairs[i].wanted);
        assert_int_equal(bytes, strlen(clean));
        reel_free(env, clean);
    }
}
#define EXPECT_CLEAN(pairs) expect_clean(state, pairs, sizeof(pairs) / sizeof(pairs)[0])

static void test_prompt_leaves_text_as_it_is(void **state) {
    static const pair pairs[] = {
        {"", ""},
        {"a red ball", "a red ball"},
        {"一个红色的球在草地上弹跳", "一个红色的球在草地上弹跳"},
        {"café Ångström Brontë naïve", "café Ångström Brontë naïve"},
        {"a boat 🚤 and a family 👨‍👩‍👧",
         "a boat 🚤 and a family 👨‍👩‍👧"},
        {"Привет, Ελλάδα", "Привет, Ελλάδα"},
        {"IKEA® costs 5€ — or £4", "IKEA® costs 5€ — or £4"},
        {"not such a fan of Charlotte Brontë…", "not such a fan of Charlotte Brontë…"},
        {"ÜBER ÉCOLE ÑANDÚ", "ÜBER ÉCOLE ÑANDÚ"},
    };
    EXPECT_CLEAN(pairs);
}

static void test_prompt_collapses_unicode_whitespace(void **state) {
    static const pair pairs[] = {
        {"  a\t\tred\n\nball \r\n", "a red ball"},
        {"a\xc2\xa0red\xe2\x80\x89\xe3\x80\x80"
         "ball",
         "a red ball"},
        {"\xe2\x80\xa8"
         "a\xe2\x80\xa9"
         "b\xe1\x9a\x80"
         "c\xe2\x80\xaf"
         "d\xe2\x81\x9f",
         "a b c d"},
        {" \n\t ", ""},
    };
    EXPECT_CLEAN(pairs);
}

static void test_prompt_unescapes_references(void **state) {
    static const pair pairs[] = {
        {"salt &amp; pepper", "salt & pepper"},
        {"salt &amp;amp; pepper &amp;amp;amp;amp;lt;", "salt & pepper <"},
        {"&eacute;&#233;&#xe9;&#XE9;", "éééé"},
        {"caf&eacute au lait", "café au lait"},
        {"&notit; &not &unknown; &;&", "¬it; ¬ &unknown; &;&"},
        {"&hearts;&rarr;&hellip;&nbsp;x", "♥→… x"},
        {"&#150;&#x80;", "–€"},
        {"&#0;&#xd800;&#x110000;&#99999999999;",
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"a&#7;b&#xffff;c&#;d&#x;", "abc&#;d&#x;"},
        {"AT&T &AMP; R&D", "AT&T & R&D"},
    };
    EXPECT_CLEAN(pairs);
}

/* With a '<' the text may be HTML itself: two levels are taken away, not all. */
static void test_prompt_unescapes_html_twice_only(void **state) {
    static const pair pairs[] = {
        {"<b> &amp;amp;lt;", "<b> &lt;"},
        {"&amp;amp;lt; \n<b> &amp;amp;lt;", "< <b> &lt;"},
    };
    EXPECT_CLEAN(pairs);
}

static void test_prompt_repairs_mojibake(void **state) {
    static const pair pairs[] = {
        {"caf\u00c3\u00a9 on the beach", "café on the beach"},
        {"\u00c3\u00banico", "único"},
        {"This \u00e2\u20ac\u201d should be an em dash", "This — should be an em dash"},
        {"\u00e2\u20ac\u0153quoted\u00e2\u20ac\xc2\x9d", "\"quoted\""},
        {"it\u00e2\u20ac\u2122s", "it's"},
        {"\u00f0\u0178\u02dc\xc2\x81", "😁"},
        {"\u00c3\u00a0\u00c2\u00b2\u00c2\u00a0_\u00c3\u00a0\u00c2\u00b2\u00c2\u00a0", "ಠ_ಠ"},
        {"\u00e4\u00b8\u00ad\u00e6\u2013\u2021", "中文"},
        {"voil\u00c3 le travail", "voilà le travail"},
        {"never UTF-8 at all\xc2\x85", "never UTF-8 at all…"},
        /* among characters of no code page, by runs */
        {"红色的球 caf\u00c3\u00a9 \u00e2\u20ac\u201d", "红色的球 café —"},
    };
    EXPECT_CLEAN(pairs);
}

/* Appends a character as UTF-8 to sound, and as UTF-8 of UTF-8 read as Windows-1252 to broken. */
static void append_both(uint32_t code, char *sound, char *broken) {
    char bytes[4];
    const int length = reel_utf8_put(code, bytes);
    strncat(sound, bytes, (size_t)length);
    for (int i = 0; i < length; i++) {
        char again[5] = {0};
        const uint8_t byte = (uint8_t)bytes[i];
        reel_utf8_put(byte >= 0x80 && byte < 0xa0 ? reel_windows_1252(byte) : byte, again);
        strcat(broken, again);
    }
}

static void test_prompt_repairs_whatever_was_chinese_or_emoji(void **state) {
    static const uint32_t first[] = {0x3042, 0x4e00, 0x5b50,  0x6c49,
                                     0x7ea2, 0x8f66, 0x1f600, 0x1f680};
    for (size_t k = 0; k < sizeof first / sizeof first[0]; k++)
        for (uint32_t i = 0; i < 64; i++) {
            char sound[64] = "a ";
            char broken[200] = "a ";
            for (uint32_t j = 0; j < 6; j++)
                append_both(first[k] + 7 * i % 64 + j, sound, broken);
            const pair one = {broken, sound};
            expect_clean(state, &one, 1);
        }
}

static void test_prompt_makes_characters_plain(void **state) {
    static const pair pairs[] = {
        {"\u201cit\u2019s\u201d \u2018so\u2019", "\"it's\" 'so'"},
        {"\ufb02uffy \ufb03x \u0132 \u01c4 \u0149", "fluffy ffix IJ D\u017d 'n"},
        {"\uff32\uff25\uff24\u3000\uff01", "RED !"},
        {"a\x01 b\x7f\ufeff c\ufffa d\u206a", "a b c d"},
        {"\x1b[36;44mblue\x1b[0m sea \x1b[x \x1b[1", "blue sea [1"},
        {"\ufb03\ufb03\ufb03", "ffiffiffi"},
    };
    EXPECT_CLEAN(pairs);
}

static void test_prompt_replaces_malformed_bytes(void **state) {
    static const pair pairs[] = {
        {"a\xff"
         "b",
         "a\ufffd"
         "b"},
        {"\xe4\xb8 x \xc0\x80 \xed\xa0\x80", "\ufffd x \ufffd\ufffd \ufffd\ufffd\ufffd"},
        {"\xf0\x9f\x98", "\ufffd"},
    };
    EXPECT_CLEAN(pairs);
}

static void test_prompt_takes_zero_bytes_and_nothing(void **state) {
    reel_env *env = *state;
    char *clean = NULL;
    assert_int_equal(reel_prompt_clean(env, "a\0b", 3, &clean, NULL), REEL_OK);
    assert_string_equal(clean, "ab");
    reel_free(env, clean);
    assert_int_equal(reel_prompt_clean(env, NULL, 0, &clean, NULL), REEL_OK);
    assert_string_equal(clean, "");
    reel_free(env, clean);
}

static void test_prompt_refuses_a_book(void **state) {
    char *clean = NULL;
    assert_int_equal(reel_prompt_clean(*state, "x", (1 << 20) + 1, &clean, NULL), REEL_E_ARG);
    assert_string_equal(reel_env_message(*state), "a prompt of 1048577 bytes, wanted 0 to 1048576");
}

/* References nested as deep as the text is long cost rounds, and rounds are counted. */
static void test_prompt_ends_on_nested_references(void **state) {
    static char nested[40001];
    reel_env *env = *state;
    nested[0] = '&';
    for (int i = 1; i + 4 <= 40000; i += 4)
        memcpy(nested + i, "amp;", 4);
    char *clean = NULL;
    assert_int_equal(reel_prompt_clean(env, nested, 40000, &clean, NULL), REEL_OK);
    assert_int_equal(clean[0], '&');
    reel_free(env, clean);
}

static void test_utf8_writes_what_it_reads(void **state) {
    (void)state;
    for (uint32_t code = 0; code <= REEL_MAX_CODE; code += code < 0x1000 ? 1 : 37) {
        char text[4];
        int used = 0;
        bool valid = false;
        if (code >= 0xd800 && code <= 0xdfff) continue;
        const int length = reel_utf8_put(code, text);
        assert_int_equal(reel_utf8_get(text, length, &used, &valid), code);
        assert_int_equal(used, length);
        assert_true(valid);
        if (length > 1) assert_int_equal(reel_utf8_get(text, length - 1, &used, &valid), 0xfffd);
        assert_true(length == 1 || !valid);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompt_leaves_text_as_it_is),
        cmocka_unit_test(test_prompt_collapses_unicode_whitespace),
        cmocka_unit_test(test_prompt_unescapes_references),
        cmocka_unit_test(test_prompt_unescapes_html_twice_only),
        cmocka_unit_test(test_prompt_repairs_mojibake),
        cmocka_unit_test(test_prompt_repairs_whatever_was_chinese_or_emoji),
        cmocka_unit_test(test_prompt_makes_characters_plain),
        cmocka_unit_test(test_prompt_replaces_malformed_bytes),
        cmocka_unit_test(test_prompt_takes_zero_bytes_and_nothing),
        cmocka_unit_test(test_prompt_refuses_a_book),
        cmocka_unit_test(test_prompt_ends_on_nested_references),
        cmocka_unit_test(test_utf8_writes_what_it_reads),
    };
    return cmocka_run_group_tests_name("prompt", tests, set_up, tear_down);
}
