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

#if REEL_ISA_LEVEL >= 4
/* bf16 alone, 32 elements at once: those at even places and those at odd ones are each one
 * instruction away, and two vectors are rounded together. Memory is asked for 1 KiB ahead (9216 x
 * 1152 on one core: 5.9 -> 4.8 ms; storing past the caches gained nothing). */
VEC_INLINE void backward_bf16(const reel_call *c, int64_t from, int64_t to, reel_activation f) {
    static const uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                       21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                       11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const reel_bf16 *x = c->in[0].data, *dy = c->in[1].data;
    reel_bf16 *dx = c->out[0].data;
    const __m512i places = _mm512_loadu_si512(order);
    const vu high = (vu){0} + 0xffff0000u;
    for (int64_t i = from; i < to; i += 2 * VF_N) {
        const __mmask32 some =
            to - i < 2 * VF_N ? (__mmask32)((1u << (to - i)) - 1) : (__mmask32)0xffffffffu;
        vec_prefetch(x, i + 512, true);
        vec_prefetch(dy, i + 512, true);
        const vu a = (vu)_mm512_maskz_loadu_epi16(some, x + i);
        const vu b = (vu)_mm512_maskz_loadu_epi16(some, dy + i);
        const vf even = vec_activation_slope(f, (vf)(a << 16)) * (vf)(b << 16);
        const vf odd = vec_activation_slope(f, (vf)(a & high)) * (vf)(b & high);
        const __m512bh both = _mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
        _mm512_mask_storeu_epi16(dx + i, some, _mm512_permutexvar_epi16(places, (__m512i)both));
    }
}
#endif

/* The dtypes that occur often get loops of their own; mixed ones share one with branches. */
VEC_INLINE void backward_any(const reel_call *c, int64_t from, int64_t to, reel_activation f) {
    const bool bf16[3] = {c->in[0].dtype == REEL_BF16, c->in[1].dtype == REEL_BF16,
                          c->out[0].dtype == REEL_BF16};
    if (bf16[0] && bf16[1] && bf16[2])
#if REEL_ISA_LEVEL >= 4
        backward_bf16(c, from, to, f);
#else
        backward(c, from, to, f, (const bool[3]){true, true, true});
#endif
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
