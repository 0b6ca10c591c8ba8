/* norm over axis 1 of a grid [B,C,...]: neighbouring positions are the lanes of a vector.
 *
 * A tile is all C channels of up to TILE_POSITIONS neighbouring positions: rows of memory that lie
 * a whole grid apart, read twice (the second time from L2). Part of norm.c, which includes it.
 */
#ifndef REEL_CPU_SIMD_NORM_GRID_H
#define REEL_CPU_SIMD_NORM_GRID_H

#include "cpu/simd/norm_row.h"
#include "ops/ops.h"

enum { TILE_POSITIONS = 1024, TILE_ELEMENTS = 1 << 16, TILE_LEAST = 128 };

/* Groups are the outer blocks, rows are positions, blocks are tiles. */
VEC_INLINE norm_blocks grid_blocks(reel_norm_size n) {
    int64_t width = n.C > 0 ? TILE_ELEMENTS / n.C / TILE_LEAST * TILE_LEAST : TILE_LEAST;
    if (width < TILE_LEAST) width = TILE_LEAST;
    if (width > TILE_POSITIONS) width = TILE_POSITIONS;
    return (norm_blocks){n.n_outer, n.inner, (n.inner + width - 1) / width, width};
}

/* What the positions of a tile need. Sums first, statistics then, in the same memory. */
typedef struct grid_tile {
    float origin[TILE_POSITIONS]; /* of layer norms: the mean, as well as one pass gives it */
    float offset[TILE_POSITIONS]; /* of layer norms: sum of d, then xhat = d r + offset */
    float r[TILE_POSITIONS];      /* sum of d^2, then r */
    float g[TILE_POSITIONS];      /* sum of g, then -r mean(g) */
    float gd[TILE_POSITIONS];     /* sum of g d, then -r mean(g xhat) */
} grid_tile;

typedef struct grid_job {
    const reel_call *c;
    const reel_tensor *x, *dy;
    const float *a, *s; /* [C] */
    float *partial;     /* [tiles, 2, C] or NULL */
    reel_norm_size size;
    norm_blocks blocks;
    bool streams;
} grid_job;

VEC_INLINE void grid_add(float *sum, int64_t i, vf x, int n) {
    norm_store(sum, i, false, norm_load(sum, i, false, n) + x, n);
}

/* xhat of the vector at element `at` of memory and i of the tile. */
VEC_INLINE vf grid_xhat(const grid_job *job, const grid_tile *tile, int64_t at, int64_t i,
                        bool layer, bool bf16, int n) {
    const vf x = norm_load(job->x->data, at, bf16, n), r = norm_load(tile->r, i, false, n);
    if (!layer) return x * r;
    return (x - norm_load(tile->origin, i, false, n)) * r + norm_load(tile->offset, i, false, n);
}

/* The mean of each position, in f32: good enough for an origin. */
VEC_INLINE void grid_means(const grid_job *job, grid_tile *tile, int64_t at, int64_t width,
                           bool bf16) {
    memset(tile->origin, 0, (size_t)width * sizeof(float));
#define STEP(i, n)                                                                                 \
    grid_add(tile->origin, i, norm_load(job->x->data, at + k * job->size.inner + (i), bf16, n), n)
    for (int64_t k = 0; k < job->size.C; k++)
        NORM_FOR_VECTORS(width, STEP);
#undef STEP
#define STEP(i, n)                                                                                 \
    norm_store(tile->origin, i, false, norm_load(tile->origin, i, false, n) / (float)job->size.C, n)
    NORM_FOR_VECTORS(width, STEP);
#undef STEP
}

/* Sums of d^2 and, with dy, of g and g d over the channels of each position; for a layer norm also
 * of d, which corrects the mean. */
VEC_INLINE void grid_sums(const grid_job *job, grid_tile *tile, int64_t at, int64_t width,
                          bool layer, const bool bf16[3]) {
    const bool backward = job->dy != NULL;
    memset(tile->r, 0, (size_t)width * sizeof(float));
    memset(tile->offset, 0, (size_t)width * sizeof(float));
    if (backward) memset(tile->g, 0, (size_t)width * sizeof(float));
    if (backward) memset(tile->gd, 0, (size_t)width * sizeof(float));
#define STEP(i, n)                                                                                 \
    do {                                                                                           \
        vec_prefetch(job->x->data, row + job->size.inner + (i), bf16[0]);                          \
        if (backward) vec_prefetch(job->dy->data, row + job->size.inner + (i), bf16[1]);           \
        vf d_ = norm_load(job->x->data, row + (i), bf16[0], n);                                    \
        if (layer) d_ -= norm_load(tile->origin, i, false, n);                                     \
        if (layer) grid_add(tile->offset, i, d_, n);                                               \
        grid_add(tile->r, i, d_ *d_, n);                                                           \
        if (backward) {                                                                            \
            const vf g_ = norm_load(job->dy->data, row + (i), bf16[1], n) * a;                     \
            if (layer) grid_add(tile->g, i, g_, n);                                                \
            grid_add(tile->gd, i, g_ *d_, n);                                                      \
        }                                                                                          \
    } while (0)
    for (int64_t k = 0; k < job->size.C; k++) {
        const int64_t row = at + k * job->size.inner;
        const float a = job->a[k];
        NORM_FOR_VECTORS(width, STEP);
    }
#undef STEP
}

/* Sums become statistics, position by position. */
VEC_INLINE void grid_statistics(const grid_job *job, grid_tile *tile, int64_t width,
                                reel_norm_kind kind) {
    const reel_norm_attr *attr = job->c->attr;
    const float C = (float)job->size.C;
    for (int64_t i = 0; i < width; i++) {
        const float delta = tile->offset[i] / C;
        float r, slope = 1;
        if (kind == REEL_NORM_L2) {
            const float length = sqrtf(tile->r[i]);
            const bool clamped = length < attr->eps;
            r = sqrtf(C) / (clamped ? attr->eps : length);
            slope = clamped ? 0 : 1;
        } else {
            const float variance = tile->r[i] / C - delta * delta;
            r = 1 / sqrtf((variance < 0 ? 0 : variance) + attr->eps);
        }
        tile->offset[i] = -delta * r;
        tile->r[i] = r;
        if (!job->dy) continue;
        tile->gd[i] = -r * slope * r * (tile->gd[i] - delta * tile->g[i]) / C;
        tile->g[i] = -r * tile->g[i] / C;
    }
}

VEC_INLINE void grid_prepare(const grid_job *job, grid_tile *tile, int64_t at, int64_t width,
                             reel_norm_kind kind, const bool bf16[3]) {
    const bool layer = kind == REEL_NORM_LAYER;
    if (layer) grid_means(job, tile, at, width, bf16[0]);
    grid_sums(job, tile, at, width, layer, bf16);
    grid_statistics(job, tile, width, kind);
}

/* ---- forward: y = (x - mean) r a + s ---- */

VEC_INLINE void grid_forward(const grid_job *job, int64_t index, reel_norm_kind kind,
                             const bool bf16[3]) {
    grid_tile tile;
    int64_t from, to;
    const int64_t group = norm_blocks_range(job->blocks, index, &from, &to), width = to - from;
    const int64_t at = group * job->size.C * job->size.inner + from - group * job->size.inner;
    const bool layer = kind == REEL_NORM_LAYER;
    grid_prepare(job, &tile, at, width, kind, bf16);
#define STEP(i, n)                                                                                 \
    norm_put(job->c->out[0].data, row + (i), bf16[2], job->streams,                                \
             grid_xhat(job, &tile, row + (i), i, layer, bf16[0], n) * a + s, n)
    for (int64_t k = 0; k < job->size.C; k++) {
        const int64_t row = at + k * job->size.inner;
        const float a = job->a[k], s = job->s[k];
        NORM_FOR_VECTORS(width, STEP);
    }
#undef STEP
    if (job->streams) vec_stream_end();
}

static void grid_forward_task(void *context, int64_t index, int lane) {
    const grid_job *job = context;
    (void)lane;
    const reel_norm_attr *attr = job->c->attr;
    const bool x = job->x->dtype == REEL_BF16, y = job->c->out[0].dtype == REEL_BF16;
    if (attr->kind == REEL_NORM_L2 && !x && !y)
        grid_forward(job, index, REEL_NORM_L2, (const bool[3]){false, false, false});
    else if (attr->kind == REEL_NORM_L2 && x && y)
        grid_forward(job, index, REEL_NORM_L2, (const bool[3]){true, false, true});
    else
        grid_forward(job, index, (reel_norm_kind)attr->kind, (const bool[3]){x, false, y});
}

static float *grid_weights(const reel_call *c, const reel_tensor *w, const reel_tensor *b,
                           int64_t C) {
    float *a = c->scratch;
    norm_widen(a, w->data, 0, C, w->dtype == REEL_BF16, w->data ? 0 : 1);
    norm_widen(a + C, b->data, 0, C, b->dtype == REEL_BF16, 0);
    return a;
}

static void grid_run(const reel_call *c) {
    const reel_norm_size n = reel_norm_size_of(&c->in[0].shape, true);
    const float *a = grid_weights(c, &c->in[1], &c->in[2], n.C);
    grid_job job = {.c = c,
                    .x = &c->in[0],
                    .a = a,
                    .s = a + n.C,
                    .size = n,
                    .blocks = grid_blocks(n),
                    .streams = norm_streams(&c->out[0], n.inner)};
    reel_parallel_for(c->threads, norm_blocks_count(job.blocks), grid_forward_task, &job);
}

/* ---- gradient: dx = r g - r mean(g) - xhat r mean(g xhat) ---- */

/* Channel k of the tile: dx, and what the channel adds to dw (sums[k]) and db (sums[C + k]). */
VEC_INLINE void grid_channel(const grid_job *job, const grid_tile *tile, int64_t k, int64_t row,
                             int64_t width, bool layer, const bool bf16[3], float *sums) {
    vf w_sum = {0}, b_sum = {0};
    const float a = job->a[k];
    void *dx = job->c->out[0].data;
#define STEP(i, n)                                                                                 \
    do {                                                                                           \
        const vf xhat_ = grid_xhat(job, tile, row + (i), i, layer, bf16[0], n);                    \
        const vf dy_ = norm_load(job->dy->data, row + (i), bf16[1], n);                            \
        w_sum += dy_ * xhat_;                                                                      \
        b_sum += dy_;                                                                              \
        if (dx)                                                                                    \
            norm_put(                                                                              \
                dx, row + (i), bf16[2], job->streams,                                              \
                dy_ * a * norm_load(tile->r, i, false, n) +                                        \
                    (xhat_ * norm_load(tile->gd, i, false, n) + norm_load(tile->g, i, false, n)),  \
                n);                                                                                \
    } while (0)
    NORM_FOR_VECTORS(width, STEP);
#undef STEP
    if (!sums) return;
    sums[k] = vf_sum(w_sum);
    sums[job->size.C + k] = vf_sum(b_sum);
}

VEC_INLINE void grid_backward(const grid_job *job, int64_t index, reel_norm_kind kind,
                              const bool bf16[3]) {
    grid_tile tile;
    int64_t from, to;
    const int64_t group = norm_blocks_range(job->blocks, index, &from, &to), width = to - from;
    const int64_t at = group * job->size.C * job->size.inner + from - group * job->size.inner;
    grid_prepare(job, &tile, at, width, kind, bf16);
    float *sums = job->partial ? job->partial + index * 2 * job->size.C : NULL;
    for (int64_t k = 0; k < job->size.C; k++)
        grid_channel(job, &tile, k, at + k * job->size.inner, width, kind == REEL_NORM_LAYER, bf16,
                     sums);
    if (job->streams) vec_stream_end();
}

static void grid_backward_task(void *context, int64_t index, int lane) {
    const grid_job *job = context;
    const reel_norm_attr *attr = job->c->attr;
    (void)lane;
    const bool bf16[3] = {job->x->dtype == REEL_BF16, job->dy->dtype == REEL_BF16,
                          job->c->out[0].dtype == REEL_BF16};
    if (attr->kind == REEL_NORM_L2 && !bf16[0] && !bf16[1] && !bf16[2])
        grid_backward(job, index, REEL_NORM_L2, (const bool[3]){false, false, false});
    else
        grid_backward(job, index, (reel_norm_kind)attr->kind, bf16);
}

static void grid_backward_run(const reel_call *c) {
    const reel_norm_size n = reel_norm_size_of(&c->in[1].shape, true);
    const reel_tensor none = {0};
    float *a = grid_weights(c, &c->in[2], &none, n.C);
    const bool sums = (c->present[2] && c->out[1].data) || (c->present[3] && c->out[2].data);
    grid_job job = {.c = c,
                    .x = &c->in[1],
                    .dy = &c->in[0],
                    .a = a,
                    .partial = sums ? a + 2 * n.C : NULL,
                    .size = n,
                    .blocks = grid_blocks(n),
                    .streams = norm_streams(&c->out[0], n.inner)};
    reel_parallel_for(c->threads, norm_blocks_count(job.blocks), grid_backward_task, &job);
    /* the tiles of all outer blocks are one group of blocks to sum over */
    const norm_blocks all = {.n_groups = 1, .blocks_a_group = norm_blocks_count(job.blocks)};
    for (int i = 1; i < 3; i++) {
        if (!c->present[i + 1] || !c->out[i].data) continue;
        norm_totals t = {job.partial, c->out[i].data, 2 * n.C, (i - 1) * n.C, n.C, all};
        reel_parallel_for(c->threads, norm_totals_tasks(&t), norm_totals_task, &t);
    }
}

#endif
