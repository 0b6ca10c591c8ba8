/* safetensors: one file of named tensors, read in place and written atomically.
 *
 * The format (huggingface/safetensors, README "Format"): 8 bytes, the header's length as a little-
 * endian u64; the header, JSON, one object {"name": {"dtype", "shape", "data_offsets": [begin,
 * end]}, "__metadata__": {string: string}}, which may be padded with spaces; then the data, row-
 * major and little-endian, without holes. Every rule is enforced on opening, so that a file that
 * opens can be read to its last byte without another check.
 */
#ifndef REEL_TENSOR_SAFETENSORS_H
#define REEL_TENSOR_SAFETENSORS_H

#include <stdint.h>

#include "tensor/tensor.h"

enum { REEL_SAFETENSORS_MAX_HEADER = 100000000 }; /* the reference implementation's limit */

/* An open file. One thread at a time, but for the functions marked "any thread". */
typedef struct reel_safetensors reel_safetensors;

/* What the header says of one tensor. */
typedef struct reel_stored {
    const char *name; /* UTF-8; lives as long as the file is open */
    reel_dtype dtype;
    reel_shape shape;
    int64_t offset; /* of the first byte, from the beginning of the data */
    int64_t bytes;
} reel_stored;

/* Maps and checks a file. REEL_E_FORMAT for a broken rule, REEL_E_UNSUPPORTED for a dtype the
 * format knows and reel does not or more than REEL_MAX_RANK axes; the message names the tensor. */
REEL_MUST_USE reel_status reel_safetensors_open(reel_env *env, const char *path,
                                                reel_safetensors **file);
/* The same from memory, which must outlive the file. name is for messages. */
REEL_MUST_USE reel_status reel_safetensors_parse(reel_env *env, const void *data, int64_t bytes,
                                                 const char *name, reel_safetensors **file);
/* Unmaps; tensors got from it are gone. NULL-safe. */
void reel_safetensors_close(reel_safetensors **file);

/* The name messages give it: its path. */
const char *reel_safetensors_name(const reel_safetensors *file);
/* Tensors, and the i-th of them by name in byte order. Any thread. */
int64_t reel_safetensors_count(const reel_safetensors *file);
const reel_stored *reel_safetensors_at(const reel_safetensors *file, int64_t i);
/* The tensor of that name or NULL; O(log n). Any thread. */
const reel_stored *reel_safetensors_find(const reel_safetensors *file, const char *name);

/* The tensor of that name with its data, to be read only: the data lies in the mapped file, and
 * writing to it kills the process. REEL_E_ARG when there is none of that name.
 * Where the file puts a tensor at an address that is no multiple of its element's size (writers
 * before 2023 did not pad the header), it is copied into memory under tag "safetensors" at the
 * first call and kept until the close: kernels may count on aligned elements. */
REEL_MUST_USE reel_status reel_safetensors_get(reel_safetensors *file, const char *name,
                                               reel_tensor *tensor);
/* Tells the kernel that a tensor is not read again soon, so that its pages may go. */
void reel_safetensors_done(const reel_safetensors *file, const reel_stored *stored);

/* One pair of "__metadata__". */
typedef struct reel_metadata {
    const char *key;
    const char *value;
} reel_metadata;

/* Pairs in the order of the file, and the value of a key or NULL. Any thread. */
int64_t reel_safetensors_metadata_count(const reel_safetensors *file);
const reel_metadata *reel_safetensors_metadata_at(const reel_safetensors *file, int64_t i);
const char *reel_safetensors_metadata(const reel_safetensors *file, const char *key);

/* A tensor to be written. */
typedef struct reel_named_tensor {
    const char *name;
    reel_tensor tensor;
} reel_named_tensor;

/* Writes n tensors and n_metadata pairs, atomically (base/file.h) and without a copy of the data.
 * The bytes are those of the reference implementation: tensors by descending dtype alignment, then
 * by name; the header padded to 8 bytes; metadata sorted by key. Names and keys must be distinct
 * and everything UTF-8 (REEL_E_ARG). */
REEL_MUST_USE reel_status reel_safetensors_write(reel_env *env, const char *path,
                                                 const reel_named_tensor *tensors, int64_t n,
                                                 const reel_metadata *metadata, int64_t n_metadata);

/* Puts elements [first, first + n) of tensor i of the caller's list into out, in its dtype. */
typedef reel_status reel_tensor_produce(void *context, int64_t i, int64_t first, int64_t n,
                                        void *out);

/* The same for tensors whose data does not exist yet (NULL): produce makes it in pieces of a few
 * MiB, in rising order within a tensor, and its failure is returned. */
REEL_MUST_USE reel_status reel_safetensors_write_from(reel_env *env, const char *path,
                                                      const reel_named_tensor *tensors, int64_t n,
                                                      const reel_metadata *metadata,
                                                      int64_t n_metadata,
                                                      reel_tensor_produce *produce, void *context);

/* The format's word for a dtype: "F32", "BF16". Static storage. */
const char *reel_safetensors_dtype_name(reel_dtype dtype);

#endif
