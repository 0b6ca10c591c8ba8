#include "media/video_reader.h"

#include <libavcodec/avcodec.h>
#include <libavutil/display.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "media/av.h"
#include "media/container.h"
#include "media/convert.h"

static const char tag_video[] = "video";

struct reel_video_reader {
    reel_env *env;
    char *name;
    reel_reader_options options;
    reel_map map; /* empty when the bytes are the caller's */
    reel_av_memory source;
    reel_container container;
    char *own_comment; /* of a PNG or GIF */
    reel_av_gate gate;
    AVFormatContext *demuxer;
    AVStream *stream;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *shown, *coming; /* two in a row, so that it is known until when the first one shows */
    bool has_shown, has_coming;
    int64_t n_decoded; /* since the beginning or a seek */
    reel_converter converter;
    reel_picture upright; /* when frames are fitted into another size */
    int64_t n_given;
    double start_s;
    double time_s; /* of the frame given last */
};

reel_reader_options reel_reader_options_default(void) {
    return (reel_reader_options){.fit = REEL_FIT_CROP, .fps = {0, 1}, .n_threads = 1};
}

/* ---- what may be opened ---- */

static const char *demuxer_name(reel_container_kind kind) {
    switch (kind) {
    case REEL_CONTAINER_MP4:
        return "mov";
    case REEL_CONTAINER_MATROSKA:
        return "matroska";
    case REEL_CONTAINER_GIF:
        return "gif";
    case REEL_CONTAINER_PNG:
        return "png_pipe";
    case REEL_CONTAINER_APNG:
        return "apng";
    case REEL_CONTAINER_JPEG:
        return "jpeg_pipe";
    case REEL_CONTAINER_WEBP:
        return "webp_pipe";
    default:
        return NULL;
    }
}

static const char allowed_decoders[] =
    "h264,hevc,libdav1d,libaom-av1,av1,vp8,vp9,libvpx-vp8,libvpx-vp9,mpeg4,ffv1,prores,gif,png,"
    "apng,mjpeg,webp";

static bool is_allowed(enum AVCodecID id) {
    static const enum AVCodecID allowed[] = {
        AV_CODEC_ID_H264,  AV_CODEC_ID_HEVC,  AV_CODEC_ID_AV1,    AV_CODEC_ID_VP8, AV_CODEC_ID_VP9,
        AV_CODEC_ID_MPEG4, AV_CODEC_ID_FFV1,  AV_CODEC_ID_PRORES, AV_CODEC_ID_GIF, AV_CODEC_ID_PNG,
        AV_CODEC_ID_APNG,  AV_CODEC_ID_MJPEG, AV_CODEC_ID_WEBP};
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (allowed[i] == id) return true;
    return false;
}

static bool is_picture(const reel_video_reader *r) {
    return r->container.kind == REEL_CONTAINER_PNG || r->container.kind == REEL_CONTAINER_JPEG ||
           r->container.kind == REEL_CONTAINER_WEBP;
}

/* What the first bytes say about the file, before FFmpeg sees any. */
static reel_status check_container(reel_video_reader *r) {
    r->container = reel_container_look(r->source.data, r->source.bytes);
    const reel_container *c = &r->container;
    if (r->source.bytes == 0) return reel_fail(r->env, REEL_E_FORMAT, "%s: is empty", r->name);
    if (c->kind == REEL_CONTAINER_UNKNOWN)
        return reel_fail(
            r->env, REEL_E_FORMAT,
            "%s: neither a video nor a picture: it begins with '%.*s', wanted MP4, MOV, "
            "WebM, Matroska, GIF, PNG, JPEG or WebP",
            r->name, (int)(r->source.bytes < 12 ? r->source.bytes : 12),
            (const char *)r->source.data);
    if (c->width > REEL_PICTURE_MAX_SIDE || c->height > REEL_PICTURE_MAX_SIDE ||
        c->width * c->height > r->options.max_pixels)
        return reel_fail(r->env, REEL_E_UNSUPPORTED,
                         "%s: %lldx%lld pixels, wanted sides up to %d and at most %lld pixels",
                         r->name, (long long)c->width, (long long)c->height, REEL_PICTURE_MAX_SIDE,
                         (long long)r->options.max_pixels);
    if (!c->ends)
        return reel_fail(r->env, REEL_E_FORMAT, "%s: this %s file is cut off: %lld bytes are there",
                         r->name, reel_container_name(c->kind), (long long)r->source.bytes);
    return c->is_animated_webp
               ? reel_fail(r->env, REEL_E_UNSUPPORTED, "%s: animated WebP cannot be read", r->name)
               : REEL_OK;
}

/* ---- opening ---- */

static AVStream *find_video(const AVFormatContext *demuxer) {
    for (unsigned i = 0; i < demuxer->nb_streams; i++) {
        AVStream *s = demuxer->streams[i];
        if (s->codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
            !(s->disposition & AV_DISPOSITION_ATTACHED_PIC))
            return s;
    }
    return NULL;
}

/* FFmpeg decodes frames to learn about a stream; the limit of pixels holds there too. */
static int look_into_streams(reel_video_reader *r) {
    AVFormatContext *d = r->demuxer;
    AVDictionary **options = av_calloc(d->nb_streams + 1, sizeof *options);
    if (!options) return AVERROR(ENOMEM);
    const unsigned n = d->nb_streams;
    int code = 0;
    for (unsigned i = 0; i < n && code >= 0; i++)
        code = av_dict_set_int(&options[i], "max_pixels", r->options.max_pixels, 0);
    if (code >= 0) code = avformat_find_stream_info(d, options);
    for (unsigned i = 0; i < n; i++)
        av_dict_free(&options[i]);
    av_free(options);
    return code;
}

static reel_status open_demuxer(reel_video_reader *r) {
    const AVInputFormat *format = av_find_input_format(demuxer_name(r->container.kind));
    if (!format)
        return reel_fail(r->env, REEL_E_UNSUPPORTED, "%s: this FFmpeg does not read %s", r->name,
                         reel_container_name(r->container.kind));
    AVFormatContext *d = avformat_alloc_context();
    if (!d) return reel_av_fail(r->env, REEL_E_NOMEM, r->name, "open", AVERROR(ENOMEM));
    r->source.at = 0;
    r->gate = (reel_av_gate){.env = r->env};
    reel_av_gate_set(d, &r->gate);
    d->flags |= AVFMT_FLAG_CUSTOM_IO;
    d->max_streams = 64;
    d->codec_whitelist = av_strdup(allowed_decoders);
    AVIOContext *stream = reel_av_stream_read(r->env, &r->source);
    if (!d->codec_whitelist || !stream) {
        avformat_free_context(d);
        reel_av_stream_free(&stream);
        return reel_av_fail(r->env, REEL_E_NOMEM, r->name, "open", AVERROR(ENOMEM));
    }
    d->pb = stream;
    int code = avformat_open_input(&d, NULL, format, NULL); /* frees d when it fails */
    if (code < 0) {
        reel_av_stream_free(&stream);
        return reel_av_fail(r->env, REEL_E_FORMAT, r->name, "be opened", code);
    }
    r->demuxer = d;
    code = look_into_streams(r);
    return code < 0 ? reel_av_fail(r->env, REEL_E_FORMAT, r->name, "be understood", code) : REEL_OK;
}

static reel_status check_stream(reel_video_reader *r) {
    r->stream = find_video(r->demuxer);
    if (!r->stream) return reel_fail(r->env, REEL_E_FORMAT, "%s: holds no video", r->name);
    const AVCodecParameters *p = r->stream->codecpar;
    if (!is_allowed(p->codec_id))
        return reel_fail(r->env, REEL_E_UNSUPPORTED,
                         "%s: video of the codec %s cannot be read, wanted one of %s", r->name,
                         avcodec_get_name(p->codec_id), allowed_decoders);
    if ((int64_t)p->width * p->height > r->options.max_pixels)
        return reel_fail(r->env, REEL_E_UNSUPPORTED,
                         "%s: %dx%d pixels a frame, wanted at most %lld pixels", r->name, p->width,
                         p->height, (long long)r->options.max_pixels);
    const reel_video_info info = reel_video_reader_info(r);
    if (info.seconds > REEL_VIDEO_MAX_SECONDS + 0.5)
        return reel_fail(r->env, REEL_E_UNSUPPORTED, "%s: %.1f seconds, wanted at most %d", r->name,
                         info.seconds, REEL_VIDEO_MAX_SECONDS);
    for (unsigned i = 0; i < r->demuxer->nb_streams; i++)
        if (r->demuxer->streams[i] != r->stream) r->demuxer->streams[i]->discard = AVDISCARD_ALL;
    return REEL_OK;
}

static reel_status open_decoder(reel_video_reader *r) {
    const AVCodec *codec = avcodec_find_decoder(r->stream->codecpar->codec_id);
    if (!codec)
        return reel_fail(r->env, REEL_E_UNSUPPORTED, "%s: this FFmpeg has no decoder for %s",
                         r->name, avcodec_get_name(r->stream->codecpar->codec_id));
    r->codec = avcodec_alloc_context3(codec);
    if (!r->codec)
        return reel_av_fail(r->env, REEL_E_NOMEM, r->name, "be decoded", AVERROR(ENOMEM));
    int code = avcodec_parameters_to_context(r->codec, r->stream->codecpar);
    r->codec->pkt_timebase = r->stream->time_base;
    r->codec->thread_count = r->options.n_threads;
    r->codec->max_pixels = r->options.max_pixels;
    r->codec->err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_EXPLODE;
    if (code >= 0) code = avcodec_open2(r->codec, codec, NULL);
    return code < 0 ? reel_av_fail(r->env, REEL_E_FORMAT, r->name, "be decoded", code) : REEL_OK;
}

/* ---- decoding ---- */

/* Frames a second as the file says; 0 when it does not. */
static double rate_of(const reel_video_reader *r) {
    const AVRational f = r->stream->avg_frame_rate;
    return f.num > 0 && f.den > 0 ? av_q2d(f) : 0;
}

/* When a frame begins to show, in seconds from the beginning of its stream. */
static double time_of(const reel_video_reader *r, const AVFrame *f) {
    if (is_picture(r)) return 0;
    const double rate = rate_of(r);
    if (f->best_effort_timestamp == AV_NOPTS_VALUE)
        return rate > 0 ? (double)r->n_decoded / rate : 0;
    const int64_t start = r->stream->start_time == AV_NOPTS_VALUE ? 0 : r->stream->start_time;
    return (double)(f->best_effort_timestamp - start) * av_q2d(r->stream->time_base);
}

/* Until when the last frame shows. */
static double end_of(const reel_video_reader *r, const AVFrame *f) {
    const double rate = rate_of(r);
    const double lasts = f->pkt_duration > 0
                             ? (double)f->pkt_duration * av_q2d(r->stream->time_base)
                         : rate > 0 ? 1 / rate
                                    : 0;
    return time_of(r, f) + lasts;
}

static reel_status fail_frame(reel_video_reader *r, const char *what, int code) {
    char verb[64];
    snprintf(verb, sizeof verb, "%s frame %lld", what, (long long)r->n_decoded);
    return reel_av_fail(r->env, REEL_E_FORMAT, r->name, verb, code);
}

/* Hands the decoder the next packet of the stream, or the end. */
static reel_status feed(reel_video_reader *r) {
    int code;
    do {
        av_packet_unref(r->packet);
        code = av_read_frame(r->demuxer, r->packet);
    } while (code >= 0 && r->packet->stream_index != r->stream->index);
    if (code < 0 && code != AVERROR_EOF) return fail_frame(r, "read", code);
    if (code >= 0 && r->packet->flags & AV_PKT_FLAG_CORRUPT)
        return fail_frame(r, "read", AVERROR_INVALIDDATA);
    code = avcodec_send_packet(r->codec, code < 0 ? NULL : r->packet);
    av_packet_unref(r->packet);
    if (code == AVERROR_EOF) return REEL_OK; /* told twice */
    return code < 0 ? fail_frame(r, "decode", code) : REEL_OK;
}

/* Decodes into r->coming; has_coming is false at the end. */
static reel_status decode(reel_video_reader *r) {
    r->has_coming = false;
    if (is_picture(r) && r->n_decoded > 0) return REEL_OK; /* one is what it shows */
    for (;;) {
        const int code = avcodec_receive_frame(r->codec, r->coming);
        if (code == AVERROR_EOF) return REEL_OK;
        if (code == AVERROR(EAGAIN)) {
            const reel_status status = feed(r);
            if (status != REEL_OK) return status;
            continue;
        }
        if (code < 0) return fail_frame(r, "decode", code);
        if (r->coming->decode_error_flags) return fail_frame(r, "decode", AVERROR_INVALIDDATA);
        break;
    }
    const double t = time_of(r, r->coming);
    if (r->n_decoded >= REEL_VIDEO_MAX_FRAMES || t > REEL_VIDEO_MAX_SECONDS + 0.5)
        return reel_fail(r->env, REEL_E_UNSUPPORTED,
                         "%s: more than %d seconds or %d frames, wanted less", r->name,
                         REEL_VIDEO_MAX_SECONDS, REEL_VIDEO_MAX_FRAMES);
    r->n_decoded++;
    r->has_coming = true;
    return REEL_OK;
}

/* The frame that was coming is shown; the next one is decoded. */
static reel_status advance(reel_video_reader *r) {
    AVFrame *past = r->shown;
    r->shown = r->coming;
    r->coming = past;
    r->has_shown = r->has_coming;
    av_frame_unref(r->coming);
    return r->has_shown ? decode(r) : REEL_OK;
}

/* The first two frames. */
static reel_status prime(reel_video_reader *r) {
    r->n_decoded = 0;
    r->n_given = 0;
    const reel_status status = decode(r);
    return status == REEL_OK ? advance(r) : status;
}

static void close_streams(reel_video_reader *r) {
    av_frame_free(&r->shown);
    av_frame_free(&r->coming);
    av_packet_free(&r->packet);
    avcodec_free_context(&r->codec);
    if (r->demuxer) reel_av_stream_free(&r->demuxer->pb);
    avformat_close_input(&r->demuxer);
    r->stream = NULL;
}

static reel_status open_streams(reel_video_reader *r) {
    reel_status status = open_demuxer(r);
    if (status == REEL_OK) status = check_stream(r);
    if (status == REEL_OK) status = open_decoder(r);
    if (status != REEL_OK) return status;
    r->packet = av_packet_alloc();
    r->shown = av_frame_alloc();
    r->coming = av_frame_alloc();
    if (!r->packet || !r->shown || !r->coming)
        return reel_av_fail(r->env, REEL_E_NOMEM, r->name, "be decoded", AVERROR(ENOMEM));
    status = prime(r);
    if (status == REEL_OK && !r->has_shown)
        status = reel_fail(r->env, REEL_E_FORMAT, "%s: holds no frame", r->name);
    return status;
}

/* ---- the reader ---- */

static reel_turn turn_of(const reel_video_reader *r) {
    const AVFrameSideData *of_frame = av_frame_get_side_data(r->shown, AV_FRAME_DATA_DISPLAYMATRIX);
    if (of_frame) return reel_turn_from_matrix((const int32_t *)(const void *)of_frame->data);
    return reel_turn_from_matrix((const int32_t *)(const void *)av_stream_get_side_data(
        r->stream, AV_PKT_DATA_DISPLAYMATRIX, NULL));
}

static reel_status check_options(reel_env *env, const char *name, const reel_reader_options *o) {
    if ((o->width == 0) != (o->height == 0) || o->width < 0 || o->height < 0 ||
        o->width > REEL_PICTURE_MAX_SIDE || o->height > REEL_PICTURE_MAX_SIDE ||
        (int64_t)o->width * o->height > REEL_PICTURE_MAX_PIXELS)
        return reel_fail(env, REEL_E_ARG,
                         "%s: got the size %dx%d to read it in, wanted a picture's", name, o->width,
                         o->height);
    if (o->fps.den < 1 || o->fps.num < 0 || o->fps.num > 1000 * (int64_t)o->fps.den)
        return reel_fail(env, REEL_E_ARG, "%s: got %d/%d frames a second, wanted up to 1000", name,
                         o->fps.num, o->fps.den);
    if (!(o->start_s >= 0 && o->start_s <= REEL_VIDEO_MAX_SECONDS) || o->max_frames < 0)
        return reel_fail(env, REEL_E_ARG, "%s: got a start at %g s, wanted [0,%d]", name,
                         o->start_s, REEL_VIDEO_MAX_SECONDS);
    if (o->n_threads < 1 || o->n_threads > 16)
        return reel_fail(env, REEL_E_ARG, "%s: got %d threads, wanted [1,16]", name, o->n_threads);
    return REEL_OK;
}

static reel_status open_reader(reel_video_reader *r) {
    reel_status status = check_container(r);
    if (status == REEL_OK)
        status = reel_container_comment(r->env, r->source.data, r->source.bytes, &r->own_comment);
    if (status == REEL_OK) status = open_streams(r);
    if (status != REEL_OK) return status;
    AVRational aspect = r->shown->sample_aspect_ratio;
    if (aspect.num == 0) aspect = r->stream->sample_aspect_ratio;
    if (is_picture(r)) aspect = (AVRational){1, 1}; /* there it is a guess of the scanner's */
    status = reel_converter_init(r->env, r->name, r->shown, turn_of(r), aspect,
                                 r->options.max_pixels, &r->converter);
    if (status != REEL_OK) return status;
    if (r->options.width == 0) {
        r->options.width = r->converter.width;
        r->options.height = r->converter.height;
    }
    if (r->options.width != r->converter.width || r->options.height != r->converter.height)
        status = reel_picture_init(r->env, r->converter.width, r->converter.height, &r->upright);
    if (status == REEL_OK && r->options.start_s > 0)
        status = reel_video_reader_seek(r, r->options.start_s);
    return status;
}

/* Takes over map, which is empty when data is the caller's. */
static reel_status open_any(reel_env *env, reel_map map, const void *data, int64_t bytes,
                            const char *name, const reel_reader_options *options,
                            reel_video_reader **reader) {
    reel_av_quiet();
    const reel_reader_options o = options ? *options : reel_reader_options_default();
    reel_status status = check_options(env, name, &o);
    reel_video_reader *r = status == REEL_OK ? reel_calloc(env, 1, sizeof *r, tag_video) : NULL;
    if (!r) {
        reel_map_close(&map);
        return status == REEL_OK ? REEL_E_NOMEM : status;
    }
    r->env = env;
    r->map = map;
    r->source = (reel_av_memory){.data = data, .bytes = bytes};
    r->options = o;
    if (o.max_pixels <= 0 || o.max_pixels > REEL_PICTURE_MAX_PIXELS)
        r->options.max_pixels = REEL_PICTURE_MAX_PIXELS;
    r->name = reel_strdup(env, name, tag_video);
    status = r->name ? open_reader(r) : REEL_E_NOMEM;
    if (status != REEL_OK) {
        reel_video_reader_close(&r);
        return status;
    }
    *reader = r;
    return REEL_OK;
}

reel_status reel_video_reader_open(reel_env *env, const char *path,
                                   const reel_reader_options *options, reel_video_reader **reader) {
    reel_map map = {0};
    const reel_status status = reel_map_open(env, path, &map);
    return status == REEL_OK ? open_any(env, map, map.data, map.bytes, path, options, reader)
                             : status;
}

reel_status reel_video_reader_open_memory(reel_env *env, const void *data, int64_t bytes,
                                          const char *name, const reel_reader_options *options,
                                          reel_video_reader **reader) {
    return open_any(env, (reel_map){0}, data, bytes, name, options, reader);
}

void reel_video_reader_close(reel_video_reader **reader) {
    if (!reader || !*reader) return;
    reel_video_reader *r = *reader;
    *reader = NULL;
    reel_converter_deinit(&r->converter);
    reel_picture_deinit(r->env, &r->upright);
    close_streams(r);
    reel_map_close(&r->map);
    reel_free(r->env, r->own_comment);
    reel_free(r->env, r->name);
    reel_free(r->env, r);
}

static double seconds_of(const reel_video_reader *r) {
    if (is_picture(r)) return 0;
    if (r->stream->duration > 0) return (double)r->stream->duration * av_q2d(r->stream->time_base);
    return r->demuxer->duration > 0 ? (double)r->demuxer->duration / AV_TIME_BASE : 0;
}

/* Frames a second on average. FFmpeg guesses a GIF's from the first delays, which are whole
 * hundredths of a second; its length and count are exact. */
static AVRational average_rate(const reel_video_reader *r) {
    const AVStream *s = r->stream;
    AVRational rate = s->avg_frame_rate;
    if (r->container.kind == REEL_CONTAINER_GIF && s->nb_frames > 0 && s->duration > 0)
        av_reduce(&rate.num, &rate.den, s->nb_frames * s->time_base.den,
                  s->duration * s->time_base.num, INT_MAX);
    return rate;
}

reel_video_info reel_video_reader_info(const reel_video_reader *r) {
    const AVCodecParameters *p = r->stream->codecpar;
    const AVDictionaryEntry *stored = av_dict_get(r->demuxer->metadata, "comment", NULL, 0);
    const char *pixels = av_get_pix_fmt_name(p->format);
    const AVRational rate = average_rate(r);
    return (reel_video_info){
        .format = reel_container_name(r->container.kind),
        .codec = avcodec_get_name(p->codec_id),
        .pixel_format = pixels ? pixels : "unknown",
        .comment = r->own_comment ? r->own_comment
                   : stored       ? stored->value
                                  : NULL,
        .width = r->converter.width,
        .height = r->converter.height,
        .fps = is_picture(r) || rate.num <= 0 || rate.den <= 0
                   ? (reel_rational){0, 1}
                   : (reel_rational){rate.num, rate.den},
        .seconds = seconds_of(r),
        .n_frames = is_picture(r)              ? 1
                    : r->stream->nb_frames > 0 ? r->stream->nb_frames
                                               : -1,
        .is_picture = is_picture(r),
    };
}

void reel_video_reader_size(const reel_video_reader *r, int *width, int *height) {
    *width = r->options.width;
    *height = r->options.height;
}

/* ---- frames ---- */

static reel_status give(reel_video_reader *r, uint8_t *pixels) {
    if (!r->upright.pixels) return reel_converter_run(&r->converter, r->shown, pixels);
    const reel_status status = reel_converter_run(&r->converter, r->shown, r->upright.pixels);
    if (status != REEL_OK) return status;
    const reel_picture to = {pixels, r->options.width, r->options.height};
    return reel_picture_fit(r->env, &r->upright, r->options.fit, &to);
}

/* Advances while the coming frame begins before t. */
static reel_status advance_to(reel_video_reader *r, double t) {
    while (r->has_coming && time_of(r, r->coming) < t) {
        const reel_status status = advance(r);
        if (status != REEL_OK) return status;
    }
    return REEL_OK;
}

/* Makes the frame to be given the one that is shown; *got is false at the end. Resampled, frame k
 * is the stored one nearest to its time, as FFmpeg's filter fps has it: the last that begins before
 * the middle between k and k + 1. */
static reel_status step(reel_video_reader *r, bool *got) {
    const reel_rational fps = r->options.fps;
    reel_status status = REEL_OK;
    if (fps.num > 0) {
        const double middle = r->start_s + ((double)r->n_given + 0.5) * fps.den / fps.num;
        status = advance_to(r, middle - 1e-6);
        *got =
            r->has_shown && (r->has_coming || is_picture(r) ? r->has_coming || r->n_given == 0
                                                            : end_of(r, r->shown) > middle - 1e-6);
        return status;
    }
    if (r->n_given > 0) status = advance(r);
    *got = r->has_shown;
    return status;
}

reel_status reel_video_reader_next(reel_video_reader *r, uint8_t *pixels, bool *got) {
    *got = false;
    if (r->options.max_frames > 0 && r->n_given >= r->options.max_frames) return REEL_OK;
    bool there = false;
    reel_status status = step(r, &there);
    if (status != REEL_OK || !there) return status;
    status = give(r, pixels);
    if (status != REEL_OK) return status;
    const reel_rational fps = r->options.fps;
    r->time_s =
        fps.num > 0 ? r->start_s + (double)r->n_given * fps.den / fps.num : time_of(r, r->shown);
    r->n_given++;
    *got = true;
    return REEL_OK;
}

double reel_video_reader_time(const reel_video_reader *r) {
    return r->time_s;
}

static reel_status rewind_streams(reel_video_reader *r) {
    close_streams(r);
    r->start_s = 0;
    return open_streams(r);
}

/* Jumps to the key frame before, where the format can; otherwise from the beginning. */
static reel_status jump(reel_video_reader *r, double seconds) {
    const bool jumps =
        r->container.kind == REEL_CONTAINER_MP4 || r->container.kind == REEL_CONTAINER_MATROSKA;
    if (!jumps) return rewind_streams(r);
    const int64_t start = r->stream->start_time == AV_NOPTS_VALUE ? 0 : r->stream->start_time;
    const int64_t at = start + (int64_t)floor(seconds / av_q2d(r->stream->time_base));
    const int code = avformat_seek_file(r->demuxer, r->stream->index, INT64_MIN, at, at, 0);
    if (code < 0) return rewind_streams(r);
    avcodec_flush_buffers(r->codec);
    return prime(r);
}

reel_status reel_video_reader_seek(reel_video_reader *r, double seconds) {
    if (!(seconds >= 0 && seconds <= REEL_VIDEO_MAX_SECONDS))
        return reel_fail(r->env, REEL_E_ARG, "%s: got the time %g s, wanted [0,%d]", r->name,
                         seconds, REEL_VIDEO_MAX_SECONDS);
    reel_status status = jump(r, seconds);
    if (status == REEL_OK) status = advance_to(r, seconds + 1e-6);
    if (status == REEL_OK && !is_picture(r) &&
        (!r->has_shown || end_of(r, r->shown) <= seconds - 1e-6))
        status =
            reel_fail(r->env, REEL_E_ARG, "%s: got the time %g s, wanted less than its end at %g s",
                      r->name, seconds, r->has_shown ? end_of(r, r->shown) : 0.0);
    r->start_s = seconds;
    r->n_given = 0;
    return status;
}

reel_status reel_video_reader_count(reel_video_reader *r, int64_t *n_frames) {
    if (is_picture(r)) {
        *n_frames = 1;
        return REEL_OK;
    }
    close_streams(r);
    reel_status status = open_demuxer(r);
    if (status == REEL_OK) status = check_stream(r);
    if (status != REEL_OK) return status;
    AVPacket *packet = av_packet_alloc();
    if (!packet) return reel_av_fail(r->env, REEL_E_NOMEM, r->name, "be read", AVERROR(ENOMEM));
    int64_t n = 0;
    int code;
    while ((code = av_read_frame(r->demuxer, packet)) >= 0) {
        n += packet->stream_index == r->stream->index && !(packet->flags & AV_PKT_FLAG_DISCARD);
        av_packet_unref(packet);
    }
    av_packet_free(&packet);
    if (code != AVERROR_EOF) return reel_av_fail(r->env, REEL_E_FORMAT, r->name, "be read", code);
    status = rewind_streams(r);
    if (status == REEL_OK) *n_frames = n;
    return status;
}

reel_status reel_picture_read(reel_env *env, const char *path, reel_picture *to) {
    reel_video_reader *r = NULL;
    reel_picture picture = {0};
    reel_status status = reel_video_reader_open(env, path, NULL, &r);
    if (status != REEL_OK) return status;
    bool got = false;
    status = reel_picture_init(env, r->options.width, r->options.height, &picture);
    if (status == REEL_OK) status = reel_video_reader_next(r, picture.pixels, &got);
    reel_video_reader_close(&r);
    if (status == REEL_OK)
        *to = picture;
    else
        reel_picture_deinit(env, &picture);
    return status;
}
