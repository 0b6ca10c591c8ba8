#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/env.h"
#include "base/json.h"

static int make_env(void **state) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    return reel_env_new(&options, (reel_env **)state) != REEL_OK;
}

static int free_env(void **state) {
    reel_env *env = *state;
    const int64_t held = env->allocator.bytes;
    reel_env_free(&env);
    return held != 0;
}

static reel_json_doc *parse(reel_env *env, const char *text) {
    reel_json_doc *doc = NULL;
    assert_int_equal(reel_json_parse(env, text, (int64_t)strlen(text), "x.json", &doc), REEL_OK);
    return doc;
}

static void expect_message(reel_env *env, const char *wanted) {
    assert_string_equal(reel_env_message(env), wanted);
    reel_env_clear(env);
}

static void test_json_getters_read_each_type(void **state) {
    reel_env *env = *state;
    reel_json_doc *doc =
        parse(env, "{\"i\":-3,\"r\":0.25,\"t\":true,\"s\":\"caf\\u00e9\",\"n\":null,"
                   "\"a\":[1,2.5],\"o\":{\"k\":7}}");
    const reel_json root = reel_json_root(doc);
    int64_t i = 0;
    double r = 0;
    bool t = false;
    const char *s = NULL;
    assert_int_equal(reel_json_int(&root, "i", -3, 3, &i), REEL_OK);
    assert_int_equal(i, -3);
    assert_int_equal(reel_json_real(&root, "r", 0, 1, &r), REEL_OK);
    assert_true(r == 0.25);
    assert_int_equal(reel_json_real(&root, "i", -10, 1, &r), REEL_OK);
    assert_true(r == -3.0);
    assert_int_equal(reel_json_bool(&root, "t", &t), REEL_OK);
    assert_true(t);
    assert_int_equal(reel_json_string(&root, "s", &s), REEL_OK);
    assert_string_equal(s, "caf\xc3\xa9");
    reel_json a;
    reel_json o;
    assert_int_equal(reel_json_array(&root, "a", &a), REEL_OK);
    assert_int_equal(reel_json_count(&a), 2);
    const reel_json item = reel_json_item(&a, 1);
    assert_int_equal(reel_json_real(&item, NULL, 0, 9, &r), REEL_OK);
    assert_true(r == 2.5);
    assert_int_equal(reel_json_object(&root, "o", &o), REEL_OK);
    assert_int_equal(reel_json_int(&o, "k", 0, 9, &i), REEL_OK);
    assert_int_equal(i, 7);
    assert_true(reel_json_has(&root, "n"));
    assert_false(reel_json_has(&root, "absent"));
    reel_json_free(&doc);
    assert_null(doc);
}

static void test_json_fallbacks_stand_in_for_missing_and_null(void **state) {
    reel_env *env = *state;
    reel_json_doc *doc = parse(env, "{\"n\":null,\"i\":5}");
    const reel_json root = reel_json_root(doc);
    int64_t i = 0;
    double r = 0;
    bool b = false;
    const char *s = NULL;
    assert_int_equal(reel_json_int_or(&root, "n", 0, 9, 4, &i), REEL_OK);
    assert_int_equal(i, 4);
    assert_int_equal(reel_json_int_or(&root, "i", 0, 9, 4, &i), REEL_OK);
    assert_int_equal(i, 5);
    assert_int_equal(reel_json_real_or(&root, "absent", 0, 9, 0.5, &r), REEL_OK);
    assert_true(r == 0.5);
    assert_int_equal(reel_json_bool_or(&root, "absent", true, &b), REEL_OK);
    assert_true(b);
    assert_int_equal(reel_json_string_or(&root, "n", "word", &s), REEL_OK);
    assert_string_equal(s, "word");
    assert_int_equal(reel_json_int_or(&root, "i", 6, 9, 4, &i), REEL_E_FORMAT);
    reel_env_clear(env);
    reel_json_free(&doc);
}

static void test_json_messages_name_the_path_and_both_sides(void **state) {
    reel_env *env = *state;
    reel_json_doc *doc = parse(
        env, "{\"layers\":[{\"heads\":12},{\"heads\":\"many\"}],\"width\":4096,\"act\":\"relu\"}");
    const reel_json root = reel_json_root(doc);
    reel_json layers;
    int64_t i = 77;
    double r = 77;
    bool b = false;
    const char *s = NULL;
    int choice = 77;
    assert_int_equal(reel_json_array(&root, "layers", &layers), REEL_OK);
    const reel_json layer = reel_json_item(&layers, 1);
    assert_int_equal(reel_json_int(&layer, "heads", 1, 1024, &i), REEL_E_FORMAT);
    expect_message(env, "x.json: layers[1].heads: wanted an integer in [1,1024], got \"many\"");
    assert_int_equal(reel_json_int(&root, "width", 1, 1024, &i), REEL_E_FORMAT);
    expect_message(env, "x.json: width: wanted an integer in [1,1024], got 4096");
    assert_int_equal(reel_json_int(&layer, "depth", 1, 2, &i), REEL_E_FORMAT);
    expect_message(env, "x.json: layers[1].depth: is missing");
    assert_int_equal(reel_json_real(&root, "width", 0, 0.5, &r), REEL_E_FORMAT);
    expect_message(env, "x.json: width: wanted a number in [0,0.5], got 4096");
    assert_int_equal(reel_json_bool(&root, "layers", &b), REEL_E_FORMAT);
    expect_message(env, "x.json: layers: wanted true or false, got an array of 2");
    assert_int_equal(reel_json_string(&root, "width", &s), REEL_E_FORMAT);
    expect_message(env, "x.json: width: wanted a string, got 4096");
    static const char *const words[] = {"silu", "gelu"};
    assert_int_equal(reel_json_choice(&root, "act", words, 2, &choice), REEL_E_FORMAT);
    expect_message(env, "x.json: act: wanted one of \"silu\" \"gelu\", got \"relu\"");
    reel_json inner;
    assert_int_equal(reel_json_object(&root, "width", &inner), REEL_E_FORMAT);
    expect_message(env, "x.json: width: wanted an object, got 4096");
    assert_int_equal(reel_json_array(&root, "act", &inner), REEL_E_FORMAT);
    expect_message(env, "x.json: act: wanted an array, got \"relu\"");
    assert_int_equal(reel_json_int(&layers, "heads", 1, 2, &i), REEL_E_FORMAT);
    expect_message(env, "x.json: layers: wanted an object, got an array of 2");
    assert_int_equal(i, 77); /* results are written on success only */
    assert_int_equal(choice, 77);
    reel_json_free(&doc);
}

static void test_json_ranges_include_both_ends(void **state) {
    reel_env *env = *state;
    reel_json_doc *doc = parse(env, "[-2,2,-3,3]");
    const reel_json root = reel_json_root(doc);
    for (int64_t k = 0; k < 4; k++) {
        const reel_json item = reel_json_item(&root, k);
        int64_t i = 0;
        double x = 0;
        const reel_status wanted = k < 2 ? REEL_OK : REEL_E_FORMAT;
        assert_int_equal(reel_json_int(&item, NULL, -2, 2, &i), wanted);
        assert_int_equal(reel_json_real(&item, NULL, -2, 2, &x), wanted);
    }
    reel_env_clear(env);
    reel_json_free(&doc);
}

static void test_json_choice_gives_the_index(void **state) {
    reel_env *env = *state;
    reel_json_doc *doc = parse(env, "{\"act\":\"gelu\"}");
    const reel_json root = reel_json_root(doc);
    static const char *const words[] = {"silu", "gelu"};
    int choice = 77;
    assert_int_equal(reel_json_choice(&root, "act", words, 2, &choice), REEL_OK);
    assert_int_equal(choice, 1);
    reel_json_free(&doc);
}

static void test_json_walks_in_the_order_of_the_text(void **state) {
    reel_env *env = *state;
    reel_json_doc *doc = parse(env, "{\"z\":1,\"a\":2,\"m\":3}");
    const reel_json root = reel_json_root(doc);
    char order[4] = "";
    int64_t sum = 0;
    for (reel_json_entry e = reel_json_first(&root); e.key; e = reel_json_next(&root, e)) {
        int64_t i = 0;
        strcat(order, e.key);
        assert_int_equal(reel_json_int(&e.value, NULL, 0, 9, &i), REEL_OK);
        sum += i;
    }
    assert_string_equal(order, "zam");
    assert_int_equal(sum, 6);
    reel_json_free(&doc);
}

static void test_json_only_names_the_stranger(void **state) {
    reel_env *env = *state;
    reel_json_doc *doc = parse(env, "{\"a\":1,\"b\":2,\"\\u001b[31mc\":3}");
    const reel_json root = reel_json_root(doc);
    static const char *const keys[] = {"a", "b"};
    assert_int_equal(reel_json_only(&root, keys, 2), REEL_E_FORMAT);
    expect_message(env, "x.json: ?[31mc: is not a known key"); /* no escapes into a terminal */
    static const char *const all[] = {"a", "b", "\033[31mc"};
    assert_int_equal(reel_json_only(&root, all, 3), REEL_OK);
    reel_json_free(&doc);
}

static void test_json_refuses_what_is_no_json(void **state) {
    reel_env *env = *state;
    static const char *const bad[][2] = {
        {"", "end of file"},
        {"{", "string or '}' expected near end of file"},
        {"{} x", "end of file expected near 'x'"},
        {"{\"a\":1,\"a\":2}", "duplicate object key near '\"a\"'"},
        {"{\"a\":9223372036854775808}", "too big integer"},
        {"{\"a\":1e999}", "real number overflow"},
        {"[\"\xff\"]", "unable to decode byte 0xff"},
        {"[\"\\u0000\"]", "\\u0000 is not allowed"},
        {"[NaN]", "invalid token near 'NaN'"},
        {"[01]", "invalid token"},
        {"[1,]", "unexpected token near ']'"},
        {"{'a':1}", "string or '}' expected"},
        {"[\"\\ud800\"]", "invalid Unicode"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        reel_json_doc *doc = NULL;
        assert_int_equal(
            reel_json_parse(env, bad[i][0], (int64_t)strlen(bad[i][0]), "bad.json", &doc),
            REEL_E_FORMAT);
        assert_null(doc);
        const char *message = reel_env_message(env);
        if (!strstr(message, bad[i][1])) fail_msg("%s: got %s", bad[i][0], message);
        assert_non_null(strstr(message, "bad.json: line "));
        reel_env_clear(env);
    }
}

static void test_json_refuses_a_deep_nest(void **state) {
    reel_env *env = *state;
    static char deep[100000];
    memset(deep, '[', sizeof deep);
    reel_json_doc *doc = NULL;
    assert_int_equal(reel_json_parse(env, deep, sizeof deep, "deep", &doc), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(env), "maximum parsing depth reached"));
    reel_env_clear(env);
}

static void test_json_long_names_are_cut_in_messages(void **state) {
    reel_env *env = *state;
    char text[4096] = "{\"";
    for (int i = 0; i < 700; i++)
        strcat(text, "\xe2\x82\xac"); /* a euro sign: three bytes */
    strcat(text, "\":1}");
    reel_json_doc *doc = parse(env, text);
    const reel_json root = reel_json_root(doc);
    assert_int_equal(reel_json_only(&root, NULL, 0), REEL_E_FORMAT);
    assert_true(strlen(reel_env_message(env)) < 200);
    assert_non_null(strstr(reel_env_message(env), "\xe2\x82\xac...: is not a known key"));
    reel_env_clear(env);
    reel_json_free(&doc);
}

static void test_json_deep_paths_fit_the_message(void **state) {
    reel_env *env = *state;
    enum { DEPTH = 300 };
    static char text[8 * DEPTH + 2];
    for (int i = 0; i < DEPTH; i++)
        strcat(text, "{\"key\":");
    strcat(text, "1");
    for (int i = 0; i < DEPTH; i++)
        strcat(text, "}");
    reel_json_doc *doc = parse(env, text);
    static reel_json at[DEPTH];
    at[0] = reel_json_root(doc);
    for (int i = 1; i < DEPTH; i++)
        assert_int_equal(reel_json_object(&at[i - 1], "key", &at[i]), REEL_OK);
    const char *s = NULL;
    assert_int_equal(reel_json_string(&at[DEPTH - 1], "key", &s), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(env), "x.json: key.key.key"));
    reel_env_clear(env);
    reel_json_free(&doc);
}

static void test_json_load_reports_the_file(void **state) {
    reel_env *env = *state;
    reel_json_doc *doc = NULL;
    assert_int_equal(reel_json_load(env, "no/such/config.json", &doc), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(env), "no/such/config.json: cannot open"));
    reel_env_clear(env);
}

static void test_json_words_and_lines_of_values(void **state) {
    reel_env *env = *state;
    const char *const text = "{\"a\": [1.5,\n true, {\"k\\\"}\": \"]\\\"\", \"b\":\n\"x,y\"}],\n"
                             "  \"c\": null, \"d\" :\n\n 7}";
    const int64_t bytes = (int64_t)strlen(text);
    reel_json_doc *doc = NULL;
    char words[8];
    assert_int_equal(reel_json_parse(env, text, bytes, "x", &doc), REEL_OK);
    const reel_json root = reel_json_root(doc);
    reel_json list;
    assert_int_equal(reel_json_array(&root, "a", &list), REEL_OK);
    const reel_json number = reel_json_item(&list, 0), yes = reel_json_item(&list, 1),
                    object = reel_json_item(&list, 2);
    assert_int_equal(reel_json_words(&number, words, sizeof words), REEL_OK);
    assert_string_equal(words, "1.5");
    assert_int_equal(reel_json_words(&yes, words, sizeof words), REEL_OK);
    assert_string_equal(words, "true");
    assert_int_equal(reel_json_words(&object, words, sizeof words), REEL_E_FORMAT);
    assert_int_equal(reel_json_line(&root, text, bytes), 1);
    assert_int_equal(reel_json_line(&list, text, bytes), 1);
    assert_int_equal(reel_json_line(&yes, text, bytes), 2);
    assert_int_equal(reel_json_line(&object, text, bytes), 2);
    const int line_of[] = {2, 3}; /* the first key is written with an escape */
    int i = 0;
    for (reel_json_entry e = reel_json_first(&object); e.key; e = reel_json_next(&object, e))
        assert_int_equal(reel_json_line(&e.value, text, bytes), line_of[i++]);
    assert_int_equal(i, 2);
    const int line_of_root[] = {1, 4, 6};
    i = 0;
    for (reel_json_entry e = reel_json_first(&root); e.key; e = reel_json_next(&root, e))
        assert_int_equal(reel_json_line(&e.value, text, bytes), line_of_root[i++]);
    assert_int_equal(reel_json_words(&object, words, 3), REEL_E_FORMAT);
    reel_env_clear(env);
    reel_json_free(&doc);
}

static void test_json_parse_survives_every_failing_allocation(void **state) {
    reel_env *env = *state;
    for (int k = 1; k <= 2; k++) {
        reel_json_doc *doc = NULL;
        reel_alloc_fail_at(env, k);
        assert_int_equal(reel_json_parse(env, "{}", 2, "x", &doc), REEL_E_NOMEM);
        reel_alloc_fail_at(env, 0);
        assert_null(doc);
        assert_int_equal(env->allocator.bytes, 0);
        reel_env_clear(env);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_getters_read_each_type),
        cmocka_unit_test(test_json_fallbacks_stand_in_for_missing_and_null),
        cmocka_unit_test(test_json_messages_name_the_path_and_both_sides),
        cmocka_unit_test(test_json_ranges_include_both_ends),
        cmocka_unit_test(test_json_choice_gives_the_index),
        cmocka_unit_test(test_json_walks_in_the_order_of_the_text),
        cmocka_unit_test(test_json_only_names_the_stranger),
        cmocka_unit_test(test_json_refuses_what_is_no_json),
        cmocka_unit_test(test_json_refuses_a_deep_nest),
        cmocka_unit_test(test_json_long_names_are_cut_in_messages),
        cmocka_unit_test(test_json_deep_paths_fit_the_message),
        cmocka_unit_test(test_json_load_reports_the_file),
        cmocka_unit_test(test_json_words_and_lines_of_values),
        cmocka_unit_test(test_json_parse_survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, make_env, free_env);
}
