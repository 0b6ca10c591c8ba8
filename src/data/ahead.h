/* Decoding ahead: clips that were announced are read on a thread of their own.
 *
 * A few slots hold what was read; a clip that is asked for without having been announced, or when
 * the slots were full, is read then and there. The bytes are the same either way.
 */
#ifndef REEL_DATA_AHEAD_H
#define REEL_DATA_AHEAD_H

#include "base/env.h"
#include "data/buckets.h"

/* Reads clip `index` in a size into rgb u8 [F,H,W,3]; called from either thread, with its own env.
 */
typedef reel_status reel_ahead_read(reel_env *env, const void *context, int64_t index,
                                    const reel_bucket *size, uint8_t *rgb);

typedef struct reel_ahead reel_ahead;

/* context is borrowed. The caller frees it. REEL_E_NOMEM. */
REEL_MUST_USE reel_status reel_ahead_new(reel_env *env, reel_ahead_read *read, const void *context,
                                         reel_ahead **ahead);
/* Waits for what is under way. NULL-safe. */
void reel_ahead_free(reel_ahead **ahead);

/* Begins to read a clip when there is a slot, for which the clip that was announced longest ago and
 * never asked for makes way; a clip that is there or under way is not read again. Never fails: what
 * goes wrong is told to whoever asks for the clip. */
void reel_ahead_expect(reel_ahead *ahead, int64_t index, const reel_bucket *size);
/* The clip, whose slot becomes free. */
REEL_MUST_USE reel_status reel_ahead_take(reel_ahead *ahead, int64_t index, const reel_bucket *size,
                                          uint8_t *rgb);

#endif
