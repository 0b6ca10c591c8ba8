/* dropout: y = x / (1 - p) where a coin says so, else 0 (Srivastava et al. 2014, inverted form).
 *
 * The coins are counter-based, so that backward and recompute scopes toss them again instead of
 * keeping them: with (seed, step) the two numbers of the seed value,
 *
 *     key = the first 64 bits of reel_rng(seed, stream, step)
 *     word(e) = word (e / 16) % 4 of reel_rng(key, stream, 16 (e / 64) + e % 16)
 *
 * and element e is kept where word(e) >= p 2^32. (64 elements share 16 blocks in the order in which
 * a vector of 16 lanes makes them.)
 */
#ifndef REEL_OPS_DROPOUT_H
#define REEL_OPS_DROPOUT_H

#include "ops/ops.h"

/* attr of dropout. */
typedef struct reel_dropout_attr {
    uint64_t stream;
    float p;
    int32_t out_dtype;
} reel_dropout_attr;

/* x [...], seed i64 [2] = (seed, step) -> y [...] of x's dtype. p in [0,1), else the tape fails
 * with REEL_E_ARG; stream tells the dropouts of a model apart. On a tape that is not training, and
 * with p = 0, x itself. */
reel_var reel_dropout(reel_tape *tape, reel_var x, reel_var seed, uint64_t stream, float p);

/* What a kernel needs of the attributes and the seed value. */
typedef struct reel_dropout_coins {
    uint64_t key;
    uint32_t threshold; /* kept where word >= threshold */
    float factor;       /* 1 / (1 - p) */
} reel_dropout_coins;
reel_dropout_coins reel_dropout_coins_of(const reel_dropout_attr *attr, const int64_t seed[2]);

#endif
