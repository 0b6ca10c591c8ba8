#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "tensor/dtype.h"

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The value of a 16-bit float with e exponent and m mantissa bits, from the definition. */
static double value_of(uint32_t bits, int e, int m) {
    const int exponent = (int)(bits >> m) & ((1 << e) - 1);
    const double mantissa = (double)(bits & ((1u << m) - 1));
    const int bias = (1 << (e - 1)) - 1;
    const double sign = bits >> 15 ? -1.0 : 1.0;
    if (exponent == 0) return sign * ldexp(mantissa, 1 - bias - m);
    if (exponent == (1 << e) - 1) return mantissa == 0 ? sign * (double)INFINITY : (double)NAN;
    return sign * ldexp(mantissa + ldexp(1.0, m), exponent - bias - m);
}

typedef float widen_fn(uint16_t x);
typedef uint16_t narrow_fn(float x);

static float widen_bf16(uint16_t x) {
    return reel_bf16_to_f32(x);
}
static uint16_t narrow_bf16(float x) {
    return reel_f32_to_bf16(x);
}

/* All 65536 values: widening gives the defined value, and narrowing brings it back. */
static void check_all_values(widen_fn *widen, narrow_fn *narrow, int e, int m) {
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const float x = widen((uint16_t)bits);
        const double wanted = value_of(bits, e, m);
        if (isnan(wanted)) {
            assert_true(isnan(x));
            const uint32_t back = narrow(x);
            assert_true(isnan(value_of(back, e, m)));
            assert_true(back >> (m - 1) & 1u); /* quiet */
            assert_int_equal(back >> 15, bits >> 15);
            continue;
        }
        assert_true((double)x == wanted);
        assert_int_equal(signbit(x) != 0, bits >> 15);
        assert_int_equal(narrow(x), bits);
    }
}

static void test_bf16_all_values_go_there_and_back(void **state) {
    (void)state;
    check_all_values(widen_bf16, narrow_bf16, 8, 7);
}

static void test_f16_all_values_go_there_and_back(void **state) {
    (void)state;
    check_all_values(reel_f16_to_f32, reel_f32_to_f16, 5, 10);
}

/* Between each pair of neighbours: just below the middle goes down, just above goes up, the middle
 * goes to the even one. Past the largest value the upper neighbour is infinity. The middle of two
 * 16-bit floats is always an f32, which the first assertion confirms. */
static void check_all_ties(narrow_fn *narrow, int e, int m) {
    const uint32_t infinity = ((1u << e) - 1) << m;
    for (uint32_t low = 0; low < infinity; low++) {
        const uint32_t high = low + 1;
        const double below = value_of(low, e, m);
        const double above =
            high == infinity ? 2 * below - value_of(low - 1, e, m) : value_of(high, e, m);
        const float middle = (float)((below + above) / 2);
        assert_true((double)middle == (below + above) / 2);
        const uint32_t even = low % 2 ? high : low;
        assert_int_equal(narrow(middle), even);
        assert_int_equal(narrow(-middle), even | 0x8000u);
        assert_int_equal(narrow(float_of(bits_of(middle) - 1)), low);
        assert_int_equal(narrow(float_of(bits_of(middle) + 1)), high);
    }
}

static void test_bf16_rounds_to_nearest_even(void **state) {
    (void)state;
    check_all_ties(narrow_bf16, 8, 7);
}

static void test_f16_rounds_to_nearest_even(void **state) {
    (void)state;
    check_all_ties(reel_f32_to_f16, 5, 10);
}

static void test_narrowing_hand_values(void **state) {
    (void)state;
    assert_int_equal(reel_f32_to_bf16(1.0f), 0x3f80);
    assert_int_equal(reel_f32_to_bf16(-2.0f), 0xc000);
    assert_int_equal(reel_f32_to_f16(1.0f), 0x3c00);
    assert_int_equal(reel_f32_to_f16(65504.0f), 0x7bff);
    assert_int_equal(reel_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(reel_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(reel_f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(reel_f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(reel_f32_to_f16(0x1p-24f), 1);
    assert_int_equal(reel_f32_to_f16(0x1p-26f), 0);
    assert_int_equal(reel_f32_to_bf16(float_of(0x7f800001u)), 0x7fc0); /* a signalling NaN */
    assert_int_equal(reel_f32_to_f16(float_of(0xff800001u)), 0xfe00);
    assert_int_equal(reel_f32_to_bf16(float_of(0x7f7fffffu)), 0x7f80); /* the largest f32 */
}

static void test_store_rounds_and_saturates_integers(void **state) {
    (void)state;
    static const struct {
        float x;
        uint8_t u8;
        int32_t i32;
        int64_t i64;
    } rows[] = {
        {0.5f, 0, 0, 0},
        {1.5f, 2, 2, 2},
        {2.5f, 2, 2, 2},
        {-0.6f, 0, -1, -1},
        {255.4f, 255, 255, 255},
        {300.0f, 255, 300, 300},
        {3e9f, 255, INT32_MAX, 3000000000},
        {-3e9f, 0, INT32_MIN, -3000000000},
        {1e30f, 255, INT32_MAX, INT64_MAX},
        {-1e30f, 0, INT32_MIN, INT64_MIN},
        {INFINITY, 255, INT32_MAX, INT64_MAX},
        {NAN, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t u8 = 77;
        int32_t i32 = 77;
        int64_t i64 = 77;
        reel_dtype_store(REEL_U8, &u8, 0, rows[i].x);
        reel_dtype_store(REEL_I32, &i32, 0, rows[i].x);
        reel_dtype_store(REEL_I64, &i64, 0, rows[i].x);
        assert_int_equal(u8, rows[i].u8);
        assert_int_equal(i32, rows[i].i32);
        assert_int_equal(i64, rows[i].i64);
    }
}

/* Every pair of types, at odd lengths and from an odd address, against load and store. */
static void test_cast_agrees_with_load_and_store(void **state) {
    (void)state;
    enum { N = 37 };
    float values[N];
    reel_rng_fill_normal(1, 1, 0, N, values);
    for (int i = 0; i < N; i++)
        values[i] *= 50.0f;
    values[3] = 0.0f;
    values[5] = -0.0f;
    for (int from = 0; from < REEL_DTYPE_COUNT; from++) {
        unsigned char src[N * 8 + 1];
        for (int i = 0; i < N; i++)
            reel_dtype_store((reel_dtype)from, src + 1, i, values[i]);
        for (int to = 0; to < REEL_DTYPE_COUNT; to++) {
            unsigned char got[N * 8 + 1] = {0};
            unsigned char wanted[N * 8 + 1] = {0};
            reel_dtype_cast((reel_dtype)to, got + 1, (reel_dtype)from, src + 1, N);
            for (int i = 0; i < N; i++)
                reel_dtype_store((reel_dtype)to, wanted + 1, i,
                                 reel_dtype_load((reel_dtype)from, src + 1, i));
            assert_memory_equal(got, wanted, sizeof got);
        }
    }
}

static void test_cast_between_integers_is_exact(void **state) {
    (void)state;
    const int64_t large[3] = {16777217, -5, INT64_MAX};
    int32_t i32[3];
    uint8_t u8[3];
    reel_dtype_cast(REEL_I32, i32, REEL_I64, large, 3);
    assert_int_equal(i32[0], 16777217); /* 2^24 + 1 is not an f32 */
    assert_int_equal(i32[1], -5);
    assert_int_equal(i32[2], INT32_MAX);
    reel_dtype_cast(REEL_U8, u8, REEL_I64, large, 3);
    assert_int_equal(u8[0], 255);
    assert_int_equal(u8[1], 0);
}

static void test_dtype_names_and_sizes(void **state) {
    (void)state;
    assert_string_equal(reel_dtype_name(REEL_F32), "f32");
    assert_string_equal(reel_dtype_name(REEL_U8), "u8");
    assert_string_equal(reel_dtype_name(REEL_Q8_0), "q8_0");
    assert_string_equal(reel_dtype_name((reel_dtype)(REEL_Q8_0 + 1)), "unknown");
    assert_int_equal(reel_dtype_bytes(REEL_F32), 4);
    assert_int_equal(reel_dtype_bytes(REEL_BF16), 2);
    assert_int_equal(reel_dtype_bytes(REEL_F16), 2);
    assert_int_equal(reel_dtype_bytes(REEL_I32), 4);
    assert_int_equal(reel_dtype_bytes(REEL_I64), 8);
    assert_int_equal(reel_dtype_bytes(REEL_U8), 1);
    assert_true(reel_dtype_is_float(REEL_F16));
    assert_false(reel_dtype_is_float(REEL_I32));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16_all_values_go_there_and_back),
        cmocka_unit_test(test_f16_all_values_go_there_and_back),
        cmocka_unit_test(test_bf16_rounds_to_nearest_even),
        cmocka_unit_test(test_f16_rounds_to_nearest_even),
        cmocka_unit_test(test_narrowing_hand_values),
        cmocka_unit_test(test_store_rounds_and_saturates_integers),
        cmocka_unit_test(test_cast_agrees_with_load_and_store),
        cmocka_unit_test(test_cast_between_integers_is_exact),
        cmocka_unit_test(test_dtype_names_and_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
