/* The activations over vectors, for every kernel that applies one. */
#ifndef REEL_CPU_SIMD_ACTIVATION_H
#define REEL_CPU_SIMD_ACTIVATION_H

#include "cpu/simd/vec.h"
#include "ops/activation.h"

/* f(x); f is a constant at the call, so that one branch remains. */
VEC_INLINE vf vec_activation(reel_activation f, vf x) {
    switch (f) {
    case REEL_ACT_GELU_TANH: {
        const float k = 0.79788456f; /* sqrt(2 / pi) */
        return 0.5f * x * (1.0f + vf_tanh(k * (x + 0.044715f * x * x * x)));
    }
    case REEL_ACT_GELU_ERF:
        return 0.5f * x * (1.0f + vf_erf(x * 0.70710678f));
    case REEL_ACT_SILU:
        return x * vf_sigmoid(x);
    default:
        return x;
    }
}

#endif
