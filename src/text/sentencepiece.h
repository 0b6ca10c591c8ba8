/* The only way to sentencepiece: C calls over its C++, across which no exception passes.
 *
 * For tokenizer.c alone. Implemented by sentencepiece.cc, or by sentencepiece_absent.c in a build
 * without the library. What the library itself allocates goes past the tagged allocator; what is
 * handed out here does not.
 */
#ifndef REEL_TEXT_SENTENCEPIECE_H
#define REEL_TEXT_SENTENCEPIECE_H

#include <stdint.h>

#include "base/env.h"
#include "text/tokenizer.h"

typedef struct reel_spm reel_spm;

/* model: bytes that reel_spm_check has passed. REEL_E_FORMAT with the library's reason. */
REEL_MUST_USE reel_status reel_spm_new(reel_env *env, const void *model, int64_t bytes,
                                       const char *name, reel_spm **spm);
void reel_spm_free(reel_spm **spm);

int32_t reel_spm_size(const reel_spm *spm);
/* -1 where the model defines none. */
int32_t reel_spm_pad(const reel_spm *spm);
int32_t reel_spm_end(const reel_spm *spm);
int32_t reel_spm_unknown(const reel_spm *spm);
/* id in [0, size). */
const char *reel_spm_piece(const reel_spm *spm, int32_t id);
/* The unknown id for a piece that is not there. */
int32_t reel_spm_id(const reel_spm *spm, const char *piece);

/* *id becomes an array of *n ids with room for one more, from reel_alloc. */
REEL_MUST_USE reel_status reel_spm_encode(reel_env *env, const reel_spm *spm, const char *text,
                                          int64_t bytes, int32_t **id, int64_t *n);
/* *text becomes *bytes bytes and a 0, from reel_alloc. Every id is in [0, size). */
REEL_MUST_USE reel_status reel_spm_decode(reel_env *env, const reel_spm *spm, const int32_t *id,
                                          int64_t n, char **text, int64_t *bytes);

/* *model becomes the *bytes bytes of a trained model, from reel_alloc. */
REEL_MUST_USE reel_status reel_spm_train(reel_env *env, const reel_vocabulary_options *options,
                                         reel_line_source *next, void *context, char **model,
                                         int64_t *bytes);

#endif
