#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "media/palette.h"
#include "media/pixels.h"
#include "support/media_place.h"

/* BT.709 as the standard writes it, in double. */
static void by_the_book(const double rgb[3], double out[3]) {
    const double y = 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
    out[0] = 16 + 219 * y / 255;
    out[1] = 128 + 224 * (rgb[2] - y) / 1.8556 / 255;
    out[2] = 128 + 224 * (rgb[0] - y) / 1.5748 / 255;
}

static void test_pixels_yuv444_is_the_standard(void **state) {
    (void)state;
    for (int r = 0; r < 256; r += 15)
        for (int g = 0; g < 256; g += 15)
            for (int b = 0; b < 256; b += 15) {
                const uint8_t rgb[3] = {(uint8_t)r, (uint8_t)g, (uint8_t)b};
                const double exact[3] = {r, g, b};
                uint8_t yuv[3];
                double wanted[3];
                uint8_t *const plane[3] = {yuv, yuv + 1, yuv + 2};
                static const int stride[3] = {1, 1, 1};
                reel_pixels_to_yuv444(rgb, 1, 1, plane, stride);
                by_the_book(exact, wanted);
                for (int c = 0; c < 3; c++)
                    assert_true(fabs(yuv[c] - wanted[c]) <= 0.51);
            }
}

static void test_pixels_grey_has_no_color(void **state) {
    (void)state;
    for (int grey = 0; grey < 256; grey++) {
        uint8_t rgb[5 * 3 * 3], y[15], u[6], v[6];
        memset(rgb, grey, sizeof rgb);
        uint8_t *const plane[3] = {y, u, v};
        static const int stride[3] = {5, 3, 3};
        reel_pixels_to_yuv420(rgb, 5, 3, plane, stride);
        for (int i = 0; i < 6; i++)
            assert_true(u[i] == 128 && v[i] == 128);
    }
}

/* Chroma of 4:2:0 is the weighted mean of six pixels, at the left and lower edge of what is there.
 */
static void test_pixels_yuv420_chroma_is_where_it_should_be(void **state) {
    (void)state;
    enum { W = 7, H = 5 };
    uint8_t rgb[W * H * 3], y[W * H], u[4 * 3], v[4 * 3];
    media_noise(5, W, H, rgb);
    uint8_t *const plane[3] = {y, u, v};
    static const int stride[3] = {W, 4, 4};
    reel_pixels_to_yuv420(rgb, W, H, plane, stride);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) {
            double mean[3] = {0}, wanted[3];
            for (int dy = 0; dy < 2; dy++)
                for (int dx = -1; dx <= 1; dx++) {
                    const int py = 2 * i + dy < H ? 2 * i + dy : H - 1;
                    const int px = 2 * j + dx < 0 ? 0 : 2 * j + dx < W ? 2 * j + dx : W - 1;
                    for (int c = 0; c < 3; c++)
                        mean[c] += rgb[3 * (py * W + px) + c] * (dx == 0 ? 2 : 1) / 8.0;
                }
            by_the_book(mean, wanted);
            assert_true(fabs(u[4 * i + j] - wanted[1]) <= 0.51);
            assert_true(fabs(v[4 * i + j] - wanted[2]) <= 0.51);
        }
}

static void test_palette_keeps_few_colors_exactly(void **state) {
    const media_place *p = *state;
    enum { W = 64, H = 32 };
    static reel_palette palette;
    static uint8_t rgb[W * H * 3], index[W * H];
    for (int i = 0; i < W * H; i++)
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = (uint8_t)((i / 8 % 8 * 36 + c * 77) % 256);
    assert_int_equal(reel_palette_make(p->env, rgb, W * H, &palette), REEL_OK);
    assert_true(palette.n >= 8);
    assert_true(reel_palette_apply(&palette, rgb, W, H, index, W) == 0.0);
}

static void test_palette_of_many_colors_is_close(void **state) {
    const media_place *p = *state;
    enum { W = 128, H = 96 };
    static reel_palette palette;
    static uint8_t rgb[W * H * 3], shown[W * H * 3], index[W * H];
    media_frame(0, W, H, rgb);
    assert_int_equal(reel_palette_make(p->env, rgb, W * H, &palette), REEL_OK);
    assert_int_equal(palette.n, REEL_PALETTE_COLORS);
    const double error = reel_palette_apply(&palette, rgb, W, H, index, W);
    /* A grid of 255 colours over this picture's 200 steps a channel would have 31^2 / 12 = 84. */
    if (error >= 84) fail_msg("a mean squared error of %.1f", error);
    for (int i = 0; i < W * H; i++) {
        assert_true(index[i] < palette.n);
        memcpy(shown + 3 * i, palette.color[index[i]], 3);
    }
    assert_true(media_psnr(rgb, shown, sizeof rgb) > 28);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, media_place_make, media_place_free)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_pixels_yuv444_is_the_standard),
        TEST(test_pixels_grey_has_no_color),
        TEST(test_pixels_yuv420_chroma_is_where_it_should_be),
        TEST(test_palette_keeps_few_colors_exactly),
        TEST(test_palette_of_many_colors_is_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
