#include "ops/dropout.h"

#include "base/rng.h"
#include "ops/element.h"

reel_dropout_coins reel_dropout_coins_of(const reel_dropout_attr *attr, const int64_t seed[2]) {
    const reel_rng_block block = reel_rng((uint64_t)seed[0], attr->stream, (uint64_t)seed[1]);
    const double p = (double)attr->p;
    return (reel_dropout_coins){.key = (uint64_t)block.word[1] << 32 | block.word[0],
                                .threshold = (uint32_t)(p * 0x1p32),
                                .factor = (float)(1 / (1 - p))};
}

/* in: x, seed i64 [2] */
static reel_status dropout_shape(reel_env *env, reel_call *c) {
    const reel_dropout_attr *attr = c->attr;
    const reel_tensor *x = &c->in[0], *seed = &c->in[1];
    if (!reel_dtype_is_float(x->dtype))
        return reel_fail(env, REEL_E_SHAPE, "x must be a float type, got %s",
                         reel_dtype_name(x->dtype));
    if (seed->dtype != REEL_I64 || seed->shape.rank != 1 || seed->shape.dim[0] != 2)
        return reel_fail(env, REEL_E_SHAPE, "the seed must be i64 [2], got %s %s",
                         reel_dtype_name(seed->dtype), REEL_SHAPE_STR(&seed->shape));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = x->shape};
    return REEL_OK;
}

static void dropout_ref(const reel_call *c) {
    const reel_dropout_attr *attr = c->attr;
    const reel_dropout_coins coins = reel_dropout_coins_of(attr, c->in[1].data);
    for (int64_t e = 0, n = reel_tensor_count(&c->in[0]); e < n; e++) {
        const reel_rng_block block =
            reel_rng(coins.key, attr->stream, (uint64_t)(16 * (e / 64) + e % 16));
        const bool kept = block.word[e / 16 % 4] >= coins.threshold;
        reel_put(&c->out[0], e, kept ? (double)coins.factor * reel_get(&c->in[0], e) : 0);
    }
}
const reel_kernel reel_ref_dropout = {.name = "dropout.ref", .run = dropout_ref};

/* Linear in x, so the gradient is the same op with the same coins. */
static void dropout_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    reel_dropout_attr attr = *(const reel_dropout_attr *)(const void *)r->attr;
    attr.out_dtype = reel_tape_grad_dtype(t, r->in[0]);
    reel_tape_add_grad(t, r->in[0],
                       REEL_RECORD(t, &reel_op_dropout, &attr, sizeof attr, dout[0], r->in[1]));
}

const reel_op reel_op_dropout = {.name = "dropout",
                                 .id = REEL_OP_DROPOUT,
                                 .shape = dropout_shape,
                                 .grad = dropout_grad,
                                 .inplace = 1};

reel_var reel_dropout(reel_tape *t, reel_var x, reel_var seed, uint64_t stream, float p) {
    if (!(p >= 0 && p < 1)) {
        reel_tape_fail(t, REEL_E_ARG, "dropout: p must be in [0,1), got %g", (double)p);
        return 0;
    }
    if (!reel_tape_training(t) || p == 0.0f) return x;
    const reel_dropout_attr attr = {stream, p, reel_tape_value(t, x)->dtype};
    return REEL_RECORD(t, &reel_op_dropout, &attr, sizeof attr, x, seed);
}
