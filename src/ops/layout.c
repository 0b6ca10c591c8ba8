#include "ops/layout.h"

#include "ops/elementwise.h"

/* ---- reshape ---- */

static reel_status reshape_shape(reel_env *env, reel_call *c) {
    const reel_reshape_attr *attr = c->attr;
    const reel_status status = reel_shape_check(env, &attr->shape);
    if (status != REEL_OK) return status;
    if (reel_shape_count(&attr->shape) != reel_tensor_count(&c->in[0]))
        return reel_fail(env, REEL_E_SHAPE, "x %s cannot become %s",
                         REEL_SHAPE_STR(&c->in[0].shape), REEL_SHAPE_STR(&attr->shape));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = c->in[0].dtype, .shape = attr->shape};
    return REEL_OK;
}

static void reshape_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    if (!reel_tape_wants_grad(t, r->in[0])) return;
    const reel_var g = reel_cast(t, dout[0], reel_tape_grad_dtype(t, r->in[0]));
    reel_tape_add_grad(t, r->in[0], reel_reshape(t, g, reel_tape_value(t, r->in[0])->shape));
}

const reel_op reel_op_reshape = {.name = "reshape",
                                 .id = REEL_OP_RESHAPE,
                                 .shape = reshape_shape,
                                 .grad = reshape_grad,
                                 .view = true};

reel_var reel_reshape(reel_tape *t, reel_var x, reel_shape shape) {
    if (reel_shape_equal(&reel_tape_value(t, x)->shape, &shape)) return x;
    const reel_reshape_attr attr = {shape};
    return REEL_RECORD(t, &reel_op_reshape, &attr, sizeof attr, x);
}
