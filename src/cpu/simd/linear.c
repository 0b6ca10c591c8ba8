/* linear and its gradients as products: y = x w^T, dx = dy w, dw = dy^T x. */
#include "ops/linear.h"

#include "cpu/simd/gemm.h"
#include "cpu/simd/outer.h"

/* b of a batched layer is [B,O,I], rows are then counted within a batch. */
static int64_t batches_of(const reel_shape *w) {
    return w->rank == 3 ? w->dim[0] : 1;
}

static int64_t rows_of(const reel_shape *x, const reel_shape *w) {
    return reel_shape_span(x, w->rank == 3, x->rank - 1);
}

static reel_gemm_operand operand(const reel_tensor *t, bool k_inside) {
    return (reel_gemm_operand){t->data, t->dtype == REEL_BF16, k_inside};
}

static reel_gemm forward_product(const reel_call *c) {
    const reel_linear_attr *attr = c->attr;
    const reel_shape *w = &c->in[1].shape;
    reel_gemm g = {.n_batches = batches_of(w),
                   .N = w->dim[w->rank - 2],
                   .K = w->dim[w->rank - 1],
                   .a = operand(&c->in[0], true),
                   .b = operand(&c->in[1], true),
                   .bias = c->present[2] ? c->in[2].data : NULL,
                   .bias_bf16 = c->in[2].dtype == REEL_BF16,
                   .act = (reel_activation)attr->act,
                   .y = c->out[0].data,
                   .pre = attr->save ? c->out[1].data : NULL,
                   .y_bf16 = c->out[0].dtype == REEL_BF16,
                   .scratch = c->scratch,
                   .threads = c->threads};
    g.M = rows_of(&c->in[0].shape, w);
    return g;
}

static reel_gemm dx_product(const reel_call *c) {
    const reel_shape *w = &c->in[1].shape;
    reel_gemm g = {.n_batches = batches_of(w),
                   .N = w->dim[w->rank - 1],
                   .K = w->dim[w->rank - 2],
                   .a = operand(&c->in[0], true),
                   .b = operand(&c->in[1], false),
                   .y = c->out[0].data,
                   .y_bf16 = c->out[0].dtype == REEL_BF16,
                   .scratch = c->scratch,
                   .threads = c->threads};
    g.M = rows_of(&c->in[0].shape, w);
    return g;
}

static reel_gemm dw_product(const reel_call *c) {
    const reel_shape *w = &c->out[0].shape;
    reel_gemm g = {.n_batches = batches_of(w),
                   .M = w->dim[w->rank - 2],
                   .N = w->dim[w->rank - 1],
                   .a = operand(&c->in[0], false),
                   .b = operand(&c->in[1], false),
                   .y = c->out[0].data,
                   .scratch = c->scratch,
                   .threads = c->threads};
    g.K = rows_of(&c->in[1].shape, w);
    return g;
}

static int64_t forward_scratch(const reel_call *c, int n_lanes) {
    const reel_gemm g = forward_product(c);
    return REEL_ISA_NAME(reel_gemm_scratch)(&g, n_lanes);
}
static int64_t dx_scratch(const reel_call *c, int n_lanes) {
    const reel_gemm g = dx_product(c);
    return REEL_ISA_NAME(reel_gemm_scratch)(&g, n_lanes);
}
/* Whether dw is a sum of outer products by tiles, and that sum. */
#if REEL_ISA_LEVEL >= 4
static bool dw_outer(const reel_call *c, reel_outer *p) {
    const reel_gemm g = dw_product(c);
    *p = (reel_outer){.n_batches = g.n_batches,
                      .R = g.K,
                      .O = g.M,
                      .I = g.N,
                      .dy = g.a.data,
                      .x = g.b.data,
                      .dw = g.y,
                      .db = c->n_out > 1 ? c->out[1].data : NULL,
                      .scratch = c->scratch,
                      .threads = c->threads};
    return g.a.bf16 && g.b.bf16 && REEL_ISA_NAME(reel_outer_takes)(p);
}
#endif

static int64_t dw_scratch(const reel_call *c, int n_lanes) {
#if REEL_ISA_LEVEL >= 4
    reel_outer outer;
    if (dw_outer(c, &outer)) return REEL_ISA_NAME(reel_outer_scratch)(&outer, n_lanes);
#endif
    const reel_gemm g = dw_product(c);
    return REEL_ISA_NAME(reel_gemm_scratch)(&g, n_lanes);
}

static const char *refuse(const reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->present[i] && c->in[i].dtype == REEL_F16) return "an operand is f16";
    return c->out[0].dtype == REEL_F16 ? "the output is f16" : NULL;
}

/* The output may be unread while the pre-activation is: with nothing to write, there is nothing to
 * do, and alone it is what a product without activation gives. */
static void forward_run(const reel_call *c) {
    reel_gemm g = forward_product(c);
    if (!g.y) {
        g.y = g.pre;
        g.pre = NULL;
        g.act = REEL_ACT_NONE;
    }
    if (g.y) REEL_ISA_NAME(reel_gemm_run)(&g);
}

static void dx_run(const reel_call *c) {
    const reel_gemm g = dx_product(c);
    REEL_ISA_NAME(reel_gemm_run)(&g);
}

/* ---- db: the sum of dy's rows ---- */

enum { COLUMNS = 64 }; /* a piece: 64 columns, all rows, in row order */

typedef struct columns {
    const reel_tensor *dy;
    float *db;
    int64_t R, O, per_batch; /* pieces in a batch */
} columns;

VEC_INLINE void sum_columns(const columns *k, int64_t batch, int64_t o, bool bf16) {
    const int64_t n = k->O - o < COLUMNS ? k->O - o : COLUMNS;
    for (int64_t i = 0; i < n; i += VF_N) {
        const int64_t left = n - i;
        const int64_t first = batch * k->R * k->O + o + i;
        vf sum = {0};
        if (left >= VF_N)
            for (int64_t r = 0; r < k->R; r++)
                sum += vec_load(k->dy->data, first + r * k->O, bf16);
        else
            for (int64_t r = 0; r < k->R; r++)
                sum += vec_load_part(k->dy->data, first + r * k->O, bf16, (int)left);
        vf_store_part(k->db + batch * k->O + o + i, sum, (int)(left < VF_N ? left : VF_N));
    }
}

static void columns_task(void *context, int64_t index, int lane) {
    (void)lane;
    const columns *k = context;
    const int64_t batch = index / k->per_batch, o = index % k->per_batch * COLUMNS;
    if (k->dy->dtype == REEL_BF16)
        sum_columns(k, batch, o, true);
    else
        sum_columns(k, batch, o, false);
}

static void dw_run(const reel_call *c) {
#if REEL_ISA_LEVEL >= 4
    reel_outer outer;
    if (c->out[0].data && dw_outer(c, &outer)) {
        REEL_ISA_NAME(reel_outer_run)(&outer);
        return;
    }
#endif
    const reel_gemm g = dw_product(c);
    if (c->n_out > 1 && c->out[1].data && g.n_batches * g.M > 0) {
        columns k = {&c->in[0], c->out[1].data, g.K, g.M, (g.M + COLUMNS - 1) / COLUMNS};
        reel_parallel_for(c->threads, g.n_batches * k.per_batch, columns_task, &k);
    }
    if (g.y) REEL_ISA_NAME(reel_gemm_run)(&g);
}

void REEL_ISA_NAME(reel_cpu_register_linear)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_linear)(reel_kernel_table *table) {
    static const reel_kernel forward = {.name = "linear." REEL_ISA_TEXT,
                                        .refuse = refuse,
                                        .scratch = forward_scratch,
                                        .run = forward_run};
    static const reel_kernel dx = {
        .name = "linear_dx." REEL_ISA_TEXT, .refuse = refuse, .scratch = dx_scratch, .run = dx_run};
    static const reel_kernel dw = {
        .name = "linear_dw." REEL_ISA_TEXT, .refuse = refuse, .scratch = dw_scratch, .run = dw_run};
    reel_kernel_table_add(table, &reel_op_linear, &forward);
    reel_kernel_table_add(table, &reel_op_linear_dx, &dx);
    reel_kernel_table_add(table, &reel_op_linear_dw, &dw);
}
