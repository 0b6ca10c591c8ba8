/* What a sentencepiece model must be before the library may see it.
 *
 * The library follows offsets of a model's character map without looking where they lead, and holds
 * at most 32 matches and 64 user-defined pieces in arrays of that size. So a model is read here
 * first, by the rules of its file format: protocol buffers' wire format, messages ModelProto,
 * SentencePiece, TrainerSpec and NormalizerSpec of sentencepiece_model.proto.
 */
#ifndef REEL_TEXT_SPM_CHECK_H
#define REEL_TEXT_SPM_CHECK_H

#include <stdint.h>

#include "base/env.h"

/* REEL_OK for bytes the library can be given. REEL_E_FORMAT with what is broken; REEL_E_UNSUPPORTED
 * for a model that is sound but of another kind than T5's (BPE, words, characters). name is for
 * messages. */
REEL_MUST_USE reel_status reel_spm_check(reel_env *env, const void *model, int64_t bytes,
                                         const char *name);

#endif
