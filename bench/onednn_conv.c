#include "onednn_conv.h"

#if REEL_DNNL
#include <dnnl.h>
#include <stdlib.h>

#include "ops/conv3d.h"

typedef struct conv {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arg[3];
    void *data[3];
} conv;

static void conv_run(void *context) {
    conv *p = context;
    dnnl_primitive_execute(p->primitive, p->stream, 3, p->arg);
    dnnl_stream_wait(p->stream);
}

static void conv_release(void *context) {
    conv *p = context;
    for (int i = 0; i < 3; i++) {
        if (p->arg[i].memory) dnnl_memory_destroy(p->arg[i].memory);
        free(p->data[i]);
    }
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
    if (p->stream) dnnl_stream_destroy(p->stream);
    if (p->engine) dnnl_engine_destroy(p->engine);
    free(p);
}

/* Memory for one operand in whatever layout the primitive chose; the values do not matter. */
static bool give_memory(conv *p, int i, int argument, const dnnl_memory_desc_t *desc) {
    const int64_t bytes = (int64_t)dnnl_memory_desc_get_size(desc);
    p->data[i] = bench_random(REEL_BF16, bytes / 2, 0.5, 1);
    p->arg[i].arg = argument;
    return dnnl_memory_create(&p->arg[i].memory, desc, p->engine, p->data[i]) == dnnl_success;
}

/* x, w and y of the forward convolution, and the primitive descriptor of the pass asked for. */
static dnnl_primitive_desc_t choose(const conv *p, const reel_call *c, dnnl_memory_desc_t desc[3]) {
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

static bool conv_init(conv *p, const reel_call *c, dnnl_memory_desc_t desc[3]) {
    static const dnnl_query_t query[3][3] = {
        {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
        {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
        {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md}};
    static const int argument[3][3] = {{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                       {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                                       {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    const int pass = c->op == &reel_op_conv3d ? 0 : c->op == &reel_op_conv3d_dx ? 1 : 2;
    if (dnnl_engine_create(&p->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags) != dnnl_success)
        return false;
    dnnl_primitive_desc_t chosen = choose(p, c, desc);
    if (!chosen) return false;
    bool ok = dnnl_primitive_create(&p->primitive, chosen) == dnnl_success;
    for (int i = 0; i < 3 && ok; i++)
        ok = give_memory(p, i, argument[pass][i],
                         dnnl_primitive_desc_query_md(chosen, query[pass][i], 0));
    dnnl_primitive_desc_destroy(chosen);
    return ok;
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
    conv *p = calloc(1, sizeof *p);
    if (!p) return false;
    if (!conv_init(p, c, desc)) {
        conv_release(p);
        return false;
    }
    *peer = (bench_peer){.run = conv_run, .release = conv_release, .context = p};
    return true;
}

#else

bool bench_onednn_conv(const bench *b, const reel_call *c, int variant, bench_peer *peer) {
    (void)b, (void)c, (void)variant, (void)peer;
    return false;
}
#endif
