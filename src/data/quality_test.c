#include "data/quality.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { H = 16, W = 20, BYTES = H * W * 3 };

static void test_quality_psnr_by_hand(void **state) {
    (void)state;
    uint8_t a[BYTES], b[BYTES];
    memset(a, 100, sizeof a);
    memset(b, 110, sizeof b);
    const double wanted = -10 * log10(100.0 / 65025);
    assert_true(fabs(reel_psnr(reel_mean_square(a, b, BYTES)) - wanted) < 1e-9);
    assert_true(reel_psnr(0) == 100);
}

static void test_quality_ssim_of_flat_pictures_by_hand(void **state) {
    (void)state;
    reel_env *env;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    uint8_t a[BYTES], b[BYTES];
    memset(a, 51, sizeof a);  /* 0.2 */
    memset(b, 102, sizeof b); /* 0.4 */
    double ssim;
    assert_int_equal(reel_ssim(env, a, b, H, W, &ssim), REEL_OK);
    /* without variance only the means count: (2 ab + c1) / (a^2 + b^2 + c1) */
    assert_true(fabs(ssim - (2 * 0.08 + 1e-4) / (0.04 + 0.16 + 1e-4)) < 1e-9);
    assert_int_equal(reel_ssim(env, a, a, H, W, &ssim), REEL_OK);
    assert_true(fabs(ssim - 1) < 1e-12);
    assert_int_equal(reel_ssim(env, a, b, 10, W, &ssim), REEL_E_ARG);
    reel_env_free(&env);
}

static void test_quality_ssim_sees_structure(void **state) {
    (void)state;
    reel_env *env;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    uint8_t a[BYTES], same[BYTES], inverse[BYTES];
    for (int i = 0; i < BYTES; i++) {
        a[i] = (uint8_t)(i / 3 * 37 % 200);
        same[i] = (uint8_t)(a[i] + (i / 3 % 2 ? 3 : 0));
        inverse[i] = (uint8_t)(200 - a[i]);
    }
    double near, far;
    assert_int_equal(reel_ssim(env, a, same, H, W, &near), REEL_OK);
    assert_int_equal(reel_ssim(env, a, inverse, H, W, &far), REEL_OK);
    assert_true(near > 0.98 && far < 0);
    reel_env_free(&env);
}

static void test_quality_pixels_round_and_clamp(void **state) {
    (void)state;
    const float x[5] = {-2, -1, 0, 1, 2};
    uint8_t y[5];
    reel_pixels_to_u8(x, 5, y);
    assert_memory_equal(y, ((const uint8_t[]){0, 0, 128, 255, 255}), 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quality_psnr_by_hand),
        cmocka_unit_test(test_quality_ssim_of_flat_pictures_by_hand),
        cmocka_unit_test(test_quality_ssim_sees_structure),
        cmocka_unit_test(test_quality_pixels_round_and_clamp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
