/* Steps, seams and motion of clips whose figures are known by hand. */
#include "data/steps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "data/quality.h"
#include "support/op_check.h"

enum { W = 16, H = 12, F = 8, FRAME = 3 * W * H };
static const reel_bucket size = {W, H, F, 1};

static void near(double a, double b) {
    if (fabs(a - b) > 1e-9) fail_msg("got %.9g, wanted %.9g", a, b);
}

/* Frames of one value each. */
static void fill(uint8_t rgb[F * FRAME], const uint8_t value[F]) {
    for (int f = 0; f < F; f++)
        memset(rgb + f * FRAME, value[f], FRAME);
}

static double seam_of(const uint8_t value[F], const int64_t *joint, int n) {
    static uint8_t rgb[F * FRAME];
    reel_env *env = op_test_env(1);
    double seam = -1;
    fill(rgb, value);
    assert_int_equal(reel_seam_measure(env, rgb, &size, joint, n, &seam), REEL_OK);
    reel_env_free(&env);
    return seam;
}

static void test_seam_is_the_largest_joint_over_the_median_inside(void **state) {
    (void)state;
    const uint8_t value[F] = {10, 12, 14, 24, 26, 28, 33, 35}; /* steps 2 2 10 2 2 5 2 */
    near(seam_of(value, (int64_t[]){3}, 1), 5);
    near(seam_of(value, (int64_t[]){6}, 1), 2.5);
    near(seam_of(value, (int64_t[]){6, 3}, 2), 5);
    near(seam_of(value, (int64_t[]){1}, 1), 1);
}

static void test_seam_of_a_loop_is_the_step_to_the_first_frame(void **state) {
    (void)state;
    const uint8_t value[F] = {10, 12, 14, 16, 18, 16, 14, 13}; /* back to 10: 3 */
    near(seam_of(value, (int64_t[]){F}, 1), 1.5);
    near(seam_of(value, (int64_t[]){5, F}, 2), 1.5);
}

static void test_seam_of_what_stands_still(void **state) {
    (void)state;
    const uint8_t still[F] = {7, 7, 7, 7, 7, 7, 7, 7}, jump[F] = {7, 7, 7, 7, 9, 9, 9, 9};
    near(seam_of(still, (int64_t[]){4}, 1), 0);
    assert_true(isinf(seam_of(jump, (int64_t[]){4}, 1)));
    near(seam_of(jump, (int64_t[]){3}, 1), 0);
}

static void test_seam_refuses_joints_outside(void **state) {
    (void)state;
    static uint8_t rgb[F * FRAME];
    reel_env *env = op_test_env(1);
    double seam;
    const int64_t before = 0, behind = F + 1;
    assert_int_equal(reel_seam_measure(env, rgb, &size, &before, 1, &seam), REEL_E_ARG);
    reel_env_clear(env);
    assert_int_equal(reel_seam_measure(env, rgb, &size, &behind, 1, &seam), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(env), "frame 9 of 8"));
    reel_env_free(&env);
}

static void test_pulse_is_the_step_from_piece_to_piece(void **state) {
    (void)state;
    static uint8_t rgb[F * FRAME];
    reel_pulse p = {0};
    near(reel_pulse_ratio(&p), 1);
    fill(rgb,
         (const uint8_t[F]){10, 16, 18, 20, 26, 28, 30, 36}); /* pieces of 3 behind the first */
    reel_pulse_add(&p, rgb, &size, 3);
    near(reel_pulse_ratio(&p), 3);
    reel_pulse_add(&p, rgb, &size, 3);
    near(reel_pulse_ratio(&p), 3);
    p = (reel_pulse){0};
    reel_pulse_add(&p, rgb, &size, 1);
    near(reel_pulse_ratio(&p), 1);
}

/* A white square of 4 x 4 on black that goes a pixel a frame to the right, in the last channel. */
static void test_motion_is_what_leaves_the_first_frame(void **state) {
    (void)state;
    static uint8_t rgb[F * FRAME];
    memset(rgb, 0, sizeof rgb);
    near(reel_moved_share(rgb, &size), 0);
    for (int f = 0; f < F; f++)
        for (int y = 4; y < 8; y++)
            for (int x = 2 + f; x < 6 + f; x++)
                rgb[f * FRAME + 3 * (y * W + x) + 2] = 255;
    /* The square of the last frame is apart from the first one's; a mean over 3 x 3 above 32 of 255
     * needs two white pixels of nine: all places around a square but its four corners. */
    near(reel_moved_share(rgb, &size), 2.0 * (36 - 4) / (W * H));
}

static void test_motion_is_not_noise(void **state) {
    (void)state;
    static uint8_t rgb[F * FRAME];
    for (int i = 0; i < F * FRAME; i++)
        rgb[i] = (uint8_t)(128 + (i * 7919 % 61) - 30); /* +- 30, of another frame elsewhere */
    near(reel_moved_share(rgb, &size), 0);
}

static void test_columns_are_compared_alone(void **state) {
    (void)state;
    static uint8_t a[F * FRAME], b[F * FRAME];
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    for (int row = 0; row < F * H; row++)
        memset(b + 3 * (row * W + 4), 51, 6); /* columns 4 and 5 by a fifth */
    near(reel_columns_mean_square(a, b, &size, 0, 4), 0);
    near(reel_columns_mean_square(a, b, &size, 4, 6), 0.04);
    near(reel_columns_mean_square(a, b, &size, 5, 9), 0.01);
    near(reel_columns_mean_square(a, b, &size, 0, W), reel_mean_square(a, b, F * FRAME));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seam_is_the_largest_joint_over_the_median_inside),
        cmocka_unit_test(test_seam_of_a_loop_is_the_step_to_the_first_frame),
        cmocka_unit_test(test_seam_of_what_stands_still),
        cmocka_unit_test(test_seam_refuses_joints_outside),
        cmocka_unit_test(test_pulse_is_the_step_from_piece_to_piece),
        cmocka_unit_test(test_motion_is_what_leaves_the_first_frame),
        cmocka_unit_test(test_motion_is_not_noise),
        cmocka_unit_test(test_columns_are_compared_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
