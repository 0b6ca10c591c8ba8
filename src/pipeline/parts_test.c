#include "pipeline/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "support/op_check.h"

enum { C = 2, WINDOW = 3, h = 2, w = 2, FRAME = h * w, N = C * WINDOW * FRAME };

typedef struct rig {
    reel_env *env;
    char folder[64];
    reel_parts parts;
} rig;

static void open_rig(rig *r) {
    *r = (rig){.env = op_test_env(1)};
    snprintf(r->folder, sizeof r->folder, "/tmp/reel-parts-%ld", (long)getpid());
    r->parts =
        (reel_parts){.env = r->env, .folder = r->folder, .C = C, .window = WINDOW, .h = h, .w = w};
    assert_int_equal(reel_parts_begin(&r->parts, 0), REEL_OK);
}

static void close_rig(rig *r) {
    assert_int_equal(reel_parts_remove(&r->parts), REEL_OK);
    assert_int_equal(reel_path_look(r->folder), REEL_PATH_NONE);
    reel_env_free(&r->env);
}

static void fill(float *x, int64_t window) {
    for (int i = 0; i < N; i++)
        x[i] = (float)(100 * window + i);
}

static void save(rig *r, int64_t i) {
    float x[N];
    char path[REEL_PARTS_PATH];
    fill(x, i);
    assert_int_equal(reel_parts_save(&r->parts, i, x), REEL_OK);
    assert_int_equal(reel_parts_done(&r->parts), i); /* the frames are not there yet */
    assert_int_equal(reel_parts_frames(&r->parts, i, path), REEL_OK);
    assert_int_equal(reel_file_write(r->env, path, "frames", 6), REEL_OK);
}

static void test_parts_give_back_latents_by_frames(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    save(&r, 0);
    float x[N], all[N];
    fill(all, 0);
    assert_int_equal(reel_parts_load(&r.parts, 0, 1, 2, x), REEL_OK);
    for (int c = 0; c < C; c++)
        for (int i = 0; i < 2 * FRAME; i++)
            assert_true(x[c * 2 * FRAME + i] == all[(c * WINDOW + 1) * FRAME + i]);
    close_rig(&r);
}

static void test_parts_keep_the_latents_that_are_needed(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    for (int64_t i = 0; i < 6; i++)
        save(&r, i);
    assert_int_equal(reel_parts_done(&r.parts), 6);
    for (int64_t i = 0; i < 6; i++) /* the anchor's, the newest and what that one was made of */
        assert_int_equal(reel_parts_has_latents(&r.parts, i), i == 0 || i >= 4);
    close_rig(&r);
}

static void test_parts_of_another_size_or_kind_are_refused(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    save(&r, 0);
    float x[N];
    reel_parts other = r.parts;
    other.window = WINDOW + 1;
    assert_int_equal(reel_parts_load(&other, 0, 0, 1, x), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(r.env), "remove"));
    reel_env_clear(r.env);
    assert_int_equal(reel_parts_load(&r.parts, 1, 0, 1, x), REEL_E_IO);
    char path[96];
    snprintf(path, sizeof path, "%s/000000.latents", r.folder);
    assert_int_equal(reel_file_write(r.env, path, "no such file", 12), REEL_OK);
    reel_env_clear(r.env);
    assert_int_equal(reel_parts_load(&r.parts, 0, 0, 1, x), REEL_E_FORMAT);
    close_rig(&r);
}

static void test_parts_leave_what_is_not_theirs(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    char path[96];
    snprintf(path, sizeof path, "%s/notes.txt", r.folder);
    assert_int_equal(reel_file_write(r.env, path, "mine", 4), REEL_OK);
    assert_int_equal(reel_parts_remove(&r.parts), REEL_OK);
    assert_int_equal(reel_path_look(path), REEL_PATH_FILE);
    unlink(path);
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_give_back_latents_by_frames),
        cmocka_unit_test(test_parts_keep_the_latents_that_are_needed),
        cmocka_unit_test(test_parts_of_another_size_or_kind_are_refused),
        cmocka_unit_test(test_parts_leave_what_is_not_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
