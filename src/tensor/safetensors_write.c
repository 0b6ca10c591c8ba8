#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json_out.h"
#include "tensor/safetensors.h"

/* The reference implementation's order of dtypes: its enumeration, which rises with alignment. The
 * widest come first, so that every tensor is aligned to its elements when the data is. */
static int dtype_order(reel_dtype dtype) {
    static const int order[REEL_DTYPE_COUNT] = {
        [REEL_U8] = 0,  [REEL_F16] = 1, [REEL_BF16] = 2,
        [REEL_I32] = 3, [REEL_F32] = 4, [REEL_I64] = 5,
    };
    return order[dtype];
}

static int by_alignment_and_name(const void *a, const void *b) {
    const reel_named_tensor *x = *(const reel_named_tensor *const *)a;
    const reel_named_tensor *y = *(const reel_named_tensor *const *)b;
    const int order = dtype_order(y->tensor.dtype) - dtype_order(x->tensor.dtype);
    return order ? order : strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b) {
    const reel_named_tensor *x = *(const reel_named_tensor *const *)a;
    const reel_named_tensor *y = *(const reel_named_tensor *const *)b;
    return strcmp(x->name, y->name);
}

static int by_key(const void *a, const void *b) {
    const reel_metadata *x = *(const reel_metadata *const *)a;
    const reel_metadata *y = *(const reel_metadata *const *)b;
    return strcmp(x->key, y->key);
}

static reel_status check_text(reel_env *env, const char *what, const char *text) {
    if (!text) return reel_fail(env, REEL_E_ARG, "a %s is NULL", what);
    if (!reel_utf8_valid(text))
        return reel_fail(env, REEL_E_ARG, "a %s is not UTF-8: %.80s", what, text);
    return REEL_OK;
}

static reel_status check_tensor(reel_env *env, const reel_named_tensor *t, bool produced) {
    reel_status status = check_text(env, "tensor's name", t->name);
    if (status != REEL_OK) return status;
    if (strcmp(t->name, "__metadata__") == 0)
        return reel_fail(env, REEL_E_ARG, "no tensor can have the name __metadata__");
    status = reel_shape_check(env, &t->tensor.shape);
    if (status != REEL_OK) {
        reel_fail_within(env, "tensor %.160s", t->name);
        return status;
    }
    if (t->tensor.dtype >= REEL_DTYPE_COUNT)
        return reel_fail(env, REEL_E_UNSUPPORTED, "tensor %.160s is %s, which safetensors has not",
                         t->name, reel_dtype_name(t->tensor.dtype));
    if (!produced && !t->tensor.data && reel_tensor_bytes(&t->tensor) > 0)
        return reel_fail(env, REEL_E_ARG, "tensor %.160s has no data", t->name);
    return REEL_OK;
}

/* What is written, in the order of the file. Arrays in an arena. */
typedef struct contents {
    const reel_named_tensor **tensor;
    int64_t n;
    const reel_metadata **pair;
    int64_t n_pairs;
    const reel_named_tensor *list; /* the caller's, unsorted */
    reel_tensor_produce *produce;  /* NULL: the tensors have data */
    void *context;
} contents;

/* Sorted twice: by name, so that a double one is found, then in the order of the file. */
static reel_status order_tensors(reel_env *env, contents *c, const reel_named_tensor *tensors) {
    for (int64_t i = 0; i < c->n; i++) {
        c->tensor[i] = &tensors[i];
        const reel_status status = check_tensor(env, &tensors[i], c->produce != NULL);
        if (status != REEL_OK) return status;
    }
    if (c->n == 0) return REEL_OK;
    qsort(c->tensor, (size_t)c->n, sizeof *c->tensor, by_name);
    for (int64_t i = 1; i < c->n; i++)
        if (strcmp(c->tensor[i - 1]->name, c->tensor[i]->name) == 0)
            return reel_fail(env, REEL_E_ARG, "two tensors have the name %.160s",
                             c->tensor[i]->name);
    qsort(c->tensor, (size_t)c->n, sizeof *c->tensor, by_alignment_and_name);
    return REEL_OK;
}

static reel_status order_metadata(reel_env *env, contents *c, const reel_metadata *metadata) {
    for (int64_t i = 0; i < c->n_pairs; i++) {
        c->pair[i] = &metadata[i];
        reel_status status = check_text(env, "metadata key", metadata[i].key);
        if (status == REEL_OK) status = check_text(env, "metadata value", metadata[i].value);
        if (status != REEL_OK) return status;
    }
    if (c->n_pairs == 0) return REEL_OK;
    qsort(c->pair, (size_t)c->n_pairs, sizeof *c->pair, by_key);
    for (int64_t i = 1; i < c->n_pairs; i++)
        if (strcmp(c->pair[i - 1]->key, c->pair[i]->key) == 0)
            return reel_fail(env, REEL_E_ARG, "two metadata pairs have the key %.160s",
                             c->pair[i]->key);
    return REEL_OK;
}

static void put_metadata(reel_json_out *out, const contents *c) {
    reel_json_out_key(out, "__metadata__");
    reel_json_out_object_begin(out);
    for (int64_t i = 0; i < c->n_pairs; i++) {
        reel_json_out_key(out, c->pair[i]->key);
        reel_json_out_string(out, c->pair[i]->value);
    }
    reel_json_out_end(out);
}

static void put_tensor(reel_json_out *out, const reel_named_tensor *t, int64_t begin, int64_t end) {
    const reel_shape *shape = &t->tensor.shape;
    reel_json_out_key(out, t->name);
    reel_json_out_object_begin(out);
    reel_json_out_key(out, "dtype");
    reel_json_out_string(out, reel_safetensors_dtype_name(t->tensor.dtype));
    reel_json_out_key(out, "shape");
    reel_json_out_array_begin(out);
    for (int i = 0; i < shape->rank; i++)
        reel_json_out_int(out, shape->dim[i]);
    reel_json_out_end(out);
    reel_json_out_key(out, "data_offsets");
    reel_json_out_array_begin(out);
    reel_json_out_int(out, begin);
    reel_json_out_int(out, end);
    reel_json_out_end(out);
    reel_json_out_end(out);
}

static reel_status put_header(reel_env *env, reel_json_out *out, const contents *c) {
    reel_json_out_object_begin(out);
    if (c->n_pairs > 0) put_metadata(out, c);
    int64_t offset = 0;
    for (int64_t i = 0; i < c->n; i++) {
        int64_t end;
        if (__builtin_add_overflow(offset, reel_tensor_bytes(&c->tensor[i]->tensor), &end))
            return reel_fail(env, REEL_E_ARG, "the tensors are more bytes than can be counted");
        put_tensor(out, c->tensor[i], offset, end);
        offset = end;
    }
    reel_json_out_end(out);
    return REEL_OK;
}

static reel_status write_produced(reel_env *env, reel_writer *w, const contents *c,
                                  const reel_named_tensor *t) {
    enum { PIECE_BYTES = 4 << 20 };
    const int64_t size = reel_dtype_bytes(t->tensor.dtype), all = reel_tensor_count(&t->tensor);
    void *piece = reel_alloc(env, PIECE_BYTES, "safetensors");
    reel_status status = piece ? REEL_OK : REEL_E_NOMEM;
    for (int64_t first = 0; first < all && status == REEL_OK; first += PIECE_BYTES / size) {
        const int64_t n = all - first < PIECE_BYTES / size ? all - first : PIECE_BYTES / size;
        status = c->produce(c->context, t - c->list, first, n, piece);
        if (status == REEL_OK) status = reel_writer_write(w, piece, n * size);
    }
    reel_free(env, piece);
    return status;
}

static reel_status write_tensor(reel_env *env, reel_writer *w, const contents *c,
                                const reel_named_tensor *t) {
    if (c->produce) return write_produced(env, w, c, t);
    return reel_writer_write(w, t->tensor.data, reel_tensor_bytes(&t->tensor));
}

static reel_status write_file(reel_env *env, const char *path, const char *header, int64_t bytes,
                              const contents *c) {
    const int64_t padding = (8 - bytes % 8) % 8;
    if (bytes + padding > REEL_SAFETENSORS_MAX_HEADER)
        return reel_fail(env, REEL_E_ARG, "%s: a header of %lld bytes is above the limit of %d",
                         path, (long long)bytes, REEL_SAFETENSORS_MAX_HEADER);
    const uint64_t length = (uint64_t)(bytes + padding);
    reel_writer *w = NULL;
    reel_status status = reel_writer_open(env, path, &w);
    if (status == REEL_OK) status = reel_writer_write(w, &length, sizeof length);
    if (status == REEL_OK) status = reel_writer_write(w, header, bytes);
    if (status == REEL_OK) status = reel_writer_write(w, "        ", padding);
    for (int64_t i = 0; i < c->n && status == REEL_OK; i++)
        status = write_tensor(env, w, c, c->tensor[i]);
    if (status == REEL_OK) status = reel_writer_commit(w);
    reel_writer_close(&w);
    return status;
}

reel_status reel_safetensors_write_from(reel_env *env, const char *path,
                                        const reel_named_tensor *tensors, int64_t n,
                                        const reel_metadata *metadata, int64_t n_metadata,
                                        reel_tensor_produce *produce, void *context) {
    reel_arena arena;
    reel_arena_init(&arena, env, 1 << 14, "safetensors");
    reel_json_out out;
    reel_json_out_init(&out, env);
    contents c = {
        .n = n, .n_pairs = n_metadata, .list = tensors, .produce = produce, .context = context};
    c.tensor = reel_arena_calloc(&arena, n, sizeof *c.tensor);
    c.pair = reel_arena_calloc(&arena, n_metadata, sizeof *c.pair);
    reel_status status = c.tensor && c.pair ? REEL_OK : REEL_E_NOMEM;
    if (status == REEL_OK) status = order_tensors(env, &c, tensors);
    if (status == REEL_OK) status = order_metadata(env, &c, metadata);
    if (status == REEL_OK) status = put_header(env, &out, &c);
    const char *header = NULL;
    int64_t bytes = 0;
    if (status == REEL_OK) status = reel_json_out_text(&out, &header, &bytes);
    if (status == REEL_OK) status = write_file(env, path, header, bytes, &c);
    reel_json_out_deinit(&out);
    reel_arena_deinit(&arena);
    return status;
}

reel_status reel_safetensors_write(reel_env *env, const char *path,
                                   const reel_named_tensor *tensors, int64_t n,
                                   const reel_metadata *metadata, int64_t n_metadata) {
    return reel_safetensors_write_from(env, path, tensors, n, metadata, n_metadata, NULL, NULL);
}
