#include "train/pca.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "ops/matmul.h"
#include "tape/plan.h"

enum { ITERATIONS = 12, SWEEPS = 12, SPARE = 8 };
static const char tag[] = "pca";

void reel_pca_free(reel_env *env, reel_pca **pca) {
    reel_pca *p = *pca;
    if (!p) return;
    reel_free(env, p->mean);
    reel_free(env, p->direction);
    reel_free(env, p->deviation);
    reel_free(env, p);
    *pca = NULL;
}

static void centre(float *x, int64_t N, int64_t P, float *mean) {
    for (int64_t p = 0; p < P; p++)
        mean[p] = 0;
    for (int64_t n = 0; n < N; n++)
        for (int64_t p = 0; p < P; p++)
            mean[p] += x[n * P + p] / (float)N;
    for (int64_t n = 0; n < N; n++)
        for (int64_t p = 0; p < P; p++)
            x[n * P + p] -= mean[p];
}

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Rows of q [K,P] made orthonormal (modified Gram-Schmidt, twice: once is not enough in f32). */
static void orthonormalise(float *q, int64_t K, int64_t P) {
    for (int64_t k = 0; k < K; k++) {
        float *row = q + k * P;
        for (int round = 0; round < 2; round++)
            for (int64_t j = 0; j < k; j++) {
                const float c = (float)dot(row, q + j * P, P);
                for (int64_t p = 0; p < P; p++)
                    row[p] -= c * q[j * P + p];
            }
        const double norm = sqrt(dot(row, row, P));
        const float scale = norm > 1e-20 ? (float)(1 / norm) : 0;
        for (int64_t p = 0; p < P; p++)
            row[p] *= scale;
    }
}

/* Eigenvectors of a symmetric a [n,n] (destroyed) as rows of v, by cyclic Jacobi rotations. */
static void jacobi(double *a, double *v, int64_t n) {
    for (int64_t i = 0; i < n * n; i++)
        v[i] = i / n == i % n;
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                if (fabs(a[p * n + q]) < 1e-30) continue;
                const double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                const double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
                const double c = 1 / sqrt(t * t + 1), s = t * c;
                for (int64_t k = 0; k < n; k++) {
                    const double x = a[k * n + p], y = a[k * n + q];
                    a[k * n + p] = c * x - s * y;
                    a[k * n + q] = s * x + c * y;
                }
                for (int64_t k = 0; k < n; k++) {
                    const double x = a[p * n + k], y = a[q * n + k];
                    a[p * n + k] = c * x - s * y;
                    a[q * n + k] = s * x + c * y;
                    const double f = v[p * n + k], g = v[q * n + k];
                    v[p * n + k] = c * f - s * g;
                    v[q * n + k] = s * f + c * g;
                }
            }
}

/* One plan: h = x q^T and y = h^T x. */
typedef struct products {
    reel_tape *tape;
    reel_plan *plan;
    reel_var h, y;
} products;

static reel_status open_products(reel_env *env, const reel_kernel_table *table, float *x, float *q,
                                 int64_t N, int64_t P, int64_t K, products *p) {
    reel_status status = reel_ops_tape_new(env, &p->tape);
    if (status != REEL_OK) return status;
    const reel_var vx = reel_tape_input(p->tape, REEL_F32, REEL_SHAPE(N, P), "x", x);
    const reel_var vq = reel_tape_input(p->tape, REEL_F32, REEL_SHAPE(K, P), "q", q);
    p->h = reel_matmul(p->tape, vx, vq, (reel_matmul_attr){.b_transposed = 1});   /* [N,K] */
    p->y = reel_matmul(p->tape, p->h, vx, (reel_matmul_attr){.a_transposed = 1}); /* [K,P] */
    reel_tape_keep(p->tape, p->h);
    reel_tape_keep(p->tape, p->y);
    return reel_plan_new(p->tape, table, NULL, &p->plan);
}

/* Within the subspace of the rows of q: directions of falling deviation, the first pca->K. */
static reel_status rotate(reel_env *env, const float *q, const float *h, int64_t N, int64_t K,
                          reel_pca *pca) {
    double *a = reel_calloc(env, K * K, sizeof *a, tag),
           *v = reel_calloc(env, K * K, sizeof *v, tag);
    int64_t *order = reel_calloc(env, K, sizeof *order, tag);
    const bool ok = a && v && order;
    if (ok) {
        for (int64_t n = 0; n < N; n++)
            for (int64_t i = 0; i < K; i++)
                for (int64_t j = 0; j < K; j++)
                    a[i * K + j] += (double)h[n * K + i] * (double)h[n * K + j] / (double)N;
        jacobi(a, v, K);
        for (int64_t i = 0; i < K; i++) { /* insertion by falling variance */
            int64_t at = i;
            while (at > 0 && a[order[at - 1] * (K + 1)] < a[i * (K + 1)]) {
                order[at] = order[at - 1];
                at--;
            }
            order[at] = i;
        }
        for (int64_t k = 0; k < pca->K; k++) {
            const int64_t from = order[k];
            pca->deviation[k] = (float)sqrt(fmax(a[from * (K + 1)], 0));
            for (int64_t p = 0; p < pca->P; p++) {
                double sum = 0;
                for (int64_t j = 0; j < K; j++)
                    sum += v[from * K + j] * (double)q[j * pca->P + p];
                pca->direction[k * pca->P + p] = (float)sum;
            }
        }
    }
    reel_free(env, a);
    reel_free(env, v);
    reel_free(env, order);
    return ok ? REEL_OK : REEL_E_NOMEM;
}

static reel_status iterate(reel_env *env, const reel_kernel_table *table, float *x, int64_t N,
                           int64_t K, uint64_t seed, reel_pca *pca) {
    const int64_t P = pca->P;
    products p = {0};
    float *q = reel_alloc(env, K * P * (int64_t)sizeof *q, tag);
    reel_status status = q ? open_products(env, table, x, q, N, P, K, &p) : REEL_E_NOMEM;
    if (status == REEL_OK) {
        reel_rng_fill_normal(seed, reel_rng_stream("pca"), 0, K * P, q);
        orthonormalise(q, K, P);
    }
    for (int i = 0; i < ITERATIONS && status == REEL_OK; i++) {
        status = reel_plan_run(p.plan, NULL);
        if (status != REEL_OK || i + 1 == ITERATIONS) break;
        memcpy(q, reel_plan_data(p.plan, p.y), (size_t)(K * P) * sizeof *q);
        orthonormalise(q, K, P);
    }
    if (status == REEL_OK) status = rotate(env, q, reel_plan_data(p.plan, p.h), N, K, pca);
    reel_plan_free(&p.plan);
    reel_tape_free(&p.tape);
    reel_free(env, q);
    return status;
}

reel_status reel_pca_new(reel_env *env, const reel_kernel_table *table, float *x, int64_t N,
                         int64_t P, int64_t K, uint64_t seed, reel_pca **pca) {
    if (K < 1 || N <= K || P < K)
        return reel_fail(env, REEL_E_ARG, "pca: %lld components of %lld patches of %lld elements",
                         (long long)K, (long long)N, (long long)P);
    reel_pca *made = reel_calloc(env, 1, sizeof *made, tag);
    if (!made) return REEL_E_NOMEM;
    made->P = P;
    made->K = K;
    made->mean = reel_calloc(env, P, sizeof(float), tag);
    made->direction = reel_calloc(env, K * P, sizeof(float), tag);
    made->deviation = reel_calloc(env, K, sizeof(float), tag);
    reel_status status = made->mean && made->direction && made->deviation ? REEL_OK : REEL_E_NOMEM;
    if (status == REEL_OK) {
        centre(x, N, P, made->mean);
        const int64_t most = P < N - 1 ? P : N - 1, wide = K + SPARE < most ? K + SPARE : most;
        double total = 0;
        for (int64_t i = 0; i < N * P; i++)
            total += (double)x[i] * (double)x[i] / (double)N;
        status = iterate(env, table, x, N, wide, seed, made);
        for (int64_t k = 0; k < K; k++)
            total -= (double)made->deviation[k] * (double)made->deviation[k];
        made->residual = total / (double)P;
    }
    if (status != REEL_OK) {
        reel_pca_free(env, &made);
        return status;
    }
    *pca = made;
    return REEL_OK;
}

/* What coefficient k is multiplied by in the code. */
static double code_scale(const reel_pca *pca, int64_t k) {
    double mean = 0;
    for (int64_t i = 0; i < pca->K; i++)
        mean += (double)pca->deviation[i] / (double)pca->K;
    const double deviation = fmax((double)pca->deviation[k], 1e-6);
    return 1 / sqrt(deviation * fmax(mean, 1e-6));
}

void reel_pca_layer(const reel_pca *pca, float *w, float *b) {
    for (int64_t k = 0; k < pca->K; k++) {
        const float scale = (float)code_scale(pca, k);
        b[k] = -scale * (float)dot(pca->mean, pca->direction + k * pca->P, pca->P);
        for (int64_t p = 0; p < pca->P; p++)
            w[k * pca->P + p] = scale * pca->direction[k * pca->P + p];
    }
}

void reel_pca_inverse_layer(const reel_pca *pca, float *w, float *b) {
    for (int64_t p = 0; p < pca->P; p++)
        b[p] = pca->mean[p];
    for (int64_t k = 0; k < pca->K; k++) {
        const float scale = (float)(1 / code_scale(pca, k));
        for (int64_t p = 0; p < pca->P; p++)
            w[p * pca->K + k] = scale * pca->direction[k * pca->P + p];
    }
}
