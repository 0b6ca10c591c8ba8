/* Cuts: where one shot of a video ends and the next begins.
 *
 * Each frame is reduced to a small grid of its brightness and a histogram of its colours. A cut is
 * where both change at once, much more than they do around it: motion changes the grid but hardly
 * the histogram, a slow change of light changes both a little everywhere, a flash comes back.
 */
#ifndef REEL_MEDIA_SCENES_H
#define REEL_MEDIA_SCENES_H

#include <stdint.h>

#include "base/env.h"

typedef struct reel_scenes reel_scenes;

/* For frames of one size. Freed with reel_scenes_free. */
REEL_MUST_USE reel_status reel_scenes_new(reel_env *env, int width, int height,
                                          reel_scenes **scenes);
void reel_scenes_free(reel_scenes **scenes);

/* Looks at the next frame, [H,W,3], borrowed; about a kilobyte of it is kept. */
REEL_MUST_USE reel_status reel_scenes_push(reel_scenes *scenes, const uint8_t *pixels);

/* The frames that begin a new shot, rising, without frame 0; *cut is borrowed until the next call.
 * min_length >= 1: shots shorter than this many frames are joined with the one before. */
REEL_MUST_USE reel_status reel_scenes_cuts(reel_scenes *scenes, int64_t min_length,
                                           const int64_t **cut, int64_t *n_cuts);

#endif
