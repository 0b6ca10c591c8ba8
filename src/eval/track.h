/* Following the one thing that moves in a clip whose camera stands still, and asking its path
 * whether it obeys gravity.
 *
 * The background is made of the medians over the first and the last third of the frames; what
 * differs from it is moving; of its larger connected pieces the topmost is the thing, the others
 * are shadows. No network is involved, so nothing learned can be fooled.
 */
#ifndef REEL_EVAL_TRACK_H
#define REEL_EVAL_TRACK_H

#include "base/env.h"

/* The thing in one frame. */
typedef struct reel_track_point {
    bool seen;     /* else the rest is 0 */
    bool cut;      /* it touches the picture's edge */
    double x, y;   /* centroid in pixels, y down */
    double area;   /* share of the picture */
    double rgb[3]; /* its mean color, each in [0,1] */
} reel_track_point;

/* rgb u8 [F,H,W,3] -> point [F]. F in [3,4096]. REEL_E_ARG, REEL_E_NOMEM. */
REEL_MUST_USE reel_status reel_track(reel_env *env, const uint8_t *rgb, int64_t F, int64_t H,
                                     int64_t W, reel_track_point *point);

/* Fits y = c0 + c1 t + c2 t^2 by least squares to n >= 4 points of different t; returns R^2, the
 * share of y's variance that the fit explains (1 when y does not vary). */
double reel_fit_acceleration(const double *t, const double *y, int64_t n, double c[3]);

/* Whether a track falls: from where it is first seen whole down to the impact it moves down by at
 * least a tenth of the picture's height, over 5 frames or more, speeding up, and a constant
 * acceleration explains at least least_r2 of it. *r2 (may be NULL): how much it explains, 0 when
 * there is no such piece. */
bool reel_track_falls(const reel_track_point *point, int64_t F, int64_t H, double least_r2,
                      double *r2);

/* Whether what goes in on one side comes out on the other with its color: seen whole in the first
 * third and in the last, at least 0.15 of the width apart, and the shares of red, green and blue in
 * its mean color at most `most` apart (Euclidean): light and shade may change. */
bool reel_track_comes_back(const reel_track_point *point, int64_t F, int64_t W, double most);

#endif
