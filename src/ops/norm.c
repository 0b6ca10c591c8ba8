#include "ops/norm.h"

#include <math.h>
#include <string.h>

#include "ops/element.h"
#include "ops/elementwise.h"

/* ---- contract ---- */

const char *reel_norm_kind_name(reel_norm_kind kind) {
    static const char *const name[REEL_NORM_KINDS] = {"layer", "rms", "l2"};
    return name[kind];
}

reel_norm_size reel_norm_size_of(const reel_shape *x, bool channels_first) {
    if (!channels_first) return (reel_norm_size){reel_shape_rows(x), reel_shape_last(x), 1};
    return (reel_norm_size){x->dim[0], x->dim[1], reel_shape_span(x, 2, x->rank)};
}

/* [C], or [C,1,...,1]. */
static bool is_weight(const reel_shape *w, int64_t C) {
    return w->rank >= 1 && w->dim[0] == C && reel_shape_span(w, 1, w->rank) == 1;
}

static reel_status check_operands(reel_env *env, const reel_call *c, const reel_tensor *x,
                                  const reel_tensor *weight, const bool *present) {
    const reel_norm_attr *attr = c->attr;
    if (x->shape.rank < 1 + (attr->channels_first != 0))
        return reel_fail(env, REEL_E_SHAPE, "x must be %s, got %s",
                         attr->channels_first ? "[B,C,...]" : "[...,C]", REEL_SHAPE_STR(&x->shape));
    if (attr->kind < 0 || attr->kind >= REEL_NORM_KINDS || !(attr->eps >= 0))
        return reel_fail(env, REEL_E_ARG, "kind %d with eps %g: wanted layer, rms or l2, eps >= 0",
                         (int)attr->kind, (double)attr->eps);
    const int64_t C = reel_norm_size_of(&x->shape, attr->channels_first).C;
    if (!reel_dtype_is_float(x->dtype))
        return reel_fail(env, REEL_E_SHAPE, "x must be a float type, got %s",
                         reel_dtype_name(x->dtype));
    for (int i = 0; i < 2; i++)
        if (present[i] &&
            (!is_weight(&weight[i].shape, C) || !reel_dtype_is_float(weight[i].dtype)))
            return reel_fail(env, REEL_E_SHAPE, "x %s needs %s [%lld] of a float type, got %s %s",
                             REEL_SHAPE_STR(&x->shape), i ? "b" : "w", (long long)C,
                             reel_dtype_name(weight[i].dtype), REEL_SHAPE_STR(&weight[i].shape));
    return REEL_OK;
}

/* in: x, w, b */
static reel_status norm_shape(reel_env *env, reel_call *c) {
    const reel_norm_attr *attr = c->attr;
    const reel_status status = check_operands(env, c, &c->in[0], &c->in[1], &c->present[1]);
    if (status != REEL_OK) return status;
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = c->in[0].shape};
    return REEL_OK;
}

/* ---- forward ---- */

reel_norm_stats reel_norm_stats_of(reel_norm_kind kind, double eps, const reel_tensor *x,
                                   int64_t first, int64_t step, int64_t C) {
    double sum = 0, square = 0;
    for (int64_t k = 0; kind == REEL_NORM_LAYER && k < C; k++)
        sum += reel_get(x, first + k * step);
    const double mean = sum / (double)C;
    for (int64_t k = 0; k < C; k++) {
        const double d = reel_get(x, first + k * step) - mean;
        square += d * d;
    }
    if (kind == REEL_NORM_L2) {
        const double length = sqrt(square);
        const bool clamped = length < eps;
        return (reel_norm_stats){0, sqrt((double)C) / (clamped ? eps : length), clamped ? 0 : 1};
    }
    return (reel_norm_stats){mean, 1 / sqrt(square / (double)C + eps), 1};
}

static void norm_ref(const reel_call *c) {
    const reel_norm_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *w = &c->in[1], *b = &c->in[2], *y = &c->out[0];
    const reel_norm_size n = reel_norm_size_of(&x->shape, attr->channels_first);
    for (int64_t p = 0; p < n.n_outer * n.inner; p++) {
        const int64_t first = p / n.inner * n.C * n.inner + p % n.inner;
        const reel_norm_stats s = reel_norm_stats_of((reel_norm_kind)attr->kind, (double)attr->eps,
                                                     x, first, n.inner, n.C);
        for (int64_t k = 0; k < n.C; k++) {
            const int64_t at = first + k * n.inner;
            const double xhat = (reel_get(x, at) - s.mean) * s.r;
            reel_put(y, at,
                     xhat * (c->present[1] ? reel_get(w, k) : 1) +
                         (c->present[2] ? reel_get(b, k) : 0));
        }
    }
}
const reel_kernel reel_ref_norm = {.name = "norm.ref", .run = norm_ref};

/* ---- gradient, with g = dy w: dx = r (g - mean(g) - xhat mean(g xhat)), mean(g) for layer norm
 * alone; dw = sum dy xhat, db = sum dy over all positions ---- */

/* in: dy, x, w, b (for its shape alone) -> dx, dw, db; the absent ones are empty. */
static reel_status norm_backward_shape(reel_env *env, reel_call *c) {
    const reel_norm_attr *attr = c->attr;
    const reel_status status = check_operands(env, c, &c->in[1], &c->in[2], &c->present[2]);
    if (status != REEL_OK) return status;
    if (!reel_shape_equal(&c->in[0].shape, &c->in[1].shape))
        return reel_fail(env, REEL_E_SHAPE, "x %s needs dy of its shape, got %s",
                         REEL_SHAPE_STR(&c->in[1].shape), REEL_SHAPE_STR(&c->in[0].shape));
    c->n_out = 3;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = c->in[1].shape};
    for (int i = 1; i < 3; i++) {
        c->out[i] = (reel_tensor){.dtype = REEL_F32, .shape = REEL_SHAPE(0)};
        if (c->present[i + 1]) c->out[i].shape = c->in[i + 1].shape;
    }
    return REEL_OK;
}

/* The position whose channels start at first: dx, and its part of the sums dw and db [C]. */
static void position_backward(const reel_call *c, reel_norm_size n, int64_t first, double *sum_w,
                              double *sum_b) {
    const reel_norm_attr *attr = c->attr;
    const reel_tensor *dy = &c->in[0], *x = &c->in[1], *w = &c->in[2], *dx = &c->out[0];
    const reel_norm_stats s =
        reel_norm_stats_of((reel_norm_kind)attr->kind, (double)attr->eps, x, first, n.inner, n.C);
    double mean_g = 0, mean_gx = 0;
    for (int64_t k = 0; k < n.C; k++) {
        const int64_t at = first + k * n.inner;
        const double d = reel_get(dy, at), xhat = (reel_get(x, at) - s.mean) * s.r;
        const double g = d * (c->present[2] ? reel_get(w, k) : 1);
        mean_g += g / (double)n.C;
        mean_gx += g * xhat / (double)n.C;
        sum_w[k] += d * xhat;
        sum_b[k] += d;
    }
    if (attr->kind != REEL_NORM_LAYER) mean_g = 0;
    for (int64_t k = 0; dx->data && k < n.C; k++) {
        const int64_t at = first + k * n.inner;
        const double g = reel_get(dy, at) * (c->present[2] ? reel_get(w, k) : 1);
        const double xhat = (reel_get(x, at) - s.mean) * s.r;
        reel_put(dx, at, s.r * (g - mean_g - s.slope * xhat * mean_gx));
    }
}

static int64_t norm_backward_scratch(const reel_call *c, int n_lanes) {
    const reel_norm_attr *attr = c->attr;
    (void)n_lanes;
    return 2 * reel_norm_size_of(&c->in[1].shape, attr->channels_first).C * (int64_t)sizeof(double);
}

static void norm_backward_ref(const reel_call *c) {
    const reel_norm_attr *attr = c->attr;
    const reel_norm_size n = reel_norm_size_of(&c->in[1].shape, attr->channels_first);
    double *sum_w = c->scratch, *sum_b = sum_w + n.C;
    memset(sum_w, 0, 2 * (size_t)n.C * sizeof *sum_w);
    for (int64_t p = 0; p < n.n_outer * n.inner; p++)
        position_backward(c, n, p / n.inner * n.C * n.inner + p % n.inner, sum_w, sum_b);
    for (int64_t k = 0; k < n.C; k++) {
        if (c->present[2] && c->out[1].data) reel_put(&c->out[1], k, sum_w[k]);
        if (c->present[3] && c->out[2].data) reel_put(&c->out[2], k, sum_b[k]);
    }
}
const reel_kernel reel_ref_norm_backward = {
    .name = "norm_backward.ref", .scratch = norm_backward_scratch, .run = norm_backward_ref};

static void norm_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_norm_attr *forward = (const void *)r->attr;
    reel_norm_attr attr = *forward;
    attr.out_dtype = reel_tape_grad_dtype(t, r->in[0]);
    const reel_var dx = REEL_RECORD(t, &reel_op_norm_backward, &attr, sizeof attr, dout[0],
                                    r->in[0], r->in[1], r->in[2]);
    for (int i = 0; dx && i < 3; i++)
        if (reel_tape_wants_grad(t, r->in[i]))
            reel_tape_add_grad(t, r->in[i],
                               reel_cast(t, dx + i, reel_tape_grad_dtype(t, r->in[i])));
}

/* ---- ops ---- */

const reel_op reel_op_norm = {.name = "norm",
                              .id = REEL_OP_NORM,
                              .shape = norm_shape,
                              .optional = 6,
                              .grad = norm_grad,
                              .inplace = 1};
const reel_op reel_op_norm_backward = {.name = "norm_backward",
                                       .id = REEL_OP_NORM_BACKWARD,
                                       .shape = norm_backward_shape,
                                       .optional = 12,
                                       .inplace = 3};

reel_var reel_norm(reel_tape *t, reel_var x, reel_var w, reel_var b, const reel_norm_attr *attr) {
    return REEL_RECORD(t, &reel_op_norm, attr, sizeof *attr, x, w, b);
}

reel_var reel_layer_norm(reel_tape *t, reel_var x, reel_var w, reel_var b, float eps,
                         reel_dtype out_dtype) {
    return reel_norm(
        t, x, w, b,
        &(reel_norm_attr){.kind = REEL_NORM_LAYER, .out_dtype = (int32_t)out_dtype, .eps = eps});
}

reel_var reel_rms_norm(reel_tape *t, reel_var x, reel_var w, float eps, reel_dtype out_dtype) {
    return reel_norm(
        t, x, w, 0,
        &(reel_norm_attr){.kind = REEL_NORM_RMS, .out_dtype = (int32_t)out_dtype, .eps = eps});
}
