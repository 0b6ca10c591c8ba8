#include "tensor/dtype.h"

#include <math.h>

const char *reel_dtype_name(reel_dtype dtype) {
    static const char *const name[REEL_DTYPE_COUNT] = {"f32", "bf16", "f16", "i32", "i64", "u8"};
    if (dtype == REEL_Q8_0) return "q8_0";
    return (unsigned)dtype < REEL_DTYPE_COUNT ? name[dtype] : "unknown";
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

float reel_f16_to_f32(reel_f16 x) {
    const uint32_t sign = (uint32_t)(x & 0x8000u) << 16;
    const uint32_t exponent = (x >> 10) & 0x1fu;
    const uint32_t mantissa = x & 0x3ffu;
    if (exponent == 0) { /* zero and subnormals: mantissa * 2^-24, exact in f32 */
        const float y = (float)mantissa * 0x1p-24f;
        return sign ? -y : y;
    }
    if (exponent == 31) { /* infinity, or NaN made quiet */
        const uint32_t quiet = mantissa ? 0x400000u : 0;
        return float_of(sign | 0x7f800000u | (mantissa << 13) | quiet);
    }
    return float_of(sign | ((exponent + (127 - 15)) << 23) | (mantissa << 13));
}

reel_f16 reel_f32_to_f16(float x) {
    const uint32_t bits = bits_of(x);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) /* NaN: made quiet, the top of its payload kept */
        return (reel_f16)(sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu));
    if (magnitude >= 0x477ff000u) /* 65520, halfway between the largest f16 and 2^16, and above */
        return (reel_f16)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) {
        /* Below 2^-14 the result is subnormal, a multiple of 2^-24. That is the spacing of f32 at
         * 0.5, so adding 0.5 makes the hardware round to nearest even where we want it. */
        const float shifted = float_of(magnitude) + 0.5f;
        return (reel_f16)(sign | (bits_of(shifted) - bits_of(0.5f)));
    }
    const uint32_t odd = (magnitude >> 13) & 1u;
    const uint32_t rebias = (uint32_t)(127 - 15) << 23;
    return (reel_f16)(sign | ((magnitude - rebias + 0xfffu + odd) >> 13));
}

/* memcpy instead of typed pointers: data may be a mapped file, whose alignment is the file's. */
static float load_f32(const void *data, int64_t i) {
    float x;
    memcpy(&x, (const char *)data + i * 4, 4);
    return x;
}
static uint16_t load_u16(const void *data, int64_t i) {
    uint16_t x;
    memcpy(&x, (const char *)data + i * 2, 2);
    return x;
}

/* An element of an integer type, exactly. */
static int64_t load_integer(reel_dtype dtype, const void *data, int64_t i) {
    if (dtype == REEL_U8) return ((const uint8_t *)data)[i];
    if (dtype == REEL_I32) {
        int32_t x;
        memcpy(&x, (const char *)data + i * 4, 4);
        return x;
    }
    int64_t x;
    memcpy(&x, (const char *)data + i * 8, 8);
    return x;
}

static void store_integer(reel_dtype dtype, void *data, int64_t i, int64_t x) {
    if (dtype == REEL_U8) {
        ((uint8_t *)data)[i] = (uint8_t)(x < 0 ? 0 : x > UINT8_MAX ? UINT8_MAX : x);
    } else if (dtype == REEL_I32) {
        const int32_t y = (int32_t)(x < INT32_MIN ? INT32_MIN : x > INT32_MAX ? INT32_MAX : x);
        memcpy((char *)data + i * 4, &y, 4);
    } else {
        memcpy((char *)data + i * 8, &x, 8);
    }
}

/* Nearest integer, ties to even, held to int64_t's range; NaN is 0. */
static int64_t round_to_integer(float x) {
    if (isnan(x)) return 0;
    if (x >= 0x1p63f) return INT64_MAX;
    if (x < -0x1p63f) return INT64_MIN;
    return llrintf(x);
}

float reel_dtype_load(reel_dtype dtype, const void *data, int64_t i) {
    switch (dtype) {
    case REEL_F32:
        return load_f32(data, i);
    case REEL_BF16:
        return reel_bf16_to_f32(load_u16(data, i));
    case REEL_F16:
        return reel_f16_to_f32(load_u16(data, i));
    default:
        return (float)load_integer(dtype, data, i);
    }
}

void reel_dtype_store(reel_dtype dtype, void *data, int64_t i, float x) {
    switch (dtype) {
    case REEL_F32:
        memcpy((char *)data + i * 4, &x, 4);
        return;
    case REEL_BF16: {
        const reel_bf16 y = reel_f32_to_bf16(x);
        memcpy((char *)data + i * 2, &y, 2);
        return;
    }
    case REEL_F16: {
        const reel_f16 y = reel_f32_to_f16(x);
        memcpy((char *)data + i * 2, &y, 2);
        return;
    }
    default:
        store_integer(dtype, data, i, round_to_integer(x));
        return;
    }
}

void reel_dtype_cast(reel_dtype to, void *dst, reel_dtype from, const void *src, int64_t n) {
    if (to == from) {
        if (n > 0) memcpy(dst, src, (size_t)(n * reel_dtype_bytes(to)));
        return;
    }
    /* The two casts of every step, written so that the compiler vectorises them. */
    if (to == REEL_BF16 && from == REEL_F32) {
        for (int64_t i = 0; i < n; i++) {
            const reel_bf16 y = reel_f32_to_bf16(load_f32(src, i));
            memcpy((char *)dst + i * 2, &y, 2);
        }
        return;
    }
    if (to == REEL_F32 && from == REEL_BF16) {
        for (int64_t i = 0; i < n; i++) {
            const float y = reel_bf16_to_f32(load_u16(src, i));
            memcpy((char *)dst + i * 4, &y, 4);
        }
        return;
    }
    /* Between integers nothing passes through f32, which would round above 2^24. */
    const bool exact = !reel_dtype_is_float(to) && !reel_dtype_is_float(from);
    for (int64_t i = 0; i < n; i++) {
        if (exact)
            store_integer(to, dst, i, load_integer(from, src, i));
        else
            reel_dtype_store(to, dst, i, reel_dtype_load(from, src, i));
    }
}
