/* Rearranging operands for products.
 *
 * Packed operands are made of 32-bit words: one f32, or a pair of bf16 neighbours along K. Letters:
 * Q words along K (K, or K/2 rounded up), W width of a panel. A panel is [Q,W]: for each word along
 * K, W neighbours of the other axis, zero where the matrix ends.
 */
#ifndef REEL_CPU_SIMD_GEMM_PACK_H
#define REEL_CPU_SIMD_GEMM_PACK_H

#include "cpu/simd/gemm.h"

/* A matrix as packing sees it: n along the axis that is not K. */
typedef struct gemm_source {
    const void *data;
    int64_t n, K;
    bool bf16, k_inside;
    bool pairs; /* words are bf16 pairs; else bf16 is widened to f32 */
} gemm_source;

/* ---- 32-bit transposition: VF_N x VF_N, rows of either side with strides in words ---- */

#if REEL_ISA_LEVEL >= 2
#define UNPACK_LO(x, y) (vf) _mm512_unpacklo_ps((__m512)(x), (__m512)(y))
#define UNPACK_HI(x, y) (vf) _mm512_unpackhi_ps((__m512)(x), (__m512)(y))
#define UNPACK_LO2(x, y) (vf) _mm512_unpacklo_pd((__m512d)(x), (__m512d)(y))
#define UNPACK_HI2(x, y) (vf) _mm512_unpackhi_pd((__m512d)(x), (__m512d)(y))
#elif REEL_ISA_LEVEL == 1
#define UNPACK_LO(x, y) (vf) _mm256_unpacklo_ps((__m256)(x), (__m256)(y))
#define UNPACK_HI(x, y) (vf) _mm256_unpackhi_ps((__m256)(x), (__m256)(y))
#define UNPACK_LO2(x, y) (vf) _mm256_unpacklo_pd((__m256d)(x), (__m256d)(y))
#define UNPACK_HI2(x, y) (vf) _mm256_unpackhi_pd((__m256d)(x), (__m256d)(y))
#else
#define UNPACK_LO(x, y) __builtin_shufflevector(x, y, 0, 4, 1, 5)
#define UNPACK_HI(x, y) __builtin_shufflevector(x, y, 2, 6, 3, 7)
#define UNPACK_LO2(x, y) __builtin_shufflevector(x, y, 0, 1, 4, 5)
#define UNPACK_HI2(x, y) __builtin_shufflevector(x, y, 2, 3, 6, 7)
#endif

/* 128 bits from each of rows 0, 4, 8, ...: the loads do half of the transposition. */
VEC_INLINE vf load_quarters(const float *p, int64_t stride) {
#if REEL_ISA_LEVEL >= 2
    __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(p));
    x = _mm512_insertf32x4(x, _mm_loadu_ps(p + 4 * stride), 1);
    x = _mm512_insertf32x4(x, _mm_loadu_ps(p + 8 * stride), 2);
    return (vf)_mm512_insertf32x4(x, _mm_loadu_ps(p + 12 * stride), 3);
#elif REEL_ISA_LEVEL == 1
    return (vf)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)),
                                    _mm_loadu_ps(p + 4 * stride), 1);
#else
    (void)stride;
    return vf_load(p);
#endif
}

VEC_INLINE void transpose_words(const float *from, int64_t from_stride, float *to,
                                int64_t to_stride) {
#pragma GCC unroll 4
    for (int g = 0; g < VF_N; g += 4) {
        const vf v0 = load_quarters(from + g, from_stride);
        const vf v1 = load_quarters(from + g + from_stride, from_stride);
        const vf v2 = load_quarters(from + g + 2 * from_stride, from_stride);
        const vf v3 = load_quarters(from + g + 3 * from_stride, from_stride);
        const vf a = UNPACK_LO(v0, v1), b = UNPACK_HI(v0, v1);
        const vf c = UNPACK_LO(v2, v3), d = UNPACK_HI(v2, v3);
        vf_store(to + (g + 0) * to_stride, UNPACK_LO2(a, c));
        vf_store(to + (g + 1) * to_stride, UNPACK_HI2(a, c));
        vf_store(to + (g + 2) * to_stride, UNPACK_LO2(b, d));
        vf_store(to + (g + 3) * to_stride, UNPACK_HI2(b, d));
    }
}

/* ---- loading words ---- */

/* Words q.. q+count of line i, when K is inside; the rest of the vector is zero. */
VEC_INLINE vf load_along_k(const gemm_source *s, int64_t i, int64_t q, int count) {
    const int64_t line = i * s->K;
    if (!s->bf16)
        return count == VF_N ? vf_load((const float *)s->data + line + q)
                             : vf_load_part((const float *)s->data + line + q, count);
    const reel_bf16 *p = (const reel_bf16 *)s->data + line;
    if (!s->pairs) return count == VF_N ? vf_load_bf16(p + q) : vf_load_bf16_part(p + q, count);
    const int64_t left = s->K - 2 * q;
    vf x = {0};
    memcpy(&x, p + 2 * q, (size_t)(left < 2 * count ? left : 2 * count) * sizeof *p);
    return x;
}

/* Word q of lines i.. i+count, when K is outside; the rest of the vector is zero. */
VEC_INLINE vf load_across(const gemm_source *s, int64_t i, int64_t q, int count) {
    if (!s->pairs) return vec_load_part(s->data, q * s->n + i, s->bf16, count);
    const reel_bf16 *p = (const reel_bf16 *)s->data + 2 * q * s->n + i;
    vh even = {0}, odd = {0};
    memcpy(&even, p, (size_t)count * sizeof *p);
    if (2 * q + 1 < s->K) memcpy(&odd, p + s->n, (size_t)count * sizeof *p);
    return (vf)(__builtin_convertvector(even, vu) | __builtin_convertvector(odd, vu) << 16);
}

VEC_INLINE vf load_across_full(const gemm_source *s, int64_t i, int64_t q) {
    if (!s->pairs)
        return s->bf16 ? vf_load_bf16((const reel_bf16 *)s->data + q * s->n + i)
                       : vf_load((const float *)s->data + q * s->n + i);
    if (2 * q + 1 >= s->K) return load_across(s, i, q, VF_N);
    const reel_bf16 *p = (const reel_bf16 *)s->data + 2 * q * s->n + i;
    vh even, odd;
    memcpy(&even, p, sizeof even);
    memcpy(&odd, p + s->n, sizeof odd);
    return (vf)(__builtin_convertvector(even, vu) | __builtin_convertvector(odd, vu) << 16);
}

/* Lines i.. i+n of words q.. q+VF_N as VF_N rows of VF_N words, zero where the matrix ends. */
VEC_INLINE void load_block(const gemm_source *s, int64_t i, int64_t q, int64_t n_words,
                           float block[VF_N * VF_N]) {
    const int count = (int)(n_words - q < VF_N ? n_words - q : VF_N);
    for (int r = 0; r < VF_N; r++)
        vf_store(block + r * VF_N,
                 i + r < s->n && count > 0 ? load_along_k(s, i + r, q, count) : (vf){0});
}

/* Words along K of the whole matrix. */
VEC_INLINE int64_t words_of(const gemm_source *s) {
    return s->pairs ? (s->K + 1) / 2 : s->K;
}

/* ---- panels ---- */

/* Lines i.. i+VF_N, words [q,end), into one VF_N-wide column of a panel of rows W, whose row for
 * word q is at to; words past the matrix's end become zero. */
VEC_INLINE void pack_column(const gemm_source *s, int64_t i, int64_t q, int64_t end, float *to,
                            int W) {
    const int64_t n_words = words_of(s);
    const int count = (int)(s->n - i < 0 ? 0 : s->n - i < VF_N ? s->n - i : VF_N);
    if (!s->k_inside) {
        if (count == VF_N)
            for (; q < end && q < n_words; q++, to += W)
                vf_store(to, load_across_full(s, i, q));
        for (; q < end; q++, to += W)
            vf_store(to, q < n_words && count ? load_across(s, i, q, count) : (vf){0});
        return;
    }
    const bool words_in_place = count == VF_N && (s->pairs ? s->K % 2 == 0 : !s->bf16);
    for (; q < end; q += VF_N, to += VF_N * W) {
        if (words_in_place && q + VF_N <= n_words) {
            const int64_t stride = s->pairs ? s->K / 2 : s->K;
            transpose_words((const float *)s->data + stride * i + q, stride, to, W);
            continue;
        }
        float block[VF_N * VF_N] __attribute__((aligned(64)));
        float turned[VF_N * VF_N] __attribute__((aligned(64)));
        load_block(s, i, q, n_words, block);
        transpose_words(block, VF_N, turned, VF_N);
        for (int r = 0; r < VF_N && q + r < end; r++)
            vf_store(to + r * W, vf_load(turned + r * VF_N));
    }
}

#endif
