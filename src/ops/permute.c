#include "ops/permute.h"

#include "ops/element.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

static bool is_permutation(const reel_permute_attr *attr) {
    unsigned seen = 0;
    for (int k = 0; k < attr->rank; k++)
        if (attr->axis[k] >= 0 && attr->axis[k] < attr->rank) seen |= 1u << attr->axis[k];
    return seen == (1u << attr->rank) - 1;
}

static reel_status permute_shape(reel_env *env, reel_call *c) {
    const reel_permute_attr *attr = c->attr;
    const reel_shape *x = &c->in[0].shape;
    if (attr->rank != x->rank || !is_permutation(attr)) {
        reel_shape axes = {.rank = attr->rank};
        for (int k = 0; k < attr->rank; k++)
            axes.dim[k] = attr->axis[k];
        return reel_fail(env, REEL_E_SHAPE, "x %s has %d axes, %s is no order of them",
                         REEL_SHAPE_STR(x), x->rank, REEL_SHAPE_STR(&axes));
    }
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = c->in[0].dtype, .shape = *x};
    for (int k = 0; k < attr->rank; k++)
        c->out[0].shape.dim[k] = x->dim[attr->axis[k]];
    return REEL_OK;
}

static void permute_ref(const reel_call *c) {
    const reel_permute_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *y = &c->out[0];
    for (int64_t i = 0, n = reel_tensor_count(y); i < n; i++) {
        int64_t rest = i, from = 0;
        for (int k = attr->rank - 1; k >= 0; k--) {
            from += rest % y->shape.dim[k] *
                    reel_shape_span(&x->shape, attr->axis[k] + 1, x->shape.rank);
            rest /= y->shape.dim[k];
        }
        reel_move(y, i, x, from);
    }
}
const reel_kernel reel_ref_permute = {.name = "permute.ref", .run = permute_ref};

/* The gradient goes back by the inverse permutation. */
static void permute_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    if (!reel_tape_wants_grad(t, r->in[0])) return;
    const reel_permute_attr *attr = (const void *)r->attr;
    int back[REEL_MAX_RANK] = {0};
    for (int k = 0; k < attr->rank; k++)
        back[attr->axis[k]] = k;
    const reel_var dx = reel_permute(t, dout[0], attr->rank, back);
    reel_tape_add_grad(t, r->in[0], reel_cast(t, dx, reel_tape_grad_dtype(t, r->in[0])));
}

const reel_op reel_op_permute = {
    .name = "permute", .id = REEL_OP_PERMUTE, .shape = permute_shape, .grad = permute_grad};

/* Whether the axes that are not 1 keep their order, so that the result is a view; *y: its shape. */
static bool keeps_order(const reel_shape *x, const reel_permute_attr *attr, reel_shape *y) {
    if (attr->rank != x->rank || !is_permutation(attr)) return false;
    int before = -1;
    *y = *x;
    for (int k = 0; k < attr->rank; k++) {
        y->dim[k] = x->dim[attr->axis[k]];
        if (y->dim[k] == 1) continue;
        if (attr->axis[k] < before) return false;
        before = attr->axis[k];
    }
    return true;
}

reel_var reel_permute(reel_tape *t, reel_var x, int rank, const int *axis) {
    reel_permute_attr attr = {.rank = rank};
    if (rank < 0 || rank > REEL_MAX_RANK) {
        reel_tape_fail(t, REEL_E_SHAPE, "permute: 0 to %d axes, got %d", REEL_MAX_RANK, rank);
        return 0;
    }
    for (int k = 0; k < rank; k++)
        attr.axis[k] = axis[k];
    reel_shape y;
    if (keeps_order(&reel_tape_value(t, x)->shape, &attr, &y)) return reel_reshape(t, x, y);
    return REEL_RECORD(t, &reel_op_permute, &attr, sizeof attr, x);
}

reel_var reel_transpose(reel_tape *t, reel_var x, int a, int b) {
    const int rank = reel_tape_value(t, x)->shape.rank;
    int axis[REEL_MAX_RANK];
    for (int k = 0; k < rank; k++)
        axis[k] = k == a ? b : k == b ? a : k;
    if (a < 0 || a >= rank || b < 0 || b >= rank) {
        reel_tape_fail(t, REEL_E_SHAPE, "transpose: x %s has no axes %d and %d",
                       REEL_SHAPE_STR(&reel_tape_value(t, x)->shape), a, b);
        return 0;
    }
    return reel_permute(t, x, rank, axis);
}
