/* attention: o = softmax(scale q k^T + bias) v, self or cross, whole rows or packed segments.
 *
 * The weights are never held as a matrix: forward keeps a running maximum and sum for each row and
 * saves lse = log sum exp, backward makes the weights again from it (Milakov & Gimelshein 2018;
 * FlashAttention, Dao et al. 2022, 2023). Memory is linear in the number of tokens.
 * Letters: Tq tokens of q, Tk of k and v, N heads, D head dim.
 */
#ifndef REEL_OPS_ATTENTION_H
#define REEL_OPS_ATTENTION_H

#include "ops/ops.h"

/* The operands; those not wanted stay 0. Queries, keys and values come in one of three forms, all
 * of one float dtype, all with or without the leading B:
 *     q [B,Tq,N,D], k and v [B,Tk,N,D];    q and kv [B,Tk,2,N,D];    qkv [B,T,3,N,D]
 * The packed forms are what one wide linear makes; their gradient comes back in one piece too. */
typedef struct reel_attention_in {
    reel_var q, k, v, kv, qkv;
    /* Which keys count: the first lengths[b] (i32 [B]) of each row, or those with a mask other than
     * 0 (u8 [B,Tk]). Give one of the two or neither. Keys that do not count are not read, so they
     * may hold NaN; their gradient is 0. */
    reel_var lengths, key_mask;
    /* Packed clips (NaViT, Dehghani et al. 2023): i32 [n+1], rising; query rows q_offsets[i] to
     * q_offsets[i+1] see keys k_offsets[i] to k_offsets[i+1] and no others. Rows are counted over
     * all of [B*T]. k_offsets 0: the same as q_offsets. Not together with lengths. An offset below
     * its predecessor or out of range counts as the nearest allowed one. */
    reel_var q_offsets, k_offsets;
    reel_var bias; /* f32 [N,Tq,Tk] or [1,N,Tq,Tk], added to the scaled products; with offsets Tq
                      and Tk are the B*Tq and B*Tk rows they count */
    float scale;   /* 0: 1 / sqrt(D) */
} reel_attention_in;

/* o [B,Tq,N,D] of q's dtype (without B when q has none); the value after it is lse f32 [B,N,Tq],
 * for backward ([1,N,B*Tq] with offsets). A row that sees no key gives o = 0, lse = -inf and no
 * gradient. NaN in a row of q makes that row of o NaN, NaN in a key or value that counts every row
 * that sees it; -inf in the bias takes a key from a row, +inf makes the row NaN.
 * Fails the tape with REEL_E_SHAPE when operands do not fit, REEL_E_ARG when they exclude each
 * other. Gradients flow to q, k, v (or their packed forms) and bias, not through lse. */
reel_var reel_attention(reel_tape *tape, const reel_attention_in *in);

/* ---- for kernels ---- */

/* Operands of the two ops. Packed: qkv is in[Q], or kv is in[K]; the places behind are absent. */
enum {
    REEL_ATTENTION_Q,
    REEL_ATTENTION_K,
    REEL_ATTENTION_V,
    REEL_ATTENTION_KEYS, /* lengths i32 or key mask u8 */
    REEL_ATTENTION_Q_OFFSETS,
    REEL_ATTENTION_K_OFFSETS,
    REEL_ATTENTION_BIAS,
    REEL_ATTENTION_N_IN,
    /* backward only */
    REEL_ATTENTION_O = REEL_ATTENTION_N_IN,
    REEL_ATTENTION_LSE,
    REEL_ATTENTION_DO,
    REEL_ATTENTION_N_BACKWARD_IN,
};

/* attr of attention and attention_backward. */
typedef struct reel_attention_attr {
    float scale;          /* never 0 */
    int32_t out_dtype[3]; /* backward: of dq, dk, dv (of the packed forms in the first places) */
    int32_t bias_grad;    /* backward: dbias f32 is the last output */
} reel_attention_attr;

/* Where q, k or v lies: element (row, n, d) is number at + row * stride + n * D + d of operand (or,
 * in backward, of output) `operand`. */
typedef struct reel_attention_part {
    int operand;
    int64_t at, stride;
} reel_attention_part;

/* The sizes of a call. With offsets the batch is one row: B is 1, Tq and Tk are B*Tq and B*Tk. */
typedef struct reel_attention_size {
    int64_t B, Tq, Tk, N, D;
    int64_t n_segments; /* 0: no offsets */
    int n_parts;        /* operands that hold q, k and v: 1 to 3 */
    reel_attention_part q, k, v;
} reel_attention_size;

/* Query rows [q0,q1) see keys [k0,k1); rows count over [B*Tq], keys over [B*Tk]. */
typedef struct reel_attention_span {
    int64_t q0, q1, k0, k1;
} reel_attention_span;

reel_attention_size reel_attention_size_of(const reel_call *call);
/* How many spans reel_attention_spans writes at most. */
int64_t reel_attention_max_spans(const reel_attention_size *size);
/* Writes the spans of a call with data and returns their number. Every row and every key is in
 * exactly one: rows that see nothing are in a span without keys, and the reverse. */
int64_t reel_attention_spans(const reel_call *call, const reel_attention_size *size,
                             reel_attention_span *span);
/* The key mask u8 [B*Tk], or NULL when there is none. */
const uint8_t *reel_attention_key_mask(const reel_call *call);

#endif
