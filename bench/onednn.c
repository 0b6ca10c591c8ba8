#include "onednn.h"

#if REEL_DNNL
#include <dlfcn.h>
#include <dnnl.h>
#include <stdlib.h>

#include "ops/conv3d.h"

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

/* A primitive on a stream of its own, with memory for its three operands. */
typedef struct computation {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arg[3];
    void *data[3];
} computation;

static void run(void *context) {
    computation *p = context;
    dnnl_primitive_execute(p->primitive, p->stream, 3, p->arg);
    dnnl_stream_wait(p->stream);
}

static void release(void *context) {
    computation *p = context;
    for (int i = 0; i < 3; i++) {
        if (p->arg[i].memory) dnnl_memory_destroy(p->arg[i].memory);
        free(p->data[i]);
    }
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
    if (p->stream) dnnl_stream_destroy(p->stream);
    if (p->engine) dnnl_engine_destroy(p->engine);
    free(p);
}

static computation *begin(void) {
    computation *p = calloc(1, sizeof *p);
    if (p && dnnl_engine_create(&p->engine, dnnl_cpu, 0) == dnnl_success &&
        dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags) == dnnl_success)
        return p;
    if (p) release(p);
    return NULL;
}

/* Memory for one operand in whatever layout the primitive chose. Plain random bits of small floats
 * in any layout: the values do not matter, only that they are no NaN or denormal. */
static bool give_memory(computation *p, int i, int argument, const dnnl_memory_desc_t *desc) {
    const int64_t bytes = (int64_t)dnnl_memory_desc_get_size(desc);
    p->data[i] = bench_random(REEL_BF16, bytes / 2, 0.5, 1);
    p->arg[i].arg = argument;
    return dnnl_memory_create(&p->arg[i].memory, desc, p->engine, p->data[i]) == dnnl_success;
}

/* Makes the peer from p and what was chosen for it (NULL: nothing was), operands as named, or
 * releases p. Takes both over. */
static bool finish(computation *p, dnnl_primitive_desc_t chosen, const dnnl_query_t query[3],
                   const int argument[3], bench_peer *peer) {
    bool ok = chosen && dnnl_primitive_create(&p->primitive, chosen) == dnnl_success;
    for (int i = 0; i < 3 && ok; i++)
        ok = give_memory(p, i, argument[i], dnnl_primitive_desc_query_md(chosen, query[i], 0));
    if (chosen) dnnl_primitive_desc_destroy(chosen);
    if (ok)
        *peer = (bench_peer){.run = run, .release = release, .context = p};
    else
        release(p);
    return ok;
}

/* ---- products ---- */

static dnnl_data_type_t type_of(reel_dtype dtype) {
    return dtype == REEL_F32 ? dnnl_f32 : dnnl_bf16;
}

static dnnl_memory_desc_t desc_of(int64_t rows, int64_t cols, reel_dtype dtype,
                                  dnnl_format_tag_t tag) {
    dnnl_memory_desc_t desc;
    dnnl_memory_desc_init_by_tag(&desc, 2, (dnnl_dims_t){rows, cols}, type_of(dtype), tag);
    return desc;
}

bool bench_onednn_product(int64_t M, int64_t N, int64_t K, bench_operand a, bench_operand b,
                          reel_dtype c, bool prepacked, bench_peer *peer) {
    const dnnl_memory_desc_t desc[3] = {desc_of(M, K, a.dtype, a.transposed ? dnnl_ba : dnnl_ab),
                                        desc_of(K, N, b.dtype,
                                                prepacked      ? dnnl_format_tag_any
                                                : b.transposed ? dnnl_ba
                                                               : dnnl_ab),
                                        desc_of(M, N, c, dnnl_ab)};
    computation *p = begin();
    if (!p) return false;
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_desc_t chosen = NULL;
    if (dnnl_matmul_desc_init(&matmul, &desc[0], &desc[1], NULL, &desc[2]) != dnnl_success ||
        dnnl_primitive_desc_create(&chosen, &matmul, NULL, p->engine, NULL) != dnnl_success)
        chosen = NULL;
    static const dnnl_query_t query[3] = {dnnl_query_src_md, dnnl_query_weights_md,
                                          dnnl_query_dst_md};
    static const int argument[3] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};
    return finish(p, chosen, query, argument, peer);
}

/* ---- convolutions ---- */

/* x, w and y of the forward convolution, and the primitive descriptor of the pass asked for. */
static dnnl_primitive_desc_t choose(const computation *p, const reel_call *c,
                                    dnnl_memory_desc_t desc[3]) {
    const reel_conv3d_size n = reel_conv3d_size_of(c);
    const bool forward = c->op == &reel_op_conv3d;
    const reel_conv3d_attr *a = forward ? c->attr : &((const reel_conv3d_grad_attr *)c->attr)->conv;
    const dnnl_dims_t stride = {a->stride[0], a->stride[1], a->stride[2]};
    const dnnl_dims_t lo = {n.n_front, a->pad_lo[1], a->pad_lo[2]};
    const dnnl_dims_t hi = {a->pad_hi[0], a->pad_hi[1], a->pad_hi[2]};
    dnnl_convolution_desc_t conv_desc;
    dnnl_primitive_desc_t hint = NULL, chosen = NULL;
    if (dnnl_convolution_forward_desc_init(&conv_desc, dnnl_forward_training,
                                           dnnl_convolution_direct, &desc[0], &desc[1], NULL,
                                           &desc[2], stride, lo, hi) != dnnl_success ||
        dnnl_primitive_desc_create(&hint, &conv_desc, NULL, p->engine, NULL) != dnnl_success)
        return NULL;
    if (forward) return hint;
    const dnnl_status_t made =
        c->op == &reel_op_conv3d_dx
            ? dnnl_convolution_backward_data_desc_init(&conv_desc, dnnl_convolution_direct,
                                                       &desc[0], &desc[1], &desc[2], stride, lo, hi)
            : dnnl_convolution_backward_weights_desc_init(&conv_desc, dnnl_convolution_direct,
                                                          &desc[0], &desc[1], NULL, &desc[2],
                                                          stride, lo, hi);
    if (made != dnnl_success ||
        dnnl_primitive_desc_create(&chosen, &conv_desc, NULL, p->engine, hint) != dnnl_success)
        chosen = NULL;
    dnnl_primitive_desc_destroy(hint);
    return chosen;
}

bool bench_onednn_conv(const bench *b, const reel_call *c, int variant, bench_peer *peer) {
    (void)b;
    if (variant > 1) return false;
    const reel_conv3d_size n = reel_conv3d_size_of(c);
    const int32_t layout = c->op == &reel_op_conv3d
                               ? ((const reel_conv3d_attr *)c->attr)->layout
                               : ((const reel_conv3d_grad_attr *)c->attr)->conv.layout;
    const dnnl_format_tag_t tag = variant == 0                        ? dnnl_format_tag_any
                                  : layout == REEL_GRID_CHANNELS_LAST ? dnnl_ndhwc
                                                                      : dnnl_ncdhw;
    const dnnl_data_type_t type = c->in[0].dtype == REEL_BF16 ? dnnl_bf16 : dnnl_f32;
    dnnl_memory_desc_t desc[3];
    dnnl_memory_desc_init_by_tag(&desc[0], 5, (dnnl_dims_t){n.B, n.C, n.in[0], n.in[1], n.in[2]},
                                 type, tag);
    dnnl_memory_desc_init_by_tag(&desc[1], 5,
                                 (dnnl_dims_t){n.O, n.C, n.kernel[0], n.kernel[1], n.kernel[2]},
                                 type, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&desc[2], 5, (dnnl_dims_t){n.B, n.O, n.out[0], n.out[1], n.out[2]},
                                 type, tag);
    computation *p = begin();
    if (!p) return false;
    static const dnnl_query_t query[3][3] = {
        {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
        {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
        {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md}};
    static const int argument[3][3] = {{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                       {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                                       {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    const int pass = c->op == &reel_op_conv3d ? 0 : c->op == &reel_op_conv3d_dx ? 1 : 2;
    return finish(p, choose(p, c, desc), query[pass], argument[pass], peer);
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

bool bench_onednn_conv(const bench *b, const reel_call *c, int variant, bench_peer *peer) {
    (void)b, (void)c, (void)variant, (void)peer;
    return false;
}
#endif
