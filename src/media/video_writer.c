#include "media/video_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_out.h"
#include "media/av.h"
#include "media/container.h"
#include "media/encoder.h"

static const char tag_video[] = "video";
enum { MAX_COMMENT_BYTES = 16 << 20 };

struct reel_video_writer {
    reel_env *env;
    char *path;
    char *comment; /* NULL: none */
    reel_video_options options;
    reel_video_format format;
    reel_status status;
    bool finished;
    reel_encoder encoder;
    uint8_t *pixels;   /* [H,W,3], what planes become; NULL until some come */
    reel_writer *file; /* NULL for a sequence */
    /* a container */
    reel_av_gate gate;
    AVFormatContext *muxer;
    bool has_header; /* and no trailer yet */
    /* a sequence: a file for each picture */
    int64_t n_files;
    bool made_folder;
};

reel_video_options reel_video_options_default(void) {
    return (reel_video_options){.fps = {24, 1}, .format = REEL_VIDEO_BY_NAME, .crf = -1};
}

/* ---- what is asked ---- */

static const char *muxer_name(reel_video_format format) {
    switch (format) {
    case REEL_VIDEO_MP4:
        return "mp4";
    case REEL_VIDEO_WEBM:
        return "webm";
    case REEL_VIDEO_GIF:
        return "gif";
    case REEL_VIDEO_FFV1:
        return "matroska";
    default:
        return NULL;
    }
}

/* True for one %d or %0Nd, N up to 9, and no other '%'. */
static bool is_pattern(const char *path) {
    const char *at = strchr(path, '%');
    if (!at) return false;
    at++;
    if (at[0] == '0' && at[1] >= '1' && at[1] <= '9') at += 2;
    return *at == 'd' && !strchr(at, '%');
}

static reel_status choose_format(reel_env *env, const char *path, reel_video_format *format) {
    static const struct {
        const char *extension;
        reel_video_format format;
    } known[] = {{".mp4", REEL_VIDEO_MP4},   {".m4v", REEL_VIDEO_MP4}, {".mov", REEL_VIDEO_MP4},
                 {".webm", REEL_VIDEO_WEBM}, {".gif", REEL_VIDEO_GIF}, {".png", REEL_VIDEO_PNG},
                 {".mkv", REEL_VIDEO_FFV1}};
    if (*format == REEL_VIDEO_BY_NAME) {
        const char *slash = strrchr(path, '/');
        const char *dot = strrchr(slash ? slash : path, '.');
        for (size_t i = 0; dot && i < sizeof known / sizeof *known; i++)
            if (strcasecmp(dot, known[i].extension) == 0) *format = known[i].format;
        if (*format == REEL_VIDEO_BY_NAME)
            return reel_fail(env, REEL_E_ARG,
                             "%s: the name says no format, wanted one that ends in .mp4, .webm, "
                             ".gif, .mkv or .png, or a pattern such as folder/%%05d.png",
                             path);
        if (*format == REEL_VIDEO_PNG && strchr(path, '%')) *format = REEL_VIDEO_PNG_SEQUENCE;
    }
    if (*format == REEL_VIDEO_PNG_SEQUENCE && !is_pattern(path))
        return reel_fail(env, REEL_E_ARG,
                         "%s: wanted one %%d or %%0Nd, N in [1,9], for the number of the picture",
                         path);
    return REEL_OK;
}

static reel_status check_options(reel_env *env, const char *path, const reel_video_options *o,
                                 reel_video_format format) {
    if (o->width < 1 || o->height < 1 || o->width > 16384 || o->height > 16384 ||
        (int64_t)o->width * o->height > REEL_PICTURE_MAX_PIXELS)
        return reel_fail(env, REEL_E_ARG,
                         "%s: got frames of %dx%d, wanted sides in [1,16384] and at most 64 "
                         "megapixels",
                         path, o->width, o->height);
    const int64_t num = o->fps.num, den = o->fps.den;
    if (num < 1 || den < 1 || num * 100 < den || num > den * 1000)
        return reel_fail(env, REEL_E_ARG, "%s: got %d/%d frames a second, wanted [1/100,1000]",
                         path, o->fps.num, o->fps.den);
    const int most = format == REEL_VIDEO_MP4 ? 51 : 63;
    if (o->crf < -1 || o->crf > most)
        return reel_fail(env, REEL_E_ARG, "%s: got crf %d, wanted [0,%d], or -1 for the default",
                         path, o->crf, most);
    if (!o->comment) return REEL_OK;
    const size_t n = strlen(o->comment);
    if (n > MAX_COMMENT_BYTES)
        return reel_fail(env, REEL_E_ARG, "%s: got a comment of %zu bytes, wanted at most %d", path,
                         n, MAX_COMMENT_BYTES);
    if (!reel_utf8_valid(o->comment))
        return reel_fail(env, REEL_E_ARG, "%s: the comment is not UTF-8", path);
    return REEL_OK;
}

/* ---- a container ---- */

static reel_status write_packet(void *context, AVPacket *packet) {
    reel_video_writer *w = context;
    AVStream *stream = w->muxer->streams[0];
    packet->stream_index = 0;
    av_packet_rescale_ts(packet, w->encoder.codec->time_base, stream->time_base);
    const int code = av_interleaved_write_frame(w->muxer, packet);
    return code < 0 ? reel_av_fail(w->env, REEL_E_IO, w->path, "write", code) : REEL_OK;
}

static reel_status describe_stream(reel_video_writer *w) {
    AVStream *stream = avformat_new_stream(w->muxer, NULL);
    if (!stream)
        return reel_av_fail(w->env, REEL_E_NOMEM, w->path, "make a stream", AVERROR(ENOMEM));
    const reel_status status = reel_encoder_parameters(&w->encoder, stream->codecpar);
    if (status != REEL_OK) return status;
    stream->time_base = w->encoder.codec->time_base;
    stream->avg_frame_rate = w->encoder.codec->framerate;
    stream->sample_aspect_ratio = w->encoder.codec->sample_aspect_ratio;
    if (w->comment && w->format != REEL_VIDEO_GIF &&
        av_dict_set(&w->muxer->metadata, "comment", w->comment, 0) < 0)
        return reel_av_fail(w->env, REEL_E_NOMEM, w->path, "keep the comment", AVERROR(ENOMEM));
    return REEL_OK;
}

static reel_status begin_container(reel_video_writer *w) {
    reel_status status = reel_writer_open(w->env, w->path, &w->file);
    if (status != REEL_OK) return status;
    int code = avformat_alloc_output_context2(&w->muxer, NULL, muxer_name(w->format), NULL);
    if (code < 0) return reel_av_fail(w->env, REEL_E_UNSUPPORTED, w->path, "make a muxer", code);
    w->gate = (reel_av_gate){.env = w->env, .target = w->file};
    reel_av_gate_set(w->muxer, &w->gate);
    w->muxer->flags |= AVFMT_FLAG_BITEXACT | AVFMT_FLAG_CUSTOM_IO;
    w->muxer->pb = reel_av_stream_write(w->env, w->file);
    if (!w->muxer->pb) return REEL_E_NOMEM;
    const bool global_header = w->muxer->oformat->flags & AVFMT_GLOBALHEADER;
    status = reel_encoder_init(w->env, w->path, &w->options, w->format, global_header, &w->encoder);
    if (status == REEL_OK) status = describe_stream(w);
    if (status != REEL_OK) return status;
    AVDictionary *settings = NULL;
    if (w->format == REEL_VIDEO_MP4) av_dict_set(&settings, "movflags", "+faststart", 0);
    code = avformat_write_header(w->muxer, &settings);
    av_dict_free(&settings);
    w->has_header = code >= 0;
    return code < 0 ? reel_av_fail(w->env, REEL_E_IO, w->path, "write", code) : REEL_OK;
}

/* Behind the trailer everything is in the writer, which knows whether it got onto the disk. */
static reel_status end_container(reel_video_writer *w) {
    reel_status status = reel_encoder_put(&w->encoder, NULL, write_packet, w);
    if (status != REEL_OK) return status;
    const int code = av_write_trailer(w->muxer);
    w->has_header = false;
    avio_flush(w->muxer->pb);
    if (code < 0 || w->muxer->pb->error < 0)
        return reel_av_fail(w->env, REEL_E_IO, w->path, "write",
                            code < 0 ? code : w->muxer->pb->error);
    if (w->format == REEL_VIDEO_GIF && w->comment)
        status = reel_container_end_gif(w->file, w->comment);
    return status == REEL_OK ? reel_writer_commit(w->file) : status;
}

static void close_container(reel_video_writer *w) {
    if (w->has_header && w->format == REEL_VIDEO_GIF) {
        /* This muxer holds a packet back and lets go of it only here; what it writes is dropped. */
        w->muxer->pb->write_packet = NULL;
        w->muxer->pb->error = 0;
        (void)av_write_trailer(w->muxer);
    }
    reel_av_stream_free(&w->muxer->pb);
    avformat_free_context(w->muxer);
}

/* ---- pictures ---- */

/* The name of picture i (from 1). is_pattern has looked at the format. */
static char *picture_path(const reel_video_writer *w, int64_t i) {
    const size_t room = strlen(w->path) + 24;
    char *name = reel_alloc(w->env, (int64_t)room, tag_video);
    if (!name) return NULL;
    const char *at = strchr(w->path, '%');
    const int width = at[1] == '0' ? at[2] - '0' : 1;
    const char *rest = at + (at[1] == '0' ? 4 : 2);
    snprintf(name, room, "%.*s%0*lld%s", (int)(at - w->path), w->path, width, (long long)i, rest);
    return name;
}

static reel_status write_numbered(reel_video_writer *w, const AVPacket *packet) {
    char *name = picture_path(w, w->n_files + 1);
    if (!name) return REEL_E_NOMEM;
    reel_writer *file = NULL;
    reel_status status = reel_writer_open(w->env, name, &file);
    if (status == REEL_OK)
        status = reel_container_write_png(file, packet->data, packet->size, w->comment);
    if (status == REEL_OK) status = reel_writer_commit(file);
    if (status == REEL_OK) w->n_files++;
    reel_writer_close(&file);
    reel_free(w->env, name);
    return status;
}

static reel_status write_picture(void *context, AVPacket *packet) {
    reel_video_writer *w = context;
    if (w->format == REEL_VIDEO_PNG_SEQUENCE) return write_numbered(w, packet);
    return reel_container_write_png(w->file, packet->data, packet->size, w->comment);
}

/* The folder of a sequence, one level: what is missing above it is a mistake in the path. */
static reel_status make_folder(reel_video_writer *w) {
    const char *slash = strrchr(w->path, '/');
    if (!slash || slash == w->path || memchr(w->path, '%', (size_t)(slash - w->path)))
        return REEL_OK;
    char *folder = reel_strdup(w->env, w->path, tag_video);
    if (!folder) return REEL_E_NOMEM;
    folder[slash - w->path] = '\0';
    reel_status status = REEL_OK;
    if (mkdir(folder, 0777) == 0)
        w->made_folder = true;
    else if (errno != EEXIST)
        status = reel_av_fail(w->env, REEL_E_IO, folder, "make the folder", AVERROR(errno));
    reel_free(w->env, folder);
    return status;
}

static reel_status begin_pictures(reel_video_writer *w) {
    const reel_status status = w->format == REEL_VIDEO_PNG_SEQUENCE
                                   ? make_folder(w)
                                   : reel_writer_open(w->env, w->path, &w->file);
    if (status != REEL_OK) return status;
    return reel_encoder_init(w->env, w->path, &w->options, w->format, false, &w->encoder);
}

static reel_status end_pictures(reel_video_writer *w) {
    const reel_status status = reel_encoder_put(&w->encoder, NULL, write_picture, w);
    return status == REEL_OK && w->file ? reel_writer_commit(w->file) : status;
}

static void remove_pictures(reel_video_writer *w) {
    for (int64_t i = 1; i <= w->n_files; i++) {
        char *name = picture_path(w, i);
        if (name) unlink(name);
        reel_free(w->env, name);
    }
    const char *slash = strrchr(w->path, '/');
    if (!w->made_folder || !slash) return;
    w->path[slash - w->path] = '\0';
    rmdir(w->path);
}

/* ---- the writer ---- */

static reel_status begin(reel_video_writer *w) {
    if (w->format == REEL_VIDEO_GIF && w->options.fps.num > 50 * (int64_t)w->options.fps.den)
        reel_log(w->env, REEL_LOG_WARN,
                 "%s: most programs show a GIF of more than 50 frames a second slowly", w->path);
    return muxer_name(w->format) ? begin_container(w) : begin_pictures(w);
}

reel_status reel_video_writer_open(reel_env *env, const char *path,
                                   const reel_video_options *options, reel_video_writer **writer) {
    reel_av_quiet();
    reel_video_format format = options->format;
    reel_status status = choose_format(env, path, &format);
    if (status == REEL_OK) status = check_options(env, path, options, format);
    if (status != REEL_OK) return status;
    reel_video_writer *w = reel_calloc(env, 1, sizeof *w, tag_video);
    if (!w) return REEL_E_NOMEM;
    w->env = env;
    w->options = *options;
    w->options.comment = NULL;
    w->format = format;
    w->path = reel_strdup(env, path, tag_video);
    if (options->comment) w->comment = reel_strdup(env, options->comment, tag_video);
    status = w->path && (w->comment || !options->comment) ? begin(w) : REEL_E_NOMEM;
    if (status != REEL_OK) {
        reel_video_writer_close(&w);
        return status;
    }
    *writer = w;
    return REEL_OK;
}

reel_status reel_video_writer_push(reel_video_writer *w, const uint8_t *pixels) {
    if (w->status != REEL_OK) return w->status;
    if (w->format == REEL_VIDEO_PNG && w->encoder.n_frames == 1)
        return w->status = reel_fail(w->env, REEL_E_ARG,
                                     "%s: a second frame for one picture, wanted a pattern such as "
                                     "folder/%%05d.png",
                                     w->path);
    return w->status =
               reel_encoder_put(&w->encoder, pixels, w->muxer ? write_packet : write_picture, w);
}

reel_status reel_video_writer_push_planes(reel_video_writer *w, const reel_planes *planes) {
    if (w->status != REEL_OK) return w->status;
    const int width = w->options.width, height = w->options.height;
    if (!w->pixels) w->pixels = reel_alloc(w->env, 3 * (int64_t)width * height, tag_video);
    if (!w->pixels) return w->status = REEL_E_NOMEM;
    reel_picture_from_planes(planes, width, height, w->pixels);
    return reel_video_writer_push(w, w->pixels);
}

int64_t reel_video_writer_frames(const reel_video_writer *w) {
    return w->encoder.n_frames;
}

reel_status reel_video_writer_finish(reel_video_writer *w) {
    if (w->status != REEL_OK) return w->status;
    if (w->encoder.n_frames == 0)
        return w->status = reel_fail(w->env, REEL_E_ARG, "%s: no frame to write", w->path);
    w->status = w->muxer ? end_container(w) : end_pictures(w);
    w->finished = w->status == REEL_OK;
    return w->status;
}

void reel_video_writer_close(reel_video_writer **writer) {
    if (!writer || !*writer) return;
    reel_video_writer *w = *writer;
    *writer = NULL;
    if (w->muxer) close_container(w);
    reel_encoder_deinit(&w->encoder);
    reel_writer_close(&w->file);
    if (!w->finished && w->path) remove_pictures(w);
    reel_free(w->env, w->pixels);
    reel_free(w->env, w->comment);
    reel_free(w->env, w->path);
    reel_free(w->env, w);
}

reel_status reel_picture_write(reel_env *env, const char *path, const reel_picture *picture,
                               const char *comment) {
    const size_t n = strlen(path);
    if (n < 4 || strcasecmp(path + n - 4, ".png") != 0)
        return reel_fail(env, REEL_E_ARG, "%s: wanted a name that ends in .png", path);
    reel_video_options options = reel_video_options_default();
    options.width = picture->width;
    options.height = picture->height;
    options.format = REEL_VIDEO_PNG;
    options.comment = comment;
    reel_video_writer *writer = NULL;
    reel_status status = reel_video_writer_open(env, path, &options, &writer);
    if (status == REEL_OK) status = reel_video_writer_push(writer, picture->pixels);
    if (status == REEL_OK) status = reel_video_writer_finish(writer);
    reel_video_writer_close(&writer);
    return status;
}
