/* The pool: the clips a trainer of pictures draws from, in memory, always being renewed.
 *
 * Holds the newest `room` clips of a source. Which clips those are is a function of how many have
 * been made, and that is for the caller to derive from its step: a stopped run goes on with the
 * same clips. Made by all lanes between steps, since on a small machine a thread of its own would
 * only take the lanes' time.
 */
#ifndef REEL_DATA_POOL_H
#define REEL_DATA_POOL_H

#include "data/source.h"

typedef struct reel_pool reel_pool;

/* An empty pool of room > 0 clips whose sizes are drawn from n_buckets buckets (all borrowed but
 * source, which is copied). A source of fewer clips than room is held whole, once. */
REEL_MUST_USE reel_status reel_pool_new(reel_env *env, const reel_source *source,
                                        const reel_bucket *bucket, int64_t n_buckets, int64_t room,
                                        reel_pool **pool);
void reel_pool_free(reel_pool **pool);

/* Makes the clips up to index n_made - 1 that are to be held: max(0, n_made - room) and on. The
 * clips of a source that has an end are made in turn, again and again. */
REEL_MUST_USE reel_status reel_pool_advance(reel_pool *pool, int64_t n_made);

/* A clip that is held: size and pixels u8 [F,H,W,3]. */
typedef struct reel_pool_clip {
    int64_t index;
    const reel_bucket *size;
    const uint8_t *rgb;
} reel_pool_clip;

/* How many are held, and the i-th of them, by index. */
int64_t reel_pool_count(const reel_pool *pool);
reel_pool_clip reel_pool_at(const reel_pool *pool, int64_t i);

/* Copies a box of a clip into out f32 [F,H,W,3] in [-1,1]: size (frames, height, width) from
 * (frame, y, x) on; mirror: left and right exchanged. */
typedef struct reel_crop {
    int64_t frame, y, x, frames, height, width;
    bool mirror;
} reel_crop;
void reel_pool_crop(const reel_pool_clip *clip, const reel_crop *crop, float *out);

#endif
