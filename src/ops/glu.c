#include "ops/glu.h"

#include "ops/element.h"

/* in: gate, value; or x, absent */
static reel_status check_operands(reel_env *env, const reel_call *c) {
    const reel_glu_attr *attr = c->attr;
    const reel_tensor *a = &c->in[0], *b = &c->in[1];
    for (int i = 0; i < 2; i++)
        if (c->present[i] && !reel_dtype_is_float(c->in[i].dtype))
            return reel_fail(env, REEL_E_SHAPE, "operand %d must be a float type, got %s", i,
                             reel_dtype_name(c->in[i].dtype));
    if (attr->halves == REEL_GLU_APART && !reel_shape_equal(&a->shape, &b->shape))
        return reel_fail(env, REEL_E_SHAPE, "gate %s needs a value of its shape, got %s",
                         REEL_SHAPE_STR(&a->shape), REEL_SHAPE_STR(&b->shape));
    if (attr->halves != REEL_GLU_APART && (a->shape.rank < 1 || reel_shape_last(&a->shape) % 2))
        return reel_fail(env, REEL_E_SHAPE, "x must be [...,2C], got %s",
                         REEL_SHAPE_STR(&a->shape));
    return REEL_OK;
}

/* ---- y = f(gate) value ---- */

static reel_status glu_shape(reel_env *env, reel_call *c) {
    const reel_glu_attr *attr = c->attr;
    const bool split = attr->halves != REEL_GLU_APART;
    c->n_out = 1;
    c->out[0] = c->in[0];
    if (!split && c->in[0].dtype != c->in[1].dtype) c->out[0].dtype = REEL_F32;
    const reel_status status = check_operands(env, c);
    if (status == REEL_OK && split) c->out[0].shape.dim[c->out[0].shape.rank - 1] /= 2;
    return status;
}

/* Where element i of y finds its gate and its value. */
typedef struct place {
    const reel_tensor *tensor[2]; /* of gate, value */
    int64_t at[2];
} place;

static place place_of(const reel_call *c, int64_t i) {
    const reel_glu_attr *attr = c->attr;
    if (attr->halves == REEL_GLU_APART) return (place){{&c->in[0], &c->in[1]}, {i, i}};
    const int64_t C = reel_shape_last(&c->in[0].shape) / 2;
    const int64_t first = i / C * 2 * C + i % C, last = first + C;
    const bool gate_first = attr->halves == REEL_GLU_GATE_FIRST;
    return (place){{&c->in[0], &c->in[0]}, {gate_first ? first : last, gate_first ? last : first}};
}

static void glu_ref(const reel_call *c) {
    const reel_glu_attr *attr = c->attr;
    for (int64_t i = 0, n = reel_tensor_count(&c->out[0]); i < n; i++) {
        const place p = place_of(c, i);
        const double gate = reel_get(p.tensor[0], p.at[0]), value = reel_get(p.tensor[1], p.at[1]);
        reel_put(&c->out[0], i, reel_activation_value((reel_activation)attr->act, gate) * value);
    }
}
const reel_kernel reel_ref_glu = {.name = "glu.ref", .run = glu_ref};

static void glu_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    reel_glu_attr attr = *(const reel_glu_attr *)(const void *)r->attr;
    for (int i = 0; i < 2; i++)
        attr.out_dtype[i] = r->in[i] ? reel_tape_grad_dtype(t, r->in[i]) : REEL_F32;
    const reel_var dx =
        REEL_RECORD(t, &reel_op_glu_backward, &attr, sizeof attr, r->in[0], r->in[1], dout[0]);
    if (!dx) return;
    reel_tape_add_grad(t, r->in[0], dx);
    if (attr.halves == REEL_GLU_APART) reel_tape_add_grad(t, r->in[1], dx + 1);
}

static double glu_flops(const reel_call *c) {
    return 8.0 * (double)reel_tensor_count(&c->out[0]); /* an exponential counts as one */
}

const reel_op reel_op_glu = {.name = "glu",
                             .id = REEL_OP_GLU,
                             .optional = 2,
                             .shape = glu_shape,
                             .grad = glu_grad,
                             .flops = glu_flops};

/* ---- gradient: dgate = f'(gate) value dy, dvalue = f(gate) dy ---- */

/* in: gate, value or x, absent; dy. out: dgate, dvalue; or dx */
static reel_status glu_backward_shape(reel_env *env, reel_call *c) {
    const reel_glu_attr *attr = c->attr;
    const bool split = attr->halves != REEL_GLU_APART;
    c->n_out = split ? 1 : 2;
    for (int i = 0; i < c->n_out; i++)
        c->out[i] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype[i], .shape = c->in[i].shape};
    const reel_status status = check_operands(env, c);
    if (status != REEL_OK) return status;
    reel_shape y = c->in[0].shape;
    if (split) y.dim[y.rank - 1] /= 2;
    if (!reel_shape_equal(&y, &c->in[2].shape))
        return reel_fail(env, REEL_E_SHAPE, "x %s needs dy %s, got %s",
                         REEL_SHAPE_STR(&c->in[0].shape), REEL_SHAPE_STR(&y),
                         REEL_SHAPE_STR(&c->in[2].shape));
    return REEL_OK;
}

static void glu_backward_ref(const reel_call *c) {
    const reel_glu_attr *attr = c->attr;
    const reel_activation f = (reel_activation)attr->act;
    const bool split = attr->halves != REEL_GLU_APART;
    const reel_tensor *dgate = &c->out[0], *dvalue = split ? &c->out[0] : &c->out[1];
    for (int64_t i = 0, n = reel_tensor_count(&c->in[2]); i < n; i++) {
        const place p = place_of(c, i);
        const double gate = reel_get(p.tensor[0], p.at[0]), value = reel_get(p.tensor[1], p.at[1]);
        const double dy = reel_get(&c->in[2], i);
        if (dgate->data) reel_put(dgate, p.at[0], reel_activation_slope(f, gate) * value * dy);
        if (dvalue->data) reel_put(dvalue, p.at[1], reel_activation_value(f, gate) * dy);
    }
}
const reel_kernel reel_ref_glu_backward = {.name = "glu_backward.ref", .run = glu_backward_ref};

static double glu_backward_flops(const reel_call *c) {
    return 16.0 * (double)reel_tensor_count(&c->in[2]);
}

const reel_op reel_op_glu_backward = {.name = "glu_backward",
                                      .id = REEL_OP_GLU_BACKWARD,
                                      .optional = 2,
                                      .shape = glu_backward_shape,
                                      .flops = glu_backward_flops};

/* ---- recording ---- */

reel_var reel_glu(reel_tape *t, reel_var gate, reel_var value, reel_activation f) {
    const reel_glu_attr attr = {.act = f, .halves = REEL_GLU_APART};
    return REEL_RECORD(t, &reel_op_glu, &attr, sizeof attr, gate, value);
}

reel_var reel_glu_split(reel_tape *t, reel_var x, reel_activation f, reel_glu_halves halves) {
    const reel_glu_attr attr = {.act = f, .halves = halves};
    return REEL_RECORD(t, &reel_op_glu, &attr, sizeof attr, x, 0);
}
