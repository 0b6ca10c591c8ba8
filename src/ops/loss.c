#include "ops/loss.h"

#include <math.h>

#include "ops/element.h"
#include "ops/elementwise.h"

/* ---- mse, l1, smooth l1 ---- */

static double value_of(const reel_loss_attr *attr, double d) {
    const double beta = (double)attr->beta;
    if (attr->kind == REEL_LOSS_MSE) return d * d;
    if (attr->kind == REEL_LOSS_SMOOTH_L1 && fabs(d) < beta) return d * d / (2 * beta);
    return fabs(d) - (attr->kind == REEL_LOSS_SMOOTH_L1 ? beta / 2 : 0);
}

static double slope_of(const reel_loss_attr *attr, double d) {
    const double beta = (double)attr->beta;
    if (attr->kind == REEL_LOSS_MSE) return 2 * d;
    if (attr->kind == REEL_LOSS_SMOOTH_L1 && fabs(d) < beta) return d / beta;
    return isnan(d) ? d : (d > 0) - (d < 0);
}

/* in: x, target, w or absent */
static reel_status check_operands(reel_env *env, const reel_call *c) {
    const reel_shape *x = &c->in[0].shape, *target = &c->in[1].shape, *w = &c->in[2].shape;
    for (int i = 0; i < 3; i++)
        if (c->present[i] && !reel_dtype_is_float(c->in[i].dtype))
            return reel_fail(env, REEL_E_SHAPE, "operand %d must be a float type, got %s", i,
                             reel_dtype_name(c->in[i].dtype));
    if (!reel_shape_equal(x, target))
        return reel_fail(env, REEL_E_SHAPE, "x %s needs a target of its shape, got %s",
                         REEL_SHAPE_STR(x), REEL_SHAPE_STR(target));
    if (c->present[2] && !reel_broadcasts_to(w, x))
        return reel_fail(env, REEL_E_SHAPE, "x %s needs weights that broadcast to it, got %s",
                         REEL_SHAPE_STR(x), REEL_SHAPE_STR(w));
    return REEL_OK;
}

/* out: L; the sum of weights, for backward */
static reel_status loss_shape(reel_env *env, reel_call *c) {
    const reel_loss_attr *attr = c->attr;
    if (attr->kind == REEL_LOSS_SMOOTH_L1 && !(attr->beta > 0))
        return reel_fail(env, REEL_E_ARG, "beta must be above 0, got %g", (double)attr->beta);
    c->n_out = 2;
    c->out[0] = c->out[1] = (reel_tensor){.dtype = REEL_F32};
    return check_operands(env, c);
}

static double weight_at(const reel_call *c, int64_t i) {
    if (!c->present[2]) return 1;
    return reel_get(&c->in[2], reel_broadcast_index(&c->in[0].shape, &c->in[2].shape, i));
}

static void loss_ref(const reel_call *c) {
    double sum = 0, weights = 0;
    for (int64_t i = 0, n = reel_tensor_count(&c->in[0]); i < n; i++) {
        const double w = weight_at(c, i);
        sum += w * value_of(c->attr, reel_get(&c->in[0], i) - reel_get(&c->in[1], i));
        weights += w;
    }
    if (c->out[0].data) reel_put(&c->out[0], 0, weights == 0 ? 0 : sum / weights);
    if (c->out[1].data) reel_put(&c->out[1], 0, weights);
}
const reel_kernel reel_ref_loss = {.name = "loss.ref", .run = loss_ref};

static void loss_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    if (!dout[0]) return;
    if (reel_tape_wants_grad(t, r->in[2])) {
        reel_tape_fail(t, REEL_E_UNSUPPORTED, "loss: the weights (value %d) have no gradient",
                       (int)r->in[2]);
        return;
    }
    for (int i = 0; i < 2; i++) {
        if (!reel_tape_wants_grad(t, r->in[i])) continue;
        reel_loss_attr attr = *(const reel_loss_attr *)(const void *)r->attr;
        attr.sign = i ? -1 : 1;
        attr.out_dtype = reel_tape_grad_dtype(t, r->in[i]);
        reel_tape_add_grad(t, r->in[i],
                           REEL_RECORD(t, &reel_op_loss_backward, &attr, sizeof attr, r->in[0],
                                       r->in[1], r->in[2], r->out + 1, dout[0]));
    }
}

static double loss_flops(const reel_call *c) {
    return 3.0 * (double)reel_tensor_count(&c->in[0]);
}

const reel_op reel_op_loss = {.name = "loss",
                              .id = REEL_OP_LOSS,
                              .shape = loss_shape,
                              .optional = 4,
                              .grad = loss_grad,
                              .flops = loss_flops};

/* in: x, target, w or absent, sum of weights, dL; out: dx = sign dL w f'(d) / sum w */
static reel_status loss_backward_shape(reel_env *env, reel_call *c) {
    const reel_loss_attr *attr = c->attr;
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = c->in[0].shape};
    return check_operands(env, c);
}

static void loss_backward_ref(const reel_call *c) {
    const reel_loss_attr *attr = c->attr;
    const double weights = reel_get(&c->in[3], 0);
    const double g = weights == 0 ? 0 : (double)attr->sign * reel_get(&c->in[4], 0) / weights;
    for (int64_t i = 0, n = reel_tensor_count(&c->in[0]); i < n; i++) {
        const double d = reel_get(&c->in[0], i) - reel_get(&c->in[1], i);
        reel_put(&c->out[0], i, g * weight_at(c, i) * slope_of(attr, d));
    }
}
const reel_kernel reel_ref_loss_backward = {.name = "loss_backward.ref", .run = loss_backward_ref};

const reel_op reel_op_loss_backward = {.name = "loss_backward",
                                       .id = REEL_OP_LOSS_BACKWARD,
                                       .shape = loss_backward_shape,
                                       .optional = 4,
                                       .flops = loss_flops,
                                       .inplace = 3};

static reel_var record_loss(reel_tape *t, const reel_var in[3], reel_loss_kind kind, float beta) {
    const reel_loss_attr attr = {.kind = kind, .beta = beta};
    return reel_tape_record(t, &reel_op_loss, &attr, sizeof attr, in, 3);
}
reel_var reel_mse(reel_tape *t, reel_var x, reel_var target, reel_var w) {
    return record_loss(t, (const reel_var[3]){x, target, w}, REEL_LOSS_MSE, 0);
}
reel_var reel_l1(reel_tape *t, reel_var x, reel_var target, reel_var w) {
    return record_loss(t, (const reel_var[3]){x, target, w}, REEL_LOSS_L1, 0);
}
reel_var reel_smooth_l1(reel_tape *t, reel_var x, reel_var target, reel_var w, float beta) {
    return record_loss(t, (const reel_var[3]){x, target, w}, REEL_LOSS_SMOOTH_L1, beta);
}

/* ---- cross entropy ---- */

static reel_status check_logits(reel_env *env, const reel_call *c) {
    const reel_cross_entropy_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *target = &c->in[1];
    if (!reel_dtype_is_float(x->dtype) || x->shape.rank != 2 || x->shape.dim[1] < 1)
        return reel_fail(env, REEL_E_SHAPE, "logits must be float [R,V] with V >= 1, got %s %s",
                         reel_dtype_name(x->dtype), REEL_SHAPE_STR(&x->shape));
    if (target->dtype != REEL_I32 || target->shape.rank != 1 ||
        target->shape.dim[0] != x->shape.dim[0])
        return reel_fail(env, REEL_E_SHAPE, "logits %s need targets i32 [%lld], got %s %s",
                         REEL_SHAPE_STR(&x->shape), (long long)x->shape.dim[0],
                         reel_dtype_name(target->dtype), REEL_SHAPE_STR(&target->shape));
    if (!(attr->smoothing >= 0 && attr->smoothing < 1))
        return reel_fail(env, REEL_E_ARG, "label smoothing must be in [0,1), got %g",
                         (double)attr->smoothing);
    return REEL_OK;
}

/* out: L; log sum exp of each row [R] f32 and the number of rows that count, for backward */
static reel_status cross_entropy_shape(reel_env *env, reel_call *c) {
    const reel_status status = check_logits(env, c);
    if (status != REEL_OK) return status;
    c->n_out = 3;
    c->out[0] = c->out[2] = (reel_tensor){.dtype = REEL_F32};
    c->out[1] = (reel_tensor){.dtype = REEL_F32, .shape = c->in[1].shape};
    return REEL_OK;
}

static double log_sum_exp(const reel_tensor *x, int64_t row) {
    const int64_t V = x->shape.dim[1];
    double top = (double)-INFINITY, sum = 0;
    for (int64_t v = 0; v < V; v++)
        top = fmax(top, reel_get(x, row * V + v));
    for (int64_t v = 0; v < V; v++)
        sum += exp(reel_get(x, row * V + v) - top);
    return top + log(sum);
}

static void cross_entropy_ref(const reel_call *c) {
    const reel_cross_entropy_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0];
    const int64_t R = x->shape.dim[0], V = x->shape.dim[1];
    const double e = (double)attr->smoothing;
    const int32_t *target = c->in[1].data;
    double sum = 0, count = 0;
    for (int64_t r = 0; r < R; r++) {
        const double lse = log_sum_exp(x, r);
        if (c->out[1].data) reel_put(&c->out[1], r, lse);
        if (target[r] == attr->ignore) continue;
        const bool valid = target[r] >= 0 && target[r] < V;
        double row = 0;
        for (int64_t v = 0; v < V; v++)
            row += reel_get(x, r * V + v);
        const double chosen = valid ? reel_get(x, r * V + target[r]) : (double)NAN;
        sum += lse - (1 - e) * chosen - (e > 0 ? e / (double)V * row : 0);
        count++;
    }
    if (c->out[0].data) reel_put(&c->out[0], 0, count == 0 ? 0 : sum / count);
    if (c->out[2].data) reel_put(&c->out[2], 0, count);
}
const reel_kernel reel_ref_cross_entropy = {.name = "cross_entropy.ref", .run = cross_entropy_ref};

static void cross_entropy_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    if (!dout[0] || !reel_tape_wants_grad(t, r->in[0])) return;
    reel_cross_entropy_attr attr = *(const reel_cross_entropy_attr *)(const void *)r->attr;
    attr.out_dtype = reel_tape_grad_dtype(t, r->in[0]);
    reel_tape_add_grad(t, r->in[0],
                       REEL_RECORD(t, &reel_op_cross_entropy_backward, &attr, sizeof attr, r->in[0],
                                   r->in[1], r->out + 1, r->out + 2, dout[0]));
}

const reel_op reel_op_cross_entropy = {.name = "cross_entropy",
                                       .id = REEL_OP_CROSS_ENTROPY,
                                       .shape = cross_entropy_shape,
                                       .grad = cross_entropy_grad};

/* in: logits, target, log sum exp [R], count, dL; out: dlogits = dL / count (softmax - q) in the
 * rows that count, q the target distribution */
static reel_status cross_entropy_backward_shape(reel_env *env, reel_call *c) {
    const reel_cross_entropy_attr *attr = c->attr;
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = c->in[0].shape};
    return check_logits(env, c);
}

static void cross_entropy_backward_ref(const reel_call *c) {
    const reel_cross_entropy_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0];
    const int64_t R = x->shape.dim[0], V = x->shape.dim[1];
    const int32_t *target = c->in[1].data;
    const double count = reel_get(&c->in[3], 0), e = (double)attr->smoothing;
    const double g = count == 0 ? 0 : reel_get(&c->in[4], 0) / count;
    for (int64_t r = 0; r < R; r++) {
        const bool ignored = target[r] == attr->ignore;
        const bool valid = target[r] >= 0 && target[r] < V;
        for (int64_t v = 0; v < V; v++) {
            const double p = exp(reel_get(x, r * V + v) - reel_get(&c->in[2], r));
            const double q = (v == target[r] ? 1 - e : 0) + e / (double)V;
            const double d = ignored ? 0 : valid ? g * (p - q) : (double)NAN;
            reel_put(&c->out[0], r * V + v, d);
        }
    }
}
const reel_kernel reel_ref_cross_entropy_backward = {.name = "cross_entropy_backward.ref",
                                                     .run = cross_entropy_backward_ref};

const reel_op reel_op_cross_entropy_backward = {.name = "cross_entropy_backward",
                                                .id = REEL_OP_CROSS_ENTROPY_BACKWARD,
                                                .shape = cross_entropy_backward_shape,
                                                .inplace = 1};

reel_var reel_cross_entropy(reel_tape *t, reel_var logits, reel_var target, int32_t ignore,
                            float smoothing) {
    const reel_cross_entropy_attr attr = {.ignore = ignore, .smoothing = smoothing};
    return REEL_RECORD(t, &reel_op_cross_entropy, &attr, sizeof attr, logits, target);
}
