#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/env.h"

static reel_env *env_with(int n_threads) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = n_threads;
    reel_env *env = NULL;
    assert_int_equal(reel_env_new(&options, &env), REEL_OK);
    assert_int_equal(reel_threads_count(env->threads), n_threads);
    return env;
}

enum { N_PIECES = 1000 };

typedef struct tally {
    int hits[N_PIECES]; /* each piece touches its own entry: no atomics, TSan watches */
    int n_lanes;
    _Atomic int n_bad_lanes;
    reel_threads *threads;
} tally;

static void count_piece(void *context, int64_t i, int lane) {
    tally *t = context;
    t->hits[i]++;
    if (lane < 0 || lane >= t->n_lanes) t->n_bad_lanes++;
}

static void test_parallel_for_runs_every_piece_once(void **state) {
    (void)state;
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        reel_env *env = env_with(n_threads);
        for (int64_t n = 0; n <= N_PIECES; n = n * 3 + 1) {
            tally t = {.n_lanes = n_threads};
            reel_parallel_for(env->threads, n, count_piece, &t);
            for (int64_t i = 0; i < N_PIECES; i++)
                assert_int_equal(t.hits[i], i < n ? 1 : 0);
            assert_int_equal(t.n_bad_lanes, 0);
        }
        reel_env_free(&env);
    }
}

static void test_parallel_for_without_pool_is_a_loop(void **state) {
    (void)state;
    tally t = {.n_lanes = 1};
    reel_parallel_for(NULL, N_PIECES, count_piece, &t);
    for (int64_t i = 0; i < N_PIECES; i++)
        assert_int_equal(t.hits[i], 1);
    assert_int_equal(t.n_bad_lanes, 0);
}

/* Thousands of tiny dispatches back to back: the ticket's hand-over is what breaks first. */
static void test_parallel_for_survives_many_dispatches(void **state) {
    (void)state;
    for (int n_threads = 2; n_threads <= 3; n_threads++) {
        reel_env *env = env_with(n_threads);
        static const int64_t sizes[] = {2, 5, 1, 3, 17};
        int expected[N_PIECES] = {0};
        tally t = {.n_lanes = n_threads};
        for (int round = 0; round < 4000; round++) {
            const int64_t n = sizes[round % 5];
            reel_parallel_for(env->threads, n, count_piece, &t);
            for (int64_t i = 0; i < n; i++)
                expected[i]++;
        }
        assert_memory_equal(t.hits, expected, sizeof expected);
        reel_env_free(&env);
    }
}

static void mark_piece(void *context, int64_t i, int lane) {
    (void)lane;
    unsigned char *mark = context;
    mark[i]++;
}

static void test_parallel_for_joins_dispatches_of_a_long_loop(void **state) {
    (void)state;
    const int64_t n = (2 << 20) + 3; /* two whole dispatches and a rest */
    reel_env *env = env_with(2);
    unsigned char *mark = reel_calloc(env, n, 1, "test");
    assert_non_null(mark);
    reel_parallel_for(env->threads, n, mark_piece, mark);
    for (int64_t i = 0; i < n; i++)
        if (mark[i] != 1) fail_msg("piece %lld ran %d times", (long long)i, mark[i]);
    reel_free(env, mark);
    reel_env_free(&env);
}

typedef struct meeting {
    _Atomic int n_started;
    _Atomic int n_met;
} meeting;

/* Waits until the other piece has started too: only possible when two lanes work at once. */
static void meet(void *context, int64_t i, int lane) {
    (void)i;
    (void)lane;
    meeting *m = context;
    m->n_started++;
    const int64_t end = reel_clock_ns() + (int64_t)5e9;
    while (m->n_started < 2 && reel_clock_ns() < end) {
    }
    if (m->n_started == 2) m->n_met++;
}

/* Hot, and after the workers have gone to sleep. */
static void test_parallel_for_runs_pieces_at_once(void **state) {
    (void)state;
    reel_env *env = env_with(2);
    for (int round = 0; round < 20; round++) {
        if (round % 4 == 0) nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        meeting m = {0};
        reel_parallel_for(env->threads, 2, meet, &m);
        assert_int_equal(m.n_met, 2);
    }
    reel_env_free(&env);
}

typedef struct nest {
    reel_threads *threads;
    int outer_lane[16];
    int inner_lane[16][8];
} nest;

typedef struct nest_row {
    nest *all;
    int64_t row;
} nest_row;

static void inner_piece(void *context, int64_t i, int lane) {
    nest_row *r = context;
    r->all->inner_lane[r->row][i] = lane;
}

static void outer_piece(void *context, int64_t i, int lane) {
    nest *all = context;
    nest_row row = {all, i};
    all->outer_lane[i] = lane;
    reel_parallel_for(all->threads, 8, inner_piece, &row);
}

static void test_parallel_for_nested_stays_on_its_lane(void **state) {
    (void)state;
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        reel_env *env = env_with(n_threads);
        for (int64_t n = 1; n <= 16; n += 15) {
            nest all = {.threads = env->threads};
            memset(all.inner_lane, -1, sizeof all.inner_lane);
            reel_parallel_for(env->threads, n, outer_piece, &all);
            for (int64_t i = 0; i < n; i++)
                for (int j = 0; j < 8; j++)
                    assert_int_equal(all.inner_lane[i][j], all.outer_lane[i]);
        }
        reel_env_free(&env);
    }
}

static void test_threads_refuse_a_count_out_of_range(void **state) {
    (void)state;
    reel_env_options options = reel_env_options_default();
    reel_env *env = NULL;
    options.n_threads = -1;
    assert_int_equal(reel_env_new(&options, &env), REEL_E_ARG);
    options.n_threads = 257;
    assert_int_equal(reel_env_new(&options, &env), REEL_E_ARG);
    assert_null(env);
}

static void test_threads_failing_to_start_leave_nothing(void **state) {
    (void)state;
    reel_env *env = env_with(1);
    for (int k = 1; k <= 3; k++) {
        reel_threads *threads = NULL;
        env->faults.thread_at = k;
        assert_int_equal(reel_threads_new(env, 4, &threads), REEL_E_NOMEM);
        assert_null(threads);
    }
    env->faults.thread_at = 0;
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parallel_for_runs_every_piece_once),
        cmocka_unit_test(test_parallel_for_without_pool_is_a_loop),
        cmocka_unit_test(test_parallel_for_survives_many_dispatches),
        cmocka_unit_test(test_parallel_for_joins_dispatches_of_a_long_loop),
        cmocka_unit_test(test_parallel_for_runs_pieces_at_once),
        cmocka_unit_test(test_parallel_for_nested_stays_on_its_lane),
        cmocka_unit_test(test_threads_refuse_a_count_out_of_range),
        cmocka_unit_test(test_threads_failing_to_start_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
