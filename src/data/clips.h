/* Clips of one's own: the second source of training, beside the world.
 *
 * Files are listed (data/clip_files.h), each is looked at once for damage and cuts (data/shots.h),
 * and every shot is divided, from its beginning, into clips of the recipe's buckets
 * (reel_bucket_fit): the longest that fit, then what fits into the rest. What cannot be used is
 * told by name and counted; not one clip that can is a failure.
 *
 * Held out from training, by rule: a file whose bytes hash to a multiple of
 * REEL_CLIPS_HELD_OUT; when there is none, the file of the least hash; of a single file its last
 * clip. So the rule does not depend on names or on what else there is, and all shots of a file are
 * on one side. Files of the same bytes count once.
 *
 * Pixels are decoded on a thread of their own when they are announced in time (reel_source.expect).
 */
#ifndef REEL_DATA_CLIPS_H
#define REEL_DATA_CLIPS_H

#include "data/clip_files.h"
#include "data/source.h"

enum { REEL_CLIPS_HELD_OUT = 20 };

typedef struct reel_clips_options {
    const char *const *path; /* [n_paths]: folders, .tar files, videos */
    int64_t n_paths;
    double fps;                /* that clips are trained at */
    uint64_t seed;             /* of the order */
    const reel_bucket *bucket; /* [n_buckets]; borrowed while the clips are open */
    int64_t n_buckets;
    const char *sights;         /* file that keeps what was seen; its folder must exist */
    reel_clip_skipped *skipped; /* may be NULL */
    /* Told before a file is looked at; true: stop (REEL_E_CANCELLED). May be NULL. */
    bool (*looking)(void *context, int64_t i, int64_t n, const char *name);
    void *context;
} reel_clips_options;

typedef struct reel_clips reel_clips;

/* REEL_E_IO, REEL_E_ARG or REEL_E_FORMAT when there is nothing to train on, saying why (of clips
 * that were all skipped, the first's reason). The caller closes *clips. */
REEL_MUST_USE reel_status reel_clips_open(reel_env *env, const reel_clips_options *options,
                                          reel_clips **clips);
/* NULL-safe. */
void reel_clips_close(reel_clips **clips);

/* What was found. */
typedef struct reel_clips_count {
    int64_t files, skipped; /* files that are used; things that were told as skipped */
    int64_t clips, held_out;
    int64_t without_words; /* clips that have no caption */
    uint64_t fingerprint;  /* of all clips in order: the same for the same training */
} reel_clips_count;
reel_clips_count reel_clips_get_count(const reel_clips *clips);

/* The clips for training or (held_out) those kept from it, of one bucket or (-1) of all, as a
 * source that lives as long as clips; its n_clips may be 0. Groups are the clips of one file. When
 * nothing can be held out, the held-out clips are those of training. REEL_E_NOMEM. */
REEL_MUST_USE reel_status reel_clips_source(reel_clips *clips, bool held_out, int64_t bucket,
                                            reel_source *source);

/* Where clip `index` of such a source comes from: the file's name, and when it begins. */
const char *reel_clips_name(const reel_source *source, int64_t index, double *start_s);

#endif
