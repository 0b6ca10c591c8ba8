#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/env.h"
#include "base/json.h"
#include "base/json_out.h"
#include "base/rng.h"

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

static void expect_text(reel_json_out *out, const char *wanted) {
    const char *text = NULL;
    int64_t bytes = 0;
    assert_int_equal(reel_json_out_text(out, &text, &bytes), REEL_OK);
    assert_string_equal(text, wanted);
    assert_int_equal(bytes, strlen(wanted));
    reel_json_out_deinit(out);
}

static void test_json_out_puts_keys_with_their_values(void **state) {
    reel_json_out out;
    reel_json_out_init(&out, *state);
    reel_json_out_object_begin(&out);
    reel_json_out_put_string(&out, "a", "x");
    reel_json_out_put_string(&out, "b", NULL);
    reel_json_out_put_int(&out, "c", -3);
    reel_json_out_put_real(&out, "d", 0.5);
    reel_json_out_end(&out);
    expect_text(&out, "{\"a\":\"x\",\"b\":null,\"c\":-3,\"d\":0.5}");
}

static void test_json_out_writes_nested_values(void **state) {
    reel_json_out out;
    reel_json_out_init(&out, *state);
    reel_json_out_object_begin(&out);
    reel_json_out_key(&out, "shape");
    reel_json_out_array_begin(&out);
    reel_json_out_int(&out, 2);
    reel_json_out_int(&out, INT64_MIN);
    reel_json_out_end(&out);
    reel_json_out_key(&out, "empty");
    reel_json_out_object_begin(&out);
    reel_json_out_end(&out);
    reel_json_out_key(&out, "ok");
    reel_json_out_bool(&out, true);
    reel_json_out_key(&out, "none");
    reel_json_out_null(&out);
    reel_json_out_end(&out);
    expect_text(&out,
                "{\"shape\":[2,-9223372036854775808],\"empty\":{},\"ok\":true,\"none\":null}");
}

static void test_json_out_escapes_strings(void **state) {
    reel_json_out out;
    reel_json_out_init(&out, *state);
    reel_json_out_string(&out, "a\"b\\c\n\t\r\b\f\x01\x0b\x1f caf\xc3\xa9 \xf0\x9f\x8e\xac");
    expect_text(&out, "\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\\u000b\\u001f caf\xc3\xa9 "
                      "\xf0\x9f\x8e\xac\"");
}

/* Overlong forms, surrogates, a cut sequence, a lone continuation, above U+10FFFF. */
static void test_json_out_replaces_what_is_not_utf8(void **state) {
    static const char *const bad[] = {
        "\xff",         "\x80",     "\xc0\xaf",         "\xe0\x80\xaf",
        "\xed\xa0\x80", "\xe2\x82", "\xf4\x90\x80\x80", "\xf0\x9f"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        reel_json_out out;
        reel_json_out_init(&out, *state);
        reel_json_out_string(&out, bad[i]);
        const char *text = NULL;
        int64_t bytes = 0;
        assert_int_equal(reel_json_out_text(&out, &text, &bytes), REEL_OK);
        assert_non_null(strstr(text, "\xef\xbf\xbd"));
        reel_json_doc *doc = NULL; /* and it can be read */
        assert_int_equal(reel_json_parse(*state, text, bytes, "written", &doc), REEL_OK);
        reel_json_free(&doc);
        reel_json_out_deinit(&out);
    }
}

static void test_json_out_reals_read_back_the_same(void **state) {
    reel_env *env = *state;
    enum { N = 500 };
    double x[N] = {0.0, 1.0, 0.1, -2.5, 1e300, DBL_MIN, DBL_MAX, 1.0 / 3, 123456789.0, 0x1p-1074};
    for (uint64_t i = 10; i < N; i++) {
        const reel_rng_block r = reel_rng(1, 2, i);
        x[i] = ldexp((double)r.word[0] + (double)r.word[1] * 0x1p-32, (int)(r.word[2] % 200) - 100);
    }
    reel_json_out out;
    reel_json_out_init(&out, env);
    reel_json_out_array_begin(&out);
    for (int i = 0; i < N; i++)
        reel_json_out_real(&out, x[i]);
    reel_json_out_end(&out);
    const char *text = NULL;
    int64_t bytes = 0;
    assert_int_equal(reel_json_out_text(&out, &text, &bytes), REEL_OK);
    assert_memory_equal(text, "[0.0,1.0,0.1,-2.5,1e+300,", 25);
    reel_json_doc *doc = NULL;
    assert_int_equal(reel_json_parse(env, text, bytes, "written", &doc), REEL_OK);
    const reel_json root = reel_json_root(doc);
    for (int i = 0; i < N; i++) {
        const reel_json item = reel_json_item(&root, i);
        double back = 0;
        assert_int_equal(reel_json_real(&item, NULL, -DBL_MAX, DBL_MAX, &back), REEL_OK);
        assert_true(back == x[i]);
    }
    reel_json_free(&doc);
    reel_json_out_deinit(&out);
}

static void test_json_out_has_null_for_what_is_not_finite(void **state) {
    reel_json_out out;
    reel_json_out_init(&out, *state);
    reel_json_out_array_begin(&out);
    reel_json_out_real(&out, (double)NAN);
    reel_json_out_real(&out, (double)INFINITY);
    reel_json_out_end(&out);
    expect_text(&out, "[null,null]");
}

static void test_json_out_failure_sticks(void **state) {
    reel_env *env = *state;
    for (int k = 1; k <= 2; k++) {
        reel_json_out out;
        reel_json_out_init(&out, env);
        reel_alloc_fail_at(env, k);
        reel_json_out_array_begin(&out);
        for (int i = 0; i < 200; i++)
            reel_json_out_int(&out, i);
        reel_alloc_fail_at(env, 0);
        reel_json_out_end(&out);
        const char *text = NULL;
        int64_t bytes = 0;
        assert_int_equal(reel_json_out_text(&out, &text, &bytes), REEL_E_NOMEM);
        assert_null(text);
        reel_json_out_deinit(&out);
        reel_env_clear(env);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_out_puts_keys_with_their_values),
        cmocka_unit_test(test_json_out_writes_nested_values),
        cmocka_unit_test(test_json_out_escapes_strings),
        cmocka_unit_test(test_json_out_replaces_what_is_not_utf8),
        cmocka_unit_test(test_json_out_reals_read_back_the_same),
        cmocka_unit_test(test_json_out_has_null_for_what_is_not_finite),
        cmocka_unit_test(test_json_out_failure_sticks),
    };
    return cmocka_run_group_tests(tests, make_env, free_env);
}
