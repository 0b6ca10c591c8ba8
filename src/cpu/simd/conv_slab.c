/* Into the slab and out of the sums: the only places that know layouts and dtypes of grids. */
#include "cpu/simd/conv.h"

/* ---- gathering ---- */

/* n elements from from to to, either of which may be bf16. */
static void copy_elements(void *to, bool to_bf16, const void *from, bool from_bf16, int64_t n) {
    if (to_bf16 == from_bf16) {
        memcpy(to, from, (size_t)(n * (to_bf16 ? 2 : 4)));
        return;
    }
    int64_t i = 0;
    for (; i + VF_N <= n; i += VF_N)
        vec_store(to, i, to_bf16, vec_load(from, i, from_bf16));
    if (i < n)
        vec_store_part(to, i, to_bf16, vec_load_part(from, i, from_bf16, (int)(n - i)),
                       (int)(n - i));
}

static void zero_positions(const conv_job *j, void *row, int64_t from, int64_t to) {
    const int64_t bytes = j->Cp * conv_element_bytes(j->kind);
    if (to > from) memset((char *)row + from * bytes, 0, (size_t)((to - from) * bytes));
}

/* Channels first: columns [w0, w0 + m) of channels from c0 on, element (c, w) going to (w, c). */
static void transpose_plainly(const conv_job *j, const conv_grid *g, const char *from, int64_t w0,
                              int m, int64_t c0, char *to) {
    const int64_t step = j->dilate[1] * j->Cp;
    for (int64_t c = c0; c < j->C; c++) {
        float lane[16];
        for (int i = 0; i < m; i++) {
            const int64_t at = c * g->at.c + w0 + i;
            lane[i] = g->bf16 ? reel_bf16_to_f32(((const reel_bf16 *)(const void *)from)[at])
                              : ((const float *)(const void *)from)[at];
        }
        for (int i = 0; i < m; i++)
            if (j->kind != CONV_F32)
                ((reel_bf16 *)(void *)to)[(w0 + i) * step + c] = reel_f32_to_bf16(lane[i]);
            else
                ((float *)(void *)to)[(w0 + i) * step + c] = lane[i];
    }
}

#if REEL_ISA_LEVEL >= 2
/* Sixteen columns of sixteen channels, f32. */
static void transpose_f32(const conv_grid *g, const char *from, int64_t step, __mmask16 mask, int m,
                          float *to) {
    __m512i row[16];
    for (int c = 0; c < 16; c++) {
        const int64_t at = c * g->at.c;
        if (g->bf16)
            row[c] = _mm512_slli_epi32(
                _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from + at * 2)), 16);
        else
            row[c] = _mm512_maskz_loadu_epi32(mask, from + at * 4);
    }
    conv_transpose(row);
    for (int i = 0; i < m; i++)
        _mm512_storeu_si512(to + i * step, row[i]);
}

/* Sixteen columns of 32 channels, bf16: pairs of channels are the elements. */
static void transpose_bf16(const conv_grid *g, const char *from, int64_t step, __mmask16 mask,
                           int m, reel_bf16 *to) {
    __m512i row[16];
    for (int c = 0; c < 16; c++) {
        const char *p = from + 2 * c * g->at.c * 2;
        const __m256i even = _mm256_maskz_loadu_epi16(mask, p);
        const __m256i odd = _mm256_maskz_loadu_epi16(mask, p + g->at.c * 2);
        row[c] = _mm512_or_si512(_mm512_cvtepu16_epi32(even),
                                 _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
    }
    conv_transpose(row);
    for (int i = 0; i < m; i++)
        _mm512_storeu_si512(to + i * step, row[i]);
}
#endif

/* Channels first: element (c, w) of from goes to (w, c). Sixteen columns at a time, so that lines
 * of the slab are written while they are near. */
static void transpose_row(const conv_job *j, const conv_grid *g, const char *from, int64_t n,
                          char *to) {
    for (int64_t w0 = 0; w0 < n; w0 += 16) {
        const int m = (int)conv_least(16, n - w0);
        int64_t c = 0;
#if REEL_ISA_LEVEL >= 2
        const int64_t step = j->dilate[1] * j->Cp, bytes = g->bf16 ? 2 : 4;
        const __mmask16 mask = (__mmask16)((1u << m) - 1);
        if (j->kind == CONV_F32)
            for (; c + 16 <= j->C; c += 16)
                transpose_f32(g, from + (c * g->at.c + w0) * bytes, step, mask, m,
                              (float *)(void *)to + w0 * step + c);
        else if (g->bf16)
            for (; c + 32 <= j->C; c += 32)
                transpose_bf16(g, from + (c * g->at.c + w0) * bytes, step, mask, m,
                               (reel_bf16 *)(void *)to + w0 * step + c);
#endif
        transpose_plainly(j, g, from, w0, m, c, to);
    }
}

void conv_gather_row(const conv_job *j, const conv_grid *g, int64_t b, int64_t frame, int64_t in,
                     void *to) {
    const bool to_bf16 = j->kind != CONV_F32;
    const int64_t bytes = conv_element_bytes(j->kind), step = j->dilate[1];
    const int64_t room = j->width - j->pad[1]; /* positions from the first pixel on */
    const int64_t n = in < 0 || room <= 0 ? 0 : conv_least(j->in[1], (room + step - 1) / step);
    if (n == 0) {
        zero_positions(j, to, 0, j->width);
        return;
    }
    const int64_t end = j->pad[1] + (n - 1) * step + 1;
    const bool solid = step == 1 && j->Cp == j->C;
    zero_positions(j, to, 0, solid ? j->pad[1] : j->width);
    if (solid) zero_positions(j, to, end, j->width);
    char *first = (char *)to + j->pad[1] * j->Cp * bytes;
    const char *from =
        (const char *)g->data + (b * g->at.b + frame * g->at.f + in * g->at.h) * (g->bf16 ? 2 : 4);
    if (g->at.c != 1)
        transpose_row(j, g, from, n, first);
    else if (solid)
        copy_elements(first, to_bf16, from, g->bf16, n * j->C);
    else
        for (int64_t i = 0; i < n; i++)
            copy_elements(first + i * step * j->Cp * bytes, to_bf16,
                          from + i * g->at.w * (g->bf16 ? 2 : 4), g->bf16, j->C);
}

/* ---- weights ---- */

/* How the weights of a job lie in memory, in elements: w[n, c, kt, kh, kw] of output n and input c.
 * For the gradient outputs and inputs change places, and the kernel is turned around in space. */
typedef struct weight_view {
    const void *data;
    bool bf16;
    int64_t n, c;   /* between outputs, inputs */
    int64_t window; /* positions of a kernel frame, Kh Kw */
} weight_view;

static weight_view view_of(const conv_job *j) {
    const int64_t *k = j->kernel, window = k[1] * k[2], taps = k[0] * window;
    const reel_tensor *w = &j->call->in[1];
    return (weight_view){.data = w->data,
                         .bf16 = w->dtype == REEL_BF16,
                         .n = j->gradient ? taps : j->n.C * taps,
                         .c = j->gradient ? j->n.C * taps : taps,
                         .window = window};
}

/* Where element k of a run and output n of a block stand in the packed run; outputs n .. n + 15 of
 * an even k lie side by side, in pairs with k + 1 if bf16. */
VEC_INLINE int64_t packed_at(conv_kind kind, int64_t k, int64_t n) {
    switch (kind) {
    case CONV_F32:
        return k * CONV_N + n;
    case CONV_BF16:
        return (k / 2 * CONV_N + n) * 2 + k % 2;
    default:
        return ((k / CONV_DEPTH * 2 + n / CONV_TILE) * CONV_TILE + k % CONV_DEPTH / 2) *
                   CONV_DEPTH +
               n % CONV_TILE * 2 + k % 2;
    }
}

/* Position t of the kernel frame, as the product runs over it: which run, and where in it. */
VEC_INLINE int64_t place_of(const conv_job *j, int64_t t, int64_t *run) {
    const int64_t window = j->kernel[1] * j->kernel[2], u = j->gradient ? window - 1 - t : t;
    *run = u / j->kernel[2] * j->run_padded * CONV_N;
    return u % j->kernel[2] * j->Cp;
}

/* n_here outputs of a block from `from` on, one at a time. */
static void pack_plainly(const conv_job *j, const weight_view *v, int64_t from, int n_here,
                         char *to) {
    for (int64_t c = 0; c < j->C; c++)
        for (int64_t t = 0; t < v->window; t++) {
            int64_t run;
            const int64_t k = place_of(j, t, &run) + c, first = from + c * v->c + t;
            for (int n = 0; n < n_here; n++) {
                const int64_t i = first + n * v->n, at = run + packed_at(j->kind, k, n);
                if (j->kind != CONV_F32)
                    ((reel_bf16 *)(void *)to)[at] = ((const reel_bf16 *)v->data)[i];
                else
                    ((float *)(void *)to)[at] =
                        v->bf16 ? reel_bf16_to_f32(((const reel_bf16 *)v->data)[i])
                                : ((const float *)v->data)[i];
            }
        }
}

#if REEL_ISA_LEVEL >= 2
/* A kernel frame of one output and one input channel, in pairs with the next channel's if bf16. */
VEC_INLINE __m512i load_window(const conv_job *j, const weight_view *v, int64_t at, bool two) {
    const __mmask16 mask = (__mmask16)((1u << v->window) - 1);
    if (!v->bf16) return _mm512_maskz_loadu_epi32(mask, (const float *)v->data + at);
    const reel_bf16 *p = (const reel_bf16 *)v->data + at;
    const __m512i even = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p));
    if (j->kind == CONV_F32) return _mm512_slli_epi32(even, 16);
    if (!two) return even;
    const __m512i odd = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p + v->c));
    return _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
}

/* Sixteen outputs at once, whose kernel frames have up to sixteen positions: a frame lies side by
 * side in memory, and sixteen of them are turned. (Gathers cost three times as much on Zen 4.) */
static void pack_turned(const conv_job *j, const weight_view *v, int64_t from, int n_here,
                        char *to) {
    const int64_t bytes = conv_element_bytes(j->kind), step = j->kind == CONV_F32 ? 1 : 2;
    for (int half = 0; half < 2; half++)
        for (int64_t c = 0; c < j->C; c += step) {
            __m512i row[16];
            for (int i = 0; i < 16; i++) {
                const int n = half * VF_N + i;
                row[i] = n < n_here ? load_window(j, v, from + n * v->n + c * v->c, c + 1 < j->C)
                                    : _mm512_setzero_si512();
            }
            conv_transpose(row);
            for (int64_t t = 0; t < v->window; t++) {
                int64_t run;
                const int64_t k = place_of(j, t, &run) + c;
                _mm512_storeu_si512(to + (run + packed_at(j->kind, k, half * VF_N)) * bytes,
                                    row[t]);
            }
        }
}
#endif

/* The weights of a fan: output n makes output n % O as kernel position n / O of the frame sees it.
 */
static void pack_fan(const conv_job *j, const weight_view *v, int64_t block, int64_t kt, char *to) {
    const int64_t n_here = conv_least(CONV_N, j->fan - block * CONV_N);
    for (int64_t n = 0; n < n_here; n++)
        for (int64_t c = 0; c < j->C; c++) {
            const int64_t made = block * CONV_N + n, u = made / j->O;
            const int64_t t = j->gradient ? v->window - 1 - u : u;
            const int64_t i = made % j->O * v->n + c * v->c + kt * v->window + t;
            const int64_t at = packed_at(j->kind, c, n);
            if (j->kind != CONV_F32)
                ((reel_bf16 *)(void *)to)[at] = ((const reel_bf16 *)v->data)[i];
            else
                ((float *)(void *)to)[at] =
                    reel_dtype_load(v->bf16 ? REEL_BF16 : REEL_F32, v->data, i);
        }
}

void conv_pack_weights(const conv_job *j, int64_t block, int64_t kt) {
    const weight_view v = view_of(j);
    const int64_t bytes = conv_element_bytes(j->kind), taps = j->fan ? 1 : j->kernel[1];
    const int64_t size = taps * j->run_padded * CONV_N * bytes;
    char *to = j->packed + (block * j->kernel[0] + kt) * size;
    const int n_here = (int)conv_least(CONV_N, (j->fan ? j->fan : j->O) - block * CONV_N);
    const int64_t from = block * CONV_N * v.n + kt * v.window;
    if (n_here < CONV_N || j->run_padded > j->run || j->Cp > j->C) memset(to, 0, (size_t)size);
    if (j->fan) {
        pack_fan(j, &v, block, kt, to);
        return;
    }
#if REEL_ISA_LEVEL >= 2
    if (v.window <= 16) {
        pack_turned(j, &v, from, n_here, to);
        return;
    }
#endif
    pack_plainly(j, &v, from, n_here, to);
}

/* ---- results ---- */

/* Channels first: outputs [i, i + VF_N) by pixels [w, w + VF_N) of c [W][CONV_N]. */
VEC_INLINE void turn(const float *c, int64_t i, int64_t w, int m, vf to[VF_N]) {
#if REEL_ISA_LEVEL >= 2
    __m512i block[16];
    for (int k = 0; k < 16; k++)
        block[k] = k < m ? _mm512_loadu_si512(c + (w + k) * CONV_N + i) : _mm512_setzero_si512();
    conv_transpose(block);
    memcpy(to, block, sizeof block);
#else
    for (int o = 0; o < VF_N; o++)
        for (int k = 0; k < VF_N; k++)
            to[o][k] = k < m ? c[(w + k) * CONV_N + i + o] : 0;
#endif
}

static void store_turned(const conv_grid *g, const float *bias, int64_t n_o, int64_t W,
                         const float *c, char *row) {
    for (int64_t i = 0; i < n_o; i += VF_N)
        for (int64_t w = 0; w < W; w += VF_N) {
            const int m = (int)conv_least(VF_N, W - w);
            vf y[VF_N];
            turn(c, i, w, m, y);
            for (int64_t o = i; o < conv_least(i + VF_N, n_o); o++)
                if (m == VF_N)
                    vec_store(row, o * g->at.c + w, g->bf16, y[o - i] + bias[o]);
                else
                    vec_store_part(row, o * g->at.c + w, g->bf16, y[o - i] + bias[o], m);
        }
}

void conv_store_row(const conv_job *j, const conv_grid *g, const int64_t bfh[3], int64_t o,
                    const float *c) {
    const int64_t n_o = conv_least(CONV_N, j->O - o), W = j->out[1];
    const float *bias = j->bias + o;
    char *row =
        (char *)g->data +
        (bfh[0] * g->at.b + bfh[1] * g->at.f + bfh[2] * g->at.h + o * g->at.c) * (g->bf16 ? 2 : 4);
    if (g->at.c == 1) {
        for (int64_t w = 0; w < W; w++)
            for (int64_t i = 0; i < n_o; i += VF_N) {
                const vf y = vf_load(c + w * CONV_N + i) + vf_load(bias + i);
                if (i + VF_N <= n_o)
                    vec_store(row, w * g->at.w + i, g->bf16, y);
                else
                    vec_store_part(row, w * g->at.w + i, g->bf16, y, (int)(n_o - i));
            }
        return;
    }
    store_turned(g, bias, n_o, W, c, row);
}
