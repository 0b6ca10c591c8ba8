/* The environment: what every part of reel hangs off instead of global state.
 *
 * Holds the allocator, the log, the threads and the message of the first failure. The types the
 * public header names (reel_status, reel_env) live there; this header adds what the library
 * itself needs: failing with a message, and logging.
 */
#ifndef REEL_BASE_ENV_H
#define REEL_BASE_ENV_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/threads.h"
#include "reel/reel.h"

enum { REEL_MESSAGE_BYTES = 2048 };

/* What the fault tests make fail besides allocations. Each counts down: k > 0 means that the k-th
 * such call from now on and every one after it fails; 0 means that none does. */
typedef struct reel_faults {
    int64_t thread_at; /* starting a thread */
    int64_t io_at;     /* a system call of base/file: open, map, write, sync, rename */
} reel_faults;

struct reel_env {
    reel_allocator allocator;
    reel_threads *threads; /* never NULL in a live environment */
    reel_faults faults;
    reel_log_fn *log;
    void *log_context;
    reel_log_level log_max;
    pthread_mutex_t message_lock; /* a task on any lane may fail */
    reel_status status;           /* of the first failure; REEL_OK when there is none */
    char message[REEL_MESSAGE_BYTES];
};

/* True when this call is to fail: steps one of the counters of env->faults. Owner's thread. */
bool reel_fault_due(int64_t *countdown);

/* Sets the message if this is the first failure since the last clear, and returns status, so that
 * a caller writes `return reel_fail(env, REEL_E_SHAPE, "x %s needs ...", ...)`.
 * No newline, no capital, no "error:" in the message; control characters, which names out of
 * files may have, become '?'. */
reel_status reel_fail(reel_env *env, reel_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the message of the current failure: each layer says where it was. */
void reel_fail_within(reel_env *env, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Logs one line at a level; does nothing when nobody listens. Any thread. */
void reel_log(const reel_env *env, reel_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
