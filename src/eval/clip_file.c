#include "eval/clip_file.h"

#include <math.h>

#include "media/video_reader.h"

reel_status reel_clip_file_write(reel_env *env, const char *path, const reel_bucket *size,
                                 double fps, const char *comment, const uint8_t *rgb) {
    const int64_t frame = size->width * size->height * 3;
    reel_video_writer *writer = NULL;
    reel_video_options o = reel_video_options_default();
    o.width = (int)size->width;
    o.height = (int)size->height;
    o.fps = (reel_rational){(int)rint(fps * 1000), 1000};
    o.comment = comment;
    reel_status status = reel_video_writer_open(env, path, &o, &writer);
    for (int64_t i = 0; i < size->frames && status == REEL_OK; i++)
        status = reel_video_writer_push(writer, rgb + i * frame);
    if (status == REEL_OK) status = reel_video_writer_finish(writer);
    reel_video_writer_close(&writer);
    return status;
}

reel_status reel_clip_file_read(reel_env *env, const char *path, const reel_bucket *size,
                                uint8_t *rgb) {
    const int64_t frame = size->width * size->height * 3;
    reel_video_reader *reader = NULL;
    reel_status status = reel_video_reader_open(env, path, NULL, &reader);
    if (status != REEL_OK) return status;
    int width, height;
    int64_t frames;
    reel_video_reader_size(reader, &width, &height);
    status = reel_video_reader_count(reader, &frames);
    if (status == REEL_OK &&
        (width != size->width || height != size->height || frames != size->frames))
        status = reel_fail(env, REEL_E_FORMAT,
                           "%s: is %dx%d with %lld frames, wanted %lldx%lld with %lld", path, width,
                           height, (long long)frames, (long long)size->width,
                           (long long)size->height, (long long)size->frames);
    for (int64_t i = 0; i < size->frames && status == REEL_OK; i++) {
        bool got = false;
        status = reel_video_reader_next(reader, rgb + i * frame, &got);
        if (status == REEL_OK && !got)
            status = reel_fail(env, REEL_E_FORMAT, "%s: ends after %lld frames, wanted %lld", path,
                               (long long)i, (long long)size->frames);
    }
    reel_video_reader_close(&reader);
    return status;
}
