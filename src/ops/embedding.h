/* embedding: rows of a table, chosen by ids. Letters: V vocabulary, C channels. */
#ifndef REEL_OPS_EMBEDDING_H
#define REEL_OPS_EMBEDDING_H

#include "ops/ops.h"

/* attr of embedding. */
typedef struct reel_embedding_attr {
    int32_t out_dtype; /* f32 or bf16 */
} reel_embedding_attr;

/* table [V,C] float, ids [...] i32 or i64 -> [...,C] of out_dtype: row ids[i] of the table. A
 * kernel cannot fail, so an id outside [0,V) gives a row of zeros and no gradient; whoever takes
 * ids from outside calls reel_embedding_check_ids before the run. The gradient of the table is
 * dense, f32 [V,C]; rows that occur several times are summed in rising order of their place. Fails
 * the tape with REEL_E_SHAPE. */
reel_var reel_embedding(reel_tape *tape, reel_var table, reel_var ids, reel_dtype out_dtype);

/* REEL_E_ARG, naming the first offender, when an id of ids (i32 or i64, with data) is not in [0,V).
 */
REEL_MUST_USE reel_status reel_embedding_check_ids(reel_env *env, const reel_tensor *ids,
                                                   int64_t V);

/* ids[i], whichever integer type it has. */
static inline int64_t reel_embedding_id(const reel_tensor *ids, int64_t i) {
    return ids->dtype == REEL_I64 ? ((const int64_t *)ids->data)[i]
                                  : ((const int32_t *)ids->data)[i];
}

#endif
