#include "eval/frechet.h"

#include <math.h>
#include <string.h>

static const char tag[] = "frechet";
enum { MOST_SWEEPS = 60 };

static void means(const float *x, int64_t n, int64_t d, double *mean) {
    memset(mean, 0, (size_t)d * sizeof *mean);
    for (int64_t i = 0; i < n * d; i++)
        mean[i % d] += (double)x[i] / (double)n;
}

static double between(const double *a, const double *b, int64_t d) {
    double sum = 0;
    for (int64_t k = 0; k < d; k++)
        sum += (a[k] - b[k]) * (a[k] - b[k]);
    return sum;
}

/* ---- independent channels ---- */

static void deviations(const float *x, int64_t n, int64_t d, const double *mean, double *s) {
    memset(s, 0, (size_t)d * sizeof *s);
    for (int64_t i = 0; i < n * d; i++) {
        const double e = (double)x[i] - mean[i % d];
        s[i % d] += e * e / (double)(n - 1);
    }
    for (int64_t k = 0; k < d; k++)
        s[k] = sqrt(s[k]);
}

static reel_status independent(reel_env *env, const float *a, int64_t n_a, const float *b,
                               int64_t n_b, int64_t d, double *distance) {
    double *m = reel_calloc(env, 4 * d, sizeof *m, tag);
    if (!m) return REEL_E_NOMEM;
    means(a, n_a, d, m);
    means(b, n_b, d, m + d);
    deviations(a, n_a, d, m, m + 2 * d);
    deviations(b, n_b, d, m + d, m + 3 * d);
    *distance = between(m, m + d, d) + between(m + 2 * d, m + 3 * d, d);
    reel_free(env, m);
    return REEL_OK;
}

/* ---- full covariances ---- */

static void covariance(const float *x, int64_t n, int64_t d, const double *mean, double *s) {
    memset(s, 0, (size_t)(d * d) * sizeof *s);
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < d; r++) {
            const double e = ((double)x[i * d + r] - mean[r]) / (double)(n - 1);
            for (int64_t c = 0; c < d; c++)
                s[r * d + c] += e * ((double)x[i * d + c] - mean[c]);
        }
}

/* Turns rows and columns p and q of a symmetric matrix so that its element (p,q) becomes 0, and the
 * columns of v along (Golub & Van Loan, section 8.5.2). */
static void turn(double *s, double *v, int64_t d, int64_t p, int64_t q) {
    const double tau = (s[q * d + q] - s[p * d + p]) / (2 * s[p * d + q]);
    const double t = (tau >= 0 ? 1 : -1) / (fabs(tau) + sqrt(1 + tau * tau));
    const double c = 1 / sqrt(1 + t * t), w = t * c;
    for (int64_t i = 0; i < d; i++) {
        const double a = s[i * d + p], b = s[i * d + q];
        s[i * d + p] = c * a - w * b;
        s[i * d + q] = w * a + c * b;
    }
    for (int64_t i = 0; i < d; i++) {
        const double a = s[p * d + i], b = s[q * d + i];
        s[p * d + i] = c * a - w * b;
        s[q * d + i] = w * a + c * b;
    }
    for (int64_t i = 0; v && i < d; i++) {
        const double a = v[i * d + p], b = v[i * d + q];
        v[i * d + p] = c * a - w * b;
        v[i * d + q] = w * a + c * b;
    }
}

/* Jacobi's method: s [d,d] symmetric becomes diagonal (its eigenvalues), v (may be NULL) the matrix
 * whose columns are the eigenvectors. */
static void diagonalise(double *s, double *v, int64_t d) {
    for (int64_t i = 0; v && i < d * d; i++)
        v[i] = i % (d + 1) == 0;
    double all = 0;
    for (int64_t i = 0; i < d * d; i++)
        all += s[i] * s[i];
    for (int sweep = 0; sweep < MOST_SWEEPS; sweep++) {
        double off = 0;
        for (int64_t p = 0; p < d; p++)
            for (int64_t q = p + 1; q < d; q++)
                off += s[p * d + q] * s[p * d + q];
        if (off <= 1e-24 * all) return;
        for (int64_t p = 0; p < d; p++)
            for (int64_t q = p + 1; q < d; q++)
                if (s[p * d + q] != 0) turn(s, v, d, p, q);
    }
}

/* s becomes its square root; v and w are room for [d,d] each. */
static void square_root(double *s, double *v, double *w, int64_t d) {
    diagonalise(s, v, d);
    for (int64_t r = 0; r < d; r++)
        for (int64_t c = 0; c < d; c++) {
            double sum = 0;
            for (int64_t k = 0; k < d; k++)
                sum += v[r * d + k] * sqrt(fmax(s[k * d + k], 0)) * v[c * d + k];
            w[r * d + c] = sum;
        }
    memcpy(s, w, (size_t)(d * d) * sizeof *s);
}

static void multiply(const double *a, const double *b, int64_t d, double *out) {
    for (int64_t r = 0; r < d; r++)
        for (int64_t c = 0; c < d; c++) {
            double sum = 0;
            for (int64_t k = 0; k < d; k++)
                sum += a[r * d + k] * b[k * d + c];
            out[r * d + c] = sum;
        }
}

static double trace(const double *s, int64_t d) {
    double sum = 0;
    for (int64_t k = 0; k < d; k++)
        sum += s[k * d + k];
    return sum;
}

/* tr (S_a S_b)^(1/2) is the sum of the roots of the eigenvalues of R S_b R, R = S_a^(1/2), which is
 * symmetric. */
static double trace_of_root(double *a, double *b, double *v, double *w, int64_t d) {
    square_root(a, v, w, d);
    multiply(a, b, d, v);
    multiply(v, a, d, w);
    diagonalise(w, NULL, d);
    double sum = 0;
    for (int64_t k = 0; k < d; k++)
        sum += sqrt(fmax(w[k * d + k], 0));
    return sum;
}

static reel_status check(reel_env *env, int64_t n_a, int64_t n_b, int64_t d) {
    if (n_a >= 2 && n_b >= 2 && d >= 1) return REEL_OK;
    return reel_fail(env, REEL_E_ARG,
                     "a Frechet distance needs two vectors or more in each set, got %lld and %lld",
                     (long long)n_a, (long long)n_b);
}

reel_status reel_frechet_full(reel_env *env, const float *a, int64_t n_a, const float *b,
                              int64_t n_b, int64_t d, double *distance) {
    const reel_status status = check(env, n_a, n_b, d);
    if (status != REEL_OK) return status;
    double *m = reel_calloc(env, 2 * d + 4 * d * d, sizeof *m, tag);
    if (!m) return REEL_E_NOMEM;
    double *s = m + 2 * d, *r = s + d * d, *v = r + d * d, *w = v + d * d;
    means(a, n_a, d, m);
    means(b, n_b, d, m + d);
    covariance(a, n_a, d, m, s);
    covariance(b, n_b, d, m + d, r);
    const double traces = trace(s, d) + trace(r, d);
    *distance = between(m, m + d, d) + traces - 2 * trace_of_root(s, r, v, w, d);
    reel_free(env, m);
    return REEL_OK;
}

reel_status reel_frechet(reel_env *env, const float *a, int64_t n_a, const float *b, int64_t n_b,
                         int64_t d, double *distance) {
    const reel_status status = check(env, n_a, n_b, d);
    if (status != REEL_OK) return status;
    if (n_a < REEL_FRECHET_FULL || n_b < REEL_FRECHET_FULL)
        return independent(env, a, n_a, b, n_b, d, distance);
    return reel_frechet_full(env, a, n_a, b, n_b, d, distance);
}
