#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "media/picture.h"
#include "support/media_place.h"

static reel_picture make(const media_place *p, int width, int height) {
    reel_picture picture = {0};
    assert_int_equal(reel_picture_init(p->env, width, height, &picture), REEL_OK);
    media_frame(3, width, height, picture.pixels);
    return picture;
}

static void fit(const media_place *p, const reel_picture *from, reel_fit how, reel_picture *to,
                int width, int height) {
    assert_int_equal(reel_picture_init(p->env, width, height, to), REEL_OK);
    assert_int_equal(reel_picture_fit(p->env, from, how, to), REEL_OK);
}

static void test_picture_same_size_is_the_same(void **state) {
    media_place *p = *state;
    reel_picture from = make(p, 37, 23), to = {0};
    media_noise(1, 37, 23, from.pixels);
    for (int how = REEL_FIT_CROP; how <= REEL_FIT_STRETCH; how++) {
        fit(p, &from, (reel_fit)how, &to, 37, 23);
        assert_memory_equal(to.pixels, from.pixels, 37 * 23 * 3);
        reel_picture_deinit(p->env, &to);
    }
    reel_picture_deinit(p->env, &from);
}

static void test_picture_even_color_stays_even(void **state) {
    media_place *p = *state;
    static const int side[] = {1, 2, 7, 64, 301};
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 5; k++) {
            reel_picture from = make(p, side[i], side[4 - i]), to = {0};
            memset(from.pixels, 200, 3 * (size_t)from.width * (size_t)from.height);
            fit(p, &from, REEL_FIT_CROP, &to, side[k], side[k]);
            for (int j = 0; j < 3 * side[k] * side[k]; j++)
                assert_int_equal(to.pixels[j], 200);
            reel_picture_deinit(p->env, &to);
            reel_picture_deinit(p->env, &from);
        }
}

/* A smooth picture at half its size is the means of two by two, and comes back when it is made
 * large: nothing is shifted. */
static void test_picture_down_and_up_comes_back(void **state) {
    media_place *p = *state;
    reel_picture from = make(p, 96, 64), half = {0}, back = {0};
    static uint8_t mean[48 * 32 * 3];
    for (int y = 0; y < 32; y++)
        for (int x = 0; x < 3 * 48; x++) {
            const uint8_t *at = from.pixels + 2 * y * 288 + x / 3 * 6 + x % 3;
            mean[y * 144 + x] = (uint8_t)((at[0] + at[3] + at[288] + at[291] + 2) / 4);
        }
    fit(p, &from, REEL_FIT_STRETCH, &half, 48, 32);
    fit(p, &half, REEL_FIT_STRETCH, &back, 96, 64);
    assert_true(media_psnr(half.pixels, mean, sizeof mean) > 45);
    assert_true(media_psnr(from.pixels, back.pixels, 96 * 64 * 3) > 40);
    reel_picture_deinit(p->env, &from);
    reel_picture_deinit(p->env, &half);
    reel_picture_deinit(p->env, &back);
}

/* One bright column in eight becomes an eighth of its light, wherever it stands; a filter that
 * skips pixels would see it whole or not at all. */
static void test_picture_shrinking_averages(void **state) {
    media_place *p = *state;
    for (int column = 0; column < 8; column++) {
        reel_picture from = make(p, 80, 80), to = {0};
        for (int i = 0; i < 80 * 80 * 3; i++)
            from.pixels[i] = i / 3 % 8 == column ? 240 : 0;
        fit(p, &from, REEL_FIT_STRETCH, &to, 10, 10);
        for (int y = 0; y < 10; y++)
            for (int x = 2; x < 8; x++)
                assert_in_range(to.pixels[3 * (y * 10 + x)], 29, 31);
        reel_picture_deinit(p->env, &from);
        reel_picture_deinit(p->env, &to);
    }
}

/* Left third red, middle green, right third blue: a square keeps the middle, bars keep all. */
static void test_picture_crop_keeps_the_middle_letterbox_keeps_all(void **state) {
    media_place *p = *state;
    reel_picture from = make(p, 90, 30), to = {0};
    for (int y = 0; y < 30; y++)
        for (int x = 0; x < 90; x++)
            for (int c = 0; c < 3; c++)
                from.pixels[3 * (y * 90 + x) + c] = x / 30 == c ? 255 : 0;
    fit(p, &from, REEL_FIT_CROP, &to, 20, 20);
    for (int i = 2; i < 18; i++) {
        const uint8_t *pixel = to.pixels + 3 * (10 * 20 + i);
        assert_true(pixel[1] > 240 && pixel[0] < 15 && pixel[2] < 15);
    }
    reel_picture_deinit(p->env, &to);
    fit(p, &from, REEL_FIT_LETTERBOX, &to, 30, 30);
    static const int middle[3] = {5, 15, 25};
    for (int c = 0; c < 3; c++)
        assert_true(to.pixels[3 * (15 * 30 + middle[c]) + c] > 240);
    for (int y = 0; y < 30; y++)
        if (y < 10 || y >= 20)
            for (int x = 0; x < 3 * 30; x++)
                assert_int_equal(to.pixels[y * 90 + x], 0);
    reel_picture_deinit(p->env, &to);
    reel_picture_deinit(p->env, &from);
}

static void test_picture_refuses_sizes(void **state) {
    media_place *p = *state;
    static const int size[][2] = {{0, 1}, {1, 0}, {-3, 4}, {40000, 1}, {20000, 20000}};
    for (int i = 0; i < 5; i++) {
        reel_picture picture = {0};
        assert_int_equal(reel_picture_init(p->env, size[i][0], size[i][1], &picture), REEL_E_ARG);
        assert_null(picture.pixels);
        reel_env_clear(p->env);
    }
}

static void test_picture_from_planes_rounds_and_cuts(void **state) {
    (void)state;
    const float planes[3][4] = {{-0.5f, 0, 1, 7},
                                {0.5f, NAN, INFINITY, -INFINITY},
                                {127.49f / 255, 127.51f / 255, 1.0f / 255, 254.6f / 255}};
    static const uint8_t wanted[12] = {0, 128, 127, 0, 0, 128, 255, 255, 1, 255, 0, 255};
    uint8_t got[12];
    const reel_planes p = {planes[0], 4, 0, 1};
    reel_picture_from_planes(&p, 2, 2, got);
    assert_memory_equal(got, wanted, sizeof wanted);
}

static void test_picture_planes_and_back_is_exact(void **state) {
    (void)state;
    static const float range[][2] = {{0, 1}, {-1, 1}};
    enum { N = 256 };
    for (int i = 0; i < 2; i++) {
        uint8_t pixels[3 * N], back[3 * N];
        float data[3 * (N + 5)];
        for (int k = 0; k < 3 * N; k++)
            pixels[k] = (uint8_t)(k / 3);
        reel_picture_to_planes(pixels, N, 1, range[i][0], range[i][1], N + 5, data);
        assert_true(data[0] == range[i][0]);
        assert_true(fabsf(data[N - 1] - range[i][1]) < 1e-6f);
        const reel_planes p = {data, N + 5, range[i][0], range[i][1]};
        reel_picture_from_planes(&p, N, 1, back);
        assert_memory_equal(back, pixels, sizeof pixels);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, media_place_make, media_place_free)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_picture_same_size_is_the_same),
        TEST(test_picture_even_color_stays_even),
        TEST(test_picture_down_and_up_comes_back),
        TEST(test_picture_shrinking_averages),
        TEST(test_picture_crop_keeps_the_middle_letterbox_keeps_all),
        TEST(test_picture_refuses_sizes),
        TEST(test_picture_from_planes_rounds_and_cuts),
        TEST(test_picture_planes_and_back_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
