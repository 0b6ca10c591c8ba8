/* linear_q8: products of bytes with a scale for each 32 of them.
 *
 * x is rounded to bytes once. A task takes some panels of VF_N * NV outputs, packs their weights so
 * that a vector holds 4 inputs of VF_N outputs, and runs all its rows past them, ROWS at a time: 8
 * dot products of 4 bytes fill a block's integer sums, which then go into f32 sums with both
 * scales. Sums run along I in one order. Where the level multiplies unsigned by signed bytes only
 * (vpdpbusd), x is held with 128 added and the sums start at -128 times the sum of the weights.
 * docs/performance.md has its rates beside bf16.
 */
#include "ops/linear_q8.h"

#include "cpu/simd/activation.h"
#include "tensor/q8.h"

#define HAS_DOT (REEL_ISA_LEVEL >= 3) /* vpdpbusd */

enum {
    NV = 2,
    ROWS = REEL_ISA_LEVEL >= 2 ? 6 : 2, /* sums in integers and f32, and there are 32 registers */
    PANEL = VF_N * NV,
    STEPS = REEL_Q8_VALUES / 4,
    GROUP_BYTES = VF_N * (REEL_Q8_VALUES + 8), /* a block of VF_N outputs: bytes, starts, scales */
    BLOCK_BYTES = GROUP_BYTES * NV,
    TASK_BYTES = 512 << 10, /* weights a task packs: they stay in the second cache */
    MAX_PANELS = 4,
    TASK_ROWS = 170 * 6, /* packing costs a few rows' time, so it pays to have many */
    QUANTISE_ROWS = 8,
};

typedef struct product {
    const reel_call *c;
    int64_t R, I, O, n_blocks;
    int64_t n_panels; /* of a task */
    int64_t n_column_tasks;
    uint8_t *q;   /* [R,I] */
    float *scale; /* [R,n_blocks] */
    char *packed; /* [lanes] [n_panels,n_blocks] of BLOCK_BYTES */
} product;

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static product product_of(const reel_call *c) {
    const reel_shape *x = &c->in[0].shape, *w = &c->in[1].shape;
    product p = {.c = c,
                 .R = reel_shape_span(x, 0, x->rank - 1),
                 .I = w->dim[1],
                 .O = w->dim[0],
                 .n_blocks = w->dim[1] / REEL_Q8_VALUES};
    const int64_t panel_bytes = p.n_blocks * BLOCK_BYTES + 1;
    p.n_panels = TASK_BYTES / panel_bytes;
    p.n_panels = p.n_panels < 1 ? 1 : p.n_panels > MAX_PANELS ? MAX_PANELS : p.n_panels;
    p.n_column_tasks = divide_up(p.O, p.n_panels * PANEL);
    const int64_t q_bytes = divide_up(p.R * p.I, REEL_ALIGN) * REEL_ALIGN;
    const int64_t scale_bytes = divide_up(p.R * p.n_blocks * 4, REEL_ALIGN) * REEL_ALIGN;
    p.q = c->scratch;
    if (c->scratch) {
        p.scale = (float *)(void *)((char *)c->scratch + q_bytes);
        p.packed = (char *)c->scratch + q_bytes + scale_bytes;
    }
    return p;
}

static int64_t scratch(const reel_call *c, int n_lanes) {
    const product p = product_of(c);
    return divide_up(p.R * p.I, REEL_ALIGN) * REEL_ALIGN +
           divide_up(p.R * p.n_blocks * 4, REEL_ALIGN) * REEL_ALIGN +
           n_lanes * p.n_panels * p.n_blocks * BLOCK_BYTES;
}

/* ---- x in bytes ---- */

typedef int8_t vq __attribute__((vector_size(VF_N)));

/* The integers nearest to x, ties to even; written so that no product before it can join in. */
VEC_INLINE vi nearest(vf x) {
#if REEL_ISA_LEVEL >= 2
    return (vi)_mm512_cvtps_epi32((__m512)x);
#elif REEL_ISA_LEVEL == 1
    return (vi)_mm256_cvtps_epi32((__m256)x);
#else
    vi y;
    for (int i = 0; i < VF_N; i++)
        y[i] = (int32_t)__builtin_lrintf(x[i]);
    return y;
#endif
}

/* As reel_q8_round. Magnitudes are compared as integers, so that what is not finite is largest. */
VEC_INLINE float quantise_block(const void *x, int64_t at, bool bf16, uint8_t *q) {
    enum { N = REEL_Q8_VALUES / VF_N };
    vf v[N];
    vi most = {0};
    for (int i = 0; i < N; i++) {
        v[i] = vec_load(x, at + i * VF_N, bf16);
        const vi magnitude = (vi)v[i] & vi_set(0x7fffffff);
        const vi greater = magnitude > most;
        most = (magnitude & greater) | (most & ~greater);
    }
    int32_t bits = 0;
    for (int i = 0; i < VF_N; i++)
        bits = most[i] > bits ? most[i] : bits;
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    const bool finite = bits < 0x7f800000;
    const float factor = finite && largest > 1e-36f ? 127.0f / largest : 0.0f;
    for (int i = 0; i < N; i++) {
        vi n = finite ? nearest(v[i] * factor) : (vi){0};
        if (HAS_DOT) n ^= vi_set(0x80);
        const vq bytes = __builtin_convertvector(n, vq);
        memcpy(q + i * VF_N, &bytes, sizeof bytes);
    }
    return finite ? largest / 127.0f : __builtin_nanf("");
}

static void quantise_task(void *context, int64_t index, int lane) {
    (void)lane;
    const product *p = context;
    const reel_tensor *x = &p->c->in[0];
    const int64_t first = index * QUANTISE_ROWS;
    const int64_t end = first + QUANTISE_ROWS < p->R ? first + QUANTISE_ROWS : p->R;
    for (int64_t k = first * p->n_blocks; k < end * p->n_blocks; k++) {
        const int64_t at = k * REEL_Q8_VALUES;
        p->scale[k] = x->dtype == REEL_BF16 ? quantise_block(x->data, at, true, p->q + at)
                                            : quantise_block(x->data, at, false, p->q + at);
    }
}

/* ---- dot products of bytes ---- */

/* x: 4 bytes in every lane. */
VEC_INLINE vi dot(vi sum, vi x, vi w) {
#if REEL_ISA_LEVEL >= 3
    return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
#elif REEL_ISA_LEVEL == 2
    /* |x| times w with the sign of x: two products of at most 127 * 127 fit into 16 bits */
    const __m512i a = _mm512_abs_epi8((__m512i)x);
    const __m512i b = _mm512_mask_sub_epi8((__m512i)w, _mm512_movepi8_mask((__m512i)x),
                                           _mm512_setzero_si512(), (__m512i)w);
    const __m512i pairs = _mm512_maddubs_epi16(a, b);
    return sum + (vi)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
#elif REEL_ISA_LEVEL == 1
    const __m256i pairs =
        _mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)x), _mm256_sign_epi8((__m256i)w, (__m256i)x));
    return sum + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#else
    for (int shift = 24; shift >= 0; shift -= 8) /* the byte on top, with its sign */
        sum += ((vi)((vu)x << shift) >> 24) * ((vi)((vu)w << shift) >> 24);
    return sum;
#endif
}

/* ---- packing ---- */

/* Block k of VF_N outputs from o on: STEPS vectors of bytes, where the sums start, the scales. */
VEC_INLINE void pack_group(const product *p, int64_t o, int64_t k, char *to) {
    const reel_q8_block *w = p->c->in[1].data;
    const int64_t n = p->O - o < VF_N ? p->O - o : VF_N;
    reel_f16 scale[VF_N] = {0};
    if (n < VF_N) memset(to, 0, GROUP_BYTES);
    for (int64_t l = 0; l < n; l++) {
        const reel_q8_block *b = &w[(o + l) * p->n_blocks + k];
        scale[l] = b->scale;
        for (int s = 0; s < STEPS; s++)
            memcpy(to + (s * VF_N + l) * 4, b->q + 4 * s, 4);
    }
    vi start = {0};
    for (int s = 0; HAS_DOT && s < STEPS; s++) {
        vi bytes;
        memcpy(&bytes, to + s * VF_N * 4, sizeof bytes);
        start = dot(start, vi_set((int32_t)0x80808080), bytes);
    }
    start = (vi){0} - start;
    memcpy(to + STEPS * VF_N * 4, &start, sizeof start);
    vf_store((float *)(void *)(to + (STEPS + 1) * VF_N * 4), vf_load_f16_part(scale, VF_N));
}

static void pack_panel(const product *p, int64_t o, char *to) {
    for (int64_t k = 0; k < p->n_blocks; k++)
        for (int v = 0; v < NV; v++, to += GROUP_BYTES)
            if (o + v * VF_N < p->O)
                pack_group(p, o + v * VF_N, k, to);
            else
                memset(to, 0, GROUP_BYTES);
}

/* ---- rows times a panel ---- */

VEC_INLINE void multiply_block(const uint8_t *q, int64_t stride, const char *w, int rows,
                               vi sum[ROWS][NV]) {
#pragma GCC unroll 8
    for (int m = 0; m < rows; m++)
#pragma GCC unroll 8
        for (int v = 0; v < NV; v++)
            memcpy(&sum[m][v], w + v * GROUP_BYTES + STEPS * VF_N * 4, sizeof sum[m][v]);
#pragma GCC unroll 8
    for (int s = 0; s < STEPS; s++) {
        vi bytes[NV];
#pragma GCC unroll 8
        for (int v = 0; v < NV; v++)
            memcpy(&bytes[v], w + v * GROUP_BYTES + s * VF_N * 4, sizeof bytes[v]);
#pragma GCC unroll 8
        for (int m = 0; m < rows; m++) {
            int32_t four;
            memcpy(&four, q + m * stride + 4 * s, 4);
            const vi x = vi_set(four);
#pragma GCC unroll 8
            for (int v = 0; v < NV; v++)
                sum[m][v] = dot(sum[m][v], x, bytes[v]);
        }
    }
}

/* rows <= ROWS is a constant at the call. */
VEC_INLINE void multiply(const product *p, int64_t r, const char *w, int rows, vf acc[ROWS][NV]) {
    const uint8_t *q = p->q + r * p->I;
    const float *scale = p->scale + r * p->n_blocks;
    vf total[ROWS][NV] = {{{0}}};
    for (int64_t k = 0; k < p->n_blocks; k++, w += BLOCK_BYTES) {
        vi sum[ROWS][NV];
        multiply_block(q + k * REEL_Q8_VALUES, p->I, w, rows, sum);
#pragma GCC unroll 8
        for (int v = 0; v < NV; v++) {
            const vf d = vf_load(
                (const float *)(const void *)(w + v * GROUP_BYTES + (STEPS + 1) * VF_N * 4));
#pragma GCC unroll 8
            for (int m = 0; m < rows; m++)
                total[m][v] += __builtin_convertvector(sum[m][v], vf) *
                               (d * vf_set(scale[m * p->n_blocks + k]));
        }
    }
#pragma GCC unroll 8
    for (int m = 0; m < rows; m++)
#pragma GCC unroll 8
        for (int v = 0; v < NV; v++)
            acc[m][v] = total[m][v];
}

static void multiply_some(const product *p, int64_t r, const char *w, int64_t rows,
                          vf acc[ROWS][NV]) {
    if (rows >= ROWS)
        multiply(p, r, w, ROWS, acc);
    else
        for (int m = 0; m < rows; m++)
            multiply(p, r + m, w, 1, acc + m);
}

/* ---- bias, activation, y ---- */

VEC_INLINE vf load_bias(const reel_call *c, int64_t o, int n) {
    if (!c->present[2]) return (vf){0};
    return c->in[2].dtype == REEL_BF16 ? vec_load_part(c->in[2].data, o, true, n)
                                       : vec_load_part(c->in[2].data, o, false, n);
}

VEC_INLINE vf activate(reel_activation act, vf x) {
    switch (act) {
    case REEL_ACT_GELU_TANH:
        return vec_activation(REEL_ACT_GELU_TANH, x);
    case REEL_ACT_GELU_ERF:
        return vec_activation(REEL_ACT_GELU_ERF, x);
    case REEL_ACT_SILU:
        return vec_activation(REEL_ACT_SILU, x);
    default:
        return x;
    }
}

static void write_rows(const product *p, int64_t r, int64_t o, int64_t rows, vf acc[ROWS][NV]) {
    const reel_call *c = p->c;
    const reel_linear_q8_attr *attr = c->attr;
    for (int v = 0; v < NV && o + v * VF_N < p->O; v++) {
        const int64_t first = o + v * VF_N;
        const int n = p->O - first < VF_N ? (int)(p->O - first) : VF_N;
        /* a part is less than a whole vector */
        const vf bias = n == VF_N && c->present[2] && c->in[2].dtype == REEL_F32
                            ? vf_load((const float *)c->in[2].data + first)
                            : load_bias(c, first, n);
        for (int64_t m = 0; m < rows; m++) {
            const vf y = activate((reel_activation)attr->act, acc[m][v] + bias);
            const int64_t at = (r + m) * p->O + first;
            const bool bf16 = c->out[0].dtype == REEL_BF16;
            if (n == VF_N)
                vec_store(c->out[0].data, at, bf16, y);
            else
                vec_store_part(c->out[0].data, at, bf16, y, n);
        }
    }
}

/* ---- tasks: some panels, some rows ---- */

static void multiply_task(void *context, int64_t index, int lane) {
    const product *p = context;
    const int64_t panel_bytes = p->n_blocks * BLOCK_BYTES;
    const int64_t column = index % p->n_column_tasks * p->n_panels * PANEL;
    const int64_t row = index / p->n_column_tasks * TASK_ROWS;
    const int64_t row_end = row + TASK_ROWS < p->R ? row + TASK_ROWS : p->R;
    char *packed = p->packed + lane * p->n_panels * panel_bytes;
    int64_t n_panels = divide_up(p->O - column, PANEL);
    n_panels = n_panels < p->n_panels ? n_panels : p->n_panels;
    for (int64_t k = 0; k < n_panels; k++)
        pack_panel(p, column + k * PANEL, packed + k * panel_bytes);
    for (int64_t r = row; r < row_end; r += ROWS) {
        const int64_t rows = row_end - r < ROWS ? row_end - r : ROWS;
        for (int64_t k = 0; k < n_panels; k++) {
            vf acc[ROWS][NV];
            multiply_some(p, r, packed + k * panel_bytes, rows, acc);
            write_rows(p, r, column + k * PANEL, rows, acc);
        }
    }
}

static const char *refuse(const reel_call *c) {
    if (c->in[0].dtype == REEL_F16) return "x is f16";
    if (c->present[2] && c->in[2].dtype == REEL_F16) return "b is f16";
    return c->out[0].dtype == REEL_F16 ? "the output is f16" : NULL;
}

static void run(const reel_call *c) {
    product p = product_of(c);
    if (!c->out[0].data || p.R * p.O == 0) return;
    reel_parallel_for(c->threads, divide_up(p.R, QUANTISE_ROWS), quantise_task, &p);
    reel_parallel_for(c->threads, p.n_column_tasks * divide_up(p.R, TASK_ROWS), multiply_task, &p);
}

/* ---- quantise ---- */

enum { QUANTISE_CHUNK = 1 << 14 }; /* values of a task, whole blocks */

static void make_blocks(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const reel_tensor *w = &c->in[0];
    const int64_t from = index * QUANTISE_CHUNK, all = reel_tensor_count(w);
    const int64_t n = all - from < QUANTISE_CHUNK ? all - from : QUANTISE_CHUNK;
    reel_q8_quantise((reel_q8_block *)c->out[0].data + from / REEL_Q8_VALUES, w->dtype,
                     (const char *)w->data + from * reel_dtype_bytes(w->dtype), n);
}

static void quantise_run(const reel_call *c) {
    reel_call copy = *c;
    reel_parallel_for(c->threads, divide_up(reel_tensor_count(&c->in[0]), QUANTISE_CHUNK),
                      make_blocks, &copy);
}

void REEL_ISA_NAME(reel_cpu_register_linear_q8)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_linear_q8)(reel_kernel_table *table) {
    static const reel_kernel forward = {
        .name = "linear_q8." REEL_ISA_TEXT, .refuse = refuse, .scratch = scratch, .run = run};
    static const reel_kernel blocks = {.name = "quantise." REEL_ISA_TEXT, .run = quantise_run};
    reel_kernel_table_add(table, &reel_op_linear_q8, &forward);
    reel_kernel_table_add(table, &reel_op_quantise, &blocks);
}
