#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/env.h"

/* The sanitizers end the process at a request no machine can serve, unless told to return NULL as
 * malloc does. They look for functions of these names. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void) {
    return "allocator_may_return_null=1";
}

static int make_env(void **state) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 3;
    return reel_env_new(&options, (reel_env **)state) != REEL_OK;
}

static int free_env(void **state) {
    reel_env *env = *state;
    const int64_t held = env->allocator.bytes;
    reel_env_free(&env);
    return held != 0;
}

static const reel_tag_usage *usage_of(const reel_env *env, const char *tag) {
    for (int i = 0; i < env->allocator.n_tags; i++)
        if (strcmp(env->allocator.tag[i].tag, tag) == 0) return &env->allocator.tag[i];
    return NULL;
}

static void test_alloc_blocks_are_aligned(void **state) {
    reel_env *env = *state;
    for (int64_t bytes = 0; bytes < 300; bytes += 13) {
        char *block = reel_alloc(env, bytes, "aligned");
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % REEL_ALIGN, 0);
        memset(block, 1, (size_t)bytes);
        reel_free(env, block);
    }
}

static void test_alloc_accounts_by_tag(void **state) {
    reel_env *env = *state;
    const int64_t before = env->allocator.bytes;
    void *a = reel_alloc(env, 1000, "first");
    void *b = reel_alloc(env, 500, "second");
    void *c = reel_alloc(env, 24, "first");
    assert_int_equal(usage_of(env, "first")->bytes, 1024);
    assert_int_equal(usage_of(env, "second")->bytes, 500);
    assert_int_equal(env->allocator.bytes - before, 1524);
    reel_free(env, a);
    reel_free(env, c);
    reel_free(env, b);
    assert_int_equal(usage_of(env, "first")->bytes, 0);
    assert_int_equal(usage_of(env, "first")->peak_bytes, 1024);
    assert_int_equal(usage_of(env, "first")->n_calls, 2);
    assert_int_equal(env->allocator.bytes, before);
    assert_true(env->allocator.peak_bytes >= before + 1524);
}

static void test_alloc_tags_beyond_the_table_share_the_last(void **state) {
    (void)state;
    reel_env *env = NULL; /* its own: the table stays full */
    assert_int_equal(make_env((void **)&env), 0);
    static char name[REEL_MAX_TAGS + 8][16];
    void *block[REEL_MAX_TAGS + 8];
    for (int i = 0; i < REEL_MAX_TAGS + 8; i++) {
        snprintf(name[i], sizeof name[i], "tag %d", i);
        block[i] = reel_alloc(env, 10, name[i]);
    }
    assert_int_equal(env->allocator.n_tags, REEL_MAX_TAGS);
    assert_int_equal(usage_of(env, "other")->bytes, 90);
    for (int i = 0; i < REEL_MAX_TAGS + 8; i++)
        reel_free(env, block[i]);
    assert_int_equal(usage_of(env, "other")->bytes, 0);
    reel_env_free(&env);
}

static void test_alloc_peak_stays_when_memory_goes(void **state) {
    (void)state;
    reel_env *env = NULL; /* its own: peaks of other tests do not count */
    assert_int_equal(make_env((void **)&env), 0);
    void *large = reel_alloc(env, 1000, "peaks");
    reel_free(env, large);
    void *small = reel_alloc(env, 10, "peaks");
    assert_int_equal(env->allocator.bytes, 10);
    assert_int_equal(env->allocator.peak_bytes, 1000);
    assert_int_equal(usage_of(env, "peaks")->peak_bytes, 1000);
    reel_free(env, small);
    reel_env_free(&env);
}

static void test_calloc_zeroes_and_checks_the_product(void **state) {
    reel_env *env = *state;
    char *block = reel_calloc(env, 100, 3, "zeroed");
    for (int i = 0; i < 300; i++)
        assert_int_equal(block[i], 0);
    reel_free(env, block);
    reel_env_clear(env);
    assert_null(reel_calloc(env, INT64_MAX / 2, 3, "zeroed"));
    assert_non_null(strstr(reel_env_message(env), "zeroed"));
    assert_null(reel_calloc(env, INT64_C(1) << 62, 8, "zeroed")); /* wraps round to 0 */
    assert_null(reel_calloc(env, -1, 3, "zeroed"));
    reel_env_clear(env);
}

static void test_realloc_keeps_the_contents(void **state) {
    reel_env *env = *state;
    char *block = reel_realloc(env, NULL, 10, "grown");
    memcpy(block, "123456789", 10);
    block = reel_realloc(env, block, 100000, "grown");
    assert_string_equal(block, "123456789");
    block = reel_realloc(env, block, 5, "grown");
    assert_memory_equal(block, "12345", 5);
    reel_alloc_fail_at(env, 1);
    assert_null(reel_realloc(env, block, 10, "grown"));
    reel_alloc_fail_at(env, 0);
    assert_memory_equal(block, "12345", 5);
    reel_free(env, block);
    reel_env_clear(env);
}

static void test_alloc_fails_from_the_kth_call_on(void **state) {
    reel_env *env = *state;
    reel_alloc_fail_at(env, 3);
    void *a = reel_alloc(env, 1, "counted");
    void *b = reel_alloc(env, 1, "counted");
    assert_non_null(a);
    assert_non_null(b);
    assert_null(reel_alloc(env, 1, "counted"));
    assert_null(reel_strdup(env, "x", "counted"));
    assert_int_equal(env->status, REEL_E_NOMEM);
    reel_alloc_fail_at(env, 0);
    reel_free(env, a);
    reel_free(env, b);
    reel_env_clear(env);
}

static void test_alloc_refuses_more_than_there_is(void **state) {
    reel_env *env = *state;
    const int64_t before = env->allocator.bytes;
    assert_null(reel_alloc(env, INT64_MAX, "huge"));
    assert_null(reel_alloc(env, INT64_MAX / 4, "huge"));
    assert_int_equal(env->allocator.bytes, before);
    assert_non_null(strstr(reel_env_message(env), "huge: no memory for"));
    reel_env_clear(env);
}

static void churn(void *context, int64_t i, int lane) {
    (void)lane;
    reel_env *env = context;
    for (int round = 0; round < 50; round++) {
        char *block = reel_alloc(env, 1 + i * 10, i % 2 ? "odd" : "even");
        if (!block) continue;
        block[0] = (char)i;
        reel_free(env, block);
    }
}

static void test_alloc_from_every_lane_adds_up(void **state) {
    reel_env *env = *state;
    reel_parallel_for(env->threads, 40, churn, env);
    assert_int_equal(env->allocator.bytes, 0);
    assert_int_equal(usage_of(env, "odd")->n_calls, 20 * 50);
}

/* Large blocks are laid out for huge pages; they must behave as the others do. */
static void test_alloc_large_blocks_are_usable_to_the_end(void **state) {
    reel_env *env = *state;
    const int64_t bytes = (9 << 20) + 5;
    char *block = reel_alloc(env, bytes, "large");
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % REEL_ALIGN, 0);
    block[0] = 1;
    block[bytes - 1] = 2;
    reel_free(env, block);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc_blocks_are_aligned),
        cmocka_unit_test(test_alloc_accounts_by_tag),
        cmocka_unit_test(test_alloc_tags_beyond_the_table_share_the_last),
        cmocka_unit_test(test_alloc_peak_stays_when_memory_goes),
        cmocka_unit_test(test_calloc_zeroes_and_checks_the_product),
        cmocka_unit_test(test_realloc_keeps_the_contents),
        cmocka_unit_test(test_alloc_fails_from_the_kth_call_on),
        cmocka_unit_test(test_alloc_refuses_more_than_there_is),
        cmocka_unit_test(test_alloc_from_every_lane_adds_up),
        cmocka_unit_test(test_alloc_large_blocks_are_usable_to_the_end),
    };
    return cmocka_run_group_tests(tests, make_env, free_env);
}
