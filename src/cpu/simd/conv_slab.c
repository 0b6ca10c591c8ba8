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

/* Channels first: element (c, w) of from goes to (w, c). Sixteen columns at a time, so that lines
 * of the slab are written while they are near. */
static void transpose_row(const conv_job *j, const conv_grid *g, const char *from, int64_t n,
                          char *to) {
    const int64_t step = j->dilate[1] * j->Cp, in_bytes = g->bf16 ? 2 : 4;
    const bool to_bf16 = j->kind != CONV_F32;
    for (int64_t w0 = 0; w0 < n; w0 += VF_N) {
        const int m = (int)conv_least(VF_N, n - w0);
        for (int64_t c = 0; c < j->C; c++) {
            const void *x = from + (c * g->at.c + w0) * in_bytes;
            const vf row = m == VF_N ? vec_load(x, 0, g->bf16) : vec_load_part(x, 0, g->bf16, m);
            float lane[VF_N];
            vf_store(lane, row);
            for (int i = 0; i < m; i++) {
                const int64_t at = (w0 + i) * step + c;
                if (to_bf16)
                    ((reel_bf16 *)(void *)to)[at] = reel_f32_to_bf16(lane[i]);
                else
                    ((float *)(void *)to)[at] = lane[i];
            }
        }
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

/* The weight of output o, input c of the job at kernel position (kt, kh, kw). */
VEC_INLINE int64_t weight_at(const conv_job *j, int64_t o, int64_t c, int64_t kt, int64_t kh,
                             int64_t kw) {
    const int64_t *k = j->kernel;
    const int64_t outer = j->gradient ? c : o, inner = j->gradient ? o : c;
    if (j->gradient) {
        kh = k[1] - 1 - kh;
        kw = k[2] - 1 - kw;
    }
    return ((outer * j->n.C + inner) * k[0] + kt) * k[1] * k[2] + kh * k[2] + kw;
}

/* Where element k of a run and output n of a block stand in the packed run. */
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

VEC_INLINE void pack(const conv_job *j, int64_t block, int64_t kt, conv_kind kind) {
    const reel_tensor *w = &j->call->in[1];
    const int64_t taps_h = j->fan ? 1 : j->kernel[1], taps_w = j->fan ? 1 : j->kernel[2];
    const int64_t n_made = j->fan ? j->fan : j->O, run_bytes = j->run_padded * CONV_N;
    char *to =
        j->packed + (block * j->kernel[0] + kt) * taps_h * run_bytes * conv_element_bytes(kind);
    memset(to, 0, (size_t)(taps_h * run_bytes * conv_element_bytes(kind)));
    const int64_t first = block * CONV_N, n_here = conv_least(CONV_N, n_made - first);
    const int64_t window = j->kernel[1] * j->kernel[2];
    for (int64_t n = 0; n < n_here; n++)
        for (int64_t c = 0; c < j->C; c++)
            for (int64_t kh = 0; kh < taps_h; kh++)
                for (int64_t kw = 0; kw < taps_w; kw++) {
                    const int64_t fan = first + n;
                    const int64_t from =
                        j->fan ? weight_at(j, fan % j->O, c, kt, fan / j->O % window / j->kernel[2],
                                           fan / j->O % j->kernel[2])
                               : weight_at(j, fan, c, kt, kh, kw);
                    const int64_t at = kh * run_bytes + packed_at(kind, kw * j->Cp + c, n);
                    if (kind == CONV_F32)
                        ((float *)(void *)to)[at] =
                            w->dtype == REEL_BF16
                                ? reel_bf16_to_f32(((const reel_bf16 *)w->data)[from])
                                : ((const float *)w->data)[from];
                    else
                        ((reel_bf16 *)(void *)to)[at] = ((const reel_bf16 *)w->data)[from];
                }
}

void conv_pack_weights(const conv_job *j, int64_t block, int64_t kt) {
    switch (j->kind) {
    case CONV_F32:
        pack(j, block, kt, CONV_F32);
        break;
    case CONV_BF16:
        pack(j, block, kt, CONV_BF16);
        break;
    default:
        pack(j, block, kt, CONV_TILES);
    }
}

/* ---- results ---- */

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
    for (int64_t i = 0; i < n_o; i++)
        for (int64_t w = 0; w < W; w += VF_N) {
            const int m = (int)conv_least(VF_N, W - w);
            float lane[VF_N];
            for (int k = 0; k < VF_N; k++)
                lane[k] = k < m ? c[(w + k) * CONV_N + i] : 0;
            const vf y = vf_load(lane) + bias[i];
            if (m == VF_N)
                vec_store(row, i * g->at.c + w, g->bf16, y);
            else
                vec_store_part(row, i * g->at.c + w, g->bf16, y, m);
        }
}
