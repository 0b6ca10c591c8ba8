#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "media/scenes.h"
#include "support/media_place.h"

enum { W = 64, H = 36, BYTES = W * H * 3 };

/* Shot k: its own colours and pattern, moving by `speed` pixels a frame. */
static void shot(int k, int i, int speed, uint8_t *pixels) {
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            const int at = x + i * speed + 13 * k;
            uint8_t *p = pixels + 3 * (y * W + x);
            p[0] = (uint8_t)(k * 83 % 200 + at / 8 % 2 * 50);
            p[1] = (uint8_t)(k * 151 % 200 + (at + y) / 12 % 2 * 40);
            p[2] = (uint8_t)(k * 37 % 200 + y);
        }
}

static reel_scenes *new_scenes(const media_place *p) {
    reel_scenes *s = NULL;
    assert_int_equal(reel_scenes_new(p->env, W, H, &s), REEL_OK);
    return s;
}

static void expect_cuts(reel_scenes **s, int64_t min_length, const int64_t *wanted, int64_t n) {
    const int64_t *cut = NULL;
    int64_t n_cuts = -1;
    assert_int_equal(reel_scenes_cuts(*s, min_length, &cut, &n_cuts), REEL_OK);
    assert_int_equal(n_cuts, n);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(cut[i], wanted[i]);
}

static void push(reel_scenes *s, const uint8_t *pixels) {
    assert_int_equal(reel_scenes_push(s, pixels), REEL_OK);
}

static void test_scenes_finds_each_cut_of_a_concatenation(void **state) {
    static const int length[] = {20, 7, 33, 12, 50, 9};
    static uint8_t pixels[BYTES];
    for (int speed = 0; speed < 4; speed++) {
        reel_scenes *s = new_scenes(*state);
        int64_t wanted[5], begin = 0;
        for (int k = 0; k < 6; k++) {
            for (int i = 0; i < length[k]; i++) {
                shot(k, i, speed, pixels);
                push(s, pixels);
            }
            begin += length[k];
            if (k < 5) wanted[k] = begin;
        }
        expect_cuts(&s, 1, wanted, 5);
        reel_scenes_free(&s);
    }
}

static void test_scenes_motion_is_no_cut(void **state) {
    static uint8_t pixels[BYTES];
    for (int speed = 0; speed <= 8; speed++) {
        reel_scenes *s = new_scenes(*state);
        for (int i = 0; i < 60; i++) {
            shot(3, i, speed, pixels);
            push(s, pixels);
        }
        expect_cuts(&s, 1, NULL, 0);
        reel_scenes_free(&s);
    }
}

static void test_scenes_fade_and_flash_are_no_cut(void **state) {
    static uint8_t pixels[BYTES];
    reel_scenes *s = new_scenes(*state);
    for (int i = 0; i < 60; i++) {
        shot(1, i, 1, pixels);
        for (int k = 0; k < BYTES; k++) {
            const int light = i < 40 ? 100 : 100 - (i - 40) * 4; /* dark within a second */
            const int shown = pixels[k] * light / 100;
            pixels[k] = (uint8_t)(i == 20 || i == 30 || i == 31 ? 255 - (255 - shown) / 4 : shown);
        }
        push(s, pixels);
    }
    expect_cuts(&s, 1, NULL, 0);
    reel_scenes_free(&s);
}

static void test_scenes_grain_is_no_cut_and_hides_none(void **state) {
    static uint8_t pixels[BYTES], grain[BYTES];
    reel_scenes *s = new_scenes(*state);
    for (int i = 0; i < 40; i++) {
        shot(i < 25 ? 2 : 4, i, 1, pixels);
        media_noise(i, W, H, grain);
        for (int k = 0; k < BYTES; k++)
            pixels[k] = (uint8_t)((pixels[k] * 7 + grain[k]) / 8);
        push(s, pixels);
    }
    const int64_t wanted[] = {25};
    expect_cuts(&s, 1, wanted, 1);
    reel_scenes_free(&s);
}

static void test_scenes_short_shots_join(void **state) {
    static uint8_t pixels[BYTES];
    reel_scenes *s = new_scenes(*state);
    for (int i = 0; i < 45; i++) {
        shot(i < 20 ? 0 : i < 25 ? 1 : 2, i, 1, pixels);
        push(s, pixels);
    }
    const int64_t all[] = {20, 25}, joined[] = {20};
    expect_cuts(&s, 1, all, 2);
    expect_cuts(&s, 10, joined, 1);
    reel_scenes_free(&s);
}

static void test_scenes_refuses_nonsense(void **state) {
    const media_place *p = *state;
    reel_scenes *s = NULL;
    assert_int_equal(reel_scenes_new(p->env, 0, 4, &s), REEL_E_ARG);
    reel_env_clear(p->env);
    s = new_scenes(p);
    const int64_t *cut;
    int64_t n = -1;
    assert_int_equal(reel_scenes_cuts(s, 0, &cut, &n), REEL_E_ARG);
    reel_env_clear(p->env);
    assert_int_equal(reel_scenes_cuts(s, 1, &cut, &n), REEL_OK);
    assert_int_equal(n, 0);
    reel_scenes_free(&s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, media_place_make, media_place_free)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_scenes_finds_each_cut_of_a_concatenation),
        TEST(test_scenes_motion_is_no_cut),
        TEST(test_scenes_fade_and_flash_are_no_cut),
        TEST(test_scenes_grain_is_no_cut_and_hides_none),
        TEST(test_scenes_short_shots_join),
        TEST(test_scenes_refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
