/* Stands in for the reader and the writer where the build has no FFmpeg: everything that would need
 * it says so, so that all the rest links and runs. */
#include "base/env.h"
#include "media/video_reader.h"
#include "media/video_writer.h"

static reel_status refuse(reel_env *env, const char *path) {
    return reel_fail(env, REEL_E_UNSUPPORTED,
                     "%s: this build of reel has no FFmpeg and cannot read or write video", path);
}

reel_video_options reel_video_options_default(void) {
    return (reel_video_options){.fps = {24, 1}, .format = REEL_VIDEO_BY_NAME, .crf = -1};
}

reel_status reel_video_writer_open(reel_env *env, const char *path,
                                   const reel_video_options *options, reel_video_writer **writer) {
    (void)options;
    (void)writer;
    return refuse(env, path);
}

/* There is never a writer or a reader to be used or closed. */

reel_status reel_video_writer_push(reel_video_writer *writer, const uint8_t *pixels) {
    (void)writer;
    (void)pixels;
    return REEL_E_UNSUPPORTED;
}

reel_status reel_video_writer_push_planes(reel_video_writer *writer, const reel_planes *planes) {
    (void)writer;
    (void)planes;
    return REEL_E_UNSUPPORTED;
}

int64_t reel_video_writer_frames(const reel_video_writer *writer) {
    (void)writer;
    return 0;
}

reel_status reel_video_writer_finish(reel_video_writer *writer) {
    (void)writer;
    return REEL_E_UNSUPPORTED;
}

void reel_video_writer_close(reel_video_writer **writer) {
    (void)writer;
}

reel_status reel_picture_write(reel_env *env, const char *path, const reel_picture *picture,
                               const char *comment) {
    (void)picture;
    (void)comment;
    return refuse(env, path);
}

reel_reader_options reel_reader_options_default(void) {
    return (reel_reader_options){.fit = REEL_FIT_CROP, .fps = {0, 1}, .n_threads = 1};
}

reel_status reel_video_reader_open(reel_env *env, const char *path,
                                   const reel_reader_options *options, reel_video_reader **reader) {
    (void)options;
    (void)reader;
    return refuse(env, path);
}

reel_status reel_video_reader_open_memory(reel_env *env, const void *data, int64_t bytes,
                                          const char *name, const reel_reader_options *options,
                                          reel_video_reader **reader) {
    (void)data;
    (void)bytes;
    (void)options;
    (void)reader;
    return refuse(env, name);
}

void reel_video_reader_close(reel_video_reader **reader) {
    (void)reader;
}

reel_video_info reel_video_reader_info(const reel_video_reader *reader) {
    (void)reader;
    return (reel_video_info){.fps = {0, 1}};
}

void reel_video_reader_size(const reel_video_reader *reader, int *width, int *height) {
    (void)reader;
    *width = *height = 0;
}

reel_status reel_video_reader_next(reel_video_reader *reader, uint8_t *pixels, bool *got) {
    (void)reader;
    (void)pixels;
    (void)got;
    return REEL_E_UNSUPPORTED;
}

double reel_video_reader_time(const reel_video_reader *reader) {
    (void)reader;
    return 0;
}

reel_status reel_video_reader_seek(reel_video_reader *reader, double seconds) {
    (void)reader;
    (void)seconds;
    return REEL_E_UNSUPPORTED;
}

reel_status reel_video_reader_count(reel_video_reader *reader, int64_t *n_frames) {
    (void)reader;
    (void)n_frames;
    return REEL_E_UNSUPPORTED;
}

reel_status reel_picture_read(reel_env *env, const char *path, reel_picture *to) {
    (void)to;
    return refuse(env, path);
}
