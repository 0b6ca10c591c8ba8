/* Streaming: weights that leave memory as soon as a plan has read them for the last time.
 *
 * Weights are used where the mapped file has them, so dropping their pages costs a reading of the
 * file at the next run and no writing. A text encoder, which runs once, and a transformer that has
 * to fit into --max-memory are run this way.
 */
#ifndef REEL_PIPELINE_STREAMING_H
#define REEL_PIPELINE_STREAMING_H

#include "nn/params.h"
#include "tape/plan.h"
#include "tensor/safetensors_set.h"

/* Asked between the records of a plan whether to go on; anything but REEL_OK ends the run. */
typedef reel_status reel_tick(void *context);

typedef struct reel_streaming {
    reel_env *env;
    const reel_safetensors_set *files; /* NULL: nothing is dropped */
    struct reel_streaming_drop {
        int after;        /* the record that reads it last */
        const char *name; /* in the files */
    } * drop;             /* [n], by record */
    int n, next;
    reel_tick *tick; /* or NULL */
    void *tick_context;
} reel_streaming;

/* Finds when each weight of the files is read last in the plan, which was made of the store's last
 * recording, and drops it there in every run from now on. Weights that were converted stay. files
 * NULL: only the tick is set up. Before the plan is freed or run by somebody else:
 * reel_streaming_deinit. The struct must not move in between. */
REEL_MUST_USE reel_status reel_streaming_init(reel_env *env, reel_safetensors_set *files,
                                              reel_params *params, reel_plan *plan, reel_tick *tick,
                                              void *tick_context, reel_streaming *streaming);
/* Safe on a zeroed struct. */
void reel_streaming_deinit(reel_streaming *streaming);

/* The most bytes of weights that are in memory at a time, for a plan run this way: the largest sum
 * over neighbouring weights read by one record. */
int64_t reel_streaming_window(reel_params *params, const reel_plan *plan);

#endif
