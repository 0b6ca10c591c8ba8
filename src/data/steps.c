#include "data/steps.h"

#include <math.h>
#include <stdlib.h>

double reel_step(const uint8_t *a, const uint8_t *b, int64_t bytes) {
    int64_t sum = 0;
    for (int64_t i = 0; i < bytes; i++)
        sum += abs(a[i] - b[i]);
    return (double)sum / (double)bytes;
}

/* ---- seams ---- */

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static bool is_joint(int64_t at, const int64_t *joint, int n_joints) {
    for (int i = 0; i < n_joints; i++)
        if (joint[i] == at) return true;
    return false;
}

reel_status reel_seam_measure(reel_env *env, const uint8_t *rgb, const reel_bucket *size,
                              const int64_t *joint, int n_joints, double *seam) {
    const int64_t F = size->frames, bytes = size->width * size->height * 3;
    for (int i = 0; i < n_joints; i++)
        if (joint[i] < 1 || joint[i] > F)
            return reel_fail(env, REEL_E_ARG, "a joint at frame %lld of %lld", (long long)joint[i],
                             (long long)F);
    double *inside = reel_alloc(env, F * (int64_t)sizeof *inside, "seam");
    if (!inside) return REEL_E_NOMEM;
    double most = 0;
    int64_t n = 0;
    for (int64_t f = 1; f <= F; f++) {
        const bool joined = is_joint(f, joint, n_joints);
        if (f == F && !joined) break;
        const double step = reel_step(rgb + (f - 1) * bytes, rgb + (f % F) * bytes, bytes);
        if (joined)
            most = fmax(most, step);
        else
            inside[n++] = step;
    }
    qsort(inside, (size_t)n, sizeof *inside, by_size);
    const double median = n ? inside[n / 2] : 0;
    *seam = median > 0 ? most / median : most > 0 ? (double)INFINITY : 0;
    reel_free(env, inside);
    return REEL_OK;
}

/* ---- pulses ---- */

void reel_pulse_add(reel_pulse *p, const uint8_t *rgb, const reel_bucket *size, int64_t period) {
    const int64_t bytes = size->width * size->height * 3;
    for (int64_t f = 1; f < size->frames; f++) {
        const double step = reel_step(rgb + (f - 1) * bytes, rgb + f * bytes, bytes);
        const bool first = (f - 1) % period == 0;
        *(first ? &p->onto : &p->within) += step;
        *(first ? &p->n_onto : &p->n_within) += 1;
    }
}

double reel_pulse_ratio(const reel_pulse *p) {
    if (!p->n_onto || !p->n_within || !(p->within > 0)) return 1;
    return p->onto / (double)p->n_onto / (p->within / (double)p->n_within);
}

/* ---- motion ---- */

/* The sum over 3 x 3 pixels around (x,y), not at an edge, of the differences in channel c. */
static int around(const uint8_t *a, const uint8_t *b, int64_t W, int64_t x, int64_t y, int c) {
    int sum = 0;
    for (int64_t j = y - 1; j <= y + 1; j++)
        for (int64_t i = x - 1; i <= x + 1; i++)
            sum += (int)a[3 * (j * W + i) + c] - (int)b[3 * (j * W + i) + c];
    return sum;
}

static bool differs(const uint8_t *a, const uint8_t *b, int64_t W, int64_t x, int64_t y) {
    for (int c = 0; c < 3; c++)
        if (abs(around(a, b, W, x, y, c)) > 9 * 32) return true;
    return false;
}

double reel_moved_share(const uint8_t *rgb, const reel_bucket *size) {
    const int64_t H = size->height, W = size->width;
    int64_t most = 0;
    for (int64_t f = 1; f < size->frames; f++) {
        int64_t n = 0;
        for (int64_t y = 1; y + 1 < H; y++)
            for (int64_t x = 1; x + 1 < W; x++)
                n += differs(rgb + f * H * W * 3, rgb, W, x, y);
        if (n > most) most = n;
    }
    return (double)most / (double)(H * W);
}

/* ---- parts of the picture ---- */

double reel_columns_mean_square(const uint8_t *a, const uint8_t *b, const reel_bucket *size,
                                int64_t from, int64_t to) {
    const int64_t rows = size->frames * size->height, n = (to - from) * 3;
    int64_t sum = 0;
    for (int64_t y = 0; y < rows; y++) {
        const int64_t at = (y * size->width + from) * 3;
        for (int64_t i = at; i < at + n; i++) {
            const int64_t d = (int64_t)a[i] - b[i];
            sum += d * d;
        }
    }
    return (double)sum / (double)(rows * n) / (255.0 * 255.0);
}
