#include "onednn.h"

#if REEL_DNNL
#include <dlfcn.h>
#include <dnnl.h>
#include <stdlib.h>

void bench_limit_peers(int n_threads, reel_isa isa) {
    /* Debian's oneDNN brings libgomp along; its header is not needed for one function. */
    void (*set)(int);
    *(void **)&set = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    if (set) set(n_threads);
    static const dnnl_cpu_isa_t level[REEL_ISA_COUNT] = {
        dnnl_cpu_isa_sse41, dnnl_cpu_isa_avx2, dnnl_cpu_isa_avx512_core,
        dnnl_cpu_isa_avx512_core_bf16, dnnl_cpu_isa_all};
    (void)!dnnl_set_max_cpu_isa(level[isa]);
}

typedef struct product {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arg[3];
    void *data[3];
} product;

static void product_run(void *context) {
    product *p = context;
    dnnl_primitive_execute(p->primitive, p->stream, 3, p->arg);
    dnnl_stream_wait(p->stream);
}

static void product_release(void *context) {
    product *p = context;
    for (int i = 0; i < 3; i++) {
        if (p->arg[i].memory) dnnl_memory_destroy(p->arg[i].memory);
        free(p->data[i]);
    }
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
    if (p->stream) dnnl_stream_destroy(p->stream);
    if (p->engine) dnnl_engine_destroy(p->engine);
    free(p);
}

static dnnl_data_type_t type_of(reel_dtype dtype) {
    return dtype == REEL_F32 ? dnnl_f32 : dnnl_bf16;
}

static dnnl_memory_desc_t desc_of(int64_t rows, int64_t cols, reel_dtype dtype,
                                  dnnl_format_tag_t tag) {
    dnnl_memory_desc_t desc;
    dnnl_memory_desc_init_by_tag(&desc, 2, (dnnl_dims_t){rows, cols}, type_of(dtype), tag);
    return desc;
}

/* Memory for one operand in whatever layout the primitive chose. Plain random bits of small floats
 * in any layout: the values do not matter, only that they are no NaN or denormal. */
static bool give_memory(product *p, int i, int argument, const dnnl_memory_desc_t *desc) {
    const int64_t bytes = (int64_t)dnnl_memory_desc_get_size(desc);
    p->data[i] = bench_random(REEL_BF16, bytes / 2, 0.5, 1);
    p->arg[i].arg = argument;
    return dnnl_memory_create(&p->arg[i].memory, desc, p->engine, p->data[i]) == dnnl_success;
}

static bool product_init(product *p, const dnnl_memory_desc_t desc[3]) {
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_desc_t chosen = NULL;
    if (dnnl_engine_create(&p->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags) != dnnl_success ||
        dnnl_matmul_desc_init(&matmul, &desc[0], &desc[1], NULL, &desc[2]) != dnnl_success ||
        dnnl_primitive_desc_create(&chosen, &matmul, NULL, p->engine, NULL) != dnnl_success)
        return false;
    bool ok = dnnl_primitive_create(&p->primitive, chosen) == dnnl_success;
    static const dnnl_query_t query[3] = {dnnl_query_src_md, dnnl_query_weights_md,
                                          dnnl_query_dst_md};
    static const int argument[3] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};
    for (int i = 0; i < 3 && ok; i++)
        ok = give_memory(p, i, argument[i], dnnl_primitive_desc_query_md(chosen, query[i], 0));
    dnnl_primitive_desc_destroy(chosen);
    return ok;
}

bool bench_onednn_product(int64_t M, int64_t N, int64_t K, bench_operand a, bench_operand b,
                          reel_dtype c, bool prepacked, bench_peer *peer) {
    const dnnl_memory_desc_t desc[3] = {desc_of(M, K, a.dtype, a.transposed ? dnnl_ba : dnnl_ab),
                                        desc_of(K, N, b.dtype,
                                                prepacked      ? dnnl_format_tag_any
                                                : b.transposed ? dnnl_ba
                                                               : dnnl_ab),
                                        desc_of(M, N, c, dnnl_ab)};
    product *p = calloc(1, sizeof *p);
    if (!p) return false;
    if (!product_init(p, desc)) {
        product_release(p);
        return false;
    }
    *peer = (bench_peer){.run = product_run, .release = product_release, .context = p};
    return true;
}

#else

void bench_limit_peers(int n_threads, reel_isa isa) {
    (void)n_threads;
    (void)isa;
}

bool bench_onednn_product(int64_t M, int64_t N, int64_t K, bench_operand a, bench_operand b,
                          reel_dtype c, bool prepacked, bench_peer *peer) {
    (void)M, (void)N, (void)K, (void)a, (void)b, (void)c, (void)prepacked, (void)peer;
    return false;
}
#endif
