/* Sources: where clips with captions come from.
 *
 * A clip is named by its index. The world's clips are endless and made when asked for: the pixels,
 * the captions and the truth of index i are functions of (seed, split, i) alone, so that only
 * pixels or latents are ever kept and the words are made again. This header names nothing of
 * world/, so that trainers see clips and words, not scenes.
 */
#ifndef REEL_DATA_SOURCE_H
#define REEL_DATA_SOURCE_H

#include "base/env.h"
#include "data/buckets.h"

/* Which part of the world: the values of world/world.h's splits. */
typedef enum reel_source_split {
    REEL_SOURCE_TRAIN,
    REEL_SOURCE_VALIDATION,    /* held-out combinations */
    REEL_SOURCE_HELDOUT_PAIRS, /* kinds in colors never trained on */
} reel_source_split;

typedef struct reel_world_source {
    uint64_t seed;
    reel_source_split split;
    float fps;
} reel_world_source;

/* The pixels of clip `index`: u8 [F,H,W,3]. Runs over the threads of env. */
REEL_MUST_USE reel_status reel_world_source_clip(reel_env *env, const reel_world_source *source,
                                                 int64_t index, const reel_bucket *size,
                                                 uint8_t *rgb);

enum { REEL_SOURCE_CAPTION_BYTES = 1024 };

/* A caption of clip `index`; variant chooses the phrasing and its length. text has
 * REEL_SOURCE_CAPTION_BYTES. */
REEL_MUST_USE reel_status reel_world_source_caption(reel_env *env, const reel_world_source *source,
                                                    int64_t index, const reel_bucket *size,
                                                    bool chinese, uint64_t variant, char *text);

/* ---- truths swapped: does a model read what a caption says? ---- */

/* How many attributes there are (kind, color, ... camera), and the name of one. Static storage. */
int reel_world_source_attributes(void);
const char *reel_world_source_attribute(int attribute);

/* A long English caption of clip `index`, and the same with the value of one attribute (of the
 * first object, or of the scene) exchanged for another that makes sense. *differs is false when
 * there is none, or the caption does not speak of it. Both texts have REEL_SOURCE_CAPTION_BYTES. */
REEL_MUST_USE reel_status reel_world_source_swap(reel_env *env, const reel_world_source *source,
                                                 int64_t index, const reel_bucket *size,
                                                 int attribute, char *text, char *swapped,
                                                 bool *differs);

#endif
