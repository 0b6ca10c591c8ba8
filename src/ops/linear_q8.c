#include "ops/linear_q8.h"

#include "ops/element.h"
#include "tensor/q8.h"

/* ---- contract ---- */

static reel_status linear_q8_shape(reel_env *env, reel_call *c) {
    const reel_linear_q8_attr *attr = c->attr;
    const reel_shape *x = &c->in[0].shape, *w = &c->in[1].shape, *b = &c->in[2].shape;
    if (c->in[1].dtype != REEL_Q8_0 || w->rank != 2 || w->dim[1] % REEL_Q8_VALUES)
        return reel_fail(env, REEL_E_SHAPE, "w must be q8_0 [O,I], I a multiple of %d, got %s %s",
                         REEL_Q8_VALUES, reel_dtype_name(c->in[1].dtype), REEL_SHAPE_STR(w));
    if (x->rank < 1 || reel_shape_last(x) != w->dim[1])
        return reel_fail(env, REEL_E_SHAPE, "x %s needs w [O,%lld], got %s", REEL_SHAPE_STR(x),
                         (long long)reel_shape_last(x), REEL_SHAPE_STR(w));
    if (c->present[2] && (b->rank != 1 || b->dim[0] != w->dim[0]))
        return reel_fail(env, REEL_E_SHAPE, "w %s needs b [%lld], got %s", REEL_SHAPE_STR(w),
                         (long long)w->dim[0], REEL_SHAPE_STR(b));
    for (int i = 0; i < 3; i += 2)
        if (c->present[i] && !reel_dtype_is_float(c->in[i].dtype))
            return reel_fail(env, REEL_E_SHAPE, "operand %d must be a float type, got %s", i,
                             reel_dtype_name(c->in[i].dtype));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = *x};
    c->out[0].shape.dim[x->rank - 1] = w->dim[0];
    return REEL_OK;
}

static double linear_q8_flops(const reel_call *c) {
    const reel_shape *x = &c->in[0].shape, *w = &c->in[1].shape;
    return 2.0 * (double)reel_shape_span(x, 0, x->rank - 1) * (double)w->dim[0] * (double)w->dim[1];
}

/* ---- forward ---- */

/* One row of x in bytes and scales. */
static int64_t linear_q8_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    const int64_t I = c->in[1].shape.dim[1];
    return I + I / REEL_Q8_VALUES * (int64_t)sizeof(float);
}

static double row_product(const reel_q8_block *w, const int8_t *q, const float *scale, int64_t n) {
    double sum = 0;
    for (int64_t k = 0; k < n; k++) {
        int32_t dot = 0;
        for (int i = 0; i < REEL_Q8_VALUES; i++)
            dot += w[k].q[i] * q[k * REEL_Q8_VALUES + i];
        sum += (double)reel_f16_to_f32(w[k].scale) * (double)scale[k] * dot;
    }
    return sum;
}

static void linear_q8_ref(const reel_call *c) {
    const reel_linear_q8_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *b = &c->in[2];
    const reel_q8_block *w = c->in[1].data;
    const int64_t O = c->in[1].shape.dim[0], I = c->in[1].shape.dim[1];
    const int64_t R = reel_shape_span(&x->shape, 0, x->shape.rank - 1), n = I / REEL_Q8_VALUES;
    float *scale = c->scratch;
    int8_t *q = (int8_t *)(scale + n);
    for (int64_t r = 0; r < R; r++) {
        for (int64_t k = 0; k < n; k++) {
            float block[REEL_Q8_VALUES];
            for (int64_t i = 0; i < REEL_Q8_VALUES; i++)
                block[i] = (float)reel_get(x, r * I + k * REEL_Q8_VALUES + i);
            scale[k] = reel_q8_round(block, q + k * REEL_Q8_VALUES);
        }
        for (int64_t o = 0; o < O; o++) {
            const double bias = c->present[2] ? reel_get(b, o) : 0;
            const double sum = bias + row_product(w + o * n, q, scale, n);
            reel_put(&c->out[0], r * O + o, reel_activation_value((reel_activation)attr->act, sum));
        }
    }
}
const reel_kernel reel_ref_linear_q8 = {
    .name = "linear_q8.ref", .scratch = linear_q8_scratch, .run = linear_q8_ref};

/* ---- quantise ---- */

static reel_status quantise_shape(reel_env *env, reel_call *c) {
    const reel_tensor *w = &c->in[0];
    if (!reel_dtype_is_float(w->dtype) || w->shape.rank != 2 || w->shape.dim[1] % REEL_Q8_VALUES)
        return reel_fail(env, REEL_E_SHAPE,
                         "w must be a float type [O,I], I a multiple of %d, got %s %s",
                         REEL_Q8_VALUES, reel_dtype_name(w->dtype), REEL_SHAPE_STR(&w->shape));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = REEL_Q8_0, .shape = w->shape};
    return REEL_OK;
}

static void quantise_ref(const reel_call *c) {
    const reel_tensor *w = &c->in[0];
    reel_q8_quantise(c->out[0].data, w->dtype, w->data, reel_tensor_count(w));
}
const reel_kernel reel_ref_quantise = {.name = "quantise.ref", .run = quantise_ref};

/* ---- ops ---- */

const reel_op reel_op_quantise = {
    .name = "quantise", .id = REEL_OP_QUANTISE, .shape = quantise_shape};

reel_var reel_quantise(reel_tape *t, reel_var w) {
    return REEL_RECORD(t, &reel_op_quantise, NULL, 0, w);
}

const reel_op reel_op_linear_q8 = {.name = "linear_q8",
                                   .id = REEL_OP_LINEAR_Q8,
                                   .shape = linear_q8_shape,
                                   .optional = 4,
                                   .flops = linear_q8_flops};

reel_var reel_linear_q8(reel_tape *t, reel_var x, reel_var w, reel_var b, reel_activation act,
                        reel_dtype out_dtype) {
    const reel_linear_q8_attr attr = {.act = act, .out_dtype = out_dtype};
    return REEL_RECORD(t, &reel_op_linear_q8, &attr, sizeof attr, x, w, b);
}
