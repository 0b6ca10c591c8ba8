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

/* f'(x). Beyond 20 every slope is 0 or 1 to the last bit; stopping there keeps x^2 finite. */
VEC_INLINE vf vec_activation_slope(reel_activation f, vf x) {
    const vf b = vf_at_least(vf_at_most(x, 20.0f), -20.0f);
    switch (f) {
    case REEL_ACT_GELU_TANH: {
        const vf s = vf_sigmoid(vec_gelu_2k * (b + vec_gelu_c * b * b * b));
        return s + b * s * (1.0f - s) * vec_gelu_2k * (1.0f + 3.0f * vec_gelu_c * b * b);
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
