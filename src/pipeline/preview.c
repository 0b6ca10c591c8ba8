#include "pipeline/preview.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

/* Solves a x = b for three right sides by Cholesky, a [n,n] symmetric and positive, b [n,3]; both
 * are overwritten, b becomes x. */
static void solve(int64_t n, double *a, double *b) {
    for (int64_t j = 0; j < n; j++) {
        for (int64_t i = j; i < n; i++) {
            double sum = a[i * n + j];
            for (int64_t k = 0; k < j; k++)
                sum -= a[i * n + k] * a[j * n + k];
            a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
        }
    }
    for (int c = 0; c < 3; c++) {
        for (int64_t i = 0; i < n; i++) {
            for (int64_t k = 0; k < i; k++)
                b[3 * i + c] -= a[i * n + k] * b[3 * k + c];
            b[3 * i + c] /= a[i * n + i];
        }
        for (int64_t i = n - 1; i >= 0; i--) {
            for (int64_t k = i + 1; k < n; k++)
                b[3 * i + c] -= a[k * n + i] * b[3 * k + c];
            b[3 * i + c] /= a[i * n + i];
        }
    }
}

/* The normal equations over all positions: a = sum x x^T, b = sum x rgb, x = (latents, 1). */
static void sum_up(int64_t C, int64_t n, const float *latents, const float *rgb, double *a,
                   double *b, double *x) {
    const int64_t m = C + 1;
    for (int64_t p = 0; p < n; p++) {
        for (int64_t c = 0; c < C; c++)
            x[c] = (double)latents[c * n + p];
        x[C] = 1;
        for (int64_t i = 0; i < m; i++) {
            for (int64_t j = 0; j <= i; j++)
                a[i * m + j] += x[i] * x[j];
            for (int c = 0; c < 3; c++)
                b[3 * i + c] += x[i] * (double)rgb[c * n + p];
        }
    }
    for (int64_t i = 0; i < m; i++)
        a[i * m + i] += 1e-3 * (double)n; /* a ridge: samples may lie in a plane */
}

reel_status reel_preview_fit(reel_env *env, int64_t C, int64_t n, const float *latents,
                             const float *rgb, reel_preview_map *map) {
    if (C < 1 || C > REEL_PREVIEW_MAX_CHANNELS || n <= C)
        return reel_fail(env, REEL_E_ARG, "preview: %lld channels and %lld samples", (long long)C,
                         (long long)n);
    const int64_t m = C + 1;
    double *a = reel_calloc(env, m * m + 3 * m + m, sizeof *a, "preview");
    if (!a) return REEL_E_NOMEM;
    double *b = a + m * m;
    sum_up(C, n, latents, rgb, a, b, b + 3 * m);
    solve(m, a, b);
    map->n_channels = C;
    for (int64_t i = 0; i < m; i++)
        for (int c = 0; c < 3; c++)
            map->weight[c * m + i] = (float)b[3 * i + c];
    reel_free(env, a);
    return REEL_OK;
}

void reel_preview_frame(const reel_preview_map *map, const float *latents, int64_t F, int64_t h,
                        int64_t w, int64_t frame, uint8_t *pixels) {
    const int64_t C = map->n_channels;
    for (int64_t i = 0; i < h * w; i++) {
        for (int c = 0; c < 3; c++) {
            const float *weight = map->weight + c * (C + 1);
            double sum = (double)weight[C];
            for (int64_t k = 0; k < C; k++)
                sum += (double)weight[k] * (double)latents[(k * F + frame) * h * w + i];
            const double level = floor((sum + 1) * 127.5 + 0.5);
            pixels[3 * i + c] = (uint8_t)(level > 0 ? level < 255 ? level : 255 : 0);
        }
    }
}

/* Bilinear between a coarse grid of normal numbers and a fine one. The sum of squares of the
 * weights varies between 1/4 and 1 over a cell; 1.5 brings its mean to about 1. */
void reel_preview_samples(int64_t C, int64_t h, int64_t w, float *latents) {
    enum { CELL = 4 };
    const uint64_t stream = reel_rng_stream("preview samples");
    const int64_t rows = h / CELL + 2, columns = w / CELL + 2;
    for (int64_t c = 0; c < C; c++) {
        for (int64_t i = 0; i < h * w; i++) {
            const int64_t y = i / w, x = i % w;
            const float fy = (float)(y % CELL) / CELL, fx = (float)(x % CELL) / CELL;
            const int64_t at = (c * rows + y / CELL) * columns + x / CELL;
            float corner[4];
            for (int k = 0; k < 4; k++)
                corner[k] = reel_rng_normal(0, stream, (uint64_t)(at + k / 2 * columns + k % 2));
            const float top = corner[0] + fx * (corner[1] - corner[0]);
            const float bottom = corner[2] + fx * (corner[3] - corner[2]);
            latents[c * h * w + i] = 1.5f * (top + fy * (bottom - top));
        }
    }
}
