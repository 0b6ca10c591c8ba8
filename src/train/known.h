/* What a training sample is given: frames of a clip, or a part of every frame, that are known.
 *
 * A model that has seen clips with some of their latents clean learns every task of the canvas at
 * once: from a picture (the first frame), to a picture (the last), between two (both), from a clip
 * (the head), towards one (the tail), keyframes (some), and edits inside and outside of a region.
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
    REEL_KNOWN_REGION, /* a box of every frame, or all but it */
    REEL_KNOWN_KINDS,
} reel_known_kind;

/* Which of them sample i of a seed gets: with probability `fraction` something. */
reel_known_kind reel_known_kind_of(uint64_t seed, uint64_t i, double fraction);

/* The known frames (bit k: frame k; never all) of sample i, a clip of f x h x w tokens, f up to
 * REEL_ROW_FRAMES, and the region, whose height is 0 where there is none. An image has no known
 * frames, and a frame of one row or column no region. */
uint64_t reel_known_draw(uint64_t seed, uint64_t i, double fraction, int64_t f, int64_t h,
                         int64_t w, reel_row_box *region);

#endif
