/* Folders that appear whole or not at all. */
#include "base/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "support/op_check.h"
#include "support/scratch.h"

static void put(const char *folder, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
}

static void test_tree_appears_whole(void **state) {
    (void)state;
    scratch place;
    scratch_make(&place);
    reel_env *env = op_test_env(1);
    reel_tree *tree;
    const char *path = SCRATCH(&place, "model/"); /* a slash at the end changes nothing */
    assert_int_equal(reel_tree_open(env, path, &tree), REEL_OK);
    assert_int_equal(reel_tree_add_folder(tree, "vae"), REEL_OK);
    put(reel_tree_path(tree), "vae/config.json");
    assert_int_equal(reel_path_look(path), REEL_PATH_NONE);
    assert_int_equal(reel_tree_commit(tree), REEL_OK);
    reel_tree_close(&tree);
    assert_int_equal(reel_path_look(SCRATCH(&place, "model/vae/config.json")), REEL_PATH_FILE);
    assert_int_equal(reel_tree_open(env, path, &tree), REEL_E_ARG);
    reel_env_free(&env);
    scratch_remove(&place);
}

static void test_tree_that_is_not_committed_is_removed(void **state) {
    (void)state;
    scratch place;
    scratch_make(&place);
    reel_env *env = op_test_env(1);
    reel_tree *tree;
    scratch_write(&place, "outside/kept", "x");
    assert_int_equal(reel_tree_open(env, SCRATCH(&place, "model"), &tree), REEL_OK);
    assert_int_equal(reel_tree_add_folder(tree, "vae"), REEL_OK);
    put(reel_tree_path(tree), "vae/config.json");
    char temporary[256], link[280];
    snprintf(temporary, sizeof temporary, "%s", reel_tree_path(tree));
    snprintf(link, sizeof link, "%s/link", temporary);
    assert_int_equal(symlink(SCRATCH(&place, "outside"), link), 0);
    reel_tree_close(&tree);
    assert_int_equal(reel_path_look(temporary), REEL_PATH_NONE);
    assert_int_equal(reel_path_look(SCRATCH(&place, "outside/kept")), REEL_PATH_FILE);
    reel_env_free(&env);
    scratch_remove(&place);
}

static void test_tree_does_not_replace_what_came_meanwhile(void **state) {
    (void)state;
    scratch place;
    scratch_make(&place);
    reel_env *env = op_test_env(1);
    reel_tree *tree;
    const char *path = SCRATCH(&place, "model");
    assert_int_equal(reel_tree_open(env, path, &tree), REEL_OK);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(reel_tree_commit(tree), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(env), "rename into place"));
    reel_tree_close(&tree);
    assert_int_equal(reel_path_look(path), REEL_PATH_FOLDER);
    reel_env_free(&env);
    scratch_remove(&place);
}

static void test_tree_looks_at_paths(void **state) {
    (void)state;
    scratch place;
    scratch_make(&place);
    scratch_write(&place, "file", "x");
    const char *loop = SCRATCH(&place, "loop"), *nowhere = SCRATCH(&place, "nowhere");
    assert_int_equal(symlink(loop, loop), 0);
    assert_int_equal(symlink("not there", nowhere), 0);
    assert_int_equal(reel_path_look(place.path), REEL_PATH_FOLDER);
    assert_int_equal(reel_path_look(SCRATCH(&place, "file")), REEL_PATH_FILE);
    assert_int_equal(reel_path_look(SCRATCH(&place, "file/below")), REEL_PATH_NONE);
    assert_int_equal(reel_path_look(loop), REEL_PATH_OTHER);
    assert_int_equal(reel_path_look(nowhere), REEL_PATH_NONE);
    assert_int_equal(reel_path_look("/dev/null"), REEL_PATH_OTHER);
    scratch_remove(&place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree_appears_whole),
        cmocka_unit_test(test_tree_that_is_not_committed_is_removed),
        cmocka_unit_test(test_tree_does_not_replace_what_came_meanwhile),
        cmocka_unit_test(test_tree_looks_at_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
