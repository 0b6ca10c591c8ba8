#include "diffusion/guidance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "support/op_check.h"

static const float cond[4] = {1, 2, 3, 4}, uncond[4] = {0, 2, 5, -1};

static void test_guidance_walks_from_uncond_through_cond(void **state) {
    (void)state;
    reel_guidance g = reel_guidance_default();
    float out[4];
    reel_guidance_apply(&g, 4, cond, uncond, out);
    assert_memory_equal(out, cond, sizeof out);
    g.scale = 3;
    reel_guidance_apply(&g, 4, cond, uncond, out);
    const float want[4] = {3, 2, -1, 14};
    assert_memory_equal(out, want, sizeof out);
}

static double spread(const float *x) {
    const double mean = ((double)x[0] + (double)x[1] + (double)x[2] + (double)x[3]) / 4;
    double s = 0;
    for (int i = 0; i < 4; i++)
        s += ((double)x[i] - mean) * ((double)x[i] - mean) / 4;
    return sqrt(s);
}

static void test_guidance_rescale_restores_the_deviation(void **state) {
    (void)state;
    reel_guidance g = reel_guidance_default();
    float out[4], plain[4];
    g.scale = 7.5;
    reel_guidance_apply(&g, 4, cond, uncond, plain);
    g.rescale = 1;
    reel_guidance_apply(&g, 4, cond, uncond, out);
    assert_true(fabs(spread(out) - spread(cond)) < 1e-6);
    g.rescale = 0.5; /* half-way between the two in deviation */
    reel_guidance_apply(&g, 4, cond, uncond, out);
    assert_true(fabs(spread(out) - (spread(cond) + spread(plain)) / 2) < 1e-5);
}

static void test_guidance_acts_in_its_interval_only(void **state) {
    (void)state;
    reel_guidance g = reel_guidance_default();
    assert_false(reel_guidance_acts(&g, 3, 10)); /* scale 1 never needs the second pass */
    g.scale = 5;
    g.from = 0.2;
    g.to = 0.7;
    for (int i = 0; i < 10; i++)
        assert_int_equal(reel_guidance_acts(&g, i, 10), i >= 2 && i < 7);
}

static void test_guidance_out_of_range_is_refused(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    const struct {
        reel_guidance g;
        const char *message;
    } bad[] = {{{-1, 0, 0, 1}, "scale must be in 0..100, got -1"},
               {{(double)NAN, 0, 0, 1}, "scale must be"},
               {{5, 2, 0, 1}, "rescale must be in 0..1, got 2"},
               {{5, 0, 0.8, 0.2}, "interval must be within 0..1, got 0.8..0.2"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        reel_env_clear(env);
        assert_int_equal(reel_guidance_check(env, &bad[i].g), REEL_E_ARG);
        assert_non_null(strstr(reel_env_message(env), bad[i].message));
    }
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guidance_walks_from_uncond_through_cond),
        cmocka_unit_test(test_guidance_rescale_restores_the_deviation),
        cmocka_unit_test(test_guidance_acts_in_its_interval_only),
        cmocka_unit_test(test_guidance_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
