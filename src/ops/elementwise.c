#include "ops/elementwise.h"

#include "ops/element.h"

/* ---- broadcasting ---- */

int64_t reel_broadcast_index(const reel_shape *result, const reel_shape *operand, int64_t i) {
    int64_t index = 0, stride = 1;
    for (int axis = result->rank - 1, o = operand->rank - 1; o >= 0; axis--, o--) {
        const int64_t at = i % result->dim[axis];
        i /= result->dim[axis];
        if (operand->dim[o] != 1) index += at * stride;
        stride *= operand->dim[o];
    }
    return index;
}

static reel_status binary_shape(reel_env *env, reel_call *c) {
    const reel_tensor *a = &c->in[0], *b = &c->in[1];
    if (!reel_dtype_is_float(a->dtype) || !reel_dtype_is_float(b->dtype))
        return reel_fail(env, REEL_E_SHAPE, "operands must be float types, got %s and %s",
                         reel_dtype_name(a->dtype), reel_dtype_name(b->dtype));
    const reel_tensor *wide = a->shape.rank >= b->shape.rank ? a : b, *slim = wide == a ? b : a;
    reel_tensor *y = &c->out[0];
    c->n_out = 1;
    y->shape = wide->shape;
    y->dtype = a->dtype == b->dtype ? a->dtype : REEL_F32;
    for (int k = 1; k <= slim->shape.rank; k++) {
        int64_t *d = &y->shape.dim[wide->shape.rank - k];
        const int64_t e = slim->shape.dim[slim->shape.rank - k];
        if (*d != e && *d != 1 && e != 1)
            return reel_fail(env, REEL_E_SHAPE,
                             "a %s and b %s do not broadcast: axis -%d is %lld and %lld",
                             REEL_SHAPE_STR(&a->shape), REEL_SHAPE_STR(&b->shape), k, (long long)*d,
                             (long long)e);
        if (*d == 1) *d = e;
    }
    return REEL_OK;
}

/* ---- add ---- */

static void add_ref(const reel_call *c) {
    const reel_tensor *a = &c->in[0], *b = &c->in[1], *y = &c->out[0];
    const int64_t n = reel_tensor_count(y);
    for (int64_t i = 0; i < n; i++)
        reel_put(y, i,
                 reel_get(a, reel_broadcast_index(&y->shape, &a->shape, i)) +
                     reel_get(b, reel_broadcast_index(&y->shape, &b->shape, i)));
}
const reel_kernel reel_ref_add = {.name = "add.ref", .run = add_ref};

/* Hands g, of the result's shape, to an operand that may have been broadcast. */
static void give(reel_tape *t, reel_var operand, reel_var g) {
    if (!reel_tape_wants_grad(t, operand)) return;
    const reel_shape shape = reel_tape_value(t, operand)->shape;
    reel_tape_add_grad(t, operand, reel_sum_to(t, g, shape, reel_tape_grad_dtype(t, operand)));
}

static void add_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    give(t, r->in[0], dout[0]);
    give(t, r->in[1], dout[0]);
}

const reel_op reel_op_add = {
    .name = "add", .id = REEL_OP_ADD, .shape = binary_shape, .grad = add_grad, .inplace = 3};

reel_var reel_add(reel_tape *t, reel_var a, reel_var b) {
    return REEL_RECORD(t, &reel_op_add, NULL, 0, a, b);
}

/* ---- mul ---- */

static void mul_ref(const reel_call *c) {
    const reel_tensor *a = &c->in[0], *b = &c->in[1], *y = &c->out[0];
    const int64_t n = reel_tensor_count(y);
    for (int64_t i = 0; i < n; i++)
        reel_put(y, i,
                 reel_get(a, reel_broadcast_index(&y->shape, &a->shape, i)) *
                     reel_get(b, reel_broadcast_index(&y->shape, &b->shape, i)));
}
const reel_kernel reel_ref_mul = {.name = "mul.ref", .run = mul_ref};

static void mul_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_var a = r->in[0], b = r->in[1];
    if (reel_tape_wants_grad(t, a)) give(t, a, reel_mul(t, dout[0], b));
    if (reel_tape_wants_grad(t, b)) give(t, b, reel_mul(t, dout[0], a));
}

const reel_op reel_op_mul = {
    .name = "mul", .id = REEL_OP_MUL, .shape = binary_shape, .grad = mul_grad, .inplace = 3};

reel_var reel_mul(reel_tape *t, reel_var a, reel_var b) {
    return REEL_RECORD(t, &reel_op_mul, NULL, 0, a, b);
}

/* ---- cast ---- */

static reel_status cast_shape(reel_env *env, reel_call *c) {
    const reel_cast_attr *attr = c->attr;
    (void)env;
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = c->in[0].shape};
    return REEL_OK;
}

static void cast_ref(const reel_call *c) {
    reel_dtype_cast(c->out[0].dtype, c->out[0].data, c->in[0].dtype, c->in[0].data,
                    reel_tensor_count(&c->in[0]));
}
const reel_kernel reel_ref_cast = {.name = "cast.ref", .run = cast_ref};

static void cast_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    reel_tape_add_grad(t, r->in[0], reel_cast(t, dout[0], reel_tape_grad_dtype(t, r->in[0])));
}

const reel_op reel_op_cast = {
    .name = "cast", .id = REEL_OP_CAST, .shape = cast_shape, .grad = cast_grad};

reel_var reel_cast(reel_tape *t, reel_var x, reel_dtype dtype) {
    if (reel_tape_value(t, x)->dtype == dtype) return x;
    const reel_cast_attr attr = {.out_dtype = dtype};
    return REEL_RECORD(t, &reel_op_cast, &attr, sizeof attr, x);
}

/* ---- sum_to: undoes broadcasting ---- */

static reel_status sum_to_shape(reel_env *env, reel_call *c) {
    const reel_cast_attr *attr = c->attr;
    const reel_shape *x = &c->in[0].shape, *y = &attr->shape;
    bool fits = y->rank <= x->rank;
    for (int k = 1; fits && k <= y->rank; k++)
        fits = y->dim[y->rank - k] == 1 || y->dim[y->rank - k] == x->dim[x->rank - k];
    if (!fits)
        return reel_fail(env, REEL_E_SHAPE, "x %s is not a broadcast of %s", REEL_SHAPE_STR(x),
                         REEL_SHAPE_STR(y));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = *y};
    return REEL_OK;
}

/* Quadratic on purpose: every output element gathers its inputs in rising order. */
static void sum_to_ref(const reel_call *c) {
    const reel_tensor *x = &c->in[0], *y = &c->out[0];
    const int64_t n_x = reel_tensor_count(x), n_y = reel_tensor_count(y);
    for (int64_t o = 0; o < n_y; o++) {
        double sum = 0;
        for (int64_t i = 0; i < n_x; i++)
            if (reel_broadcast_index(&x->shape, &y->shape, i) == o) sum += reel_get(x, i);
        reel_put(y, o, sum);
    }
}
const reel_kernel reel_ref_sum_to = {.name = "sum_to.ref", .run = sum_to_ref};

/* The gradient of a sum is dy for every summand: dy * 1 broadcast. */
static void sum_to_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    if (!reel_tape_wants_grad(t, r->in[0])) return;
    reel_tape_fail(t, REEL_E_UNSUPPORTED, "sum_to has no gradient: use sum (value %d)",
                   (int)dout[0]);
}

const reel_op reel_op_sum_to = {
    .name = "sum_to", .id = REEL_OP_SUM_TO, .shape = sum_to_shape, .grad = sum_to_grad};

reel_var reel_sum_to(reel_tape *t, reel_var x, reel_shape shape, reel_dtype dtype) {
    const reel_value *v = reel_tape_value(t, x);
    if (reel_shape_equal(&v->shape, &shape)) return reel_cast(t, x, dtype);
    const reel_cast_attr attr = {.out_dtype = dtype, .shape = shape};
    return REEL_RECORD(t, &reel_op_sum_to, &attr, sizeof attr, x);
}
