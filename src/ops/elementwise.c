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

bool reel_broadcasts_to(const reel_shape *slim, const reel_shape *wide) {
    bool fits = slim->rank <= wide->rank;
    for (int k = 1; fits && k <= slim->rank; k++) {
        const int64_t d = slim->dim[slim->rank - k];
        fits = d == 1 || d == wide->dim[wide->rank - k];
    }
    return fits;
}

/* Hands factor * g, of the result's shape, to an operand that may have been broadcast. */
static void give(reel_tape *t, reel_var operand, reel_var g, float factor) {
    if (!reel_tape_wants_grad(t, operand)) return;
    const reel_shape shape = reel_tape_value(t, operand)->shape;
    const reel_dtype dtype = reel_tape_grad_dtype(t, operand);
    reel_tape_add_grad(t, operand, reel_sum_to_scaled(t, g, shape, dtype, factor));
}

/* What add, mul and combine share: shapes that broadcast, and the wider dtype. */
static reel_status binary_shape(reel_env *env, reel_call *c) {
    const reel_binary_attr *attr = c->attr;
    const reel_tensor *a = &c->in[0], *b = &c->in[1];
    if (!reel_dtype_is_float(a->dtype) || !reel_dtype_is_float(b->dtype))
        return reel_fail(env, REEL_E_SHAPE, "operands must be float types, got %s and %s",
                         reel_dtype_name(a->dtype), reel_dtype_name(b->dtype));
    const reel_tensor *wide = a->shape.rank >= b->shape.rank ? a : b, *slim = wide == a ? b : a;
    reel_tensor *y = &c->out[0];
    c->n_out = 1;
    y->shape = wide->shape;
    y->dtype = a->dtype == b->dtype && !attr->wide ? a->dtype : REEL_F32;
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

static double element_get(const reel_call *c, int operand, int64_t i) {
    return reel_get(&c->in[operand],
                    reel_broadcast_index(&c->out[0].shape, &c->in[operand].shape, i));
}

static double count_flops(const reel_call *c) {
    return (double)reel_tensor_count(&c->out[0]);
}

/* ---- add ---- */

static void add_ref(const reel_call *c) {
    const int64_t n = reel_tensor_count(&c->out[0]);
    for (int64_t i = 0; i < n; i++)
        reel_put(&c->out[0], i, element_get(c, 0, i) + element_get(c, 1, i));
}
const reel_kernel reel_ref_add = {.name = "add.ref", .run = add_ref};

static void add_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    give(t, r->in[0], dout[0], 1);
    give(t, r->in[1], dout[0], 1);
}

const reel_op reel_op_add = {.name = "add",
                             .id = REEL_OP_ADD,
                             .shape = binary_shape,
                             .grad = add_grad,
                             .flops = count_flops,
                             .inplace = 3};

reel_var reel_add(reel_tape *t, reel_var a, reel_var b) {
    return REEL_RECORD(t, &reel_op_add, NULL, 0, a, b);
}

/* ---- mul ---- */

static void mul_ref(const reel_call *c) {
    const int64_t n = reel_tensor_count(&c->out[0]);
    for (int64_t i = 0; i < n; i++)
        reel_put(&c->out[0], i, element_get(c, 0, i) * element_get(c, 1, i));
}
const reel_kernel reel_ref_mul = {.name = "mul.ref", .run = mul_ref};

/* The gradient of one factor is g times the other, kept in f32 where it is summed or stored so. */
static void mul_give(reel_tape *t, reel_var operand, reel_var g, reel_var other) {
    if (!reel_tape_wants_grad(t, operand)) return;
    const bool summed =
        !reel_shape_equal(&reel_tape_value(t, operand)->shape, &reel_tape_value(t, g)->shape);
    const reel_binary_attr attr = {.wide = summed || reel_tape_grad_dtype(t, operand) == REEL_F32};
    give(t, operand, REEL_RECORD(t, &reel_op_mul, &attr, sizeof attr, g, other), 1);
}

static void mul_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    mul_give(t, r->in[0], dout[0], r->in[1]);
    mul_give(t, r->in[1], dout[0], r->in[0]);
}

const reel_op reel_op_mul = {.name = "mul",
                             .id = REEL_OP_MUL,
                             .shape = binary_shape,
                             .grad = mul_grad,
                             .flops = count_flops,
                             .inplace = 3};

reel_var reel_mul(reel_tape *t, reel_var a, reel_var b) {
    return REEL_RECORD(t, &reel_op_mul, NULL, 0, a, b);
}

/* ---- combine: y = p a + q b ---- */

static void combine_ref(const reel_call *c) {
    const reel_binary_attr *attr = c->attr;
    const double p = (double)attr->p, q = (double)attr->q;
    const int64_t n = reel_tensor_count(&c->out[0]);
    for (int64_t i = 0; i < n; i++)
        reel_put(&c->out[0], i, p * element_get(c, 0, i) + q * element_get(c, 1, i));
}
const reel_kernel reel_ref_combine = {.name = "combine.ref", .run = combine_ref};

static double combine_flops(const reel_call *c) {
    return 3.0 * (double)reel_tensor_count(&c->out[0]);
}

static void combine_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_binary_attr *attr = (const void *)r->attr;
    give(t, r->in[0], dout[0], attr->p);
    give(t, r->in[1], dout[0], attr->q);
}

const reel_op reel_op_combine = {.name = "combine",
                                 .id = REEL_OP_COMBINE,
                                 .shape = binary_shape,
                                 .grad = combine_grad,
                                 .flops = combine_flops,
                                 .inplace = 3};

reel_var reel_combine(reel_tape *t, reel_var a, float p, reel_var b, float q) {
    const reel_binary_attr attr = {.p = p, .q = q};
    return REEL_RECORD(t, &reel_op_combine, &attr, sizeof attr, a, b);
}

reel_var reel_sub(reel_tape *t, reel_var a, reel_var b) {
    return reel_combine(t, a, 1, b, -1);
}

/* ---- scale: y = factor x + offset ---- */

static reel_status scale_shape(reel_env *env, reel_call *c) {
    const reel_scale_attr *attr = c->attr;
    if (!reel_dtype_is_float(c->in[0].dtype))
        return reel_fail(env, REEL_E_SHAPE, "x must be a float type, got %s",
                         reel_dtype_name(c->in[0].dtype));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = c->in[0].shape};
    return REEL_OK;
}

static void scale_ref(const reel_call *c) {
    const reel_scale_attr *attr = c->attr;
    const int64_t n = reel_tensor_count(&c->out[0]);
    for (int64_t i = 0; i < n; i++)
        reel_put(&c->out[0], i,
                 (double)attr->factor * reel_get(&c->in[0], i) + (double)attr->offset);
}
const reel_kernel reel_ref_scale = {.name = "scale.ref", .run = scale_ref};

static void scale_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_scale_attr *attr = (const void *)r->attr;
    give(t, r->in[0], dout[0], attr->factor);
}

static double scale_flops(const reel_call *c) {
    return 2.0 * (double)reel_tensor_count(&c->out[0]);
}

const reel_op reel_op_scale = {.name = "scale",
                               .id = REEL_OP_SCALE,
                               .shape = scale_shape,
                               .grad = scale_grad,
                               .flops = scale_flops,
                               .inplace = 1};

reel_var reel_scale(reel_tape *t, reel_var x, float factor, float offset) {
    const reel_scale_attr attr = {reel_tape_value(t, x)->dtype, factor, offset};
    return REEL_RECORD(t, &reel_op_scale, &attr, sizeof attr, x);
}

/* ---- lerp: y = a + at (b - a) ---- */

static reel_status lerp_shape(reel_env *env, reel_call *c) {
    const reel_tensor *a = &c->in[0], *b = &c->in[1], *at = &c->in[2];
    for (int i = 0; i < 3; i++)
        if (!reel_dtype_is_float(c->in[i].dtype))
            return reel_fail(env, REEL_E_SHAPE, "operand %d must be a float type, got %s", i,
                             reel_dtype_name(c->in[i].dtype));
    if (!reel_shape_equal(&a->shape, &b->shape))
        return reel_fail(env, REEL_E_SHAPE, "a %s needs b of its shape, got %s",
                         REEL_SHAPE_STR(&a->shape), REEL_SHAPE_STR(&b->shape));
    if (!reel_broadcasts_to(&at->shape, &a->shape))
        return reel_fail(env, REEL_E_SHAPE, "a %s needs t that broadcasts to it, got %s",
                         REEL_SHAPE_STR(&a->shape), REEL_SHAPE_STR(&at->shape));
    c->n_out = 1;
    c->out[0] =
        (reel_tensor){.dtype = a->dtype == b->dtype ? a->dtype : REEL_F32, .shape = a->shape};
    return REEL_OK;
}

static void lerp_ref(const reel_call *c) {
    const int64_t n = reel_tensor_count(&c->out[0]);
    for (int64_t i = 0; i < n; i++) {
        const double a = reel_get(&c->in[0], i), b = reel_get(&c->in[1], i);
        reel_put(&c->out[0], i, a + element_get(c, 2, i) * (b - a));
    }
}
const reel_kernel reel_ref_lerp = {.name = "lerp.ref", .run = lerp_ref};

/* da = (1 - t) dy, db = t dy, dt = the sum of (b - a) dy over what t was broadcast along. */
static void lerp_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_var a = r->in[0], b = r->in[1], at = r->in[2];
    mul_give(t, b, dout[0], at);
    if (reel_tape_wants_grad(t, a)) mul_give(t, a, dout[0], reel_scale(t, at, -1, 1));
    if (reel_tape_wants_grad(t, at)) mul_give(t, at, dout[0], reel_sub(t, b, a));
}

static double lerp_flops(const reel_call *c) {
    return 3.0 * (double)reel_tensor_count(&c->out[0]);
}

const reel_op reel_op_lerp = {.name = "lerp",
                              .id = REEL_OP_LERP,
                              .shape = lerp_shape,
                              .grad = lerp_grad,
                              .flops = lerp_flops,
                              .inplace = 3};

reel_var reel_lerp(reel_tape *t, reel_var a, reel_var b, reel_var at) {
    return REEL_RECORD(t, &reel_op_lerp, NULL, 0, a, b, at);
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
