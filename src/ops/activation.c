#include "ops/activation.h"

#include <math.h>

#include "ops/element.h"

static const double gelu_k = 0.79788456080286535588; /* sqrt(2 / pi) */
static const double gelu_c = 0.044715;
static const double sqrt_half = 0.70710678118654752440;
static const double inv_sqrt_2pi = 0.39894228040143267794;

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

double reel_activation_value(reel_activation f, double x) {
    switch (f) {
    case REEL_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(gelu_k * (x + gelu_c * x * x * x)));
    case REEL_ACT_GELU_ERF:
        return 0.5 * x * (1 + erf(x * sqrt_half));
    case REEL_ACT_SILU:
        return x * sigmoid(x);
    default:
        return x;
    }
}

double reel_activation_slope(reel_activation f, double x) {
    switch (f) {
    case REEL_ACT_GELU_TANH: {
        const double t = tanh(gelu_k * (x + gelu_c * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * gelu_k * (1 + 3 * gelu_c * x * x);
    }
    case REEL_ACT_GELU_ERF:
        return 0.5 * (1 + erf(x * sqrt_half)) + x * inv_sqrt_2pi * exp(-0.5 * x * x);
    case REEL_ACT_SILU: {
        const double s = sigmoid(x);
        return s * (1 + x * (1 - s));
    }
    default:
        return 1;
    }
}

const char *reel_activation_name(reel_activation f) {
    static const char *const name[REEL_ACT_COUNT] = {"none", "gelu_tanh", "gelu_erf", "silu"};
    return name[f];
}

/* ---- activation: y = f(x) ---- */

static reel_status activation_shape(reel_env *env, reel_call *c) {
    if (!reel_dtype_is_float(c->in[0].dtype))
        return reel_fail(env, REEL_E_SHAPE, "x must be a float type, got %s",
                         reel_dtype_name(c->in[0].dtype));
    c->n_out = 1;
    c->out[0] = c->in[0];
    return REEL_OK;
}

static void activation_ref(const reel_call *c) {
    const reel_activation_attr *attr = c->attr;
    const int64_t n = reel_tensor_count(&c->in[0]);
    for (int64_t i = 0; i < n; i++)
        reel_put(&c->out[0], i,
                 reel_activation_value((reel_activation)attr->act, reel_get(&c->in[0], i)));
}
const reel_kernel reel_ref_activation = {.name = "activation.ref", .run = activation_ref};

static void activation_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_activation_attr *attr = (const void *)r->attr;
    reel_tape_add_grad(t, r->in[0],
                       reel_activate_backward(t, (reel_activation)attr->act, r->in[0], dout[0]));
}

const reel_op reel_op_activation = {.name = "activation",
                                    .id = REEL_OP_ACTIVATION,
                                    .shape = activation_shape,
                                    .grad = activation_grad,
                                    .inplace = 1};

/* ---- gradient: dx = f'(x) dy ---- */

static reel_status activation_backward_shape(reel_env *env, reel_call *c) {
    const reel_activation_attr *attr = c->attr;
    if (!reel_shape_equal(&c->in[0].shape, &c->in[1].shape))
        return reel_fail(env, REEL_E_SHAPE, "x %s needs dy of its shape, got %s",
                         REEL_SHAPE_STR(&c->in[0].shape), REEL_SHAPE_STR(&c->in[1].shape));
    c->n_out = 1;
    c->out[0] = c->in[0];
    c->out[0].dtype = (reel_dtype)attr->out_dtype;
    return REEL_OK;
}

static void activation_backward_ref(const reel_call *c) {
    const reel_activation_attr *attr = c->attr;
    const int64_t n = reel_tensor_count(&c->in[0]);
    for (int64_t i = 0; i < n; i++) {
        const double slope =
            reel_activation_slope((reel_activation)attr->act, reel_get(&c->in[0], i));
        reel_put(&c->out[0], i, slope * reel_get(&c->in[1], i));
    }
}
const reel_kernel reel_ref_activation_backward = {.name = "activation_backward.ref",
                                                  .run = activation_backward_ref};

const reel_op reel_op_activation_backward = {.name = "activation_backward",
                                             .id = REEL_OP_ACTIVATION_BACKWARD,
                                             .shape = activation_backward_shape,
                                             .inplace = 3};

/* ---- recording ---- */

reel_var reel_activate(reel_tape *t, reel_var x, reel_activation f) {
    const reel_activation_attr attr = {f, REEL_F32};
    return REEL_RECORD(t, &reel_op_activation, &attr, sizeof attr, x);
}

reel_var reel_activate_backward(reel_tape *t, reel_activation f, reel_var x, reel_var dy) {
    const reel_activation_attr attr = {f, reel_tape_grad_dtype(t, x)};
    return REEL_RECORD(t, &reel_op_activation_backward, &attr, sizeof attr, x, dy);
}
