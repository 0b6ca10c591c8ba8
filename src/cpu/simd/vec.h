/* Vectors of floats, as wide as the instruction set this file is compiled for.
 *
 * vf holds VF_N floats, vi as many int32. Arithmetic is the compiler's (+ - * / on vf); a * b + c
 * becomes one FMA, since these files, and only these, are compiled with -ffp-contract=fast.
 * Loads and stores take f32 or bf16 in memory; partial ones touch n < VF_N elements only.
 */
#ifndef REEL_CPU_SIMD_VEC_H
#define REEL_CPU_SIMD_VEC_H

#include <stdint.h>
#include <string.h>

#include "tensor/dtype.h"

#if REEL_ISA_LEVEL >= 1
#include <immintrin.h>
#endif

#if REEL_ISA_LEVEL >= 2
enum { VF_N = 16 };
#elif REEL_ISA_LEVEL == 1
enum { VF_N = 8 };
#else
enum { VF_N = 4 };
#endif

typedef float vf __attribute__((vector_size(VF_N * 4)));
typedef int32_t vi __attribute__((vector_size(VF_N * 4)));
typedef uint32_t vu __attribute__((vector_size(VF_N * 4)));
typedef uint16_t vh __attribute__((vector_size(VF_N * 2)));

/* reel_cpu_register_norm -> reel_cpu_register_norm_avx512; REEL_ISA_TEXT is "avx512". */
#define REEL_ISA_PASTE(name, isa) name##_##isa
#define REEL_ISA_PASTE_EXPANDED(name, isa) REEL_ISA_PASTE(name, isa)
#define REEL_ISA_NAME(name) REEL_ISA_PASTE_EXPANDED(name, REEL_ISA)
#define REEL_ISA_STRINGIFY(isa) #isa
#define REEL_ISA_STRINGIFY_EXPANDED(isa) REEL_ISA_STRINGIFY(isa)
#define REEL_ISA_TEXT REEL_ISA_STRINGIFY_EXPANDED(REEL_ISA)

#if REEL_SANITIZED /* every copy of every load would be instrumented: minutes a file to compile */
#define VEC_INLINE static inline __attribute__((unused))
#else
#define VEC_INLINE static inline __attribute__((always_inline, unused))
#endif

/* ---- making and moving ---- */

/* Not (vf){0} + x: that is an addition, since it must turn -0 into +0. */
VEC_INLINE vf vf_set(float x) {
#if REEL_ISA_LEVEL >= 2
    return (vf)_mm512_set1_ps(x);
#elif REEL_ISA_LEVEL == 1
    return (vf)_mm256_set1_ps(x);
#else
    return (vf){x, x, x, x};
#endif
}
VEC_INLINE vi vi_set(int32_t x) {
    return (vi){0} + x;
}

VEC_INLINE vf vf_load(const float *p) {
    vf x;
    memcpy(&x, p, sizeof x);
    return x;
}
VEC_INLINE void vf_store(float *p, vf x) {
    memcpy(p, &x, sizeof x);
}

VEC_INLINE vf vf_from_bf16(vh x) {
    return (vf)(__builtin_convertvector(x, vu) << 16);
}

/* Round to nearest even; NaN keeps its sign and becomes quiet. */
VEC_INLINE vh vf_to_bf16(vf x) {
#if REEL_ISA_LEVEL >= 3
    const __m256bh y = _mm512_cvtneps_pbh((__m512)x);
    vh z;
    memcpy(&z, &y, sizeof z);
    return z;
#else
    const vu bits = (vu)x;
    const vu rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    const vu is_nan = (vu)((vi)(bits & 0x7fffffffu) > vi_set(0x7f800000));
    const vu quiet = bits | 0x400000u;
    return __builtin_convertvector(((quiet & is_nan) | (rounded & ~is_nan)) >> 16, vh);
#endif
}

VEC_INLINE vf vf_load_bf16(const reel_bf16 *p) {
    vh x;
    memcpy(&x, p, sizeof x);
    return vf_from_bf16(x);
}
VEC_INLINE void vf_store_bf16(reel_bf16 *p, vf x) {
    const vh y = vf_to_bf16(x);
    memcpy(p, &y, sizeof y);
}

/* The first n < VF_N elements; the rest reads as zero and is not written. */
VEC_INLINE vf vf_load_part(const float *p, int n) {
#if REEL_ISA_LEVEL >= 2
    return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
    vf x = {0};
    memcpy(&x, p, (size_t)n * sizeof *p);
    return x;
#endif
}
VEC_INLINE void vf_store_part(float *p, vf x, int n) {
#if REEL_ISA_LEVEL >= 2
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
#else
    memcpy(p, &x, (size_t)n * sizeof *p);
#endif
}
VEC_INLINE vf vf_load_bf16_part(const reel_bf16 *p, int n) {
#if REEL_ISA_LEVEL >= 2
    return vf_from_bf16((vh)_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p));
#else
    vh x = {0};
    memcpy(&x, p, (size_t)n * sizeof *p);
    return vf_from_bf16(x);
#endif
}
VEC_INLINE void vf_store_bf16_part(reel_bf16 *p, vf x, int n) {
    const vh y = vf_to_bf16(x);
#if REEL_ISA_LEVEL >= 2
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), (__m256i)y);
#else
    memcpy(p, &y, (size_t)n * sizeof *p);
#endif
}

/* f16, n <= VF_N elements of it. Without the conversion instructions, element by element. */
VEC_INLINE vf vf_load_f16_part(const reel_f16 *p, int n) {
    vh x = {0};
    memcpy(&x, p, (size_t)n * sizeof *p);
#if REEL_ISA_LEVEL >= 2
    return (vf)_mm512_cvtph_ps((__m256i)x);
#elif REEL_ISA_LEVEL == 1
    return (vf)_mm256_cvtph_ps((__m128i)x);
#else
    vf y = {0};
    for (int i = 0; i < n; i++)
        y[i] = reel_f16_to_f32(x[i]);
    return y;
#endif
}
VEC_INLINE void vf_store_f16_part(reel_f16 *p, vf x, int n) {
#if REEL_ISA_LEVEL >= 2
    const vh y = (vh)_mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT);
#elif REEL_ISA_LEVEL == 1
    const vh y = (vh)_mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT);
#else
    vh y = {0};
    for (int i = 0; i < n; i++)
        y[i] = reel_f32_to_f16(x[i]);
#endif
    memcpy(p, &y, (size_t)n * sizeof *p);
}

/* Element i.. of f32 or bf16 memory. Callers pass bf16 as a constant, so that the branch is gone
 * after inlining: write the loop once, call it for each dtype. */
VEC_INLINE vf vec_load(const void *p, int64_t i, bool bf16) {
    return bf16 ? vf_load_bf16((const reel_bf16 *)p + i) : vf_load((const float *)p + i);
}
VEC_INLINE void vec_store(void *p, int64_t i, bool bf16, vf x) {
    if (bf16)
        vf_store_bf16((reel_bf16 *)p + i, x);
    else
        vf_store((float *)p + i, x);
}
VEC_INLINE vf vec_load_part(const void *p, int64_t i, bool bf16, int n) {
    return bf16 ? vf_load_bf16_part((const reel_bf16 *)p + i, n)
                : vf_load_part((const float *)p + i, n);
}
VEC_INLINE void vec_store_part(void *p, int64_t i, bool bf16, vf x, int n) {
    if (bf16)
        vf_store_bf16_part((reel_bf16 *)p + i, x, n);
    else
        vf_store_part((float *)p + i, x, n);
}

/* The same past the caches, for results too large to be found there again: whole vectors, p + i
 * aligned to their size. vec_stream_end comes before another thread may read them. */
VEC_INLINE void vec_stream(void *p, int64_t i, bool bf16, vf x) {
#if REEL_ISA_LEVEL >= 2
    if (bf16) {
        const vh y = vf_to_bf16(x);
        _mm256_stream_si256((__m256i *)(void *)((reel_bf16 *)p + i), (__m256i)y);
    } else {
        _mm512_stream_ps((float *)p + i, (__m512)x);
    }
#elif REEL_ISA_LEVEL == 1
    if (bf16) {
        const vh y = vf_to_bf16(x);
        _mm_stream_si128((__m128i *)(void *)((reel_bf16 *)p + i), (__m128i)y);
    } else {
        _mm256_stream_ps((float *)p + i, (__m256)x);
    }
#else
    vec_store(p, i, bf16, x);
#endif
}
VEC_INLINE void vec_stream_end(void) {
#if REEL_ISA_LEVEL >= 1
    _mm_sfence();
#endif
}

/* Asks for element i of f32 or bf16 memory, which need not exist. */
VEC_INLINE void vec_prefetch(const void *p, int64_t i, bool bf16) {
    __builtin_prefetch((const void *)((uintptr_t)p + (uintptr_t)(i * (bf16 ? 2 : 4))));
}

/* ---- choosing ---- */

/* mask lanes are 0 or ~0, as comparisons give them. */
VEC_INLINE vf vf_select(vi mask, vf yes, vf no) {
    return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}
/* NaN in x comes out, as it should from a maths function: comparisons with it are false. (The
 * instructions give their second operand when either is NaN, which is the same.) */
VEC_INLINE vf vf_at_most(vf x, float limit) {
#if REEL_ISA_LEVEL >= 2
    return (vf)_mm512_min_ps((__m512)vf_set(limit), (__m512)x);
#elif REEL_ISA_LEVEL == 1
    return (vf)_mm256_min_ps((__m256)vf_set(limit), (__m256)x);
#else
    return vf_select(x > vf_set(limit), vf_set(limit), x);
#endif
}
VEC_INLINE vf vf_at_least(vf x, float limit) {
#if REEL_ISA_LEVEL >= 2
    return (vf)_mm512_max_ps((__m512)vf_set(limit), (__m512)x);
#elif REEL_ISA_LEVEL == 1
    return (vf)_mm256_max_ps((__m256)vf_set(limit), (__m256)x);
#else
    return vf_select(x < vf_set(limit), vf_set(limit), x);
#endif
}
/* a > b ? a : b, so that b comes out when either is NaN: one instruction where there is one. */
VEC_INLINE vf vf_max(vf a, vf b) {
#if REEL_ISA_LEVEL >= 2
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif REEL_ISA_LEVEL == 1
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return vf_select(a > b, a, b);
#endif
}
VEC_INLINE vf vf_abs(vf x) {
    return (vf)((vi)x & vi_set(0x7fffffff));
}

/* Sum of the lanes, always in the order of a halving tree. */
VEC_INLINE float vf_sum(vf x) {
#if REEL_ISA_LEVEL >= 1
#if REEL_ISA_LEVEL >= 2
    const __m256 eight = _mm512_castps512_ps256((__m512)x) + _mm512_extractf32x8_ps((__m512)x, 1);
#else
    const __m256 eight = (__m256)x;
#endif
    const __m128 four = _mm256_castps256_ps128(eight) + _mm256_extractf128_ps(eight, 1);
    const __m128 two = four + _mm_movehl_ps(four, four);
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
    float lane[VF_N];
    memcpy(lane, &x, sizeof lane);
    for (int half = VF_N / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
#endif
}
VEC_INLINE float vf_greatest(vf x) {
#if REEL_ISA_LEVEL >= 2
    return _mm512_reduce_max_ps((__m512)x);
#else
    float lane[VF_N];
    memcpy(lane, &x, sizeof lane);
    for (int half = VF_N / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] = lane[i] > lane[i + half] ? lane[i] : lane[i + half];
    return lane[0];
#endif
}

VEC_INLINE vf vf_sqrt(vf x) {
#if REEL_ISA_LEVEL >= 2
    return (vf)_mm512_sqrt_ps((__m512)x);
#elif REEL_ISA_LEVEL == 1
    return (vf)_mm256_sqrt_ps((__m256)x);
#else
    vf y;
    for (int i = 0; i < VF_N; i++)
        y[i] = __builtin_sqrtf(x[i]);
    return y;
#endif
}

/* ---- functions ---- */

/* e^x, within 2 ulp on [-87.3, 88.7]; 0 below, inf above, NaN for NaN. Cody & Waite reduction
 * x = n ln 2 + r, |r| <= ln(2)/2, then the Taylor polynomial of degree 6 refitted (Cephes expf). */
VEC_INLINE vf vf_exp(vf x) {
    const vf magic = vf_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
#if REEL_ISA_LEVEL >= 2
    const vf bounded = vf_at_most(x, 88.8f); /* what is too small is masked at the end */
#else
    const vf bounded = vf_at_least(vf_at_most(x, 88.8f), -87.4f);
#endif
    const vf shifted = bounded * 1.44269504088896341f + magic;
    const vf n = shifted - magic;
    const vf r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
    vf p = vf_set(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
#if REEL_ISA_LEVEL >= 2
    const __mmask16 in_range = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(-87.4f), _CMP_NLT_UQ);
    return (vf)_mm512_maskz_scalef_ps(in_range, (__m512)p, (__m512)n);
#else
    /* 2^n in two factors, so that n = 128 overflows to inf and not to a wrong exponent */
    const vi k = (vi)shifted - vi_set(0x4b400000);
    const vi half = k >> 1;
    const vf y = p * (vf)((half + 127) << 23) * (vf)((k - half + 127) << 23);
    return vf_select(x < vf_set(-87.4f), (vf){0}, y);
#endif
}

/* 1 / x within 2 ulp for x >= 1, inf and NaN included: where a division takes as long as ten other
 * instructions, an estimate of 14 bits and a Newton step. */
VEC_INLINE vf vf_reciprocal(vf x) {
#if REEL_ISA_LEVEL >= 2
    const __m512 d = (__m512)x, y = _mm512_rcp14_ps(d);
    /* the step's inf * 0 is masked: 1 / inf stays the estimate, 0 */
    const __mmask16 finite = _mm512_cmp_ps_mask(d, _mm512_set1_ps(__builtin_inff()), _CMP_LT_OQ);
    const __m512 error = _mm512_maskz_fnmadd_ps(finite, d, y, _mm512_set1_ps(1.0f));
    return (vf)_mm512_fmadd_ps(y, error, y);
#else
    return 1.0f / x;
#endif
}

/* 1 / (1 + e^-x) */
VEC_INLINE vf vf_sigmoid(vf x) {
    return vf_reciprocal(1.0f + vf_exp(-x));
}

/* erf x: Abramowitz & Stegun 7.1.26 is too coarse (1.5e-7 absolute); this is the same form with
 * the degree raised, |error| < 1.2e-7 relative to 1 (Numerical Recipes, erfcc). */
VEC_INLINE vf vf_erf(vf x) {
    const vf a = vf_abs(x);
    const vf t = vf_reciprocal(1.0f + 0.5f * a);
    vf p = vf_set(0.17087277f);
    p = p * t - 0.82215223f;
    p = p * t + 1.48851587f;
    p = p * t - 1.13520398f;
    p = p * t + 0.27886807f;
    p = p * t - 0.18628806f;
    p = p * t + 0.09678418f;
    p = p * t + 0.37409196f;
    p = p * t + 1.00002368f;
    p = p * t - 1.26551223f;
    const vf positive = 1.0f - t * vf_exp(p - a * a);
    return (vf)((vi)positive | ((vi)x & vi_set((int32_t)0x80000000)));
}

#endif
