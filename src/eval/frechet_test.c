/* The Fréchet distance against what can be computed by hand. */
#include "eval/frechet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "support/op_check.h"

enum { N = 4000, D = 3 };

static void fill(uint64_t stream, int64_t n, float *x) {
    reel_rng_fill_normal(5, stream, 0, n * D, x);
}

static void test_frechet_of_equal_sets_is_zero(void **state) {
    (void)state;
    static float x[N * D];
    reel_env *env = op_test_env(1);
    double diagonal, full;
    fill(1, N, x);
    assert_int_equal(reel_frechet(env, x, 100, x, 100, D, &diagonal), REEL_OK);
    assert_int_equal(reel_frechet_full(env, x, N, x, N, D, &full), REEL_OK);
    assert_true(fabs(diagonal) < 1e-12);
    assert_true(fabs(full) < 1e-9); /* the roots of rounding errors of the covariance */
    reel_env_free(&env);
}

/* y = s x + m has the mean and deviations of x moved and scaled exactly, so the distance is
 * |m_y - m_x|^2 + (s - 1)^2 times the sum of x's variances, whichever way it is computed. */
static void test_frechet_of_a_moved_and_scaled_set_is_analytic(void **state) {
    (void)state;
    static float x[N * D], y[N * D];
    const double scale = 1.5, move[D] = {2, -1, 0.5};
    double mean[D] = {0}, variance[D] = {0}, wanted = 0, diagonal, full;
    reel_env *env = op_test_env(1);
    fill(2, N, x);
    for (int i = 0; i < N * D; i++) {
        y[i] = (float)(scale * (double)x[i] + move[i % D]);
        mean[i % D] += (double)x[i] / N;
    }
    for (int i = 0; i < N * D; i++)
        variance[i % D] += pow((double)x[i] - mean[i % D], 2) / (N - 1);
    for (int k = 0; k < D; k++)
        wanted += pow((scale - 1) * mean[k] + move[k], 2) + pow(scale - 1, 2) * variance[k];
    assert_int_equal(reel_frechet_full(env, x, N, y, N, D, &full), REEL_OK);
    assert_true(fabs(full - wanted) < 1e-5 * wanted); /* y is rounded to f32 */
    /* reel_frechet takes all of them as full, and fewer as independent; scaling hides no
     * correlation, so both agree when the set is the same. */
    assert_int_equal(reel_frechet(env, x, N, y, N, D, &diagonal), REEL_OK);
    assert_true(diagonal == full);
    reel_env_free(&env);
}

/* Two sets with the same variances, one correlated: only full covariances see it. By hand: with
 * S_a = I and S_b = [[1,r],[r,1]] the distance is 4 - 2 (sqrt(1+r) + sqrt(1-r)). */
static void test_frechet_full_sees_correlation(void **state) {
    (void)state;
    const double r = 0.8;
    static float a[2 * N], b[2 * N];
    reel_env *env = op_test_env(1);
    double diagonal, full;
    /* Four points each, repeated: covariances are exact. */
    const double u = sqrt(1 + r), v = sqrt(1 - r), h = sqrt(0.5);
    for (int i = 0; i < N; i++) {
        const double s = i & 1 ? 1 : -1, t = i & 2 ? 1 : -1;
        a[2 * i] = (float)s;
        a[2 * i + 1] = (float)t;
        b[2 * i] = (float)(h * (u * s + v * t));
        b[2 * i + 1] = (float)(h * (u * s - v * t));
    }
    assert_int_equal(reel_frechet_full(env, a, N, b, N, 2, &full), REEL_OK);
    assert_int_equal(reel_frechet(env, a, 1996, b, 1996, 2, &diagonal), REEL_OK);
    const double wanted = 4 - 2 * (sqrt(1 + r) + sqrt(1 - r));
    assert_true(fabs(full - wanted) < 1e-3); /* n - 1 for n */
    assert_true(fabs(diagonal) < 1e-9);
    reel_env_free(&env);
}

static void test_frechet_refuses_single_vectors(void **state) {
    (void)state;
    const float x[D] = {0};
    reel_env *env = op_test_env(1);
    double distance = -1;
    assert_int_equal(reel_frechet(env, x, 1, x, 1, D, &distance), REEL_E_ARG);
    assert_true(distance == -1);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frechet_of_equal_sets_is_zero),
        cmocka_unit_test(test_frechet_of_a_moved_and_scaled_set_is_analytic),
        cmocka_unit_test(test_frechet_full_sees_correlation),
        cmocka_unit_test(test_frechet_refuses_single_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
