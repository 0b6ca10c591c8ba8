/* How near things are: clips of a source with the nearness of every pixel, and their second eye.
 *
 * Nearness is 1 / (z tan a), as models/depth/depth.h has it: half the shorter side in pixels times
 * nearness times the way of the eye to its right, in metres, is how far a point moves to the left.
 */
#ifndef REEL_DATA_DEPTH_H
#define REEL_DATA_DEPTH_H

#include "data/source.h"

/* Clip `index` seen eye_m metres further to the right: rgb u8 [F,H,W,3], and nearness f32 [F,H,W]
 * (NULL: not wanted). Runs over the threads of env. */
REEL_MUST_USE reel_status reel_world_source_eye(reel_env *env, const reel_world_source *source,
                                                int64_t index, const reel_bucket *size, float eye_m,
                                                uint8_t *rgb, float *nearness);

#endif
