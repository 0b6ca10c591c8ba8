/* Which attributes fit together, and drawing what is open so that they do. */
#ifndef REEL_WORLD_RULES_H
#define REEL_WORLD_RULES_H

#include "base/rng.h"
#include "world/world.h"

/* A row of random numbers: element next of a stream, and on. */
typedef struct reel_draw {
    uint64_t seed, stream, next;
} reel_draw;

static inline float reel_draw_uniform(reel_draw *d) { /* [0,1) */
    return reel_rng_uniform(d->seed, d->stream, d->next++);
}
static inline float reel_draw_range(reel_draw *d, float low, float high) {
    return low + (high - low) * reel_draw_uniform(d);
}
static inline int reel_draw_below(reel_draw *d, int n) {
    return (int)reel_rng_below(d->seed, d->stream, d->next++, (uint64_t)n);
}
static inline float reel_draw_sign(reel_draw *d) {
    return reel_draw_below(d, 2) ? 1.0f : -1.0f;
}

/* Draws everything that is open. False when the draws ran into a corner: draw again. */
bool reel_rules_complete(reel_attributes *attributes, reel_draw *draw);

/* Gives open attributes what a lesson is about, of a set of reel_drill that is not empty. */
void reel_rules_drill(reel_attributes *attributes, unsigned set, reel_draw *draw);

/* Changes complete attributes of the training world so that they belong to another split, where
 * that can be done by color alone. */
void reel_rules_hold_out(reel_attributes *attributes, reel_split split, reel_draw *draw);

#endif
