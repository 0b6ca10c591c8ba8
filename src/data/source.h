/* Sources: where clips with captions come from.
 *
 * A clip is named by its index. What trains is handed a reel_source, a table of functions; there
 * are two behind it. The world's clips are endless and made when asked for: the pixels, the
 * captions and the truth of index i are functions of (seed, split, i) alone, so that only pixels or
 * latents are ever kept and the words are made again. Clips of one's own are data/clips.h. This
 * header names nothing of world/, so that trainers see clips and words, not scenes.
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

/* The world, as far as trainers know it. */
typedef struct reel_world_source {
    uint64_t seed;
    reel_source_split split;
    float fps;
    double drills;     /* share of clips that are lessons, told in full */
    unsigned drill_on; /* what about: a set of reel_drill, 0: all (world/world.h) */
} reel_world_source;

/* Sets drills, and drill_on from names (reel_drills_parse). REEL_E_ARG when a name is none. */
REEL_MUST_USE reel_status reel_world_source_set_drills(reel_env *env, double drills,
                                                       const char *names,
                                                       reel_world_source *source);

/* The pixels of clip `index`: u8 [F,H,W,3]. Runs over the threads of env. */
REEL_MUST_USE reel_status reel_world_source_clip(reel_env *env, const reel_world_source *source,
                                                 int64_t index, const reel_bucket *size,
                                                 uint8_t *rgb);

enum { REEL_SOURCE_CAPTION_BYTES = 2048 }; /* of a caption at most, with its end */

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

/* ---- any source ---- */

enum { REEL_SOURCE_NAME_BYTES = 64, REEL_SOURCE_GROUP = 32 /* clips of the world in a group */ };

/* Clips that follow one another and whose latents are kept in one file. */
typedef struct reel_source_group {
    int64_t first, n;
    char name[REEL_SOURCE_NAME_BYTES]; /* of that file, without folder and extension */
} reel_source_group;

/* What a cell shows: 0 nothing of note, else two labels in one byte, the thing's kind in the upper
 * four bits and its color in the lower, each from 1 on. */
enum { REEL_SOURCE_LABELS = 16 /* of either at most, 0 among them */ };

/* Cells of a clip: boxes of `frames` frames (but the first frame is a layer of its own) by `size`
 * pixels squared; `layers` of them from the beginning on. */
typedef struct reel_source_cells {
    int64_t frames, size, layers;
} reel_source_cells;

typedef struct reel_source {
    void *context;    /* of the functions; borrowed */
    int64_t n_clips;  /* 0: endless */
    bool has_chinese; /* captions differ by language */
    const char *noun; /* what a clip's pictures are: "rendered", "clip"; static storage */
    /* pixels u8 [F,H,W,3] of clip `index` in a size. */
    reel_status (*pixels)(reel_env *env, void *context, int64_t index, const reel_bucket *size,
                          uint8_t *rgb);
    /* As reel_world_source_caption; "" when the clip has none. */
    reel_status (*caption)(reel_env *env, void *context, int64_t index, const reel_bucket *size,
                           bool chinese, uint64_t variant, char *text);
    /* Where the objects of clip `index` are: out u8 [layers,h,w], labels of those that may touch a
     * cell. NULL: nobody knows. Any thread. */
    reel_status (*objects)(reel_env *env, void *context, int64_t index, const reel_bucket *size,
                           const reel_source_cells *cells, uint8_t *out);
    /* Which of n buckets clip `index` has, alone and as a member of group `group` (-1: alone). */
    int64_t (*bucket)(void *context, const reel_bucket *bucket, int64_t n, int64_t group,
                      int64_t index);
    /* Group i in [0, n_groups), or any of an endless source. */
    void (*group)(void *context, int64_t i, reel_source_group *group);
    int64_t n_groups; /* 0: endless */
    /* Clip `index` will be asked for in that size, perhaps soon. NULL: nothing comes of telling. */
    void (*expect)(void *context, int64_t index, const reel_bucket *size);
} reel_source;

/* The world as a source; world is borrowed. Groups are shards of REEL_SOURCE_GROUP clips. */
reel_source reel_source_of_world(const reel_world_source *world);

#endif
