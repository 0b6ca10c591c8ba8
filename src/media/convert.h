/* Decoded frames to RGB: the colours a file means, upright, with square pixels. */
#ifndef REEL_MEDIA_CONVERT_H
#define REEL_MEDIA_CONVERT_H

#include <libavutil/frame.h>
#include <libswscale/swscale.h>

#include "base/env.h"
#include "media/picture.h"

/* Where a pixel goes: right is across * x + down_x * y and so on, one of each pair being 0 and the
 * other 1 or -1. */
typedef struct reel_turn {
    int x_from_x, x_from_y, y_from_x, y_from_y;
} reel_turn;

/* From the 3x3 matrix of FFmpeg (16.16), rounded to quarter turns; NULL: none. */
reel_turn reel_turn_from_matrix(const int32_t *matrix);

typedef struct reel_converter {
    reel_env *env;
    const char *name; /* for messages; borrowed */
    reel_turn turn;
    AVRational aspect; /* of a pixel */
    struct SwsContext *scaler;
    int from_width, from_height, from_format; /* what scaler is for */
    int width, height;                        /* upright */
    uint8_t *rows;                            /* what scaler writes to */
    int stride, bytes_per_pixel;
} reel_converter;

/* For frames like this one. REEL_E_UNSUPPORTED when the upright size has more than max_pixels. On
 * failure the caller still calls reel_converter_deinit. */
REEL_MUST_USE reel_status reel_converter_init(reel_env *env, const char *name, const AVFrame *frame,
                                              reel_turn turn, AVRational aspect, int64_t max_pixels,
                                              reel_converter *converter);
void reel_converter_deinit(reel_converter *converter);

/* Fills pixels [height,width,3]. A frame of another size or format than the first is refused with
 * REEL_E_UNSUPPORTED. */
REEL_MUST_USE reel_status reel_converter_run(reel_converter *converter, const AVFrame *frame,
                                             uint8_t *pixels);

#endif
