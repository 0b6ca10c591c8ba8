#include "ops/rope.h"

#include <math.h>
#include <string.h>

#include "ops/element.h"
#include "ops/elementwise.h"

/* ---- rope_table ---- */

static reel_status rope_table_shape(reel_env *env, reel_call *c) {
    const reel_rope_table_attr *attr = c->attr;
    const reel_tensor *positions = &c->in[0];
    if (positions->dtype != REEL_I32 || positions->shape.rank != 2 || positions->shape.dim[1] != 3)
        return reel_fail(env, REEL_E_SHAPE, "positions must be i32 [T,3], got %s %s",
                         reel_dtype_name(positions->dtype), REEL_SHAPE_STR(&positions->shape));
    if (attr->D < 2 || attr->D % 2 || !(attr->theta > 0))
        return reel_fail(env, REEL_E_ARG, "D must be even and theta positive, got %lld and %g",
                         (long long)attr->D, attr->theta);
    c->n_out = 1;
    c->out[0] =
        (reel_tensor){.dtype = REEL_F32, .shape = REEL_SHAPE(positions->shape.dim[0], attr->D)};
    return REEL_OK;
}

/* Angles in double, as the public implementation computes them, and only then f32. */
static void rope_table_ref(const reel_call *c) {
    const reel_rope_table_attr *attr = c->attr;
    const int32_t *position = c->in[0].data; /* [T,3] */
    float *table = c->out[0].data;           /* [T,D] */
    const int64_t side = 2 * (attr->D / 6);
    const int64_t width[3] = {attr->D - 2 * side, side, side};
    for (int64_t t = 0; t < c->in[0].shape.dim[0]; t++)
        for (int axis = 0; axis < 3; axis++)
            for (int64_t j = 0; j < width[axis]; j += 2) {
                const double turn = pow(attr->theta, (double)j / (double)width[axis]);
                const double angle = (double)position[3 * t + axis] / turn;
                *table++ = (float)cos(angle);
                *table++ = (float)sin(angle);
            }
}
const reel_kernel reel_ref_rope_table = {.name = "rope_table.ref", .run = rope_table_ref};

/* ---- qk_norm_rope: contract ---- */

reel_qk_size reel_qk_size_of(const reel_qk_attr *attr, const reel_shape *x,
                             const reel_shape *table) {
    const int64_t P = attr->packed ? 3 : 1;
    const int64_t D = x->dim[x->rank - 1], N = x->dim[x->rank - 2];
    return (reel_qk_size){.T = reel_shape_span(x, 0, x->rank - (attr->packed ? 3 : 2)),
                          .P = P,
                          .N = N,
                          .D = D,
                          .n_norm = attr->norm == REEL_QK_NORM_HEAD ? D : N * D,
                          .T_table = table->dim[0]};
}

static reel_status check_x(reel_env *env, const reel_qk_attr *attr, const reel_tensor *x,
                           const reel_tensor *table) {
    const int rank = x->shape.rank, least_rank = attr->packed ? 3 : 2;
    if (rank < least_rank || (attr->packed && x->shape.dim[rank - 3] != 3) ||
        !reel_dtype_is_float(x->dtype) || reel_shape_last(&x->shape) % 2)
        return reel_fail(env, REEL_E_SHAPE, "x must be %s of a float type with D even, got %s %s",
                         attr->packed ? "[...,3,N,D]" : "[...,N,D]", reel_dtype_name(x->dtype),
                         REEL_SHAPE_STR(&x->shape));
    if (attr->norm < 0 || attr->norm >= REEL_QK_NORM_COUNT || !(attr->eps >= 0))
        return reel_fail(env, REEL_E_ARG,
                         "norm %d with eps %g: wanted none, token or head, "
                         "eps >= 0",
                         (int)attr->norm, (double)attr->eps);
    if (table->dtype != REEL_F32 || table->shape.rank != 2 ||
        table->shape.dim[1] != reel_shape_last(&x->shape))
        return reel_fail(env, REEL_E_SHAPE, "x %s needs table f32 [T,%lld], got %s %s",
                         REEL_SHAPE_STR(&x->shape), (long long)reel_shape_last(&x->shape),
                         reel_dtype_name(table->dtype), REEL_SHAPE_STR(&table->shape));
    const reel_qk_size n = reel_qk_size_of(attr, &x->shape, &table->shape);
    if (n.T_table == 0 ? n.T != 0 : n.T % n.T_table != 0)
        return reel_fail(env, REEL_E_SHAPE, "x %s has %lld tokens, not a multiple of table %s",
                         REEL_SHAPE_STR(&x->shape), (long long)n.T, REEL_SHAPE_STR(&table->shape));
    return REEL_OK;
}

static reel_status check_weights(reel_env *env, const reel_call *c, const reel_tensor *x,
                                 int first) {
    const reel_qk_attr *attr = c->attr;
    const reel_qk_size n = reel_qk_size_of(attr, &x->shape, &x->shape);
    for (int i = first; i < first + 2; i++) {
        const reel_tensor *w = &c->in[i];
        if (!c->present[i]) continue;
        if (attr->norm == REEL_QK_NORM_NONE)
            return reel_fail(env, REEL_E_SHAPE, "a weight without a norm: got w %s",
                             REEL_SHAPE_STR(&w->shape));
        if (w->shape.rank != 1 || w->shape.dim[0] != n.n_norm || !reel_dtype_is_float(w->dtype))
            return reel_fail(env, REEL_E_SHAPE, "x %s needs w [%lld] of a float type, got %s %s",
                             REEL_SHAPE_STR(&x->shape), (long long)n.n_norm,
                             reel_dtype_name(w->dtype), REEL_SHAPE_STR(&w->shape));
    }
    return REEL_OK;
}

/* in: x, table, w of part 0, w of part 1 */
static reel_status qk_norm_rope_shape(reel_env *env, reel_call *c) {
    const reel_qk_attr *attr = c->attr;
    reel_status status = check_x(env, attr, &c->in[0], &c->in[1]);
    if (status == REEL_OK) status = check_weights(env, c, &c->in[0], 2);
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = c->in[0].shape};
    return status;
}

/* ---- forward ---- */

/* The statistic of the channels around element `at` of the part that starts at `part`. */
static double scale_of(const reel_qk_attr *attr, reel_qk_size n, const reel_tensor *x, int64_t part,
                       int64_t k) {
    if (attr->norm == REEL_QK_NORM_NONE) return 1;
    return reel_norm_stats_of(REEL_NORM_RMS, (double)attr->eps, x, part + k / n.n_norm * n.n_norm,
                              1, n.n_norm)
        .r;
}

static double weight_of(const reel_tensor *w, int64_t k) {
    return w->data ? reel_get(w, k % w->shape.dim[0]) : 1;
}

/* One part of a token: N D channels at element `part`. */
static void part_forward(const reel_call *c, reel_qk_size n, int64_t part, const float *turn,
                         const reel_tensor *w) {
    const reel_qk_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *y = &c->out[0];
    double r = 1;
    for (int64_t k = 0; k < n.N * n.D; k += 2) {
        if (k % n.n_norm == 0) r = scale_of(attr, n, x, part, k);
        const double a = reel_get(x, part + k) * r * weight_of(w, k);
        const double b = reel_get(x, part + k + 1) * r * weight_of(w, k + 1);
        const double cosine = (double)turn[k % n.D], sine = (double)turn[k % n.D + 1];
        reel_put(y, part + k, a * cosine - b * sine);
        reel_put(y, part + k + 1, a * sine + b * cosine);
    }
}

static void qk_norm_rope_ref(const reel_call *c) {
    const reel_qk_attr *attr = c->attr;
    const reel_qk_size n = reel_qk_size_of(attr, &c->in[0].shape, &c->in[1].shape);
    const float *table = c->in[1].data; /* [T,D] */
    for (int64_t i = 0; i < n.T * n.P; i++) {
        const int64_t p = i % n.P, part = i * n.N * n.D;
        if (p < 2) part_forward(c, n, part, table + i / n.P % n.T_table * n.D, &c->in[2 + p]);
        for (int64_t k = 0; p == 2 && k < n.N * n.D; k++)
            reel_put(&c->out[0], part + k, reel_get(&c->in[0], part + k));
    }
}
const reel_kernel reel_ref_qk_norm_rope = {.name = "qk_norm_rope.ref", .run = qk_norm_rope_ref};

/* ---- gradient: e = dy turned back, g = e w; dx = r (g - xhat mean(g xhat)), dw = sum e xhat ----
 */

/* in: dy, x, table, w of part 0, w of part 1 -> dx, dw of part 0, dw of part 1 (empty if absent) */
static reel_status qk_norm_rope_backward_shape(reel_env *env, reel_call *c) {
    const reel_qk_attr *attr = c->attr;
    reel_status status = check_x(env, attr, &c->in[1], &c->in[2]);
    if (status == REEL_OK) status = check_weights(env, c, &c->in[1], 3);
    if (status != REEL_OK) return status;
    if (!reel_shape_equal(&c->in[0].shape, &c->in[1].shape))
        return reel_fail(env, REEL_E_SHAPE, "x %s needs dy of its shape, got %s",
                         REEL_SHAPE_STR(&c->in[1].shape), REEL_SHAPE_STR(&c->in[0].shape));
    c->n_out = 3;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = c->in[1].shape};
    for (int i = 1; i < 3; i++) {
        c->out[i] = (reel_tensor){.dtype = REEL_F32, .shape = REEL_SHAPE(0)};
        if (c->present[i + 2]) c->out[i].shape = c->in[i + 2].shape;
    }
    return REEL_OK;
}

typedef struct pair {
    double a, b;
} pair;

/* dy of the pair at k, turned back. */
static pair turned_back(const reel_call *c, reel_qk_size n, int64_t part, int64_t k,
                        const float *turn) {
    const double u = reel_get(&c->in[0], part + k), v = reel_get(&c->in[0], part + k + 1);
    const double cosine = (double)turn[k % n.D], sine = (double)turn[k % n.D + 1];
    return (pair){u * cosine + v * sine, v * cosine - u * sine};
}

/* The channels [from, from + n_norm) of a part, which share the statistic r. dw: [n_norm] sums. */
static void group_backward(const reel_call *c, reel_qk_size n, int64_t part, int64_t from,
                           const float *turn, const reel_tensor *w, double *dw) {
    const reel_qk_attr *attr = c->attr;
    const reel_tensor *x = &c->in[1], *dx = &c->out[0];
    const double r = scale_of(attr, n, x, part, from);
    double mean = 0;
    for (int64_t k = from; k < from + n.n_norm; k += 2) {
        const pair e = turned_back(c, n, part, k, turn);
        const double p = reel_get(x, part + k) * r, q = reel_get(x, part + k + 1) * r;
        mean += (e.a * weight_of(w, k) * p + e.b * weight_of(w, k + 1) * q) / (double)n.n_norm;
        dw[k - from] += e.a * p;
        dw[k - from + 1] += e.b * q;
    }
    if (attr->norm == REEL_QK_NORM_NONE) mean = 0;
    for (int64_t k = from; dx->data && k < from + n.n_norm; k += 2) {
        const pair e = turned_back(c, n, part, k, turn);
        const double p = reel_get(x, part + k) * r, q = reel_get(x, part + k + 1) * r;
        reel_put(dx, part + k, r * (e.a * weight_of(w, k) - p * mean));
        reel_put(dx, part + k + 1, r * (e.b * weight_of(w, k + 1) - q * mean));
    }
}

static int64_t qk_norm_rope_backward_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    return 2 * reel_qk_size_of(c->attr, &c->in[1].shape, &c->in[2].shape).n_norm *
           (int64_t)sizeof(double);
}

static void qk_norm_rope_backward_ref(const reel_call *c) {
    const reel_qk_size n = reel_qk_size_of(c->attr, &c->in[1].shape, &c->in[2].shape);
    const float *table = c->in[2].data; /* [T,D] */
    double *dw[2] = {c->scratch, (double *)c->scratch + n.n_norm};
    memset(c->scratch, 0, 2 * (size_t)n.n_norm * sizeof(double));
    for (int64_t i = 0; i < n.T * n.P; i++) {
        const int64_t p = i % n.P, part = i * n.N * n.D;
        const float *turn = table + i / n.P % n.T_table * n.D;
        for (int64_t k = 0; p < 2 && k < n.N * n.D; k += n.n_norm)
            group_backward(c, n, part, k, turn, &c->in[3 + p], dw[p]);
        for (int64_t k = 0; c->out[0].data && p == 2 && k < n.N * n.D; k++)
            reel_put(&c->out[0], part + k, reel_get(&c->in[0], part + k));
    }
    for (int p = 0; p < 2; p++)
        for (int64_t k = 0; c->present[3 + p] && c->out[1 + p].data && k < n.n_norm; k++)
            reel_put(&c->out[1 + p], k, dw[p][k]);
}
const reel_kernel reel_ref_qk_norm_rope_backward = {.name = "qk_norm_rope_backward.ref",
                                                    .scratch = qk_norm_rope_backward_scratch,
                                                    .run = qk_norm_rope_backward_ref};

static void qk_norm_rope_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_qk_attr *forward = (const void *)r->attr;
    reel_qk_attr attr = *forward;
    attr.out_dtype = reel_tape_grad_dtype(t, r->in[0]);
    const reel_var dx = REEL_RECORD(t, &reel_op_qk_norm_rope_backward, &attr, sizeof attr, dout[0],
                                    r->in[0], r->in[1], r->in[2], r->in[3]);
    const reel_var of[3] = {r->in[0], r->in[2], r->in[3]};
    for (int i = 0; dx && i < 3; i++)
        if (reel_tape_wants_grad(t, of[i]))
            reel_tape_add_grad(t, of[i], reel_cast(t, dx + i, reel_tape_grad_dtype(t, of[i])));
    if (reel_tape_wants_grad(t, r->in[1]))
        reel_tape_fail(t, REEL_E_UNSUPPORTED, "qk_norm_rope has no gradient by its table");
}

/* ---- ops ---- */

const reel_op reel_op_rope_table = {
    .name = "rope_table", .id = REEL_OP_ROPE_TABLE, .shape = rope_table_shape};
const reel_op reel_op_qk_norm_rope = {.name = "qk_norm_rope",
                                      .id = REEL_OP_QK_NORM_ROPE,
                                      .shape = qk_norm_rope_shape,
                                      .optional = 12,
                                      .grad = qk_norm_rope_grad,
                                      .inplace = 1};
const reel_op reel_op_qk_norm_rope_backward = {.name = "qk_norm_rope_backward",
                                               .id = REEL_OP_QK_NORM_ROPE_BACKWARD,
                                               .shape = qk_norm_rope_backward_shape,
                                               .optional = 24,
                                               .inplace = 3};

reel_var reel_rope_table(reel_tape *t, reel_var positions, int64_t D, double theta) {
    const reel_rope_table_attr attr = {.theta = theta, .D = D};
    return REEL_RECORD(t, &reel_op_rope_table, &attr, sizeof attr, positions);
}

reel_var reel_qk_norm_rope(reel_tape *t, reel_var x, reel_var w, reel_var table,
                           const reel_qk_attr *attr) {
    reel_qk_attr one = *attr;
    one.packed = 0;
    return REEL_RECORD(t, &reel_op_qk_norm_rope, &one, sizeof one, x, table, w);
}

reel_var reel_qkv_norm_rope(reel_tape *t, reel_var x, reel_var wq, reel_var wk, reel_var table,
                            const reel_qk_attr *attr) {
    reel_qk_attr packed = *attr;
    packed.packed = 1;
    return REEL_RECORD(t, &reel_op_qk_norm_rope, &packed, sizeof packed, x, table, wq, wk);
}
