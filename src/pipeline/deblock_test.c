#include "pipeline/deblock.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PERIOD = 4, FRAMES = 13 };

/* Frames of one byte each. */
static void run(double share, const uint8_t *in, uint8_t *out) {
    reel_env *env = NULL;
    reel_deblock d;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    assert_int_equal(reel_deblock_init(env, 1, PERIOD, share, &d), REEL_OK);
    memcpy(out, in, FRAMES);
    for (int f = 0; f < FRAMES; f++)
        reel_deblock_frame(&d, f, out + f);
    reel_deblock_deinit(&d);
    reel_env_free(&env);
}

static void test_deblock_spreads_a_small_step_over_the_latent_frame(void **state) {
    (void)state;
    /* a still pixel, coded 4 levels higher from the second latent frame on */
    const uint8_t in[FRAMES] = {100, 100, 100, 100, 100, 104, 104, 104, 104, 104, 104, 104, 104};
    uint8_t out[FRAMES];
    run(1, in, out);
    const float off = 4 / (1 + 0.16f); /* 3.45: left are 0.55, 1.41, 2.28, 3.14, then 4 - 0.85 */
    assert_memory_equal(out, in, 5);
    for (int j = 0; j < 4; j++)
        assert_int_equal(out[5 + j], (int)(104 - off * (1 - (float)j / 4) + 0.5f));
    for (int f = 1; f < FRAMES; f++)
        assert_true(out[f] >= out[f - 1] && out[f] - out[f - 1] <= 1);
}

static void test_deblock_leaves_motion_and_the_inside_alone(void **state) {
    (void)state;
    const uint8_t edge[FRAMES] = {10, 10, 10, 10, 10, 210, 210, 210, 210, 210, 210, 210, 210};
    /* a step of 4 levels inside a latent frame is none of ours */
    const uint8_t inside[FRAMES] = {50, 50, 50, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54};
    uint8_t out[FRAMES];
    run(0.75, edge, out);
    for (int f = 0; f < FRAMES; f++)
        assert_true(abs(out[f] - edge[f]) <= 1);
    run(0.75, inside, out);
    assert_memory_equal(out, inside, FRAMES);
    const uint8_t small[FRAMES] = {50, 50, 50, 50, 50, 58, 58, 58, 58, 58, 58, 58, 58};
    run(0, small, out); /* no share, no change */
    assert_memory_equal(out, small, FRAMES);
}

static void test_deblock_stays_in_range(void **state) {
    (void)state;
    const uint8_t in[FRAMES] = {255, 255, 255, 255, 255, 246, 255, 255, 255, 3, 0, 0, 0};
    uint8_t out[FRAMES];
    run(1, in, out);
    assert_int_equal(out[6], 255); /* 255 + 3.7 */
    assert_true(out[10] <= 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deblock_spreads_a_small_step_over_the_latent_frame),
        cmocka_unit_test(test_deblock_leaves_motion_and_the_inside_alone),
        cmocka_unit_test(test_deblock_stays_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
