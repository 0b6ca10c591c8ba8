/* A set of safetensors files: one model cut into shards by an index.
 *
 * The index (x.safetensors.index.json, as transformers and diffusers write it) maps each tensor to
 * a file in the same folder: {"metadata": {"total_size": n}, "weight_map": {"name": "file"}}. All
 * shards are opened and compared with the index, both ways. A single .safetensors file is a set of
 * one, so that a model's loader need not know which it has. One thread at a time.
 */
#ifndef REEL_TENSOR_SAFETENSORS_SET_H
#define REEL_TENSOR_SAFETENSORS_SET_H

#include <stdint.h>

#include "base/arena.h"
#include "tensor/safetensors.h"

enum { REEL_MAX_SHARDS = 4096 };

typedef struct reel_shard_entry {
    const char *name; /* of the tensor */
    int file;         /* index into reel_shard_index.file */
} reel_shard_entry;

/* An index by itself, before its files are looked at. */
typedef struct reel_shard_index {
    reel_arena arena; /* holds what the pointers below point to */
    int64_t n;
    reel_shard_entry *entry; /* by name */
    int n_files;
    const char **file;  /* plain names, in order of first mention */
    int64_t total_size; /* bytes of all tensors; -1 when the index does not say */
} reel_shard_index;

/* Reads an index from text. A file name with a folder in it ("../x", "/x", "a/b"), or that does
 * not end in .safetensors, is refused. The caller calls deinit after success. */
REEL_MUST_USE reel_status reel_shard_index_parse(reel_env *env, const char *text, int64_t bytes,
                                                 const char *name, reel_shard_index *index);
/* Safe on a zeroed struct. */
void reel_shard_index_deinit(reel_shard_index *index);

typedef struct reel_safetensors_set reel_safetensors_set;

/* path ends in .json: an index and all its shards; else: one file. A tensor the index names and its
 * shard has not, or the other way round, is named in the message (REEL_E_FORMAT). A total_size that
 * is not the sum of the tensors is logged as a warning only: public indices have it wrong, counting
 * shared tensors twice, and nothing depends on it. */
REEL_MUST_USE reel_status reel_safetensors_set_open(reel_env *env, const char *path,
                                                    reel_safetensors_set **set);
/* NULL-safe. */
void reel_safetensors_set_close(reel_safetensors_set **set);

/* As reel_safetensors_count, _at, _find, _get and _done, over all shards. */
int64_t reel_safetensors_set_count(const reel_safetensors_set *set);
const reel_stored *reel_safetensors_set_at(const reel_safetensors_set *set, int64_t i);
const reel_stored *reel_safetensors_set_find(const reel_safetensors_set *set, const char *name);
REEL_MUST_USE reel_status reel_safetensors_set_get(reel_safetensors_set *set, const char *name,
                                                   reel_tensor *tensor);
void reel_safetensors_set_done(const reel_safetensors_set *set, const char *name);

/* The files of the set, for their metadata. */
int reel_safetensors_set_shards(const reel_safetensors_set *set);
const reel_safetensors *reel_safetensors_set_shard(const reel_safetensors_set *set, int i);

#endif
