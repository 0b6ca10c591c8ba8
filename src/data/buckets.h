/* Buckets: the sizes clips come in, and which clip gets which. */
#ifndef REEL_DATA_BUCKETS_H
#define REEL_DATA_BUCKETS_H

#include <stdbool.h>
#include <stdint.h>

/* A size of clips and how often it is drawn. */
typedef struct reel_bucket {
    int64_t width, height, frames; /* pixels, frames */
    double weight;                 /* >= 0, relative to the others' */
} reel_bucket;

/* Which of n >= 1 buckets clip `index` of a source with that seed has: a fixed draw by weight. */
int64_t reel_bucket_of(const reel_bucket *bucket, int64_t n, uint64_t seed, int64_t index);

/* Which of n buckets suits a shot of width x height pixels and as many frames: of those that are no
 * longer than it, those of more than one frame first, the nearest in aspect; of several such the
 * longest, then the largest that needs no enlarging (or the smallest). Weights do not matter but
 * that one of 0 is never chosen. -1: all are longer. */
int64_t reel_bucket_fit(const reel_bucket *bucket, int64_t n, int64_t width, int64_t height,
                        int64_t frames);

/* Bytes of a clip: u8 [F,H,W,3]. */
static inline int64_t reel_bucket_bytes(const reel_bucket *b) {
    return b->frames * b->height * b->width * 3;
}

#endif
