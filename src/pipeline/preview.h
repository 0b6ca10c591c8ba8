/* Previews: what latents will look like, without the decoder.
 *
 * A linear map from the channels of one latent position to one colour, fitted by least squares to
 * what the decoder makes of sample latents. A decoder takes seconds and gigabytes for what this
 * does in a millisecond, at the latents' resolution.
 */
#ifndef REEL_PIPELINE_PREVIEW_H
#define REEL_PIPELINE_PREVIEW_H

#include "base/env.h"

enum { REEL_PREVIEW_MAX_CHANNELS = 256 };

typedef struct reel_preview_map {
    int64_t n_channels;                                /* C */
    float weight[3 * (REEL_PREVIEW_MAX_CHANNELS + 1)]; /* [3,C+1]: the last column is added */
} reel_preview_map;

/* Fits the map to n positions: latents [C,n] and the colour the decoder gives each, rgb [3,n] in
 * [-1,1]. C in [1, REEL_PREVIEW_MAX_CHANNELS], n > C (REEL_E_ARG). */
REEL_MUST_USE reel_status reel_preview_fit(reel_env *env, int64_t C, int64_t n,
                                           const float *latents, const float *rgb,
                                           reel_preview_map *map);

/* One frame of latents [C,F,h,w] as pixels [h,w,3] u8 sRGB. */
void reel_preview_frame(const reel_preview_map *map, const float *latents, int64_t F, int64_t h,
                        int64_t w, int64_t frame, uint8_t *pixels);

/* Sample latents [C,n] whose neighbours (rows of w) are alike, as those of pictures are: smooth
 * noise of standard deviation 1, a function of the index alone. */
void reel_preview_samples(int64_t C, int64_t h, int64_t w, float *latents);

#endif
