/* Writing video and pictures: frames in, one whole file out.
 *
 * The file appears under its name when the writer is finished, never before and never half: bytes
 * go to a temporary beside it, are synced and renamed. Frames leave memory as they are encoded. The
 * same frames and options give the same bytes: the encoders run with a fixed number of threads and
 * nobody writes dates or version strings. FFmpeg does the encoding; a build without it refuses
 * every call with REEL_E_UNSUPPORTED.
 */
#ifndef REEL_MEDIA_VIDEO_WRITER_H
#define REEL_MEDIA_VIDEO_WRITER_H

#include <stdint.h>

#include "media/picture.h"

typedef enum reel_video_format {
    REEL_VIDEO_BY_NAME,      /* .mp4 .m4v .mov .webm .gif .png .mkv, or a pattern with %d .png */
    REEL_VIDEO_MP4,          /* H.264, yuv420p, BT.709, index in front; yuv444p for odd sizes */
    REEL_VIDEO_WEBM,         /* AV1, yuv420p, BT.709 */
    REEL_VIDEO_GIF,          /* a palette that is made anew when it no longer fits */
    REEL_VIDEO_PNG,          /* exactly one frame */
    REEL_VIDEO_PNG_SEQUENCE, /* path has one %d or %0Nd for the number of the frame, from 1 */
    REEL_VIDEO_FFV1,         /* Matroska, RGB, lossless: every frame comes back bit for bit */
} reel_video_format;

typedef struct reel_video_options {
    int width, height;        /* of every frame, in pixels */
    reel_rational fps;        /* in [1/100, 1000]; ignored by PNG */
    reel_video_format format; /* BY_NAME */
    int crf;                  /* of MP4 [0,51] and WebM [0,63]; -1: 18 and 24. Less is better */
    const char *comment;      /* UTF-8 stored in the file (the recipe, as JSON); NULL: none */
} reel_video_options;

typedef struct reel_video_writer reel_video_writer;

/* No size yet, 24 frames a second, everything else at its default. */
reel_video_options reel_video_options_default(void);

/* Begins path. A PNG sequence's folder is made when it is missing. options and path are copied,
 * the comment too. REEL_E_ARG: a size, rate or crf outside its range, an extension that says no
 * format, a comment above 16 MiB or not UTF-8; REEL_E_IO: the temporary cannot be made. The caller
 * closes *writer. */
REEL_MUST_USE reel_status reel_video_writer_open(reel_env *env, const char *path,
                                                 const reel_video_options *options,
                                                 reel_video_writer **writer);

/* Appends one frame, [H,W,3], borrowed. A failure (a full disk: REEL_E_IO) sticks. */
REEL_MUST_USE reel_status reel_video_writer_push(reel_video_writer *writer, const uint8_t *pixels);

/* The same from planes of f32; see reel_picture_from_planes. */
REEL_MUST_USE reel_status reel_video_writer_push_planes(reel_video_writer *writer,
                                                        const reel_planes *planes);

/* Frames pushed so far. */
int64_t reel_video_writer_frames(const reel_video_writer *writer);

/* Flushes the encoder and gives the file its name. To be called once; a file of no frames is
 * refused (REEL_E_ARG). */
REEL_MUST_USE reel_status reel_video_writer_finish(reel_video_writer *writer);

/* Frees *writer and nulls it; NULL-safe. Without a successful finish nothing is left behind: an
 * older file of that name stays as it was (of a PNG sequence, the frames written are removed). */
void reel_video_writer_close(reel_video_writer **writer);

/* One picture as PNG, and path must end in .png: open, push, finish, close. comment may be NULL. */
REEL_MUST_USE reel_status reel_picture_write(reel_env *env, const char *path,
                                             const reel_picture *picture, const char *comment);

#endif
