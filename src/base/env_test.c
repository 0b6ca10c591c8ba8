#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REEL_UNDER_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REEL_UNDER_SANITIZER
#endif
#endif

static int make_env(void **state) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    return reel_env_new(&options, (reel_env **)state) != REEL_OK;
}

static int free_env(void **state) {
    reel_env_free((reel_env **)state);
    return *state != NULL;
}

static void test_env_keeps_the_first_failure(void **state) {
    reel_env *env = *state;
    assert_string_equal(reel_env_message(env), "");
    assert_int_equal(reel_fail(env, REEL_E_SHAPE, "x [%d] is odd", 3), REEL_E_SHAPE);
    assert_int_equal(reel_fail(env, REEL_E_IO, "later"), REEL_E_IO);
    assert_string_equal(reel_env_message(env), "x [3] is odd");
    assert_int_equal(env->status, REEL_E_SHAPE);
    reel_env_clear(env);
    assert_string_equal(reel_env_message(env), "");
    assert_int_equal(reel_fail(env, REEL_E_IO, "later"), REEL_E_IO);
    assert_string_equal(reel_env_message(env), "later");
    reel_env_clear(env);
}

static void test_env_within_says_where(void **state) {
    reel_env *env = *state;
    reel_fail_within(env, "nothing failed");
    assert_string_equal(reel_env_message(env), "");
    reel_fail(env, REEL_E_ARG, "width 3 is odd");
    reel_fail_within(env, "block[%d]", 7);
    reel_fail_within(env, "dit");
    assert_string_equal(reel_env_message(env), "dit: block[7]: width 3 is odd");
    reel_env_clear(env);
}

static void test_env_cuts_what_is_too_long(void **state) {
    reel_env *env = *state;
    static char text[3 * REEL_MESSAGE_BYTES];
    memset(text, 'a', sizeof text - 1);
    reel_fail(env, REEL_E_ARG, "%s", text);
    assert_int_equal(strlen(reel_env_message(env)), REEL_MESSAGE_BYTES - 1);
    for (int i = 0; i < 4; i++) {
        reel_fail_within(env, "%s", text);
        assert_int_equal(strlen(reel_env_message(env)), REEL_MESSAGE_BYTES - 1);
    }
    reel_env_clear(env);
}

static void test_env_blanks_control_characters(void **state) {
    reel_env *env = *state;
    reel_fail(env, REEL_E_FORMAT, "tensor %s", "a\033[2Jb\nc\x7f caf\xc3\xa9");
    reel_fail_within(env, "x\ty");
    assert_string_equal(reel_env_message(env), "x?y: tensor a?[2Jb?c? caf\xc3\xa9");
    reel_env_clear(env);
}

typedef struct heard {
    int n;
    reel_log_level level;
    char text[64];
} heard;

static void hear(void *context, reel_log_level level, const char *text) {
    heard *h = context;
    h->n++;
    h->level = level;
    strncpy(h->text, text, sizeof h->text - 1);
}

static void test_log_passes_what_is_within_the_level(void **state) {
    (void)state;
    heard h = {0};
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    options.log = hear;
    options.log_context = &h;
    options.log_max = REEL_LOG_WARN;
    reel_env *env = NULL;
    assert_int_equal(reel_env_new(&options, &env), REEL_OK);
    reel_log(env, REEL_LOG_INFO, "not this");
    assert_int_equal(h.n, 0);
    reel_log(env, REEL_LOG_WARN, "clip %d is short", 4);
    assert_int_equal(h.n, 1);
    assert_int_equal(h.level, REEL_LOG_WARN);
    assert_string_equal(h.text, "clip 4 is short");
    reel_env_free(&env);
    assert_int_equal(h.n, 1);
}

static void test_env_free_tells_of_a_leak(void **state) {
    (void)state;
    heard h = {0};
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    options.log = hear;
    options.log_context = &h;
    reel_env *env = NULL;
    assert_int_equal(reel_env_new(&options, &env), REEL_OK);
    env->allocator.bytes += 5; /* a false account instead of a real leak, which ASan would report */
    reel_env_free(&env);
    assert_int_equal(h.n, 1);
    assert_non_null(strstr(h.text, "5 bytes"));
}

/* In a child, because the limit on memory cannot be taken back. Thread stacks are 8 MiB of address
 * space each: 200 do not fit into what is left. The sanitizers need terabytes of it themselves. */
static int child_without_room_for_threads(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld", &pages) != 1) return 1;
    fclose(file);
    const rlim_t bytes = (rlim_t)(pages * sysconf(_SC_PAGESIZE) + (64 << 20));
    if (setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes}) != 0) return 2;
    /* An emulator may not keep the limit. */
    if (mmap(NULL, (size_t)1 << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        return 77;
    reel_env_options options = reel_env_options_default();
    options.n_threads = 200;
    reel_env *env = NULL;
    if (reel_env_new(&options, &env) != REEL_E_NOMEM || env) return 3;
    options.n_threads = 2; /* the threads that did start are gone again */
    return reel_env_new(&options, &env) == REEL_OK ? 0 : 4;
}

static void test_env_new_survives_threads_that_do_not_start(void **state) {
    (void)state;
#ifndef REEL_UNDER_SANITIZER
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(child_without_room_for_threads());
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) skip();
    assert_int_equal(WEXITSTATUS(status), 0);
#else
    (void)child_without_room_for_threads;
#endif
}

static void test_status_names_are_words(void **state) {
    (void)state;
    assert_string_equal(reel_status_name(REEL_OK), "ok");
    assert_string_equal(reel_status_name(REEL_E_FORMAT), "format");
    assert_string_equal(reel_status_name(REEL_E_CANCELLED), "cancelled");
    assert_string_equal(reel_status_name((reel_status)99), "unknown");
}

static void test_fault_due_fails_from_the_kth_on(void **state) {
    (void)state;
    int64_t never = 0;
    int64_t third = 3;
    for (int i = 1; i <= 5; i++) {
        assert_false(reel_fault_due(&never));
        assert_int_equal(reel_fault_due(&third), i >= 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_env_keeps_the_first_failure),
        cmocka_unit_test(test_env_within_says_where),
        cmocka_unit_test(test_env_cuts_what_is_too_long),
        cmocka_unit_test(test_env_blanks_control_characters),
        cmocka_unit_test(test_log_passes_what_is_within_the_level),
        cmocka_unit_test(test_env_free_tells_of_a_leak),
        cmocka_unit_test(test_env_new_survives_threads_that_do_not_start),
        cmocka_unit_test(test_status_names_are_words),
        cmocka_unit_test(test_fault_due_fails_from_the_kth_on),
    };
    return cmocka_run_group_tests(tests, make_env, free_env);
}
