#include "data/ahead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { BYTES = 2 * 3 * 4 * 3 };
static const reel_bucket size = {4, 3, 2, 1};

/* Clip i is bytes of i; how often each was read, by either thread, one at a time. */
typedef struct shelf {
    int n_read[64];
    int64_t bad; /* a clip that cannot be read */
} shelf;

static reel_status read_clip(reel_env *env, const void *context, int64_t index,
                             const reel_bucket *s, uint8_t *rgb) {
    shelf *c;
    memcpy(&c, &context, sizeof c);
    if (reel_bucket_bytes(s) != BYTES) return REEL_E_SHAPE; /* a thread of its own cannot assert */
    c->n_read[index]++;
    if (index == c->bad) return reel_fail(env, REEL_E_IO, "clip %d is bad", (int)index);
    memset(rgb, (int)index, BYTES);
    return REEL_OK;
}

typedef struct fixture {
    reel_env *env;
    shelf shelf;
    reel_ahead *ahead;
} fixture;

static void open_fixture(fixture *f) {
    *f = (fixture){.shelf.bad = -1};
    assert_int_equal(reel_env_new(NULL, &f->env), REEL_OK);
    assert_int_equal(reel_ahead_new(f->env, read_clip, &f->shelf, &f->ahead), REEL_OK);
}

static void close_fixture(fixture *f) {
    reel_ahead_free(&f->ahead);
    assert_int_equal(f->env->allocator.bytes, 0);
    reel_env_free(&f->env);
}

static void take(fixture *f, int64_t index) {
    uint8_t rgb[BYTES];
    assert_int_equal(reel_ahead_take(f->ahead, index, &size, rgb), REEL_OK);
    for (int i = 0; i < BYTES; i++)
        assert_int_equal(rgb[i], index);
}

static void test_ahead_reads_a_clip_once(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    for (int i = 0; i < 3; i++)
        for (int again = 0; again < 2; again++)
            reel_ahead_expect(f.ahead, i, &size);
    for (int i = 2; i >= 0; i--)
        take(&f, i);
    take(&f, 9); /* nobody announced it */
    for (int i = 0; i < 3; i++)
        assert_int_equal(f.shelf.n_read[i], 1);
    take(&f, 1); /* a second time: its slot was given back */
    assert_int_equal(f.shelf.n_read[1], 2);
    close_fixture(&f);
}

static void test_ahead_lets_go_of_what_nobody_asks_for(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    for (int i = 0; i < 8; i++)
        reel_ahead_expect(f.ahead, i, &size);
    take(&f, 7); /* by now all are read; seven wait for ever */
    for (int i = 20; i < 40; i++) {
        reel_ahead_expect(f.ahead, i, &size);
        take(&f, i);
        assert_int_equal(f.shelf.n_read[i], 1);
    }
    reel_ahead_expect(f.ahead, 50, &size);
    reel_ahead_expect(f.ahead, 51, &size);
    take(&f, 51);
    take(&f, 50);
    assert_int_equal(f.shelf.n_read[50] + f.shelf.n_read[51], 2);
    close_fixture(&f);
}

static void test_ahead_tells_of_failures_when_asked(void **state) {
    (void)state;
    fixture f;
    uint8_t rgb[BYTES];
    open_fixture(&f);
    f.shelf.bad = 5;
    reel_ahead_expect(f.ahead, 5, &size);
    reel_ahead_expect(f.ahead, 6, &size);
    take(&f, 6);
    assert_string_equal(reel_env_message(f.env), "");
    assert_int_equal(reel_ahead_take(f.ahead, 5, &size, rgb), REEL_E_IO);
    assert_string_equal(reel_env_message(f.env), "clip 5 is bad");
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ahead_reads_a_clip_once),
        cmocka_unit_test(test_ahead_lets_go_of_what_nobody_asks_for),
        cmocka_unit_test(test_ahead_tells_of_failures_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
