#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "base/file.h"
#include "support/scratch.h"

/* A folder of its own for each test; it must be given back empty but for "target". */
typedef struct place {
    reel_env *env;
    scratch folder;
    char path[128];
} place;

static int make_place(void **state) {
    place *p = calloc(1, sizeof *p);
    *state = p;
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    if (reel_env_new(&options, &p->env) != REEL_OK) return 1;
    scratch_make(&p->folder);
    snprintf(p->path, sizeof p->path, "%s/target", p->folder.path);
    return 0;
}

static int free_place(void **state) {
    place *p = *state;
    unlink(p->path);
    const bool clean = scratch_give_back(&p->folder); /* no temporary was left behind */
    const bool leaks = p->env->allocator.bytes != 0;
    reel_env_free(&p->env);
    free(p);
    return !clean || leaks;
}

static int files_in(const char *folder) {
    DIR *d = opendir(folder);
    int n = 0;
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void expect_contents(place *p, const char *wanted) {
    char *data = NULL;
    int64_t bytes = 0;
    assert_int_equal(reel_file_read(p->env, p->path, 1 << 20, &data, &bytes), REEL_OK);
    assert_int_equal(bytes, strlen(wanted));
    assert_string_equal(data, wanted);
    reel_free(p->env, data);
}

static void test_file_write_then_read(void **state) {
    place *p = *state;
    assert_int_equal(reel_file_write(p->env, p->path, "one", 3), REEL_OK);
    expect_contents(p, "one");
    assert_int_equal(reel_file_write(p->env, p->path, "second", 6), REEL_OK);
    expect_contents(p, "second");
    assert_int_equal(files_in(p->folder.path), 1);
}

static void test_writer_joins_small_and_large_pieces(void **state) {
    place *p = *state;
    enum { N = 300000 };
    static unsigned char wanted[N];
    for (int i = 0; i < N; i++)
        wanted[i] = (unsigned char)(i * 31 >> 3);
    reel_writer *w = NULL;
    assert_int_equal(reel_writer_open(p->env, p->path, &w), REEL_OK);
    for (int64_t i = 0, piece = 1; i < N; i += piece, piece = piece * 3 + 1) {
        if (piece > N - i) piece = N - i;
        assert_int_equal(reel_writer_offset(w), i);
        assert_int_equal(reel_writer_write(w, wanted + i, piece), REEL_OK);
    }
    assert_int_equal(reel_writer_commit(w), REEL_OK);
    reel_writer_close(&w);
    assert_null(w);
    reel_map map;
    assert_int_equal(reel_map_open(p->env, p->path, &map), REEL_OK);
    assert_int_equal(map.bytes, N);
    assert_memory_equal(map.data, wanted, N);
    for (int advice = REEL_MAP_NORMAL; advice <= REEL_MAP_DONE; advice++)
        reel_map_advise(&map, 5000, N, (reel_map_advice)advice);
    assert_memory_equal(map.data, wanted, N);
    reel_map_close(&map);
    assert_null(map.data);
}

static void test_writer_goes_back_and_reads_what_it_wrote(void **state) {
    place *p = *state;
    reel_writer *w = NULL;
    char back[16] = {0};
    int64_t n = 0;
    assert_int_equal(reel_writer_open(p->env, p->path, &w), REEL_OK);
    assert_int_equal(reel_writer_write(w, "size????body", 12), REEL_OK);
    assert_int_equal(reel_writer_read(w, 8, back, sizeof back, &n), REEL_OK);
    assert_int_equal(n, 4);
    assert_string_equal(back, "body");
    assert_int_equal(reel_writer_read(w, 12, back, sizeof back, &n), REEL_OK);
    assert_int_equal(n, 0);
    assert_int_equal(reel_writer_write(w, "!", 1), REEL_OK); /* reading moved nothing */
    assert_int_equal(reel_writer_seek(w, 4), REEL_OK);
    assert_int_equal(reel_writer_write(w, "0013", 4), REEL_OK);
    assert_int_equal(reel_writer_offset(w), 8);
    assert_int_equal(reel_writer_commit(w), REEL_OK);
    reel_writer_close(&w);
    expect_contents(p, "size0013body!");
}

static void test_writer_closed_without_commit_leaves_the_old_file(void **state) {
    place *p = *state;
    assert_int_equal(reel_file_write(p->env, p->path, "old", 3), REEL_OK);
    reel_writer *w = NULL;
    assert_int_equal(reel_writer_open(p->env, p->path, &w), REEL_OK);
    assert_int_equal(reel_writer_write(w, "new and longer", 14), REEL_OK);
    expect_contents(p, "old");
    reel_writer_close(&w);
    expect_contents(p, "old");
    assert_int_equal(files_in(p->folder.path), 1);
}

static void test_writer_two_at_once_do_not_meet(void **state) {
    place *p = *state;
    reel_writer *a = NULL;
    reel_writer *b = NULL;
    assert_int_equal(reel_writer_open(p->env, p->path, &a), REEL_OK);
    assert_int_equal(reel_writer_open(p->env, p->path, &b), REEL_OK);
    assert_int_equal(reel_writer_write(a, "a", 1), REEL_OK);
    assert_int_equal(reel_writer_write(b, "bb", 2), REEL_OK);
    assert_int_equal(reel_writer_commit(b), REEL_OK);
    reel_writer_close(&b);
    expect_contents(p, "bb");
    assert_int_equal(reel_writer_commit(a), REEL_OK);
    reel_writer_close(&a);
    expect_contents(p, "a");
}

/* Every system call in turn: up to the rename the old file stays; a temporary never does. */
static void test_writer_fails_cleanly_at_every_call(void **state) {
    place *p = *state;
    assert_int_equal(reel_file_write(p->env, p->path, "old", 3), REEL_OK);
    static char large[200000];
    memset(large, 'x', sizeof large - 1);
    int k = 1;
    for (;; k++) {
        assert_true(k < 50);
        reel_env_clear(p->env);
        p->env->faults.io_at = k;
        const reel_status status =
            reel_file_write(p->env, p->path, large, (int64_t)sizeof large - 1);
        p->env->faults.io_at = 0;
        assert_int_equal(files_in(p->folder.path), 1);
        assert_int_equal(p->env->allocator.bytes, 0);
        if (status == REEL_OK) break;
        assert_int_equal(status, REEL_E_IO);
        assert_non_null(strstr(reel_env_message(p->env), p->path));
        /* Only a folder that will not sync is noticed after the rename. */
        if (!strstr(reel_env_message(p->env), "sync the folder")) expect_contents(p, "old");
    }
    assert_true(k >= 5); /* create, write, sync, rename, sync the folder */
    expect_contents(p, large);
}

static void test_writer_names_a_full_disk(void **state) {
    place *p = *state;
    p->env->faults.io_at = 2;
    assert_int_equal(reel_file_write(p->env, p->path, "text", 4), REEL_E_IO);
    p->env->faults.io_at = 0;
    assert_non_null(strstr(reel_env_message(p->env), "cannot write: No space left on device"));
    reel_env_clear(p->env);
}

/* A real limit of the kernel: the write comes back short, then with EFBIG. */
static void test_writer_meets_a_real_limit(void **state) {
    place *p = *state;
    assert_int_equal(reel_file_write(p->env, p->path, "old", 3), REEL_OK);
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){100000, before.rlim_max});
    static const char large[300000];
    const reel_status status = reel_file_write(p->env, p->path, large, sizeof large);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    assert_int_equal(status, REEL_E_IO);
    assert_non_null(strstr(reel_env_message(p->env), "cannot write: File too large"));
    expect_contents(p, "old");
    assert_int_equal(files_in(p->folder.path), 1);
    reel_env_clear(p->env);
}

static void test_writer_stays_failed(void **state) {
    place *p = *state;
    reel_writer *w = NULL;
    assert_int_equal(reel_writer_open(p->env, p->path, &w), REEL_OK);
    static const char large[100000];
    p->env->faults.io_at = 1;
    assert_int_equal(reel_writer_write(w, large, sizeof large), REEL_E_IO);
    p->env->faults.io_at = 0;
    assert_int_equal(reel_writer_write(w, "x", 1), REEL_E_IO);
    assert_int_equal(reel_writer_commit(w), REEL_E_IO);
    reel_writer_close(&w);
    assert_int_equal(files_in(p->folder.path), 0);
    reel_env_clear(p->env);
}

static void test_reading_says_what_is_wrong(void **state) {
    place *p = *state;
    char *data = NULL;
    int64_t bytes = 0;
    reel_map map = {0};
    assert_int_equal(reel_map_open(p->env, p->path, &map), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(p->env), "target: cannot open: No such file"));
    reel_env_clear(p->env);
    assert_int_equal(reel_map_open(p->env, p->folder.path, &map), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(p->env), "not a regular file but a folder"));
    reel_env_clear(p->env);
    assert_int_equal(reel_file_write(p->env, p->path, "12345", 5), REEL_OK);
    assert_int_equal(reel_file_read(p->env, p->path, 4, &data, &bytes), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(p->env), "5 bytes, at most 4 are expected"));
    reel_env_clear(p->env);
    assert_int_equal(reel_file_write(p->env, "/nowhere/at/all", "x", 1), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(p->env), "/nowhere/at/all: cannot create"));
    reel_env_clear(p->env);
    assert_null(map.data);
    assert_null(data);
}

static void test_reading_fails_cleanly_at_every_call(void **state) {
    place *p = *state;
    assert_int_equal(reel_file_write(p->env, p->path, "text", 4), REEL_OK);
    for (int k = 1; k <= 3; k++) {
        char *data = NULL;
        int64_t bytes = 0;
        reel_map map = {0};
        p->env->faults.io_at = k;
        assert_int_equal(reel_map_open(p->env, p->path, &map), REEL_E_IO);
        p->env->faults.io_at = k;
        assert_int_equal(reel_file_read(p->env, p->path, 10, &data, &bytes), REEL_E_IO);
        p->env->faults.io_at = 0;
        assert_null(map.data);
        assert_null(data);
        assert_int_equal(p->env->allocator.bytes, 0);
        reel_env_clear(p->env);
    }
}

static void test_map_of_an_empty_file_is_valid(void **state) {
    place *p = *state;
    assert_int_equal(reel_file_write(p->env, p->path, "", 0), REEL_OK);
    reel_map map;
    assert_int_equal(reel_map_open(p->env, p->path, &map), REEL_OK);
    assert_non_null(map.data);
    assert_int_equal(map.bytes, 0);
    reel_map_advise(&map, 0, 1, REEL_MAP_WILL_NEED);
    reel_map_close(&map);
    expect_contents(p, "");
}

static void test_writer_works_without_a_folder_in_the_path(void **state) {
    place *p = *state;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(p->folder.path), 0);
    const reel_status status = reel_file_write(p->env, "target", "here", 4);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(status, REEL_OK);
    expect_contents(p, "here");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, free_place)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_file_write_then_read),
        TEST(test_writer_joins_small_and_large_pieces),
        TEST(test_writer_goes_back_and_reads_what_it_wrote),
        TEST(test_writer_closed_without_commit_leaves_the_old_file),
        TEST(test_writer_two_at_once_do_not_meet),
        TEST(test_writer_fails_cleanly_at_every_call),
        TEST(test_writer_names_a_full_disk),
        TEST(test_writer_meets_a_real_limit),
        TEST(test_writer_stays_failed),
        TEST(test_reading_says_what_is_wrong),
        TEST(test_reading_fails_cleanly_at_every_call),
        TEST(test_map_of_an_empty_file_is_valid),
        TEST(test_writer_works_without_a_folder_in_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
