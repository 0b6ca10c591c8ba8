/* embedding and its gradient. V vocabulary, C channels. */
#include "ops/embedding.h"

#include "cpu/simd/vec.h"

enum {
    TASK_ELEMENTS = 1 << 14, /* 64 KiB of f32 */
    COLUMNS = 512,           /* of the gradient's table, for one task */
};

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}
static int64_t pieces(int64_t n, int64_t size) {
    return (n + size - 1) / size;
}

/* ---- y[i] = table[ids[i]] ---- */

VEC_INLINE void convert_row(void *y, int64_t at, bool y_bf16, const void *x, int64_t from,
                            bool x_bf16, int64_t C) {
    int64_t k = 0;
    for (; k + VF_N <= C; k += VF_N)
        vec_store(y, at + k, y_bf16, vec_load(x, from + k, x_bf16));
    const int rest = (int)(C - k);
    if (rest) vec_store_part(y, at + k, y_bf16, vec_load_part(x, from + k, x_bf16, rest), rest);
}

static int64_t rows_a_task(int64_t C) {
    return most(1, TASK_ELEMENTS / most(1, C));
}

static void embedding_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const reel_tensor *table = &c->in[0], *ids = &c->in[1], *y = &c->out[0];
    const int64_t V = table->shape.dim[0], C = table->shape.dim[1];
    const int64_t item = reel_dtype_bytes(y->dtype), rows = rows_a_task(C);
    const int64_t end = least((index + 1) * rows, reel_tensor_count(ids));
    for (int64_t r = index * rows; r < end; r++) {
        const int64_t id = reel_embedding_id(ids, r);
        if (id < 0 || id >= V)
            memset((char *)y->data + r * C * item, 0, (size_t)(C * item));
        else if (table->dtype == y->dtype)
            memcpy((char *)y->data + r * C * item, (const char *)table->data + id * C * item,
                   (size_t)(C * item));
        else if (table->dtype == REEL_BF16)
            convert_row(y->data, r * C, false, table->data, id * C, true, C);
        else
            convert_row(y->data, r * C, true, table->data, id * C, false, C);
    }
}

static void embedding_run(const reel_call *c) {
    reel_call copy = *c;
    const int64_t C = c->in[0].shape.dim[1];
    reel_parallel_for(c->threads, pieces(reel_tensor_count(&c->in[1]), rows_a_task(C)),
                      embedding_task, &copy);
}

static const char *refuse_mixed_f16(const reel_call *c) {
    if (c->in[0].dtype == c->out[0].dtype) return NULL;
    return c->in[0].dtype == REEL_F16 || c->out[0].dtype == REEL_F16 ? "one of two types is f16"
                                                                     : NULL;
}

/* ---- dtable[v] = sum of dy[i] where ids[i] = v ---- */

/* How the table is cut: rows x COLUMNS for a task. Every task reads all ids, so that each row is
 * summed in rising order by one task, whoever runs it. */
static int64_t table_rows(const reel_shape *table) {
    const int64_t columns = least(COLUMNS, most(1, table->dim[1]));
    return most(TASK_ELEMENTS / columns, pieces(table->dim[0], 256));
}

VEC_INLINE void add_row(float *sum, const void *dy, int64_t from, bool bf16, int64_t n) {
    int64_t k = 0;
    for (; k + VF_N <= n; k += VF_N)
        vf_store(sum + k, vf_load(sum + k) + vec_load(dy, from + k, bf16));
    const int rest = (int)(n - k);
    if (rest)
        vf_store_part(sum + k,
                      vf_load_part(sum + k, rest) + vec_load_part(dy, from + k, bf16, rest), rest);
}

static void embedding_backward_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const reel_tensor *dy = &c->in[0], *ids = &c->in[1], *dtable = &c->out[0];
    const int64_t V = dtable->shape.dim[0], C = dtable->shape.dim[1];
    const int64_t rows = table_rows(&dtable->shape), across = pieces(C, COLUMNS);
    const int64_t v0 = index / across * rows, v1 = least(v0 + rows, V);
    const int64_t k0 = index % across * COLUMNS, n = least(COLUMNS, C - k0);
    float *table = dtable->data;
    for (int64_t v = v0; v < v1; v++)
        memset(table + v * C + k0, 0, (size_t)n * sizeof *table);
    for (int64_t r = 0, n_ids = reel_tensor_count(ids); r < n_ids; r++) {
        const int64_t id = reel_embedding_id(ids, r);
        if (id < v0 || id >= v1) continue;
        if (dy->dtype == REEL_BF16)
            add_row(table + id * C + k0, dy->data, r * C + k0, true, n);
        else
            add_row(table + id * C + k0, dy->data, r * C + k0, false, n);
    }
}

static void embedding_backward_run(const reel_call *c) {
    reel_call copy = *c;
    const reel_shape *table = &c->out[0].shape;
    reel_parallel_for(c->threads,
                      pieces(table->dim[0], table_rows(table)) * pieces(table->dim[1], COLUMNS),
                      embedding_backward_task, &copy);
}

static const char *refuse_f16(const reel_call *c) {
    return c->in[0].dtype == REEL_F16 ? "dy is f16" : NULL;
}

void REEL_ISA_NAME(reel_cpu_register_embedding)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_embedding)(reel_kernel_table *table) {
    static const reel_kernel forward = {
        .name = "embedding." REEL_ISA_TEXT, .refuse = refuse_mixed_f16, .run = embedding_run};
    static const reel_kernel backward = {.name = "embedding_backward." REEL_ISA_TEXT,
                                         .refuse = refuse_f16,
                                         .run = embedding_backward_run};
    reel_kernel_table_add(table, &reel_op_embedding, &forward);
    reel_kernel_table_add(table, &reel_op_embedding_backward, &backward);
}
