#include "ops/matmul.h"

#include "ops/element.h"

/* ---- contract ---- */

typedef struct matmul_size {
    int64_t n_batches, M, N, K;
} matmul_size;

static matmul_size size_of(const reel_call *c) {
    const reel_matmul_attr *attr = c->attr;
    const reel_shape *a = &c->in[0].shape, *b = &c->in[1].shape;
    const int last = a->rank - 1;
    return (matmul_size){.n_batches = reel_shape_span(a, 0, last - 1),
                         .M = a->dim[attr->a_transposed ? last : last - 1],
                         .K = a->dim[attr->a_transposed ? last - 1 : last],
                         .N = b->dim[attr->b_transposed ? last - 1 : last]};
}

static reel_status matmul_shape(reel_env *env, reel_call *c) {
    const reel_matmul_attr *attr = c->attr;
    const reel_shape *a = &c->in[0].shape, *b = &c->in[1].shape;
    bool fits = a->rank >= 2 && b->rank == a->rank;
    for (int i = 0; fits && i < a->rank - 2; i++)
        fits = a->dim[i] == b->dim[i];
    const int inner_a = a->rank - (attr->a_transposed ? 2 : 1);
    const int inner_b = b->rank - (attr->b_transposed ? 1 : 2);
    if (!fits || a->dim[inner_a] != b->dim[inner_b])
        return reel_fail(env, REEL_E_SHAPE, "a %s%s does not fit b %s%s", REEL_SHAPE_STR(a),
                         attr->a_transposed ? " transposed" : "", REEL_SHAPE_STR(b),
                         attr->b_transposed ? " transposed" : "");
    for (int i = 0; i < 2; i++)
        if (!reel_dtype_is_float(c->in[i].dtype))
            return reel_fail(env, REEL_E_SHAPE, "operand %d must be a float type, got %s", i,
                             reel_dtype_name(c->in[i].dtype));
    const matmul_size n = size_of(c);
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = *a};
    c->out[0].shape.dim[a->rank - 2] = n.M;
    c->out[0].shape.dim[a->rank - 1] = n.N;
    return REEL_OK;
}

static double matmul_flops(const reel_call *c) {
    const matmul_size n = size_of(c);
    return 2.0 * (double)n.n_batches * (double)n.M * (double)n.N * (double)n.K;
}

/* ---- forward ---- */

static void matmul_ref(const reel_call *c) {
    const reel_matmul_attr *attr = c->attr;
    const matmul_size n = size_of(c);
    const int64_t a_m = attr->a_transposed ? 1 : n.K, a_k = attr->a_transposed ? n.M : 1;
    const int64_t b_k = attr->b_transposed ? 1 : n.N, b_n = attr->b_transposed ? n.K : 1;
    for (int64_t g = 0; g < n.n_batches; g++)
        for (int64_t i = 0; i < n.M; i++)
            for (int64_t j = 0; j < n.N; j++) {
                double sum = 0;
                for (int64_t k = 0; k < n.K; k++)
                    sum += reel_get(&c->in[0], g * n.M * n.K + i * a_m + k * a_k) *
                           reel_get(&c->in[1], g * n.K * n.N + k * b_k + j * b_n);
                reel_put(&c->out[0], (g * n.M + i) * n.N + j, sum);
            }
}
const reel_kernel reel_ref_matmul = {.name = "matmul.ref", .run = matmul_ref};

/* ---- gradient: with A = op(a), B = op(b): dA = dy B^T, dB = A^T dy; transposed again where the
 * operand is: d(a) = B dy^T, d(b) = dy^T A ---- */

static void matmul_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_matmul_attr *attr = (const void *)r->attr;
    const reel_var a = r->in[0], b = r->in[1], dy = dout[0];
    if (reel_tape_wants_grad(t, a)) {
        reel_matmul_attr x = {.a_transposed = attr->a_transposed && attr->b_transposed,
                              .b_transposed = attr->a_transposed || !attr->b_transposed,
                              .out_dtype = reel_tape_grad_dtype(t, a)};
        reel_tape_add_grad(
            t, a, attr->a_transposed ? reel_matmul(t, b, dy, x) : reel_matmul(t, dy, b, x));
    }
    if (reel_tape_wants_grad(t, b)) {
        reel_matmul_attr x = {.a_transposed = attr->b_transposed || !attr->a_transposed,
                              .b_transposed = attr->a_transposed && attr->b_transposed,
                              .out_dtype = reel_tape_grad_dtype(t, b)};
        reel_tape_add_grad(
            t, b, attr->b_transposed ? reel_matmul(t, dy, a, x) : reel_matmul(t, a, dy, x));
    }
}

/* ---- op ---- */

const reel_op reel_op_matmul = {.name = "matmul",
                                .id = REEL_OP_MATMUL,
                                .shape = matmul_shape,
                                .grad = matmul_grad,
                                .flops = matmul_flops};

reel_var reel_matmul(reel_tape *t, reel_var a, reel_var b, reel_matmul_attr attr) {
    return REEL_RECORD(t, &reel_op_matmul, &attr, sizeof attr, a, b);
}
