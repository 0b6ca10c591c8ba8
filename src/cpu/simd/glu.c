/* Gated units and their gradient: one pass over memory. */
#include "ops/glu.h"

#include "cpu/simd/activation.h"
#include "cpu/simd/vec.h"

enum { CHUNK = 1 << 14 }; /* elements of the result that a task takes */

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Rows of C elements; gate and value lie `stride` apart from row to row, at these offsets. */
typedef struct halves {
    const reel_call *c;
    const reel_tensor *gate, *value;
    const reel_tensor *dgate, *dvalue; /* backward */
    int64_t n, C, stride, gate_at, value_at;
} halves;

static halves halves_of(const reel_call *c, const reel_tensor *y) {
    const reel_glu_attr *attr = c->attr;
    const int64_t n = reel_tensor_count(y), C = reel_shape_last(&y->shape);
    if (attr->halves == REEL_GLU_APART)
        return (halves){.c = c,
                        .gate = &c->in[0],
                        .value = &c->in[1],
                        .dgate = &c->out[0],
                        .dvalue = &c->out[1],
                        .n = n,
                        .C = n,
                        .stride = n};
    const bool gate_first = attr->halves == REEL_GLU_GATE_FIRST;
    return (halves){.c = c,
                    .gate = &c->in[0],
                    .value = &c->in[0],
                    .dgate = &c->out[0],
                    .dvalue = &c->out[0],
                    .n = n,
                    .C = C,
                    .stride = 2 * C,
                    .gate_at = gate_first ? 0 : C,
                    .value_at = gate_first ? C : 0};
}

static bool is_bf16(const reel_tensor *t) {
    return t->dtype == REEL_BF16;
}

/* bf16: gate, value, y */
VEC_INLINE void forward_span(const halves *h, int64_t gate, int64_t value, int64_t y, int64_t n,
                             reel_activation f, const bool bf16[3]) {
    for (int64_t i = 0; i < n; i += VF_N) {
        const int part = (int)least(VF_N, n - i);
        if (part == VF_N)
            vec_store(h->c->out[0].data, y + i, bf16[2],
                      vec_activation(f, vec_load(h->gate->data, gate + i, bf16[0])) *
                          vec_load(h->value->data, value + i, bf16[1]));
        else
            vec_store_part(
                h->c->out[0].data, y + i, bf16[2],
                vec_activation(f, vec_load_part(h->gate->data, gate + i, bf16[0], part)) *
                    vec_load_part(h->value->data, value + i, bf16[1], part),
                part);
    }
}

VEC_INLINE void forward_types(const halves *h, int64_t gate, int64_t value, int64_t y, int64_t n,
                              reel_activation f) {
    const bool bf16[3] = {is_bf16(h->gate), is_bf16(h->value), is_bf16(&h->c->out[0])};
    if (bf16[0] && bf16[1] && bf16[2])
        forward_span(h, gate, value, y, n, f, (const bool[3]){true, true, true});
    else if (!bf16[0] && !bf16[1] && !bf16[2])
        forward_span(h, gate, value, y, n, f, (const bool[3]){false, false, false});
    else
        forward_span(h, gate, value, y, n, f, bf16);
}

/* bf16: gate, value, dy, dgate, dvalue */
VEC_INLINE void backward_span(const halves *h, int64_t gate, int64_t value, int64_t y, int64_t n,
                              reel_activation f, const bool bf16[5]) {
    void *dgate = h->dgate->data, *dvalue = h->dvalue->data;
    for (int64_t i = 0; i < n; i += VF_N) {
        const int part = (int)least(VF_N, n - i);
        const vf a = vec_load_part(h->gate->data, gate + i, bf16[0], part);
        const vf b = vec_load_part(h->value->data, value + i, bf16[1], part);
        const vf dy = vec_load_part(h->c->in[2].data, y + i, bf16[2], part);
        if (dgate)
            vec_store_part(dgate, gate + i, bf16[3], vec_activation_slope(f, a) * b * dy, part);
        if (dvalue) vec_store_part(dvalue, value + i, bf16[4], vec_activation(f, a) * dy, part);
    }
}

VEC_INLINE void backward_types(const halves *h, int64_t gate, int64_t value, int64_t y, int64_t n,
                               reel_activation f) {
    const bool bf16[5] = {is_bf16(h->gate), is_bf16(h->value), is_bf16(&h->c->in[2]),
                          is_bf16(h->dgate), is_bf16(h->dvalue)};
    const int count = bf16[0] + bf16[1] + bf16[2] + bf16[3] + bf16[4];
    if (count == 5)
        backward_span(h, gate, value, y, n, f, (const bool[5]){true, true, true, true, true});
    else if (count == 0)
        backward_span(h, gate, value, y, n, f, (const bool[5]){false});
    else
        backward_span(h, gate, value, y, n, f, bf16);
}

/* Calls walk_types for every row of the task's stretch of results, with the activation constant. */
#define BY_ACTIVATION(types, ...)                                                                  \
    switch ((reel_activation)((const reel_glu_attr *)h->c->attr)->act) {                           \
    case REEL_ACT_GELU_TANH:                                                                       \
        types(__VA_ARGS__, REEL_ACT_GELU_TANH);                                                    \
        break;                                                                                     \
    case REEL_ACT_GELU_ERF:                                                                        \
        types(__VA_ARGS__, REEL_ACT_GELU_ERF);                                                     \
        break;                                                                                     \
    case REEL_ACT_SILU:                                                                            \
        types(__VA_ARGS__, REEL_ACT_SILU);                                                         \
        break;                                                                                     \
    default:                                                                                       \
        types(__VA_ARGS__, REEL_ACT_NONE);                                                         \
    }

VEC_INLINE void walk(const halves *h, int64_t index, bool backward) {
    const int64_t to = least((index + 1) * CHUNK, h->n);
    for (int64_t i = index * CHUNK; i < to;) {
        const int64_t row = i / h->C, column = i % h->C, n = least(h->C - column, to - i);
        const int64_t gate = row * h->stride + h->gate_at + column;
        const int64_t value = row * h->stride + h->value_at + column;
        if (backward) {
            BY_ACTIVATION(backward_types, h, gate, value, i, n)
        } else {
            BY_ACTIVATION(forward_types, h, gate, value, i, n)
        }
        i += n;
    }
}

static void forward_task(void *context, int64_t index, int lane) {
    (void)lane;
    walk(context, index, false);
}
static void backward_task(void *context, int64_t index, int lane) {
    (void)lane;
    walk(context, index, true);
}

static void glu_run(const reel_call *c) {
    halves h = halves_of(c, &c->out[0]);
    reel_parallel_for(c->threads, (h.n + CHUNK - 1) / CHUNK, forward_task, &h);
}
static void glu_backward_run(const reel_call *c) {
    halves h = halves_of(c, &c->in[2]);
    reel_parallel_for(c->threads, (h.n + CHUNK - 1) / CHUNK, backward_task, &h);
}

static const char *refuse_f16(const reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].dtype == REEL_F16) return "an operand is f16";
    for (int i = 0; i < c->n_out; i++)
        if (c->out[i].dtype == REEL_F16) return "a result is f16";
    return NULL;
}

void REEL_ISA_NAME(reel_cpu_register_glu)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_glu)(reel_kernel_table *table) {
    static const reel_kernel forward = {
        .name = "glu." REEL_ISA_TEXT, .refuse = refuse_f16, .run = glu_run};
    static const reel_kernel backward = {
        .name = "glu_backward." REEL_ISA_TEXT, .refuse = refuse_f16, .run = glu_backward_run};
    reel_kernel_table_add(table, &reel_op_glu, &forward);
    reel_kernel_table_add(table, &reel_op_glu_backward, &backward);
}
