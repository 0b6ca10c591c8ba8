/* Steps: how far each frame of a clip is from another, and what that says without any judge.
 *
 * A seam is a step between frames that were not made together. Motion is told by pixels that leave
 * the first frame, not by the size of the steps, which rain and an autoencoder's flicker have too.
 */
#ifndef REEL_DATA_STEPS_H
#define REEL_DATA_STEPS_H

#include "base/env.h"
#include "data/buckets.h"

/* The mean absolute difference of two frames u8 [bytes], as of values in [0,255]. */
double reel_step(const uint8_t *a, const uint8_t *b, int64_t bytes);

/* The largest step where a clip rgb u8 [F,H,W,3] of the size was joined, over the median of its
 * other steps: joint i, in [1,F), is the step onto that frame, F is the one from the last frame to
 * the first. *seam is 0 when nothing moves, and infinite when nothing but a joint does. REEL_E_ARG
 * when a joint is not inside, REEL_E_NOMEM. */
REEL_MUST_USE reel_status reel_seam_measure(reel_env *env, const uint8_t *rgb,
                                            const reel_bucket *size, const int64_t *joint,
                                            int n_joints, double *seam);

/* Steps of clips that were made `period` frames at a time, behind their first frame: those onto the
 * first frame of a piece, and the others. */
typedef struct reel_pulse {
    double onto, within; /* sums */
    int64_t n_onto, n_within;
} reel_pulse;

/* Adds a clip's. */
void reel_pulse_add(reel_pulse *pulse, const uint8_t *rgb, const reel_bucket *size, int64_t period);
/* How much larger the former are on average; 1 when nothing moves, or a piece has one frame. */
double reel_pulse_ratio(const reel_pulse *pulse);

/* The largest share of pixels, of any later frame, that differ from the first frame: by more than
 * an eighth of the range in some channel, after a mean over 3 x 3 that takes noise away. */
double reel_moved_share(const uint8_t *rgb, const reel_bucket *size);

/* The mean squared difference, of values in [0,1], of columns [from,to) of two clips of the size.
 */
double reel_columns_mean_square(const uint8_t *a, const uint8_t *b, const reel_bucket *size,
                                int64_t from, int64_t to);

#endif
