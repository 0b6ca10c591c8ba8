#include "pipeline/preview.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "support/op_check.h"

enum { C = 5, H = 12, W = 16, N = H * W };

static float latents[C * N], rgb[3 * N];

/* What a decoder that is linear would give. */
static float colour(int c, const float *x, int p) {
    float sum = 0.1f * (float)(c - 1);
    for (int k = 0; k < C; k++)
        sum += 0.08f * (float)((k + 2 * c) % 4 - 1) * x[k * N + p];
    return sum;
}

static void fit(reel_env *env, reel_preview_map *map) {
    reel_preview_samples(C, H, W, latents);
    for (int c = 0; c < 3; c++)
        for (int p = 0; p < N; p++)
            rgb[c * N + p] = colour(c, latents, p);
    assert_int_equal(reel_preview_fit(env, C, N, latents, rgb, map), REEL_OK);
}

static void test_preview_fit_finds_a_linear_decoder(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_preview_map map;
    fit(env, &map);
    float unit[C * N] = {0};
    for (int c = 0; c < 3; c++) {
        /* the ridge pulls by about a thousandth */
        assert_true(fabs((double)(map.weight[c * (C + 1) + C] - colour(c, unit, 0))) < 2e-3);
        for (int k = 0; k < C; k++) {
            unit[k * N] = 1;
            const double want = (double)(colour(c, unit, 0) - 0.1f * (float)(c - 1));
            assert_true(fabs((double)map.weight[c * (C + 1) + k] - want) < 2e-3);
            unit[k * N] = 0;
        }
    }
    reel_env_free(&env);
}

static void test_preview_frame_is_cut_to_bytes(void **state) {
    (void)state;
    reel_preview_map map = {.n_channels = 1};
    map.weight[0] = 1; /* red: the latent; green: always 1; blue: always -1 */
    map.weight[3] = 1;
    map.weight[5] = -1;
    const float x[2 * 4] = {9, 9, 9, 9, -5, 0, 0.5f, 5}; /* [1,2,2,2]: the second frame is shown */
    uint8_t pixels[12];
    reel_preview_frame(&map, x, 2, 2, 2, 1, pixels);
    const uint8_t want[12] = {0, 255, 0, 128, 255, 0, 191, 255, 0, 255, 255, 0};
    assert_memory_equal(pixels, want, sizeof want);
}

static void test_preview_samples_are_smooth_and_of_variance_one(void **state) {
    (void)state;
    enum { SIDE = 64 };
    static float x[4 * SIDE * SIDE];
    reel_preview_samples(4, SIDE, SIDE, x);
    double squares = 0, steps = 0;
    for (int i = 0; i < 4 * SIDE * SIDE; i++) {
        squares += (double)x[i] * (double)x[i];
        if (i % SIDE) steps += pow((double)(x[i] - x[i - 1]), 2);
    }
    squares /= 4 * SIDE * SIDE;
    steps /= 4 * SIDE * (SIDE - 1);
    assert_true(squares > 0.8 && squares < 1.25);
    assert_true(steps < 0.25 * squares); /* white noise: 2 */
}

static void test_preview_refuses_too_few_samples(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_preview_map map;
    assert_int_equal(reel_preview_fit(env, 5, 5, latents, rgb, &map), REEL_E_ARG);
    reel_env_clear(env);
    assert_int_equal(reel_preview_fit(env, 257, 1000, latents, rgb, &map), REEL_E_ARG);
    reel_env_clear(env);
    reel_alloc_fail_at(env, 1);
    assert_int_equal(reel_preview_fit(env, 5, N, latents, rgb, &map), REEL_E_NOMEM);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preview_fit_finds_a_linear_decoder),
        cmocka_unit_test(test_preview_frame_is_cut_to_bytes),
        cmocka_unit_test(test_preview_samples_are_smooth_and_of_variance_one),
        cmocka_unit_test(test_preview_refuses_too_few_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
