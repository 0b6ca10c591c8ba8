#include "pipeline/windows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const reel_spans spans = {.factor = 4, .most = 17, .window = 9, .context = 3};

static void test_windows_of_a_short_canvas_are_one(void **state) {
    (void)state;
    assert_int_equal(reel_windows_count(&spans, 17), 1);
    assert_int_equal(reel_windows_length(&spans, 17), 17);
    const reel_window w = reel_windows_at(&spans, 17, 0);
    assert_int_equal(w.fresh, 17);
    assert_int_equal(w.known + w.at + w.anchor, 0);
}

/* Every latent frame is made once, each window has the same length and at least the context, and
 * what it takes for known lies inside the window before. */
static void check_cover(const reel_spans *s, int64_t F) {
    int64_t made = 0, before = 0;
    for (int64_t i = 0; i < reel_windows_count(s, F); i++) {
        const reel_window w = reel_windows_at(s, F, i);
        assert_int_equal(w.at + w.known, made);
        assert_int_equal(w.anchor + w.known + w.fresh, s->window);
        assert_true(w.fresh >= 1);
        if (i > 0) assert_true(w.known >= s->context && w.at >= before);
        made += w.fresh;
        before = w.at;
    }
    assert_int_equal(made, F);
}

static void test_windows_cover_each_frame_once(void **state) {
    (void)state;
    for (int64_t window = 2; window <= 9; window++)
        for (int64_t context = 1; context < window; context++)
            for (int64_t anchor = 0; anchor + context < window; anchor++)
                for (int64_t F = window + 1; F <= 40; F++) {
                    const reel_spans s = {.factor = 4,
                                          .most = window,
                                          .window = window,
                                          .anchor = anchor,
                                          .context = context};
                    check_cover(&s, F);
                }
}

static void test_windows_of_a_minute_are_twenty(void **state) {
    (void)state;
    assert_int_equal(reel_windows_count(&spans, 121), 20); /* 9 + 18 x 6 + 4 */
    const reel_window last = reel_windows_at(&spans, 121, 19);
    assert_int_equal(last.at, 112);
    assert_int_equal(last.known, 5);
}

static void test_windows_seeds_differ_and_begin_with_the_runs(void **state) {
    (void)state;
    assert_true(reel_windows_seed(7, 0) == 7);
    for (int64_t i = 1; i < 100; i++)
        assert_true(reel_windows_seed(7, i) != reel_windows_seed(7, i - 1) &&
                    reel_windows_seed(7, i) != reel_windows_seed(8, i));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_of_a_short_canvas_are_one),
        cmocka_unit_test(test_windows_cover_each_frame_once),
        cmocka_unit_test(test_windows_of_a_minute_are_twenty),
        cmocka_unit_test(test_windows_seeds_differ_and_begin_with_the_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
