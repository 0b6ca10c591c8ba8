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

#if REEL_ISA_LEVEL >= 2
/* Whole rows are loaded, once each: rows a multiple of 4 KiB apart share the few lines that the L1
 * keeps for an address, and what is left in memory for a second load is gone by then. */
VEC_INLINE void transpose_words(const float *from, int64_t from_stride, float *to,
                                int64_t to_stride) {
    vf quarter[4][4]; /* [i][c]: of rows 4i.. 4i+4 the words c, 4+c, 8+c, 12+c, 128 bits each */
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const float *row = from + 4 * i * from_stride;
        const vf v0 = vf_load(row), v1 = vf_load(row + from_stride);
        const vf v2 = vf_load(row + 2 * from_stride), v3 = vf_load(row + 3 * from_stride);
        const vf a = UNPACK_LO(v0, v1), b = UNPACK_HI(v0, v1);
        const vf c = UNPACK_LO(v2, v3), d = UNPACK_HI(v2, v3);
        quarter[i][0] = UNPACK_LO2(a, c), quarter[i][1] = UNPACK_HI2(a, c);
        quarter[i][2] = UNPACK_LO2(b, d), quarter[i][3] = UNPACK_HI2(b, d);
    }
#define SHUFFLE(x, y, which) (vf) _mm512_shuffle_f32x4((__m512)(x), (__m512)(y), which)
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        const vf a = SHUFFLE(quarter[0][c], quarter[1][c], 0x44);
        const vf b = SHUFFLE(quarter[2][c], quarter[3][c], 0x44);
        const vf d = SHUFFLE(quarter[0][c], quarter[1][c], 0xee);
        const vf e = SHUFFLE(quarter[2][c], quarter[3][c], 0xee);
        vf_store(to + (c + 0) * to_stride, SHUFFLE(a, b, 0x88));
        vf_store(to + (c + 4) * to_stride, SHUFFLE(a, b, 0xdd));
        vf_store(to + (c + 8) * to_stride, SHUFFLE(d, e, 0x88));
        vf_store(to + (c + 12) * to_stride, SHUFFLE(d, e, 0xdd));
    }
#undef SHUFFLE
}
#else
/* 128 bits from each of rows 0 and 4: the loads do half of the transposition. */
VEC_INLINE vf load_quarters(const float *p, int64_t stride) {
#if REEL_ISA_LEVEL == 1
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
#endif

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

#if REEL_ISA_LEVEL >= 3
/* Pairs of 32 neighbours of two rows of memory. */
VEC_INLINE void interleave(const reel_bf16 *even, const reel_bf16 *odd, vf *low, vf *high) {
    static const uint16_t order[2][32] = {
        {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
         8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47},
        {16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55,
         24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63}};
    const __m512i a = _mm512_loadu_si512(even), b = _mm512_loadu_si512(odd);
    *low = (vf)_mm512_permutex2var_epi16(a, _mm512_loadu_si512(order[0]), b);
    *high = (vf)_mm512_permutex2var_epi16(a, _mm512_loadu_si512(order[1]), b);
}
#endif

VEC_INLINE int64_t least_of(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Words along K of the whole matrix. */
VEC_INLINE int64_t words_of(const gemm_source *s) {
    return s->pairs ? (s->K + 1) / 2 : s->K;
}

/* ---- panels ---- */

/* A panel [Q,W] for each W lines, `next` words after the one before. */
typedef struct gemm_panels {
    float *to;
    int64_t next;
    int W;
    int64_t ahead; /* words to ask for beforehand, where K is outside */
} gemm_panels;

/* Lines i.. i+VF_N with K inside, words [q,end), into one VF_N-wide column of a panel of rows W,
 * whose row for word q is at to; words past the matrix's end become zero. */
VEC_INLINE void pack_column(const gemm_source *s, int64_t i, int64_t q, int64_t end, float *to,
                            int W) {
    enum { AHEAD = 4 * VF_N }; /* lines are too many for the hardware to follow */
    const int64_t n_words = words_of(s), stride = s->pairs ? s->K / 2 : s->K;
    const bool in_place = i + VF_N <= s->n && (s->pairs ? s->K % 2 == 0 : !s->bf16);
    for (; q < end; q += VF_N, to += VF_N * W) {
        if (in_place && q + VF_N <= n_words) {
            const float *from = (const float *)s->data + stride * i + q;
            for (int r = 0; r < VF_N; r++)
                __builtin_prefetch(from + r * stride + AHEAD);
            transpose_words(from, stride, to, W);
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

/* One word of lines at.. at+VF_N, counted from the first panel's first. */
VEC_INLINE void put_across(const gemm_panels *p, int64_t at, int64_t q, vf words) {
    if (p->W >= VF_N) {
        vf_store(p->to + at / p->W * p->next + q * p->W + at % p->W, words);
        return;
    }
#if REEL_ISA_LEVEL >= 2
    float *to = p->to + at / p->W * p->next + q * p->W; /* W is 8 */
    _mm256_storeu_ps(to, _mm512_castps512_ps256((__m512)words));
    _mm256_storeu_ps(to + p->next, _mm512_extractf32x8_ps((__m512)words, 1));
#else
    for (int part = 0; part < VF_N / p->W; part++)
        memcpy(p->to + (at / p->W + part) * p->next + q * p->W, (const float *)&words + part * p->W,
               (size_t)p->W * sizeof(float));
#endif
}

/* Lines i.. i+n with K outside, words q0.. q0+n_q: word by word over all panels, so that memory is
 * read in its order and once. Lines and words past the matrix's end become zero. */
VEC_INLINE void pack_across(const gemm_source *s, int64_t i, int64_t n, int64_t q0, int64_t n_q,
                            gemm_panels p) {
    const int64_t n_words = words_of(s), n_full = least_of(n, s->n - i);
    for (int64_t q = 0; q < n_q; q++) {
        int64_t at = 0;
        if (q0 + q < n_words) {
#if REEL_ISA_LEVEL >= 3
            if (s->pairs && 2 * (q0 + q) + 1 < s->K)
                for (; at + 2 * VF_N <= n_full; at += 2 * VF_N) {
                    const reel_bf16 *from =
                        (const reel_bf16 *)s->data + 2 * (q0 + q) * s->n + i + at;
                    __builtin_prefetch(from + 2 * p.ahead * s->n);
                    __builtin_prefetch(from + (2 * p.ahead + 1) * s->n);
                    vf low, high;
                    interleave(from, from + s->n, &low, &high);
                    put_across(&p, at, q, low);
                    put_across(&p, at + VF_N, q, high);
                }
#endif
            for (; at + VF_N <= n_full; at += VF_N) {
                if (!s->pairs && !s->bf16)
                    __builtin_prefetch((const float *)s->data + (q0 + q + p.ahead) * s->n + i + at);
                put_across(&p, at, q, load_across_full(s, i + at, q0 + q));
            }
            if (at < n_full) {
                put_across(&p, at, q, load_across(s, i + at, q0 + q, (int)(n_full - at)));
                at += VF_N;
            }
        }
        for (; at < n; at += VF_N)
            put_across(&p, at, q, (vf){0});
    }
}

#endif
