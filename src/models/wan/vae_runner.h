/* A recorded part of the VAE at work: its plan, and the caches that lead from piece to piece.
 *
 * One plan is kept, of one piece at one size. What is recorded is its owner's affair. Included by
 * the files of this model only.
 */
#ifndef REEL_MODELS_WAN_VAE_RUNNER_H
#define REEL_MODELS_WAN_VAE_RUNNER_H

#include "models/wan/vae.h"
#include "tape/plan.h"

/* Records a piece of a size, two numbers that mean something to whoever records. */
typedef reel_status reel_vae_record(void *context, reel_tape *tape, reel_wan_vae_piece piece,
                                    const int64_t size[2], reel_wan_vae_caches *caches);

typedef struct reel_vae_runner {
    /* set by the owner before init */
    reel_env *env;
    const reel_kernel_table *table;
    reel_vae_record *record;
    void *context;
    int64_t single_from; /* as in reel_wan_vae_caches */
    /* its own */
    reel_tape *tape;
    reel_plan *plan; /* of `piece` at `planned`, or NULL */
    reel_wan_vae_piece piece;
    int64_t planned[2];
    int64_t cache_size[2]; /* the size that caches are laid out for */
    int n_caches;
    int64_t cache_at[REEL_WAN_VAE_CACHES]; /* offsets into cache */
    char *cache;
    int64_t cache_bytes, cache_room;
    int64_t n_run; /* pieces of this clip so far */
} reel_vae_runner;

REEL_MUST_USE reel_status reel_vae_runner_init(reel_vae_runner *runner);
void reel_vae_runner_deinit(reel_vae_runner *runner);

/* Makes plan and caches fit a piece. Fails as recording and planning do. */
REEL_MUST_USE reel_status reel_vae_runner_prepare(reel_vae_runner *runner, reel_wan_vae_piece piece,
                                                  const int64_t size[2]);

/* The next piece is the first of a clip. */
void reel_vae_runner_begin(reel_vae_runner *runner);

/* Runs the next piece of a clip, whose pieces are all of one size. */
REEL_MUST_USE reel_status reel_vae_runner_run(reel_vae_runner *runner, const int64_t size[2]);

#endif
