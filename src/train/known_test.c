#include "train/known.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { N = 70000, F = 9, H = 8, W = 6 };
static const uint64_t all = ((uint64_t)1 << F) - 1;

/* 0.3 of the samples know something, and every way has a ninth of those. */
static void test_known_shares_are_even(void **state) {
    (void)state;
    int count[REEL_KNOWN_KINDS] = {0};
    for (uint64_t i = 0; i < N; i++)
        count[reel_known_kind_of(5, i, 0.3)]++;
    assert_in_range(count[REEL_KNOWN_NOTHING], 0.69 * N, 0.71 * N);
    for (int k = REEL_KNOWN_FIRST; k < REEL_KNOWN_KINDS; k++)
        assert_in_range(count[k], 0.3 / 9 * 0.93 * N, 0.3 / 9 * 1.07 * N);
}

static int bits(uint64_t x) {
    int n = 0;
    for (; x; x >>= 1)
        n += (int)(x & 1);
    return n;
}

/* A run of ones from frame 0 on. */
static bool is_head(uint64_t x) {
    return (x & 1) && (x & (x + 1)) == 0;
}

/* Ones that follow one another, anywhere. */
static bool is_run(uint64_t x) {
    while (x && !(x & 1))
        x >>= 1;
    return is_head(x);
}

static void test_known_frames_are_what_their_kind_says(void **state) {
    (void)state;
    int longest = 0, coins = 0, n_coins = 0;
    for (uint64_t i = 0; i < N / 7; i++) {
        reel_row_box region;
        const reel_known_kind kind = reel_known_kind_of(3, i, 1);
        const uint64_t x = reel_known_draw(3, i, 1, F, H, W, &region);
        assert_true((x & ~all) == 0 && x != all);
        assert_int_equal(region.height > 0, kind == REEL_KNOWN_REGION);
        if (kind == REEL_KNOWN_FIRST) assert_int_equal(x, 1);
        if (kind == REEL_KNOWN_LAST) assert_int_equal(x, 1 << (F - 1));
        if (kind == REEL_KNOWN_BOTH) assert_int_equal(x, 1 | 1 << (F - 1));
        if (kind == REEL_KNOWN_HEAD) assert_true(is_head(x));
        if (kind == REEL_KNOWN_TAIL) assert_true(is_head(~x & all));
        if (kind == REEL_KNOWN_ENDS) assert_true((x & 1) && x >> (F - 1) && is_run(~x & all));
        if (kind == REEL_KNOWN_WINDOW) assert_true(is_head(x) && bits(x) > 1);
        if (kind == REEL_KNOWN_REGION) assert_int_equal(x, 0);
        if (kind == REEL_KNOWN_HEAD && bits(x) > longest) longest = bits(x);
        n_coins += kind == REEL_KNOWN_SOME ? F : 0;
        coins += kind == REEL_KNOWN_SOME ? bits(x) : 0;
    }
    assert_int_equal(longest, F - 1);
    assert_in_range(coins, 0.47 * n_coins, 0.53 * n_coins);
}

static void test_known_regions_are_inside_and_never_all(void **state) {
    (void)state;
    int outside = 0, n = 0;
    for (uint64_t i = 0; i < N / 7; i++) {
        reel_row_box b;
        reel_known_draw(3, i, 1, F, H, W, &b);
        if (!b.height) continue;
        assert_true(b.y >= 0 && b.height >= 1 && b.height < H && b.y + b.height <= H);
        assert_true(b.x >= 0 && b.width >= 1 && b.width < W && b.x + b.width <= W);
        outside += b.outside;
        n++;
    }
    assert_in_range(outside, 0.45 * n, 0.55 * n);
}

static void test_known_windows_leave_a_gap_inside_the_clip(void **state) {
    (void)state;
    enum { LONGEST = 17 };
    int64_t least = LONGEST, most = 0, shortest = LONGEST;
    for (uint64_t i = 0; i < N / 7; i++) {
        int64_t f = LONGEST;
        const int64_t gap = reel_known_gap(3, i, REEL_KNOWN_WINDOW, &f);
        assert_true(gap >= 1 && f >= 3 && f + gap <= LONGEST);
        if (gap < least) least = gap;
        if (gap > most) most = gap;
        if (f < shortest) shortest = f;
        for (int kind = 0; kind < REEL_KNOWN_KINDS; kind++) {
            f = kind == REEL_KNOWN_WINDOW ? 4 : LONGEST; /* too short, or another kind */
            assert_int_equal(reel_known_gap(3, i, (reel_known_kind)kind, &f), 0);
            assert_int_equal(f, kind == REEL_KNOWN_WINDOW ? 4 : LONGEST);
        }
    }
    assert_true(least == 1 && most == LONGEST - 3 && shortest == 3);
}

static void test_known_of_images_and_of_lines(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 500; i++) {
        reel_row_box region;
        assert_int_equal(reel_known_draw(3, i, 1, 1, H, W, &region), 0);
        const uint64_t x = reel_known_draw(3, i, 1, 2, 1, W, &region);
        assert_true(x < 3 && region.height == 0);
        assert_true(reel_known_draw(3, i, 1, 64, H, W, &region) != ~(uint64_t)0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_shares_are_even),
        cmocka_unit_test(test_known_frames_are_what_their_kind_says),
        cmocka_unit_test(test_known_regions_are_inside_and_never_all),
        cmocka_unit_test(test_known_windows_leave_a_gap_inside_the_clip),
        cmocka_unit_test(test_known_of_images_and_of_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
