/* Rows of packed clips: which number stands where, by hand. */
#include "train/row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "models/wan/dit.h"
#include "support/op_check.h"

enum { Z = 3, H = 4, W = 2, F = 2, P = 2, TOKENS = F * (H / P) * (W / P), WIDTH = Z * P * P };

static reel_bf16 latent[F * H * W * Z];

static reel_latent_clip clip(void) {
    for (int i = 0; i < F * H * W * Z; i++)
        latent[i] = reel_f32_to_bf16((float)i); /* exact up to 256 */
    return (reel_latent_clip){.f = F, .h = H, .w = W, .data = latent};
}

static float value(int64_t f, int64_t y, int64_t x, int64_t c) {
    return (float)(((f * H + y) * W + x) * Z + c);
}

static reel_row filled(reel_env *env, bool planes, double t, uint64_t known) {
    const reel_row_options o = {.T = TOKENS + 3,
                                .N = 2,
                                .X = 4,
                                .z = Z,
                                .patch = P,
                                .planes = planes,
                                .objective = REEL_OBJECTIVE_FLOW};
    reel_row row;
    assert_int_equal(reel_row_init(env, &o, &row), REEL_OK);
    const reel_latent_clip c = clip();
    reel_row_clear(&row);
    assert_true(reel_row_add(&row, &c, t, known, 0));
    assert_false(reel_row_add(&row, &c, t, known, 0)); /* no room for a second one */
    reel_row_fill(&row, 7);
    return row;
}

/* Tokens hold channels slowest, targets channels fastest, as the transformer takes and gives. */
static void test_row_tokens_and_targets_have_their_orders(void **state) {
    (void)state;
    reel_env *env = op_test_env(2);
    reel_row row = filled(env, false, 0, 0); /* no noise: tokens are latents */
    for (int64_t k = 0; k < TOKENS; k++) {
        const int64_t f = k / (H / P), y = k % (H / P); /* W / P is 1 */
        assert_int_equal(row.positions[3 * k], f);
        assert_int_equal(row.positions[3 * k + 1], y);
        for (int64_t c = 0; c < Z; c++)
            for (int64_t i = 0; i < P * P; i++) {
                const float x0 = value(f, y * P + i / P, i % P, c);
                assert_float_equal(row.tokens[k * WIDTH + c * P * P + i], x0, 0);
                /* target = eps - x0, eps normal */
                assert_true(fabsf(row.target[k * WIDTH + i * Z + c] + x0) < 6);
            }
    }
    reel_row_deinit(&row);
    reel_env_free(&env);
}

static void test_row_planes_say_where_a_token_stands(void **state) {
    (void)state;
    reel_env *env = op_test_env(2);
    reel_row plain = filled(env, false, 0.5, 0), row = filled(env, true, 0.5, 0);
    enum { WIDE = (Z + REEL_WAN_DIT_PLANES) * P * P };
    assert_int_equal(row.C, Z + REEL_WAN_DIT_PLANES);
    for (int64_t k = 0; k < TOKENS; k++) {
        const float *plane = row.tokens + k * WIDE + WIDTH;
        for (int64_t i = 0; i < P * P; i++) {
            const int64_t y = k % (H / P) * P + i / P, x = i % P;
            assert_float_equal(plane[i], (2 * (float)y + 1) / H - 1, 1e-6);
            assert_float_equal(plane[P * P + i], (2 * (float)x + 1) / W - 1, 1e-6);
        }
        assert_memory_equal(row.tokens + k * WIDE, plain.tokens + k * WIDTH, WIDTH * sizeof(float));
    }
    assert_memory_equal(row.target, plain.target, TOKENS * WIDTH * sizeof(float));
    reel_row_deinit(&plain);
    reel_row_deinit(&row);
    reel_env_free(&env);
}

static void test_row_known_frames_are_clean_and_weigh_nothing(void **state) {
    (void)state;
    reel_env *env = op_test_env(2);
    reel_row row = filled(env, false, 1, 1); /* all noise, but frame 0 is known */
    const int64_t plane = TOKENS / F;
    for (int64_t k = 0; k < row.T; k++)
        assert_float_equal(row.weight[k], k >= plane && k < TOKENS ? 1 : 0, 0);
    assert_float_equal(row.level[row.map[0]], 0, 0);
    assert_float_equal(row.level[row.map[plane]], 1000, 0);
    assert_float_equal(row.tokens[0], value(0, 0, 0, 0), 0);
    /* pure noise: x = eps, target = eps - x0 */
    assert_float_equal(row.tokens[plane * WIDTH] - row.target[plane * WIDTH], value(1, 0, 0, 0),
                       1e-4);
    assert_int_equal(row.offsets[1], TOKENS);
    assert_int_equal(row.offsets[3], row.T); /* what is behind the clips is a clip of its own */
    reel_row_deinit(&row);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_tokens_and_targets_have_their_orders),
        cmocka_unit_test(test_row_planes_say_where_a_token_stands),
        cmocka_unit_test(test_row_known_frames_are_clean_and_weigh_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
