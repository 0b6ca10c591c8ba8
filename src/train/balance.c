#include "train/balance.h"

#include <math.h>
#include <string.h>

static const char tag[] = "balance";
static const char condition[] = "transformer.condition_embedder.";

/* ---- what was said ---- */

static const float *row_of(const reel_balance_texts *b, int64_t text, int64_t x) {
    return b->rows + (text * b->X + x) * b->d;
}

static bool is_empty(const float *row, int64_t d) {
    for (int64_t k = 0; k < d; k++)
        if (row[k] != 0) return false;
    return true;
}

/* s[k]: the root mean square of channel k over all rows; 1 where it is zero. */
static void measure_channels(const reel_balance_texts *b, double *s) {
    int64_t n = 0;
    memset(s, 0, (size_t)b->d * sizeof *s);
    for (int64_t i = 0; i < b->n * b->X; i++) {
        const float *row = b->rows + i * b->d;
        if (is_empty(row, b->d)) continue;
        n++;
        for (int64_t k = 0; k < b->d; k++)
            s[k] += (double)row[k] * (double)row[k];
    }
    for (int64_t k = 0; k < b->d; k++)
        s[k] = s[k] > 0 ? sqrt(s[k] / (double)n) : 1;
}

/* sum[k]: of a text's rows, over s when there is one; returns its root mean square. */
static double pool(const reel_balance_texts *b, int64_t text, const double *s, double *sum) {
    double square = 0;
    memset(sum, 0, (size_t)b->d * sizeof *sum);
    for (int64_t x = 0; x < b->X; x++)
        for (int64_t k = 0; k < b->d; k++)
            sum[k] += (double)row_of(b, text, x)[k] / (s ? s[k] : 1);
    for (int64_t k = 0; k < b->d; k++)
        square += sum[k] * sum[k] / (double)b->d;
    return sqrt(square);
}

/* The mean of how much longer pooled sums are than balanced ones: what their norm takes away. */
static double measure_pooled(const reel_balance_texts *b, const double *s, double *sum) {
    double ratio = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < b->n; i++) {
        const double before = pool(b, i, NULL, sum), after = pool(b, i, s, sum);
        if (!(after > 0)) continue;
        ratio += before / after;
        n++;
    }
    return n ? ratio / (double)n : 1;
}

/* ---- what says it, and what reads it ---- */

static reel_learned *find(reel_learner *l, const char *prefix, const char *name) {
    const size_t n = strlen(prefix);
    for (int i = 0; i < reel_learner_count(l); i++) {
        reel_learned *p = reel_learner_at(l, i);
        if (strncmp(p->name, prefix, n) == 0 && strcmp(p->name + n, name) == 0) return p;
    }
    return NULL;
}

/* Multiplies column k of a parameter of d columns by s[k] c, or divides by it. */
static void scale(const reel_learned *p, int64_t d, const double *s, double c, bool divide) {
    const int64_t n = reel_shape_count(&p->shape);
    for (int64_t i = 0; i < n; i++) {
        const double by = s[i % d] * c;
        p->master[i] = (float)(divide ? (double)p->master[i] / by : (double)p->master[i] * by);
        if (p->average)
            p->average[i] =
                (float)(divide ? (double)p->average[i] / by : (double)p->average[i] * by);
    }
}

static bool has_columns(const reel_learned *p, int64_t d) {
    return p && p->shape.dim[p->shape.rank - 1] == d;
}

reel_status reel_balance_text(reel_env *env, reel_learner *l, const reel_balance_texts *b) {
    const reel_learned *gain = find(l, "text_encoder.", "encoder.final_layer_norm.weight");
    const reel_learned *rows = find(l, condition, "text_embedder.linear_1.weight");
    const reel_learned *pooled = find(l, condition, "pooled_embedder.linear_1.weight");
    if (!has_columns(gain, b->d) || !has_columns(rows, b->d) ||
        (pooled && !has_columns(pooled, b->d)))
        return reel_fail(env, REEL_E_ARG,
                         "balancing texts: got rows of %lld channels, wanted as many as the text "
                         "encoder's last norm and the transformer's text_embedder have",
                         (long long)b->d);
    double *s = reel_alloc(env, 2 * b->d * (int64_t)sizeof *s, tag);
    if (!s) return REEL_E_NOMEM;
    measure_channels(b, s);
    const double ratio = measure_pooled(b, s, s + b->d);
    scale(gain, b->d, s, 1, true);
    scale(rows, b->d, s, 1, false);
    if (pooled) scale(pooled, b->d, s, 1 / ratio, false);
    reel_learner_restore(l, reel_learner_steps(l)); /* copies of what has changed */
    reel_free(env, s);
    return REEL_OK;
}

/* ---- how far apart ---- */

static double distance(const double *a, double rms_a, const double *b, double rms_b, int64_t d) {
    double square = 0;
    for (int64_t k = 0; k < d; k++) {
        const double difference = a[k] / rms_a - b[k] / rms_b;
        square += difference * difference / (double)d;
    }
    return sqrt(square);
}

reel_status reel_balance_apart(reel_env *env, const reel_balance_texts *b, double *apart) {
    double *sum = reel_alloc(env, 2 * b->d * (int64_t)sizeof *sum, tag);
    double rms[2] = {0}, all = 0;
    int64_t n = 0;
    *apart = (double)NAN;
    if (!sum) return REEL_E_NOMEM;
    for (int64_t i = 0; i < b->n; i++) {
        double *const now = sum + (i % 2) * b->d, *const last = sum + ((i + 1) % 2) * b->d;
        rms[i % 2] = pool(b, i, NULL, now);
        if (i == 0 || !(rms[0] > 0 && rms[1] > 0)) continue;
        all += distance(now, rms[i % 2], last, rms[(i + 1) % 2], b->d);
        n++;
    }
    if (n) *apart = all / (double)n;
    reel_free(env, sum);
    return REEL_OK;
}
