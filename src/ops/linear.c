#include "ops/linear.h"

#include "ops/element.h"
#include "ops/elementwise.h"
#include "ops/linear_q8.h"

/* ---- contract ---- */

/* Batches, rows in a batch, inputs and outputs of x w^T. */
typedef struct linear_size {
    int64_t n_batches, R, I, O;
} linear_size;

static linear_size size_of(const reel_shape *x, const reel_shape *w) {
    const bool batched = w->rank == 3;
    return (linear_size){.n_batches = batched ? w->dim[0] : 1,
                         .R = reel_shape_span(x, batched, x->rank - 1),
                         .I = w->dim[w->rank - 1],
                         .O = w->dim[w->rank - 2]};
}

static double flops(const linear_size n) {
    return 2.0 * (double)n.n_batches * (double)n.R * (double)n.I * (double)n.O;
}

static reel_status linear_shape(reel_env *env, reel_call *c) {
    const reel_linear_attr *attr = c->attr;
    const reel_shape *x = &c->in[0].shape, *w = &c->in[1].shape, *b = &c->in[2].shape;
    const bool batched = w->rank == 3;
    if ((w->rank != 2 && !batched) || x->rank < 1 + batched ||
        reel_shape_last(x) != reel_shape_last(w) || (batched && x->dim[0] != w->dim[0]))
        return reel_fail(env, REEL_E_SHAPE, "x %s needs w [O,%lld] or [B,O,%lld], got %s",
                         REEL_SHAPE_STR(x), (long long)reel_shape_last(x),
                         (long long)reel_shape_last(x), REEL_SHAPE_STR(w));
    reel_shape bias = *w;
    bias.dim[--bias.rank] = 0;
    if (c->present[2] && !reel_shape_equal(b, &bias))
        return reel_fail(env, REEL_E_SHAPE, "w %s needs b %s, got %s", REEL_SHAPE_STR(w),
                         REEL_SHAPE_STR(&bias), REEL_SHAPE_STR(b));
    for (int i = 0; i < c->n_in; i++)
        if (c->present[i] && !reel_dtype_is_float(c->in[i].dtype))
            return reel_fail(env, REEL_E_SHAPE, "operand %d must be a float type, got %s", i,
                             reel_dtype_name(c->in[i].dtype));
    c->n_out = attr->save ? 2 : 1;
    c->out[0].dtype = (reel_dtype)attr->out_dtype;
    c->out[0].shape = *x;
    c->out[0].shape.dim[x->rank - 1] = w->dim[w->rank - 2];
    c->out[1] = c->out[0];
    return REEL_OK;
}

static double linear_flops(const reel_call *c) {
    return flops(size_of(&c->in[0].shape, &c->in[1].shape));
}

/* ---- forward: y = act(x w^T + b) ---- */

static void linear_ref(const reel_call *c) {
    const reel_linear_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *w = &c->in[1], *b = &c->in[2];
    const linear_size n = size_of(&x->shape, &w->shape);
    for (int64_t g = 0; g < n.n_batches; g++)
        for (int64_t r = 0; r < n.R; r++)
            for (int64_t o = 0; o < n.O; o++) {
                double sum = c->present[2] ? reel_get(b, g * n.O + o) : 0;
                for (int64_t i = 0; i < n.I; i++)
                    sum +=
                        reel_get(x, (g * n.R + r) * n.I + i) * reel_get(w, (g * n.O + o) * n.I + i);
                const int64_t at = (g * n.R + r) * n.O + o;
                if (attr->save && c->out[1].data) reel_put(&c->out[1], at, sum);
                reel_put(&c->out[0], at, reel_activation_value((reel_activation)attr->act, sum));
            }
}
const reel_kernel reel_ref_linear = {.name = "linear.ref", .run = linear_ref};

/* ---- gradient: h = x w^T + b, dh = act'(h) dy; dx = dh w, dw = dh^T x, db = sum of rows of dh
 * ---- */

static reel_status linear_dx_shape(reel_env *env, reel_call *c) {
    const reel_linear_grad_attr *attr = c->attr;
    const reel_shape *dy = &c->in[0].shape, *w = &c->in[1].shape;
    if (w->rank < 2 || reel_shape_last(dy) != w->dim[w->rank - 2])
        return reel_fail(env, REEL_E_SHAPE, "dy %s does not fit w %s", REEL_SHAPE_STR(dy),
                         REEL_SHAPE_STR(w));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = *dy};
    c->out[0].shape.dim[dy->rank - 1] = reel_shape_last(w);
    return REEL_OK;
}

static void linear_dx_ref(const reel_call *c) {
    const reel_tensor *dy = &c->in[0], *w = &c->in[1], *dx = &c->out[0];
    const linear_size n = size_of(&dx->shape, &w->shape);
    for (int64_t g = 0; g < n.n_batches; g++)
        for (int64_t r = 0; r < n.R; r++)
            for (int64_t i = 0; i < n.I; i++) {
                double sum = 0;
                for (int64_t o = 0; o < n.O; o++)
                    sum += reel_get(dy, (g * n.R + r) * n.O + o) *
                           reel_get(w, (g * n.O + o) * n.I + i);
                reel_put(dx, (g * n.R + r) * n.I + i, sum);
            }
}
const reel_kernel reel_ref_linear_dx = {.name = "linear_dx.ref", .run = linear_dx_ref};

/* in: dy, x, w (for its shape alone) */
static reel_status linear_dw_shape(reel_env *env, reel_call *c) {
    const reel_linear_grad_attr *attr = c->attr;
    const reel_shape *dy = &c->in[0].shape, *x = &c->in[1].shape, *w = &c->in[2].shape;
    /* not reel_shape_rows: a matrix without columns still has rows */
    if (reel_shape_span(dy, 0, dy->rank - 1) != reel_shape_span(x, 0, x->rank - 1) ||
        reel_shape_last(x) != reel_shape_last(w))
        return reel_fail(env, REEL_E_SHAPE, "dy %s does not fit x %s", REEL_SHAPE_STR(dy),
                         REEL_SHAPE_STR(x));
    c->n_out = attr->bias ? 2 : 1;
    c->out[0] = (reel_tensor){.dtype = REEL_F32, .shape = *w};
    c->out[1] = c->out[0];
    c->out[1].shape.dim[--c->out[1].shape.rank] = 0;
    return REEL_OK;
}

static void linear_dw_ref(const reel_call *c) {
    const reel_tensor *dy = &c->in[0], *x = &c->in[1], *dw = &c->out[0], *db = &c->out[1];
    const linear_size n = size_of(&x->shape, &dw->shape);
    const bool bias = c->n_out > 1 && db->data;
    for (int64_t g = 0; g < n.n_batches; g++)
        for (int64_t o = 0; o < n.O; o++) {
            double total = 0;
            for (int64_t r = 0; r < n.R; r++)
                total += reel_get(dy, (g * n.R + r) * n.O + o);
            if (bias) reel_put(db, g * n.O + o, total);
            for (int64_t i = 0; dw->data && i < n.I; i++) {
                double sum = 0;
                for (int64_t r = 0; r < n.R; r++)
                    sum += reel_get(dy, (g * n.R + r) * n.O + o) *
                           reel_get(x, (g * n.R + r) * n.I + i);
                reel_put(dw, (g * n.O + o) * n.I + i, sum);
            }
        }
}
const reel_kernel reel_ref_linear_dw = {.name = "linear_dw.ref", .run = linear_dw_ref};

static void linear_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_linear_attr *attr = (const void *)r->attr;
    const reel_var x = r->in[0], w = r->in[1], b = r->in[2];
    reel_var dh = dout[0];
    if (attr->act != REEL_ACT_NONE)
        dh = reel_activate_backward(t, (reel_activation)attr->act, r->out + 1, dout[0]);
    const bool wants_w = reel_tape_wants_grad(t, w), wants_b = reel_tape_wants_grad(t, b);
    if (reel_tape_wants_grad(t, x)) {
        const reel_linear_grad_attr a = {.out_dtype = reel_tape_grad_dtype(t, x)};
        reel_tape_add_grad(t, x, REEL_RECORD(t, &reel_op_linear_dx, &a, sizeof a, dh, w));
    }
    if (wants_w || wants_b) {
        const reel_linear_grad_attr a = {.out_dtype = REEL_F32, .bias = wants_b};
        const reel_var dw = REEL_RECORD(t, &reel_op_linear_dw, &a, sizeof a, dh, x, w);
        if (dw && wants_w) reel_tape_add_grad(t, w, reel_cast(t, dw, reel_tape_grad_dtype(t, w)));
        if (dw && wants_b)
            reel_tape_add_grad(t, b, reel_cast(t, dw + 1, reel_tape_grad_dtype(t, b)));
    }
}

/* ---- ops ---- */

static double linear_dx_flops(const reel_call *c) {
    return flops(size_of(&c->out[0].shape, &c->in[1].shape));
}
static double linear_dw_flops(const reel_call *c) {
    return flops(size_of(&c->in[1].shape, &c->out[0].shape));
}

const reel_op reel_op_linear = {.name = "linear",
                                .id = REEL_OP_LINEAR,
                                .shape = linear_shape,
                                .optional = 4,
                                .grad = linear_grad,
                                .flops = linear_flops};
const reel_op reel_op_linear_dx = {.name = "linear_dx",
                                   .id = REEL_OP_LINEAR_DX,
                                   .shape = linear_dx_shape,
                                   .flops = linear_dx_flops};
const reel_op reel_op_linear_dw = {.name = "linear_dw",
                                   .id = REEL_OP_LINEAR_DW,
                                   .shape = linear_dw_shape,
                                   .flops = linear_dw_flops};

reel_var reel_linear(reel_tape *t, reel_var x, reel_var w, reel_var b, reel_activation act,
                     reel_dtype out_dtype) {
    if (reel_tape_status(t) == REEL_OK && w && reel_tape_value(t, w)->dtype == REEL_Q8_0)
        return reel_linear_q8(t, x, w, b, act, out_dtype);
    const bool save = act != REEL_ACT_NONE && reel_tape_training(t);
    const reel_linear_attr attr = {.act = act, .out_dtype = out_dtype, .save = save};
    return REEL_RECORD(t, &reel_op_linear, &attr, sizeof attr, x, w, b);
}
