/* What the reader and the writer share of FFmpeg: its streams over our files, its errors as ours.
 *
 * FFmpeg never opens a file here. It reads from memory and writes through base/file's writer, so a
 * full disk, a temporary name and a planned fault are handled where they are for every other file.
 */
#ifndef REEL_MEDIA_AV_H
#define REEL_MEDIA_AV_H

#include <libavformat/avformat.h>

#include "base/env.h"
#include "base/file.h"

/* "path: cannot VERB: reason" with FFmpeg's text for code; REEL_E_NOMEM when that is what it was.
 * When env has failed already (a stream callback said why), that status is the one returned. */
reel_status reel_av_fail(reel_env *env, reel_status status, const char *path, const char *verb,
                         int code);

/* Bytes in memory as a stream to read. */
typedef struct reel_av_memory {
    const uint8_t *data;
    int64_t bytes;
    int64_t at;
} reel_av_memory;

/* A seekable stream; NULL with a message when there is no memory. source is borrowed until
 * reel_av_stream_free. */
AVIOContext *reel_av_stream_read(reel_env *env, reel_av_memory *source);
AVIOContext *reel_av_stream_write(reel_env *env, reel_writer *target);
/* Frees *stream and nulls it; NULL-safe. What is still buffered is dropped. */
void reel_av_stream_free(AVIOContext **stream);

/* Makes a muxer or demuxer reach no other file: the only thing that is opened is, by a muxer, its
 * own output to be read back (an index that is moved in front). target NULL: nothing at all. The
 * struct is borrowed until the context is freed. */
typedef struct reel_av_gate {
    reel_env *env;
    reel_writer *target;
    struct reel_av_back {
        reel_writer *target;
        int64_t at;
    } back;
} reel_av_gate;
void reel_av_gate_set(AVFormatContext *context, reel_av_gate *gate);

/* FFmpeg's own lines on stderr are turned off: everything it has to say comes as a status. It keeps
 * that as a setting of the whole process. */
void reel_av_quiet(void);

#endif
