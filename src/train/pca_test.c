#include "train/pca.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/op_check.h"

enum { N = 600, P = 20, K = 3 };

/* x = 5 + sum_k s_k g_k u_k + noise, with u_k unit vectors along three axes of a rotated pair. */
static void fill(float *x) {
    static const float s[K] = {4, 2, 1};
    for (int n = 0; n < N; n++)
        for (int p = 0; p < P; p++) {
            const uint64_t at = (uint64_t)(n * 100 + p);
            x[n * P + p] = 5 + 0.05f * reel_rng_normal(1, 1, at);
            if (p < 2 * K) /* direction k lies between the axes 2k and 2k + 1 */
                x[n * P + p] += s[p / 2] * (float)sqrt(0.5) *
                                reel_rng_normal(1, 2, (uint64_t)(n * 100 + p / 2));
        }
}

static void test_pca_finds_directions_and_deviations(void **state) {
    (void)state;
    reel_env *env = op_test_env(2);
    reel_kernel_table *table;
    assert_int_equal(reel_ops_reference_table(env, &table), REEL_OK);
    static float x[N * P];
    fill(x);
    reel_pca *pca;
    assert_int_equal(reel_pca_new(env, table, x, N, P, K, 1, &pca), REEL_OK);
    const double wanted[K] = {4, 2, 1};
    for (int k = 0; k < K; k++) {
        const float *d = pca->direction + k * P;
        assert_true(fabs((double)pca->deviation[k] - wanted[k]) < 0.12 * wanted[k]);
        assert_true(fabs(fabs((double)(d[2 * k] + d[2 * k + 1])) - sqrt(2)) < 0.02);
    }
    for (int p = 0; p < P; p++)
        assert_true(fabs((double)pca->mean[p] - 5) < 0.5);
    assert_true(pca->residual > 0 && pca->residual < 0.004); /* 0.05^2 of what is left */
    reel_pca_free(env, &pca);
    reel_kernel_table_free(env, &table);
    reel_env_free(&env);
}

static void test_pca_layer_codes_have_mean_variance_one(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_kernel_table *table;
    assert_int_equal(reel_ops_reference_table(env, &table), REEL_OK);
    static float x[N * P], data[N * P];
    fill(x);
    fill(data);
    reel_pca *pca;
    assert_int_equal(reel_pca_new(env, table, x, N, P, K, 1, &pca), REEL_OK);
    float w[K * P], b[K];
    reel_pca_layer(pca, w, b);
    double sum[K] = {0}, square = 0;
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++) {
            double code = (double)b[k];
            for (int p = 0; p < P; p++)
                code += (double)w[k * P + p] * (double)data[n * P + p];
            sum[k] += code / N;
            square += code * code / (N * K);
        }
    for (int k = 0; k < K; k++)
        assert_true(fabs(sum[k]) < 1e-3);
    assert_true(fabs(square - 1) < 1e-2);
    reel_pca_free(env, &pca);
    reel_kernel_table_free(env, &table);
    reel_env_free(&env);
}

static void test_pca_inverse_layer_brings_back_what_the_code_holds(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_kernel_table *table;
    assert_int_equal(reel_ops_reference_table(env, &table), REEL_OK);
    static float x[N * P], data[N * P];
    fill(x);
    fill(data);
    reel_pca *pca;
    assert_int_equal(reel_pca_new(env, table, x, N, P, K, 1, &pca), REEL_OK);
    float w[K * P], b[K], back[P * K], mean[P];
    reel_pca_layer(pca, w, b);
    reel_pca_inverse_layer(pca, back, mean);
    double squares = 0;
    for (int n = 0; n < N; n++) {
        double code[K];
        for (int k = 0; k < K; k++) {
            code[k] = (double)b[k];
            for (int p = 0; p < P; p++)
                code[k] += (double)w[k * P + p] * (double)data[n * P + p];
        }
        for (int p = 0; p < P; p++) {
            double off = (double)mean[p] - (double)data[n * P + p];
            for (int k = 0; k < K; k++)
                off += (double)back[p * K + k] * code[k];
            squares += off * off / (N * P);
        }
    }
    assert_true(fabs(squares - pca->residual) < 0.05 * pca->residual);
    reel_pca_free(env, &pca);
    reel_kernel_table_free(env, &table);
    reel_env_free(&env);
}

static void test_pca_refuses_more_components_than_data(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    float x[4] = {0};
    reel_pca *pca;
    assert_int_equal(reel_pca_new(env, NULL, x, 2, 2, 2, 1, &pca), REEL_E_ARG);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pca_finds_directions_and_deviations),
        cmocka_unit_test(test_pca_layer_codes_have_mean_variance_one),
        cmocka_unit_test(test_pca_inverse_layer_brings_back_what_the_code_holds),
        cmocka_unit_test(test_pca_refuses_more_components_than_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
