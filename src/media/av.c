#include "media/av.h"

#include <string.h>

enum { STREAM_BYTES = 1 << 16 };

reel_status reel_av_fail(reel_env *env, reel_status status, const char *path, const char *verb,
                         int code) {
    if (env->status != REEL_OK) return env->status;
    char reason[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(code, reason, sizeof reason);
    if (code == AVERROR(ENOMEM)) status = REEL_E_NOMEM;
    return reel_fail(env, status, "%s: cannot %s: %s", path, verb, reason);
}

void reel_av_quiet(void) {
    av_log_set_level(AV_LOG_QUIET);
}

/* ---- reading from memory ---- */

static int read_memory(void *context, uint8_t *buffer, int n) {
    reel_av_memory *m = context;
    const int64_t left = m->bytes - m->at;
    if (left <= 0) return AVERROR_EOF;
    if (n > left) n = (int)left;
    memcpy(buffer, m->data + m->at, (size_t)n);
    m->at += n;
    return n;
}

/* The new position for a seek, or FFmpeg's question for the size; -1 when it is no place. */
static int64_t seek_target(int64_t at, int64_t bytes, int64_t offset, int whence) {
    int64_t target = -1;
    switch (whence & ~AVSEEK_FORCE) {
    case SEEK_SET:
        target = offset;
        break;
    case SEEK_CUR:
        target = at + offset;
        break;
    case SEEK_END:
        target = bytes + offset;
        break;
    default:
        break;
    }
    return target;
}

static int64_t seek_memory(void *context, int64_t offset, int whence) {
    reel_av_memory *m = context;
    if (whence & AVSEEK_SIZE) return m->bytes;
    const int64_t target = seek_target(m->at, m->bytes, offset, whence);
    if (target < 0) return AVERROR(EINVAL);
    m->at = target;
    return target;
}

/* ---- writing through a writer ---- */

static int write_file(void *context, uint8_t *buffer, int n) {
    reel_writer *w = context;
    return reel_writer_write(w, buffer, n) == REEL_OK ? n : AVERROR(EIO);
}

/* No muxer here asks for the size of what it writes, or counts from its end. */
static int64_t seek_file(void *context, int64_t offset, int whence) {
    reel_writer *w = context;
    if (whence & AVSEEK_SIZE) return AVERROR(ENOSYS);
    const int64_t target = seek_target(reel_writer_offset(w), -1, offset, whence);
    if (target < 0) return AVERROR(EINVAL);
    return reel_writer_seek(w, target) == REEL_OK ? target : AVERROR(EIO);
}

static int read_back(void *context, uint8_t *buffer, int n) {
    struct reel_av_back *b = context;
    int64_t got = 0;
    if (reel_writer_read(b->target, b->at, buffer, n, &got) != REEL_OK) return AVERROR(EIO);
    b->at += got;
    return got > 0 ? (int)got : AVERROR_EOF;
}

static int64_t seek_back(void *context, int64_t offset, int whence) {
    struct reel_av_back *b = context;
    if (whence & AVSEEK_SIZE) return AVERROR(ENOSYS);
    const int64_t target = seek_target(b->at, -1, offset, whence);
    if (target < 0) return AVERROR(EINVAL);
    b->at = target;
    return target;
}

/* ---- streams ---- */

static AVIOContext *new_stream(reel_env *env, void *context, bool writes,
                               int (*read)(void *, uint8_t *, int),
                               int (*write)(void *, uint8_t *, int),
                               int64_t (*seek)(void *, int64_t, int)) {
    unsigned char *buffer = av_malloc(STREAM_BYTES);
    AVIOContext *stream =
        buffer ? avio_alloc_context(buffer, STREAM_BYTES, writes, context, read, write, seek)
               : NULL;
    if (!stream) {
        av_free(buffer);
        reel_fail(env, REEL_E_NOMEM, "no memory for a stream of FFmpeg's");
    }
    return stream;
}

AVIOContext *reel_av_stream_read(reel_env *env, reel_av_memory *source) {
    return new_stream(env, source, false, read_memory, NULL, seek_memory);
}

AVIOContext *reel_av_stream_write(reel_env *env, reel_writer *target) {
    return new_stream(env, target, true, NULL, write_file, seek_file);
}

void reel_av_stream_free(AVIOContext **stream) {
    if (!*stream) return;
    av_freep(&(*stream)->buffer);
    avio_context_free(stream);
}

static int open_gate(AVFormatContext *context, AVIOContext **stream, const char *url, int flags,
                     AVDictionary **options) {
    (void)url;
    (void)options;
    reel_av_gate *gate = context->opaque;
    if (!gate->target || flags != AVIO_FLAG_READ) return AVERROR(EACCES);
    gate->back.target = gate->target;
    gate->back.at = 0;
    *stream = new_stream(gate->env, &gate->back, false, read_back, NULL, seek_back);
    return *stream ? 0 : AVERROR(ENOMEM);
}

static int close_gate(AVFormatContext *context, AVIOContext *stream) {
    (void)context;
    reel_av_stream_free(&stream);
    return 0;
}

void reel_av_gate_set(AVFormatContext *context, reel_av_gate *gate) {
    context->opaque = gate;
    context->io_open = open_gate;
    context->io_close2 = close_gate;
}
