#include "data/tar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "support/scratch.h"

enum { BLOCK = 512, MOST = 16 * BLOCK };

/* An archive in the making: ustar headers, as POSIX.1-1988 has them. */
typedef struct archive {
    char bytes[MOST];
    int64_t n;
} tar_bytes;

static void add(tar_bytes *a, const char *name, char type, const char *data) {
    char *h = a->bytes + a->n;
    const size_t n = strlen(data);
    memset(h, 0, BLOCK);
    memcpy(h, name, strlen(name) < 100 ? strlen(name) : 100);
    snprintf(h + 100, 8, "%07o", 0644u);
    snprintf(h + 108, 8, "%07o", 0u);
    snprintf(h + 116, 8, "%07o", 0u);
    snprintf(h + 124, 12, "%011o", (unsigned)n);
    snprintf(h + 136, 12, "%011o", 0u);
    h[156] = type;
    if (type == '2') memcpy(h + 157, "target", 6);
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    memset(h + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < BLOCK; i++)
        sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    a->n += BLOCK;
    memcpy(a->bytes + a->n, data, n);
    a->n += (int64_t)(n + BLOCK - 1) / BLOCK * BLOCK;
}

/* What was told. */
typedef struct told {
    int n;
    char last[256];
} told;

static void skipped(void *context, const char *member, const char *reason) {
    told *t = context;
    t->n++;
    snprintf(t->last, sizeof t->last, "%s: %s", member, reason);
}

typedef struct fixture {
    reel_env *env;
    scratch place;
    told told;
    char path[200];
} fixture;

static void open_fixture(fixture *f) {
    *f = (fixture){0};
    assert_int_equal(reel_env_new(NULL, &f->env), REEL_OK);
    scratch_make(&f->place);
    scratch_path(&f->place, "a.tar", f->path);
}

static void close_fixture(fixture *f) {
    assert_int_equal(f->env->allocator.bytes, 0);
    reel_env_free(&f->env);
    scratch_remove(&f->place);
}

static reel_status open_bytes(fixture *f, const char *bytes, int64_t n, reel_tar **tar) {
    assert_int_equal(reel_file_write(f->env, f->path, bytes, n), REEL_OK);
    return reel_tar_open(f->env, f->path, skipped, &f->told, tar);
}

static void expect_member(const reel_tar *t, int64_t i, const char *name, const char *data) {
    const reel_tar_member m = reel_tar_at(t, i);
    assert_string_equal(m.name, name);
    assert_int_equal(m.bytes, (int64_t)strlen(data));
    assert_memory_equal(m.data, data, strlen(data));
}

static bool can_read(fixture *f) {
    tar_bytes a = {.n = 0};
    reel_tar *t = NULL;
    add(&a, "x", '0', "");
    const reel_status status = open_bytes(f, a.bytes, a.n + 2 * BLOCK, &t);
    reel_tar_close(&t);
    if (status == REEL_OK) return true;
    assert_int_equal(status, REEL_E_UNSUPPORTED);
    assert_non_null(strstr(reel_env_message(f->env), "libarchive"));
    return false;
}

static void test_tar_members_are_read_in_place(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    if (!can_read(&f)) {
        close_fixture(&f);
        skip();
    }
    static tar_bytes a;
    static char long_text[1200];
    a.n = 0;
    memset(long_text, 'x', sizeof long_text - 1);
    add(&a, "./1.txt", '0', "a red ball");
    add(&a, "sub", '5', "");
    add(&a, "sub/2.mp4", '0', long_text);
    add(&a, "empty.txt", '0', "");
    reel_tar *t;
    assert_int_equal(open_bytes(&f, a.bytes, a.n + 2 * BLOCK, &t), REEL_OK);
    assert_int_equal(reel_tar_count(t), 3);
    expect_member(t, 0, "1.txt", "a red ball");
    expect_member(t, 1, "sub/2.mp4", long_text);
    expect_member(t, 2, "empty.txt", "");
    assert_int_equal(f.told.n, 0);
    reel_tar_close(&t);
    close_fixture(&f);
}

static void test_tar_leaves_out_what_leads_outside(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    if (!can_read(&f)) {
        close_fixture(&f);
        skip();
    }
    static tar_bytes a;
    a.n = 0;
    add(&a, "../evil.mp4", '0', "x");
    add(&a, "/evil.mp4", '0', "x");
    add(&a, "link.mp4", '2', "");
    add(&a, "good.mp4", '0', "y");
    reel_tar *t;
    assert_int_equal(open_bytes(&f, a.bytes, a.n + 2 * BLOCK, &t), REEL_OK);
    assert_int_equal(reel_tar_count(t), 1);
    expect_member(t, 0, "good.mp4", "y");
    assert_int_equal(f.told.n, 3);
    assert_string_equal(f.told.last, "link.mp4: is a link or a device, no file");
    reel_tar_close(&t);
    close_fixture(&f);
}

static void test_tar_that_is_cut_off_keeps_what_is_whole(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    if (!can_read(&f)) {
        close_fixture(&f);
        skip();
    }
    static tar_bytes a;
    a.n = 0;
    add(&a, "1.mp4", '0', "whole");
    const int64_t end = a.n + BLOCK + 3; /* three bytes into the second one's data */
    add(&a, "2.mp4", '0', "cut off here");
    reel_tar *t;
    assert_int_equal(open_bytes(&f, a.bytes, end, &t), REEL_OK);
    assert_int_equal(reel_tar_count(t), 1);
    assert_true(f.told.n >= 1);
    reel_tar_close(&t);
    close_fixture(&f);
}

static void test_tar_refuses_what_is_none(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    if (!can_read(&f)) {
        close_fixture(&f);
        skip();
    }
    static char text[2 * BLOCK];
    reel_tar *t = NULL;
    memset(text, 'a', sizeof text);
    assert_int_equal(open_bytes(&f, text, sizeof text, &t), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(f.env), "no tar file"));
    reel_env_clear(f.env);
    assert_int_equal(open_bytes(&f, text, 3, &t), REEL_E_FORMAT);
    reel_env_clear(f.env);
    memcpy(text, "\x1f\x8b\x08", 3);
    assert_int_equal(open_bytes(&f, text, sizeof text, &t), REEL_E_UNSUPPORTED);
    assert_non_null(strstr(reel_env_message(f.env), "is compressed"));
    assert_null(t);
    close_fixture(&f);
}

static void test_tar_names_that_are_safe(void **state) {
    (void)state;
    assert_true(reel_tar_name_is_safe("a/b.mp4"));
    assert_true(reel_tar_name_is_safe("..a/b..mp4"));
    const char *const bad[] = {"", "/a", "..", "../a", "a/../b", "a/..", "a\\b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (reel_tar_name_is_safe(bad[i])) fail_msg("'%s' passes", bad[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tar_members_are_read_in_place),
        cmocka_unit_test(test_tar_leaves_out_what_leads_outside),
        cmocka_unit_test(test_tar_that_is_cut_off_keeps_what_is_whole),
        cmocka_unit_test(test_tar_refuses_what_is_none),
        cmocka_unit_test(test_tar_names_that_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
