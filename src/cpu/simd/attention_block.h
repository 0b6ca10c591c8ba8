/* What the attention kernels are made of: packed operands, a product of blocks, 2^x.
 *
 * One element type for each level: f32 (bf16 operands are widened when packed), or bf16 where the
 * machine multiplies it, in pairs along the reduction. Two packed forms:
 *     rows    [m][k]: as in memory, k contiguous; the left factor of a product
 *     panels  [n / VF_N][k / PAIR][VF_N][PAIR]: the right factor. A panel is VF_N columns wide;
 * each of its lines is a vector, and for bf16 16 such lines are a tile Everything is padded with
 * zeros to multiples of STEP in both directions.
 */
#ifndef REEL_CPU_SIMD_ATTENTION_BLOCK_H
#define REEL_CPU_SIMD_ATTENTION_BLOCK_H

#include <math.h>

#include "cpu/simd/vec.h"

#if REEL_ISA_LEVEL >= 3
typedef reel_bf16 elem;
enum { PAIR = 2 };
#else
typedef float elem;
enum { PAIR = 1 };
#endif

enum {
    STEP = VF_N * PAIR,                      /* padding of every packed axis */
    DEPTH = REEL_ISA_LEVEL >= 4 ? 32 : PAIR, /* reductions are a multiple of this long */
    MAX_DIM = 512,                           /* longest head dim taken */
};

VEC_INLINE int round_up(int n, int step) {
    return (n + step - 1) / step * step;
}

/* A packed vector as 32-bit lanes: VF_N floats, or VF_N pairs of bf16. */
typedef vu lanes;

VEC_INLINE lanes lanes_load(const elem *p) {
    lanes x;
    memcpy(&x, p, sizeof x);
    return x;
}
VEC_INLINE void lanes_store(elem *p, lanes x) {
    memcpy(p, &x, sizeof x);
}

/* Two vectors as neighbours. */
VEC_INLINE void elem_store_two(elem *p, vf x, vf y) {
#if REEL_ISA_LEVEL >= 3
    lanes_store(p, (lanes)_mm512_cvtne2ps_pbh((__m512)y, (__m512)x));
#else
    lanes_store(p, (lanes)x);
    lanes_store(p + VF_N, (lanes)y);
#endif
}

/* Is any lane above the limit? */
VEC_INLINE bool vf_any_above(vf x, float limit) {
#if REEL_ISA_LEVEL >= 2
    return _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(limit), _CMP_GT_OQ) != 0;
#else
    return vf_greatest(x) > limit;
#endif
}

/* STEP elements of a row in memory from element i on, of which n (<= 0: none) are there. */
VEC_INLINE lanes lanes_read(const void *p, int64_t i, bool bf16, int n) {
#if REEL_ISA_LEVEL >= 3
    (void)bf16;
    const reel_bf16 *from = (const reel_bf16 *)p + i;
    const __mmask32 mask = n >= STEP ? ~0u : n <= 0 ? 0 : (1u << n) - 1;
    return (lanes)_mm512_maskz_loadu_epi16(mask, from);
#else
    if (n >= VF_N) return (lanes)vec_load(p, i, bf16);
    return n <= 0 ? (lanes){0} : (lanes)vec_load_part(p, i, bf16, n);
#endif
}

/* ---- 2^x ---- */

/* 2^x for x <= 127, 0 below -126 (no denormals: they are slow), NaN for NaN. f32 levels: relative
 * error 2e-9 from the polynomial (minimax of degree 6 on [-1/2,1/2]) plus rounding. bf16 levels:
 * 2.6e-6 (degree 4 on [0,1)), a thousandth of what rounding the result to bf16 does. */
VEC_INLINE vf power_of_2(vf x) {
#if REEL_ISA_LEVEL >= 3
    const __m512 z = (__m512)x;
    const vf r = (vf)_mm512_reduce_ps(z, 0x09); /* x - floor(x) */
    vf p = vf_set(0.01353416806f);
    p = p * r + 0.0520114603f;
    p = p * r + 0.2414427571f;
    p = p * r + 0.6930038344f;
    p = p * r + 1.000002593f;
    const __mmask16 normal = _mm512_cmp_ps_mask(z, _mm512_set1_ps(-126), _CMP_NLT_UQ);
    return (vf)_mm512_maskz_scalef_ps(normal, (__m512)p, z); /* p 2^floor(x) */
#else
    const vf magic = vf_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    const vf bounded = vf_at_least(x, -126);
    const vf shifted = bounded + magic;
    const vf r = bounded - (shifted - magic);
    vf p = vf_set(1.534581217e-4f);
    p = p * r + 1.339993121e-3f;
    p = p * r + 9.618488956e-3f;
    p = p * r + 5.550328777e-2f;
    p = p * r + 0.2402264689f;
    p = p * r + 0.6931472057f;
    p = p * r + 1.0f;
    const vi n = (vi)shifted - vi_set(0x4b400000);
    const vf y = p * (vf)((n + 127) << 23);
    return vf_select(x < vf_set(-126), (vf){0}, y);
#endif
}

/* ---- packing ---- */

/* Transposes VF_N vectors of VF_N lanes: line i, lane j to line j, lane i. */
VEC_INLINE void transpose(lanes x[VF_N]) {
#if REEL_ISA_LEVEL >= 2
    /* log2 rounds; in each, lines i and i + step exchange lanes whose bit `step` differs */
    const vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#pragma GCC unroll 4
    for (int step = 1; step < 16; step *= 2) {
        const vi upper = (lane & step) != 0; /* lanes with the bit */
        const __m512i first = (__m512i)((lane & ~upper) | ((lane - step + 16) & upper));
        const __m512i second = (__m512i)(((lane + step) & ~upper) | ((lane + 16) & upper));
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            if (i & step) continue;
            const __m512i a = (__m512i)x[i], b = (__m512i)x[i + step];
            x[i] = (lanes)_mm512_permutex2var_epi32(a, first, b);
            x[i + step] = (lanes)_mm512_permutex2var_epi32(a, second, b);
        }
    }
#else
    uint32_t in[VF_N][VF_N], out[VF_N][VF_N];
    memcpy(in, x, sizeof in);
    for (int i = 0; i < VF_N; i++)
        for (int j = 0; j < VF_N; j++)
            out[j][i] = in[i][j];
    memcpy(x, out, sizeof out);
#endif
}

/* A matrix in memory to be packed: n rows (those with keep[i] 0 are taken as zero; keep may be
 * NULL), D columns. */
typedef struct matrix {
    const void *data;
    bool bf16;
    int64_t at, stride; /* row i begins at element at + i * stride */
    int n, D;
    const uint8_t *keep;
} matrix;

/* STEP elements of row i from column d on, zeros beyond what there is. */
VEC_INLINE lanes matrix_read(const matrix *x, int i, int d) {
    const bool there = i < x->n && (!x->keep || x->keep[i]);
    return lanes_read(x->data, x->at + i * x->stride + d, x->bf16, there ? x->D - d : 0);
}

/* Rows [n padded][Dp]. */
VEC_INLINE void pack_rows(elem *to, const matrix *x, int Dp) {
    const int n = round_up(x->n, STEP);
    for (int i = 0; i < n; i++)
        for (int d = 0; d < Dp; d += STEP)
            lanes_store(to + (int64_t)i * Dp + d, matrix_read(x, i, d));
}

/* Panels of the transpose: a panel holds VF_N rows of x, its depth is Dp. */
VEC_INLINE void pack_across(elem *to, const matrix *x, int Dp) {
    const int n = round_up(x->n, STEP);
    for (int i = 0; i < n; i += VF_N)
        for (int d = 0; d < Dp; d += STEP) {
            lanes t[VF_N];
            for (int r = 0; r < VF_N; r++)
                t[r] = matrix_read(x, i + r, d);
            transpose(t);
            for (int r = 0; r < VF_N; r++)
                lanes_store(to + (int64_t)i * Dp + (int64_t)d * VF_N + r * STEP, t[r]);
        }
}

/* Lines (x_2i,0 x_2i+1,0 x_2i,1 ...): the pairs of two rows, for columns d to d + STEP - 1. f32:
 * the row itself. */
VEC_INLINE void matrix_read_pairs(const matrix *x, int i, int d, lanes line[PAIR]) {
    line[0] = matrix_read(x, i, d);
#if REEL_ISA_LEVEL >= 3
    const lanes even = line[0], odd = matrix_read(x, i + 1, d);
    const lanes low = (even & 0xffffu) | (odd << 16), high = (even >> 16) | (odd & 0xffff0000u);
    /* low: pairs of columns 0 2 4 .., high: of 1 3 5 .. */
    const vi lane = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
    line[0] = (lanes)_mm512_permutex2var_epi32((__m512i)low, (__m512i)lane, (__m512i)high);
    line[1] = (lanes)_mm512_permutex2var_epi32((__m512i)low, (__m512i)(lane + 8), (__m512i)high);
#endif
}

/* Panels of x itself: a panel holds VF_N columns, its depth is the rows. */
VEC_INLINE void pack_along(elem *to, const matrix *x, int Dp) {
    const int n = round_up(x->n, STEP);
    for (int i = 0; i < n; i += PAIR)
        for (int d = 0; d < Dp; d += STEP) {
            lanes line[PAIR];
            matrix_read_pairs(x, i, d, line);
            for (int k = 0; k < PAIR; k++)
                lanes_store(to + (int64_t)(d + k * VF_N) * n + i * VF_N, line[k]);
        }
}

/* Rows of the transpose: [Dp][n padded]. */
VEC_INLINE void pack_turned(elem *to, const matrix *x, int Dp) {
    const int n = round_up(x->n, STEP);
    for (int i = 0; i < n; i += STEP)
        for (int d = 0; d < Dp; d += STEP) {
            lanes t[PAIR][VF_N];
            for (int r = 0; r < VF_N; r++) {
                lanes line[PAIR];
                matrix_read_pairs(x, i + r * PAIR, d, line);
                for (int k = 0; k < PAIR; k++)
                    t[k][r] = line[k];
            }
            for (int k = 0; k < PAIR; k++) {
                transpose(t[k]);
                for (int r = 0; r < VF_N; r++)
                    lanes_store(to + (int64_t)(d + k * VF_N + r) * n + i, t[k][r]);
            }
        }
}

/* ---- product of blocks ---- */

/* c [m][ldc] = (add: +=) a b, for rows a [m][lda] and panels b of depth `panel` each; n columns, a
 * multiple of VF_N, sums of k terms, a multiple of DEPTH. With tiles m counts up to the next
 * multiple of 16: c and a must have those rows. */
typedef struct product {
    float *c;
    const elem *a, *b;
    int64_t ldc, lda, panel; /* panel: elements from one to the next */
    int m, n, k;
    bool add;
} product;

#if REEL_ISA_LEVEL >= 4
/* Tiles 0-3 hold 32 x 32 sums, 4 and 5 rows of a, 6 and 7 panels of b. */
static inline void tiles_begin(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    _tile_loadconfig(&config);
}
static inline void tiles_end(void) {
    _tile_release();
}

#define TILE_BEGIN(tile, row, column)                                                              \
    if (p->add)                                                                                    \
        _tile_loadd(tile, c + (row)*p->ldc + (column), p->ldc * 4);                                \
    else                                                                                           \
        _tile_zero(tile)
#define TILE_END(tile, row, column) _tile_stored(tile, c + (row)*p->ldc + (column), p->ldc * 4)

/* rows and columns: 1 or 2 tiles; constants after inlining. */
VEC_INLINE void tile_block(const product *p, int i, int j, bool two_rows, bool two_columns) {
    float *c = p->c + i * p->ldc + j;
    const elem *a = p->a + i * p->lda, *b = p->b + j / 16 * p->panel;
    TILE_BEGIN(0, 0, 0);
    if (two_columns) {
        TILE_BEGIN(1, 0, 16);
    }
    if (two_rows) {
        TILE_BEGIN(2, 16, 0);
    }
    if (two_rows && two_columns) {
        TILE_BEGIN(3, 16, 16);
    }
    for (int k = 0; k < p->k; k += 32) {
        _tile_loadd(4, a + k, p->lda * 2);
        _tile_loadd(6, b + k * 16, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (two_rows) {
            _tile_loadd(5, a + 16 * p->lda + k, p->lda * 2);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (two_columns) {
            _tile_loadd(7, b + p->panel + k * 16, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (two_rows && two_columns) _tile_dpbf16ps(3, 5, 7);
    }
    TILE_END(0, 0, 0);
    if (two_columns) TILE_END(1, 0, 16);
    if (two_rows) TILE_END(2, 16, 0);
    if (two_rows && two_columns) TILE_END(3, 16, 16);
}

/* Part i of a product: its columns from i PART on. */
enum { PART = 32 };
static __attribute__((noinline, unused)) void multiply_part(const product *p, int part) {
    const int j = part * PART;
    const bool two_columns = p->n - j > 16;
    for (int i = 0; i < p->m; i += 32) {
        if (p->m - i > 16) {
            if (two_columns)
                tile_block(p, i, j, true, true);
            else
                tile_block(p, i, j, true, false);
        } else {
            if (two_columns)
                tile_block(p, i, j, false, true);
            else
                tile_block(p, i, j, false, false);
        }
    }
}

#else

static inline void tiles_begin(void) {}
static inline void tiles_end(void) {}

/* Sums held at once: as many rows by two vectors as the registers have room for. */
#if REEL_ISA_LEVEL >= 2 || defined(__aarch64__)
enum { MAX_ROWS = 12 };
#else
enum { MAX_ROWS = 6 };
#endif

/* sum + the products of a pair at a with the pairs of b (f32: of one element). */
VEC_INLINE vf multiply_add(vf sum, const elem *a, lanes b) {
#if REEL_ISA_LEVEL >= 3
    int32_t pair;
    memcpy(&pair, a, sizeof pair);
    return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)b);
#else
    return sum + *a * (vf)b;
#endif
}

/* n_rows and n_vectors are constants after inlining. Rows are reached as p[r / 3] + (r % 3) lda, so
 * that four pointers and one stride address twelve. */
VEC_INLINE void sum_block(const product *p, int i, int j, int n_rows, int n_vectors) {
    vf sum[12][2];
    const elem *row[4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; r++)
        row[r] = p->a + (i + 3 * r) * p->lda;
    const elem *b0 = p->b + j / VF_N * p->panel, *b1 = b0 + p->panel;
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++)
        sum[r][0] = sum[r][1] = (vf){0};
    for (int k = 0; k < p->k; k += PAIR) {
        const lanes x0 = lanes_load(b0 + k * VF_N);
        const lanes x1 = n_vectors > 1 ? lanes_load(b1 + k * VF_N) : x0;
#pragma GCC unroll 12
        for (int r = 0; r < n_rows; r++) {
            const elem *a = row[r / 3] + (r % 3) * p->lda + k;
            sum[r][0] = multiply_add(sum[r][0], a, x0);
            if (n_vectors > 1) sum[r][1] = multiply_add(sum[r][1], a, x1);
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < n_vectors; v++) {
            float *c = p->c + (i + r) * p->ldc + j + v * VF_N;
            vf_store(c, p->add ? vf_load(c) + sum[r][v] : sum[r][v]);
        }
}

VEC_INLINE void sum_column(const product *p, int j, int n_vectors) {
    int i = 0;
    for (; p->m - i >= MAX_ROWS; i += MAX_ROWS)
        sum_block(p, i, j, MAX_ROWS, n_vectors);
    if (MAX_ROWS > 8 && p->m - i >= 8) {
        sum_block(p, i, j, 8, n_vectors);
        i += 8;
    }
    if (p->m - i >= 4) {
        sum_block(p, i, j, 4, n_vectors);
        i += 4;
    }
    if (p->m - i >= 2) {
        sum_block(p, i, j, 2, n_vectors);
        i += 2;
    }
    if (p->m - i >= 1) sum_block(p, i, j, 1, n_vectors);
}

enum { PART = 2 * VF_N };
static __attribute__((noinline, unused)) void multiply_part(const product *p, int part) {
    const int j = part * PART;
    if (p->n - j > VF_N)
        sum_column(p, j, 2);
    else
        sum_column(p, j, 1);
}
#endif

VEC_INLINE int product_parts(const product *p) {
    return (p->n + PART - 1) / PART;
}
VEC_INLINE void multiply(const product *p) {
    for (int i = 0; i < product_parts(p); i++)
        multiply_part(p, i);
}

#endif
