/* The fault run: every allocation, system call and thread start of every scenario fails once.
 *
 * For k = 1, 2, ... the k-th such call and all after it fail, until a run passes without meeting
 * a failure. Each failed run must give the right status and a message, hold no memory, and leave
 * no file behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "faults.h"

enum { MAX_CALLS = 2000 };

typedef enum fault_kind { FAULT_ALLOCATION, FAULT_IO, FAULT_THREAD } fault_kind;

static void set_fault(reel_env *env, fault_kind kind, int64_t k) {
    if (kind == FAULT_ALLOCATION) reel_alloc_fail_at(env, k);
    if (kind == FAULT_IO) env->faults.io_at = k;
    if (kind == FAULT_THREAD) env->faults.thread_at = k;
}

static void check_failed_run(reel_env *env, const char *name, fault_kind kind, int64_t k,
                             reel_status status) {
    const reel_status wanted = kind == FAULT_IO ? REEL_E_IO : REEL_E_NOMEM;
    if (status != wanted)
        fail_msg("%s, call %lld: wanted %s, got %s", name, (long long)k, reel_status_name(wanted),
                 reel_status_name(status));
    if (reel_env_message(env)[0] == '\0') fail_msg("%s, call %lld: no message", name, (long long)k);
}

/* Returns how many calls of the kind the scenario makes. */
static int64_t run_scenario(reel_env *env, const fault_scenario *scenario, fault_kind kind) {
    fault_place place;
    assert_int_equal(fault_place_make(env, &place), REEL_OK);
    int64_t k = 1;
    for (;; k++) {
        assert_true(k < MAX_CALLS);
        reel_env_clear(env);
        set_fault(env, kind, k);
        const reel_status status = scenario->run(env, &place);
        set_fault(env, kind, 0);
        if (env->allocator.bytes != 0)
            fail_msg("%s, call %lld: %lld bytes leak", scenario->name, (long long)k,
                     (long long)env->allocator.bytes);
        if (status == REEL_OK) break;
        check_failed_run(env, scenario->name, kind, k, status);
    }
    reel_env_clear(env);
    if (fault_place_remove(env, &place) != REEL_OK)
        fail_msg("%s: %s", scenario->name, reel_env_message(env));
    return k - 1;
}

static void run_all(fault_kind kind, int64_t at_least) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 2;
    reel_env *env = NULL;
    assert_int_equal(reel_env_new(&options, &env), REEL_OK);
    int64_t n = 0;
    for (int i = 0; i < n_fault_scenarios; i++)
        n += run_scenario(env, &fault_scenarios[i], kind);
    print_message("%lld calls failed in turn\n", (long long)n);
    assert_true(n >= at_least); /* a run that injects nothing proves nothing */
    reel_env_free(&env);
}

static void test_fault_every_allocation(void **state) {
    (void)state;
    run_all(FAULT_ALLOCATION, 60);
}

static void test_fault_every_system_call(void **state) {
    (void)state;
    run_all(FAULT_IO, 30);
}

static void test_fault_every_thread_start(void **state) {
    (void)state;
    run_all(FAULT_THREAD, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault_every_allocation),
        cmocka_unit_test(test_fault_every_system_call),
        cmocka_unit_test(test_fault_every_thread_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
