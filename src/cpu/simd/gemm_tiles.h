/* The innermost loop of products by tiles: 32 x 32 sums in four tiles, and what is done meanwhile.
 *
 * A tile product takes 16 cycles of a unit of its own, which leaves the rest of the core idle; all
 * else is cut into pieces that go with the steps along K.
 */
#ifndef REEL_CPU_SIMD_GEMM_TILES_H
#define REEL_CPU_SIMD_GEMM_TILES_H

#include "cpu/simd/activation.h"
#include "cpu/simd/gemm.h"

#if REEL_ISA_LEVEL >= 4

enum { TILE = 16, TILE_WORDS = TILE * TILE }; /* 16 rows of 64 bytes */

/* The tile registers' shape: all eight full. Per thread, so every task loads it. */
VEC_INLINE void tiles_begin(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t colsb[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.colsb[i] = 64;
        config.rows[i] = TILE;
    }
    /* gcc's intrinsic claims to read 8 bytes; the others must be in memory too */
    __asm__ volatile("" : "+m"(config));
    _tile_loadconfig(&config);
}

/* ---- meanwhile ---- */

/* 32 columns of rows of sums that are to become rows of y. */
typedef struct tile_finish {
    const reel_gemm *g;
    const float *c, *c0; /* of the next row, of the first one */
    int64_t ldc;
    int64_t at;      /* element of y */
    int64_t bias_at; /* of bias */
    int64_t n;       /* rows left */
} tile_finish;

/* Lines of memory that are wanted soon: those of `n` rows, one after the other. */
typedef struct tile_ask {
    const char *row, *at;      /* the present row, and the line to ask for */
    int64_t row_bytes, stride; /* of a row; from row to row */
    int64_t n;                 /* rows left */
} tile_ask;

typedef struct tile_side {
    tile_finish finish;
    tile_ask ask;
    int64_t rows, lines; /* of them in a step */
} tile_side;

VEC_INLINE void store_columns(void *p, int64_t at, bool bf16, vf low, vf high) {
    if (bf16) {
        const __m512bh y = _mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
        memcpy((reel_bf16 *)p + at, &y, sizeof y);
        return;
    }
    vf_store((float *)p + at, low);
    vf_store((float *)p + at + VF_N, high);
}

VEC_INLINE void finish_rows_as(tile_finish *f, int64_t n, reel_activation act, bool bf16) {
    const reel_gemm *g = f->g;
    vf low = {0}, high = {0};
    if (g->bias) {
        low = vec_load(g->bias, f->bias_at, g->bias_bf16);
        high = vec_load(g->bias, f->bias_at + VF_N, g->bias_bf16);
    }
    for (int64_t r = 0; r < n; r++, f->c += f->ldc, f->at += g->N) {
        const vf x0 = vf_load(f->c) + low, x1 = vf_load(f->c + VF_N) + high;
        if (g->pre) store_columns(g->pre, f->at, bf16, x0, x1);
        store_columns(g->y, f->at, bf16, vec_activation(act, x0), vec_activation(act, x1));
    }
    f->n -= n;
}

/* The next n rows; one function for all, called between tile products. */
static __attribute__((noinline)) void tile_finish_rows(tile_finish *f, int64_t n) {
    if (n > f->n) n = f->n;
    if (n == 0) return;
#define CALL(act)                                                                                  \
    if (f->g->y_bf16)                                                                              \
        finish_rows_as(f, n, act, true);                                                           \
    else                                                                                           \
        finish_rows_as(f, n, act, false)
    VEC_WITH_ACTIVATION(f->g->act, CALL)
#undef CALL
}

VEC_INLINE void tile_ask_lines(tile_ask *a, int64_t n) {
    for (; n > 0 && a->n > 0; n--) {
        __builtin_prefetch(a->at, 0, 2);
        a->at += 64;
        if (a->at < a->row + a->row_bytes) continue;
        a->row += a->stride;
        a->at = a->row;
        a->n--;
    }
}

VEC_INLINE void tile_side_step(tile_side *s) {
    if (s->finish.n > 0) tile_finish_rows(&s->finish, s->rows);
    if (s->ask.n > 0) tile_ask_lines(&s->ask, s->lines);
}

/* ---- products ---- */

/* Strips of a, 16 rows each: words between rows, to the next tile along K, to the next strip. */
typedef struct tile_rows {
    const float *data;
    int64_t stride, step, next;
} tile_rows;

/* Which operand comes again with other patches and stays in the L1: the other one is loaded past
 * it, which makes a product of 256 words a third faster. Both from the L2 would take twice as long
 * as the products do. */
typedef enum tile_kept { TILE_KEEP_A, TILE_KEEP_B, TILE_KEEP_BOTH } tile_kept;

/* c [32,32] (+)= a [32,Q] b [Q,32], Q a multiple of 16: two strips of a, two panels [Q,16] of b,
 * b_next words apart. With one strip (two false) the lower half of c is left alone. side may be
 * NULL. */
VEC_INLINE void tile_sums(int64_t Q, tile_rows a, const float *b, int64_t b_next, float *c,
                          int64_t ldc, bool accumulate, bool two, tile_kept kept, tile_side *side) {
    const int64_t lda = a.stride * 4, c_stride = ldc * 4;
    float *low = c + TILE * ldc;
    __asm__ volatile("" ::: "memory"); /* gcc's _tile_loadd does not say that it reads */
    if (accumulate) {
        _tile_loadd(0, c, c_stride);
        _tile_loadd(1, c + TILE, c_stride);
        if (two) _tile_loadd(2, low, c_stride);
        if (two) _tile_loadd(3, low + TILE, c_stride);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
#define LOAD(tile, from, stride, past)                                                             \
    do {                                                                                           \
        if (past)                                                                                  \
            _tile_stream_loadd(tile, from, stride);                                                \
        else                                                                                       \
            _tile_loadd(tile, from, stride);                                                       \
    } while (0)
    for (int64_t q = 0; q < Q; q += TILE) {
        LOAD(4, a.data, lda, kept == TILE_KEEP_B);
        LOAD(6, b, 64, kept == TILE_KEEP_A);
        LOAD(7, b + b_next, 64, kept == TILE_KEEP_A);
        _tile_dpbf16ps(0, 4, 6);
        if (two) LOAD(5, a.data + a.next, lda, kept == TILE_KEEP_B);
        _tile_dpbf16ps(1, 4, 7);
        if (two) _tile_dpbf16ps(2, 5, 6);
        if (two) _tile_dpbf16ps(3, 5, 7);
        a.data += a.step;
        b += TILE_WORDS;
        if (side) tile_side_step(side);
    }
#undef LOAD
    _tile_stored(0, c, c_stride);
    _tile_stored(1, c + TILE, c_stride);
    if (two) _tile_stored(2, low, c_stride);
    if (two) _tile_stored(3, low + TILE, c_stride);
    __asm__ volatile("" ::: "memory");
}

#endif
#endif
