#include "base/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/env.h"

enum { N = 40 };

typedef struct note {
    int *next; /* shared: jobs run one after another */
    int place;
} note;

static void take_place(void *context) {
    note *n = context;
    n->place = (*n->next)++;
}

/* Hands over N jobs; each must find its place in line. */
static void expect_order(int64_t thread_at) {
    reel_env *env;
    reel_worker *w;
    int next = 0;
    note notes[N];
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    env->faults.thread_at = thread_at;
    assert_int_equal(reel_worker_new(env, &w), REEL_OK);
    for (int i = 0; i < N; i++) {
        int64_t number = -1;
        notes[i] = (note){&next, -1};
        assert_true(reel_worker_push(w, take_place, &notes[i], &number));
        assert_int_equal(number, i);
    }
    reel_worker_wait(w, N / 2);
    assert_int_equal(notes[N / 2].place, N / 2);
    reel_worker_wait(w, N - 1);
    assert_true(reel_worker_is_done(w, 0) && reel_worker_is_done(w, N - 1));
    assert_false(reel_worker_is_done(w, N));
    for (int i = 0; i < N; i++)
        assert_int_equal(notes[i].place, i);
    reel_worker_free(&w);
    assert_null(w);
    reel_env_free(&env);
}

static void test_worker_does_jobs_in_order(void **state) {
    (void)state;
    expect_order(0);
}

static void test_worker_without_a_thread_does_them_at_once(void **state) {
    (void)state;
    expect_order(1);
}

static void wait_for(void *context) {
    while (!__atomic_load_n((bool *)context, __ATOMIC_ACQUIRE)) {
    }
}

static void test_worker_refuses_more_than_it_has_room_for(void **state) {
    (void)state;
    reel_env *env;
    reel_worker *w;
    bool go = false;
    int64_t number = -1;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    assert_int_equal(reel_worker_new(env, &w), REEL_OK);
    for (int i = 0; i < REEL_WORKER_JOBS; i++)
        assert_true(reel_worker_push(w, wait_for, &go, &number));
    assert_false(reel_worker_push(w, wait_for, &go, &number));
    assert_int_equal(number, REEL_WORKER_JOBS - 1);
    __atomic_store_n(&go, true, __ATOMIC_RELEASE);
    reel_worker_wait(w, 0);
    assert_true(reel_worker_push(w, wait_for, &go, &number));
    reel_worker_free(&w); /* waits for all of them */
    reel_env_free(&env);
}

static void test_worker_needs_memory(void **state) {
    (void)state;
    reel_env *env;
    reel_worker *w = NULL;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    reel_alloc_fail_at(env, 1);
    assert_int_equal(reel_worker_new(env, &w), REEL_E_NOMEM);
    assert_null(w);
    reel_worker_free(&w);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worker_does_jobs_in_order),
        cmocka_unit_test(test_worker_without_a_thread_does_them_at_once),
        cmocka_unit_test(test_worker_refuses_more_than_it_has_room_for),
        cmocka_unit_test(test_worker_needs_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
