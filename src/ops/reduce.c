#include "ops/reduce.h"

#include "ops/element.h"
#include "ops/elementwise.h"

/* ---- dot: y = sum x r ---- */

static reel_status dot_shape(reel_env *env, reel_call *c) {
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
