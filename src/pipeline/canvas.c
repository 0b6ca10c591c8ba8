#include "pipeline/canvas.h"

#include <string.h>

static const char tag_canvas[] = "canvas";

reel_status reel_canvas_init(reel_env *env, int64_t C, int64_t F, int64_t h, int64_t w,
                             reel_canvas *canvas) {
    const int64_t size[] = {C, F, h, w};
    const int64_t most = (int64_t)1 << 40;
    int64_t n = 1;
    for (int i = 0; i < 4; i++) {
        if (size[i] < 1 || size[i] > most / n)
            return reel_fail(env, REEL_E_ARG,
                             "canvas [%lld,%lld,%lld,%lld]: each size must be at least 1, their "
                             "product below 2^40",
                             (long long)C, (long long)F, (long long)h, (long long)w);
        n *= size[i];
    }
    *canvas = (reel_canvas){.env = env, .C = C, .F = F, .h = h, .w = w};
    return REEL_OK;
}

void reel_canvas_deinit(reel_canvas *canvas) {
    if (!canvas->env) return;
    reel_free(canvas->env, canvas->known);
    reel_free(canvas->env, canvas->level);
    *canvas = (reel_canvas){0};
}

int64_t reel_canvas_elements(const reel_canvas *c) {
    return c->C * reel_canvas_positions(c);
}
int64_t reel_canvas_positions(const reel_canvas *c) {
    return c->F * c->h * c->w;
}

static reel_status check_frames(const reel_canvas *c, int64_t at, int64_t n) {
    if (n >= 1 && at >= 0 && at <= c->F - n) return REEL_OK;
    return reel_fail(c->env, REEL_E_ARG,
                     "canvas: latent frames %lld..%lld do not lie inside its %lld", (long long)at,
                     (long long)((uint64_t)at + (uint64_t)n - 1), (long long)c->F);
}

/* Gives memory to levels and latents, at the first thing that is known. */
static reel_status make_room(reel_canvas *c) {
    if (c->known) return REEL_OK;
    const int64_t positions = reel_canvas_positions(c);
    float *level = reel_alloc(c->env, positions * (int64_t)sizeof *level, tag_canvas);
    if (!level) return REEL_E_NOMEM;
    c->known = reel_calloc(c->env, reel_canvas_elements(c), sizeof *c->known, tag_canvas);
    if (!c->known) {
        reel_free(c->env, level);
        return REEL_E_NOMEM;
    }
    for (int64_t i = 0; i < positions; i++)
        level[i] = 1;
    c->level = level;
    return REEL_OK;
}

reel_status reel_canvas_put(reel_canvas *c, int64_t at, int64_t n, const float *latents,
                            double level) {
    reel_status status = check_frames(c, at, n);
    if (status != REEL_OK) return status;
    if (!(level >= 0 && level <= 1))
        return reel_fail(c->env, REEL_E_ARG, "canvas: a level must be in 0..1, got %g", level);
    status = make_room(c);
    if (status != REEL_OK) return status;
    const int64_t frame = c->h * c->w;
    for (int64_t k = 0; k < c->C; k++)
        memcpy(c->known + (k * c->F + at) * frame, latents + k * n * frame,
               (size_t)(n * frame) * sizeof *latents);
    for (int64_t i = at * frame; i < (at + n) * frame; i++)
        c->level[i] = (float)level;
    return REEL_OK;
}

reel_status reel_canvas_mask(reel_canvas *c, int64_t at, int64_t n, const float *mask) {
    const reel_status status = check_frames(c, at, n);
    if (status != REEL_OK) return status;
    const int64_t frame = c->h * c->w;
    for (int64_t i = 0; i < n * frame; i++) {
        if (!(mask[i] >= 0 && mask[i] <= 1))
            return reel_fail(c->env, REEL_E_ARG, "canvas: a mask must be in 0..1, got %g",
                             (double)mask[i]);
        if (mask[i] < 1 && !c->known)
            return reel_fail(c->env, REEL_E_ARG, "canvas: masked, but nothing is known");
    }
    if (c->known) memcpy(c->level + at * frame, mask, (size_t)(n * frame) * sizeof *mask);
    return REEL_OK;
}

/* The end of a patch that begins at i, within n. */
static int64_t patch_end(int64_t i, int64_t patch, int64_t n) {
    return i + patch < n ? i + patch : n;
}

/* One patch: its highest level to all of it. at: its first frame, row, column; end: behind them. */
static void level_patch(reel_canvas *c, const int64_t at[3], const int64_t end[3]) {
    float most = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t f = at[0]; f < end[0]; f++)
            for (int64_t y = at[1]; y < end[1]; y++)
                for (int64_t x = at[2]; x < end[2]; x++) {
                    float *level = &c->level[(f * c->h + y) * c->w + x];
                    if (pass)
                        *level = most;
                    else if (*level > most)
                        most = *level;
                }
}

void reel_canvas_align(reel_canvas *c, const int64_t patch[3]) {
    if (!c->level) return;
    int64_t at[3];
    for (at[0] = 0; at[0] < c->F; at[0] += patch[0])
        for (at[1] = 0; at[1] < c->h; at[1] += patch[1])
            for (at[2] = 0; at[2] < c->w; at[2] += patch[2]) {
                const int64_t end[3] = {patch_end(at[0], patch[0], c->F),
                                        patch_end(at[1], patch[1], c->h),
                                        patch_end(at[2], patch[2], c->w)};
                level_patch(c, at, end);
            }
}

bool reel_canvas_is_noise(const reel_canvas *c) {
    for (int64_t i = 0; c->level && i < reel_canvas_positions(c); i++)
        if (c->level[i] < 1) return false;
    return true;
}
