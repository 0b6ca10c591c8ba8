/* activation and its gradient: one pass over memory. */
#include "cpu/simd/activation.h"

#include "ops/ops.h"

enum { CHUNK = 1 << 14 }; /* elements a task takes: 64 KiB of f32, a fraction of L2 */

VEC_INLINE void forward(const reel_call *c, int64_t from, int64_t to, reel_activation f,
                        bool bf16) {
    int64_t i = from;
    for (; i + VF_N <= to; i += VF_N)
        vec_store(c->out[0].data, i, bf16, vec_activation(f, vec_load(c->in[0].data, i, bf16)));
    const int rest = (int)(to - i);
    if (rest)
        vec_store_part(c->out[0].data, i, bf16,
                       vec_activation(f, vec_load_part(c->in[0].data, i, bf16, rest)), rest);
}

VEC_INLINE void forward_any(const reel_call *c, int64_t from, int64_t to, reel_activation f) {
    if (c->in[0].dtype == REEL_BF16)
        forward(c, from, to, f, true);
    else
        forward(c, from, to, f, false);
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static void forward_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const reel_activation_attr *attr = c->attr;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&c->in[0]));
#define CALL(f) forward_any(c, from, to, f)
    VEC_WITH_ACTIVATION(attr->act, CALL)
#undef CALL
}

static void activation_run(const reel_call *c) {
    reel_call copy = *c;
    reel_parallel_for(c->threads, (reel_tensor_count(&c->in[0]) + CHUNK - 1) / CHUNK, forward_task,
                      &copy);
}

static const char *refuse_other_dtypes(const reel_call *c) {
    return c->in[0].dtype == REEL_F16 ? "x is f16" : NULL;
}

/* ---- gradient ---- */

VEC_INLINE void backward(const reel_call *c, int64_t from, int64_t to, reel_activation f,
                         const bool bf16[3]) {
    int64_t i = from;
    for (; i + VF_N <= to; i += VF_N)
        vec_store(c->out[0].data, i, bf16[2],
                  vec_activation_slope(f, vec_load(c->in[0].data, i, bf16[0])) *
                      vec_load(c->in[1].data, i, bf16[1]));
    const int rest = (int)(to - i);
    if (rest)
        vec_store_part(c->out[0].data, i, bf16[2],
                       vec_activation_slope(f, vec_load_part(c->in[0].data, i, bf16[0], rest)) *
                           vec_load_part(c->in[1].data, i, bf16[1], rest),
                       rest);
}

/* The dtypes that occur often get loops of their own; mixed ones share one with branches. */
VEC_INLINE void backward_any(const reel_call *c, int64_t from, int64_t to, reel_activation f) {
    const bool bf16[3] = {c->in[0].dtype == REEL_BF16, c->in[1].dtype == REEL_BF16,
                          c->out[0].dtype == REEL_BF16};
    if (bf16[0] && bf16[1] && bf16[2])
        backward(c, from, to, f, (const bool[3]){true, true, true});
    else if (!bf16[0] && !bf16[1] && !bf16[2])
        backward(c, from, to, f, (const bool[3]){false, false, false});
    else
        backward(c, from, to, f, bf16);
}

static void backward_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const reel_activation_attr *attr = c->attr;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&c->in[0]));
#define CALL(f) backward_any(c, from, to, f)
    VEC_WITH_ACTIVATION(attr->act, CALL)
#undef CALL
}

static void activation_backward_run(const reel_call *c) {
    reel_call copy = *c;
    reel_parallel_for(c->threads, (reel_tensor_count(&c->in[0]) + CHUNK - 1) / CHUNK, backward_task,
                      &copy);
}

static const char *refuse_other_dtypes_backward(const reel_call *c) {
    if (c->in[0].dtype == REEL_F16 || c->in[1].dtype == REEL_F16) return "an operand is f16";
    return c->out[0].dtype == REEL_F16 ? "dx is f16" : NULL;
}

void REEL_ISA_NAME(reel_cpu_register_activation)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_activation)(reel_kernel_table *table) {
    static const reel_kernel forward_kernel = {
        .name = "activation." REEL_ISA_TEXT, .refuse = refuse_other_dtypes, .run = activation_run};
    static const reel_kernel backward_kernel = {.name = "activation_backward." REEL_ISA_TEXT,
                                                .refuse = refuse_other_dtypes_backward,
                                                .run = activation_backward_run};
    reel_kernel_table_add(table, &reel_op_activation, &forward_kernel);
    reel_kernel_table_add(table, &reel_op_activation_backward, &backward_kernel);
}
