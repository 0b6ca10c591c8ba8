/* A worker: one thread that does jobs in the order they are handed over, while the owner goes on.
 *
 * For work that waits for disks and decoders rather than for arithmetic, which belongs to
 * reel_parallel_for. A job must not touch the owner's environment; it brings one of its own. Where
 * no thread can be started, jobs are done at once, by whoever hands them over.
 */
#ifndef REEL_BASE_WORKER_H
#define REEL_BASE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "reel/reel.h"

enum { REEL_WORKER_JOBS = 64 }; /* that may be waiting or under way at a time */

typedef struct reel_worker reel_worker;

/* REEL_E_NOMEM. The caller frees it. */
REEL_MUST_USE reel_status reel_worker_new(reel_env *env, reel_worker **worker);
/* Waits for the jobs handed over; NULL-safe. */
void reel_worker_free(reel_worker **worker);

/* Hands over a job; its number counts from 0. context is borrowed until the job is done. false, and
 * nothing handed over, when REEL_WORKER_JOBS are not done yet. Owner's thread, as the rest. */
bool reel_worker_push(reel_worker *worker, void (*job)(void *context), void *context,
                      int64_t *number);
/* True when job `number` is done; what it wrote can then be read. */
bool reel_worker_is_done(reel_worker *worker, int64_t number);
/* Returns when it is. */
void reel_worker_wait(reel_worker *worker, int64_t number);

#endif
