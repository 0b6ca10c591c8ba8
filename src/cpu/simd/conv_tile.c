/* The innermost loops of convolutions: a block of pixels by a block of outputs, summed over runs.
 *
 * Sums stay in registers over all channels and kernel positions. Their order depends on the kernel
 * alone, never on where a pixel stands, so that clips in pieces give the bytes of the whole.
 */
#include "cpu/simd/conv.h"

/* ---- f32 ---- */

/* ROWS x VECTORS sums; the loops over constants unroll, the sums are registers. */
VEC_INLINE void block_f32(const conv_walk *walk, const float *a, const float *b, int64_t run,
                          int64_t step, int rows, int vectors, float *c) {
    vf sum[CONV_ROWS][2];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        sum[i][0] = walk->first ? vf_load(c + i * CONV_N) : (vf){0};
        if (vectors > 1) sum[i][1] = walk->first ? vf_load(c + i * CONV_N + VF_N) : (vf){0};
    }
    for (int r = walk->first; r < walk->n; r++) {
        const float *restrict x = a + walk->a[r], *restrict w = b + walk->b[r];
        for (int64_t k = 0; k < run; k++, x++, w += CONV_N) {
            const vf w0 = vf_load(w), w1 = vectors > 1 ? vf_load(w + VF_N) : w0;
#pragma GCC unroll 12
            for (int i = 0; i < rows; i++) {
                const vf xi = vf_set(x[i * step]);
                sum[i][0] += xi * w0;
                if (vectors > 1) sum[i][1] += xi * w1;
            }
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        vf_store(c + i * CONV_N, sum[i][0]);
        if (vectors > 1) vf_store(c + i * CONV_N + VF_N, sum[i][1]);
    }
}

/* ---- bf16 pairs ---- */

#if REEL_ISA_LEVEL >= 3
/* One pair of bf16 in every lane. */
VEC_INLINE __m512bh pair_set(const reel_bf16 *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}
VEC_INLINE __m512bh pairs_load(const reel_bf16 *p) {
    return (__m512bh)_mm512_loadu_si512(p);
}

VEC_INLINE void block_bf16(const conv_walk *walk, const reel_bf16 *a, const reel_bf16 *b,
                           int64_t run, int64_t step, int rows, int vectors, float *c) {
    __m512 sum[CONV_ROWS][2];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        sum[i][0] = walk->first ? _mm512_loadu_ps(c + i * CONV_N) : _mm512_setzero_ps();
        if (vectors > 1)
            sum[i][1] = walk->first ? _mm512_loadu_ps(c + i * CONV_N + VF_N) : _mm512_setzero_ps();
    }
    for (int r = walk->first; r < walk->n; r++) {
        const reel_bf16 *restrict x = a + walk->a[r], *restrict w = b + walk->b[r];
        for (int64_t k = 0; k < run; k += 2, x += 2, w += 2 * CONV_N) {
            const __m512bh w0 = pairs_load(w), w1 = vectors > 1 ? pairs_load(w + 2 * VF_N) : w0;
#pragma GCC unroll 12
            for (int i = 0; i < rows; i++) {
                const __m512bh xi = pair_set(x + i * step);
                sum[i][0] = _mm512_dpbf16_ps(sum[i][0], xi, w0);
                if (vectors > 1) sum[i][1] = _mm512_dpbf16_ps(sum[i][1], xi, w1);
            }
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        _mm512_storeu_ps(c + i * CONV_N, sum[i][0]);
        if (vectors > 1) _mm512_storeu_ps(c + i * CONV_N + VF_N, sum[i][1]);
    }
}
#endif

typedef void block_fn(const conv_walk *walk, const void *a, const void *b, int64_t run,
                      int64_t step, float *c);

#define BLOCK(kind, type, rows, vectors)                                                           \
    static void kind##_##rows##_##vectors(const conv_walk *walk, const void *a, const void *b,     \
                                          int64_t run, int64_t step, float *c) {                   \
        block_##kind(walk, (const type *)a, (const type *)b, run, step, rows, vectors, c);         \
    }
#define F32(rows) BLOCK(f32, float, rows, 1) BLOCK(f32, float, rows, 2)
#define BF16(rows) BLOCK(bf16, reel_bf16, rows, 1) BLOCK(bf16, reel_bf16, rows, 2)
#define F32_NAMES(rows) {f32_##rows##_1, f32_##rows##_2},
#define BF16_NAMES(rows) {bf16_##rows##_1, bf16_##rows##_2},

CONV_EACH_ROWS(F32)
#if REEL_ISA_LEVEL >= 3
CONV_EACH_ROWS(BF16)
#endif

/* [kind][rows - 1][vectors - 1] */
static block_fn *const block_of[][CONV_ROWS][2] = {
    {CONV_EACH_ROWS(F32_NAMES)},
#if REEL_ISA_LEVEL >= 3
    {CONV_EACH_ROWS(BF16_NAMES)},
#endif
};

void conv_block(const conv_job *j, const conv_walk *walk, const char *a, const char *b, int rows,
                int vectors, float *c) {
    block_of[j->kind != CONV_F32][rows - 1][vectors - 1](walk, a, b, j->run, j->step[1] * j->Cp, c);
}

/* ---- tiles ---- */

#if REEL_ISA_LEVEL >= 4
enum { TILE_ELEMENTS = CONV_TILE * CONV_DEPTH }; /* bf16 elements of a tile of weights */

/* The last elements of a run, fewer than a tile sums over: copied, so that what lies behind them
 * cannot get in (zero weights would not keep a NaN out). to [16][32]. */
VEC_INLINE void copy_rest(const reel_bf16 *a, int64_t step, int n, reel_bf16 *to) {
    const __mmask32 mask = (__mmask32)((1u << n) - 1);
    for (int i = 0; i < CONV_TILE; i++)
        _mm512_store_si512(to + i * CONV_DEPTH, _mm512_maskz_loadu_epi16(mask, a + i * step));
}

void conv_tiles(const conv_job *j, const conv_walk *walk, const char *const a[2], const char *b,
                float *const c[2], char *rest) {
    const int64_t step = j->step[1] * j->Cp, whole = j->run / CONV_DEPTH * CONV_DEPTH;
    const int n_rest = (int)(j->run - whole);
    reel_bf16 *r0 = (reel_bf16 *)(void *)rest, *r1 = r0 + TILE_ELEMENTS;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int r = 0; r < walk->n; r++) {
        const reel_bf16 *x0 = (const reel_bf16 *)(const void *)a[0] + walk->a[r];
        const reel_bf16 *x1 = (const reel_bf16 *)(const void *)a[1] + walk->a[r];
        const reel_bf16 *w = (const reel_bf16 *)(const void *)b + walk->b[r];
        for (int64_t k = 0; k < whole; k += CONV_DEPTH, w += 2 * TILE_ELEMENTS) {
            _tile_loadd(6, w, 64);
            _tile_loadd(7, w + TILE_ELEMENTS, 64);
            _tile_loadd(4, x0 + k, step * 2);
            _tile_loadd(5, x1 + k, step * 2);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        if (n_rest == 0) continue;
        copy_rest(x0 + whole, step, n_rest, r0);
        copy_rest(x1 + whole, step, n_rest, r1);
        _tile_loadd(6, w, 64);
        _tile_loadd(7, w + TILE_ELEMENTS, 64);
        _tile_loadd(4, r0, 64);
        _tile_loadd(5, r1, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c[0], CONV_N * 4);
    _tile_stored(1, c[0] + VF_N, CONV_N * 4);
    _tile_stored(2, c[1], CONV_N * 4);
    _tile_stored(3, c[1] + VF_N, CONV_N * 4);
}

/* Static, since compilers take the instruction to read its first eight bytes alone. */
void conv_tiles_begin(void) {
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1,
                .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&config);
}

void conv_tiles_end(void) {
    _tile_release();
}
#else
void conv_tiles(const conv_job *j, const conv_walk *walk, const char *const a[2], const char *b,
                float *const c[2], char *rest) {
    (void)j, (void)walk, (void)a, (void)b, (void)c, (void)rest;
}
void conv_tiles_begin(void) {}
void conv_tiles_end(void) {}
#endif
