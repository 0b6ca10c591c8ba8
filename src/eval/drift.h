/* Drift: how the end of a long video differs from its beginning.
 *
 * Colours wander and details fade when each part of a video is made from the one before. Of the
 * first and the last seconds of each file the same figures are taken: what its colours are, how
 * sharp it is, how much it moves, and, with a judge, how much of its prompt is seen. A video that
 * keeps what it has has the same on both sides.
 */
#ifndef REEL_EVAL_DRIFT_H
#define REEL_EVAL_DRIFT_H

#include "eval/scores.h"
#include "tape/op.h"

enum { REEL_DRIFT_SECONDS = 5 };

typedef struct reel_drift_options {
    const char *const *clip; /* [n_clips] files */
    int n_clips;
    const char *judge; /* folder; NULL: none. It judges files whose stored recipe has a prompt */
    const reel_kernel_table *table; /* with a judge */
} reel_drift_options;

/* Figures of a piece of video, of pixels in [0,1]. */
typedef struct reel_drift_figures {
    double mean[3];    /* of each channel */
    double contrast;   /* standard deviation of the brightness */
    double saturation; /* mean of the largest less the smallest channel */
    double sharpness;  /* mean absolute difference of neighbours in a row */
    double motion;     /* mean absolute difference of a frame from the one before */
} reel_drift_figures;

/* Figures of n frames rgb [n,H,W,3]. */
reel_drift_figures reel_drift_measure(int64_t n, int64_t H, int64_t W, const uint8_t *rgb);

/* Adds rows: section "drift", groups "first 5 s" and "last 5 s", means over all files, and
 * "apart": the mean distance of both ends ("judged right": what the last lose). REEL_E_ARG for a
 * file shorter than two such pieces. */
REEL_MUST_USE reel_status reel_drift_run(reel_env *env, const reel_drift_options *options,
                                         reel_scores *report);

#endif
