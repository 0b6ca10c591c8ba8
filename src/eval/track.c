#include "eval/track.h"

#include <limits.h>
#include <math.h>
#include <string.h>

static const char tag[] = "track";
enum {
    MOST_FRAMES = 4096,
    DIFFERS = 77,     /* |x - background| summed over the channels, of 765: 0.3 of a channel */
    LEAST_AREA = 500, /* 1 / 500 of the picture */
    SMALL = 4,        /* a quarter of the largest piece */
};

/* ---- background ---- */

static int apart(const uint8_t *a, const uint8_t *b) {
    int sum = 0;
    for (int k = 0; k < 3; k++)
        sum += a[k] > b[k] ? a[k] - b[k] : b[k] - a[k];
    return sum;
}

static uint8_t median(uint8_t *x, int64_t n) {
    for (int64_t i = 1; i < n; i++) {
        const uint8_t v = x[i];
        int64_t k = i;
        for (; k > 0 && x[k - 1] > v; k--)
            x[k] = x[k - 1];
        x[k] = v;
    }
    return x[n / 2];
}

/* The median over frames [first, end); n values a frame. */
static void make_median(const uint8_t *rgb, int64_t first, int64_t end, int64_t n, uint8_t *out) {
    uint8_t column[MOST_FRAMES];
    for (int64_t i = 0; i < n; i++) {
        for (int64_t f = first; f < end; f++)
            column[f - first] = rgb[f * n + i];
        out[i] = median(column, end - first);
    }
}

/* How near a color comes to the nearest one of a row where early and late agree. */
static int nearest(const uint8_t *color, const uint8_t *early, const uint8_t *late, int64_t W) {
    int least = INT_MAX;
    for (int64_t x = 0; x < W; x++) {
        if (apart(early + 3 * x, late + 3 * x) > DIFFERS / 2) continue;
        const int d = apart(color, early + 3 * x);
        if (d < least) least = d;
    }
    return least;
}

/* The background from the medians of the first and of the last third, over early. A thing may stand
 * where it starts for most of the one and where it ends for most of the other, as what falls does,
 * and its shadow with it: where the two differ, what looks more like the rest of its row, which is
 * as far away, is the background. */
static void merge(const uint8_t *late, int64_t H, int64_t W, uint8_t *early, uint8_t *row) {
    for (int64_t y = 0; y < H; y++) {
        uint8_t *a = early + y * W * 3;
        const uint8_t *b = late + y * W * 3;
        memcpy(row, a, (size_t)(W * 3));
        for (int64_t x = 0; x < W; x++)
            if (apart(row + 3 * x, b + 3 * x) > DIFFERS / 2 &&
                nearest(b + 3 * x, row, b, W) < nearest(row + 3 * x, row, b, W))
                memcpy(a + 3 * x, b + 3 * x, 3);
    }
}

/* ---- the pieces that differ ---- */

typedef struct picture {
    int64_t H, W;
    const uint8_t *rgb, *background;
    uint8_t *mask;  /* [H,W]: 1 differs, 2 already in a piece */
    int32_t *stack; /* [H W] */
} picture;

static void mark(const picture *p) {
    for (int64_t i = 0; i < p->H * p->W; i++)
        p->mask[i] = apart(p->rgb + 3 * i, p->background + 3 * i) > DIFFERS;
}

/* The piece that position `at` belongs to; sums, not yet means. */
static reel_track_point gather(const picture *p, int32_t at, int64_t *n) {
    reel_track_point sum = {.seen = true};
    int64_t top = 0;
    *n = 0;
    p->stack[top++] = at;
    p->mask[at] = 2;
    while (top > 0) {
        const int32_t i = p->stack[--top];
        const int64_t y = i / p->W, x = i % p->W;
        sum.x += (double)x;
        sum.y += (double)y;
        for (int k = 0; k < 3; k++)
            sum.rgb[k] += (double)p->rgb[3 * i + k] / 255;
        if (x == 0 || y == 0 || x == p->W - 1 || y == p->H - 1) sum.cut = true;
        const int64_t next[4] = {x > 0 ? i - 1 : -1, x + 1 < p->W ? i + 1 : -1,
                                 y > 0 ? i - p->W : -1, y + 1 < p->H ? i + p->W : -1};
        for (int k = 0; k < 4; k++)
            if (next[k] >= 0 && p->mask[next[k]] == 1) {
                p->mask[next[k]] = 2;
                p->stack[top++] = (int32_t)next[k];
            }
        (*n)++;
    }
    return sum;
}

/* The topmost piece that is not small beside the largest one: a thing stands above its shadow. */
static reel_track_point topmost(const picture *p) {
    reel_track_point best = {0};
    int64_t most = p->H * p->W / LEAST_AREA, best_n = 1, n;
    for (int round = 0; round < 2; round++) { /* the first finds the largest */
        mark(p);
        for (int32_t i = 0; i < p->H * p->W; i++) {
            if (p->mask[i] != 1) continue;
            const reel_track_point sum = gather(p, i, &n);
            if (round == 0 && n > most) most = n;
            const double y = sum.y / (double)n;
            if (round == 0 || n * SMALL < most || n < p->H * p->W / LEAST_AREA) continue;
            if (best.seen && y >= best.y / (double)best_n) continue;
            best = sum;
            best_n = n;
        }
    }
    best.x /= (double)best_n;
    best.y /= (double)best_n;
    best.area = best.seen ? (double)best_n / (double)(p->H * p->W) : 0;
    for (int k = 0; k < 3; k++)
        best.rgb[k] /= (double)best_n;
    return best;
}

reel_status reel_track(reel_env *env, const uint8_t *rgb, int64_t F, int64_t H, int64_t W,
                       reel_track_point *point) {
    if (F < 3 || F > MOST_FRAMES)
        return reel_fail(env, REEL_E_ARG, "following needs 3 to %d frames, got %lld", MOST_FRAMES,
                         (long long)F);
    const int64_t n = H * W * 3;
    uint8_t *background = reel_alloc(env, 2 * n + W * 3, tag);
    picture p = {.H = H,
                 .W = W,
                 .background = background,
                 .mask = reel_alloc(env, H * W, tag),
                 .stack = reel_alloc(env, H * W * (int64_t)sizeof(int32_t), tag)};
    const bool room = background && p.mask && p.stack;
    if (room) {
        make_median(rgb, 0, F / 3, n, background);
        make_median(rgb, F - F / 3, F, n, background + n);
        merge(background + n, H, W, background, background + 2 * n);
    }
    for (int64_t f = 0; room && f < F; f++) {
        p.rgb = rgb + f * n;
        point[f] = topmost(&p);
    }
    reel_free(env, background);
    reel_free(env, p.mask);
    reel_free(env, p.stack);
    return room ? REEL_OK : REEL_E_NOMEM;
}

/* ---- fits ---- */

/* Solves m c = r, m symmetric and positive: elimination without pivots. */
static void solve3(double m[3][3], double r[3], double c[3]) {
    for (int k = 0; k < 3; k++)
        for (int i = k + 1; i < 3; i++) {
            const double f = m[i][k] / m[k][k];
            for (int j = k; j < 3; j++)
                m[i][j] -= f * m[k][j];
            r[i] -= f * r[k];
        }
    for (int k = 2; k >= 0; k--) {
        c[k] = r[k];
        for (int j = k + 1; j < 3; j++)
            c[k] -= m[k][j] * c[j];
        c[k] /= m[k][k];
    }
}

double reel_fit_acceleration(const double *t, const double *y, int64_t n, double c[3]) {
    double m[3][3] = {{0}}, r[3] = {0}, mean = 0, rest = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        const double p[3] = {1, t[i], t[i] * t[i]};
        for (int a = 0; a < 3; a++) {
            for (int b = 0; b < 3; b++)
                m[a][b] += p[a] * p[b];
            r[a] += p[a] * y[i];
        }
        mean += y[i] / (double)n;
    }
    solve3(m, r, c);
    for (int64_t i = 0; i < n; i++) {
        const double e = y[i] - (c[0] + c[1] * t[i] + c[2] * t[i] * t[i]);
        rest += e * e;
        all += (y[i] - mean) * (y[i] - mean);
    }
    return all > 0 ? 1 - rest / all : 1;
}

/* ---- falling ---- */

static bool whole(const reel_track_point *p) {
    return p->seen && !p->cut;
}

/* Pixels that a centroid may be off by; sideways steps by which it is known to have taken in its
 * shadow, or to be something else. */
static const double noise = 0.6, aside = 3;

/* The frames [*first, *end) of free fall: from the first whole one until it stops speeding down:
 * the step that is less than half of the greatest one before ends at the impact. */
static void find_fall(const reel_track_point *p, int64_t F, int64_t *first, int64_t *end) {
    int64_t i = 0;
    while (i < F && !whole(&p[i]))
        i++;
    *first = i;
    double step = 0;
    while (i + 1 < F && whole(&p[i + 1])) {
        const double next = p[i + 1].y - p[i].y;
        if (next < 0.5 * step - noise || fabs(p[i + 1].x - p[i].x) > aside) break;
        step = fmax(step, next);
        i++;
    }
    *end = i < F ? i + 1 : F;
}

bool reel_track_falls(const reel_track_point *p, int64_t F, int64_t H, double least_r2,
                      double *r2) {
    enum { LEAST_FRAMES = 5 };
    double t[MOST_FRAMES], y[MOST_FRAMES], c[3];
    int64_t first, end;
    find_fall(p, F, &first, &end);
    if (r2) *r2 = 0;
    if (end - first < LEAST_FRAMES || p[end - 1].y - p[first].y < 0.1 * (double)H) return false;
    for (int64_t i = first; i < end; i++) {
        t[i - first] = (double)(i - first);
        y[i - first] = p[i].y;
    }
    const double fit = reel_fit_acceleration(t, y, end - first, c);
    if (r2) *r2 = fit;
    return fit >= least_r2 && c[2] > 0;
}

/* ---- coming back ---- */

/* The frame of [first, end) where most of the thing is seen, -1 when it is not. */
static int64_t best_seen(const reel_track_point *p, int64_t first, int64_t end) {
    int64_t best = -1;
    for (int64_t i = first; i < end; i++)
        if (whole(&p[i]) && (best < 0 || p[i].area > p[best].area)) best = i;
    return best;
}

bool reel_track_comes_back(const reel_track_point *p, int64_t F, int64_t W, double most) {
    const int64_t a = best_seen(p, 0, F / 3), b = best_seen(p, F - F / 3, F);
    if (a < 0 || b < 0 || fabs(p[a].x - p[b].x) < 0.15 * (double)W) return false;
    double of_a = 1e-9, of_b = 1e-9, sum = 0;
    for (int k = 0; k < 3; k++) {
        of_a += p[a].rgb[k];
        of_b += p[b].rgb[k];
    }
    for (int k = 0; k < 3; k++)
        sum += pow(p[a].rgb[k] / of_a - p[b].rgb[k] / of_b, 2);
    return sqrt(sum) <= most;
}
