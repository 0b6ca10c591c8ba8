#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/rng.h"
#include "tensor/tolerance.h"

enum { N_SUMS = 64, MAX_TERMS = 4096 };

/* f32 dot products against f64 ones: the error has to be within the tolerance, and within a
 * factor that shows the tolerance is not idly wide. */
static void test_tol_holds_f32_sums_tightly(void **state) {
    (void)state;
    static float a[MAX_TERMS];
    static float b[MAX_TERMS];
    for (int n = 16; n <= MAX_TERMS; n *= 16) {
        float got[N_SUMS];
        double difference = 0;
        double size = 0;
        for (int s = 0; s < N_SUMS; s++) {
            reel_rng_fill_normal(1, (uint64_t)s, 0, n, a);
            reel_rng_fill_normal(2, (uint64_t)s, 0, n, b);
            float sum = 0;
            double wanted = 0;
            for (int i = 0; i < n; i++) {
                sum += a[i] * b[i];
                wanted += (double)a[i] * (double)b[i];
            }
            got[s] = sum;
            difference += ((double)got[s] - wanted) * ((double)got[s] - wanted);
            size += wanted * wanted;
        }
        const double error = sqrt(difference / size);
        assert_true(error < reel_tol(REEL_F32, n));
        assert_true(error > reel_tol(REEL_F32, n) / 40);
    }
}

static void test_tol_holds_one_rounding_to_bf16(void **state) {
    (void)state;
    static float x[MAX_TERMS];
    static float rounded[MAX_TERMS];
    reel_rng_fill_normal(3, 0, 0, MAX_TERMS, x);
    for (int i = 0; i < MAX_TERMS; i++)
        rounded[i] = reel_bf16_to_f32(reel_f32_to_bf16(x[i]));
    const double error = reel_relative_l2(REEL_F32, rounded, x, MAX_TERMS);
    assert_true(error < reel_tol(REEL_BF16, 1));
    assert_true(error > reel_tol(REEL_BF16, 1) / 20);
}

static void test_tol_of_integers_is_zero(void **state) {
    (void)state;
    assert_true(reel_tol(REEL_I32, 100) == 0.0);
    assert_true(reel_tol(REEL_U8, 1) == 0.0);
}

static void test_relative_l2_hand_values(void **state) {
    (void)state;
    const float wanted[2] = {3, 4};
    const float got[2] = {3, 4.5f};
    const float zero[2] = {0, 0};
    assert_true(fabs(reel_relative_l2(REEL_F32, got, wanted, 2) - 0.1) < 1e-12);
    assert_true(reel_relative_l2(REEL_F32, wanted, zero, 2) == 5.0);
    assert_true(reel_relative_l2(REEL_F32, zero, zero, 2) == 0.0);
}

static void test_relative_l2_is_infinite_where_only_one_is_finite(void **state) {
    (void)state;
    const float finite[2] = {1, 2};
    const float bad[2] = {1, NAN};
    const float up[2] = {1, INFINITY};
    const float down[2] = {1, -INFINITY};
    assert_true(isinf(reel_relative_l2(REEL_F32, bad, finite, 2)));
    assert_true(isinf(reel_relative_l2(REEL_F32, finite, up, 2)));
    assert_true(isinf(reel_relative_l2(REEL_F32, down, up, 2)));
    assert_true(reel_relative_l2(REEL_F32, bad, bad, 2) == 0.0);
    assert_true(reel_relative_l2(REEL_F32, up, up, 2) == 0.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tol_holds_f32_sums_tightly),
        cmocka_unit_test(test_tol_holds_one_rounding_to_bf16),
        cmocka_unit_test(test_tol_of_integers_is_zero),
        cmocka_unit_test(test_relative_l2_hand_values),
        cmocka_unit_test(test_relative_l2_is_infinite_where_only_one_is_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
