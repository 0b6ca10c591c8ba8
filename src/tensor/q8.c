#include "tensor/q8.h"

#include <math.h>

float reel_q8_round(const float x[REEL_Q8_VALUES], int8_t q[REEL_Q8_VALUES]) {
    float largest = 0;
    bool finite = true;
    for (int i = 0; i < REEL_Q8_VALUES; i++) {
        finite &= isfinite(x[i]) != 0;
        largest = fmaxf(largest, fabsf(x[i]));
    }
    /* Below this the factor would overflow; such a block is nothing but zeros to any product. */
    const float factor = finite && largest > 1e-36f ? 127.0f / largest : 0.0f;
    for (int i = 0; i < REEL_Q8_VALUES; i++)
        q[i] = (int8_t)(finite ? lrintf(x[i] * factor) : 0);
    return finite ? largest / 127.0f : NAN;
}

void reel_q8_quantise(reel_q8_block *block, reel_dtype from, const void *src, int64_t n) {
    for (int64_t i = 0; i < n; i += REEL_Q8_VALUES) {
        float x[REEL_Q8_VALUES];
        reel_q8_block *b = &block[i / REEL_Q8_VALUES];
        reel_dtype_cast(REEL_F32, x, from, (const char *)src + i * reel_dtype_bytes(from),
                        REEL_Q8_VALUES);
        b->scale = reel_f32_to_f16(reel_q8_round(x, b->q));
    }
}

void reel_q8_values(float *x, const reel_q8_block *block, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const reel_q8_block *b = &block[i / REEL_Q8_VALUES];
        x[i] = reel_f16_to_f32(b->scale) * (float)b->q[i % REEL_Q8_VALUES];
    }
}
