/* Clips between memory and files, lossless: what a measurement hands to a task and gets back. */
#ifndef REEL_EVAL_CLIP_FILE_H
#define REEL_EVAL_CLIP_FILE_H

#include "base/env.h"
#include "data/buckets.h"
#include "media/video_writer.h"

/* Writes rgb u8 [F,H,W,3] of the size to path, "x.mkv", or "x.png" for one frame. comment: stored
 * as the recipe, or NULL. Errors as of media/video_writer.h. */
REEL_MUST_USE reel_status reel_clip_file_write(reel_env *env, const char *path,
                                               const reel_bucket *size, double fps,
                                               const char *comment, const uint8_t *rgb);

/* Reads a clip that must be of the size: rgb u8 [F,H,W,3]. REEL_E_FORMAT when it is not. */
REEL_MUST_USE reel_status reel_clip_file_read(reel_env *env, const char *path,
                                              const reel_bucket *size, uint8_t *rgb);

#endif
