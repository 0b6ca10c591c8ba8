/* A pool of workers around one atomic word.
 *
 * The word, `ticket`, holds the number of the current dispatch (high half) and how many pieces of
 * it have been taken, from the front and from the back (16 bits each). Taking a piece is one
 * compare-and-swap on the word, so a worker can never take a piece of a dispatch it has not looked
 * at, and a dispatch need not wait for workers that are asleep: it is over when the pieces are
 * done, whoever did them. That matters on machines where another process has a core: a barrier over
 * all workers costs a scheduler quantum there.
 *
 * Even lanes take from the front, odd ones from the back: what a lane has written in one loop it is
 * likely to read in the next, and another core's cache is slow to read from.
 *
 * Workers watch the word for some tens of microseconds after a piece and then sleep on a condition
 * variable; the tape's runner dispatches more often than that, so they stay hot through a run.
 */
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/env.h"

enum { MAX_LANES = 256, LINE = 64, PAUSES_PER_LOOK = 32 };

static const int64_t spin_ns = 40 * 1000; /* a wake-up through the kernel costs about as much */

/* The low half of the ticket counts the pieces taken; this value says that none may be. */
#define CLOSED UINT32_MAX

/* A longer loop becomes several dispatches: either end's count has to fit. */
static const int64_t max_pieces = 1 << 15;

struct worker {
    reel_threads *pool;
    int lane;
};

struct reel_threads {
    int n_lanes;
    bool crowded; /* more lanes than cores: never spin long, give the core away */
    struct worker worker[MAX_LANES];
    pthread_t thread[MAX_LANES]; /* [0]: whoever called reel_parallel_for, while busy */

    alignas(LINE) _Atomic uint64_t ticket;

    /* The dispatch. Atomic because a late worker may read while the next one is being written: it
     * finds out when its compare-and-swap fails, and has used nothing of what it read. */
    alignas(LINE) _Atomic(reel_task *) task;
    _Atomic(void *) context;
    _Atomic uint32_t n_pieces;
    _Atomic int64_t first; /* index of piece 0, in a loop of several dispatches */
    _Atomic bool busy;

    alignas(LINE) _Atomic int64_t n_done;

    alignas(LINE) pthread_mutex_t lock;
    pthread_cond_t wake;        /* workers sleep here */
    pthread_cond_t finished;    /* the caller sleeps here */
    _Atomic int n_asleep;       /* workers on `wake`; changed under the lock */
    _Atomic bool caller_asleep; /* changed under the lock */
    _Atomic bool stop;
};

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Cores' worth of time that a container may use ("--cpus 2"), by the quota of its control group,
 * version 2; 0 when there is none. The kernel stops all of a group's threads once its time is used
 * up, so one lane for each of the host's 64 cores would be far slower than two. */
static int quota_cores(void) {
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!file) return 0;
    long long quota_us = 0; /* "max 100000" without a limit: nothing is read */
    long long period_us = 0;
    const int n_read = fscanf(file, "%lld %lld", &quota_us, &period_us);
    fclose(file);
    if (n_read != 2 || quota_us <= 0 || period_us <= 0) return 0;
    const long long n = (quota_us + period_us - 1) / period_us;
    return n < MAX_LANES ? (int)n : MAX_LANES;
}

static int usable_cores(void) {
    cpu_set_t set;
    int n = 0;
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
    if (n < 1) n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    const int quota = quota_cores();
    if (quota > 0 && quota < n) n = quota;
    if (n < 1) n = 1;
    return n < MAX_LANES ? n : MAX_LANES;
}

/* Runs pieces of the current dispatch until none is left. Returns the dispatch's number, or the one
 * before while it is still being written, so that the worker comes back for it. */
static uint32_t take_pieces(reel_threads *p, int lane) {
    int64_t n_mine = 0;
    uint64_t ticket = atomic_load_explicit(&p->ticket, memory_order_acquire);
    const uint32_t dispatch = (uint32_t)(ticket >> 32);
    if ((uint32_t)ticket == CLOSED) return dispatch - 1;
    for (;;) {
        const uint32_t front = (uint32_t)ticket & 0xffff, back = (uint32_t)ticket >> 16;
        /* Acquire, paired with the release stores in dispatch_range: if any of these is already
         * the next dispatch's, then the ticket has moved on too and the exchange must fail. */
        reel_task *task = atomic_load_explicit(&p->task, memory_order_acquire);
        void *context = atomic_load_explicit(&p->context, memory_order_acquire);
        const uint32_t n = atomic_load_explicit(&p->n_pieces, memory_order_acquire);
        const int64_t first = atomic_load_explicit(&p->first, memory_order_acquire);
        if ((uint32_t)(ticket >> 32) != dispatch || front + back >= n) break;
        const bool from_back = lane % 2 == 1;
        if (!atomic_compare_exchange_weak_explicit(&p->ticket, &ticket,
                                                   ticket + (from_back ? 0x10000 : 1),
                                                   memory_order_acq_rel, memory_order_acquire))
            continue; /* ticket now holds what is there */
        task(context, first + (from_back ? n - 1 - back : front), lane);
        n_mine++;
        ticket = atomic_load_explicit(&p->ticket, memory_order_acquire);
    }
    if (n_mine > 0) {
        /* seq_cst here and in wait_until_done: either the caller sees the last piece done before
         * it sleeps, or it is seen to be asleep. Nothing of the dispatch is touched afterwards. */
        atomic_fetch_add(&p->n_done, n_mine);
        if (lane != 0 && atomic_load(&p->caller_asleep)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->finished);
            pthread_mutex_unlock(&p->lock);
        }
    }
    return dispatch;
}

/* Watches the ticket for a while. True when a dispatch other than `seen` is there. */
static bool watch(reel_threads *p, uint32_t seen) {
    const int64_t end = reel_clock_ns() + spin_ns;
    do {
        for (int i = 0; i < PAUSES_PER_LOOK; i++) {
            const uint64_t ticket = atomic_load_explicit(&p->ticket, memory_order_acquire);
            if ((uint32_t)(ticket >> 32) != seen && (uint32_t)ticket != CLOSED) return true;
            pause_briefly();
        }
        if (p->crowded) sched_yield();
    } while (reel_clock_ns() < end);
    return false;
}

static void sleep_until_dispatch(reel_threads *p, uint32_t seen) {
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->n_asleep, 1);
    while ((uint32_t)(atomic_load(&p->ticket) >> 32) == seen && !atomic_load(&p->stop))
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->n_asleep, 1);
    pthread_mutex_unlock(&p->lock);
}

static void *work(void *argument) {
    const struct worker *w = argument;
    reel_threads *p = w->pool;
    uint32_t seen = 0;
    while (!atomic_load(&p->stop)) {
        if (!watch(p, seen)) sleep_until_dispatch(p, seen);
        seen = take_pieces(p, w->lane);
    }
    return NULL;
}

static void wait_until_done(reel_threads *p, int64_t n) {
    const int64_t end = reel_clock_ns() + spin_ns;
    do {
        for (int i = 0; i < PAUSES_PER_LOOK; i++) {
            if (atomic_load_explicit(&p->n_done, memory_order_acquire) == n) return;
            pause_briefly();
        }
        if (p->crowded) sched_yield();
    } while (reel_clock_ns() < end);
    pthread_mutex_lock(&p->lock);
    atomic_exchange(&p->caller_asleep, true); /* not a store: see dispatch_range */
    while (atomic_load(&p->n_done) != n)
        pthread_cond_wait(&p->finished, &p->lock);
    atomic_store(&p->caller_asleep, false);
    pthread_mutex_unlock(&p->lock);
}

/* One dispatch of n <= max_pieces pieces, the caller working along as lane 0. */
static void dispatch_range(reel_threads *p, int64_t first, uint32_t n, reel_task *task,
                           void *context) {
    /* Close the ticket under its new number first: a late worker's exchange now fails whatever mix
     * of old and new fields it has read. Only then may the fields change. */
    const uint64_t number = (atomic_load_explicit(&p->ticket, memory_order_relaxed) >> 32) + 1;
    const uint64_t ticket = (uint64_t)(uint32_t)number << 32;
    atomic_store_explicit(&p->ticket, ticket | CLOSED, memory_order_release);
    atomic_store_explicit(&p->task, task, memory_order_release);
    atomic_store_explicit(&p->context, context, memory_order_release);
    atomic_store_explicit(&p->n_pieces, n, memory_order_release);
    atomic_store_explicit(&p->first, first, memory_order_release);
    atomic_store_explicit(&p->n_done, 0, memory_order_relaxed);
    /* seq_cst here and in sleep_until_dispatch: either the sleeper sees this ticket, or it is
     * counted in n_asleep below. An exchange, although nothing wants the old value: qemu lets a
     * load pass an earlier store of another address even where both are seq_cst. */
    atomic_exchange(&p->ticket, ticket);
    const int n_asleep = atomic_load(&p->n_asleep);
    if (n_asleep > 0 && n > 1) {
        pthread_mutex_lock(&p->lock);
        if ((int64_t)n - 1 >= n_asleep) {
            pthread_cond_broadcast(&p->wake);
        } else {
            for (uint32_t i = 1; i < n; i++)
                pthread_cond_signal(&p->wake);
        }
        pthread_mutex_unlock(&p->lock);
    }
    take_pieces(p, 0);
    wait_until_done(p, n);
}

/* The lane of the calling thread, which is inside a task. No thread-local variable is needed: the
 * pool knows its threads, and the search is paid by nested calls only. */
static int lane_of_caller(const reel_threads *p) {
    const pthread_t self = pthread_self();
    for (int i = 1; i < p->n_lanes; i++)
        if (pthread_equal(self, p->thread[i])) return i;
    return 0;
}

void reel_parallel_for(reel_threads *threads, int64_t n, reel_task *task, void *context) {
    reel_threads *p = threads;
    const bool nested = p && atomic_load_explicit(&p->busy, memory_order_acquire);
    if (!p || p->n_lanes == 1 || nested) {
        const int lane = nested ? lane_of_caller(p) : 0;
        for (int64_t i = 0; i < n; i++)
            task(context, i, lane);
        return;
    }
    atomic_store_explicit(&p->busy, true, memory_order_release);
    if (n == 1) {
        task(context, 0, 0);
    } else {
        for (int64_t first = 0; first < n; first += max_pieces) {
            const int64_t left = n - first;
            dispatch_range(p, first, (uint32_t)(left < max_pieces ? left : max_pieces), task,
                           context);
        }
    }
    atomic_store_explicit(&p->busy, false, memory_order_release);
}

int reel_threads_count(const reel_threads *threads) {
    return threads ? threads->n_lanes : 1;
}

/* Stops and joins the first n_started workers, then gives the memory back. */
static void tear_down(reel_threads *p, int n_started) {
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i <= n_started; i++)
        pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->finished);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

reel_status reel_threads_new(reel_env *env, int n_threads, reel_threads **threads) {
    if (n_threads < 0 || n_threads > MAX_LANES) return REEL_E_ARG;
    void *memory = NULL;
    if (posix_memalign(&memory, LINE, sizeof(reel_threads)) != 0) return REEL_E_NOMEM;
    reel_threads *p = memory;
    *p = (reel_threads){.n_lanes = n_threads ? n_threads : usable_cores()};
    p->crowded = p->n_lanes > usable_cores();
    /* Neither can fail on Linux with default attributes, and there is nothing to do if they did. */
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->finished, NULL);
    for (int i = 1; i < p->n_lanes; i++) {
        p->worker[i] = (struct worker){.pool = p, .lane = i};
        if (reel_fault_due(&env->faults.thread_at) ||
            pthread_create(&p->thread[i], NULL, work, &p->worker[i]) != 0) {
            tear_down(p, i - 1);
            return REEL_E_NOMEM;
        }
    }
    *threads = p;
    return REEL_OK;
}

void reel_threads_free(reel_threads **threads) {
    if (!threads || !*threads) return;
    reel_threads *p = *threads;
    *threads = NULL;
    tear_down(p, p->n_lanes - 1);
}
