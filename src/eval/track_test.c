/* Following objects: on squares drawn by hand, and on real renders, which must pass. */
#include "eval/track.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "eval/prompts.h"
#include "support/op_check.h"

enum { F = 33, SIDE = 64, BOX = 9 };
static uint8_t clip[F * SIDE * SIDE * 3];
static reel_track_point point[F];

/* A grey clip. */
static void begin(void) {
    memset(clip, 128, sizeof clip);
}
/* A square of one color with its corner at (x,y) of frame f; what leaves the picture is cut. */
static void put(int f, int x, int y, int red, int green, int blue) {
    for (int j = 0; j < BOX * BOX; j++) {
        const int at_x = x + j % BOX, at_y = y + j / BOX;
        if (at_x < 0 || at_x >= SIDE || at_y < 0 || at_y >= SIDE) continue;
        uint8_t *p = clip + ((f * SIDE + at_y) * SIDE + at_x) * 3;
        p[0] = (uint8_t)red;
        p[1] = (uint8_t)green;
        p[2] = (uint8_t)blue;
    }
}
static void follow(void) {
    reel_env *env = op_test_env(1);
    assert_int_equal(reel_track(env, clip, F, SIDE, SIDE, point), REEL_OK);
    reel_env_free(&env);
}

static void test_track_finds_the_square(void **state) {
    (void)state;
    begin();
    for (int f = 0; f < F; f++)
        put(f, f, 20, 255, 0, 51);
    follow();
    for (int f = 1; f < F; f++) {
        assert_true(point[f].seen && !point[f].cut);
        assert_true(fabs(point[f].x - (f + 4)) < 1e-9 && fabs(point[f].y - 24) < 1e-9);
        assert_true(fabs(point[f].area - BOX * BOX / (double)(SIDE * SIDE)) < 1e-9);
        assert_true(fabs(point[f].rgb[0] - 1) < 1e-9 && fabs(point[f].rgb[2] - 0.2) < 1e-9);
    }
    assert_true(point[0].cut);
}

static void test_fit_is_exact_on_a_parabola_and_not_on_a_step(void **state) {
    (void)state;
    double t[8], y[8], c[3];
    for (int i = 0; i < 8; i++) {
        t[i] = 0.25 * i;
        y[i] = 3 - 2 * t[i] + 5 * t[i] * t[i];
    }
    assert_true(fabs(reel_fit_acceleration(t, y, 8, c) - 1) < 1e-12);
    assert_true(fabs(c[0] - 3) < 1e-9 && fabs(c[1] + 2) < 1e-9 && fabs(c[2] - 5) < 1e-9);
    for (int i = 0; i < 8; i++)
        y[i] = i == 4 ? 1 : 0;
    assert_true(reel_fit_acceleration(t, y, 8, c) < 0.5);
}

/* y of a fall by `power` in 20 frames, then at rest. */
static void fall(double power) {
    begin();
    for (int f = 0; f < F; f++) {
        const double s = f < 20 ? f / 20.0 : 1;
        put(f, f < 20 ? 20 : 21, 2 + (int)lround(44 * pow(s, power)), 255, 255, 0);
    }
    follow();
}

static void test_track_falls_when_it_speeds_up(void **state) {
    (void)state;
    double r2;
    fall(2);
    assert_true(reel_track_falls(point, F, SIDE, 0.97, &r2));
    assert_true(r2 > 0.99);
    fall(0.5); /* slows down */
    assert_false(reel_track_falls(point, F, SIDE, 0.97, NULL));
    begin(); /* nothing is there */
    follow();
    assert_false(reel_track_falls(point, F, SIDE, 0.97, &r2));
    assert_true(r2 == 0);
}

/* Left to right, hidden in the middle; blue is its last color's. */
static void pass(int blue) {
    begin();
    for (int f = 0; f < F; f++)
        if (f < 12 || f > 20) put(f, 2 + (int)(1.6 * f), 30, 200, 40, f < 12 ? 40 : blue);
    follow();
}

static void test_track_comes_back_with_its_color(void **state) {
    (void)state;
    pass(40);
    assert_true(reel_track_comes_back(point, F, SIDE, 0.09));
    pass(140); /* shares of red, green, blue 0.3 apart */
    assert_false(reel_track_comes_back(point, F, SIDE, 0.09));
    begin(); /* stays on its side */
    for (int f = 0; f < F; f++)
        put(f, 2 + f % 2, 30 + f / 4, 200, 40, 40);
    follow();
    assert_false(reel_track_comes_back(point, F, SIDE, 0.09));
}

static void test_track_refuses_two_frames(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    assert_int_equal(reel_track(env, clip, 2, SIDE, SIDE, point), REEL_E_ARG);
    reel_env_free(&env);
}

/* The share of n real renders that pass. */
static double real_share(reel_prompt_group group, int n) {
    enum { W = 128 };
    static uint8_t rgb[F * W * W * 3];
    const reel_bucket size = {W, W, F, 1};
    reel_env *env = op_test_env(2);
    reel_prompt prompt;
    int passed = 0;
    for (int i = 0; i < n; i++) {
        assert_int_equal(reel_prompt_make(env, group, 1, i, 4, &prompt), REEL_OK);
        assert_int_equal(reel_prompt_render(env, &prompt, &size, 8, rgb), REEL_OK);
        assert_int_equal(reel_track(env, rgb, F, W, W, point), REEL_OK);
        const bool ok = group == REEL_PROMPTS_FALL ? reel_track_falls(point, F, W, 0.97, NULL)
                                                   : reel_track_comes_back(point, F, W, 0.09);
        passed += ok;
        if (!ok) print_message("not followed: %s\n", prompt.text);
    }
    reel_env_free(&env);
    return (double)passed / n;
}

static void test_track_accepts_real_renders(void **state) {
    (void)state;
    assert_true(real_share(REEL_PROMPTS_FALL, 6) > 0.8);
    assert_true(real_share(REEL_PROMPTS_BEHIND, 6) > 0.8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_track_finds_the_square),
        cmocka_unit_test(test_fit_is_exact_on_a_parabola_and_not_on_a_step),
        cmocka_unit_test(test_track_falls_when_it_speeds_up),
        cmocka_unit_test(test_track_comes_back_with_its_color),
        cmocka_unit_test(test_track_refuses_two_frames),
        cmocka_unit_test(test_track_accepts_real_renders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
