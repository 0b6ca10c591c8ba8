/* Pixel layouts of the encoders: RGB to BT.709 YCbCr, and rows that FFmpeg wants otherwise.
 *
 * Integer arithmetic of our own, so that a frame becomes the same bytes on any machine.
 */
#ifndef REEL_MEDIA_PIXELS_H
#define REEL_MEDIA_PIXELS_H

#include <stdint.h>

/* [H,W,3] to three planes, Y'CbCr of BT.709 (Kr 0.2126, Kb 0.0722), 8 bits, Y in [16,235], C in
 * [16,240]. stride: bytes from row to row of each plane. */
void reel_pixels_to_yuv444(const uint8_t *rgb, int width, int height, uint8_t *const plane[3],
                           const int stride[3]);

/* The same with chroma halved both ways, ceil(W/2) by ceil(H/2): weights 1 2 1 around the even
 * column, where H.264 and AV1 place it when nothing else is said, and the mean of two rows. */
void reel_pixels_to_yuv420(const uint8_t *rgb, int width, int height, uint8_t *const plane[3],
                           const int stride[3]);

/* [H,W,3] to blue, green, red, 0: four bytes a pixel. */
void reel_pixels_to_bgr0(const uint8_t *rgb, int width, int height, uint8_t *to, int stride);

#endif
