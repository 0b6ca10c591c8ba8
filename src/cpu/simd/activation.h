/* The activations and their slopes over vectors, for every kernel that applies one. */
#ifndef REEL_CPU_SIMD_ACTIVATION_H
#define REEL_CPU_SIMD_ACTIVATION_H

#include "cpu/simd/vec.h"
#include "ops/activation.h"

static const float vec_gelu_2k = 1.59576912f; /* 2 sqrt(2 / pi) */
static const float vec_gelu_c = 0.044715f;

/* f(x); f is a constant at the call, so that one branch remains. The tanh of gelu is taken as a
 * sigmoid, (1 + tanh u) / 2 = sigmoid(2u): half the work of a tanh that is exact near 0. */
VEC_INLINE vf vec_activation(reel_activation f, vf x) {
    switch (f) {
    case REEL_ACT_GELU_TANH:
        return x * vf_sigmoid(vec_gelu_2k * (x + vec_gelu_c * x * x * x));
    case REEL_ACT_GELU_ERF:
        return 0.5f * x * (1.0f + vf_erf(x * 0.70710678f));
    case REEL_ACT_SILU:
        return x * vf_sigmoid(x);
    default:
        return x;
    }
}

#if REEL_ISA_LEVEL >= 4
/* The slope of gelu with tanh, in 24 instructions: where products have tiles, this is no small part
 * of a training step. sigmoid(2u) = 1 / (1 + 2^t); within +-10, where it is 1 and 1e-38, no power
 * overflows and no case is special. 2^r, |r| <= 1/2, is the minimax polynomial of degree 5, off by
 * 7.5e-8; the reciprocal an estimate of 14 bits and a Newton step. */
VEC_INLINE vf vec_gelu_slope(vf x) {
    const float to_t = -1.44269504f * vec_gelu_2k; /* -log2(e) 2u = t */
    const vf b = vf_at_least(vf_at_most(x, 10.0f), -10.0f), square = b * b;
    const vf t = b * (square * (to_t * vec_gelu_c) + to_t);
    const vf magic = vf_set(12582912.0f), n = (t + magic) - magic, r = t - n; /* as in vf_exp */
    vf p = vf_set(1.327647217e-3f);
    p = p * r + 9.675541331e-3f;
    p = p * r + 5.550713273e-2f;
    p = p * r + 2.402211972e-1f;
    p = p * r + 6.931469671e-1f;
    p = p * r + 1.000000072f;
    const vf d = (vf)_mm512_scalef_ps((__m512)p, (__m512)n) + 1.0f;
    const vf y = (vf)_mm512_rcp14_ps((__m512)d), s = y * (1.0f - d * y) + y;
    return (s - s * s) * (b * (square * (3.0f * vec_gelu_c * vec_gelu_2k) + vec_gelu_2k)) + s;
}
#endif

/* f'(x). Beyond 20 every slope is 0 or 1 to the last bit; stopping there keeps x^2 finite. */
VEC_INLINE vf vec_activation_slope(reel_activation f, vf x) {
    const vf b = vf_at_least(vf_at_most(x, 20.0f), -20.0f);
    switch (f) {
    case REEL_ACT_GELU_TANH: {
#if REEL_ISA_LEVEL >= 4
        return vec_gelu_slope(x);
#else
        const vf s = vf_sigmoid(vec_gelu_2k * (b + vec_gelu_c * b * b * b));
        return s + b * s * (1.0f - s) * vec_gelu_2k * (1.0f + 3.0f * vec_gelu_c * b * b);
#endif
    }
    case REEL_ACT_GELU_ERF:
        return 0.5f * (1.0f + vf_erf(b * 0.70710678f)) + b * 0.39894228f * vf_exp(-0.5f * b * b);
    case REEL_ACT_SILU: {
        const vf s = vf_sigmoid(x);
        return s * (1.0f + x * (1.0f - s));
    }
    default:
        return vf_set(1.0f);
    }
}

/* call(f) with the activation `act` as a constant f, so that each gets loops of its own. */
#define VEC_WITH_ACTIVATION(act, call)                                                             \
    switch (act) {                                                                                 \
    case REEL_ACT_GELU_TANH:                                                                       \
        call(REEL_ACT_GELU_TANH);                                                                  \
        break;                                                                                     \
    case REEL_ACT_GELU_ERF:                                                                        \
        call(REEL_ACT_GELU_ERF);                                                                   \
        break;                                                                                     \
    case REEL_ACT_SILU:                                                                            \
        call(REEL_ACT_SILU);                                                                       \
        break;                                                                                     \
    default:                                                                                       \
        call(REEL_ACT_NONE);                                                                       \
    }

#endif
