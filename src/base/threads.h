/* The thread pool: the one place of reel that starts threads.
 *
 * Work is split by the caller, by shape; the pool only decides who runs which piece. A piece may
 * use its lane number to find scratch memory, never to decide what it computes, so the bytes are
 * the same at any number of threads.
 */
#ifndef REEL_BASE_THREADS_H
#define REEL_BASE_THREADS_H

#include <stdint.h>

#include "reel/reel.h"

typedef struct reel_threads reel_threads;

/* One piece of work: index in [0,n), lane in [0, reel_threads_count). */
typedef void reel_task(void *context, int64_t index, int lane);

/* n_threads lanes, the calling thread being lane 0; 0: one per usable core. Heap; freed below.
 * n_threads in [0,256]. Fails with REEL_E_ARG or REEL_E_NOMEM and no message (env is being made).
 */
REEL_MUST_USE reel_status reel_threads_new(reel_env *env, int n_threads, reel_threads **threads);
void reel_threads_free(reel_threads **threads);

/* Lanes, the caller's own included. */
int reel_threads_count(const reel_threads *threads);

/* Calls task(context, i, lane) for i in [0,n) and returns when all are done. Pieces are taken in
 * rising order by whichever lane is free. Calling it from inside a task runs the pieces in place,
 * on the same lane. Not to be called by two threads at once. threads NULL: one lane. */
void reel_parallel_for(reel_threads *threads, int64_t n, reel_task *task, void *context);

#endif
