#include "ops/modulate.h"

#include <math.h>
#include <string.h>

#include "ops/element.h"
#include "ops/elementwise.h"

/* ---- contract ---- */

/* Tokens, channels, rows of modulation, and who takes which. */
typedef struct modulate_size {
    int64_t T, C, R, tokens_a_row;
    const int32_t *map;
} modulate_size;

static modulate_size size_of(const reel_tensor *x, const reel_tensor *m, const reel_tensor *map) {
    const int64_t T = reel_shape_rows(&x->shape), R = reel_shape_rows(&m->shape);
    return (modulate_size){.T = T,
                           .C = reel_shape_last(&x->shape),
                           .R = R,
                           .tokens_a_row = R ? T / R : 0,
                           .map = map->data};
}

/* m, of R rows, modulates x: named in messages. */
static reel_status check_rows(reel_env *env, const reel_tensor *x, const reel_tensor *m,
                              const char *name, const reel_tensor *map, bool mapped) {
    const modulate_size n = size_of(x, m, map);
    if (x->shape.rank < 1 || m->shape.rank < 1 || reel_shape_last(&m->shape) != n.C || n.R == 0)
        return reel_fail(env, REEL_E_SHAPE, "x %s needs %s [R,%lld], got %s",
                         REEL_SHAPE_STR(&x->shape), name, (long long)n.C,
                         REEL_SHAPE_STR(&m->shape));
    if (!mapped && n.T % n.R)
        return reel_fail(env, REEL_E_SHAPE,
                         "x %s has %lld tokens, which the %lld rows of %s do not divide; a map is "
                         "missing",
                         REEL_SHAPE_STR(&x->shape), (long long)n.T, (long long)n.R, name);
    if (mapped && (map->dtype != REEL_I32 || reel_tensor_count(map) != n.T))
        return reel_fail(env, REEL_E_SHAPE, "x %s needs map i32 [%lld], got %s %s",
                         REEL_SHAPE_STR(&x->shape), (long long)n.T, reel_dtype_name(map->dtype),
                         REEL_SHAPE_STR(&map->shape));
    if (!reel_dtype_is_float(x->dtype) || !reel_dtype_is_float(m->dtype))
        return reel_fail(env, REEL_E_SHAPE, "x and %s must be float types, got %s and %s", name,
                         reel_dtype_name(x->dtype), reel_dtype_name(m->dtype));
    return REEL_OK;
}

static reel_status check_kind(reel_env *env, const reel_modulate_attr *attr) {
    if ((attr->kind != REEL_NORM_LAYER && attr->kind != REEL_NORM_RMS) || !(attr->eps >= 0))
        return reel_fail(env, REEL_E_ARG, "kind %d with eps %g: wanted layer or rms, eps >= 0",
                         (int)attr->kind, (double)attr->eps);
    return REEL_OK;
}

/* in: x, shift, scale, map */
static reel_status norm_modulate_shape(reel_env *env, reel_call *c) {
    const reel_modulate_attr *attr = c->attr;
    reel_status status = check_kind(env, attr);
    for (int i = 1; i < 3 && status == REEL_OK; i++)
        status = check_rows(env, &c->in[0], &c->in[i], i == 1 ? "shift" : "scale", &c->in[3],
                            c->present[3]);
    if (status != REEL_OK) return status;
    if (!reel_shape_equal(&c->in[1].shape, &c->in[2].shape) || c->in[1].dtype != c->in[2].dtype)
        return reel_fail(env, REEL_E_SHAPE, "shift %s %s needs a scale like it, got %s %s",
                         reel_dtype_name(c->in[1].dtype), REEL_SHAPE_STR(&c->in[1].shape),
                         reel_dtype_name(c->in[2].dtype), REEL_SHAPE_STR(&c->in[2].shape));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = c->in[0].shape};
    return REEL_OK;
}

/* ---- norm_modulate ---- */

static void norm_modulate_ref(const reel_call *c) {
    const reel_modulate_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *shift = &c->in[1], *scale = &c->in[2];
    const modulate_size n = size_of(x, scale, &c->in[3]);
    for (int64_t t = 0; t < n.T; t++) {
        const int64_t row = reel_modulate_row(n.map, t, n.tokens_a_row, n.R);
        const reel_norm_stats s =
            reel_norm_stats_of((reel_norm_kind)attr->kind, (double)attr->eps, x, t * n.C, 1, n.C);
        for (int64_t k = 0; k < n.C; k++) {
            const double xhat = (reel_get(x, t * n.C + k) - s.mean) * s.r;
            const double y = row < 0 ? (double)NAN
                                     : xhat * (1 + reel_get(scale, row * n.C + k)) +
                                           reel_get(shift, row * n.C + k);
            reel_put(&c->out[0], t * n.C + k, y);
        }
    }
}
const reel_kernel reel_ref_norm_modulate = {.name = "norm_modulate.ref", .run = norm_modulate_ref};

/* ---- its gradient, with g = dy (1 + scale): dx = r (g - mean(g) - xhat mean(g xhat)), mean(g) for
 * layer norm alone; dshift = sum of dy, dscale = sum of dy xhat over the tokens of a row ---- */

/* in: dy, x, scale, map -> dx, dshift, dscale */
static reel_status norm_modulate_backward_shape(reel_env *env, reel_call *c) {
    const reel_modulate_attr *attr = c->attr;
    reel_status status = check_kind(env, attr);
    if (status == REEL_OK)
        status = check_rows(env, &c->in[1], &c->in[2], "scale", &c->in[3], c->present[3]);
    if (status != REEL_OK) return status;
    if (!reel_shape_equal(&c->in[0].shape, &c->in[1].shape))
        return reel_fail(env, REEL_E_SHAPE, "x %s needs dy of its shape, got %s",
                         REEL_SHAPE_STR(&c->in[1].shape), REEL_SHAPE_STR(&c->in[0].shape));
    c->n_out = 3;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = c->in[1].shape};
    c->out[1] = (reel_tensor){.dtype = REEL_F32, .shape = c->in[2].shape};
    c->out[2] = c->out[1];
    return REEL_OK;
}

/* dx of token t under the row of modulation `row`. */
static void token_backward(const reel_call *c, int64_t C, int64_t t, int64_t row,
                           reel_norm_stats s) {
    const reel_modulate_attr *attr = c->attr;
    const reel_tensor *dy = &c->in[0], *x = &c->in[1], *scale = &c->in[2];
    double mean_g = 0, mean_gx = 0;
    for (int64_t k = 0; k < C; k++) {
        const double g = reel_get(dy, t * C + k) * (1 + reel_get(scale, row * C + k));
        mean_g += g / (double)C;
        mean_gx += g * (reel_get(x, t * C + k) - s.mean) * s.r / (double)C;
    }
    if (attr->kind != REEL_NORM_LAYER) mean_g = 0;
    for (int64_t k = 0; k < C; k++) {
        const double g = reel_get(dy, t * C + k) * (1 + reel_get(scale, row * C + k));
        const double xhat = (reel_get(x, t * C + k) - s.mean) * s.r;
        reel_put(&c->out[0], t * C + k, s.r * (g - mean_g - xhat * mean_gx));
    }
}

static int64_t norm_modulate_backward_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    return 2 * reel_tensor_count(&c->in[2]) * (int64_t)sizeof(double);
}

static void norm_modulate_backward_ref(const reel_call *c) {
    const reel_modulate_attr *attr = c->attr;
    const reel_tensor *dy = &c->in[0], *x = &c->in[1];
    const modulate_size n = size_of(x, &c->in[2], &c->in[3]);
    double *dshift = c->scratch, *dscale = dshift + n.R * n.C;
    memset(c->scratch, 0, 2 * (size_t)(n.R * n.C) * sizeof(double));
    for (int64_t t = 0; t < n.T; t++) {
        const int64_t row = reel_modulate_row(n.map, t, n.tokens_a_row, n.R);
        const reel_norm_stats s =
            reel_norm_stats_of((reel_norm_kind)attr->kind, (double)attr->eps, x, t * n.C, 1, n.C);
        for (int64_t k = 0; row >= 0 && k < n.C; k++) {
            const double d = reel_get(dy, t * n.C + k);
            dshift[row * n.C + k] += d;
            dscale[row * n.C + k] += d * (reel_get(x, t * n.C + k) - s.mean) * s.r;
        }
        if (c->out[0].data && row >= 0) token_backward(c, n.C, t, row, s);
        for (int64_t k = 0; c->out[0].data && row < 0 && k < n.C; k++)
            reel_put(&c->out[0], t * n.C + k, (double)NAN);
    }
    for (int64_t i = 0; i < n.R * n.C; i++) {
        if (c->out[1].data) reel_put(&c->out[1], i, dshift[i]);
        if (c->out[2].data) reel_put(&c->out[2], i, dscale[i]);
    }
}
const reel_kernel reel_ref_norm_modulate_backward = {.name = "norm_modulate_backward.ref",
                                                     .scratch = norm_modulate_backward_scratch,
                                                     .run = norm_modulate_backward_ref};

static void norm_modulate_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_modulate_attr *forward = (const void *)r->attr;
    reel_modulate_attr attr = *forward;
    attr.out_dtype = reel_tape_grad_dtype(t, r->in[0]);
    const reel_var dx = REEL_RECORD(t, &reel_op_norm_modulate_backward, &attr, sizeof attr, dout[0],
                                    r->in[0], r->in[2], r->in[3]);
    for (int i = 0; dx && i < 3; i++)
        if (reel_tape_wants_grad(t, r->in[i]))
            reel_tape_add_grad(t, r->in[i],
                               reel_cast(t, dx + i, reel_tape_grad_dtype(t, r->in[i])));
}

/* ---- gate: y = x + g b ---- */

/* in: x, b, g, map */
static reel_status gate_shape(reel_env *env, reel_call *c) {
    const reel_tensor *x = &c->in[0], *b = &c->in[1];
    if (!reel_shape_equal(&x->shape, &b->shape) || !reel_dtype_is_float(b->dtype))
        return reel_fail(env, REEL_E_SHAPE, "x %s needs b of its shape and a float type, got %s %s",
                         REEL_SHAPE_STR(&x->shape), reel_dtype_name(b->dtype),
                         REEL_SHAPE_STR(&b->shape));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = REEL_F32, .shape = x->shape};
    return check_rows(env, x, &c->in[2], "g", &c->in[3], c->present[3]);
}

static void gate_ref(const reel_call *c) {
    const reel_tensor *x = &c->in[0], *b = &c->in[1], *g = &c->in[2];
    const modulate_size n = size_of(x, g, &c->in[3]);
    for (int64_t t = 0; t < n.T; t++) {
        const int64_t row = reel_modulate_row(n.map, t, n.tokens_a_row, n.R);
        for (int64_t k = 0; k < n.C; k++) {
            const int64_t at = t * n.C + k;
            const double weight = row < 0 ? (double)NAN : reel_get(g, row * n.C + k);
            reel_put(&c->out[0], at, reel_get(x, at) + weight * reel_get(b, at));
        }
    }
}
const reel_kernel reel_ref_gate = {.name = "gate.ref", .run = gate_ref};

/* ---- its gradient: dx = dy, db = g dy, dg = sum of dy b over the tokens of a row ---- */

/* in: dy, b, g, map -> db, dg */
static reel_status gate_backward_shape(reel_env *env, reel_call *c) {
    const reel_gate_grad_attr *attr = c->attr;
    if (!reel_shape_equal(&c->in[0].shape, &c->in[1].shape))
        return reel_fail(env, REEL_E_SHAPE, "b %s needs dy of its shape, got %s",
                         REEL_SHAPE_STR(&c->in[1].shape), REEL_SHAPE_STR(&c->in[0].shape));
    c->n_out = 2;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = c->in[1].shape};
    c->out[1] = (reel_tensor){.dtype = REEL_F32, .shape = c->in[2].shape};
    return check_rows(env, &c->in[1], &c->in[2], "g", &c->in[3], c->present[3]);
}

static int64_t gate_backward_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    return reel_tensor_count(&c->in[2]) * (int64_t)sizeof(double);
}

static void gate_backward_ref(const reel_call *c) {
    const reel_tensor *dy = &c->in[0], *b = &c->in[1], *g = &c->in[2];
    const modulate_size n = size_of(b, g, &c->in[3]);
    double *dg = c->scratch;
    memset(dg, 0, (size_t)(n.R * n.C) * sizeof *dg);
    for (int64_t t = 0; t < n.T; t++) {
        const int64_t row = reel_modulate_row(n.map, t, n.tokens_a_row, n.R);
        for (int64_t k = 0; k < n.C; k++) {
            const double d = reel_get(dy, t * n.C + k);
            if (row >= 0) dg[row * n.C + k] += d * reel_get(b, t * n.C + k);
            if (!c->out[0].data) continue;
            reel_put(&c->out[0], t * n.C + k,
                     d * (row < 0 ? (double)NAN : reel_get(g, row * n.C + k)));
        }
    }
    for (int64_t i = 0; c->out[1].data && i < n.R * n.C; i++)
        reel_put(&c->out[1], i, dg[i]);
}
const reel_kernel reel_ref_gate_backward = {
    .name = "gate_backward.ref", .scratch = gate_backward_scratch, .run = gate_backward_ref};

static void gate_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_var x = r->in[0], b = r->in[1], g = r->in[2];
    if (reel_tape_wants_grad(t, x))
        reel_tape_add_grad(t, x, reel_cast(t, dout[0], reel_tape_grad_dtype(t, x)));
    if (!reel_tape_wants_grad(t, b) && !reel_tape_wants_grad(t, g)) return;
    const reel_gate_grad_attr attr = {.out_dtype = reel_tape_grad_dtype(t, b)};
    const reel_var db =
        REEL_RECORD(t, &reel_op_gate_backward, &attr, sizeof attr, dout[0], b, g, r->in[3]);
    if (!db) return;
    reel_tape_add_grad(t, b, db);
    if (reel_tape_wants_grad(t, g))
        reel_tape_add_grad(t, g, reel_cast(t, db + 1, reel_tape_grad_dtype(t, g)));
}

/* ---- ops ---- */

const reel_op reel_op_norm_modulate = {.name = "norm_modulate",
                                       .id = REEL_OP_NORM_MODULATE,
                                       .shape = norm_modulate_shape,
                                       .optional = 8,
                                       .grad = norm_modulate_grad,
                                       .inplace = 1};
/* Not in place: with a map the fast kernel reads dy and x a second time. */
const reel_op reel_op_norm_modulate_backward = {.name = "norm_modulate_backward",
                                                .id = REEL_OP_NORM_MODULATE_BACKWARD,
                                                .shape = norm_modulate_backward_shape,
                                                .optional = 8};
const reel_op reel_op_gate = {.name = "gate",
                              .id = REEL_OP_GATE,
                              .shape = gate_shape,
                              .optional = 8,
                              .grad = gate_grad,
                              .inplace = 3};
const reel_op reel_op_gate_backward = {.name = "gate_backward",
                                       .id = REEL_OP_GATE_BACKWARD,
                                       .shape = gate_backward_shape,
                                       .optional = 8,
                                       .inplace = 3};

reel_var reel_norm_modulate(reel_tape *t, reel_var x, reel_var shift, reel_var scale, reel_var map,
                            const reel_modulate_attr *attr) {
    return REEL_RECORD(t, &reel_op_norm_modulate, attr, sizeof *attr, x, shift, scale, map);
}

reel_var reel_gate(reel_tape *t, reel_var x, reel_var b, reel_var g, reel_var map) {
    if (!g) return reel_add(t, reel_cast(t, x, REEL_F32), b);
    return REEL_RECORD(t, &reel_op_gate, NULL, 0, x, b, g, map);
}
