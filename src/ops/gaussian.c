#include "ops/gaussian.h"

#include <math.h>

#include "ops/element.h"

/* in: l, s, w */
static reel_status check_operands(reel_env *env, const reel_call *c) {
    const reel_shape *l = &c->in[0].shape, *s = &c->in[1].shape, *w = &c->in[2].shape;
    for (int i = 0; i < 3; i++)
        if (!reel_dtype_is_float(c->in[i].dtype))
            return reel_fail(env, REEL_E_SHAPE, "operand %d must be a float type, got %s", i,
                             reel_dtype_name(c->in[i].dtype));
    if (l->rank < 1 || !reel_shape_equal(l, s))
        return reel_fail(env, REEL_E_SHAPE, "log variances %s need moments of their shape, got %s",
                         REEL_SHAPE_STR(l), REEL_SHAPE_STR(s));
    reel_shape wanted = *l;
    wanted.dim[wanted.rank - 1] = 1;
    if (!reel_shape_equal(w, &wanted))
        return reel_fail(env, REEL_E_SHAPE, "log variances %s need weights %s, got %s",
                         REEL_SHAPE_STR(l), REEL_SHAPE_STR(&wanted), REEL_SHAPE_STR(w));
    return REEL_OK;
}

/* out: L; C times the sum of weights, for backward */
static reel_status gaussian_shape(reel_env *env, reel_call *c) {
    c->n_out = 2;
    c->out[0] = c->out[1] = (reel_tensor){.dtype = REEL_F32};
    return check_operands(env, c);
}

static void gaussian_ref(const reel_call *c) {
    const int64_t C = reel_shape_last(&c->in[0].shape), n = reel_tensor_count(&c->in[0]);
    double sum = 0, weights = 0;
    for (int64_t i = 0; i < n; i++) {
        const double l = reel_get(&c->in[0], i), w = reel_get(&c->in[2], i / C);
        sum += w * (l + reel_get(&c->in[1], i) * exp(-l)) / 2;
        weights += w;
    }
    if (c->out[0].data) reel_put(&c->out[0], 0, weights == 0 ? 0 : sum / weights);
    if (c->out[1].data) reel_put(&c->out[1], 0, weights);
}
const reel_kernel reel_ref_gaussian = {.name = "gaussian.ref", .run = gaussian_ref};

static void gaussian_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    if (!dout[0] || !reel_tape_wants_grad(t, r->in[0])) return;
    const reel_gaussian_attr attr = {.out_dtype = reel_tape_grad_dtype(t, r->in[0])};
    reel_tape_add_grad(t, r->in[0],
                       REEL_RECORD(t, &reel_op_gaussian_backward, &attr, sizeof attr, r->in[0],
                                   r->in[1], r->in[2], r->out + 1, dout[0]));
}

static double gaussian_flops(const reel_call *c) {
    return 4.0 * (double)reel_tensor_count(&c->in[0]);
}

const reel_op reel_op_gaussian = {.name = "gaussian",
                                  .id = REEL_OP_GAUSSIAN,
                                  .shape = gaussian_shape,
                                  .grad = gaussian_grad,
                                  .flops = gaussian_flops};

/* in: l, s, w, C sum w, dL; out: dl = dL w (1 - s e^-l) / 2 / (C sum w) */
static reel_status gaussian_backward_shape(reel_env *env, reel_call *c) {
    const reel_gaussian_attr *attr = c->attr;
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = c->in[0].shape};
    return check_operands(env, c);
}

static void gaussian_backward_ref(const reel_call *c) {
    const int64_t C = reel_shape_last(&c->in[0].shape), n = reel_tensor_count(&c->in[0]);
    const double weights = reel_get(&c->in[3], 0);
    const double g = weights == 0 ? 0 : reel_get(&c->in[4], 0) / weights / 2;
    for (int64_t i = 0; i < n; i++) {
        const double l = reel_get(&c->in[0], i), w = reel_get(&c->in[2], i / C);
        reel_put(&c->out[0], i, g * w * (1 - reel_get(&c->in[1], i) * exp(-l)));
    }
}
const reel_kernel reel_ref_gaussian_backward = {.name = "gaussian_backward.ref",
                                                .run = gaussian_backward_ref};

const reel_op reel_op_gaussian_backward = {.name = "gaussian_backward",
                                           .id = REEL_OP_GAUSSIAN_BACKWARD,
                                           .shape = gaussian_backward_shape,
                                           .flops = gaussian_flops,
                                           .inplace = 3};

reel_var reel_gaussian(reel_tape *t, reel_var l, reel_var s, reel_var w) {
    return REEL_RECORD(t, &reel_op_gaussian, NULL, 0, l, s, w);
}
