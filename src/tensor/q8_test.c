#include "tensor/q8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "base/rng.h"

static void test_q8_blocks_have_ggml_layout(void **state) {
    (void)state;
    assert_int_equal(sizeof(reel_q8_block), REEL_Q8_BYTES);
    assert_int_equal(offsetof(reel_q8_block, q), 2);
    assert_int_equal(reel_dtype_size(REEL_Q8_0, 96), 102);
    assert_int_equal(reel_dtype_size(REEL_BF16, 96), 192);
    assert_string_equal(reel_dtype_name(REEL_Q8_0), "q8_0");
    assert_false(reel_dtype_is_float(REEL_Q8_0));
}

static void test_q8_has_hand_values(void **state) {
    (void)state;
    float x[32] = {127, -127, 63.5f, 62.5f, 0.49f, -1.6f};
    reel_q8_block b;
    reel_q8_quantise(&b, REEL_F32, x, 32);
    assert_int_equal(b.scale, reel_f32_to_f16(1));
    const int8_t wanted[7] = {127, -127, 64, 62, 0, -2, 0}; /* ties to even */
    assert_memory_equal(b.q, wanted, sizeof wanted);
}

static void test_q8_is_off_by_half_a_step_at_most(void **state) {
    (void)state;
    enum { N = 4096 };
    static float x[N], y[N];
    static reel_q8_block block[N / REEL_Q8_VALUES];
    reel_rng_fill_normal(1, 2, 0, N, x);
    reel_q8_quantise(block, REEL_F32, x, N);
    reel_q8_values(y, block, N);
    for (int i = 0; i < N; i++) {
        const float step = reel_f16_to_f32(block[i / REEL_Q8_VALUES].scale);
        /* 127 steps of a scale that f16 rounds by up to 2^-11 */
        assert_true(fabsf(x[i] - y[i]) <= step * (0.5f + 127 * 0x1p-11f));
    }
}

static void test_q8_takes_bf16_as_it_is(void **state) {
    (void)state;
    enum { N = 64 };
    float x[N];
    reel_bf16 h[N];
    reel_q8_block a[2], b[2];
    reel_rng_fill_normal(1, 3, 0, N, x);
    reel_dtype_cast(REEL_BF16, h, REEL_F32, x, N);
    reel_dtype_cast(REEL_F32, x, REEL_BF16, h, N);
    reel_q8_quantise(a, REEL_F32, x, N);
    reel_q8_quantise(b, REEL_BF16, h, N);
    assert_memory_equal(a, b, sizeof a);
}

static void test_q8_marks_what_is_not_finite(void **state) {
    (void)state;
    float x[64] = {0};
    reel_q8_block b[2];
    x[40] = -INFINITY;
    reel_q8_quantise(b, REEL_F32, x, 64);
    assert_int_equal(b[0].scale, 0);
    assert_true(isnan(reel_f16_to_f32(b[1].scale)));
    float tiny[32] = {1e-38f};
    int8_t q[32];
    assert_true(reel_q8_round(tiny, q) < 1e-37f && q[0] == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_q8_blocks_have_ggml_layout),
        cmocka_unit_test(test_q8_has_hand_values),
        cmocka_unit_test(test_q8_is_off_by_half_a_step_at_most),
        cmocka_unit_test(test_q8_takes_bf16_as_it_is),
        cmocka_unit_test(test_q8_marks_what_is_not_finite),
    };
    return cmocka_run_group_tests_name("q8", tests, NULL, NULL);
}
