/* Deblocking in time: takes off the step from one latent frame to the next.
 *
 * A causal autoencoder makes a latent frame's pictures together, and what its code cannot say is
 * missed differently in each: where nothing moves, pictures still change at every fourth one. Video
 * codecs smooth the borders of their blocks for the same reason (H.264, section 8.7). With y the
 * decoded picture and z what has been shown, in levels of 255, behind the border at frame g
 *
 *     o = y[g] - z[g - 1]
 *     z[g + j] = y[g + j] - share (1 - j / period) o / (1 + (o / REEL_DEBLOCK_LEVELS)^2)
 *
 * for j = 0 .. period - 1: small steps, which are the code's, are spread over the latent frame's
 * pictures, large ones, which are motion, stay. Causal, one pass, no sum over pixels.
 */
#ifndef REEL_PIPELINE_DEBLOCK_H
#define REEL_PIPELINE_DEBLOCK_H

#include "base/env.h"

enum { REEL_DEBLOCK_LEVELS = 10 };

typedef struct reel_deblock {
    reel_env *env;
    int64_t n, period; /* bytes of a picture; pictures of a latent frame behind the first */
    float share;
    float *shown, *off; /* [n]: z of the last frame, what is taken off the latent frame's first */
} reel_deblock;

/* share in [0,1]. The caller deinits, whatever happened. */
REEL_MUST_USE reel_status reel_deblock_init(reel_env *env, int64_t n, int64_t period, double share,
                                            reel_deblock *deblock);
void reel_deblock_deinit(reel_deblock *deblock);

/* The next frame of a clip, counted from 0 on, u8 [n], in place. Frame 0 stays as it is. */
void reel_deblock_frame(reel_deblock *deblock, int64_t frame, uint8_t *picture);

#endif
