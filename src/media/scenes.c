#include "media/scenes.h"

#include <stdlib.h>
#include <string.h>

static const char tag_scenes[] = "scenes";

/* The grid is 16 by 9 cells; the histogram has 4 levels of each channel. */
enum { GRID_WIDTH = 16, GRID_HEIGHT = 9, CELLS = GRID_WIDTH * GRID_HEIGHT, BINS = 64 };

typedef struct sketch {
    float cell[CELLS]; /* mean brightness, [0,1] */
    float bin[BINS];   /* share of the pixels */
} sketch;

struct reel_scenes {
    reel_env *env;
    int width, height;
    sketch *frame; /* [room] */
    int64_t n, room;
    float *change; /* [room], of frame i to i-1 */
    int64_t *cut;  /* [room] */
};

reel_status reel_scenes_new(reel_env *env, int width, int height, reel_scenes **scenes) {
    if (width < 1 || height < 1)
        return reel_fail(env, REEL_E_ARG, "scenes: got frames of %dx%d, wanted sides of at least 1",
                         width, height);
    reel_scenes *s = reel_calloc(env, 1, sizeof *s, tag_scenes);
    if (!s) return REEL_E_NOMEM;
    s->env = env;
    s->width = width;
    s->height = height;
    *scenes = s;
    return REEL_OK;
}

void reel_scenes_free(reel_scenes **scenes) {
    if (!scenes || !*scenes) return;
    reel_scenes *s = *scenes;
    *scenes = NULL;
    reel_free(s->env, s->frame);
    reel_free(s->env, s->change);
    reel_free(s->env, s->cut);
    reel_free(s->env, s);
}

/* ---- sketches ---- */

/* Each pixel counts for the two nearest bins of each channel, so that a small change of light moves
 * a small share and not all of it. */
static void add_to_bins(const uint8_t *p, float bin[BINS]) {
    int low[3];
    float upper[3];
    for (int c = 0; c < 3; c++) {
        const float at = (float)p[c] * (3.0f / 255.0f);
        low[c] = at >= 3 ? 2 : (int)at;
        upper[c] = at - (float)low[c];
    }
    for (int k = 0; k < 8; k++) {
        float share = 1;
        int index = 0;
        for (int c = 0; c < 3; c++) {
            const int up = k >> c & 1;
            share *= up ? upper[c] : 1 - upper[c];
            index = index * 4 + low[c] + up;
        }
        bin[index] += share;
    }
}

/* Every step-th pixel of both axes: at most some 20,000 of a frame. */
static void make_sketch(const reel_scenes *s, const uint8_t *pixels, sketch *out) {
    int step = 1;
    while ((int64_t)(s->width / (step + 1)) * (s->height / (step + 1)) > 10000)
        step++;
    float weight[CELLS] = {0};
    memset(out, 0, sizeof *out);
    float n = 0;
    for (int y = 0; y < s->height; y += step)
        for (int x = 0; x < s->width; x += step) {
            const uint8_t *p = pixels + 3 * ((int64_t)y * s->width + x);
            const int64_t cell = (int64_t)y * GRID_HEIGHT / s->height * GRID_WIDTH +
                                 (int64_t)x * GRID_WIDTH / s->width;
            out->cell[cell] += (0.2126f * p[0] + 0.7152f * p[1] + 0.0722f * p[2]) / 255;
            weight[cell] += 1;
            add_to_bins(p, out->bin);
            n += 1;
        }
    for (int i = 0; i < CELLS; i++)
        out->cell[i] = weight[i] > 0 ? out->cell[i] / weight[i] : 0;
    for (int i = 0; i < BINS; i++)
        out->bin[i] /= n;
}

static float grid_change(const sketch *a, const sketch *b) {
    float sum = 0;
    for (int i = 0; i < CELLS; i++) {
        const float d = a->cell[i] - b->cell[i];
        sum += d < 0 ? -d : d;
    }
    return sum / CELLS;
}

static float bin_change(const sketch *a, const sketch *b) {
    float sum = 0;
    for (int i = 0; i < BINS; i++) {
        const float d = a->bin[i] - b->bin[i];
        sum += d < 0 ? -d : d;
    }
    return sum / 2; /* the share of the picture that has another colour */
}

/* In [0,1]. Brightness differs by a quarter between unrelated pictures, colours by a half. */
static float change_of(const sketch *a, const sketch *b) {
    return 2 * grid_change(a, b) + bin_change(a, b);
}

static reel_status grow(reel_scenes *s) {
    const int64_t room = s->room ? 2 * s->room : 64;
    sketch *frame = reel_realloc(s->env, s->frame, room * (int64_t)sizeof *frame, tag_scenes);
    if (!frame) return REEL_E_NOMEM;
    s->frame = frame;
    float *change = reel_realloc(s->env, s->change, room * (int64_t)sizeof *change, tag_scenes);
    if (!change) return REEL_E_NOMEM;
    s->change = change;
    int64_t *cut = reel_realloc(s->env, s->cut, room * (int64_t)sizeof *cut, tag_scenes);
    if (!cut) return REEL_E_NOMEM;
    s->cut = cut;
    s->room = room;
    return REEL_OK;
}

reel_status reel_scenes_push(reel_scenes *s, const uint8_t *pixels) {
    const reel_status status = s->n == s->room ? grow(s) : REEL_OK;
    if (status != REEL_OK) return status;
    make_sketch(s, pixels, &s->frame[s->n]);
    s->change[s->n] = s->n > 0 ? change_of(&s->frame[s->n - 1], &s->frame[s->n]) : 0;
    s->n++;
    return REEL_OK;
}

/* ---- cuts ---- */

/* Least change of a cut; and how many times the largest change around it. Two shots of the same
 * place differ by 0.15 and more, the fastest motion from frame to frame by less than 0.1 of grid.
 */
static const float least = 0.15f, times = 2.5f;
enum { AROUND = 4, FLASH = 3 };

/* The second largest change near i without i: another cut close by does not hide this one. */
static float usual_change(const reel_scenes *s, int64_t i) {
    float first = 0, second = 0;
    for (int64_t k = i - AROUND; k <= i + AROUND; k++) {
        if (k < 1 || k >= s->n || k == i) continue;
        const float c = s->change[k];
        if (c > first) {
            second = first;
            first = c;
        } else if (c > second) {
            second = c;
        }
    }
    return second;
}

/* What was before i is back within a few frames: lightning, a photographer. Or i is its end. */
static bool is_flash(const reel_scenes *s, int64_t i) {
    for (int64_t before = i - 1; before >= 0 && before >= i - FLASH; before--)
        for (int64_t after = i; after < s->n && after < i + FLASH; after++) {
            if (after - before < 2) continue;
            if (change_of(&s->frame[before], &s->frame[after]) < 0.5f * s->change[i]) return true;
        }
    return false;
}

static bool is_cut(const reel_scenes *s, int64_t i) {
    const float c = s->change[i];
    return c > least && c > times * usual_change(s, i) && !is_flash(s, i);
}

reel_status reel_scenes_cuts(reel_scenes *s, int64_t min_length, const int64_t **cut,
                             int64_t *n_cuts) {
    if (min_length < 1)
        return reel_fail(s->env, REEL_E_ARG, "scenes: got a least length of %lld, wanted 1 or more",
                         (long long)min_length);
    int64_t n = 0, begin = 0;
    for (int64_t i = 1; i < s->n; i++) {
        if (!is_cut(s, i) || i - begin < min_length) continue;
        s->cut[n++] = i;
        begin = i;
    }
    *cut = s->cut;
    *n_cuts = n;
    return REEL_OK;
}
