#include "base/sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "support/op_check.h"

static char folder[64];

static char *in_folder(const char *name, char path[128]) {
    snprintf(path, 128, "%s/%s", folder, name);
    return path;
}

static void make(const char *name) {
    char path[128];
    FILE *file = fopen(in_folder(name, path), "w");
    assert_non_null(file);
    fclose(file);
}

static bool there(const char *name) {
    char path[128];
    return access(in_folder(name, path), F_OK) == 0;
}

static void test_sweep_removes_only_what_a_killed_writer_left(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/reel-sweep-XXXXXX");
    assert_non_null(mkdtemp(folder));
    static const char *const left[] = {"out.mp4.123.0.tmp", "out.mp4.99999999.17.tmp"};
    static const char *const others[] = {"out.mp4",         "out.mp4.123.tmp",  "out.mp4.1.2.tmp.x",
                                         "out.mp4.a.0.tmp", "out.mp.4.1.0.tmp", "xout.mp4.1.0.tmp",
                                         "out.mp4..0.tmp",  "out.mp4.1.0.tm"};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        make(left[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        make(others[i]);
    char path[128];
    reel_env *env = op_test_env(1);
    reel_writer *writer = NULL;
    assert_int_equal(reel_writer_open(env, in_folder("out.mp4", path), &writer), REEL_OK);
    reel_sweep(path);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        assert_false(there(left[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!there(others[i])) fail_msg("%s was removed", others[i]);
    /* a living writer's is untouched: it can still be committed */
    assert_int_equal(reel_writer_write(writer, "x", 1), REEL_OK);
    assert_int_equal(reel_writer_commit(writer), REEL_OK);
    reel_writer_close(&writer);
    reel_env_free(&env);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        unlink(in_folder(others[i], path));
    assert_int_equal(rmdir(folder), 0);
}

static void test_sweep_of_nowhere_does_nothing(void **state) {
    (void)state;
    reel_sweep("/tmp/there is no such folder/out.mp4");
    reel_sweep("");
    reel_sweep("/tmp/");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sweep_removes_only_what_a_killed_writer_left),
        cmocka_unit_test(test_sweep_of_nowhere_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
