/* 255 colours for a GIF: median cut over a histogram, ordered dither.
 *
 * The dither is a fixed 8x8 pattern, so that what stands still keeps its pixels from frame to
 * frame.
 */
#ifndef REEL_MEDIA_PALETTE_H
#define REEL_MEDIA_PALETTE_H

#include <stdint.h>

#include "base/env.h"

enum { REEL_PALETTE_COLORS = 255, REEL_PALETTE_BINS = 1 << 15 };

typedef struct reel_palette {
    uint8_t color[REEL_PALETTE_COLORS][3];
    int n;
    uint8_t nearest[REEL_PALETTE_BINS]; /* of each colour with 5 bits a channel */
} reel_palette;

/* Chooses the colours for [n_pixels,3], n_pixels >= 1: boxes of the histogram are cut in two where
 * they spread most (Heckbert 1982), each becomes its mean. */
REEL_MUST_USE reel_status reel_palette_make(reel_env *env, const uint8_t *rgb, int64_t n_pixels,
                                            reel_palette *palette);

/* [H,W,3] to [H,W] places in the palette, rows stride bytes apart. Returns the mean squared
 * difference of a channel between the picture and its colours without dither. */
double reel_palette_apply(const reel_palette *palette, const uint8_t *rgb, int width, int height,
                          uint8_t *index, int stride);

#endif
