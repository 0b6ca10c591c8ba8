/* Sums of outer products of rows, with tiles.
 *
 * For each 32 rows and each 32 x 32 of dw there are four tile products of 11 ns (tiles at 3
 * TFLOP/s): 9216 x 288 -> 288 takes 0.5 ms of them, which is the floor, and reading its operands,
 * 10.6 MB, 0.4 ms at the 28 GB/s of one core out of the third-level cache. The two follow each
 * other: asking for memory during the products, or packing between them, slowed them by as much as
 * it saved. So each operand is read and packed once. A pair of vectors takes 2 shuffles to pack;
 * the operand that is turned takes 8 more, so it is the narrower one, and where that is x, sums are
 * turned instead when they become dw.
 *
 * A piece has a part of the rows and a group of columns of either operand, as large as the second-
 * level cache holds the sums of. It walks along its rows in slices: packs one and multiplies it.
 *
 * Letters: M columns of the turned operand, N of the other one, both in strips of 32; words are
 * pairs of rows.
 */
#include "cpu/simd/outer.h"

#if REEL_ISA_LEVEL >= 4

#include <math.h>
#include <string.h>

#include "cpu/simd/cut.h"
#include "cpu/simd/gemm_pack.h"
#include "cpu/simd/gemm_tiles.h"

enum {
    STRIP = 2 * TILE, /* columns of two tiles, rows of one */
    BLOCK = STRIP * STRIP,
    LEAST_ROWS = 2048,
    FEWER_ROWS = 256, /* suffice where neither operand is wider than NARROW */
    NARROW = 512,
    MOST_PARTS = 8,
    MOST_ROWS = 256,          /* of a slice */
    AHEAD = 8,                /* pairs of rows that are asked for before they are packed */
    CACHE_BYTES = 1792 << 10, /* of a second-level cache of 2 MiB */
    SUM_BYTES = 1 << 20,      /* of them for sums */
};

/* ---- cutting: a function of the shape alone ---- */

typedef struct schedule {
    bool x_turned;                        /* else dy is */
    int64_t M, N;                         /* columns of the turned operand and of the other one */
    int64_t m, n;                         /* of them in a group, multiples of STRIP */
    int64_t n_m, n_n;                     /* groups */
    int64_t rows, n_parts;                /* rows of a part, a multiple of STRIP */
    int64_t slice;                        /* rows of a slice, likewise */
    int64_t bias_words;                   /* sums of dy of a part */
    int64_t a_words, b_words, lane_words; /* packed slices, and all that a lane has */
} schedule;

/* The time of a cut, in ns, on two lanes and on four: what suits four suits two. */
static double time_of(const schedule *s) {
    const double m = (double)(s->m / TILE), n = (double)(s->n / TILE);
    const double steps = (double)parts(s->rows, STRIP);
    const double sums = m * n * (s->n_parts > 1 ? 100 : 30); /* written; read again, added */
    const double piece = steps * (11 * m * n + 55 * m + 40 * n) + sums + 2000;
    const int64_t pieces = s->n_m * s->n_n * s->n_parts;
    return (double)(parts(pieces, 2) * 2 + parts(pieces, 4) * 4) * piece;
}

static void cut(const reel_outer *p, schedule *s) {
    const int64_t all_m = parts(s->M, STRIP), all_n = parts(s->N, STRIP);
    const int64_t least_m = parts(all_m, 512 / STRIP), blocks = SUM_BYTES / (4 * BLOCK);
    double cheapest = HUGE_VAL;
    schedule t = *s;
    for (int64_t n_m = least_m; n_m < least_m + 2; n_m++) {
        const int64_t m = parts(all_m, n_m), least_n = parts(all_n, blocks / m);
        for (int64_t n_n = least_n; n_n < least_n + 3; n_n++)
            for (int64_t n_parts = 1; n_parts <= MOST_PARTS; n_parts++) {
                const int64_t n = parts(all_n, n_n);
                t.m = m * STRIP, t.n = n * STRIP;
                t.n_m = parts(all_m, m), t.n_n = parts(all_n, n);
                t.rows = parts(parts(p->R, n_parts), STRIP) * STRIP;
                t.n_parts = parts(p->R, t.rows);
                const double time = time_of(&t);
                if (time >= cheapest) continue;
                cheapest = time;
                *s = t;
            }
    }
}

static schedule schedule_of(const reel_outer *p) {
    schedule s = {.x_turned = p->I < p->O};
    s.M = s.x_turned ? p->I : p->O;
    s.N = s.x_turned ? p->O : p->I;
    cut(p, &s);
    /* beside the sums: a slice, and as much of what it is made from */
    const int64_t per_row = 4 * (s.m + s.n), room = CACHE_BYTES - 4 * s.m * s.n;
    const int64_t rows = most(STRIP, least(MOST_ROWS, room / per_row / STRIP * STRIP));
    s.slice = parts(parts(s.rows, parts(s.rows, rows)), STRIP) * STRIP;
    s.bias_words = parts(p->O, STRIP) * STRIP;
    s.a_words = s.m * s.slice / 2;
    s.b_words = s.n * s.slice / 2;
    s.lane_words = s.a_words + s.b_words + (s.n_parts > 1 ? 0 : s.m * s.n);
    return s;
}

/* Scratch: sums of dy [n_parts,bias_words], with several parts sums of dw
 * [n_parts,n_m,n_n,m/32,n/32,32,32], then the lanes'. */
static int64_t shared_words(const schedule *s) {
    const int64_t sums = s->n_parts > 1 ? s->n_parts * s->n_m * s->n_n * s->m * s->n : 0;
    return s->n_parts * s->bias_words + sums;
}

bool REEL_ISA_NAME(reel_outer_takes)(const reel_outer *p) {
    const bool narrow = p->R >= FEWER_ROWS && most(p->O, p->I) <= NARROW;
    return (narrow || p->R >= LEAST_ROWS) && p->O > 0 && p->I > 0;
}

int64_t REEL_ISA_NAME(reel_outer_scratch)(const reel_outer *p, int n_lanes) {
    const schedule s = schedule_of(p);
    return 4 * (shared_words(&s) + n_lanes * s.lane_words);
}

/* ---- packing ---- */

/* A group's columns of one operand. */
typedef struct side {
    const reel_bf16 *data;
    int64_t width, from, n; /* of all columns those from.. from+n */
    float *sums;            /* of columns, to be added to, or NULL */
    float *to;              /* [strip][2][chunk of 32 rows][16][16] */
    bool turned;
} side;

/* 32 columns of two rows as pairs. Quarters of registers are interleaved, in one instruction each:
 * the first vector has columns 0..4, 8..12, 16..20 and 24..28, the second one the others. */
VEC_INLINE void store_pairs(const reel_bf16 *even, const reel_bf16 *odd, __mmask32 columns,
                            __mmask32 odd_columns, float *low, float *high) {
    const __m512i a = _mm512_maskz_loadu_epi16(columns, even);
    const __m512i b = _mm512_maskz_loadu_epi16(odd_columns, odd);
    vf_store(low, (vf)_mm512_unpacklo_epi16(a, b));
    vf_store(high, (vf)_mm512_unpackhi_epi16(a, b));
}

/* A row and the one after it, if n is 2, or zeros, n <= 0; the first strip's words to `to`, `next`
 * words from tile to tile. What follows AHEAD pairs later is asked for. */
static void pack_pair(const side *x, int64_t row, int64_t n, float *to, int64_t next) {
    const reel_bf16 *even = x->data + (n > 0 ? row : 0) * x->width + x->from;
    const reel_bf16 *odd = n > 1 ? even + x->width : even;
    const __mmask32 all = n > 0 ? 0xffffffffu : 0, both = n > 1 ? 0xffffffffu : 0;
    int64_t i = 0;
    for (; i + STRIP <= x->n; i += STRIP, to += 2 * next) {
        vec_prefetch(even, i + 2 * AHEAD * x->width, true);
        vec_prefetch(odd, i + 2 * AHEAD * x->width, true);
        store_pairs(even + i, odd + i, all, both, to, to + next);
    }
    if (i == x->n) return;
    const __mmask32 some = 0xffffffffu >> (STRIP - (x->n - i));
    store_pairs(even + i, odd + i, all & some, both & some, to, to + next);
}

VEC_INLINE void add_words(const float *words, float *sum) {
    const __m512i ones = _mm512_set1_epi32(0x3f803f80);
    __m512 total = (__m512)vf_load(sum);
    for (int i = 0; i < TILE; i++)
        total = _mm512_dpbf16_ps(total, (__m512bh)vf_load(words + i * TILE), (__m512bh)ones);
    vf_store(sum, (vf)total);
}

/* Rows r.. r+n_rows. Pair after pair over all columns, so that memory is read in its order: strip
 * after strip of a slice, the rows of wide operands are in as many pages, and it took twice as
 * long. */
static void pack_side(const side *x, int64_t r, int64_t n_rows) {
    const int64_t next = parts(n_rows, STRIP) * TILE_WORDS, n_tiles = 2 * parts(x->n, STRIP);
    for (int64_t row = 0; row < n_rows; row += STRIP) {
        float *to = x->to + row / STRIP * TILE_WORDS;
        for (int64_t pair = 0; pair < TILE; pair++) {
            const int64_t at = row + 2 * pair;
            pack_pair(x, r + at, n_rows - at, to + pair * TILE, next);
        }
        for (int64_t i = 0; x->sums && i < n_tiles; i++)
            add_words(to + i * next, x->sums + i * TILE);
        for (int64_t i = 0; x->turned && i < n_tiles; i++)
            transpose_words(to + i * next, TILE, to + i * next, TILE);
    }
}

/* ---- products ---- */

/* c [32,32] (+)= a strip of the turned operand by one of the other, n tiles along the rows each. */
VEC_INLINE void multiply(int64_t n, const float *a, const float *b, float *c, bool accumulate) {
    const tile_rows rows = {a, TILE, TILE_WORDS, n * TILE_WORDS};
    tile_sums(n * TILE, rows, b, n * TILE_WORDS, c, STRIP, accumulate, true, TILE_KEEP_BOTH, NULL);
}

/* ---- pieces ---- */

typedef struct job {
    const reel_outer *p;
    const schedule *s;
    int64_t batch;
} job;

/* Group (g_m, g_n): where its sums over part `part` are in shared scratch. */
static float *shared_sums(const job *j, int64_t part, int64_t g_m, int64_t g_n) {
    const schedule *s = j->s;
    return (float *)j->p->scratch + s->n_parts * s->bias_words +
           ((part * s->n_m + g_m) * s->n_n + g_n) * s->m * s->n;
}

static side side_of(const job *j, bool x, int64_t group) {
    const reel_outer *p = j->p;
    const int64_t width = x ? p->I : p->O;
    const bool turned = x == j->s->x_turned;
    const int64_t step = turned ? j->s->m : j->s->n;
    return (side){.data = (x ? p->x : p->dy) + j->batch * p->R * width,
                  .width = width,
                  .from = group * step,
                  .n = least(step, width - group * step),
                  .turned = turned};
}

/* Rows r0.. r1 of a, turned, and of b: sums [m/32,n/32,32,32]. */
static void sum_rows(const schedule *s, const side *a, const side *b, int64_t r0, int64_t r1,
                     float *sums) {
    for (int64_t r = r0; r < r1; r += s->slice) {
        const int64_t n_rows = least(s->slice, r1 - r), n = parts(n_rows, STRIP);
        pack_side(a, r, n_rows);
        pack_side(b, r, n_rows);
        for (int64_t i = 0; i < a->n; i += STRIP)
            for (int64_t k = 0; k < b->n; k += STRIP)
                multiply(n, a->to + i / TILE * n * TILE_WORDS, b->to + k / TILE * n * TILE_WORDS,
                         sums + (i / STRIP * (s->n / STRIP) + k / STRIP) * BLOCK, r > r0);
    }
}

/* ---- sums become dw ---- */

/* Column of a strip at place i of load_pairs' order. */
static int64_t column_at(int64_t i) {
    const int64_t in_half = i % TILE;
    return in_half / 4 * 8 + i / TILE * 4 + in_half % 4;
}

/* Adds a row of n sums [32], `next` words apart, and puts its columns in order. */
VEC_INLINE void add_row(const float *from, int64_t n, int64_t next, float *to) {
    vf low = vf_load(from), high = vf_load(from + TILE);
    for (int64_t i = 1; i < n; i++) {
        low += vf_load(from + i * next);
        high += vf_load(from + i * next + TILE);
    }
    const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23),
                  second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    vf_store(to, (vf)_mm512_permutex2var_ps((__m512)low, first, (__m512)high));
    vf_store(to + TILE, (vf)_mm512_permutex2var_ps((__m512)low, second, (__m512)high));
}

/* Rows of 32 columns, n_rows of n_cols wanted, to rows ld words apart. */
static void put_block(const float *block, int64_t n_rows, int64_t n_cols, float *to, int64_t ld) {
    const int low = (int)least(VF_N, n_cols), high = (int)n_cols - low;
    for (int64_t r = 0; r < n_rows; r++, block += STRIP, to += ld) {
        vf_store_part(to, vf_load(block), low);
        if (high) vf_store_part(to + VF_N, vf_load(block + VF_N), high);
    }
}

/* Strip i of group (g_m, g_n): its sums, `next` words from part to part, become part of dw. */
static void finish_strip(const job *j, int64_t g_m, int64_t g_n, int64_t i, const float *sums,
                         int64_t next) {
    const schedule *s = j->s;
    const reel_outer *p = j->p;
    float *dw = p->dw + j->batch * p->O * p->I;
    const int64_t at_m = g_m * s->m + i * STRIP, n_m = least(STRIP, s->M - at_m);
    for (int64_t k = 0; k < s->n / STRIP; k++) {
        const int64_t at_n = g_n * s->n + k * STRIP, n_n = least(STRIP, s->N - at_n);
        if (n_n <= 0) break;
        float block[BLOCK] __attribute__((aligned(64))), turned[BLOCK] __attribute__((aligned(64)));
        const float *from = sums + (i * (s->n / STRIP) + k) * BLOCK;
        for (int64_t r = 0; r < STRIP; r++)
            add_row(from + r * STRIP, s->n_parts, next, block + column_at(r) * STRIP);
        if (!s->x_turned) {
            put_block(block, n_m, n_n, dw + at_m * p->I + at_n, p->I);
            continue;
        }
        for (int64_t t = 0; t < 4; t++)
            transpose_words(block + t / 2 * TILE * STRIP + t % 2 * TILE, STRIP,
                            turned + t % 2 * TILE * STRIP + t / 2 * TILE, STRIP);
        put_block(turned, n_n, n_m, dw + at_n * p->I + at_m, p->I);
    }
}

static void finish_task(void *context, int64_t index, int lane) {
    (void)lane;
    const job *j = context;
    const schedule *s = j->s;
    const int64_t strips = parts(s->M, STRIP), per_group = s->m / STRIP;
    const int64_t i = index % strips, g_n = index / strips;
    finish_strip(j, i / per_group, g_n, i % per_group, shared_sums(j, 0, i / per_group, g_n),
                 s->n_m * s->n_n * s->m * s->n);
}

/* db from its parts. */
static void finish_bias(const job *j) {
    const reel_outer *p = j->p;
    for (int64_t o = 0; o < p->O; o += STRIP) {
        float strip[STRIP] __attribute__((aligned(64)));
        add_row((const float *)p->scratch + o, j->s->n_parts, j->s->bias_words, strip);
        put_block(strip, 1, least(STRIP, p->O - o), p->db + j->batch * p->O + o, 0);
    }
}

static void piece_task(void *context, int64_t index, int lane) {
    const job *j = context;
    const schedule *s = j->s;
    const int64_t g_n = index % s->n_n, g_m = index / s->n_n % s->n_m;
    const int64_t part = index / s->n_n / s->n_m, r0 = part * s->rows;
    float *own = (float *)j->p->scratch + shared_words(s) + lane * s->lane_words;
    side a = side_of(j, s->x_turned, g_m), b = side_of(j, !s->x_turned, g_n);
    a.to = own;
    b.to = own + s->a_words;
    float *sums = s->n_parts > 1 ? shared_sums(j, part, g_m, g_n) : b.to + s->b_words;
    if (j->p->db && (s->x_turned ? g_m : g_n) == 0) {
        side *dy = s->x_turned ? &b : &a;
        dy->sums = (float *)j->p->scratch + part * s->bias_words + dy->from;
        memset(dy->sums, 0, (size_t)(parts(dy->n, STRIP) * STRIP) * sizeof *dy->sums);
    }
    tiles_begin();
    sum_rows(s, &a, &b, r0, least(j->p->R, r0 + s->rows), sums);
    _tile_release();
    for (int64_t i = 0; s->n_parts == 1 && i < parts(a.n, STRIP); i++)
        finish_strip(j, g_m, g_n, i, sums, 0);
}

void REEL_ISA_NAME(reel_outer_run)(const reel_outer *p) {
    const schedule s = schedule_of(p);
    for (int64_t batch = 0; batch < p->n_batches; batch++) {
        job j = {.p = p, .s = &s, .batch = batch};
        reel_parallel_for(p->threads, s.n_parts * s.n_m * s.n_n, piece_task, &j);
        if (s.n_parts > 1)
            reel_parallel_for(p->threads, parts(s.M, STRIP) * s.n_n, finish_task, &j);
        if (p->db) finish_bias(&j);
    }
}

#endif
