#include "media/picture.h"

#include <math.h>
#include <string.h>

static const char tag_picture[] = "picture";

reel_status reel_picture_init(reel_env *env, int width, int height, reel_picture *picture) {
    if (width < 1 || width > REEL_PICTURE_MAX_SIDE || height < 1 ||
        height > REEL_PICTURE_MAX_SIDE || (int64_t)width * height > REEL_PICTURE_MAX_PIXELS)
        return reel_fail(env, REEL_E_ARG,
                         "picture: got %dx%d, wanted sides in [1,%d] and at most %d megapixels",
                         width, height, REEL_PICTURE_MAX_SIDE, REEL_PICTURE_MAX_PIXELS >> 20);
    uint8_t *pixels = reel_calloc(env, (int64_t)width * height, 3, tag_picture);
    if (!pixels) return REEL_E_NOMEM;
    *picture = (reel_picture){pixels, width, height};
    return REEL_OK;
}

void reel_picture_deinit(reel_env *env, reel_picture *picture) {
    reel_free(env, picture->pixels);
    *picture = (reel_picture){0};
}

/* ---- resizing ---- */

/* The weights of one axis: output i is the sum over k < n_taps of weight[i * n_taps + k] times
 * input first[i] + k. */
typedef struct axis {
    int n, n_taps;
    int *first;    /* [n] */
    float *weight; /* [n, n_taps] */
} axis;

/* Catmull-Rom: the cubic convolution of Keys (1981) with a = -1/2. */
static double catmull_rom(double x) {
    x = fabs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
    return 0;
}

/* n outputs spread over [begin, begin + length) of an axis with n_in inputs. When it shrinks the
 * filter is stretched by the ratio, so that it averages instead of skipping. Taps outside the axis
 * are left out and the rest weighted up. */
static reel_status axis_init(reel_env *env, int n_in, double begin, double length, int n, axis *a) {
    const double ratio = length / n, stretch = ratio > 1 ? ratio : 1;
    int n_taps = (int)ceil(4 * stretch) + 1;
    if (n_taps > n_in) n_taps = n_in;
    *a = (axis){.n = n, .n_taps = n_taps};
    a->first = reel_alloc(env, n * (int64_t)sizeof *a->first, tag_picture);
    a->weight = reel_calloc(env, (int64_t)n * n_taps, sizeof *a->weight, tag_picture);
    if (!a->first || !a->weight) return REEL_E_NOMEM;
    for (int i = 0; i < n; i++) {
        const double center = begin + (i + 0.5) * ratio - 0.5;
        int first = (int)ceil(center - 2 * stretch);
        if (first > n_in - n_taps) first = n_in - n_taps;
        if (first < 0) first = 0;
        a->first[i] = first;
        double sum = 0;
        for (int k = 0; k < n_taps; k++)
            sum += catmull_rom((first + k - center) / stretch);
        for (int k = 0; k < n_taps; k++)
            a->weight[(int64_t)i * n_taps + k] =
                (float)(catmull_rom((first + k - center) / stretch) / sum);
    }
    return REEL_OK;
}

static void axis_deinit(reel_env *env, axis *a) {
    reel_free(env, a->first);
    reel_free(env, a->weight);
}

static uint8_t to_u8(float x) {
    if (!(x > 0)) return 0; /* NaN too */
    return x >= 254.5f ? 255 : (uint8_t)(x + 0.5f);
}

/* One source row [W,3] to one row of across->n pixels. */
static void filter_row(const axis *across, const uint8_t *from, float *to) {
    for (int i = 0; i < across->n; i++) {
        const uint8_t *p = from + 3 * (int64_t)across->first[i];
        const float *w = across->weight + (int64_t)i * across->n_taps;
        float r = 0, g = 0, b = 0;
        for (int k = 0; k < across->n_taps; k++, p += 3) {
            r += w[k] * p[0];
            g += w[k] * p[1];
            b += w[k] * p[2];
        }
        to[3 * i] = r;
        to[3 * i + 1] = g;
        to[3 * i + 2] = b;
    }
}

/* rows is a ring of down->n_taps filtered rows, source row y at y % n_taps; sum one output row. */
static void resample(const reel_picture *from, const axis *across, const axis *down, float *rows,
                     float *sum, uint8_t *to, int64_t to_stride) {
    const int64_t n = 3 * (int64_t)across->n;
    int ready = 0; /* source rows below this one are filtered or not needed any more */
    for (int i = 0; i < down->n; i++) {
        const int first = down->first[i], end = first + down->n_taps;
        for (int y = ready > first ? ready : first; y < end; y++)
            filter_row(across, from->pixels + 3 * (int64_t)y * from->width,
                       rows + y % down->n_taps * n);
        ready = end;
        memset(sum, 0, (size_t)n * sizeof *sum);
        for (int k = 0; k < down->n_taps; k++) {
            const float w = down->weight[(int64_t)i * down->n_taps + k];
            const float *row = rows + (first + k) % down->n_taps * n;
            for (int64_t j = 0; j < n; j++)
                sum[j] += w * row[j];
        }
        for (int64_t j = 0; j < n; j++)
            to[i * to_stride + j] = to_u8(sum[j]);
    }
}

/* A part of the source, in pixels and fractions of them, and of the target. */
typedef struct placing {
    double x, y, width, height;
    int to_x, to_y, to_width, to_height;
} placing;

static int rounded_side(double x, int most) {
    const int n = (int)(x + 0.5);
    return n < 1 ? 1 : n > most ? most : n;
}

static placing place(const reel_picture *from, reel_fit fit, const reel_picture *to) {
    placing p = {0, 0, from->width, from->height, 0, 0, to->width, to->height};
    const double across = (double)from->width / to->width;
    const double down = (double)from->height / to->height;
    if (fit == REEL_FIT_CROP) {
        const double scale = across < down ? across : down;
        p.width = to->width * scale;
        p.height = to->height * scale;
        p.x = (from->width - p.width) / 2;
        p.y = (from->height - p.height) / 2;
    } else if (fit == REEL_FIT_LETTERBOX) {
        const double scale = across > down ? across : down;
        p.to_width = rounded_side(from->width / scale, to->width);
        p.to_height = rounded_side(from->height / scale, to->height);
        p.to_x = (to->width - p.to_width) / 2;
        p.to_y = (to->height - p.to_height) / 2;
    }
    return p;
}

reel_status reel_picture_fit(reel_env *env, const reel_picture *from, reel_fit fit,
                             const reel_picture *to) {
    const placing p = place(from, fit, to);
    axis across = {0}, down = {0};
    float *rows = NULL;
    reel_status status = axis_init(env, from->width, p.x, p.width, p.to_width, &across);
    if (status == REEL_OK) status = axis_init(env, from->height, p.y, p.height, p.to_height, &down);
    if (status == REEL_OK) {
        const int64_t row = 3 * (int64_t)p.to_width;
        rows = reel_alloc(env, (down.n_taps + 1) * row * (int64_t)sizeof *rows, tag_picture);
        if (!rows) status = REEL_E_NOMEM;
        if (rows) {
            memset(to->pixels, 0, 3 * (size_t)to->width * (size_t)to->height);
            resample(from, &across, &down, rows, rows + down.n_taps * row,
                     to->pixels + 3 * ((int64_t)p.to_y * to->width + p.to_x),
                     3 * (int64_t)to->width);
        }
    }
    reel_free(env, rows);
    axis_deinit(env, &across);
    axis_deinit(env, &down);
    return status;
}

/* ---- f32 ---- */

void reel_picture_from_planes(const reel_planes *planes, int width, int height, uint8_t *pixels) {
    const float scale = 255.0f / (planes->white - planes->black);
    const int64_t n = (int64_t)width * height;
    for (int c = 0; c < 3; c++) {
        const float *from = planes->data + c * planes->channel_stride;
        for (int64_t i = 0; i < n; i++)
            pixels[3 * i + c] = to_u8((from[i] - planes->black) * scale);
    }
}

void reel_picture_to_planes(const uint8_t *pixels, int width, int height, float black, float white,
                            int64_t channel_stride, float *data) {
    const float step = (white - black) / 255.0f;
    const int64_t n = (int64_t)width * height;
    for (int c = 0; c < 3; c++)
        for (int64_t i = 0; i < n; i++)
            data[c * channel_stride + i] = black + step * pixels[3 * i + c];
}
