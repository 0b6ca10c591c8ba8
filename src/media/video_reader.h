/* Reading video and pictures, from files nobody vouches for.
 *
 * Opens MP4, MOV, WebM, Matroska, GIF, PNG, JPEG and WebP, told by their content, with an
 * allow-list of codecs, from the one file named: no network, no playlists, nothing the file refers
 * to. Frames come as [H,W,3] u8 in the colours the file means (matrix and range applied,
 * transparency over white), turned upright and with square pixels. A file that is damaged, ends
 * early or is beyond the limits is refused with the reason. A build without FFmpeg refuses with
 * REEL_E_UNSUPPORTED.
 */
#ifndef REEL_MEDIA_VIDEO_READER_H
#define REEL_MEDIA_VIDEO_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "media/picture.h"

enum { REEL_VIDEO_MAX_SECONDS = 600, REEL_VIDEO_MAX_FRAMES = 72000 };

typedef struct reel_reader_options {
    int width, height; /* wanted size of the frames; 0, 0: the file's own */
    reel_fit fit;      /* how it is reached */
    reel_rational
        fps;        /* {0,1}: every stored frame; else the frame that shows at k/fps, from 0 on */
    double start_s; /* the first frame is the one that shows then; 0: from the beginning */
    int64_t max_frames; /* no more are given; 0: all */
    int64_t max_pixels; /* refused above; 0: REEL_PICTURE_MAX_PIXELS, which is also the most */
    int n_threads;      /* of the decoder, [1,16]; the frames are the same with any */
} reel_reader_options;

/* What is in a file. Borrowed strings live as long as the reader. */
typedef struct reel_video_info {
    const char *format;       /* "mp4", "matroska", "gif", "png", "jpeg", "webp" */
    const char *codec;        /* FFmpeg's name: "h264" */
    const char *pixel_format; /* FFmpeg's name: "yuv420p" */
    const char *comment;      /* the stored recipe; NULL: none */
    int width, height;        /* as shown: upright, square pixels */
    reel_rational fps;        /* average; {0,1} for a picture */
    double seconds;           /* 0 for a picture, or when the file does not say */
    int64_t n_frames;         /* as the file says; -1: it does not */
    bool is_picture;          /* one frame without a time */
} reel_video_info;

typedef struct reel_video_reader reel_video_reader;

/* Every field at its default: the file as it is, one thread. */
reel_reader_options reel_reader_options_default(void);

/* Opens path. options may be NULL. REEL_E_IO: no such file; REEL_E_FORMAT: not a video or picture,
 * damaged, or without a frame; REEL_E_UNSUPPORTED: a codec that is not on the list, or beyond the
 * limits (64 Mi pixels a frame, 10 minutes). The caller closes *reader before env is freed. */
REEL_MUST_USE reel_status reel_video_reader_open(reel_env *env, const char *path,
                                                 const reel_reader_options *options,
                                                 reel_video_reader **reader);
/* The same from bytes in memory, borrowed until the close; name stands in messages, copied. */
REEL_MUST_USE reel_status reel_video_reader_open_memory(reel_env *env, const void *data,
                                                        int64_t bytes, const char *name,
                                                        const reel_reader_options *options,
                                                        reel_video_reader **reader);
/* Frees *reader and nulls it; NULL-safe. */
void reel_video_reader_close(reel_video_reader **reader);

reel_video_info reel_video_reader_info(const reel_video_reader *reader);

/* The size of the frames that come: the options' or the file's. */
void reel_video_reader_size(const reel_video_reader *reader, int *width, int *height);

/* The next frame into pixels [H,W,3] of that size. *got is false, and pixels untouched, behind the
 * last one. REEL_E_FORMAT when the file is damaged or ends before it should. */
REEL_MUST_USE reel_status reel_video_reader_next(reel_video_reader *reader, uint8_t *pixels,
                                                 bool *got);

/* When the frame given last shows, in seconds from the beginning of the file. */
double reel_video_reader_time(const reel_video_reader *reader);

/* The frame that shows at seconds (>= 0) comes next; the count of max_frames begins anew. */
REEL_MUST_USE reel_status reel_video_reader_seek(reel_video_reader *reader, double seconds);

/* Counts the stored frames by walking through the file without decoding, and goes back to the
 * beginning. */
REEL_MUST_USE reel_status reel_video_reader_count(reel_video_reader *reader, int64_t *n_frames);

/* The first frame of a file as a picture of its own size; to is freed by the caller. */
REEL_MUST_USE reel_status reel_picture_read(reel_env *env, const char *path, reel_picture *to);

#endif
