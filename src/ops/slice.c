#include "ops/slice.h"

#include <string.h>

#include "ops/element.h"
#include "ops/elementwise.h"

/* Coordinates of element i. */
static void coordinates(const reel_shape *shape, int64_t i, int64_t *at) {
    for (int k = shape->rank - 1; k >= 0; k--) {
        at[k] = i % shape->dim[k];
        i /= shape->dim[k];
    }
}

static int64_t index_of(const reel_shape *shape, const int64_t *at) {
    int64_t i = 0;
    for (int k = 0; k < shape->rank; k++)
        i = i * shape->dim[k] + at[k];
    return i;
}

/* ---- slice ---- */

static reel_status slice_shape(reel_env *env, reel_call *c) {
    const reel_slice_attr *attr = c->attr;
    const reel_shape *x = &c->in[0].shape;
    bool fits = attr->start.rank == x->rank && attr->size.rank == x->rank;
    for (int k = 0; fits && k < x->rank; k++)
        fits = attr->start.dim[k] >= 0 && attr->size.dim[k] >= 0 &&
               attr->start.dim[k] <= x->dim[k] &&
               attr->size.dim[k] <= x->dim[k] - attr->start.dim[k];
    if (!fits)
        return reel_fail(env, REEL_E_SHAPE, "x %s has no box of %s from %s on", REEL_SHAPE_STR(x),
                         REEL_SHAPE_STR(&attr->size), REEL_SHAPE_STR(&attr->start));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = c->in[0].dtype, .shape = attr->size};
    return REEL_OK;
}

static void slice_ref(const reel_call *c) {
    const reel_slice_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *y = &c->out[0];
    for (int64_t i = 0, n = reel_tensor_count(y); i < n; i++) {
        int64_t at[REEL_MAX_RANK];
        coordinates(&y->shape, i, at);
        for (int k = 0; k < y->shape.rank; k++)
            at[k] += attr->start.dim[k];
        reel_move(y, i, x, index_of(&x->shape, at));
    }
}
const reel_kernel reel_ref_slice = {.name = "slice.ref", .run = slice_ref};

/* The gradient of what was cut away is zero. */
static void slice_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    if (!reel_tape_wants_grad(t, r->in[0])) return;
    const reel_slice_attr *attr = (const void *)r->attr;
    const reel_shape x = reel_tape_value(t, r->in[0])->shape;
    reel_pad_attr border = {.mode = REEL_PAD_CONSTANT};
    for (int k = 0; k < x.rank; k++) {
        border.before[k] = attr->start.dim[k];
        border.after[k] = x.dim[k] - attr->start.dim[k] - attr->size.dim[k];
    }
    const reel_var dx = reel_pad(t, dout[0], border);
    reel_tape_add_grad(t, r->in[0], reel_cast(t, dx, reel_tape_grad_dtype(t, r->in[0])));
}

const reel_op reel_op_slice = {
    .name = "slice", .id = REEL_OP_SLICE, .shape = slice_shape, .grad = slice_grad};

reel_var reel_slice_box(reel_tape *t, reel_var x, reel_shape start, reel_shape size) {
    if (reel_shape_equal(&reel_tape_value(t, x)->shape, &size) &&
        reel_shape_equal(&start, &(reel_shape){.rank = size.rank}))
        return x;
    const reel_slice_attr attr = {start, size};
    return REEL_RECORD(t, &reel_op_slice, &attr, sizeof attr, x);
}

reel_var reel_slice(reel_tape *t, reel_var x, int axis, int64_t start, int64_t length) {
    reel_shape size = reel_tape_value(t, x)->shape;
    if (axis < 0 || axis >= size.rank) {
        reel_tape_fail(t, REEL_E_SHAPE, "slice: x %s has no axis %d", REEL_SHAPE_STR(&size), axis);
        return 0;
    }
    reel_shape from = {.rank = size.rank};
    from.dim[axis] = start;
    size.dim[axis] = length;
    return reel_slice_box(t, x, from, size);
}

/* ---- pad ---- */

static reel_status grow_shape(reel_env *env, const reel_pad_attr *attr, const reel_shape *x,
                              reel_shape *y) {
    *y = *x;
    for (int k = 0; k < REEL_MAX_RANK; k++) {
        const int64_t before = attr->before[k], after = attr->after[k];
        const bool grows = before != 0 || after != 0;
        if (before < 0 || after < 0 || (grows && k >= x->rank))
            return reel_fail(env, REEL_E_SHAPE, "x %s cannot grow by %lld and %lld along axis %d",
                             REEL_SHAPE_STR(x), (long long)before, (long long)after, k);
        if (grows && x->dim[k] == 0 && attr->mode == REEL_PAD_REPLICATE)
            return reel_fail(env, REEL_E_SHAPE, "x %s has nothing to replicate along axis %d",
                             REEL_SHAPE_STR(x), k);
        if (grows && (__builtin_add_overflow(y->dim[k], before, &y->dim[k]) ||
                      __builtin_add_overflow(y->dim[k], after, &y->dim[k])))
            return reel_fail(env, REEL_E_SHAPE, "x %s: the border of axis %d is too wide",
                             REEL_SHAPE_STR(x), k);
    }
    return REEL_OK;
}

static reel_status pad_shape(reel_env *env, reel_call *c) {
    c->n_out = 1;
    c->out[0].dtype = c->in[0].dtype;
    return grow_shape(env, c->attr, &c->in[0].shape, &c->out[0].shape);
}

/* Where the element at `at` of the padded value comes from: at becomes the coordinates in x. False
 * for the border of a constant. */
static bool source_of(const reel_pad_attr *attr, const reel_shape *x, int64_t *at) {
    for (int k = 0; k < x->rank; k++) {
        at[k] -= attr->before[k];
        if (at[k] >= 0 && at[k] < x->dim[k]) continue;
        if (attr->mode == REEL_PAD_CONSTANT) return false;
        at[k] = at[k] < 0 ? 0 : x->dim[k] - 1;
    }
    return true;
}

static void pad_ref(const reel_call *c) {
    const reel_pad_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *y = &c->out[0];
    for (int64_t i = 0, n = reel_tensor_count(y); i < n; i++) {
        int64_t at[REEL_MAX_RANK];
        coordinates(&y->shape, i, at);
        if (source_of(attr, &x->shape, at))
            reel_move(y, i, x, index_of(&x->shape, at));
        else
            reel_put(y, i, (double)attr->value);
    }
}
const reel_kernel reel_ref_pad = {.name = "pad.ref", .run = pad_ref};

/* Of a constant border: what flows to the inside. Of a replicated one: sums (pad_backward). */
static void pad_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    if (!reel_tape_wants_grad(t, r->in[0])) return;
    const reel_pad_attr *attr = (const void *)r->attr;
    const reel_shape x = reel_tape_value(t, r->in[0])->shape;
    reel_var dx;
    if (attr->mode == REEL_PAD_CONSTANT) {
        reel_shape start = {.rank = x.rank};
        memcpy(start.dim, attr->before, sizeof start.dim);
        dx = reel_slice_box(t, dout[0], start, x);
    } else {
        dx = REEL_RECORD(t, &reel_op_pad_backward, attr, sizeof *attr, dout[0]);
    }
    reel_tape_add_grad(t, r->in[0], reel_cast(t, dx, reel_tape_grad_dtype(t, r->in[0])));
}

const reel_op reel_op_pad = {
    .name = "pad", .id = REEL_OP_PAD, .shape = pad_shape, .grad = pad_grad};

reel_var reel_pad(reel_tape *t, reel_var x, reel_pad_attr border) {
    bool grows = false;
    for (int k = 0; k < REEL_MAX_RANK; k++)
        grows |= border.before[k] != 0 || border.after[k] != 0;
    if (!grows) return x;
    return REEL_RECORD(t, &reel_op_pad, &border, sizeof border, x);
}

/* ---- gradient of replicating: dx[i] = sum of dy over all places that show x[i] ---- */

static reel_status pad_backward_shape(reel_env *env, reel_call *c) {
    const reel_pad_attr *attr = c->attr;
    const reel_shape *dy = &c->in[0].shape;
    if (!reel_dtype_is_float(c->in[0].dtype))
        return reel_fail(env, REEL_E_SHAPE, "dy must be a float type, got %s",
                         reel_dtype_name(c->in[0].dtype));
    c->n_out = 1;
    c->out[0] = c->in[0];
    for (int k = 0; k < dy->rank; k++) {
        c->out[0].shape.dim[k] -= attr->before[k] + attr->after[k];
        const bool grows = attr->before[k] || attr->after[k];
        if (c->out[0].shape.dim[k] < (grows ? 1 : 0))
            return reel_fail(env, REEL_E_SHAPE, "dy %s is smaller than its border of %lld and %lld",
                             REEL_SHAPE_STR(dy), (long long)attr->before[k],
                             (long long)attr->after[k]);
    }
    return REEL_OK;
}

/* Quadratic on purpose: every element gathers its places in rising order. */
static void pad_backward_ref(const reel_call *c) {
    const reel_pad_attr *attr = c->attr;
    const reel_tensor *dy = &c->in[0], *dx = &c->out[0];
    const int64_t n_dy = reel_tensor_count(dy), n_dx = reel_tensor_count(dx);
    for (int64_t o = 0; o < n_dx; o++) {
        double sum = 0;
        for (int64_t i = 0; i < n_dy; i++) {
            int64_t at[REEL_MAX_RANK];
            coordinates(&dy->shape, i, at);
            if (source_of(attr, &dx->shape, at) && index_of(&dx->shape, at) == o)
                sum += reel_get(dy, i);
        }
        reel_put(dx, o, sum);
    }
}
const reel_kernel reel_ref_pad_backward = {.name = "pad_backward.ref", .run = pad_backward_ref};

const reel_op reel_op_pad_backward = {
    .name = "pad_backward", .id = REEL_OP_PAD_BACKWARD, .shape = pad_backward_shape};
