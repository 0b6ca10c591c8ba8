#include "ops/softmax.h"

#include <math.h>

#include "ops/element.h"

/* ---- y = e^x / sum e^x ---- */

static reel_status softmax_shape(reel_env *env, reel_call *c) {
    const reel_tensor *x = &c->in[0];
    if (!reel_dtype_is_float(x->dtype) || x->shape.rank < 1)
        return reel_fail(env, REEL_E_SHAPE, "x must be float [...,C], got %s %s",
                         reel_dtype_name(x->dtype), REEL_SHAPE_STR(&x->shape));
    c->n_out = 1;
    c->out[0] = *x;
    return REEL_OK;
}

static void softmax_ref(const reel_call *c) {
    const reel_tensor *x = &c->in[0], *y = &c->out[0];
    const int64_t R = reel_shape_rows(&x->shape), C = reel_shape_last(&x->shape);
    for (int64_t r = 0; r < R; r++) {
        double top = (double)-INFINITY, sum = 0;
        for (int64_t i = r * C; i < (r + 1) * C; i++)
            top = fmax(top, reel_get(x, i));
        for (int64_t i = r * C; i < (r + 1) * C; i++)
            sum += exp(reel_get(x, i) - top);
        for (int64_t i = r * C; i < (r + 1) * C; i++)
            reel_put(y, i, exp(reel_get(x, i) - top) / sum);
    }
}
const reel_kernel reel_ref_softmax = {.name = "softmax.ref", .run = softmax_ref};

static void softmax_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_softmax_attr attr = {reel_tape_grad_dtype(t, r->in[0])};
    reel_tape_add_grad(
        t, r->in[0],
        REEL_RECORD(t, &reel_op_softmax_backward, &attr, sizeof attr, r->out, dout[0]));
}

static double softmax_flops(const reel_call *c) {
    return 4.0 * (double)reel_tensor_count(&c->in[0]); /* an exponential counts as one */
}

const reel_op reel_op_softmax = {.name = "softmax",
                                 .id = REEL_OP_SOFTMAX,
                                 .shape = softmax_shape,
                                 .grad = softmax_grad,
                                 .flops = softmax_flops,
                                 .inplace = 1};

/* ---- gradient: dx = y (dy - sum y dy) ---- */

/* in: y, dy */
static reel_status softmax_backward_shape(reel_env *env, reel_call *c) {
    const reel_softmax_attr *attr = c->attr;
    if (!reel_shape_equal(&c->in[0].shape, &c->in[1].shape))
        return reel_fail(env, REEL_E_SHAPE, "y %s needs dy of its shape, got %s",
                         REEL_SHAPE_STR(&c->in[0].shape), REEL_SHAPE_STR(&c->in[1].shape));
    c->n_out = 1;
    c->out[0] = c->in[0];
    c->out[0].dtype = (reel_dtype)attr->out_dtype;
    return REEL_OK;
}

static void softmax_backward_ref(const reel_call *c) {
    const reel_tensor *y = &c->in[0], *dy = &c->in[1];
    const int64_t R = reel_shape_rows(&y->shape), C = reel_shape_last(&y->shape);
    for (int64_t r = 0; r < R; r++) {
        double dot = 0;
        for (int64_t i = r * C; i < (r + 1) * C; i++)
            dot += reel_get(y, i) * reel_get(dy, i);
        for (int64_t i = r * C; i < (r + 1) * C; i++)
            reel_put(&c->out[0], i, reel_get(y, i) * (reel_get(dy, i) - dot));
    }
}
const reel_kernel reel_ref_softmax_backward = {.name = "softmax_backward.ref",
                                               .run = softmax_backward_ref};

const reel_op reel_op_softmax_backward = {.name = "softmax_backward",
                                          .id = REEL_OP_SOFTMAX_BACKWARD,
                                          .shape = softmax_backward_shape,
                                          .flops = softmax_flops,
                                          .inplace = 3};

reel_var reel_softmax(reel_tape *t, reel_var x) {
    return REEL_RECORD(t, &reel_op_softmax, NULL, 0, x);
}
