/* Two eyes: the view of a second one, drawn from a picture and its depth, and pictures of both.
 *
 * Depth comes as nearness [H,W], any number >= 0 that grows as things come near, and a view as two
 * numbers: pixel (y,x) of the picture is seen at x - gain * nearness + offset. The row between two
 * neighbours stretches where they stay together and tears where they part by more than a pixel;
 * where things cover one another the nearest is seen (depth-image-based rendering, Fehn 2004). What
 * a tear uncovers is filled from its farther side: the background goes on behind what stood in
 * front of it.
 */
#ifndef REEL_MEDIA_STEREO_H
#define REEL_MEDIA_STEREO_H

#include "media/picture.h"

/* How an eye sees. */
typedef struct reel_view_shift {
    float gain; /* pixels a point of nearness 1 moves to the left; negative: an eye to the left */
    float
        offset; /* pixels everything moves to the right: what has gain * nearness = offset stays */
} reel_view_shift;

/* rgb u8 [H,W,3], nearness [H,W], finite -> out u8 [H,W,3], which is neither. Rows are drawn by the
 * threads of env, the same bytes at any number. REEL_E_NOMEM. */
REEL_MUST_USE reel_status reel_view_draw(reel_env *env, const uint8_t *rgb, const float *nearness,
                                         int width, int height, reel_view_shift shift,
                                         uint8_t *out);

/* n pixels of a left and a right view to a picture for red-cyan glasses, by the least-squares
 * matrices of Dubois ("A projection method to generate anaglyph stereo images", ICASSP 2001), on
 * stored values. out may be one of the two. */
void reel_anaglyph(const uint8_t *left, const uint8_t *right, int64_t n, uint8_t *out);

/* left and right [H,W,3] next to each other: out [H,2W,3]. */
void reel_side_by_side(const uint8_t *left, const uint8_t *right, int width, int height,
                       uint8_t *out);

/* n values of nearness as grey [n,3]: black at 0, white at `white` (> 0) and above. */
void reel_nearness_grey(const float *nearness, int64_t n, float white, uint8_t *out);

#endif
