/* mse, l1, smooth l1 and cross entropy, with their gradients.
 *
 * A loss is partial sums of pieces in scratch, f64, which one task adds up in order. Inside a piece
 * f32 sums are at most 2048 terms long.
 */
#include "ops/loss.h"

#include <math.h>

#include "cpu/simd/broadcast.h"
#include "cpu/simd/vec.h"

enum { CHUNK = 1 << 14, RUN = 2048 };

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static const char *refuse_f16(const reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].dtype == REEL_F16) return "an operand is f16";
    return c->out[0].dtype == REEL_F16 ? "the result is f16" : NULL;
}

static void put(const reel_tensor *y, double x) {
    if (y->data) *(float *)y->data = (float)x;
}

/* ---- mse, l1, smooth l1 ---- */

VEC_INLINE vf value(int kind, vf d, float beta) {
    if (kind == REEL_LOSS_MSE) return d * d;
    const vf a = vf_abs(d);
    if (kind == REEL_LOSS_L1) return a;
    return vf_select(a < vf_set(beta), d * d * (0.5f / beta), a - 0.5f * beta);
}

VEC_INLINE vf slope(int kind, vf d, float beta) {
    if (kind == REEL_LOSS_MSE) return d + d;
    /* the sign of d, 0 for 0, NaN for NaN */
    const vf one = (vf)(((vi)d & vi_set((int32_t)0x80000000)) | (vi)vf_set(1.0f));
    const vf sign = vf_select((d < 0) | (d > 0), one, d);
    if (kind == REEL_LOSS_L1) return sign;
    return vf_select(vf_abs(d) < vf_set(beta), d * (1.0f / beta), sign);
}

typedef struct work {
    const reel_call *c;
    broadcast walk; /* operand 0: the weights (all along x when there are none) */
} work;

/* Operands of a stretch of elements: x and target from i on, weights from w_at on. */
typedef struct stretch {
    const reel_call *c;
    int64_t i, w_at, n;
} stretch;

/* How the weights go along: absent, one for the stretch, one for each element. */
enum { NO_W, ONE_W, EACH_W };

VEC_INLINE vf weight(const stretch *s, int64_t j, int mode, int n) {
    if (mode == NO_W) return vf_set(1.0f);
    const bool bf16 = s->c->in[2].dtype == REEL_BF16;
    const void *w = s->c->in[2].data;
    if (mode == EACH_W) return vec_load_part(w, s->w_at + j, bf16, n);
    return vf_set(bf16 ? reel_bf16_to_f32(((const reel_bf16 *)w)[s->w_at])
                       : ((const float *)w)[s->w_at]);
}

VEC_INLINE vf difference(const stretch *s, int64_t j, const bool bf16[2], int n) {
    const void *x = s->c->in[0].data, *target = s->c->in[1].data;
    if (n == VF_N) return vec_load(x, s->i + j, bf16[0]) - vec_load(target, s->i + j, bf16[1]);
    return vec_load_part(x, s->i + j, bf16[0], n) - vec_load_part(target, s->i + j, bf16[1], n);
}

/* Adds the stretch's sum of w f(d) to total[0] and its sum of w to total[1]. */
VEC_INLINE void add_stretch(const stretch *s, double total[2], int kind, float beta, int mode,
                            const bool bf16[2]) {
    for (int64_t at = 0; at < s->n; at += RUN) {
        const int64_t end = least(s->n, at + RUN);
        vf sum[2] = {{0}}, weights = {0};
        int64_t j = at;
        for (; j + 2 * VF_N <= end; j += 2 * VF_N)
            for (int k = 0; k < 2; k++) {
                const vf w = weight(s, j + k * VF_N, mode, VF_N);
                sum[k] += w * value(kind, difference(s, j + k * VF_N, bf16, VF_N), beta);
                if (mode == EACH_W) weights += w;
            }
        for (; j < end; j += VF_N) {
            const int part = (int)least(VF_N, end - j);
            const vf w = weight(s, j, mode, part);
            /* where d is 0 because nothing is there, f(d) is 0 too */
            sum[0] += w * value(kind, difference(s, j, bf16, part), beta);
            if (mode == EACH_W) weights += w;
        }
        total[0] += (double)vf_sum(sum[0] + sum[1]);
        total[1] += mode == EACH_W ? (double)vf_sum(weights)
                                   : (double)weight(s, 0, mode, VF_N)[0] * (double)(end - at);
    }
}

#define BY_TYPES(call, kind, mode)                                                                 \
    do {                                                                                           \
        if (!bf16[0] && !bf16[1])                                                                  \
            call(kind, mode, ((const bool[2]){false, false}));                                     \
        else if (bf16[0] && !bf16[1])                                                              \
            call(kind, mode, ((const bool[2]){true, false}));                                      \
        else                                                                                       \
            call(kind, mode, bf16);                                                                \
    } while (0)
#define BY_MODE(call, kind)                                                                        \
    do {                                                                                           \
        if (mode == NO_W)                                                                          \
            BY_TYPES(call, kind, NO_W);                                                            \
        else if (mode == ONE_W)                                                                    \
            BY_TYPES(call, kind, ONE_W);                                                           \
        else                                                                                       \
            BY_TYPES(call, kind, EACH_W);                                                          \
    } while (0)
#define BY_KIND(call)                                                                              \
    do {                                                                                           \
        if (attr->kind == REEL_LOSS_MSE)                                                           \
            BY_MODE(call, REEL_LOSS_MSE);                                                          \
        else if (attr->kind == REEL_LOSS_L1)                                                       \
            BY_MODE(call, REEL_LOSS_L1);                                                           \
        else                                                                                       \
            BY_MODE(call, REEL_LOSS_SMOOTH_L1);                                                    \
    } while (0)

static void add_any_stretch(const stretch *s, double total[2], int mode) {
    const reel_loss_attr *attr = s->c->attr;
    const bool bf16[2] = {s->c->in[0].dtype == REEL_BF16, s->c->in[1].dtype == REEL_BF16};
#define ADD(kind, mode, types) add_stretch(s, total, kind, attr->beta, mode, types)
    BY_KIND(ADD);
#undef ADD
}

static work work_of(const reel_call *c) {
    const reel_shape *x = &c->in[0].shape;
    return (work){.c = c, .walk = broadcast_of(x, c->present[2] ? &c->in[2].shape : x, x)};
}

static int mode_of(const work *k) {
    return !k->c->present[2] ? NO_W : k->walk.step[0][0] ? EACH_W : ONE_W;
}

static void loss_task(void *context, int64_t index, int lane) {
    (void)lane;
    const work *k = context;
    const broadcast *w = &k->walk;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&k->c->in[0]));
    double total[2] = {0, 0};
    broadcast_row row = broadcast_row_at(w, from / w->dim[0]);
    int64_t column = from % w->dim[0];
    for (int64_t i = from; i < to; column = 0, broadcast_row_next(w, &row)) {
        const stretch s = {k->c, i, row.offset[0] + column * w->step[0][0],
                           least(w->dim[0] - column, to - i)};
        add_any_stretch(&s, total, mode_of(k));
        i += s.n;
    }
    memcpy((double *)k->c->scratch + 2 * index, total, sizeof total);
}

static int64_t n_tasks(const reel_call *c) {
    return (reel_tensor_count(&c->in[0]) + CHUNK - 1) / CHUNK;
}

static int64_t loss_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    return 2 * (int64_t)sizeof(double) * n_tasks(c);
}

static void loss_run(const reel_call *c) {
    work k = work_of(c);
    reel_parallel_for(c->threads, n_tasks(c), loss_task, &k);
    const double *part = c->scratch;
    double sum = 0, weights = 0;
    for (int64_t i = 0; i < n_tasks(c); i++) {
        sum += part[2 * i];
        weights += part[2 * i + 1];
    }
    put(&c->out[0], weights == 0 ? 0 : sum / weights);
    put(&c->out[1], weights);
}

/* ---- gradient: dx = sign dL w f'(d) / sum w ---- */

VEC_INLINE void backward_stretch(const stretch *s, float g, int kind, float beta, int mode,
                                 const bool bf16[2], bool y_bf16) {
    void *y = s->c->out[0].data;
    for (int64_t j = 0; j < s->n; j += VF_N) {
        const int part = (int)least(VF_N, s->n - j);
        const vf dx =
            g * weight(s, j, mode, part) * slope(kind, difference(s, j, bf16, part), beta);
        if (part == VF_N)
            vec_store(y, s->i + j, y_bf16, dx);
        else
            vec_store_part(y, s->i + j, y_bf16, dx, part);
    }
}

static void backward_any_stretch(const stretch *s, float g, int mode) {
    const reel_loss_attr *attr = s->c->attr;
    const bool bf16[2] = {s->c->in[0].dtype == REEL_BF16, s->c->in[1].dtype == REEL_BF16};
    const bool y = s->c->out[0].dtype == REEL_BF16;
#define BACKWARD(kind, mode, types) backward_stretch(s, g, kind, attr->beta, mode, types, y)
    BY_KIND(BACKWARD);
#undef BACKWARD
}

static void loss_backward_task(void *context, int64_t index, int lane) {
    (void)lane;
    const work *k = context;
    const reel_call *c = k->c;
    const broadcast *w = &k->walk;
    const reel_loss_attr *attr = c->attr;
    const float weights = *(const float *)c->in[3].data, dL = *(const float *)c->in[4].data;
    const float g = weights == 0.0f ? 0 : attr->sign * dL / weights;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&c->in[0]));
    broadcast_row row = broadcast_row_at(w, from / w->dim[0]);
    int64_t column = from % w->dim[0];
    for (int64_t i = from; i < to; column = 0, broadcast_row_next(w, &row)) {
        const stretch s = {c, i, row.offset[0] + column * w->step[0][0],
                           least(w->dim[0] - column, to - i)};
        backward_any_stretch(&s, g, mode_of(k));
        i += s.n;
    }
}

static void loss_backward_run(const reel_call *c) {
    work k = work_of(c);
    reel_parallel_for(c->threads, n_tasks(c), loss_backward_task, &k);
}

/* ---- cross entropy ---- */

static float element(const void *x, int64_t i, bool bf16) {
    return bf16 ? reel_bf16_to_f32(((const reel_bf16 *)x)[i]) : ((const float *)x)[i];
}

/* The sum of e^(x - top), and of x, over a row of V logits from x[at] on. */
VEC_INLINE void row_sums(const void *x, int64_t at, int64_t V, bool bf16, float top, double *of_exp,
                         double *of_x) {
    *of_exp = *of_x = 0;
    for (int64_t v = 0; v < V; v += RUN) {
        const int64_t end = least(V, v + RUN);
        vf sum_exp = {0}, sum = {0};
        int64_t j = v;
        for (; j + VF_N <= end; j += VF_N) {
            const vf one = vec_load(x, at + j, bf16);
            sum_exp += vf_exp(one - top);
            sum += one;
        }
        *of_exp += (double)vf_sum(sum_exp);
        *of_x += (double)vf_sum(sum);
        for (; j < end; j++) {
            const float one = element(x, at + j, bf16);
            *of_exp += (double)vf_exp(vf_set(one - top))[0];
            *of_x += (double)one;
        }
    }
}

VEC_INLINE float row_top(const void *x, int64_t at, int64_t V, bool bf16) {
    vf top = vf_set(-INFINITY);
    int64_t v = 0;
    for (; v + VF_N <= V; v += VF_N)
        top = vf_max(vec_load(x, at + v, bf16), top);
    float greatest = vf_greatest(top);
    for (; v < V; v++) {
        const float one = element(x, at + v, bf16);
        greatest = one > greatest ? one : greatest;
    }
    return greatest;
}

/* What row r adds to the loss; its log sum exp goes to out[1]. */
VEC_INLINE double row_loss(const reel_call *c, int64_t r, bool bf16) {
    const reel_cross_entropy_attr *attr = c->attr;
    const int64_t V = c->in[0].shape.dim[1];
    const int32_t target = ((const int32_t *)c->in[1].data)[r];
    const void *x = c->in[0].data;
    const double e = (double)attr->smoothing;
    const float top = row_top(x, r * V, V, bf16);
    double of_exp, of_x;
    row_sums(x, r * V, V, bf16, top, &of_exp, &of_x);
    const double lse = (double)top + log(of_exp);
    if (c->out[1].data) ((float *)c->out[1].data)[r] = (float)lse;
    if (target == attr->ignore) return 0;
    if (target < 0 || target >= V) return (double)NAN;
    const double chosen = (double)element(x, r * V + target, bf16);
    return lse - (1 - e) * chosen - (e > 0 ? e / (double)V * of_x : 0);
}

static int64_t rows_per_task(const reel_call *c) {
    const int64_t V = c->in[0].shape.dim[1];
    return V < CHUNK ? CHUNK / V : 1;
}

static int64_t n_row_tasks(const reel_call *c) {
    const int64_t per_task = rows_per_task(c);
    return (c->in[0].shape.dim[0] + per_task - 1) / per_task;
}

static void cross_entropy_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = ((const work *)context)->c;
    const reel_cross_entropy_attr *attr = c->attr;
    const int32_t *target = c->in[1].data;
    const int64_t per_task = rows_per_task(c), from = index * per_task;
    double total[2] = {0, 0};
    for (int64_t r = from; r < least(from + per_task, c->in[0].shape.dim[0]); r++) {
        total[0] += c->in[0].dtype == REEL_BF16 ? row_loss(c, r, true) : row_loss(c, r, false);
        total[1] += target[r] != attr->ignore;
    }
    memcpy((double *)c->scratch + 2 * index, total, sizeof total);
}

static int64_t cross_entropy_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    return 2 * (int64_t)sizeof(double) * n_row_tasks(c);
}

static void cross_entropy_run(const reel_call *c) {
    work k = {.c = c};
    reel_parallel_for(c->threads, n_row_tasks(c), cross_entropy_task, &k);
    const double *part = c->scratch;
    double sum = 0, count = 0;
    for (int64_t i = 0; i < n_row_tasks(c); i++) {
        sum += part[2 * i];
        count += part[2 * i + 1];
    }
    put(&c->out[0], count == 0 ? 0 : sum / count);
    put(&c->out[2], count);
}

/* ---- gradient: dlogits = dL / count (softmax - q) ---- */

VEC_INLINE void backward_row(const reel_call *c, int64_t r, float g, bool bf16, bool y_bf16) {
    const reel_cross_entropy_attr *attr = c->attr;
    const int64_t V = c->in[0].shape.dim[1], at = r * V;
    const int32_t target = ((const int32_t *)c->in[1].data)[r];
    const bool ignored = target == attr->ignore, valid = target >= 0 && target < V;
    const float lse = ((const float *)c->in[2].data)[r];
    const float even = attr->smoothing / (float)V;
    const float chosen = valid ? element(c->in[0].data, at + target, bf16) : NAN;
    for (int64_t v = 0; v < V; v += VF_N) {
        const int part = (int)least(VF_N, V - v);
        vf d = g * (vf_exp(vec_load_part(c->in[0].data, at + v, bf16, part) - lse) - even);
        if (ignored) d = (vf){0};
        if (!ignored && !valid) d = vf_set(NAN);
        vec_store_part(c->out[0].data, at + v, y_bf16, d, part);
    }
    if (ignored || !valid) return;
    const float p = vf_exp(vf_set(chosen - lse))[0];
    const vf d = vf_set(g * (p - even - (1.0f - attr->smoothing)));
    vec_store_part(c->out[0].data, at + target, y_bf16, d, 1);
}

static void cross_entropy_backward_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = ((const work *)context)->c;
    const float count = *(const float *)c->in[3].data, dL = *(const float *)c->in[4].data;
    const float g = count == 0.0f ? 0 : dL / count;
    const int64_t per_task = rows_per_task(c), from = index * per_task;
    const bool x = c->in[0].dtype == REEL_BF16, y = c->out[0].dtype == REEL_BF16;
    for (int64_t r = from; r < least(from + per_task, c->in[0].shape.dim[0]); r++) {
        if (x && y)
            backward_row(c, r, g, true, true);
        else if (!x && !y)
            backward_row(c, r, g, false, false);
        else
            backward_row(c, r, g, x, y);
    }
}

static void cross_entropy_backward_run(const reel_call *c) {
    work k = {.c = c};
    reel_parallel_for(c->threads, n_row_tasks(c), cross_entropy_backward_task, &k);
}

void REEL_ISA_NAME(reel_cpu_register_loss)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_loss)(reel_kernel_table *table) {
    static const reel_kernel loss = {.name = "loss." REEL_ISA_TEXT,
                                     .refuse = refuse_f16,
                                     .scratch = loss_scratch,
                                     .run = loss_run};
    static const reel_kernel loss_backward = {
        .name = "loss_backward." REEL_ISA_TEXT, .refuse = refuse_f16, .run = loss_backward_run};
    static const reel_kernel cross_entropy = {.name = "cross_entropy." REEL_ISA_TEXT,
                                              .refuse = refuse_f16,
                                              .scratch = cross_entropy_scratch,
                                              .run = cross_entropy_run};
    static const reel_kernel cross_entropy_backward = {.name =
                                                           "cross_entropy_backward." REEL_ISA_TEXT,
                                                       .refuse = refuse_f16,
                                                       .run = cross_entropy_backward_run};
    reel_kernel_table_add(table, &reel_op_loss, &loss);
    reel_kernel_table_add(table, &reel_op_loss_backward, &loss_backward);
    reel_kernel_table_add(table, &reel_op_cross_entropy, &cross_entropy);
    reel_kernel_table_add(table, &reel_op_cross_entropy_backward, &cross_entropy_backward);
}
