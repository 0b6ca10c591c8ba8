/* What a training sample is given: frames of a clip, or a part of every frame, that are known.
 *
 * A model that has seen clips with some of their latents clean learns every task of the canvas at
 * once: from a picture (the first frame), to a picture (the last), between two (both), from a clip
 * (the head), towards one (the tail), between clips and in a loop (the ends), keyframes (some),
 * edits inside and outside of a region, and the next window of a long video: what came before, and
 * in front of it the video's first frame, which may lie far back (pipeline/windows.h, the anchor).
 */
#ifndef REEL_TRAIN_KNOWN_H
#define REEL_TRAIN_KNOWN_H

#include "train/row.h"

typedef enum reel_known_kind {
    REEL_KNOWN_NOTHING,
    REEL_KNOWN_FIRST, /* from here on each as often as any other */
    REEL_KNOWN_LAST,
    REEL_KNOWN_BOTH,
    REEL_KNOWN_SOME, /* each frame by a coin */
    REEL_KNOWN_HEAD,
    REEL_KNOWN_TAIL,
    REEL_KNOWN_ENDS,   /* a head and a tail */
    REEL_KNOWN_WINDOW, /* a head of at least two frames, where there are three */
    REEL_KNOWN_REGION, /* a box of every frame, or all but it */
    REEL_KNOWN_KINDS,
} reel_known_kind;

/* Which of them sample i of a seed gets: with probability `fraction` something. */
reel_known_kind reel_known_kind_of(uint64_t seed, uint64_t i, double fraction);

/* How many latent frames lie between the first two of sample i, a stored clip of *f of them, and
 * are left out; *f becomes how many are left. 0, and nothing changes, but for a window of a clip of
 * at least five frames. */
int64_t reel_known_gap(uint64_t seed, uint64_t i, reel_known_kind kind, int64_t *f);

/* The known frames (bit k: frame k; never all) of sample i, a clip of f x h x w tokens, f up to
 * REEL_ROW_FRAMES, and the region, whose height is 0 where there is none. An image has no known
 * frames, and a frame of one row or column no region. */
uint64_t reel_known_draw(uint64_t seed, uint64_t i, double fraction, int64_t f, int64_t h,
                         int64_t w, reel_row_box *region);

#endif
