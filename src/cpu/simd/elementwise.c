/* add, mul, combine, scale, lerp, cast: one pass over memory, in rows along which each operand
 * either moves or repeats.
 */
#include "ops/elementwise.h"

#include "cpu/simd/broadcast.h"
#include "cpu/simd/vec.h"

enum { CHUNK = 1 << 14 }; /* elements a task takes: 64 KiB of f32, a fraction of L2 */

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static const void *at(const reel_tensor *t, int64_t i) {
    return (const char *)t->data + i * reel_dtype_bytes(t->dtype);
}

/* Either an element that repeats or the next ones. */
VEC_INLINE vf operand(const void *p, int64_t i, bool moves, bool bf16) {
    if (moves) return vec_load(p, i, bf16);
    return vf_set(bf16 ? reel_bf16_to_f32(*(const reel_bf16 *)p) : *(const float *)p);
}
VEC_INLINE vf operand_part(const void *p, int64_t i, bool moves, bool bf16, int n) {
    return moves ? vec_load_part(p, i, bf16, n) : operand(p, i, false, bf16);
}

/* ---- add, mul, combine ---- */

enum { ADD, MUL, COMBINE };

VEC_INLINE vf apply(int op, vf a, vf b, const reel_binary_attr *attr) {
    if (op == ADD) return a + b;
    if (op == MUL) return a * b;
    return attr->p * a + attr->q * b;
}

typedef void span_fn(void *y, const void *a, const void *b, int64_t n,
                     const reel_binary_attr *attr);

VEC_INLINE void span(void *y, const void *a, const void *b, int64_t n, const reel_binary_attr *attr,
                     int op, bool a_moves, bool b_moves, const bool bf16[3]) {
    int64_t i = 0;
    for (; i + VF_N <= n; i += VF_N)
        vec_store(
            y, i, bf16[2],
            apply(op, operand(a, i, a_moves, bf16[0]), operand(b, i, b_moves, bf16[1]), attr));
    const int rest = (int)(n - i);
    if (rest)
        vec_store_part(y, i, bf16[2],
                       apply(op, operand_part(a, i, a_moves, bf16[0], rest),
                             operand_part(b, i, b_moves, bf16[1], rest), attr),
                       rest);
}

/* A loop for each op, each way of moving and each set of dtypes that the shape rule lets through:
 * letters are a, b and y. */
#define SPAN(op, moves, A, B, types, ...)                                                          \
    static void op##_##moves##_##types(void *y, const void *a, const void *b, int64_t n,           \
                                       const reel_binary_attr *attr) {                             \
        span(y, a, b, n, attr, op, A, B, (const bool[3]){__VA_ARGS__});                            \
    }
#define SPANS_OF_TYPES(op, moves, A, B)                                                            \
    SPAN(op, moves, A, B, fff, false, false, false)                                                \
    SPAN(op, moves, A, B, bff, true, false, false)                                                 \
    SPAN(op, moves, A, B, fbf, false, true, false)                                                 \
    SPAN(op, moves, A, B, bbf, true, true, false)                                                  \
    SPAN(op, moves, A, B, bbb, true, true, true)
#define SPANS(op)                                                                                  \
    SPANS_OF_TYPES(op, both, true, true)                                                           \
    SPANS_OF_TYPES(op, a, true, false)                                                             \
    SPANS_OF_TYPES(op, b, false, true)
SPANS(ADD)
SPANS(MUL)
SPANS(COMBINE)

#define ROW(op, moves)                                                                             \
    {                                                                                              \
        op##_##moves##_fff, op##_##moves##_bff, op##_##moves##_fbf, op##_##moves##_bbf,            \
            op##_##moves##_bbb                                                                     \
    }
#define TABLE(op)                                                                                  \
    { ROW(op, both), ROW(op, a), ROW(op, b) }
static span_fn *const spans[3][3][5] = {TABLE(ADD), TABLE(MUL), TABLE(COMBINE)};

typedef struct binary_work {
    const reel_call *c;
    broadcast walk;
    span_fn *span;
} binary_work;

static void binary_task(void *context, int64_t index, int lane) {
    (void)lane;
    const binary_work *k = context;
    const reel_call *c = k->c;
    const broadcast *w = &k->walk;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&c->out[0]));
    broadcast_row row = broadcast_row_at(w, from / w->dim[0]);
    int64_t column = from % w->dim[0];
    for (int64_t i = from; i < to; column = 0, broadcast_row_next(w, &row)) {
        const int64_t n = least(w->dim[0] - column, to - i);
        reel_tensor y = c->out[0];
        y.data = (char *)y.data + i * reel_dtype_bytes(y.dtype);
        k->span(y.data, at(&c->in[0], row.offset[0] + column * w->step[0][0]),
                at(&c->in[1], row.offset[1] + column * w->step[1][0]), n, c->attr);
        i += n;
    }
}

static void binary_run(const reel_call *c, int op) {
    const bool a = c->in[0].dtype == REEL_BF16, b = c->in[1].dtype == REEL_BF16;
    const int types = c->out[0].dtype == REEL_BF16 ? 4 : a + 2 * b;
    binary_work k = {.c = c,
                     .walk = broadcast_of(&c->out[0].shape, &c->in[0].shape, &c->in[1].shape)};
    const int moves = !k.walk.step[0][0] ? 2 : !k.walk.step[1][0] ? 1 : 0;
    const bool one_row = k.walk.rank == 1 && k.walk.dim[0] == 1;
    k.span = spans[op][one_row ? 0 : moves][types];
    reel_parallel_for(c->threads, (reel_tensor_count(&c->out[0]) + CHUNK - 1) / CHUNK, binary_task,
                      &k);
}
static void add_run(const reel_call *c) {
    binary_run(c, ADD);
}
static void mul_run(const reel_call *c) {
    binary_run(c, MUL);
}
static void combine_run(const reel_call *c) {
    binary_run(c, COMBINE);
}

static const char *refuse_f16(const reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].dtype == REEL_F16) return "an operand is f16";
    return c->out[0].dtype == REEL_F16 ? "the result is f16" : NULL;
}

/* ---- lerp: a and b move, t may repeat ---- */

VEC_INLINE void lerp_span(const reel_call *c, int64_t i, int64_t t_at, int64_t n, bool t_moves,
                          const bool bf16[4]) {
    const int64_t a_bytes = bf16[0] ? 2 : 4, b_bytes = bf16[1] ? 2 : 4, y_bytes = bf16[3] ? 2 : 4;
    const char *a = (const char *)c->in[0].data + i * a_bytes;
    const char *b = (const char *)c->in[1].data + i * b_bytes;
    const void *t = at(&c->in[2], t_at);
    char *y = (char *)c->out[0].data + i * y_bytes;
    int64_t j = 0;
    for (; j + VF_N <= n; j += VF_N) {
        const vf from = vec_load(a, j, bf16[0]), to = vec_load(b, j, bf16[1]);
        vec_store(y, j, bf16[3], from + operand(t, j, t_moves, bf16[2]) * (to - from));
    }
    const int rest = (int)(n - j);
    if (!rest) return;
    const vf from = vec_load_part(a, j, bf16[0], rest), to = vec_load_part(b, j, bf16[1], rest);
    const vf step = operand_part(t, j, t_moves, bf16[2], rest) * (to - from);
    vec_store_part(y, j, bf16[3], from + step, rest);
}

static void lerp_task(void *context, int64_t index, int lane) {
    (void)lane;
    const binary_work *k = context;
    const reel_call *c = k->c;
    const broadcast *w = &k->walk;
    const bool bf16[4] = {c->in[0].dtype == REEL_BF16, c->in[1].dtype == REEL_BF16,
                          c->in[2].dtype == REEL_BF16, c->out[0].dtype == REEL_BF16};
    const bool all_f32 = !bf16[0] && !bf16[1] && !bf16[2], t_moves = w->step[1][0] != 0;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&c->out[0]));
    broadcast_row row = broadcast_row_at(w, from / w->dim[0]);
    int64_t column = from % w->dim[0];
    for (int64_t i = from; i < to; column = 0, broadcast_row_next(w, &row)) {
        const int64_t n = least(w->dim[0] - column, to - i);
        const int64_t t_at = row.offset[1] + column * w->step[1][0];
        if (all_f32 && t_moves)
            lerp_span(c, i, t_at, n, true, (const bool[4]){false});
        else if (all_f32)
            lerp_span(c, i, t_at, n, false, (const bool[4]){false});
        else
            lerp_span(c, i, t_at, n, t_moves, bf16);
        i += n;
    }
}

static void lerp_run(const reel_call *c) {
    binary_work k = {.c = c,
                     .walk = broadcast_of(&c->out[0].shape, &c->in[0].shape, &c->in[2].shape)};
    reel_parallel_for(c->threads, (reel_tensor_count(&c->out[0]) + CHUNK - 1) / CHUNK, lerp_task,
                      &k);
}

/* ---- scale ---- */

VEC_INLINE void scale_span(const reel_call *c, int64_t from, int64_t to, bool x_bf16, bool y_bf16) {
    const reel_scale_attr *attr = c->attr;
    const vf factor = vf_set(attr->factor), offset = vf_set(attr->offset);
    const void *x = c->in[0].data;
    void *y = c->out[0].data;
    int64_t i = from;
    for (; i + VF_N <= to; i += VF_N)
        vec_store(y, i, y_bf16, factor * vec_load(x, i, x_bf16) + offset);
    const int rest = (int)(to - i);
    if (rest)
        vec_store_part(y, i, y_bf16, factor * vec_load_part(x, i, x_bf16, rest) + offset, rest);
}

static void scale_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = ((const binary_work *)context)->c;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&c->out[0]));
    const bool x = c->in[0].dtype == REEL_BF16, y = c->out[0].dtype == REEL_BF16;
    if (x && y)
        scale_span(c, from, to, true, true);
    else if (x)
        scale_span(c, from, to, true, false);
    else if (y)
        scale_span(c, from, to, false, true);
    else
        scale_span(c, from, to, false, false);
}

static void scale_run(const reel_call *c) {
    binary_work k = {.c = c};
    reel_parallel_for(c->threads, (reel_tensor_count(&c->out[0]) + CHUNK - 1) / CHUNK, scale_task,
                      &k);
}

/* ---- cast ---- */

VEC_INLINE vf any_load(const void *p, int64_t i, reel_dtype dtype, int n) {
    if (dtype == REEL_F16) return vf_load_f16_part((const reel_f16 *)p + i, n);
    if (n == VF_N) return vec_load(p, i, dtype == REEL_BF16);
    return vec_load_part(p, i, dtype == REEL_BF16, n);
}
VEC_INLINE void any_store(void *p, int64_t i, reel_dtype dtype, vf x, int n) {
    if (dtype == REEL_F16)
        vf_store_f16_part((reel_f16 *)p + i, x, n);
    else if (n == VF_N)
        vec_store(p, i, dtype == REEL_BF16, x);
    else
        vec_store_part(p, i, dtype == REEL_BF16, x, n);
}

VEC_INLINE void cast_span(const reel_call *c, int64_t from, int64_t to, reel_dtype x,
                          reel_dtype y) {
    int64_t i = from;
    for (; i + VF_N <= to; i += VF_N)
        any_store(c->out[0].data, i, y, any_load(c->in[0].data, i, x, VF_N), VF_N);
    const int rest = (int)(to - i);
    if (rest) any_store(c->out[0].data, i, y, any_load(c->in[0].data, i, x, rest), rest);
}

static void cast_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = ((const binary_work *)context)->c;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&c->out[0]));
    const reel_dtype x = c->in[0].dtype, y = c->out[0].dtype;
    if (x == REEL_F32 && y == REEL_BF16)
        cast_span(c, from, to, REEL_F32, REEL_BF16);
    else if (x == REEL_F32)
        cast_span(c, from, to, REEL_F32, REEL_F16);
    else if (x == REEL_BF16 && y == REEL_F32)
        cast_span(c, from, to, REEL_BF16, REEL_F32);
    else if (x == REEL_BF16)
        cast_span(c, from, to, REEL_BF16, REEL_F16);
    else if (y == REEL_F32)
        cast_span(c, from, to, REEL_F16, REEL_F32);
    else
        cast_span(c, from, to, REEL_F16, REEL_BF16);
}

static void cast_run(const reel_call *c) {
    binary_work k = {.c = c};
    reel_parallel_for(c->threads, (reel_tensor_count(&c->out[0]) + CHUNK - 1) / CHUNK, cast_task,
                      &k);
}

static const char *refuse_integers(const reel_call *c) {
    const bool both = reel_dtype_is_float(c->in[0].dtype) && reel_dtype_is_float(c->out[0].dtype);
    if (c->in[0].dtype == c->out[0].dtype) return "x has the dtype already";
    return both ? NULL : "x or y is of an integer type";
}

void REEL_ISA_NAME(reel_cpu_register_elementwise)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_elementwise)(reel_kernel_table *table) {
    static const reel_kernel add = {
        .name = "add." REEL_ISA_TEXT, .refuse = refuse_f16, .run = add_run};
    static const reel_kernel mul = {
        .name = "mul." REEL_ISA_TEXT, .refuse = refuse_f16, .run = mul_run};
    static const reel_kernel combine = {
        .name = "combine." REEL_ISA_TEXT, .refuse = refuse_f16, .run = combine_run};
    static const reel_kernel scale = {
        .name = "scale." REEL_ISA_TEXT, .refuse = refuse_f16, .run = scale_run};
    static const reel_kernel lerp = {
        .name = "lerp." REEL_ISA_TEXT, .refuse = refuse_f16, .run = lerp_run};
    static const reel_kernel cast = {
        .name = "cast." REEL_ISA_TEXT, .refuse = refuse_integers, .run = cast_run};
    reel_kernel_table_add(table, &reel_op_add, &add);
    reel_kernel_table_add(table, &reel_op_mul, &mul);
    reel_kernel_table_add(table, &reel_op_combine, &combine);
    reel_kernel_table_add(table, &reel_op_scale, &scale);
    reel_kernel_table_add(table, &reel_op_lerp, &lerp);
    reel_kernel_table_add(table, &reel_op_cast, &cast);
}
