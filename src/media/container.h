/* Files of pictures and video seen from outside: what they are, how large, whether they are whole.
 *
 * FFmpeg decodes; this tells beforehand what it is asked to decode, from the bytes and not from the
 * name, refuses what is cut off (decoders paint the missing part grey), and keeps the comment of
 * PNG and GIF, which FFmpeg does not write. Plain byte walking, no library.
 */
#ifndef REEL_MEDIA_CONTAINER_H
#define REEL_MEDIA_CONTAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"

typedef enum reel_container_kind {
    REEL_CONTAINER_UNKNOWN,
    REEL_CONTAINER_MP4,      /* and MOV */
    REEL_CONTAINER_MATROSKA, /* and WebM */
    REEL_CONTAINER_GIF,
    REEL_CONTAINER_PNG,
    REEL_CONTAINER_APNG, /* a PNG with an animation */
    REEL_CONTAINER_JPEG,
    REEL_CONTAINER_WEBP,
} reel_container_kind;

typedef struct reel_container {
    reel_container_kind kind;
    int64_t width, height; /* as GIF, PNG, JPEG and WebP say in front; 0 for others */
    bool ends; /* nothing is cut off: the mark of the end is there, or all that is announced */
    bool is_animated_webp;
} reel_container;

/* Looks at data [bytes]. Never fails: what is not understood is UNKNOWN. */
reel_container reel_container_look(const uint8_t *data, int64_t bytes);

/* "mp4", "matroska", "gif", "png", "apng", "jpeg", "webp" or "unknown". Static. */
const char *reel_container_name(reel_container_kind kind);

/* The comment of a PNG (a tEXt or uncompressed iTXt chunk named Comment, in any case) or a GIF, a
 * copy that the caller frees with reel_free; *comment is NULL when there is none. */
REEL_MUST_USE reel_status reel_container_comment(reel_env *env, const uint8_t *data, int64_t bytes,
                                                 char **comment);

/* Writes png, one whole file, with a comment behind its first chunk: tEXt when it is ASCII, which
 * every program shows, else iTXt. comment NULL: as it is. */
REEL_MUST_USE reel_status reel_container_write_png(reel_writer *writer, const uint8_t *png,
                                                   int64_t bytes, const char *comment);

/* Writes a comment and the end of the file over the end of the GIF that was written to writer. */
REEL_MUST_USE reel_status reel_container_end_gif(reel_writer *writer, const char *comment);

#endif
