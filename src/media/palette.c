#include "media/palette.h"

#include <stdlib.h>

/* Pixels whose channels agree in their upper five bits. */
typedef struct bin {
    int64_t n;
    int64_t sum[3];
    int place; /* in the cube: what keeps the order of equal ones fixed */
} bin;

typedef struct box {
    int begin, end; /* bins */
    double spread;  /* squared distances to the mean, of the axis that has most; 0: one bin */
    int axis;
} box;

static int place_of(int r, int g, int b) {
    return (r >> 3) << 10 | (g >> 3) << 5 | b >> 3;
}

static int count_bins(const uint8_t *rgb, int64_t n_pixels, bin *bins) {
    for (int64_t i = 0; i < n_pixels; i++) {
        const uint8_t *p = rgb + 3 * i;
        bin *at = &bins[place_of(p[0], p[1], p[2])];
        at->n++;
        for (int c = 0; c < 3; c++)
            at->sum[c] += p[c];
    }
    int n = 0;
    for (int place = 0; place < REEL_PALETTE_BINS; place++) {
        if (bins[place].n == 0) continue;
        const bin used = bins[place];
        bins[n] = used;
        bins[n++].place = place;
    }
    return n;
}

static void measure(const bin *bins, box *b) {
    b->spread = 0;
    b->axis = 0;
    for (int c = 0; c < 3; c++) {
        double n = 0, sum = 0, squares = 0;
        for (int i = b->begin; i < b->end; i++) {
            const double mean = (double)bins[i].sum[c] / (double)bins[i].n;
            n += (double)bins[i].n;
            sum += (double)bins[i].sum[c];
            squares += mean * (double)bins[i].sum[c];
        }
        const double spread = squares - sum * sum / n;
        if (b->end - b->begin > 1 && spread > b->spread) {
            b->spread = spread;
            b->axis = c;
        }
    }
}

static int compare(const bin *a, const bin *b, int axis) {
    const double x = (double)a->sum[axis] / (double)a->n, y = (double)b->sum[axis] / (double)b->n;
    return x < y ? -1 : x > y ? 1 : a->place - b->place;
}

static int by_red(const void *a, const void *b) {
    return compare(a, b, 0);
}
static int by_green(const void *a, const void *b) {
    return compare(a, b, 1);
}
static int by_blue(const void *a, const void *b) {
    return compare(a, b, 2);
}

/* Cuts at the mean of the axis, which leaves less error than the median does; both parts get at
 * least one bin. */
static box cut(bin *bins, box *b) {
    static int (*const order[3])(const void *, const void *) = {by_red, by_green, by_blue};
    qsort(bins + b->begin, (size_t)(b->end - b->begin), sizeof *bins, order[b->axis]);
    double n = 0, sum = 0;
    for (int i = b->begin; i < b->end; i++) {
        n += (double)bins[i].n;
        sum += (double)bins[i].sum[b->axis];
    }
    int middle = b->begin + 1;
    while (middle < b->end - 1 &&
           (double)bins[middle].sum[b->axis] * n < sum * (double)bins[middle].n)
        middle++;
    const box upper = {.begin = middle, .end = b->end};
    b->end = middle;
    return upper;
}

static void mean_color(const bin *bins, const box *b, uint8_t color[3]) {
    bin all = bins[b->begin]; /* a box has at least one */
    for (int i = b->begin + 1; i < b->end; i++) {
        all.n += bins[i].n;
        for (int c = 0; c < 3; c++)
            all.sum[c] += bins[i].sum[c];
    }
    for (int c = 0; c < 3; c++)
        color[c] = (uint8_t)((all.sum[c] + all.n / 2) / all.n);
}

static int64_t distance(const uint8_t *color, int r, int g, int b) {
    const int64_t dr = color[0] - r, dg = color[1] - g, db = color[2] - b;
    return dr * dr + dg * dg + db * db;
}

static void fill_nearest(reel_palette *palette) {
    for (int place = 0; place < REEL_PALETTE_BINS; place++) {
        const int r = (place >> 10) * 8 + 4, g = (place >> 5 & 31) * 8 + 4,
                  b = (place & 31) * 8 + 4;
        int best = 0;
        for (int i = 1; i < palette->n; i++)
            if (distance(palette->color[i], r, g, b) < distance(palette->color[best], r, g, b))
                best = i;
        palette->nearest[place] = (uint8_t)best;
    }
}

reel_status reel_palette_make(reel_env *env, const uint8_t *rgb, int64_t n_pixels,
                              reel_palette *palette) {
    bin *bins = reel_calloc(env, REEL_PALETTE_BINS, sizeof *bins, "palette");
    if (!bins) return REEL_E_NOMEM;
    box boxes[REEL_PALETTE_COLORS];
    int n = 1;
    boxes[0] = (box){.begin = 0, .end = count_bins(rgb, n_pixels, bins)};
    measure(bins, &boxes[0]);
    while (n < REEL_PALETTE_COLORS) {
        int widest = 0;
        for (int i = 1; i < n; i++)
            if (boxes[i].spread > boxes[widest].spread) widest = i;
        if (boxes[widest].spread <= 0) break;
        boxes[n] = cut(bins, &boxes[widest]);
        measure(bins, &boxes[widest]);
        measure(bins, &boxes[n++]);
    }
    for (int i = 0; i < n; i++)
        mean_color(bins, &boxes[i], palette->color[i]);
    palette->n = n;
    fill_nearest(palette);
    reel_free(env, bins);
    return REEL_OK;
}

static int clamped(int x) {
    return x < 0 ? 0 : x > 255 ? 255 : x;
}

/* The 8x8 matrix of Bayer (1973) at (x,y), in [0,63]: bits of y and of x xor y, interleaved. */
static int bayer(int x, int y) {
    int value = 0;
    for (int bit = 0; bit < 3; bit++) {
        value = value << 2 | ((x ^ y) >> bit & 1) << 1 | (y >> bit & 1);
    }
    return value;
}

double reel_palette_apply(const reel_palette *palette, const uint8_t *rgb, int width, int height,
                          uint8_t *index, int stride) {
    int shift[8][8]; /* [-8,7], about half the distance between neighbours in a palette of 255 */
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++)
            shift[y][x] = bayer(x, y) / 4 - 8;
    int64_t error = 0;
    for (int y = 0; y < height; y++) {
        const uint8_t *p = rgb + 3 * (int64_t)y * width;
        for (int x = 0; x < width; x++, p += 3) {
            const int d = shift[y & 7][x & 7];
            index[(int64_t)y * stride + x] =
                palette->nearest[place_of(clamped(p[0] + d), clamped(p[1] + d), clamped(p[2] + d))];
            const int plain = palette->nearest[place_of(p[0], p[1], p[2])];
            error += distance(palette->color[plain], p[0], p[1], p[2]);
        }
    }
    return (double)error / (3.0 * width * height);
}
