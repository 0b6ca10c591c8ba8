#include "tape/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MAX = 300 };

static void test_place_shares_memory_of_pieces_that_never_meet(void **state) {
    (void)state;
    reel_piece placed[3], pieces[3] = {
                              {.bytes = 64, .first = 0, .last = 1, .index = 1},
                              {.bytes = 64, .first = 2, .last = 3, .index = 2},
                              {.bytes = 128, .first = 4, .last = 4, .index = 3},
                          };
    assert_int_equal(reel_place(pieces, 3, placed, true), 128);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pieces[i].offset, 0);
}

static void test_place_keeps_apart_what_meets_in_one_step(void **state) {
    (void)state;
    reel_piece placed[2], pieces[2] = {
                              {.bytes = 64, .first = 0, .last = 1, .index = 1},
                              {.bytes = 64, .first = 1, .last = 2, .index = 2},
                          };
    assert_int_equal(reel_place(pieces, 2, placed, true), 128);
    assert_int_equal(pieces[0].index, 1);
    assert_int_equal(pieces[1].offset, 64);
}

static void test_place_fills_a_gap_to_the_last_byte(void **state) {
    (void)state;
    /* 256 and 192 are alive together; then twice 128 beside 192 fit where 256 was */
    reel_piece placed[4];
    reel_piece pieces[4] = {{.bytes = 128, .first = 2, .last = 3, .index = 1},
                            {.bytes = 128, .first = 3, .last = 3, .index = 2},
                            {.bytes = 192, .first = 0, .last = 3, .index = 3},
                            {.bytes = 256, .first = 0, .last = 1, .index = 4}};
    assert_int_equal(reel_place(pieces, 4, placed, true), 448);
    assert_int_equal(pieces[0].bytes, 256);
    assert_int_equal(pieces[1].offset, 256);
    assert_int_equal(pieces[2].offset, 0);
    assert_int_equal(pieces[3].offset, 128);
}

static void test_place_without_reuse_shares_nothing(void **state) {
    (void)state;
    reel_piece placed[2], pieces[2] = {
                              {.bytes = 64, .first = 0, .last = 1, .index = 1},
                              {.bytes = 128, .first = 5, .last = 6, .index = 2},
                          };
    assert_int_equal(reel_place(pieces, 2, placed, false), 192);
    assert_int_equal(reel_place(pieces, 0, placed, false), 0);
}

static uint32_t draw(uint64_t *state, uint32_t n) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

static int64_t most_alive(const reel_piece *pieces, int n, int n_steps) {
    int64_t most = 0;
    for (int step = 0; step < n_steps; step++) {
        int64_t alive = 0;
        for (int i = 0; i < n; i++)
            if (pieces[i].first <= step && step <= pieces[i].last) alive += pieces[i].bytes;
        if (alive > most) most = alive;
    }
    return most;
}

/* Random pieces: none that meet overlap, and the arena ends where the last one does, not below what
 * is alive at once and not above the sum. */
static void test_place_holds_for_random_pieces(void **state) {
    (void)state;
    static reel_piece pieces[MAX], placed[MAX];
    uint64_t seed = 1;
    for (int round = 0; round < 100; round++) {
        const int n = 1 + (int)draw(&seed, MAX), n_steps = 1 + (int)draw(&seed, 200);
        int64_t sum = 0, end = 0;
        for (int i = 0; i < n; i++) {
            const int32_t first = (int32_t)draw(&seed, (uint32_t)n_steps);
            const int32_t length = (int32_t)draw(&seed, draw(&seed, 4) ? 5 : 100);
            pieces[i] = (reel_piece){.bytes = 64 * (1 + (int64_t)draw(&seed, 50)),
                                     .first = first,
                                     .last = first + length,
                                     .index = i};
            sum += pieces[i].bytes;
        }
        const int64_t arena = reel_place(pieces, n, placed, true);
        for (int i = 0; i < n; i++) {
            const reel_piece *p = &pieces[i];
            if (p->offset + p->bytes > end) end = p->offset + p->bytes;
            for (int j = 0; j < i; j++) {
                const reel_piece *q = &pieces[j];
                const bool meet = p->first <= q->last && q->first <= p->last;
                const bool apart =
                    p->offset + p->bytes <= q->offset || q->offset + q->bytes <= p->offset;
                if (meet && !apart) fail_msg("round %d: pieces %d and %d overlap", round, i, j);
            }
        }
        assert_int_equal(arena, end);
        assert_true(arena <= sum && arena >= most_alive(pieces, n, n_steps + 100));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_shares_memory_of_pieces_that_never_meet),
        cmocka_unit_test(test_place_keeps_apart_what_meets_in_one_step),
        cmocka_unit_test(test_place_fills_a_gap_to_the_last_byte),
        cmocka_unit_test(test_place_without_reuse_shares_nothing),
        cmocka_unit_test(test_place_holds_for_random_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
