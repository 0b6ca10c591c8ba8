#include "media/pixels.h"

/* Weights of R, G, B in units of 2^-16, 219/255 or 224/255 of the standard's. Those of Y add up to
 * 219/255, those of each chroma to 0, so that grey stays exactly grey. */
enum { YR = 11966, YG = 40254, YB = 4064 };
enum { UR = -6596, UG = -22189, UB = 28785 };
enum { VR = 28785, VG = -26145, VB = -2640 };
enum { BITS = 16, HALF = 1 << (BITS - 1) };

static uint8_t luma(const uint8_t *p) {
    return (uint8_t)(16 + ((YR * p[0] + YG * p[1] + YB * p[2] + HALF) >> BITS));
}

/* r, g, b are sums over 2^shift pixels. The offset of 128 keeps what is shifted positive. */
static uint8_t chroma(int r, int g, int b, const int weight[3], int shift) {
    const int bits = BITS + shift;
    const int sum = weight[0] * r + weight[1] * g + weight[2] * b;
    return (uint8_t)((sum + (128 << bits) + (1 << (bits - 1))) >> bits);
}

static const int weight_u[3] = {UR, UG, UB};
static const int weight_v[3] = {VR, VG, VB};

static void luma_plane(const uint8_t *rgb, int width, int height, uint8_t *y, int stride) {
    for (int i = 0; i < height; i++) {
        const uint8_t *from = rgb + (int64_t)i * width * 3;
        uint8_t *to = y + (int64_t)i * stride;
        for (int j = 0; j < width; j++)
            to[j] = luma(from + 3 * j);
    }
}

void reel_pixels_to_yuv444(const uint8_t *rgb, int width, int height, uint8_t *const plane[3],
                           const int stride[3]) {
    luma_plane(rgb, width, height, plane[0], stride[0]);
    for (int i = 0; i < height; i++) {
        const uint8_t *p = rgb + (int64_t)i * width * 3;
        uint8_t *u = plane[1] + (int64_t)i * stride[1];
        uint8_t *v = plane[2] + (int64_t)i * stride[2];
        for (int j = 0; j < width; j++, p += 3) {
            u[j] = chroma(p[0], p[1], p[2], weight_u, 0);
            v[j] = chroma(p[0], p[1], p[2], weight_v, 0);
        }
    }
}

void reel_pixels_to_yuv420(const uint8_t *rgb, int width, int height, uint8_t *const plane[3],
                           const int stride[3]) {
    luma_plane(rgb, width, height, plane[0], stride[0]);
    for (int i = 0; i < (height + 1) / 2; i++) {
        const uint8_t *upper = rgb + (int64_t)2 * i * width * 3;
        const uint8_t *lower = 2 * i + 1 < height ? upper + (int64_t)width * 3 : upper;
        uint8_t *u = plane[1] + (int64_t)i * stride[1];
        uint8_t *v = plane[2] + (int64_t)i * stride[2];
        for (int j = 0; j < (width + 1) / 2; j++) {
            const int x = 2 * j;
            const int left = 3 * (x > 0 ? x - 1 : x), right = 3 * (x + 1 < width ? x + 1 : x);
            int sum[3];
            for (int c = 0; c < 3; c++)
                sum[c] = upper[left + c] + 2 * upper[3 * x + c] + upper[right + c] +
                         lower[left + c] + 2 * lower[3 * x + c] + lower[right + c];
            u[j] = chroma(sum[0], sum[1], sum[2], weight_u, 3);
            v[j] = chroma(sum[0], sum[1], sum[2], weight_v, 3);
        }
    }
}

void reel_pixels_to_bgr0(const uint8_t *rgb, int width, int height, uint8_t *to, int stride) {
    for (int i = 0; i < height; i++) {
        const uint8_t *p = rgb + (int64_t)i * width * 3;
        uint8_t *q = to + (int64_t)i * stride;
        for (int j = 0; j < width; j++, p += 3, q += 4) {
            q[0] = p[2];
            q[1] = p[1];
            q[2] = p[0];
            q[3] = 0;
        }
    }
}
