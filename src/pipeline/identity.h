/* The identity of a model folder: a number that changes when its weights do.
 *
 * Reading all of a model would take longer than using it. So the hash runs over every tensor's
 * name, type and shape and over the bytes at its beginning: what training or another seed changes,
 * changes there.
 */
#ifndef REEL_PIPELINE_IDENTITY_H
#define REEL_PIPELINE_IDENTITY_H

#include "tensor/safetensors_set.h"

enum { REEL_IDENTITY_BYTES = 4096 /* of each tensor */, REEL_IDENTITY_TEXT = 17 };

/* Mixes a set's tensors into *hash, which begins as 0: FNV-1a, 64 bits. */
REEL_MUST_USE reel_status reel_identity_mix(reel_safetensors_set *set, uint64_t *hash);

#endif
