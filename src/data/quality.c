#include "data/quality.h"

#include <math.h>

enum { WINDOW = 11, MAPS = 5 }; /* maps: a, b, aa, bb, ab */

double reel_psnr(double mean_square) {
    return mean_square > 1e-10 ? -10 * log10(mean_square) : 100;
}

double reel_mean_square(const uint8_t *a, const uint8_t *b, int64_t n) {
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const int d = (int)a[i] - (int)b[i];
        sum += d * d;
    }
    return (double)sum / (255.0 * 255.0) / (double)n;
}

void reel_pixels_to_u8(const float *x, int64_t n, uint8_t *out) {
    for (int64_t i = 0; i < n; i++) {
        const float y = (x[i] + 1) * 127.5f + 0.5f;
        out[i] = (uint8_t)(y > 0 ? (y < 255 ? y : 255) : 0);
    }
}

static void window_of(double w[WINDOW]) {
    double sum = 0;
    for (int i = 0; i < WINDOW; i++) {
        const double d = i - WINDOW / 2;
        sum += w[i] = exp(-d * d / (2 * 1.5 * 1.5));
    }
    for (int i = 0; i < WINDOW; i++)
        w[i] /= sum;
}

/* The five maps of row y, filtered along it: out [MAPS][W - 10]. */
static void filter_row(const uint8_t *a, const uint8_t *b, int64_t W, int k, const double *w,
                       double *out) {
    const int64_t n = W - WINDOW + 1;
    for (int64_t x = 0; x < n; x++) {
        double s[MAPS] = {0};
        for (int i = 0; i < WINDOW; i++) {
            const double p = a[3 * (x + i) + k] / 255.0, q = b[3 * (x + i) + k] / 255.0;
            s[0] += w[i] * p;
            s[1] += w[i] * q;
            s[2] += w[i] * p * p;
            s[3] += w[i] * q * q;
            s[4] += w[i] * p * q;
        }
        for (int m = 0; m < MAPS; m++)
            out[m * n + x] = s[m];
    }
}

static double similarity(const double s[MAPS]) {
    const double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;
    const double va = s[2] - s[0] * s[0], vb = s[3] - s[1] * s[1], c = s[4] - s[0] * s[1];
    return (2 * s[0] * s[1] + c1) * (2 * c + c2) /
           ((s[0] * s[0] + s[1] * s[1] + c1) * (va + vb + c2));
}

reel_status reel_ssim(reel_env *env, const uint8_t *a, const uint8_t *b, int64_t H, int64_t W,
                      double *ssim) {
    if (H < WINDOW || W < WINDOW)
        return reel_fail(env, REEL_E_ARG, "ssim needs pictures of 11 x 11 or more, got %lld x %lld",
                         (long long)W, (long long)H);
    const int64_t n = W - WINDOW + 1;
    double w[WINDOW], sum = 0;
    window_of(w);
    double *rows = reel_calloc(env, H * MAPS * n, sizeof *rows, "ssim");
    if (!rows) return REEL_E_NOMEM;
    for (int k = 0; k < 3; k++) {
        for (int64_t y = 0; y < H; y++)
            filter_row(a + y * W * 3, b + y * W * 3, W, k, w, rows + y * MAPS * n);
        for (int64_t y = 0; y + WINDOW <= H; y++)
            for (int64_t x = 0; x < n; x++) {
                double s[MAPS] = {0};
                for (int i = 0; i < WINDOW; i++)
                    for (int m = 0; m < MAPS; m++)
                        s[m] += w[i] * rows[((y + i) * MAPS + m) * n + x];
                sum += similarity(s);
            }
    }
    reel_free(env, rows);
    *ssim = sum / (3.0 * (double)(H - WINDOW + 1) * (double)n);
    return REEL_OK;
}
