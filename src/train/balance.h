/* Balances what a text encoder says to a transformer.
 *
 * A T5 encoder ends with a norm, so a row cannot be short, and one that is trained together with
 * its transformer learns to put a token that says nothing into a channel of its own. The norm's
 * gains then shrink until all that is told apart lies within a hundredth of a row's length: too
 * little for sums of rows (models/wan/dit.h, pooled_text), and rates of learning that are right for
 * inputs of unit size hardly move what is read. Balancing gives every channel a mean square of 1
 * and what reads it the inverse. The transformer computes what it did; of pooled text, whose norm
 * stands between, nearly so.
 */
#ifndef REEL_TRAIN_BALANCE_H
#define REEL_TRAIN_BALANCE_H

#include "train/learner.h"

/* What the encoder says of n texts: rows [n,X,d], zero where a text has no token. */
typedef struct reel_balance_texts {
    const float *rows;
    int64_t n, X, d;
} reel_balance_texts;

/* Balances the current and the average weights of a learner of "text_encoder." (models/t5) and
 * "transformer." (models/wan/dit) that has begun. A channel in which nothing was said stays as it
 * is. REEL_E_ARG when the parameters are not there or d is not theirs, REEL_E_NOMEM. */
REEL_MUST_USE reel_status reel_balance_text(reel_env *env, reel_learner *learner,
                                            const reel_balance_texts *texts);

/* How far apart texts are: the mean distance of the pooled rows (their sums, of unit mean square)
 * of neighbours among the n texts, per root channel. About 1 when texts have little in common, near
 * 0 when one channel outshines all others; NAN when n < 2. REEL_E_NOMEM. */
REEL_MUST_USE reel_status reel_balance_apart(reel_env *env, const reel_balance_texts *texts,
                                             double *apart);

#endif
