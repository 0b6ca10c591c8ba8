/* The innermost loops of products: a block of sums held in registers.
 *
 * Each comes as one function of constants, inlined for every number of vectors it is needed for.
 */
#ifndef REEL_CPU_SIMD_GEMM_KERNEL_H
#define REEL_CPU_SIMD_GEMM_KERNEL_H

#include "cpu/simd/gemm_pack.h"

/* MR x NV vectors of sums: as many as the registers hold beside NV vectors of b and one of a. */
#if REEL_ISA_LEVEL >= 2
enum { MR = 8, NV = 3 };
#else
enum { MR = 4, NV = 3 };
#endif
enum { NR = NV * VF_N };

/* Lines of memory that are wanted soon, n > 0 of them, step bytes apart. One is asked for with each
 * word along K: many at once would keep the loads of the product waiting. */
typedef struct gemm_ask {
    const char *from;
    int64_t step, n;
} gemm_ask;

/* a as the kernel reads it: rows of words along K, or a panel [Q,MR]. */
typedef struct gemm_rows {
    const float *data;
    int64_t stride;  /* words between rows; 0: a panel */
    gemm_ask ask[2]; /* with a panel only */
} gemm_rows;

VEC_INLINE vf multiply_add(vf sum, const float *a, vf b, bool pairs) {
#if REEL_ISA_LEVEL >= 3
    if (pairs) {
        int32_t word;
        memcpy(&word, a, sizeof word);
        return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(word), (__m512bh)b);
    }
#endif
    (void)pairs;
    return sum + vf_set(*a) * b;
}

/* c [MR, nv VF_N] (+)= a [MR,Q] b [Q, nv VF_N]; b is a panel of rows NR. */
VEC_INLINE void block_sums(int64_t Q, gemm_rows a, const float *b, float *c, int64_t ldc,
                           bool accumulate, int nv, bool panel, bool pairs) {
    vf sum[MR][NV];
    const float *row[MR];
#pragma GCC unroll 8
    for (int r = 0; r < MR; r++) {
        row[r] = a.data + r * a.stride;
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++) {
            sum[r][v] = (vf){0};
            if (accumulate) __builtin_prefetch(c + r * ldc + v * VF_N, 1);
        }
    }
    int64_t asked[2] = {0, 0}, last[2];
    for (int i = 0; i < 2; i++)
        last[i] = panel ? (a.ask[i].n - 1) * a.ask[i].step : 0;
    for (int64_t q = 0; q < Q; q++) {
#pragma GCC unroll 2
        for (int i = 0; panel && i < 2; i++) {
            __builtin_prefetch(a.ask[i].from + asked[i]);
            asked[i] = asked[i] < last[i] ? asked[i] + a.ask[i].step : last[i];
        }
        vf bv[NV];
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            bv[v] = vf_load(b + q * NR + v * VF_N);
#pragma GCC unroll 8
        for (int r = 0; r < MR; r++) {
            const float *word = panel ? a.data + q * MR + r : row[r] + q;
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++)
                sum[r][v] = multiply_add(sum[r][v], word, bv[v], pairs);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < MR; r++)
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++) {
            float *to = c + r * ldc + v * VF_N;
            vf_store(to, accumulate ? vf_load(to) + sum[r][v] : sum[r][v]);
        }
}

#define BLOCK_SUMS(name, nv, panel, pairs)                                                         \
    static void name(int64_t Q, gemm_rows a, const float *b, float *c, int64_t ldc,                \
                     bool accumulate) {                                                            \
        if (accumulate)                                                                            \
            block_sums(Q, a, b, c, ldc, true, nv, panel, pairs);                                   \
        else                                                                                       \
            block_sums(Q, a, b, c, ldc, false, nv, panel, pairs);                                  \
    }
typedef void block_sums_fn(int64_t Q, gemm_rows a, const float *b, float *c, int64_t ldc,
                           bool accumulate);

BLOCK_SUMS(rows_1, 1, false, false)
BLOCK_SUMS(rows_2, 2, false, false)
BLOCK_SUMS(rows_3, 3, false, false)
BLOCK_SUMS(panel_1, 1, true, false)
BLOCK_SUMS(panel_2, 2, true, false)
BLOCK_SUMS(panel_3, 3, true, false)
#if REEL_ISA_LEVEL >= 3
BLOCK_SUMS(pair_rows_1, 1, false, true)
BLOCK_SUMS(pair_rows_2, 2, false, true)
BLOCK_SUMS(pair_rows_3, 3, false, true)
BLOCK_SUMS(pair_panel_1, 1, true, true)
BLOCK_SUMS(pair_panel_2, 2, true, true)
BLOCK_SUMS(pair_panel_3, 3, true, true)
#endif

/* [pairs][panel][number of vectors - 1] */
static block_sums_fn *const block_sums_of[][2][NV] = {
    {{rows_1, rows_2, rows_3}, {panel_1, panel_2, panel_3}},
#if REEL_ISA_LEVEL >= 3
    {{pair_rows_1, pair_rows_2, pair_rows_3}, {pair_panel_1, pair_panel_2, pair_panel_3}},
#endif
};

#endif
