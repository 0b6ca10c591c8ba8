#include "ops/reduce.h"

#include <math.h>

#include "ops/element.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

/* ---- sum_to: y = factor * the sum over broadcast axes ---- */

static reel_status sum_to_shape(reel_env *env, reel_call *c) {
    const reel_reduce_attr *attr = c->attr;
    const reel_shape *x = &c->in[0].shape, *y = &attr->shape;
    if (!reel_dtype_is_float(c->in[0].dtype))
        return reel_fail(env, REEL_E_SHAPE, "x must be a float type, got %s",
                         reel_dtype_name(c->in[0].dtype));
    if (!reel_broadcasts_to(y, x))
        return reel_fail(env, REEL_E_SHAPE, "x %s is not a broadcast of %s", REEL_SHAPE_STR(x),
                         REEL_SHAPE_STR(y));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = *y};
    return REEL_OK;
}

/* Sums in double, in rising order of x, in scratch: [elements of y]. */
static void sum_to_ref(const reel_call *c) {
    const reel_reduce_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *y = &c->out[0];
    const int64_t n_x = reel_tensor_count(x), n_y = reel_tensor_count(y);
    double *sum = c->scratch;
    for (int64_t o = 0; o < n_y; o++)
        sum[o] = 0;
    for (int64_t i = 0; i < n_x; i++)
        sum[reel_broadcast_index(&x->shape, &y->shape, i)] += reel_get(x, i);
    for (int64_t o = 0; o < n_y; o++)
        reel_put(y, o, (double)attr->factor * sum[o]);
}
static int64_t one_double_each(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    return (int64_t)sizeof(double) * reel_tensor_count(&c->out[0]);
}
const reel_kernel reel_ref_sum_to = {
    .name = "sum_to.ref", .scratch = one_double_each, .run = sum_to_ref};

static reel_var broadcast_to_scaled(reel_tape *t, reel_var x, reel_shape shape, reel_dtype dtype,
                                    float factor);

/* Every summand has the gradient of its sum. */
static void sum_to_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_reduce_attr *attr = (const void *)r->attr;
    reel_tape_add_grad(t, r->in[0],
                       broadcast_to_scaled(t, dout[0], reel_tape_value(t, r->in[0])->shape,
                                           reel_tape_grad_dtype(t, r->in[0]), attr->factor));
}

static double read_flops(const reel_call *c) {
    return (double)reel_tensor_count(&c->in[0]);
}

const reel_op reel_op_sum_to = {.name = "sum_to",
                                .id = REEL_OP_SUM_TO,
                                .shape = sum_to_shape,
                                .grad = sum_to_grad,
                                .flops = read_flops};

/* Either direction does nothing but scale and cast when the shapes are the same. */
static reel_var scale_as(reel_tape *t, reel_var x, reel_dtype dtype, float factor) {
    if (factor == 1.0f) return reel_cast(t, x, dtype);
    const reel_scale_attr attr = {dtype, factor, 0};
    return REEL_RECORD(t, &reel_op_scale, &attr, sizeof attr, x);
}

reel_var reel_sum_to_scaled(reel_tape *t, reel_var x, reel_shape shape, reel_dtype dtype,
                            float factor) {
    if (reel_shape_equal(&reel_tape_value(t, x)->shape, &shape))
        return scale_as(t, x, dtype, factor);
    const reel_reduce_attr attr = {dtype, factor, shape};
    return REEL_RECORD(t, &reel_op_sum_to, &attr, sizeof attr, x);
}

reel_var reel_sum_to(reel_tape *t, reel_var x, reel_shape shape, reel_dtype dtype) {
    return reel_sum_to_scaled(t, x, shape, dtype, 1);
}

/* ---- broadcast_to: y = factor * x, repeated ---- */

static reel_status broadcast_to_shape(reel_env *env, reel_call *c) {
    const reel_reduce_attr *attr = c->attr;
    const reel_shape *x = &c->in[0].shape;
    if (!reel_dtype_is_float(c->in[0].dtype))
        return reel_fail(env, REEL_E_SHAPE, "x must be a float type, got %s",
                         reel_dtype_name(c->in[0].dtype));
    if (!reel_broadcasts_to(x, &attr->shape))
        return reel_fail(env, REEL_E_SHAPE, "x %s does not broadcast to %s", REEL_SHAPE_STR(x),
                         REEL_SHAPE_STR(&attr->shape));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = attr->shape};
    return REEL_OK;
}

static void broadcast_to_ref(const reel_call *c) {
    const reel_reduce_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *y = &c->out[0];
    const int64_t n = reel_tensor_count(y);
    for (int64_t i = 0; i < n; i++)
        reel_put(y, i,
                 (double)attr->factor * reel_get(x, reel_broadcast_index(&y->shape, &x->shape, i)));
}
const reel_kernel reel_ref_broadcast_to = {.name = "broadcast_to.ref", .run = broadcast_to_ref};

static void broadcast_to_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_reduce_attr *attr = (const void *)r->attr;
    reel_tape_add_grad(t, r->in[0],
                       reel_sum_to_scaled(t, dout[0], reel_tape_value(t, r->in[0])->shape,
                                          reel_tape_grad_dtype(t, r->in[0]), attr->factor));
}

const reel_op reel_op_broadcast_to = {.name = "broadcast_to",
                                      .id = REEL_OP_BROADCAST_TO,
                                      .shape = broadcast_to_shape,
                                      .grad = broadcast_to_grad};

static reel_var broadcast_to_scaled(reel_tape *t, reel_var x, reel_shape shape, reel_dtype dtype,
                                    float factor) {
    if (reel_shape_equal(&reel_tape_value(t, x)->shape, &shape))
        return scale_as(t, x, dtype, factor);
    const reel_reduce_attr attr = {dtype, factor, shape};
    return REEL_RECORD(t, &reel_op_broadcast_to, &attr, sizeof attr, x);
}

reel_var reel_broadcast_to(reel_tape *t, reel_var x, reel_shape shape, reel_dtype dtype) {
    return broadcast_to_scaled(t, x, shape, dtype, 1);
}

/* ---- max ---- */

static reel_status max_shape(reel_env *env, reel_call *c) {
    if (reel_tensor_count(&c->in[0]) == 0)
        return reel_fail(env, REEL_E_SHAPE, "x %s has no elements",
                         REEL_SHAPE_STR(&c->in[0].shape));
    return sum_to_shape(env, c);
}

/* A NaN wins: x > y is false for it, so it is asked for by name. */
static void max_ref(const reel_call *c) {
    const reel_tensor *x = &c->in[0], *y = &c->out[0];
    const int64_t n_x = reel_tensor_count(x), n_y = reel_tensor_count(y);
    for (int64_t o = 0; o < n_y; o++)
        reel_put(y, o, (double)-INFINITY);
    for (int64_t i = 0; i < n_x; i++) {
        const int64_t o = reel_broadcast_index(&x->shape, &y->shape, i);
        const double value = reel_get(x, i);
        if (isnan(value) || value > reel_get(y, o)) reel_put(y, o, value);
    }
}
const reel_kernel reel_ref_max = {.name = "max.ref", .run = max_ref};

static void max_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    if (reel_tape_wants_grad(t, r->in[0]))
        reel_tape_fail(t, REEL_E_UNSUPPORTED, "max has no gradient (value %d)", (int)dout[0]);
}

const reel_op reel_op_max = {
    .name = "max", .id = REEL_OP_MAX, .shape = max_shape, .grad = max_grad, .flops = read_flops};

/* ---- over a set of axes ---- */

/* Reduces with op to a shape of ones where axes says so, and drops those if wanted. */
static reel_var reduce(reel_tape *t, const reel_op *op, reel_var x, unsigned axes,
                       reel_keep_axes keep, bool mean) {
    const reel_value *v = reel_tape_value(t, x);
    reel_shape ones = v->shape, left = {0};
    int64_t n = 1;
    for (int k = 0; k < v->shape.rank; k++) {
        if (axes >> k & 1) {
            n *= ones.dim[k];
            ones.dim[k] = 1;
        } else {
            left.dim[left.rank++] = v->shape.dim[k];
        }
    }
    if (n == 0 && mean) {
        reel_tape_fail(t, REEL_E_SHAPE, "mean: x %s has no elements along axes 0x%x",
                       REEL_SHAPE_STR(&v->shape), axes);
        return 0;
    }
    const float factor = mean ? (float)(1.0 / (double)n) : 1;
    const reel_reduce_attr attr = {REEL_F32, factor, ones};
    reel_var y = op == &reel_op_sum_to ? reel_sum_to_scaled(t, x, ones, REEL_F32, factor)
                                       : REEL_RECORD(t, op, &attr, sizeof attr, x);
    if (y && keep == REEL_DROP_AXES && left.rank != ones.rank) y = reel_reshape(t, y, left);
    return y;
}

reel_var reel_sum(reel_tape *t, reel_var x, unsigned axes, reel_keep_axes keep) {
    return reduce(t, &reel_op_sum_to, x, axes, keep, false);
}
reel_var reel_mean(reel_tape *t, reel_var x, unsigned axes, reel_keep_axes keep) {
    return reduce(t, &reel_op_sum_to, x, axes, keep, true);
}
reel_var reel_max(reel_tape *t, reel_var x, unsigned axes, reel_keep_axes keep) {
    return reduce(t, &reel_op_max, x, axes, keep, false);
}

/* ---- dot: y = sum x r ---- */

static reel_status dot_shape(reel_env *env, reel_call *c) {
    for (int i = 0; i < 2; i++)
        if (!reel_dtype_is_float(c->in[i].dtype))
            return reel_fail(env, REEL_E_SHAPE, "operand %d must be a float type, got %s", i,
                             reel_dtype_name(c->in[i].dtype));
    if (!reel_shape_equal(&c->in[0].shape, &c->in[1].shape))
        return reel_fail(env, REEL_E_SHAPE, "x %s needs r of its shape, got %s",
                         REEL_SHAPE_STR(&c->in[0].shape), REEL_SHAPE_STR(&c->in[1].shape));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = REEL_F32};
    return REEL_OK;
}

static void dot_ref(const reel_call *c) {
    double sum = 0;
    const int64_t n = reel_tensor_count(&c->in[0]);
    for (int64_t i = 0; i < n; i++)
        sum += reel_get(&c->in[0], i) * reel_get(&c->in[1], i);
    reel_put(&c->out[0], 0, sum);
}
const reel_kernel reel_ref_dot = {.name = "dot.ref", .run = dot_ref};

static double dot_flops(const reel_call *c) {
    return 2.0 * (double)reel_tensor_count(&c->in[0]);
}

/* dx = r dy, dr = x dy, with the scalar dy broadcast. */
static void dot_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    for (int i = 0; i < 2; i++) {
        if (!reel_tape_wants_grad(t, r->in[i])) continue;
        const reel_var g = reel_mul(t, r->in[1 - i], dout[0]);
        reel_tape_add_grad(t, r->in[i], reel_cast(t, g, reel_tape_grad_dtype(t, r->in[i])));
    }
}

const reel_op reel_op_dot = {
    .name = "dot", .id = REEL_OP_DOT, .shape = dot_shape, .grad = dot_grad, .flops = dot_flops};

reel_var reel_dot(reel_tape *t, reel_var x, reel_var r) {
    return REEL_RECORD(t, &reel_op_dot, NULL, 0, x, r);
}
