/* conv3d's gradient by w and b: dw[o, run] = sum over pixels of dy[pixel, o] times the run there.
 *
 * x is gathered as for the forward pass, so that the run of a pixel lies side by side. bf16 runs
 * are stored as pairs, an element with the one of the next pixel, since products sum over pixels;
 * dy is stored likewise, for tiles turned so that a tile's row is one output. Sums go on through
 * all slabs in one place of the scratch, always in the same order, and become dw at the end.
 *
 * Where the runs of all kernel rows fit into one register block (three channels), they are one run.
 *
 * Letters: R elements of a run Kw Cp; P pixels a slab's products sum over, for one kernel frame.
 */
#include "cpu/simd/conv.h"

#include "ops/ops.h"

enum {
    SLAB_PIXELS = 2048, /* a slab of x and dy of 64 channels fits the second-level cache */
    SLAB_FRAMES = 8,
    ALIGN = 64,
    RUN_UNIT = 2 * VF_N, /* columns of a register block; of two tiles */
    OUTPUT_GROUP = 96,   /* outputs of a piece: a multiple of rows and tiles */
};

typedef struct dw_job {
    conv_job x, dy;       /* for gathering rows of either */
    int64_t stride;       /* in time */
    int64_t outputs, run; /* O and R rounded up, as the sums are stored */
    int64_t merged;       /* kernel rows that make one run, or 1 */
    int64_t unit;         /* pixels an element of the slabs holds: 1, or 2 as a pair */
    int64_t columns;      /* pixels of a row of dy as stored: W, or the slab's width */
    int64_t dy_frame;     /* of the stored dy: elements of a frame on tiles, else pixels */
    int64_t dy_pixels;    /* pixels of all frames */
    int64_t chunks;       /* tiles: 32 pixels each, of a frame */
    float *sums;          /* [Kt][Kh][outputs][run] */
    char *x_slab, *dy_slab, *dy_flat, *lane; /* dy_flat: tiles, dy before it is turned */
    int64_t lane_bytes, tail_bytes;
    /* The slab at hand. */
    int64_t b, frame, frames, row, rows, first;
} dw_job;

/* The largest of as few and as even parts of n as can be had with at most `most` in each. */
static int64_t even_part(int64_t n, int64_t most) {
    if (most < 1) most = 1;
    const int64_t parts = (n + most - 1) / most;
    return parts < 2 ? n : (n + parts - 1) / parts;
}

static void describe(dw_job *d, const reel_call *c) {
    *d = (dw_job){0};
    conv_job *x = &d->x, *dy = &d->dy;
    const reel_conv3d_grad_attr *a = c->attr;
    const bool bf16 = c->in[0].dtype == REEL_BF16 && c->in[1].dtype == REEL_BF16;
    x->call = c;
    x->attr = &a->conv;
    x->n = reel_conv3d_size_of(c);
    x->kind = !bf16 || REEL_ISA_LEVEL < 3 ? CONV_F32 : REEL_ISA_LEVEL < 4 ? CONV_BF16 : CONV_TILES;
    const reel_conv3d_size *n = &x->n;
    *dy = *x;
    x->C = x->Cp = n->C;
    dy->C = dy->Cp = n->O;
    d->stride = a->conv.stride[0];
    for (int i = 0; i < 2; i++) {
        x->in[i] = n->in[i + 1];
        x->pad[i] = a->conv.pad_lo[i + 1];
        x->step[i] = a->conv.stride[i + 1];
        x->out[i] = dy->in[i] = n->out[i + 1];
        x->dilate[i] = dy->dilate[i] = 1;
    }
    x->width = (n->out[2] - 1) * x->step[1] + n->kernel[2];
    x->pitch = x->width * x->Cp;
    dy->width = n->out[2];
    const int64_t cache[3] = {n->n_cache, n->in[1], n->in[2]};
    x->n_source[0] = n->n_cache > 0 ? n->n_cache : 0;
    if (n->n_cache > 0) x->source[0] = conv_grid_of(&c->in[2], a->conv.layout, n->C, cache);
    x->source[1] = conv_grid_of(&c->in[1], a->conv.layout, n->C, n->in);
    dy->source[1] = conv_grid_of(&c->in[0], a->conv.layout, n->O, n->out);

    x->frames = even_part(n->out[0], SLAB_FRAMES);
    x->slab_frames = (x->frames - 1) * d->stride + n->kernel[0];
    x->rows = even_part(n->out[1], SLAB_PIXELS / (x->frames * x->width));
    x->slab_rows = (x->rows - 1) * x->step[0] + n->kernel[1];

    const bool flat = x->kind == CONV_TILES && x->step[0] == 1 && x->step[1] == 1;
    const int64_t run = n->kernel[2] * x->Cp;
    d->merged = x->kind != CONV_TILES && n->kernel[1] * run <= RUN_UNIT ? n->kernel[1] : 1;
    d->outputs = conv_round_up(n->O, CONV_TILE);
    d->run = conv_round_up(d->merged * run, RUN_UNIT);
    d->unit = x->kind == CONV_F32 ? 1 : 2;
    d->columns = flat ? x->width : n->out[2];
    if (x->kind == CONV_TILES) {
        if (!flat) d->columns = conv_round_up(d->columns, CONV_DEPTH);
        d->chunks = (x->rows * d->columns + CONV_DEPTH - 1) / CONV_DEPTH;
        d->dy_frame = d->chunks * CONV_DEPTH * d->outputs;
        dy->width = d->columns;
    } else {
        d->dy_frame = x->rows * ((d->columns + d->unit - 1) / d->unit);
        d->dy_pixels = x->frames * d->dy_frame;
    }
}

static int64_t lay_out(dw_job *d, int n_lanes) {
    const conv_job *x = &d->x;
    const int64_t *k = x->n.kernel;
    /* Blocks of columns and of pixels read behind the last run. */
    const int64_t tail = (x->step[1] * CONV_DEPTH + k[2]) * x->Cp + d->run;
    const int64_t sums_bytes = conv_round_up(k[0] * k[1] * d->outputs * d->run * 4, ALIGN);
    const int64_t x_bytes = x->slab_frames * x->slab_rows * x->pitch * 4;
    const int64_t widest =
        x->width * x->Cp > x->n.out[2] * x->n.O ? x->width * x->Cp : x->n.out[2] * x->n.O;
    d->tail_bytes = tail * 4;
    const int64_t dy_bytes =
        x->kind == CONV_TILES ? x->frames * d->dy_frame * 2 : d->dy_pixels * x->n.O * 4;
    /* A lane holds a row before it is stored in pairs, or a panel of the run. */
    const int64_t row = widest + x->Cp + x->n.O, panel = (d->dy_pixels + 1) * RUN_UNIT;
    d->lane_bytes = conv_round_up((panel > row ? panel : row) * 4, ALIGN);
    const int64_t x_at = sums_bytes, dy_at = x_at + conv_round_up(x_bytes + d->tail_bytes, ALIGN);
    const int64_t flat_at = dy_at + conv_round_up(dy_bytes, ALIGN);
    const int64_t flat_bytes = x->frames * d->chunks * CONV_DEPTH * x->n.O * 2;
    const int64_t lane_at = flat_at + conv_round_up(flat_bytes, ALIGN);
    char *scratch = x->call->scratch;
    if (scratch) {
        d->sums = (float *)(void *)scratch;
        d->x_slab = scratch + x_at;
        d->dy_slab = scratch + dy_at;
        d->dy_flat = scratch + flat_at;
        d->lane = scratch + lane_at;
    }
    return lane_at + n_lanes * d->lane_bytes;
}

/* ---- gathering ---- */

/* Pairs of elements some way apart: to[i] = (from[i], from[i + apart]) for i < n_to, zero in place
 * of what lies at or behind n. */
static void pair_up(const reel_bf16 *from, int64_t n, int64_t apart, uint32_t *to, int64_t n_to) {
    const int64_t both = conv_least(n > apart ? n - apart : 0, n_to);
    for (int64_t i = 0; i < both; i++)
        to[i] = from[i] | (uint32_t)from[i + apart] << 16;
    for (int64_t i = both; i < n_to; i++)
        to[i] = from[i];
}

static void gather_x_task(void *context, int64_t index, int lane) {
    const dw_job *d = context;
    const conv_job *x = &d->x;
    const int64_t frame = d->first + index / x->slab_rows;
    const int64_t row = d->row * x->step[0] + index % x->slab_rows - x->pad[0];
    char *to = d->x_slab + index * x->pitch * 4;
    bool cached;
    int64_t from = 0;
    const bool there = reel_conv3d_frame(x->attr, &x->n, frame, &cached, &from);
    if (!there) {
        memset(to, 0, (size_t)(x->pitch * 4));
        return;
    }
    const int64_t in = row < x->in[0] ? row : -1;
    char *temporary = d->lane + lane * d->lane_bytes;
    conv_gather_row(x, &x->source[cached ? 0 : 1], d->b, from, in,
                    x->kind == CONV_F32 ? to : temporary);
    if (x->kind != CONV_F32)
        pair_up((const reel_bf16 *)(void *)temporary, x->pitch, x->step[1] * x->Cp,
                (uint32_t *)(void *)to, x->pitch);
}

/* Outputs [from, to) fall into blocks of as many rows each: how many the one at o has. */
static int64_t rows_at(int64_t o, int64_t from, int64_t to) {
    const int64_t n_blocks = (to - from + CONV_ROWS - 1) / CONV_ROWS;
    const int64_t rows = (to - from) / n_blocks, longer = (to - from) % n_blocks;
    return o - from < longer * (rows + 1) ? rows + 1 : rows;
}

/* n <= CONV_ROWS words. */
VEC_INLINE void copy_words(const float *from, int n, float *to) {
#if REEL_ISA_LEVEL >= 2
    vf_store_part(to, vf_load_part(from, n), n);
#else
    for (int i = 0; i < n; i++)
        to[i] = from[i];
#endif
}

/* A row of dy [W][O] into the panels: those of block o stand at o dy_pixels, [dy_pixels][rows]. */
static void spread_row(const dw_job *d, const uint32_t *from, int64_t pixel) {
    const int64_t O = d->x.n.O, n = (d->columns + d->unit - 1) / d->unit;
    for (int64_t group = 0; group < O; group += OUTPUT_GROUP) {
        const int64_t to = conv_least(group + OUTPUT_GROUP, O);
        for (int64_t o = group, rows; o < to; o += rows) {
            rows = rows_at(o, group, to);
            uint32_t *panel = (uint32_t *)(void *)d->dy_slab + o * d->dy_pixels + pixel * rows;
            for (int64_t w = 0; w < n; w++)
                copy_words((const float *)(const void *)from + w * O + o, (int)rows,
                           (float *)(void *)panel + w * rows);
        }
    }
}

static void gather_dy_task(void *context, int64_t index, int lane) {
    const dw_job *d = context;
    const conv_job *dy = &d->dy;
    const int64_t frame = index / d->x.rows, row = index % d->x.rows, O = d->x.n.O;
    const int64_t in = row < d->rows ? d->row + row : -1;
    char *temporary = d->lane + lane * d->lane_bytes;
    if (dy->kind == CONV_TILES) {
        char *to = d->dy_flat + (frame * d->chunks * CONV_DEPTH * O + row * d->columns * O) * 2;
        conv_gather_row(dy, &dy->source[1], d->b, d->frame + frame, in, to);
        return;
    }
    conv_gather_row(dy, &dy->source[1], d->b, d->frame + frame, in, temporary);
    uint32_t *elements = (uint32_t *)(void *)temporary;
    if (dy->kind == CONV_BF16) {
        const reel_bf16 *from = (const reel_bf16 *)(void *)temporary;
        elements += (dy->width * O + 1) / 2;
        for (int64_t w = 0; w < dy->width; w += 2)
            pair_up(from + w * O, w + 1 < dy->width ? 2 * O : O, O, elements + w / 2 * O, O);
    }
    const int64_t row_pixels = (d->columns + d->unit - 1) / d->unit;
    spread_row(d, elements, frame * d->dy_frame + row * row_pixels);
}

#if REEL_ISA_LEVEL >= 4
/* 32 pixels of dy [32][O] into tiles [outputs / 16][chunks][16][32 pixels]: a row is one output. */
static void turn_task(void *context, int64_t index, int lane) {
    (void)lane;
    const dw_job *d = context;
    const int64_t O = d->x.n.O, frame = index / d->chunks, chunk = index % d->chunks;
    const int64_t n = conv_least(CONV_DEPTH, d->x.rows * d->columns - chunk * CONV_DEPTH);
    const reel_bf16 *from = (const reel_bf16 *)(void *)d->dy_flat + index * CONV_DEPTH * O;
    for (int64_t o = 0; o < O; o += CONV_TILE) {
        const __mmask16 mask = (__mmask16)(O - o < CONV_TILE ? (1u << (O - o)) - 1 : 0xffff);
        __m512i row[16];
        for (int k = 0; k < 16; k++) {
            const reel_bf16 *p = from + 2 * k * O + o;
            const __m256i even = _mm256_maskz_loadu_epi16(2 * k < n ? mask : 0, p);
            const __m256i odd = _mm256_maskz_loadu_epi16(2 * k + 1 < n ? mask : 0, p + O);
            row[k] = _mm512_or_si512(_mm512_cvtepu16_epi32(even),
                                     _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
        }
        conv_transpose(row);
        reel_bf16 *to = (reel_bf16 *)(void *)d->dy_slab + frame * d->dy_frame +
                        (o / CONV_TILE * d->chunks + chunk) * CONV_TILE * CONV_DEPTH;
        for (int k = 0; k < 16; k++)
            _mm512_storeu_si512(to + k * CONV_DEPTH, row[k]);
    }
}
#else
static void turn_task(void *context, int64_t index, int lane) {
    (void)context, (void)index, (void)lane;
}
#endif

/* ---- products ---- */

/* What a piece sums over: slab frames of x and of dy that meet. */
typedef struct dw_walk {
    int n;
    int64_t x[SLAB_FRAMES], dy[SLAB_FRAMES]; /* in elements */
} dw_walk;

/* The operands of a block of sums for some pixels: q of the run, `step` apart, and p [pixels][rows]
 * of dy. Elements are f32, or pairs of bf16. */
typedef struct dw_panel {
    int64_t pixels, step;
    const void *q, *p;
} dw_panel;

/* sums [rows][run] += over all pixels: rows outputs by two vectors of the run. */
VEC_INLINE void block_f32(const dw_panel *panel, int64_t run, int rows, float *sums) {
    vf sum[CONV_ROWS][2];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        sum[i][0] = vf_load(sums + i * run);
        sum[i][1] = vf_load(sums + i * run + VF_N);
    }
    const float *restrict q = panel->q, *restrict p = panel->p;
    for (int64_t k = 0; k < panel->pixels; k++, q += panel->step, p += rows) {
        const vf q0 = vf_load(q), q1 = vf_load(q + VF_N);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            const vf pi = vf_set(p[i]);
            sum[i][0] += pi * q0;
            sum[i][1] += pi * q1;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        vf_store(sums + i * run, sum[i][0]);
        vf_store(sums + i * run + VF_N, sum[i][1]);
    }
}

#if REEL_ISA_LEVEL >= 3
VEC_INLINE void block_bf16(const dw_panel *panel, int64_t run, int rows, float *sums) {
    __m512 sum[CONV_ROWS][2];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        sum[i][0] = _mm512_loadu_ps(sums + i * run);
        sum[i][1] = _mm512_loadu_ps(sums + i * run + VF_N);
    }
    const int32_t *restrict q = panel->q, *restrict p = panel->p;
    for (int64_t k = 0; k < panel->pixels; k++, q += panel->step, p += rows) {
        const __m512bh q0 = (__m512bh)_mm512_loadu_si512(q);
        const __m512bh q1 = (__m512bh)_mm512_loadu_si512(q + VF_N);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            const __m512bh pi = (__m512bh)_mm512_set1_epi32(p[i]);
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], pi, q0);
            sum[i][1] = _mm512_dpbf16_ps(sum[i][1], pi, q1);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        _mm512_storeu_ps(sums + i * run, sum[i][0]);
        _mm512_storeu_ps(sums + i * run + VF_N, sum[i][1]);
    }
}
#endif

typedef void block_fn(const dw_panel *panel, int64_t run, float *sums);

#define F32(rows)                                                                                  \
    static void f32_##rows(const dw_panel *panel, int64_t run, float *sums) {                      \
        block_f32(panel, run, rows, sums);                                                         \
    }
#define BF16(rows)                                                                                 \
    static void bf16_##rows(const dw_panel *panel, int64_t run, float *sums) {                     \
        block_bf16(panel, run, rows, sums);                                                        \
    }
#define F32_NAME(rows) f32_##rows,
#define BF16_NAME(rows) bf16_##rows,

CONV_EACH_ROWS(F32)
#if REEL_ISA_LEVEL >= 3
CONV_EACH_ROWS(BF16)
#endif

/* [kind][rows - 1] */
static block_fn *const block_of[][CONV_ROWS] = {
    {CONV_EACH_ROWS(F32_NAME)},
#if REEL_ISA_LEVEL >= 3
    {CONV_EACH_ROWS(BF16_NAME)},
#endif
};

static void block(const dw_job *d, const dw_panel *panel, int rows, float *sums) {
    block_of[d->x.kind != CONV_F32][rows - 1](panel, d->run, sums);
}

#if REEL_ISA_LEVEL >= 4
/* sums [32][run] += : two tiles of outputs (or one) by two of the run. */
static void tiles(const dw_job *d, const dw_walk *walk, int64_t o, int64_t r, float *sums) {
    const conv_job *x = &d->x;
    const bool two = o + CONV_TILE < d->outputs;
    const int64_t row = d->run * 4, step = x->step[1] * x->Cp;
    const int64_t below = two ? CONV_TILE * d->run : 0, tile = CONV_TILE * CONV_DEPTH;
    const bool flat = x->step[0] == 1 && x->step[1] == 1;
    const int64_t per_row = flat ? d->chunks : d->columns / CONV_DEPTH;
    const int64_t n_rows = flat ? 1 : x->rows;
    _tile_loadd(0, sums, row);
    _tile_loadd(1, sums + VF_N, row);
    _tile_loadd(2, sums + below, row);
    _tile_loadd(3, sums + below + VF_N, row);
    for (int f = 0; f < walk->n; f++)
        for (int64_t h = 0; h < n_rows; h++) {
            const uint32_t *q =
                (const uint32_t *)(void *)d->x_slab + walk->x[f] + h * x->step[0] * x->pitch + r;
            const reel_bf16 *p0 = (const reel_bf16 *)(void *)d->dy_slab + walk->dy[f] +
                                  (o / CONV_TILE * d->chunks + h * per_row) * tile;
            const reel_bf16 *p1 = two ? p0 + d->chunks * tile : p0;
            for (int64_t k = 0; k < per_row; k++, q += CONV_DEPTH * step, p0 += tile, p1 += tile) {
                _tile_loadd(4, p0, 64);
                _tile_loadd(5, p1, 64);
                _tile_loadd(6, q, step * 8);
                _tile_loadd(7, q + VF_N, step * 8);
                _tile_dpbf16ps(0, 4, 6);
                _tile_dpbf16ps(1, 4, 7);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
        }
    _tile_stored(0, sums, row);
    _tile_stored(1, sums + VF_N, row);
    if (!two) return;
    _tile_stored(2, sums + below, row);
    _tile_stored(3, sums + below + VF_N, row);
}
#else
static void tiles(const dw_job *d, const dw_walk *walk, int64_t o, int64_t r, float *sums) {
    (void)d, (void)walk, (void)o, (void)r, (void)sums;
}
#endif

/* The first run of row h of outputs in frame f of a walk. */
static const float *slab_row(const dw_job *d, const dw_walk *walk, int f, int64_t h) {
    return (const float *)(void *)d->x_slab + walk->x[f] + h * d->x.step[0] * d->x.pitch;
}

/* Columns [r, r + RUN_UNIT) of the runs of all pixels: to [pixels][RUN_UNIT]. */
static void fill_q(const dw_job *d, const dw_walk *walk, int64_t r, float *to) {
    const int64_t step = d->unit * d->x.step[1] * d->x.Cp;
    for (int f = 0; f < walk->n; f++)
        for (int64_t h = 0; h < d->x.rows; h++) {
            const float *from = slab_row(d, walk, f, h) + r;
            for (int64_t w = 0; w < d->columns; w += d->unit, from += step, to += RUN_UNIT) {
                vf_store(to, vf_load(from));
                vf_store(to + VF_N, vf_load(from + VF_N));
            }
        }
}

/* The same of runs of all kernel rows together. What is copied of one beyond its end, the next one
 * overwrites; columns that belong to none are summed for nothing. */
static void fill_merged(const dw_job *d, const dw_walk *walk, float *to) {
    const conv_job *x = &d->x;
    const int64_t step = d->unit * x->step[1] * x->Cp, run = x->n.kernel[2] * x->Cp;
    for (int f = 0; f < walk->n; f++)
        for (int64_t h = 0; h < x->rows; h++) {
            const float *from = slab_row(d, walk, f, h);
            for (int64_t w = 0; w < d->columns; w += d->unit, from += step, to += RUN_UNIT)
                for (int64_t k = 0; k < d->merged; k++)
                    for (int64_t i = 0; i < run; i += VF_N)
                        vf_store(to + k * run + i, vf_load(from + k * x->pitch + i));
        }
}

/* Outputs [from, to), columns [r, r + RUN_UNIT) of the run: those are copied side by side first,
 * for all blocks of outputs. */
static void run_blocks(const dw_job *d, const dw_walk *walk, int64_t from, int64_t to, int64_t r,
                       float *q, float *sums) {
    const uint32_t *dy = (const uint32_t *)(void *)d->dy_slab;
    dw_panel panel = {.pixels = walk->n * d->dy_frame, .step = RUN_UNIT, .q = q};
    if (d->merged > 1)
        fill_merged(d, walk, q);
    else
        fill_q(d, walk, r, q);
    for (int64_t o = from, rows; o < to; o += rows) {
        rows = rows_at(o, from, to);
        panel.p = dy + o * d->dy_pixels + walk->dy[0] * rows;
        block(d, &panel, (int)rows, sums + o * d->run + r);
    }
}

/* The same for outputs of one block, which read the slab where it is. */
static void run_rows(const dw_job *d, const dw_walk *walk, int64_t from, int rows, int64_t r,
                     float *sums) {
    const int64_t pixels = (d->columns + d->unit - 1) / d->unit;
    dw_panel panel = {.pixels = pixels, .step = d->unit * d->x.step[1] * d->x.Cp};
    for (int f = 0; f < walk->n; f++)
        for (int64_t h = 0; h < d->x.rows; h++) {
            panel.q = slab_row(d, walk, f, h) + r;
            panel.p = (const uint32_t *)(void *)d->dy_slab + from * d->dy_pixels +
                      (walk->dy[f] + h * pixels) * rows;
            block(d, &panel, rows, sums + from * d->run + r);
        }
}

/* Pieces of a slab's product: kernel frames and rows, groups of outputs, columns of the run. */
static int64_t taps_of(const dw_job *d) {
    return d->x.n.kernel[0] * d->x.n.kernel[1] / d->merged;
}
static int64_t groups_of(const dw_job *d) {
    return (d->x.n.O + OUTPUT_GROUP - 1) / OUTPUT_GROUP;
}
static int64_t column_pieces(const dw_job *d) {
    return d->run / RUN_UNIT;
}

static void product_task(void *context, int64_t index, int lane) {
    const dw_job *d = context;
    const conv_job *x = &d->x;
    const int64_t n_columns = column_pieces(d), n_groups = groups_of(d);
    const int64_t r0 = index % n_columns * RUN_UNIT, group = index / n_columns % n_groups;
    const int64_t tap = index / n_columns / n_groups, n_rows = x->n.kernel[1] / d->merged;
    const int64_t kt = tap / n_rows, kh = tap % n_rows;
    const int64_t from = group * OUTPUT_GROUP, to = conv_least(from + OUTPUT_GROUP, x->n.O);
    float *sums = d->sums + tap * d->outputs * d->run;
    dw_walk walk = {0};
    for (int64_t f = 0; f < d->frames; f++) {
        bool cached;
        int64_t frame;
        const int64_t q = (d->frame + f) * d->stride + kt;
        if (!reel_conv3d_frame(x->attr, &x->n, q, &cached, &frame)) continue;
        walk.x[walk.n] = ((q - d->first) * x->slab_rows + kh) * x->pitch;
        walk.dy[walk.n++] = f * d->dy_frame;
    }
    if (walk.n == 0) return;
    if (x->kind != CONV_TILES) {
        if (to - from <= CONV_ROWS && d->merged == 1)
            run_rows(d, &walk, from, (int)(to - from), r0, sums);
        else
            run_blocks(d, &walk, from, to, r0, (float *)(void *)(d->lane + lane * d->lane_bytes),
                       sums);
        return;
    }
    conv_tiles_begin();
    for (int64_t o = from; o < to; o += 2 * CONV_TILE)
        tiles(d, &walk, o, r0, sums + o * d->run + r0);
    conv_tiles_end();
}

/* ---- results ---- */

/* dw of one output: [C][Kt][Kh][Kw] from sums [Kt][Kh][.][Kw Cp]. */
static void write_task(void *context, int64_t o, int lane) {
    (void)lane;
    const dw_job *d = context;
    const int64_t *k = d->x.n.kernel, C = d->x.n.C, n_rows = k[0] * k[1];
    float *dw = (float *)d->x.call->out[0].data + o * C * n_rows * k[2];
    for (int64_t row = 0; row < n_rows; row++)
        for (int64_t kw = 0; kw < k[2]; kw++) {
            const int64_t tap = row / d->merged, at = (row % d->merged * k[2] + kw) * C;
            const float *restrict sums = d->sums + (tap * d->outputs + o) * d->run + at;
            float *restrict to = dw + row * k[2] + kw;
            for (int64_t c = 0; c < C; c++)
                to[c * n_rows * k[2]] = sums[c];
        }
}

/* db of VF_N outputs from o on: channels last a vector at a time, channels first one by one. */
static void bias_task(void *context, int64_t index, int lane) {
    (void)lane;
    const dw_job *d = context;
    const reel_conv3d_size *n = &d->x.n;
    const conv_grid *g = &d->dy.source[1];
    const int64_t o = index * VF_N, pixels = n->out[0] * n->out[1] * n->out[2];
    const int m = (int)conv_least(VF_N, n->O - o);
    float *db = (float *)d->x.call->out[1].data + o;
    if (g->at.c == 1) {
        vf sum = {0};
        for (int64_t i = 0; i < n->B * pixels; i++)
            sum += vec_load_part(g->data, i * n->O + o, g->bf16, m);
        vf_store_part(db, sum, m);
        return;
    }
    for (int i = 0; i < m; i++) {
        vf sum = {0};
        for (int64_t b = 0; b < n->B; b++)
            for (int64_t p = 0; p < pixels; p += VF_N)
                sum += vec_load_part(g->data, b * g->at.b + (o + i) * g->at.c + p, g->bf16,
                                     (int)conv_least(VF_N, pixels - p));
        db[i] = vf_sum(sum);
    }
}

static void run_slab(dw_job *d) {
    const conv_job *x = &d->x;
    reel_threads *threads = x->call->threads;
    d->first = d->frame * d->stride;
    reel_parallel_for(threads, x->slab_frames * x->slab_rows, gather_x_task, d);
    reel_parallel_for(threads, d->frames * x->rows, gather_dy_task, d);
    if (x->kind == CONV_TILES) reel_parallel_for(threads, d->frames * d->chunks, turn_task, d);
    reel_parallel_for(threads, taps_of(d) * groups_of(d) * column_pieces(d), product_task, d);
}

static void conv3d_dw_run(const reel_call *c) {
    dw_job d;
    describe(&d, c);
    lay_out(&d, 0);
    const reel_conv3d_size *n = &d.x.n;
    if (c->out[0].data) {
        memset(d.sums, 0, (size_t)(n->kernel[0] * n->kernel[1] * d.outputs * d.run * 4));
        memset(d.x_slab + d.x.slab_frames * d.x.slab_rows * d.x.pitch * 4, 0, (size_t)d.tail_bytes);
        for (d.b = 0; d.b < n->B; d.b++)
            for (d.frame = 0; d.frame < n->out[0]; d.frame += d.x.frames)
                for (d.row = 0; d.row < n->out[1]; d.row += d.x.rows) {
                    d.frames = conv_least(d.x.frames, n->out[0] - d.frame);
                    d.rows = conv_least(d.x.rows, n->out[1] - d.row);
                    run_slab(&d);
                }
        reel_parallel_for(c->threads, n->O, write_task, &d);
    }
    if (c->n_out > 1 && c->out[1].data)
        reel_parallel_for(c->threads, (n->O + VF_N - 1) / VF_N, bias_task, &d);
}

/* ---- kernel ---- */

static int64_t scratch(const reel_call *c, int n_lanes) {
    dw_job d;
    describe(&d, c);
    return lay_out(&d, n_lanes);
}

static const char *refuse(const reel_call *c) {
    for (int i = 0; i < 3; i++)
        if (c->in[i].dtype != REEL_F32 && c->in[i].dtype != REEL_BF16)
            return "an operand is neither f32 nor bf16";
    return NULL;
}

void REEL_ISA_NAME(reel_cpu_register_conv_dw)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_conv_dw)(reel_kernel_table *table) {
    static const reel_kernel kernel = {.name = "conv3d_dw." REEL_ISA_TEXT,
                                       .refuse = refuse,
                                       .scratch = scratch,
                                       .run = conv3d_dw_run};
    reel_kernel_table_add(table, &reel_op_conv3d_dw, &kernel);
}
