/* Element types, and the casts between them.
 *
 * bf16 and f16 are held as uint16_t; narrowing rounds to nearest, ties to even; NaN stays NaN
 * (quiet), infinities stay infinities, f16 overflow becomes infinity.
 */
#ifndef REEL_TENSOR_DTYPE_H
#define REEL_TENSOR_DTYPE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef enum reel_dtype {
    REEL_F32,
    REEL_BF16,
    REEL_F16,
    REEL_I32,
    REEL_I64,
    REEL_U8,
    REEL_DTYPE_COUNT,             /* types of single elements; a block type is none of them */
    REEL_Q8_0 = REEL_DTYPE_COUNT, /* 8-bit blocks (tensor/q8.h); weights of linear, nothing else */
} reel_dtype;

typedef uint16_t reel_bf16;
typedef uint16_t reel_f16;

/* Bytes of one element; not for REEL_Q8_0, which has no elements of its own (0). */
static inline int64_t reel_dtype_bytes(reel_dtype dtype) {
    static const int8_t bytes[REEL_DTYPE_COUNT + 1] = {4, 2, 2, 4, 8, 1, 0};
    return bytes[dtype];
}

enum { REEL_Q8_VALUES = 32, REEL_Q8_BYTES = 34 }; /* of a block of REEL_Q8_0 */

/* Bytes of n elements of any type; of REEL_Q8_0 n is a multiple of REEL_Q8_VALUES. */
static inline int64_t reel_dtype_size(reel_dtype dtype, int64_t n) {
    if (dtype == REEL_Q8_0) return n / REEL_Q8_VALUES * REEL_Q8_BYTES;
    return n * reel_dtype_bytes(dtype);
}

/* "f32", "bf16", "f16", "i32", "i64", "u8", "q8_0". Static storage. */
const char *reel_dtype_name(reel_dtype dtype);

/* f32, bf16 or f16. */
static inline bool reel_dtype_is_float(reel_dtype dtype) {
    return dtype <= REEL_F16;
}

static inline float reel_bf16_to_f32(reel_bf16 x) {
    const uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

static inline reel_bf16 reel_f32_to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (reel_bf16)((bits >> 16) | 0x40u); /* NaN */
    return (reel_bf16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float reel_f16_to_f32(reel_f16 x);
reel_f16 reel_f32_to_f16(float x);

/* Element i of data as f32 (i64 and i32 rounded to nearest). For reference code and tests. */
float reel_dtype_load(reel_dtype dtype, const void *data, int64_t i);
/* Element i of data becomes x (integers: rounded to nearest even and saturated; NaN becomes 0). */
void reel_dtype_store(reel_dtype dtype, void *data, int64_t i, float x);

/* n elements from one type to another; the ranges must not overlap. */
void reel_dtype_cast(reel_dtype to, void *dst, reel_dtype from, const void *src, int64_t n);

#endif
