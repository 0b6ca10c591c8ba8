#include "ops/optim.h"

#include <math.h>

#include "ops/element.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/permute.h"

reel_var reel_update(reel_tape *t, reel_var target, reel_var value) {
    const reel_value *to = reel_tape_value(t, target), *from = reel_tape_value(t, value);
    if (reel_tape_status(t) != REEL_OK) return 0;
    if (to->dtype != from->dtype || !reel_shape_equal(&to->shape, &from->shape)) {
        reel_tape_fail(t, REEL_E_SHAPE, "update: %s %s cannot take %s %s",
                       reel_dtype_name(to->dtype), REEL_SHAPE_STR(&to->shape),
                       reel_dtype_name(from->dtype), REEL_SHAPE_STR(&from->shape));
        return 0;
    }
    if (!to->data) {
        reel_tape_fail(t, REEL_E_ARG, "update: value %d is bound to no memory yet", (int)target);
        return 0;
    }
    reel_tape_bind(t, value, to->data);
    return value;
}

/* ---- square_sum ---- */

/* in: a running total f32 [] or absent, then up to nine tensors */
static reel_status square_sum_shape(reel_env *env, reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->present[i] && !reel_dtype_is_float(c->in[i].dtype))
            return reel_fail(env, REEL_E_SHAPE, "operand %d must be a float type, got %s", i,
                             reel_dtype_name(c->in[i].dtype));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = REEL_F32};
    return REEL_OK;
}

static void square_sum_ref(const reel_call *c) {
    double sum = c->present[0] ? reel_get(&c->in[0], 0) : 0;
    for (int k = 1; k < c->n_in; k++)
        for (int64_t i = 0, n = reel_tensor_count(&c->in[k]); i < n; i++)
            sum += reel_get(&c->in[k], i) * reel_get(&c->in[k], i);
    reel_put(&c->out[0], 0, sum);
}
const reel_kernel reel_ref_square_sum = {.name = "square_sum.ref", .run = square_sum_ref};

static double square_sum_flops(const reel_call *c) {
    double n = 0;
    for (int k = 1; k < c->n_in; k++)
        n += (double)reel_tensor_count(&c->in[k]);
    return 2 * n;
}

const reel_op reel_op_square_sum = {.name = "square_sum",
                                    .id = REEL_OP_SQUARE_SUM,
                                    .optional = 1,
                                    .shape = square_sum_shape,
                                    .flops = square_sum_flops};

reel_var reel_square_sum(reel_tape *t, const reel_var *x, int n) {
    reel_var total = 0;
    for (int i = 0; i < n; i += REEL_MAX_IN - 1) {
        reel_var in[REEL_MAX_IN] = {total};
        int n_in = 1;
        for (int k = i; k < n && n_in < REEL_MAX_IN; k++)
            in[n_in++] = x[k];
        total = reel_tape_record(t, &reel_op_square_sum, NULL, 0, in, n_in);
    }
    return total;
}

/* ---- grad_clip ---- */

/* in: sum of squares, most; out: f32 [2] */
static reel_status grad_clip_shape(reel_env *env, reel_call *c) {
    if (c->in[1].dtype != REEL_F32 || reel_tensor_count(&c->in[1]) != 1)
        return reel_fail(env, REEL_E_SHAPE, "the largest norm must be one f32, got %s %s",
                         reel_dtype_name(c->in[1].dtype), REEL_SHAPE_STR(&c->in[1].shape));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = REEL_F32, .shape = REEL_SHAPE(2)};
    return REEL_OK;
}

static void grad_clip_ref(const reel_call *c) {
    const double norm = sqrt(reel_get(&c->in[0], 0)), most = reel_get(&c->in[1], 0);
    const double factor = most > 0 ? fmin(1, most / (norm + 1e-6)) : 1;
    reel_put(&c->out[0], 0, norm);
    reel_put(&c->out[0], 1, isfinite(norm) ? factor : (double)NAN);
}
const reel_kernel reel_ref_grad_clip = {.name = "grad_clip.ref", .run = grad_clip_ref};

const reel_op reel_op_grad_clip = {
    .name = "grad_clip", .id = REEL_OP_GRAD_CLIP, .shape = grad_clip_shape};

reel_var reel_grad_clip(reel_tape *t, const reel_var *grad, int n, reel_var most) {
    return REEL_RECORD(t, &reel_op_grad_clip, NULL, 0, reel_square_sum(t, grad, n), most);
}

/* ---- what the steps check ---- */

/* Operand i is f32 (or, where any, a float type) of operand 0's shape. */
static reel_status check_like_first(reel_env *env, const reel_call *c, int i, bool any) {
    const reel_tensor *x = &c->in[i];
    const bool type = any ? reel_dtype_is_float(x->dtype) : x->dtype == REEL_F32;
    if (type && reel_shape_equal(&x->shape, &c->in[0].shape)) return REEL_OK;
    return reel_fail(env, REEL_E_SHAPE, "operand %d must be %s %s, got %s %s", i,
                     any ? "float" : "f32", REEL_SHAPE_STR(&c->in[0].shape),
                     reel_dtype_name(x->dtype), REEL_SHAPE_STR(&x->shape));
}

static reel_status check_numbers(reel_env *env, const reel_call *c, int i, int64_t n,
                                 const char *what) {
    const reel_tensor *x = &c->in[i];
    if (!c->present[i] || (x->dtype == REEL_F32 && reel_tensor_count(x) == n)) return REEL_OK;
    return reel_fail(env, REEL_E_SHAPE, "%s must be f32 [%d], got %s %s", what, (int)n,
                     reel_dtype_name(x->dtype), REEL_SHAPE_STR(&x->shape));
}

/* The factor of clip; 1 when there is none. */
static double clip_of(const reel_call *c, int i) {
    return c->present[i] ? reel_get(&c->in[i], 1) : 1;
}

/* ---- adamw ---- */

/* in: w, m, v, grad, hyper, clip or absent; out: w, m, v, and the copy if there is one */
static reel_status adamw_shape(reel_env *env, reel_call *c) {
    const reel_optim_attr *attr = c->attr;
    reel_status status = REEL_OK;
    for (int i = 0; i < 4 && status == REEL_OK; i++)
        status = check_like_first(env, c, i, i == 3);
    if (status == REEL_OK) status = check_numbers(env, c, 4, REEL_ADAMW_HYPER, "hyper");
    if (status == REEL_OK) status = check_numbers(env, c, 5, 2, "clip");
    c->n_out = attr->copy ? 4 : 3;
    for (int i = 0; i < 4; i++)
        c->out[i] = (reel_tensor){.dtype = i == 3 ? REEL_BF16 : REEL_F32, .shape = c->in[0].shape};
    return status;
}

static void put_if(const reel_tensor *y, int64_t i, double x) {
    if (y->data) reel_put(y, i, x);
}

static void adamw_ref(const reel_call *c) {
    const double clip = clip_of(c, 5), lr = reel_get(&c->in[4], 0), b1 = reel_get(&c->in[4], 1),
                 b2 = reel_get(&c->in[4], 2), eps = reel_get(&c->in[4], 3),
                 decay = reel_get(&c->in[4], 4), c1 = reel_get(&c->in[4], 5),
                 c2 = reel_get(&c->in[4], 6);
    for (int64_t i = 0, n = reel_tensor_count(&c->in[0]); i < n; i++) {
        double w = reel_get(&c->in[0], i), m = reel_get(&c->in[1], i), v = reel_get(&c->in[2], i);
        if (!isnan(clip)) {
            const double g = clip * reel_get(&c->in[3], i);
            m = b1 * m + (1 - b1) * g;
            v = b2 * v + (1 - b2) * g * g;
            w -= lr * (m / c1 / (sqrt(v / c2) + eps) + decay * w);
        }
        put_if(&c->out[0], i, w);
        put_if(&c->out[1], i, m);
        put_if(&c->out[2], i, v);
        if (c->n_out > 3) put_if(&c->out[3], i, w);
    }
}
const reel_kernel reel_ref_adamw = {.name = "adamw.ref", .run = adamw_ref};

static double adamw_flops(const reel_call *c) {
    return 15.0 * (double)reel_tensor_count(&c->in[0]);
}

const reel_op reel_op_adamw = {.name = "adamw",
                               .id = REEL_OP_ADAMW,
                               .optional = 1 << 5,
                               .shape = adamw_shape,
                               .flops = adamw_flops};

reel_adamw_options reel_adamw_options_default(void) {
    return (reel_adamw_options){
        .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01};
}

void reel_adamw_hyper(const reel_adamw_options *o, int64_t step, float hyper[REEL_ADAMW_HYPER]) {
    const double values[REEL_ADAMW_HYPER] = {o->lr,
                                             o->beta1,
                                             o->beta2,
                                             o->eps,
                                             o->weight_decay,
                                             1 - pow(o->beta1, (double)step),
                                             1 - pow(o->beta2, (double)step),
                                             0};
    for (int i = 0; i < REEL_ADAMW_HYPER; i++)
        hyper[i] = (float)values[i];
}

/* Binds the outputs of a step: the new w, what else it replaces, and the copy. */
static reel_var replace(reel_tape *t, reel_var out, const reel_var *target, int n) {
    for (int i = 0; out && i < n; i++)
        if (target[i] && !reel_update(t, target[i], out + i)) return 0;
    return out;
}

reel_var reel_adamw(reel_tape *t, const reel_adamw_operands *o) {
    const reel_optim_attr attr = {.copy = o->copy != 0};
    const reel_var out = REEL_RECORD(t, &reel_op_adamw, &attr, sizeof attr, o->w, o->m, o->v,
                                     o->grad, o->hyper, o->clip);
    return replace(t, out, (const reel_var[4]){o->w, o->m, o->v, o->copy}, 4);
}

/* ---- momentum ---- */

/* in: buf, grad, hyper, clip or absent; out: u in out_dtype, buf */
static reel_status momentum_shape(reel_env *env, reel_call *c) {
    const reel_optim_attr *attr = c->attr;
    reel_status status = check_like_first(env, c, 0, false);
    if (status == REEL_OK) status = check_like_first(env, c, 1, true);
    if (status == REEL_OK) status = check_numbers(env, c, 2, REEL_MUON_HYPER, "hyper");
    if (status == REEL_OK) status = check_numbers(env, c, 3, 2, "clip");
    c->n_out = 2;
    c->out[0] = c->out[1] = c->in[0];
    c->out[0].dtype = (reel_dtype)attr->out_dtype;
    return status;
}

static void momentum_ref(const reel_call *c) {
    const double clip = clip_of(c, 3), mu = reel_get(&c->in[2], 1);
    for (int64_t i = 0, n = reel_tensor_count(&c->in[0]); i < n; i++) {
        const double g = isnan(clip) ? 0 : clip * reel_get(&c->in[1], i);
        const double old = reel_get(&c->in[0], i), buf = isnan(clip) ? old : mu * old + g;
        put_if(&c->out[0], i, g + mu * buf);
        put_if(&c->out[1], i, buf);
    }
}
const reel_kernel reel_ref_momentum = {.name = "momentum.ref", .run = momentum_ref};

static double momentum_flops(const reel_call *c) {
    return 5.0 * (double)reel_tensor_count(&c->in[0]);
}

const reel_op reel_op_momentum = {.name = "momentum",
                                  .id = REEL_OP_MOMENTUM,
                                  .optional = 1 << 3,
                                  .shape = momentum_shape,
                                  .flops = momentum_flops};

/* ---- normalise: y = x / (sqrt(sum of squares) + 1e-7) ---- */

/* in: x, sum of squares f32 [] */
static reel_status normalise_shape(reel_env *env, reel_call *c) {
    const reel_optim_attr *attr = c->attr;
    c->n_out = 1;
    c->out[0] = c->in[0];
    c->out[0].dtype = (reel_dtype)attr->out_dtype;
    return check_numbers(env, c, 1, 1, "the sum of squares");
}

static void normalise_ref(const reel_call *c) {
    const double scale = 1 / (sqrt(reel_get(&c->in[1], 0)) + 1e-7);
    for (int64_t i = 0, n = reel_tensor_count(&c->in[0]); i < n; i++)
        reel_put(&c->out[0], i, scale * reel_get(&c->in[0], i));
}
const reel_kernel reel_ref_normalise = {.name = "normalise.ref", .run = normalise_ref};

static double normalise_flops(const reel_call *c) {
    return (double)reel_tensor_count(&c->in[0]);
}

const reel_op reel_op_normalise = {.name = "normalise",
                                   .id = REEL_OP_NORMALISE,
                                   .shape = normalise_shape,
                                   .flops = normalise_flops,
                                   .inplace = 1};

/* ---- descend: w = w - lr (scale x + decay w) ---- */

/* in: w, x, hyper, clip or absent; out: w, and the copy if there is one */
static reel_status descend_shape(reel_env *env, reel_call *c) {
    const reel_optim_attr *attr = c->attr;
    reel_status status = check_like_first(env, c, 0, false);
    if (status == REEL_OK) status = check_like_first(env, c, 1, true);
    if (status == REEL_OK) status = check_numbers(env, c, 2, REEL_MUON_HYPER, "hyper");
    if (status == REEL_OK) status = check_numbers(env, c, 3, 2, "clip");
    c->n_out = attr->copy ? 2 : 1;
    c->out[0] = c->out[1] = c->in[0];
    c->out[1].dtype = REEL_BF16;
    return status;
}

static void descend_ref(const reel_call *c) {
    const reel_optim_attr *attr = c->attr;
    const double lr = reel_get(&c->in[2], 0), decay = reel_get(&c->in[2], 2);
    const bool skip = isnan(clip_of(c, 3));
    for (int64_t i = 0, n = reel_tensor_count(&c->in[0]); i < n; i++) {
        const double old = reel_get(&c->in[0], i);
        const double step = (double)attr->scale * reel_get(&c->in[1], i) + decay * old;
        const double w = skip ? old : old - lr * step;
        put_if(&c->out[0], i, w);
        if (c->n_out > 1) put_if(&c->out[1], i, w);
    }
}
const reel_kernel reel_ref_descend = {.name = "descend.ref", .run = descend_ref};

static double descend_flops(const reel_call *c) {
    return 5.0 * (double)reel_tensor_count(&c->in[0]);
}

const reel_op reel_op_descend = {.name = "descend",
                                 .id = REEL_OP_DESCEND,
                                 .optional = 1 << 3,
                                 .shape = descend_shape,
                                 .flops = descend_flops};

/* ---- Muon ---- */

/* Newton-Schulz for the sign of a matrix, X <- a X + (b A + c A A) X with A = X X^T: an odd
 * polynomial of degree 5 in the singular values. Its coefficients are chosen for the steepest slope
 * at 0 that still keeps them in about [0.7, 1.2] (Jordan 2024). */
static const float ns_a = 3.4445f, ns_b = -4.7750f, ns_c = 2.0315f;

reel_var reel_orthogonalise(reel_tape *t, reel_var u, reel_dtype dtype) {
    const reel_value *v = reel_tape_value(t, u);
    if (reel_tape_status(t) != REEL_OK) return 0;
    if (v->shape.rank != 2) {
        reel_tape_fail(t, REEL_E_SHAPE, "orthogonalise: u must be [O,I], got %s",
                       REEL_SHAPE_STR(&v->shape));
        return 0;
    }
    /* X X^T is square on the rows, so lie the matrix down: rows are the shorter side */
    const bool tall = v->shape.dim[0] > v->shape.dim[1];
    const reel_optim_attr attr = {.out_dtype = dtype};
    reel_var x =
        REEL_RECORD(t, &reel_op_normalise, &attr, sizeof attr, u, reel_square_sum(t, &u, 1));
    if (tall) x = reel_permute(t, x, 2, (const int[2]){1, 0});
    for (int k = 0; k < REEL_MUON_ITERATIONS; k++) {
        const reel_linear_grad_attr product = {.out_dtype = dtype};
        const reel_var gram = reel_linear(t, x, x, 0, REEL_ACT_NONE, dtype);
        const reel_var square = reel_linear(t, gram, gram, 0, REEL_ACT_NONE, dtype);
        const reel_var poly = reel_combine(t, gram, ns_b, square, ns_c);
        const reel_var px = REEL_RECORD(t, &reel_op_linear_dx, &product, sizeof product, poly, x);
        x = reel_combine(t, x, ns_a, px, 1);
    }
    return tall ? reel_permute(t, x, 2, (const int[2]){1, 0}) : x;
}

reel_var reel_muon(reel_tape *t, const reel_muon_operands *o) {
    const reel_value *w = reel_tape_value(t, o->w);
    if (reel_tape_status(t) != REEL_OK) return 0;
    if (w->shape.rank < 2) {
        reel_tape_fail(t, REEL_E_SHAPE, "muon: w must be a matrix [O,...], got %s",
                       REEL_SHAPE_STR(&w->shape));
        return 0;
    }
    const reel_shape shape = w->shape;
    const reel_shape matrix = REEL_SHAPE(shape.dim[0], reel_shape_span(&shape, 1, shape.rank));
    const double longer = (double)(matrix.dim[0] > matrix.dim[1] ? matrix.dim[0] : matrix.dim[1]);
    const reel_optim_attr attr = {
        .copy = o->copy != 0, .out_dtype = o->product, .scale = (float)(0.2 * sqrt(longer))};
    const reel_var u =
        REEL_RECORD(t, &reel_op_momentum, &attr, sizeof attr, o->buf, o->grad, o->hyper, o->clip);
    if (!u || !reel_update(t, o->buf, u + 1)) return 0;
    const reel_var x = reel_orthogonalise(t, reel_reshape(t, u, matrix), o->product);
    const reel_var out = REEL_RECORD(t, &reel_op_descend, &attr, sizeof attr, o->w,
                                     reel_reshape(t, x, shape), o->hyper, o->clip);
    return replace(t, out, (const reel_var[2]){o->w, o->copy}, 2);
}

/* ---- moving average ---- */

reel_var reel_moving_average(reel_tape *t, reel_var average, reel_var w, reel_var rate) {
    return reel_update(t, average, reel_lerp(t, average, w, rate));
}
