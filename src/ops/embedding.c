#include "ops/embedding.h"

#include "ops/element.h"
#include "ops/elementwise.h"

static bool is_id_type(reel_dtype dtype) {
    return dtype == REEL_I32 || dtype == REEL_I64;
}

reel_status reel_embedding_check_ids(reel_env *env, const reel_tensor *ids, int64_t V) {
    if (!is_id_type(ids->dtype))
        return reel_fail(env, REEL_E_ARG, "ids must be i32 or i64, got %s",
                         reel_dtype_name(ids->dtype));
    for (int64_t i = 0, n = reel_tensor_count(ids); i < n; i++) {
        const int64_t id = reel_embedding_id(ids, i);
        if (id < 0 || id >= V)
            return reel_fail(env, REEL_E_ARG, "id %lld at %lld is outside [0,%lld)", (long long)id,
                             (long long)i, (long long)V);
    }
    return REEL_OK;
}

/* ---- y[i] = table[ids[i]] ---- */

static reel_status embedding_shape(reel_env *env, reel_call *c) {
    const reel_embedding_attr *attr = c->attr;
    const reel_tensor *table = &c->in[0], *ids = &c->in[1];
    if (table->shape.rank != 2 || !reel_dtype_is_float(table->dtype))
        return reel_fail(env, REEL_E_SHAPE, "needs a table [V,C] of a float type, got %s %s",
                         reel_dtype_name(table->dtype), REEL_SHAPE_STR(&table->shape));
    if (!is_id_type(ids->dtype) || ids->shape.rank == REEL_MAX_RANK)
        return reel_fail(env, REEL_E_SHAPE, "needs ids i32 or i64 of up to %d axes, got %s %s",
                         REEL_MAX_RANK - 1, reel_dtype_name(ids->dtype),
                         REEL_SHAPE_STR(&ids->shape));
    if (!reel_dtype_is_float((reel_dtype)attr->out_dtype))
        return reel_fail(env, REEL_E_SHAPE, "the result must be a float type, wanted %s",
                         reel_dtype_name((reel_dtype)attr->out_dtype));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = (reel_dtype)attr->out_dtype, .shape = ids->shape};
    c->out[0].shape.dim[c->out[0].shape.rank++] = table->shape.dim[1];
    return REEL_OK;
}

static void embedding_ref(const reel_call *c) {
    const reel_tensor *table = &c->in[0], *ids = &c->in[1];
    const int64_t V = table->shape.dim[0], C = table->shape.dim[1];
    for (int64_t r = 0, n = reel_tensor_count(ids); r < n; r++) {
        const int64_t id = reel_embedding_id(ids, r);
        for (int64_t k = 0; k < C; k++)
            reel_put(&c->out[0], r * C + k, id >= 0 && id < V ? reel_get(table, id * C + k) : 0);
    }
}
const reel_kernel reel_ref_embedding = {.name = "embedding.ref", .run = embedding_ref};

static void embedding_grad(reel_tape *t, const reel_record *r, const reel_var *dout) {
    const reel_var table = r->in[0];
    if (!reel_tape_wants_grad(t, table)) return;
    const reel_var dtable =
        REEL_RECORD(t, &reel_op_embedding_backward, NULL, 0, dout[0], r->in[1], table);
    reel_tape_add_grad(t, table, reel_cast(t, dtable, reel_tape_grad_dtype(t, table)));
}

const reel_op reel_op_embedding = {
    .name = "embedding", .id = REEL_OP_EMBEDDING, .shape = embedding_shape, .grad = embedding_grad};

reel_var reel_embedding(reel_tape *t, reel_var table, reel_var ids, reel_dtype out_dtype) {
    const reel_embedding_attr attr = {out_dtype};
    return REEL_RECORD(t, &reel_op_embedding, &attr, sizeof attr, table, ids);
}

/* ---- gradient: dtable[v] = sum of dy[i] where ids[i] = v. in: dy, ids, table (for its shape) ----
 */

static reel_status embedding_backward_shape(reel_env *env, reel_call *c) {
    const reel_shape *dy = &c->in[0].shape, *table = &c->in[2].shape;
    reel_shape wanted = c->in[1].shape;
    wanted.dim[wanted.rank++] = reel_shape_last(table);
    if (!reel_shape_equal(dy, &wanted))
        return reel_fail(env, REEL_E_SHAPE, "ids %s and table %s need dy %s, got %s",
                         REEL_SHAPE_STR(&c->in[1].shape), REEL_SHAPE_STR(table),
                         REEL_SHAPE_STR(&wanted), REEL_SHAPE_STR(dy));
    c->n_out = 1;
    c->out[0] = (reel_tensor){.dtype = REEL_F32, .shape = *table};
    return REEL_OK;
}

static void embedding_backward_ref(const reel_call *c) {
    const reel_tensor *dy = &c->in[0], *ids = &c->in[1], *dtable = &c->out[0];
    const int64_t V = dtable->shape.dim[0], C = dtable->shape.dim[1];
    const int64_t n = reel_tensor_count(ids);
    for (int64_t v = 0; v < V; v++)
        for (int64_t k = 0; k < C; k++) {
            double sum = 0;
            for (int64_t r = 0; r < n; r++)
                if (reel_embedding_id(ids, r) == v) sum += reel_get(dy, r * C + k);
            reel_put(dtable, v * C + k, sum);
        }
}
const reel_kernel reel_ref_embedding_backward = {.name = "embedding_backward.ref",
                                                 .run = embedding_backward_ref};

const reel_op reel_op_embedding_backward = {.name = "embedding_backward",
                                            .id = REEL_OP_EMBEDDING_BACKWARD,
                                            .shape = embedding_backward_shape};
