#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/arena.h"
#include "base/env.h"

static int make_env(void **state) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    return reel_env_new(&options, (reel_env **)state) != REEL_OK;
}

/* Every test leaves the allocator empty. */
static int free_env(void **state) {
    reel_env *env = *state;
    const int64_t held = env->allocator.bytes;
    reel_env_free(&env);
    return held != 0;
}

static void test_arena_pieces_are_aligned_and_apart(void **state) {
    reel_arena arena;
    reel_arena_init(&arena, *state, 4096, "test");
    char *piece[100];
    for (int i = 0; i < 100; i++) {
        piece[i] = reel_arena_alloc(&arena, i * 7);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % REEL_ALIGN, 0);
        memset(piece[i], i, (size_t)(i * 7));
    }
    for (int i = 0; i < 100; i++)
        for (int j = 0; j < i * 7; j++)
            assert_int_equal(piece[i][j], i);
    reel_arena_deinit(&arena);
}

static void test_arena_repeats_without_allocating(void **state) {
    reel_env *env = *state;
    reel_arena arena;
    reel_arena_init(&arena, env, 1000, "test");
    int64_t calls_after_first = 0;
    for (int round = 0; round < 5; round++) {
        reel_arena_reset(&arena);
        for (int i = 0; i < 50; i++)
            assert_non_null(reel_arena_alloc(&arena, 37 * i));
        if (round == 0) calls_after_first = env->allocator.n_calls;
        assert_int_equal(env->allocator.n_calls, calls_after_first);
    }
    reel_arena_deinit(&arena);
}

static void test_arena_serves_a_piece_larger_than_its_blocks(void **state) {
    reel_arena arena;
    reel_arena_init(&arena, *state, 128, "test");
    char *large = reel_arena_alloc(&arena, 100000);
    assert_non_null(large);
    memset(large, 1, 100000);
    assert_non_null(reel_arena_alloc(&arena, 1));
    assert_int_equal(arena.peak_bytes, 100032 + 64);
    reel_arena_deinit(&arena);
}

static void test_arena_rewind_gives_the_same_memory_again(void **state) {
    reel_arena arena;
    reel_arena_init(&arena, *state, 256, "test");
    assert_non_null(reel_arena_alloc(&arena, 100));
    const reel_arena_mark mark = reel_arena_get_mark(&arena);
    void *first = reel_arena_alloc(&arena, 64);
    void *second = reel_arena_alloc(&arena, 500);
    reel_arena_rewind(&arena, mark);
    assert_ptr_equal(reel_arena_alloc(&arena, 64), first);
    assert_ptr_equal(reel_arena_alloc(&arena, 500), second);
    reel_arena_deinit(&arena);
}

static void test_arena_mark_of_an_empty_arena_is_a_reset(void **state) {
    reel_arena arena;
    reel_arena_init(&arena, *state, 256, "test");
    const reel_arena_mark mark = reel_arena_get_mark(&arena);
    void *first = reel_arena_alloc(&arena, 64);
    reel_arena_rewind(&arena, mark);
    assert_int_equal(arena.used_bytes, 0);
    assert_ptr_equal(reel_arena_alloc(&arena, 64), first);
    reel_arena_deinit(&arena);
}

static void test_arena_text_is_copied_and_formatted(void **state) {
    reel_arena arena;
    reel_arena_init(&arena, *state, 256, "test");
    assert_string_equal(reel_arena_strdup(&arena, "block 7"), "block 7");
    assert_string_equal(reel_arena_printf(&arena, "block %d.%s", 7, "attn"), "block 7.attn");
    const int64_t *zero = reel_arena_calloc(&arena, 9, sizeof *zero);
    for (int i = 0; i < 9; i++)
        assert_int_equal(zero[i], 0);
    reel_arena_deinit(&arena);
}

static void test_arena_reports_what_it_cannot_get(void **state) {
    reel_env *env = *state;
    reel_arena arena;
    reel_arena_init(&arena, env, 256, "scratch");
    reel_alloc_fail_at(env, 1);
    assert_null(reel_arena_alloc(&arena, 8));
    assert_non_null(strstr(reel_env_message(env), "scratch"));
    reel_alloc_fail_at(env, 0);
    assert_null(reel_arena_calloc(&arena, INT64_MAX / 4, 8));
    assert_null(reel_arena_alloc(&arena, INT64_MAX));
    reel_arena_deinit(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_pieces_are_aligned_and_apart),
        cmocka_unit_test(test_arena_repeats_without_allocating),
        cmocka_unit_test(test_arena_serves_a_piece_larger_than_its_blocks),
        cmocka_unit_test(test_arena_rewind_gives_the_same_memory_again),
        cmocka_unit_test(test_arena_mark_of_an_empty_arena_is_a_reset),
        cmocka_unit_test(test_arena_text_is_copied_and_formatted),
        cmocka_unit_test(test_arena_reports_what_it_cannot_get),
    };
    return cmocka_run_group_tests(tests, make_env, free_env);
}
