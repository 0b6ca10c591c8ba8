/* The second eye's view against values by hand. */
#include "media/stereo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/rng.h"
#include "support/op_check.h"

enum { W = 12 };

/* A row whose pixel x has red 10 x + 1, green 100, blue 200 - 10 x. */
static void ramp(uint8_t rgb[W * 3]) {
    for (int x = 0; x < W; x++) {
        rgb[3 * x] = (uint8_t)(10 * x + 1);
        rgb[3 * x + 1] = 100;
        rgb[3 * x + 2] = (uint8_t)(200 - 10 * x);
    }
}

static void draw(const uint8_t *rgb, const float *nearness, float gain, float offset,
                 uint8_t *out) {
    reel_env *env = op_test_env(1);
    const reel_view_shift shift = {gain, offset};
    assert_int_equal(reel_view_draw(env, rgb, nearness, W, 1, shift, out), REEL_OK);
    reel_env_free(&env);
}

static void test_view_of_constant_depth_is_a_shift(void **state) {
    (void)state;
    uint8_t rgb[W * 3], out[W * 3];
    float nearness[W];
    ramp(rgb);
    for (int x = 0; x < W; x++)
        nearness[x] = 0.5f;
    draw(rgb, nearness, 4, 0, out); /* two pixels to the left */
    assert_memory_equal(out, rgb + 6, (W - 2) * 3);
    draw(rgb, nearness, 4, 5, out); /* two to the left, five to the right */
    assert_memory_equal(out + 9, rgb, (W - 3) * 3);
    draw(rgb, nearness, 0, 0, out);
    assert_memory_equal(out, rgb, W * 3);
}

static void test_view_of_half_a_pixel_lies_between_neighbours(void **state) {
    (void)state;
    uint8_t rgb[W * 3], out[W * 3];
    float nearness[W];
    ramp(rgb);
    for (int x = 0; x < W; x++)
        nearness[x] = 1;
    draw(rgb, nearness, 0.5f, 0, out);
    for (int x = 0; x + 1 < W; x++)
        assert_int_equal(out[3 * x], 10 * x + 6); /* of 10 x + 1 and 10 x + 11 */
}

/* Background 0 but for pixels 5, 6 and 7, which are red 255 at nearness 1. */
static void step_edges(uint8_t rgb[W * 3], float nearness[W]) {
    ramp(rgb);
    memset(nearness, 0, W * sizeof *nearness);
    for (int x = 5; x < 8; x++) {
        nearness[x] = 1;
        memcpy(rgb + 3 * x, (const uint8_t[]){255, 0, 0}, 3);
    }
}

static void test_view_fills_a_hole_from_the_background(void **state) {
    (void)state;
    uint8_t rgb[W * 3], out[W * 3];
    float nearness[W];
    step_edges(rgb, nearness);
    draw(rgb, nearness, 3, 0, out); /* the object moves from 5..7 to 2..4; 5..7 is uncovered */
    for (int x = 0; x < 2; x++)
        assert_int_equal(out[3 * x], 10 * x + 1);
    for (int x = 2; x < 5; x++)
        assert_int_equal(out[3 * x], 255);
    /* mirrored at 8, whose own place has the colour of 9 */
    const int red[] = {111, 101, 91, 91, 91, 101, 111};
    for (int x = 5; x < W; x++)
        assert_int_equal(out[3 * x], red[x - 5]);
    draw(rgb, nearness, -3, 0, out); /* the other eye: to 8..10, and the hole is mirrored at 4 */
    const int other[] = {1, 11, 21, 31, 31, 31, 21, 11, 255, 255, 255, 111};
    for (int x = 0; x < W; x++)
        assert_int_equal(out[3 * x], other[x]);
}

static void test_view_shows_the_nearest(void **state) {
    (void)state;
    uint8_t rgb[W * 3], out[W * 3];
    float nearness[W] = {0};
    ramp(rgb);
    nearness[3] = 0.2f; /* moves to 2 */
    nearness[5] = 0.6f; /* moves to 2 as well, and is nearer */
    draw(rgb, nearness, 5, 0, out);
    assert_int_equal(out[3 * 2], 51);
    nearness[3] = 0.6f; /* to 0 */
    nearness[5] = 0;
    draw(rgb, nearness, 5, 0, out);
    assert_int_equal(out[0], 31);
    assert_int_equal(out[3 * 5], 51);
}

static void test_view_is_empty_only_when_all_is_outside(void **state) {
    (void)state;
    uint8_t rgb[W * 3], out[W * 3];
    const uint8_t black[W * 3] = {0};
    float nearness[W] = {0};
    ramp(rgb);
    draw(rgb, nearness, 0, 100, out);
    assert_memory_equal(out, black, sizeof black);
    draw(rgb, nearness, 0, 10, out); /* the hole at the left edge has one side: the ramp's start */
    assert_int_equal(out[3 * 10], 1);
    assert_int_equal(out[3 * 11], 11);
    assert_int_equal(out[3 * 9], 11); /* mirrored */
    assert_int_equal(out[0], 11);
}

static void test_view_is_the_same_at_any_width_of_threads(void **state) {
    (void)state;
    enum { N = 40 };
    static uint8_t rgb[N * N * 3], out[2][N * N * 3];
    static float nearness[N * N];
    for (int i = 0; i < N * N; i++) {
        nearness[i] = reel_rng_uniform(1, 2, (uint64_t)i);
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = (uint8_t)reel_rng_below(1, 3, (uint64_t)(3 * i + c), 256);
    }
    for (int k = 0; k < 2; k++) {
        reel_env *env = op_test_env(1 + 3 * k);
        const reel_view_shift shift = {7.3f, 2.1f};
        assert_int_equal(reel_view_draw(env, rgb, nearness, N, N, shift, out[k]), REEL_OK);
        reel_env_free(&env);
    }
    assert_memory_equal(out[0], out[1], sizeof out[0]);
}

static void test_view_says_when_there_is_no_memory(void **state) {
    (void)state;
    uint8_t rgb[W * 3] = {0}, out[W * 3];
    const float nearness[W] = {0};
    reel_env *env = op_test_env(1);
    reel_alloc_fail_at(env, 1);
    assert_int_equal(reel_view_draw(env, rgb, nearness, W, 1, (reel_view_shift){1, 0}, out),
                     REEL_E_NOMEM);
    reel_alloc_fail_at(env, 0);
    reel_env_free(&env);
}

static void test_anaglyph_has_the_matrix_of_dubois(void **state) {
    (void)state;
    const uint8_t left[] = {255, 255, 255, 100, 0, 0, 0, 0, 0, 255, 0, 0};
    const uint8_t right[] = {255, 255, 255, 0, 0, 0, 0, 100, 0, 0, 0, 0};
    uint8_t out[12];
    reel_anaglyph(left, right, 4, out);
    /* white: 0.999, 1.000, 1.000 of 255; then columns of the matrix, cut at 0 */
    const uint8_t wanted[] = {255, 255, 255, 46, 0, 0, 0, 73, 0, 116, 0, 0};
    assert_memory_equal(out, wanted, sizeof wanted);
}

static void test_pictures_of_both_eyes_and_of_depth(void **state) {
    (void)state;
    const uint8_t left[] = {1, 2, 3, 4, 5, 6}, right[] = {7, 8, 9, 10, 11, 12}; /* 1 x 2 rows */
    const uint8_t both[] = {1, 2, 3, 7, 8, 9, 4, 5, 6, 10, 11, 12};
    const float nearness[] = {0, 0.4f, 0.8f, 3};
    const uint8_t grey[] = {0, 0, 0, 128, 128, 128, 255, 255, 255, 255, 255, 255};
    uint8_t out[12];
    reel_side_by_side(left, right, 1, 2, out);
    assert_memory_equal(out, both, sizeof both);
    reel_nearness_grey(nearness, 4, 0.8f, out);
    assert_memory_equal(out, grey, sizeof grey);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view_of_constant_depth_is_a_shift),
        cmocka_unit_test(test_view_of_half_a_pixel_lies_between_neighbours),
        cmocka_unit_test(test_view_fills_a_hole_from_the_background),
        cmocka_unit_test(test_view_shows_the_nearest),
        cmocka_unit_test(test_view_is_empty_only_when_all_is_outside),
        cmocka_unit_test(test_view_is_the_same_at_any_width_of_threads),
        cmocka_unit_test(test_view_says_when_there_is_no_memory),
        cmocka_unit_test(test_anaglyph_has_the_matrix_of_dubois),
        cmocka_unit_test(test_pictures_of_both_eyes_and_of_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
