/* matmul through the one product there is. */
#include "ops/matmul.h"

#include "cpu/simd/gemm.h"

static reel_gemm product(const reel_call *c) {
    const reel_matmul_attr *attr = c->attr;
    const reel_shape *a = &c->in[0].shape, *y = &c->out[0].shape;
    const int last = y->rank - 1;
    return (reel_gemm){.n_batches = reel_shape_span(y, 0, last - 1),
                       .M = y->dim[last - 1],
                       .N = y->dim[last],
                       .K = a->dim[attr->a_transposed ? last - 1 : last],
                       .a = {c->in[0].data, c->in[0].dtype == REEL_BF16, !attr->a_transposed},
                       .b = {c->in[1].data, c->in[1].dtype == REEL_BF16, attr->b_transposed},
                       .y = c->out[0].data,
                       .y_bf16 = c->out[0].dtype == REEL_BF16,
                       .scratch = c->scratch,
                       .threads = c->threads};
}

static int64_t matmul_scratch(const reel_call *c, int n_lanes) {
    const reel_gemm g = product(c);
    return REEL_ISA_NAME(reel_gemm_scratch)(&g, n_lanes);
}

static void matmul_run(const reel_call *c) {
    const reel_gemm g = product(c);
    REEL_ISA_NAME(reel_gemm_run)(&g);
}

static const char *refuse(const reel_call *c) {
    if (c->in[0].dtype == REEL_F16 || c->in[1].dtype == REEL_F16) return "an operand is f16";
    return c->out[0].dtype == REEL_F16 ? "the output is f16" : NULL;
}

void REEL_ISA_NAME(reel_cpu_register_matmul)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_matmul)(reel_kernel_table *table) {
    static const reel_kernel kernel = {.name = "matmul." REEL_ISA_TEXT,
                                       .refuse = refuse,
                                       .scratch = matmul_scratch,
                                       .run = matmul_run};
    reel_kernel_table_add(table, &reel_op_matmul, &kernel);
}
