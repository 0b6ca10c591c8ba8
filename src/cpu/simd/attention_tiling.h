/* How an attention call is cut: blocks of query rows and of keys inside each span, their places in
 * the packed operands, and the operands of one head.
 *
 * The cut depends on shapes and offsets only. Packed operands have `slots` instead of rows: each
 * span begins at a multiple of STEP, so that its last block can be padded.
 */
#ifndef REEL_CPU_SIMD_ATTENTION_TILING_H
#define REEL_CPU_SIMD_ATTENTION_TILING_H

#include "base/threads.h"
#include "cpu/simd/attention_block.h"
#include "ops/attention.h"

/* A block of query rows or of keys. */
typedef struct block {
    int64_t row;  /* the first; counted over the batch */
    int64_t slot; /* of the first, a multiple of STEP */
    int32_t n;
    int32_t span;
} block;

/* A span with its blocks: q_block[q0..q1), k_block[k0..k1). */
typedef struct stretch {
    int32_t q0, q1, k0, k1;
} stretch;

typedef struct tiling {
    const reel_call *c;
    reel_attention_size s;
    float scale;
    bool bf16; /* q, k, v, o and do; the others are f32 */
    const uint8_t *mask;
    const float *bias;
    int Dp;                    /* D padded to a multiple of STEP */
    int rows_q, rows_k;        /* of a block */
    int64_t slots_q, slots_k;  /* upper bounds, from shapes alone */
    int64_t n_spans, n_q, n_k; /* spans and blocks there are */
    reel_attention_span *span;
    stretch *stretch; /* [n_spans], as span */
    block *q_block, *k_block;
    int32_t *keep; /* [slots_k]: ~0 for a key that counts, 0 for one that does not or is padding */
} tiling;

VEC_INLINE int64_t max_blocks(int64_t n_rows, int n, int64_t n_spans) {
    return n_rows / n + n_spans;
}

/* Sizes, without data: what scratch is planned by. */
static inline tiling tiling_of(const reel_call *c, int rows_q, int rows_k) {
    const reel_attention_attr *attr = c->attr;
    tiling t = {.c = c, .s = reel_attention_size_of(c), .rows_q = rows_q, .rows_k = rows_k};
    const int64_t n_spans = reel_attention_max_spans(&t.s);
    t.scale = attr->scale;
    t.bf16 = c->in[0].dtype == REEL_BF16;
    t.Dp = round_up((int)t.s.D, STEP);
    t.slots_q = t.s.B * t.s.Tq + n_spans * STEP;
    t.slots_k = t.s.B * t.s.Tk + n_spans * STEP;
    return t;
}

/* Slots of a span, of rows and of keys, whose operands its task keeps in memory of its own. At 1024
 * slots of 96 channels that is 2 MB in backward with tiles, all of a second-level cache; a place of
 * the call's scratch for each span would be written past the caches and read again. */
static inline int64_t near_slots(const tiling *t) {
    const int64_t most = 1024 * 96 / t->Dp / STEP * STEP, n = most > 256 ? most : 256;
    const int64_t there = (t->slots_q > t->slots_k ? t->slots_q : t->slots_k) / STEP * STEP;
    return there < n ? there : n;
}

/* Slots of blocks [from,to), which are neighbours. */
static inline int64_t slots_of(const block *b, int from, int to) {
    return to > from ? b[to - 1].slot + round_up(b[to - 1].n, STEP) - b[from].slot : 0;
}

/* Hands out pieces of scratch, aligned to 64 bytes; with memory NULL it only counts. */
typedef struct cutter {
    char *memory;
    int64_t used;
} cutter;

VEC_INLINE void *cut(cutter *c, int64_t n, int64_t bytes) {
    void *piece = c->memory ? c->memory + c->used : NULL;
    c->used += (n * bytes + 63) / 64 * 64;
    return piece;
}

static inline void tiling_cut(tiling *t, cutter *c) {
    const int64_t n_spans = reel_attention_max_spans(&t->s);
    t->span = cut(c, n_spans, sizeof *t->span);
    t->stretch = cut(c, n_spans, sizeof *t->stretch);
    t->q_block = cut(c, max_blocks(t->s.B * t->s.Tq, t->rows_q, n_spans), sizeof(block));
    t->k_block = cut(c, max_blocks(t->s.B * t->s.Tk, t->rows_k, n_spans), sizeof(block));
    t->keep = cut(c, t->slots_k, sizeof(int32_t));
}

/* Cuts rows [from,to) of a span into blocks; *slot moves behind them. */
static inline int64_t cut_rows(block *b, int64_t n, int64_t from, int64_t to, int rows,
                               int32_t span, int64_t *slot) {
    for (int64_t i = from; i < to; i += rows) {
        const int here = (int)(to - i < rows ? to - i : rows);
        b[n++] = (block){.row = i, .slot = *slot, .n = here, .span = span};
        *slot += round_up(here, STEP);
    }
    return n;
}

/* Fills the tables of a call with data. */
static inline void tiling_fill(tiling *t) {
    const reel_call *c = t->c;
    int64_t slot_q = 0, slot_k = 0;
    t->mask = reel_attention_key_mask(c);
    t->bias = c->present[REEL_ATTENTION_BIAS] ? c->in[REEL_ATTENTION_BIAS].data : NULL;
    t->n_spans = reel_attention_spans(c, &t->s, t->span);
    for (int64_t i = 0; i < t->n_spans; i++) {
        const reel_attention_span a = t->span[i];
        stretch *s = &t->stretch[i];
        s->q0 = (int32_t)t->n_q;
        s->k0 = (int32_t)t->n_k;
        t->n_q = cut_rows(t->q_block, t->n_q, a.q0, a.q1, t->rows_q, (int32_t)i, &slot_q);
        t->n_k = cut_rows(t->k_block, t->n_k, a.k0, a.k1, t->rows_k, (int32_t)i, &slot_k);
        s->q1 = (int32_t)t->n_q;
        s->k1 = (int32_t)t->n_k;
    }
    for (int64_t i = 0; i < t->n_k; i++) {
        const block *b = &t->k_block[i];
        for (int j = 0; j < round_up(b->n, STEP); j++)
            t->keep[b->slot + j] = j < b->n && (!t->mask || t->mask[b->row + j]) ? -1 : 0;
    }
}

/* Rows of a block as a matrix to be packed. data and part: those of q, k, v, or of o and do. */
VEC_INLINE matrix block_matrix(const tiling *t, const block *b, const void *data,
                               const reel_attention_part *part, int64_t head, bool keys) {
    return (matrix){.data = data,
                    .bf16 = t->bf16,
                    .at = part->at + b->row * part->stride + head * t->s.D,
                    .stride = part->stride,
                    .n = b->n,
                    .D = (int)t->s.D,
                    .keep = keys && t->mask ? t->mask + b->row : NULL};
}

/* o and do: [rows, N, D]. */
VEC_INLINE reel_attention_part part_of_o(const tiling *t) {
    return (reel_attention_part){.stride = t->s.N * t->s.D};
}

VEC_INLINE int64_t lse_index(const tiling *t, int64_t row, int64_t head) {
    return (row / t->s.Tq * t->s.N + head) * t->s.Tq + row % t->s.Tq;
}
/* Index in bias of (row, key); keys behind it in the span follow. */
VEC_INLINE int64_t bias_index(const tiling *t, int64_t row, int64_t key, int64_t head) {
    return (head * t->s.Tq + row % t->s.Tq) * t->s.Tk + key % t->s.Tk;
}

/* ---- scores ---- */

static const float log2_e = 1.44269504f, ln_2 = 0.69314718f;

/* Turns a row of q k products into scores in units of ln 2: s = s factor + bias log2(e), -inf where
 * a key does not count. n columns of which n_keys have a bias. keep NULL: all count. */
VEC_INLINE void score_row(float *s, int n, float factor, const int32_t *keep, const float *bias,
                          int n_keys) {
    for (int j = 0; j < n; j += VF_N) {
        vf x = vf_load(s + j) * factor;
        const int there = n_keys - j < VF_N ? n_keys - j : VF_N;
        if (bias && there > 0) x += vf_load_part(bias + j, there) * log2_e;
        if (keep) {
            vi k;
            memcpy(&k, keep + j, sizeof k);
            x = vf_select(k, x, vf_set(-INFINITY));
        }
        vf_store(s + j, x);
    }
}

/* Does every key of a block count, and do they fill their vectors? */
VEC_INLINE bool is_whole(const tiling *t, const block *b) {
    return !t->mask && b->n % VF_N == 0;
}

/* Why the kernels of this level do not take a call. */
static inline const char *refuse_dtypes(const reel_call *c) {
    const reel_dtype dtype = c->in[REEL_ATTENTION_Q].dtype;
#if REEL_ISA_LEVEL >= 3
    if (dtype != REEL_BF16) return "q is not bf16";
#else
    if (dtype == REEL_F16) return "q is f16";
#endif
    const reel_attention_size s = reel_attention_size_of(c);
    if (s.D > MAX_DIM) return "the head dim is over 512";
    if (s.B * s.Tq > INT32_MAX || s.B * s.Tk > INT32_MAX) return "there are over 2^31 rows";
    return NULL;
}

#endif
