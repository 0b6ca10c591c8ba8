#include "base/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/file.h"

typedef struct fixture {
    reel_env *env;
    char root[64];
} fixture;

static void open_fixture(fixture *f) {
    assert_int_equal(reel_env_new(NULL, &f->env), REEL_OK);
    snprintf(f->root, sizeof f->root, "folder_test.XXXXXX");
    assert_non_null(mkdtemp(f->root));
}

static void close_fixture(fixture *f) {
    assert_int_equal(rmdir(f->root), 0);
    reel_env_free(&f->env);
}

static char *path_in(const fixture *f, const char *name) {
    static char path[4][128];
    static int k;
    char *p = path[k++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", f->root, name);
    return p;
}

static void test_folder_makes_all_above_and_twice(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    for (int i = 0; i < 2; i++)
        assert_int_equal(reel_folder_make(f.env, path_in(&f, "a/b/c")), REEL_OK);
    assert_true(reel_path_exists(path_in(&f, "a/b/c")));
    rmdir(path_in(&f, "a/b/c"));
    rmdir(path_in(&f, "a/b"));
    rmdir(path_in(&f, "a"));
    close_fixture(&f);
}

static void test_folder_a_file_in_the_way_is_named(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    assert_int_equal(reel_file_write(f.env, path_in(&f, "x"), "1", 1), REEL_OK);
    assert_int_equal(reel_folder_make(f.env, path_in(&f, "x")), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(f.env), "x: is there and no folder"));
    assert_int_equal(reel_file_remove(f.env, path_in(&f, "x")), REEL_OK);
    assert_int_equal(reel_file_remove(f.env, path_in(&f, "x")), REEL_OK); /* gone is fine */
    close_fixture(&f);
}

static void test_folder_lists_by_prefix_and_suffix_in_order(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    const char *const made[] = {"s-2.bin", "s-1.bin", "t-1.bin", "s-3.txt"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(reel_file_append(f.env, path_in(&f, made[i]), "", 0), REEL_OK);
    reel_arena arena;
    reel_arena_init(&arena, f.env, 4096, "test");
    const char *const *names;
    int64_t n;
    assert_int_equal(reel_folder_list(f.env, &arena, f.root, "s-", ".bin", &names, &n), REEL_OK);
    assert_int_equal(n, 2);
    assert_string_equal(names[0], "s-1.bin");
    assert_string_equal(names[1], "s-2.bin");
    reel_arena_deinit(&arena);
    for (int i = 0; i < 4; i++)
        unlink(path_in(&f, made[i]));
    close_fixture(&f);
}

static void test_folder_append_adds_lines(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    char *text;
    int64_t bytes;
    assert_int_equal(reel_file_append(f.env, path_in(&f, "log"), "one\n", 4), REEL_OK);
    assert_int_equal(reel_file_append(f.env, path_in(&f, "log"), "two\n", 4), REEL_OK);
    assert_int_equal(reel_file_read(f.env, path_in(&f, "log"), 100, &text, &bytes), REEL_OK);
    assert_string_equal(text, "one\ntwo\n");
    reel_free(f.env, text);
    unlink(path_in(&f, "log"));
    close_fixture(&f);
}

static void test_folder_every_call_may_fail(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    reel_arena arena;
    reel_arena_init(&arena, f.env, 4096, "test");
    const char *const *names;
    int64_t n;
    f.env->faults.io_at = 1;
    assert_int_equal(reel_folder_make(f.env, path_in(&f, "a")), REEL_E_IO);
    assert_int_equal(reel_folder_list(f.env, &arena, f.root, "", "", &names, &n), REEL_E_IO);
    assert_int_equal(reel_file_append(f.env, path_in(&f, "x"), "1", 1), REEL_E_IO);
    assert_int_equal(reel_file_remove(f.env, path_in(&f, "x")), REEL_E_IO);
    f.env->faults.io_at = 2; /* the write, after the open */
    assert_int_equal(reel_file_append(f.env, path_in(&f, "x"), "1", 1), REEL_E_IO);
    f.env->faults.io_at = 0;
    unlink(path_in(&f, "x"));
    reel_arena_deinit(&arena);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder_makes_all_above_and_twice),
        cmocka_unit_test(test_folder_a_file_in_the_way_is_named),
        cmocka_unit_test(test_folder_lists_by_prefix_and_suffix_in_order),
        cmocka_unit_test(test_folder_append_adds_lines),
        cmocka_unit_test(test_folder_every_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
