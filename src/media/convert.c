#include "media/convert.h"

#include <libavutil/pixdesc.h>
#include <stdlib.h>

static int sign(int32_t x) {
    return x < 0 ? -1 : 1;
}

reel_turn reel_turn_from_matrix(const int32_t *m) {
    if (!m) return (reel_turn){1, 0, 0, 1};
    const int64_t straight = llabs((long long)m[0]) + llabs((long long)m[4]);
    const int64_t turned = llabs((long long)m[1]) + llabs((long long)m[3]);
    if (straight >= turned) return (reel_turn){sign(m[0]), 0, 0, sign(m[4])};
    return (reel_turn){0, sign(m[3]), sign(m[1]), 0};
}

static bool may_be_transparent(int format) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    return format == AV_PIX_FMT_PAL8 || (d && d->flags & AV_PIX_FMT_FLAG_ALPHA);
}

/* Old names of formats whose range is full; swscale wants the plain one and the range apart. */
static int plain_format(int format, bool *full_range) {
    *full_range = true;
    switch (format) {
    case AV_PIX_FMT_YUVJ420P:
        return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
        return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
        return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P:
        return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ411P:
        return AV_PIX_FMT_YUV411P;
    default:
        *full_range = false;
        return format;
    }
}

/* The matrix of a frame. One that says nothing is taken as players do: high definition is BT.709,
 * the rest BT.601, and so are pictures with full range (JPEG). */
static int matrix_of(const AVFrame *f, bool full_range) {
    switch (f->colorspace) {
    case AVCOL_SPC_BT709:
        return SWS_CS_ITU709;
    case AVCOL_SPC_FCC:
        return SWS_CS_FCC;
    case AVCOL_SPC_SMPTE240M:
        return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        return SWS_CS_BT2020;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
        return SWS_CS_ITU601;
    default:
        return !full_range && (f->width >= 1280 || f->height > 576) ? SWS_CS_ITU709 : SWS_CS_ITU601;
    }
}

/* Pixels are made square by widening or narrowing; a ratio beyond 8 is taken for an error. */
static int square_width(const AVFrame *f, AVRational aspect) {
    const int64_t num = aspect.num, den = aspect.den;
    if (num < 1 || den < 1 || num > 8 * den || den > 8 * num) return f->width;
    const int64_t width = (f->width * num + den / 2) / den;
    return width < 1 ? 1 : (int)width;
}

static reel_status open_scaler(reel_converter *c, const AVFrame *f, int width) {
    bool full_range;
    const int from = plain_format(f->format, &full_range);
    const int to = may_be_transparent(f->format) ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
    full_range = full_range || f->color_range == AVCOL_RANGE_JPEG;
    c->scaler = sws_getContext(f->width, f->height, from, width, f->height, to,
                               SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_BITEXACT,
                               NULL, NULL, NULL);
    const char *format = av_get_pix_fmt_name(f->format);
    if (!c->scaler)
        return reel_fail(c->env, REEL_E_UNSUPPORTED, "%s: pixels of the format %s cannot be read",
                         c->name, format ? format : "unknown");
    /* It refuses for RGB, which has no matrix. */
    (void)sws_setColorspaceDetails(c->scaler, sws_getCoefficients(matrix_of(f, full_range)),
                                   full_range, sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16,
                                   1 << 16);
    c->bytes_per_pixel = to == AV_PIX_FMT_RGBA ? 4 : 3;
    return REEL_OK;
}

reel_status reel_converter_init(reel_env *env, const char *name, const AVFrame *f, reel_turn turn,
                                AVRational aspect, int64_t max_pixels, reel_converter *c) {
    const int width = square_width(f, aspect);
    *c = (reel_converter){.env = env,
                          .name = name,
                          .turn = turn,
                          .aspect = aspect,
                          .from_width = f->width,
                          .from_height = f->height,
                          .from_format = f->format,
                          .width = turn.x_from_x ? width : f->height,
                          .height = turn.x_from_x ? f->height : width};
    if ((int64_t)c->width * c->height > max_pixels || c->width > REEL_PICTURE_MAX_SIDE ||
        c->height > REEL_PICTURE_MAX_SIDE)
        return reel_fail(env, REEL_E_UNSUPPORTED,
                         "%s: %dx%d pixels a frame, wanted sides up to %d and at most %lld pixels",
                         name, c->width, c->height, REEL_PICTURE_MAX_SIDE, (long long)max_pixels);
    const reel_status status = open_scaler(c, f, width);
    if (status != REEL_OK) return status;
    /* swscale writes whole vectors: rows are padded, and one more follows. */
    c->stride = (width * c->bytes_per_pixel + 127) / 64 * 64;
    c->rows = reel_calloc(env, f->height + 1, c->stride, "video");
    return c->rows ? REEL_OK : REEL_E_NOMEM;
}

void reel_converter_deinit(reel_converter *c) {
    sws_freeContext(c->scaler);
    if (c->env) reel_free(c->env, c->rows);
    *c = (reel_converter){0};
}

static void put_pixel(const uint8_t *from, int bytes_per_pixel, uint8_t *to) {
    const int alpha = bytes_per_pixel == 4 ? from[3] : 255;
    for (int k = 0; k < 3; k++)
        to[k] =
            alpha == 255 ? from[k] : (uint8_t)((from[k] * alpha + 255 * (255 - alpha) + 127) / 255);
}

/* Scaled rows to the upright picture. */
static void turn_rows(const reel_converter *c, uint8_t *pixels) {
    const reel_turn t = c->turn;
    const int width = t.x_from_x ? c->width : c->height;
    const int height = t.x_from_x ? c->height : c->width;
    const int left = t.x_from_x + t.x_from_y < 0 ? c->width - 1 : 0;
    const int top = t.y_from_x + t.y_from_y < 0 ? c->height - 1 : 0;
    const int64_t step = 3 * ((int64_t)t.x_from_x + (int64_t)t.y_from_x * c->width);
    for (int y = 0; y < height; y++) {
        const uint8_t *from = c->rows + (int64_t)y * c->stride;
        uint8_t *to =
            pixels + 3 * (left + t.x_from_y * y + (int64_t)(top + t.y_from_y * y) * c->width);
        for (int x = 0; x < width; x++, to += step)
            put_pixel(from + (int64_t)x * c->bytes_per_pixel, c->bytes_per_pixel, to);
    }
}

reel_status reel_converter_run(reel_converter *c, const AVFrame *f, uint8_t *pixels) {
    if (f->width != c->from_width || f->height != c->from_height || f->format != c->from_format)
        return reel_fail(c->env, REEL_E_UNSUPPORTED,
                         "%s: a frame of %dx%d in %s after frames of %dx%d in %s", c->name,
                         f->width, f->height, av_get_pix_fmt_name(f->format), c->from_width,
                         c->from_height, av_get_pix_fmt_name(c->from_format));
    uint8_t *const to[4] = {c->rows};
    const int stride[4] = {c->stride};
    const int n = sws_scale(c->scaler, (const uint8_t *const *)f->data, f->linesize, 0, f->height,
                            to, stride);
    if (n != f->height)
        return reel_fail(c->env, REEL_E_FORMAT, "%s: a frame cannot be converted", c->name);
    turn_rows(c, pixels);
    return REEL_OK;
}
