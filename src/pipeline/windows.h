/* Windows: a canvas that is too long, made in parts of one length.
 *
 * The first window is the canvas' beginning. Each later one begins with what the one before ends
 * with, perhaps behind the beginning of the first (the anchor), so that what is made goes on from
 * what is there; the last one reaches back as far as it must to be as long as the others. Memory
 * depends on the window, not on the canvas.
 *
 *     canvas    0 1 2 3 4 5 6 7 8 9 a b c d
 *     window 0  0 1 2 3 4 5
 *     window 1          4 5 6 7 8 9            context 2
 *     window 2                  8 9 a b c d
 *
 * A task that goes backwards makes its windows from the last to the first, each as a clip's
 * beginning that is extended backwards (pipeline/task.h).
 */
#ifndef REEL_PIPELINE_WINDOWS_H
#define REEL_PIPELINE_WINDOWS_H

#include "pipeline/settings.h"

/* Latent frames. The window's own positions are [0, anchor) of the first window, then [at, ...) of
 * the canvas, of which the first `known` are there already. */
typedef struct reel_window {
    int64_t anchor, at, known, fresh;
} reel_window;

/* Windows of a canvas of F latent frames, and latent frames of each: F when it is one. */
int64_t reel_windows_count(const reel_spans *spans, int64_t F);
int64_t reel_windows_length(const reel_spans *spans, int64_t F);
/* Window i in [0, count). */
reel_window reel_windows_at(const reel_spans *spans, int64_t F, int64_t i);

/* The seed of a window's noise: that of the run for the first one. */
uint64_t reel_windows_seed(int64_t seed, int64_t i);

#endif
