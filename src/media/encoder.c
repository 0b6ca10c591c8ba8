#include "media/encoder.h"

#include <libavutil/opt.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "media/av.h"
#include "media/pixels.h"

/* Fixed, whatever the machine has: x264's and FFV1's bytes depend on it. */
enum { N_THREADS = 4 };

typedef struct setting {
    const char *encoder;
    enum AVPixelFormat pixels;
    int default_crf;     /* -1: has none */
    const char *options; /* of the encoder itself */
} setting;

/* x264 is told to compute the same on every processor; without that its AVX-512 code (version 164)
 * reads memory nobody has written, and the bytes are not even the same twice. AV1 by libaom: it
 * takes frames of any size and prints nothing, SVT-AV1 wants 64x64 and talks. */
static const setting settings[] = {
    [REEL_VIDEO_MP4] = {"libx264", AV_PIX_FMT_YUV420P, 18,
                        "preset=medium:x264-params=cpu-independent=1"},
    [REEL_VIDEO_WEBM] = {"libaom-av1", AV_PIX_FMT_YUV420P, 24, "cpu-used=6:row-mt=1"},
    [REEL_VIDEO_GIF] = {"gif", AV_PIX_FMT_PAL8, -1, ""},
    [REEL_VIDEO_PNG] = {"png", AV_PIX_FMT_RGB24, -1, "pred=mixed"},
    [REEL_VIDEO_PNG_SEQUENCE] = {"png", AV_PIX_FMT_RGB24, -1, "pred=mixed"},
    [REEL_VIDEO_FFV1] = {"ffv1", AV_PIX_FMT_0RGB32, -1, "slicecrc=1:coder=range_tab"},
};

/* H.264 halves chroma only of even sizes. Padding would make the file another size than was asked;
 * full chroma keeps it, for players that know the profile. */
static enum AVPixelFormat choose_pixels(reel_encoder *e) {
    if (e->format == REEL_VIDEO_MP4 && (e->width % 2 || e->height % 2)) {
        reel_log(e->env, REEL_LOG_WARN,
                 "%s: H.264 of the odd size %dx%d needs yuv444p, which some players do not show",
                 e->path, e->width, e->height);
        return AV_PIX_FMT_YUV444P;
    }
    return settings[e->format].pixels;
}

static void set_colors(AVCodecContext *c) {
    if (c->pix_fmt != AV_PIX_FMT_YUV420P && c->pix_fmt != AV_PIX_FMT_YUV444P) return;
    c->color_range = AVCOL_RANGE_MPEG;
    c->color_primaries = AVCOL_PRI_BT709;
    c->color_trc = AVCOL_TRC_BT709;
    c->colorspace = AVCOL_SPC_BT709;
    c->chroma_sample_location = AVCHROMA_LOC_LEFT;
}

static reel_status set_options(reel_encoder *e, int crf) {
    const setting *s = &settings[e->format];
    int code = av_set_options_string(e->codec->priv_data, s->options, "=", ":");
    if (code >= 0 && s->default_crf >= 0) {
        const int value = crf < 0 ? s->default_crf : crf;
        /* x264's is a float, libaom's an int. */
        code = e->format == REEL_VIDEO_MP4 ? av_opt_set_double(e->codec->priv_data, "crf", value, 0)
                                           : av_opt_set_int(e->codec->priv_data, "crf", value, 0);
    }
    e->codec->level = e->format == REEL_VIDEO_FFV1 ? 3 : e->codec->level;
    e->codec->slices = e->format == REEL_VIDEO_FFV1 ? 4 : 0;
    return code < 0 ? reel_av_fail(e->env, REEL_E_UNSUPPORTED, e->path, "set up the encoder", code)
                    : REEL_OK;
}

/* x264 puts its name, version and settings into a message (SEI, unit type 6) of the first frame;
 * with these settings there are no others. */
static reel_status open_filter(reel_encoder *e) {
    if (e->format != REEL_VIDEO_MP4) return REEL_OK;
    const AVBitStreamFilter *f = av_bsf_get_by_name("filter_units");
    int code = f ? av_bsf_alloc(f, &e->filter) : AVERROR_BSF_NOT_FOUND;
    if (code >= 0) code = av_opt_set(e->filter->priv_data, "remove_types", "6", 0);
    if (code >= 0) code = avcodec_parameters_from_context(e->filter->par_in, e->codec);
    if (code >= 0) {
        e->filter->time_base_in = e->codec->time_base;
        code = av_bsf_init(e->filter);
    }
    return code < 0 ? reel_av_fail(e->env, REEL_E_UNSUPPORTED, e->path, "filter the stream", code)
                    : REEL_OK;
}

static reel_status open_frame(reel_encoder *e) {
    e->packet = av_packet_alloc();
    e->frame = av_frame_alloc();
    if (!e->packet || !e->frame)
        return reel_av_fail(e->env, REEL_E_NOMEM, e->path, "make a frame", AVERROR(ENOMEM));
    e->frame->format = e->codec->pix_fmt;
    e->frame->width = e->width;
    e->frame->height = e->height;
    const int code = av_frame_get_buffer(e->frame, 0);
    if (code < 0) return reel_av_fail(e->env, REEL_E_NOMEM, e->path, "make a frame", code);
    if (e->format != REEL_VIDEO_GIF) return REEL_OK;
    e->palette = reel_alloc(e->env, sizeof *e->palette, "palette");
    return e->palette ? REEL_OK : REEL_E_NOMEM;
}

reel_status reel_encoder_init(reel_env *env, const char *path, const reel_video_options *o,
                              reel_video_format format, bool global_header, reel_encoder *e) {
    *e = (reel_encoder){
        .env = env, .path = path, .format = format, .width = o->width, .height = o->height};
    const setting *s = &settings[format];
    const AVCodec *codec = avcodec_find_encoder_by_name(s->encoder);
    if (!codec)
        return reel_fail(env, REEL_E_UNSUPPORTED, "%s: this FFmpeg has no encoder %s", path,
                         s->encoder);
    e->codec = avcodec_alloc_context3(codec);
    if (!e->codec)
        return reel_av_fail(env, REEL_E_NOMEM, path, "make the encoder", AVERROR(ENOMEM));
    AVCodecContext *c = e->codec;
    c->width = o->width;
    c->height = o->height;
    c->pix_fmt = choose_pixels(e);
    c->time_base = (AVRational){o->fps.den, o->fps.num};
    c->framerate = (AVRational){o->fps.num, o->fps.den};
    c->sample_aspect_ratio = (AVRational){1, 1};
    c->thread_count = N_THREADS;
    c->flags |= AV_CODEC_FLAG_BITEXACT | (global_header ? AV_CODEC_FLAG_GLOBAL_HEADER : 0);
    set_colors(c);
    reel_status status = set_options(e, o->crf);
    if (status != REEL_OK) return status;
    const int code = avcodec_open2(c, codec, NULL);
    if (code < 0) return reel_av_fail(env, REEL_E_UNSUPPORTED, path, "open the encoder", code);
    status = open_filter(e);
    return status == REEL_OK ? open_frame(e) : status;
}

void reel_encoder_deinit(reel_encoder *e) {
    av_bsf_free(&e->filter);
    av_packet_free(&e->packet);
    av_frame_free(&e->frame);
    avcodec_free_context(&e->codec);
    if (e->env) reel_free(e->env, e->palette);
    e->palette = NULL;
}

/* ---- frames ---- */

/* The palette is kept while it fits: one that changes with every frame makes still parts flicker.
 * It no longer fits when the error has grown by half, and by more than 4 squared steps, which no
 * eye sees. */
static reel_status fill_palette(reel_encoder *e, const uint8_t *pixels) {
    AVFrame *f = e->frame;
    double error = e->n_palettes > 0 ? reel_palette_apply(e->palette, pixels, e->width, e->height,
                                                          f->data[0], f->linesize[0])
                                     : 0;
    if (e->n_palettes == 0 || error > 1.5 * e->palette_error + 4) {
        const reel_status status =
            reel_palette_make(e->env, pixels, (int64_t)e->width * e->height, e->palette);
        if (status != REEL_OK) return status;
        e->palette_error =
            reel_palette_apply(e->palette, pixels, e->width, e->height, f->data[0], f->linesize[0]);
        e->n_palettes++;
    }
    uint32_t color[256];
    /* Entry 255 is never used and transparent, which the encoder needs to write only what changed.
     * Its colour numbers the palette: the encoder takes two that are equal for one, also when there
     * was another in between. */
    for (int i = 0; i < 256; i++)
        color[i] = (uint32_t)e->n_palettes & 0xffffff;
    for (int i = 0; i < e->palette->n; i++)
        color[i] = 0xff000000u | (uint32_t)e->palette->color[i][0] << 16 |
                   (uint32_t)e->palette->color[i][1] << 8 | e->palette->color[i][2];
    memcpy(f->data[1], color, sizeof color);
    return REEL_OK;
}

static reel_status fill_frame(reel_encoder *e, const uint8_t *pixels) {
    AVFrame *f = e->frame;
    const int code = av_frame_make_writable(f);
    if (code < 0) return reel_av_fail(e->env, REEL_E_NOMEM, e->path, "make a frame", code);
    f->pts = e->n_frames;
    switch (e->codec->pix_fmt) {
    case AV_PIX_FMT_YUV420P:
        reel_pixels_to_yuv420(pixels, e->width, e->height, f->data, f->linesize);
        return REEL_OK;
    case AV_PIX_FMT_YUV444P:
        reel_pixels_to_yuv444(pixels, e->width, e->height, f->data, f->linesize);
        return REEL_OK;
    case AV_PIX_FMT_0RGB32:
        reel_pixels_to_bgr0(pixels, e->width, e->height, f->data[0], f->linesize[0]);
        return REEL_OK;
    case AV_PIX_FMT_PAL8:
        return fill_palette(e, pixels);
    default:
        for (int y = 0; y < e->height; y++)
            memcpy(f->data[0] + (int64_t)y * f->linesize[0], pixels + (int64_t)y * e->width * 3,
                   3 * (size_t)e->width);
        return REEL_OK;
    }
}

/* ---- packets ---- */

reel_status reel_encoder_parameters(const reel_encoder *e, AVCodecParameters *parameters) {
    const int code = e->filter ? avcodec_parameters_copy(parameters, e->filter->par_out)
                               : avcodec_parameters_from_context(parameters, e->codec);
    return code < 0 ? reel_av_fail(e->env, REEL_E_NOMEM, e->path, "describe the stream", code)
                    : REEL_OK;
}

static reel_status hand_on(reel_encoder *e, reel_encoder_sink *sink, void *context) {
    e->packet->duration = 1; /* one frame: the muxer does not know how long the last one stays */
    const reel_status status = sink(context, e->packet);
    av_packet_unref(e->packet);
    return status;
}

/* Sends e->packet through the filter; drained: there will be no more. */
static reel_status filter(reel_encoder *e, bool drained, reel_encoder_sink *sink, void *context) {
    if (!e->filter) return drained ? REEL_OK : hand_on(e, sink, context);
    int code = av_bsf_send_packet(e->filter, drained ? NULL : e->packet);
    while (code >= 0) {
        code = av_bsf_receive_packet(e->filter, e->packet);
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return REEL_OK;
        if (code < 0) break;
        const reel_status status = hand_on(e, sink, context);
        if (status != REEL_OK) return status;
    }
    return reel_av_fail(e->env, REEL_E_FORMAT, e->path, "filter the stream", code);
}

reel_status reel_encoder_put(reel_encoder *e, const uint8_t *pixels, reel_encoder_sink *sink,
                             void *context) {
    reel_status status = pixels ? fill_frame(e, pixels) : REEL_OK;
    if (status != REEL_OK) return status;
    int code = avcodec_send_frame(e->codec, pixels ? e->frame : NULL);
    if (pixels) e->n_frames++;
    while (code >= 0) {
        code = avcodec_receive_packet(e->codec, e->packet);
        if (code == AVERROR(EAGAIN)) return REEL_OK;
        if (code == AVERROR_EOF) return filter(e, true, sink, context);
        if (code < 0) break;
        status = filter(e, false, sink, context);
        if (status != REEL_OK) return status;
    }
    return reel_av_fail(e->env, REEL_E_FORMAT, e->path, "encode a frame", code);
}
