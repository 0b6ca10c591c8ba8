/* What tests of media/ share: an environment, a folder of its own that must be given back empty,
 * and frames that are easy to tell apart.
 */
#ifndef REEL_TESTS_SUPPORT_MEDIA_PLACE_H
#define REEL_TESTS_SUPPORT_MEDIA_PLACE_H

#include <stdint.h>

#include "base/env.h"
#include "media/video_writer.h"

typedef struct media_place {
    reel_env *env;
    char folder[80];
    int n_warnings; /* lines logged */
} media_place;

/* For cmocka: *state becomes a media_place; the teardown fails when memory leaks or a file that no
 * test removed is left. */
int media_place_make(void **state);
int media_place_free(void **state);

/* folder/name, in one of a few buffers that are used in turn by the caller. */
const char *media_place_path(const media_place *place, const char *name, char path[200]);
void media_place_remove(const media_place *place, const char *name);
int media_place_count(const media_place *place); /* files in the folder */

/* Frame i of a smooth moving picture [H,W,3]. */
void media_frame(int i, int width, int height, uint8_t *pixels);
/* The same with every pixel random: what no lossy codec keeps. */
void media_noise(int i, int width, int height, uint8_t *pixels);

/* Writes n_frames of media_frame; returns the status. */
reel_status media_write(const media_place *place, const char *name,
                        const reel_video_options *options, int n_frames);

/* Mean squared difference of n bytes, as a ratio to 255^2 in decibels; 99 when they are equal. */
double media_psnr(const uint8_t *a, const uint8_t *b, int64_t n);

#endif
