/* Parts: the finished windows of a long run, on disk until the file is made of them.
 *
 * OUTPUT.reel-parts holds for each window its frames, lossless, and its latents, from which the
 * next one takes its context. The frames appear last, and whole: a window is finished when they are
 * there. Of the latents the first window's and the newest stay.
 */
#ifndef REEL_PIPELINE_PARTS_H
#define REEL_PIPELINE_PARTS_H

#include "base/env.h"

typedef struct reel_parts {
    reel_env *env;
    const char *folder;      /* borrowed */
    int64_t C, window, h, w; /* of a window's latents */
} reel_parts;

/* Paths of window i's files, into text. REEL_E_ARG when the name is too long. */
enum { REEL_PARTS_PATH = 4096 };
REEL_MUST_USE reel_status reel_parts_frames(const reel_parts *parts, int64_t i,
                                            char text[REEL_PARTS_PATH]);

/* Makes the folder, and removes what a killed process left half-written of window i. REEL_E_IO. */
REEL_MUST_USE reel_status reel_parts_begin(const reel_parts *parts, int64_t i);
/* How many windows are finished, from the first one on. */
int64_t reel_parts_done(const reel_parts *parts);
/* Whether window i's latents are there. */
bool reel_parts_has_latents(const reel_parts *parts, int64_t i);
/* Removes everything, and the folder. REEL_E_IO. */
REEL_MUST_USE reel_status reel_parts_remove(const reel_parts *parts);

/* Writes window i's latents [C,window,h,w], and removes those nobody needs any more. */
REEL_MUST_USE reel_status reel_parts_save(const reel_parts *parts, int64_t i, const float *latents);
/* Reads n latent frames of window i, from frame `from` of it, into latents [C,n,h,w]. REEL_E_IO, or
 * REEL_E_FORMAT when the file holds anything else. */
REEL_MUST_USE reel_status reel_parts_load(const reel_parts *parts, int64_t i, int64_t from,
                                          int64_t n, float *latents);

#endif
