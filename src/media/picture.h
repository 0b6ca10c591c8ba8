/* Pictures: 8-bit sRGB pixels, and the ways between them and what models compute on.
 *
 * A frame everywhere in media/ is [H,W,3] u8, rows without gaps, red first. Resizing is an own
 * separable filter, Catmull-Rom, widened when it shrinks so that no pixel of the source is skipped;
 * it works on the stored (gamma) values as video tools do, and gives the same bytes on any machine.
 */
#ifndef REEL_MEDIA_PICTURE_H
#define REEL_MEDIA_PICTURE_H

#include <stdint.h>

#include "base/env.h"

enum { REEL_PICTURE_MAX_SIDE = 32768, REEL_PICTURE_MAX_PIXELS = 64 << 20 };

/* A number of frames a second, or any ratio; den > 0. */
typedef struct reel_rational {
    int num, den;
} reel_rational;

typedef struct reel_picture {
    uint8_t *pixels; /* [H,W,3] */
    int width, height;
} reel_picture;

/* How a picture gets a size that has another shape. */
typedef enum reel_fit {
    REEL_FIT_CROP,      /* fill the size, keep the middle, cut the rest */
    REEL_FIT_LETTERBOX, /* all of the picture, black bars */
    REEL_FIT_STRETCH,   /* each axis by itself */
} reel_fit;

/* A black picture. REEL_E_ARG when a side is outside [1,32768] or there are more than 64 Mi pixels.
 * Freed with reel_picture_deinit. */
REEL_MUST_USE reel_status reel_picture_init(reel_env *env, int width, int height,
                                            reel_picture *picture);
/* Safe on a zeroed struct; zeroes it. */
void reel_picture_deinit(reel_env *env, reel_picture *picture);

/* Fills to, whose size is the one wanted, from a picture of any size. The two do not overlap. */
REEL_MUST_USE reel_status reel_picture_fit(reel_env *env, const reel_picture *from, reel_fit fit,
                                           const reel_picture *to);

/* Planes of f32: channel c of pixel (y,x) is data[c * channel_stride + y * width + x]. So one frame
 * of a tensor [C,F,H,W] has data at frame f and channel_stride F*H*W; [3,H,W] has H*W. */
typedef struct reel_planes {
    const float *data;
    int64_t channel_stride; /* in floats */
    float black, white;     /* the values that become 0 and 255: 0 and 1, or -1 and 1 */
} reel_planes;

/* pixels [H,W,3] from planes: scaled, cut to [0,255], rounded half up; NaN becomes 0. */
void reel_picture_from_planes(const reel_planes *planes, int width, int height, uint8_t *pixels);

/* The other way: plane c at data + c * channel_stride, black and white as above. */
void reel_picture_to_planes(const uint8_t *pixels, int width, int height, float black, float white,
                            int64_t channel_stride, float *data);

#endif
