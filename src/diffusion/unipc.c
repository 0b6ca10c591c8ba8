/* UniPC: Zhao et al. 2023, "UniPC: a unified predictor-corrector framework for fast sampling",
 * algorithms 5 to 8, predicting x_0, with B(h) = h (bh1) or e^h - 1 (bh2). */
#include <math.h>
#include <string.h>

#include "diffusion/state.h"

enum { MOST_ORDER = 3 };

/* next = x-weight x + m0-weight m0 - scale (sum_k rho[k] (m_k - m0) / r[k]); m_k is k outputs back,
 * and in the corrector the last one is the output just made, with r = 1. */
typedef struct multistep {
    double x, m0, scale;
    double rho[MOST_ORDER], r[MOST_ORDER];
} multistep;

/* Gaussian elimination with pivoting, n <= 3; a is overwritten, b becomes the solution. */
static void solve(int n, double a[MOST_ORDER][MOST_ORDER], double *b) {
    for (int c = 0; c < n; c++) {
        int pivot = c;
        for (int r = c + 1; r < n; r++)
            if (fabs(a[r][c]) > fabs(a[pivot][c])) pivot = r;
        for (int k = 0; k < n; k++) {
            const double swap = a[c][k];
            a[c][k] = a[pivot][k];
            a[pivot][k] = swap;
        }
        const double swap = b[c];
        b[c] = b[pivot];
        b[pivot] = swap;
        for (int r = c + 1; r < n; r++) {
            const double f = a[r][c] / a[c][c];
            for (int k = c; k < n; k++)
                a[r][k] -= f * a[c][k];
            b[r] -= f * b[c];
        }
    }
    for (int c = n - 1; c >= 0; c--) {
        for (int k = c + 1; k < n; k++)
            b[c] -= a[c][k] * b[k];
        b[c] /= a[c][c];
    }
}

/* The step from table entry `from` to from + 1 with the points before it. n_points differences are
 * used: order - 1 old outputs, and in the corrector the new one (r = 1) as well. */
static multistep step_of(const reel_sampler *s, int from, int order, bool corrector) {
    const reel_level a = reel_sampler_level(s, from), b = reel_sampler_level(s, from + 1);
    const double h = b.lambda - a.lambda, hh = -h, gone = expm1(hh);
    const double scale = s->options.solver_type == REEL_SOLVER_BH1 ? hh : gone;
    multistep w = {.x = b.sigma / a.sigma, .m0 = -b.alpha * gone, .scale = b.alpha * scale};
    const int n_points = order - 1 + corrector;
    for (int k = 0; k < order - 1; k++)
        w.r[k] = (reel_sampler_level(s, from - 1 - k).lambda - a.lambda) / h;
    if (corrector) w.r[order - 1] = 1;
    if (n_points == 1) { /* the exact solution would depend on h; the paper fixes 1/2 */
        w.rho[0] = 0.5;
        return w;
    }
    double matrix[MOST_ORDER][MOST_ORDER], phi = gone / hh - 1, factorial = 1;
    for (int i = 0; i < n_points; i++) {
        for (int k = 0; k < n_points; k++)
            matrix[i][k] = pow(w.r[k], i);
        w.rho[i] = phi * factorial / scale;
        factorial *= i + 2;
        phi = phi / hh - 1 / factorial;
    }
    if (n_points) solve(n_points, matrix, w.rho);
    return w;
}

/* The element k of a step: x from `start`, outputs from the history, and in the corrector the
 * change the new output makes (m - m0). Order 1 onto sigma 0 has an infinite scale and nothing to
 * scale. */
static double stepped(const reel_sampler *s, const multistep *w, int order, int64_t k,
                      const double *change) {
    const double m0 = (double)s->history[0][k];
    const double next = w->x * (double)s->history[3][k] + w->m0 * m0;
    if (order == 1 && !change) return next;
    double sum = change ? w->rho[order - 1] * *change : 0;
    for (int j = 0; j < order - 1; j++)
        sum += w->rho[j] / w->r[j] * ((double)s->history[j + 1][k] - m0);
    return next - w->scale * sum;
}

/* Converts the output to a predicted x_0 and puts it in front of the history; with `correct`, walks
 * the last step again, now knowing the output at its end. */
static void take_output(reel_sampler *s, int i, const float *out, float *x, bool correct) {
    const reel_level level = reel_sampler_level(s, i);
    const int order = s->progress->last_order;
    const multistep w = correct ? step_of(s, i - 1, order, true) : (multistep){0};
    for (int64_t k = 0; k < s->n; k++) {
        const double m =
            reel_predicted_x0(s->options.prediction, level, (double)x[k], (double)out[k]);
        const double change = m - (double)s->history[0][k];
        if (correct) x[k] = (float)stepped(s, &w, order, k, &change);
        for (int j = MOST_ORDER - 1; j > 0; j--)
            s->history[j][k] = s->history[j - 1][k];
        s->history[0][k] = (float)m;
    }
}

/* history[0..2]: predicted x_0, newest first; history[3]: x before the last predictor step. */
void reel_unipc_step(reel_sampler *s, int i, const float *out, float *x) {
    const reel_sampler_options *o = &s->options;
    reel_sampler_progress *p = s->progress;
    const bool disabled = i >= 1 && i <= 64 && (o->disable_corrector >> (i - 1) & 1);
    take_output(s, i, out, x, p->n_outputs > 0 && !disabled);

    int order = o->order < o->n_steps - i ? o->order : o->n_steps - i;
    if (order > p->n_outputs + 1) order = p->n_outputs + 1;
    const multistep w = step_of(s, i, order, false);
    memcpy(s->history[3], x, (size_t)s->n * sizeof *x);
    for (int64_t k = 0; k < s->n; k++)
        x[k] = (float)stepped(s, &w, order, k, NULL);
    p->last_order = order;
    if (p->n_outputs < o->order) p->n_outputs++;
}
