#include "tensor/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are used in place, and the format is little-endian"
#endif

static const char tag_safetensors[] = "safetensors";
static const char metadata_key[] = "__metadata__";
enum { LENGTH_BYTES = 8, ARENA_BLOCK_BYTES = 1 << 16 };

struct reel_safetensors {
    reel_env *env;
    reel_arena arena; /* everything below but the copies */
    reel_map map;     /* empty when parsed from memory */
    const char *name;
    const unsigned char *data; /* the byte after the header */
    int64_t data_bytes;
    int64_t n;
    reel_stored *stored; /* by name */
    void **copy;         /* [n]; of what is not aligned in the file, made when asked for */
    int64_t n_metadata;
    reel_metadata *metadata;
};

/* ---- names of dtypes ---- */

const char *reel_safetensors_dtype_name(reel_dtype dtype) {
    static const char *const name[REEL_DTYPE_COUNT] = {"F32", "BF16", "F16", "I32", "I64", "U8"};
    return (unsigned)dtype < REEL_DTYPE_COUNT ? name[dtype] : "unknown";
}

static reel_status parse_dtype(const reel_json *at, reel_dtype *dtype) {
    const char *word = NULL;
    const reel_status status = reel_json_string(at, "dtype", &word);
    if (status != REEL_OK) return status;
    for (int d = 0; d < REEL_DTYPE_COUNT; d++) {
        if (strcmp(word, reel_safetensors_dtype_name((reel_dtype)d)) == 0) {
            *dtype = (reel_dtype)d;
            return REEL_OK;
        }
    }
    /* What the format has besides: telling it from nonsense tells the reader whether the file is
     * broken or only needs converting. */
    static const char *const other[] = {"BOOL", "F4",  "F6_E2M3", "F6_E3M2", "F8_E4M3",
                                        "I8",   "I16", "F8_E5M2", "F8_E8M0", "U16",
                                        "U32",  "U64", "F64",     "C64"};
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        if (strcmp(word, other[i]) == 0)
            return reel_json_fail(at, REEL_E_UNSUPPORTED,
                                  "dtype %s is not one that is computed with: convert it to F32, "
                                  "BF16, F16, I32, I64 or U8",
                                  word);
    return reel_json_fail(at, REEL_E_FORMAT, "dtype %.32s is not one of the format", word);
}

/* ---- the header ---- */

/* The rule of reel_shape_check, with this place in the message. */
static reel_status parse_shape(const reel_json *at, reel_shape *shape) {
    reel_json list;
    reel_status status = reel_json_array(at, "shape", &list);
    if (status != REEL_OK) return status;
    const int64_t rank = reel_json_count(&list);
    if (rank > REEL_MAX_RANK)
        return reel_json_fail(at, REEL_E_UNSUPPORTED, "has %lld axes, at most %d are computed with",
                              (long long)rank, REEL_MAX_RANK);
    *shape = (reel_shape){.rank = (int)rank};
    int64_t widest_bytes = 8;
    for (int64_t i = 0; i < rank; i++) {
        const reel_json item = reel_json_item(&list, i);
        int64_t *dim = &shape->dim[i];
        status = reel_json_int(&item, NULL, 0, INT64_MAX, dim);
        if (status != REEL_OK) return status;
        if (__builtin_mul_overflow(widest_bytes, *dim ? *dim : 1, &widest_bytes))
            return reel_json_fail(&list, REEL_E_FORMAT,
                                  "has more elements than can be counted, from axis %lld on",
                                  (long long)i);
    }
    return REEL_OK;
}

/* data_offsets: [begin,end), within the data and as long as shape and dtype ask for. */
static reel_status parse_offsets(const reel_json *at, int64_t data_bytes, reel_stored *s) {
    reel_json list;
    reel_status status = reel_json_array(at, "data_offsets", &list);
    if (status != REEL_OK) return status;
    if (reel_json_count(&list) != 2)
        return reel_json_fail(&list, REEL_E_FORMAT, "wanted [begin,end], got %lld numbers",
                              (long long)reel_json_count(&list));
    const reel_json first = reel_json_item(&list, 0);
    const reel_json second = reel_json_item(&list, 1);
    int64_t begin = 0;
    int64_t end = 0;
    status = reel_json_int(&first, NULL, 0, INT64_MAX, &begin);
    if (status == REEL_OK) status = reel_json_int(&second, NULL, 0, INT64_MAX, &end);
    if (status != REEL_OK) return status;
    if (begin > end)
        return reel_json_fail(&list, REEL_E_FORMAT, "begin %lld is after end %lld",
                              (long long)begin, (long long)end);
    if (end > data_bytes)
        return reel_json_fail(&list, REEL_E_FORMAT,
                              "end %lld is past the end of the data, %lld bytes", (long long)end,
                              (long long)data_bytes);
    const int64_t wanted = reel_shape_count(&s->shape) * reel_dtype_bytes(s->dtype);
    if (end - begin != wanted)
        return reel_json_fail(at, REEL_E_FORMAT,
                              "%s of %s takes %lld bytes, data_offsets span %lld",
                              REEL_SHAPE_STR(&s->shape), reel_safetensors_dtype_name(s->dtype),
                              (long long)wanted, (long long)(end - begin));
    s->offset = begin;
    s->bytes = end - begin;
    return REEL_OK;
}

static reel_status parse_tensor(reel_safetensors *f, const reel_json_entry *e, reel_stored *s) {
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    reel_json at;
    reel_status status = reel_json_object(&e->value, NULL, &at);
    if (status == REEL_OK) status = reel_json_only(&at, keys, 3);
    if (status == REEL_OK) status = parse_dtype(&at, &s->dtype);
    if (status == REEL_OK) status = parse_shape(&at, &s->shape);
    if (status == REEL_OK) status = parse_offsets(&at, f->data_bytes, s);
    if (status != REEL_OK) return status;
    s->name = reel_arena_strdup(&f->arena, e->key);
    return s->name ? REEL_OK : REEL_E_NOMEM;
}

static reel_status parse_metadata(reel_safetensors *f, const reel_json *root) {
    if (!reel_json_has(root, metadata_key)) return REEL_OK;
    reel_json pairs;
    reel_status status = reel_json_object(root, metadata_key, &pairs);
    if (status != REEL_OK) return status;
    f->metadata = reel_arena_calloc(&f->arena, reel_json_count(&pairs), sizeof *f->metadata);
    if (!f->metadata) return REEL_E_NOMEM;
    for (reel_json_entry e = reel_json_first(&pairs); e.key; e = reel_json_next(&pairs, e)) {
        reel_metadata *pair = &f->metadata[f->n_metadata];
        const char *value = NULL;
        status = reel_json_string(&e.value, NULL, &value);
        if (status != REEL_OK) return status;
        pair->key = reel_arena_strdup(&f->arena, e.key);
        pair->value = reel_arena_strdup(&f->arena, value);
        if (!pair->key || !pair->value) return REEL_E_NOMEM;
        f->n_metadata++;
    }
    return REEL_OK;
}

/* ---- the data: every byte belongs to exactly one tensor ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(((const reel_stored *)a)->name, ((const reel_stored *)b)->name);
}

/* Tensors without elements come before the one that begins where they stand. */
static int by_place(const void *a, const void *b) {
    const reel_stored *x = *(const reel_stored *const *)a;
    const reel_stored *y = *(const reel_stored *const *)b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static reel_status check_cover(reel_safetensors *f) {
    const reel_arena_mark mark = reel_arena_get_mark(&f->arena);
    const reel_stored **place = reel_arena_calloc(&f->arena, f->n, sizeof *place);
    if (!place) return REEL_E_NOMEM;
    for (int64_t i = 0; i < f->n; i++)
        place[i] = &f->stored[i];
    qsort(place, (size_t)f->n, sizeof *place, by_place);
    reel_status status = REEL_OK;
    int64_t covered = 0;
    for (int64_t i = 0; i < f->n && status == REEL_OK; i++) {
        const reel_stored *s = place[i];
        if (s->offset < covered)
            status =
                reel_fail(f->env, REEL_E_FORMAT, "%s: tensors %.80s and %.80s overlap at byte %lld",
                          f->name, place[i - 1]->name, s->name, (long long)s->offset);
        else if (s->offset > covered)
            status = reel_fail(f->env, REEL_E_FORMAT,
                               "%s: bytes [%lld,%lld) before tensor %.80s belong to no tensor",
                               f->name, (long long)covered, (long long)s->offset, s->name);
        covered = s->offset + s->bytes;
    }
    if (status == REEL_OK && covered != f->data_bytes)
        status = reel_fail(f->env, REEL_E_FORMAT, "%s: the last %lld bytes belong to no tensor",
                           f->name, (long long)(f->data_bytes - covered));
    reel_arena_rewind(&f->arena, mark);
    return status;
}

static reel_status parse_header(reel_safetensors *f, const char *text, int64_t bytes) {
    char *title = reel_arena_printf(&f->arena, "%s: header", f->name);
    if (!title) return REEL_E_NOMEM;
    reel_json_doc *doc = NULL;
    reel_status status = reel_json_parse(f->env, text, bytes, title, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    status = parse_metadata(f, &root);
    if (status != REEL_OK) goto done;
    const int64_t n = reel_json_count(&root) - (reel_json_has(&root, metadata_key) ? 1 : 0);
    f->stored = reel_arena_calloc(&f->arena, n, sizeof *f->stored);
    f->copy = reel_arena_calloc(&f->arena, n, sizeof *f->copy);
    if (!f->stored || !f->copy) {
        status = REEL_E_NOMEM;
        goto done;
    }
    for (reel_json_entry e = reel_json_first(&root); e.key; e = reel_json_next(&root, e)) {
        if (strcmp(e.key, metadata_key) == 0) continue;
        status = parse_tensor(f, &e, &f->stored[f->n]);
        if (status != REEL_OK) goto done;
        f->n++;
    }
    qsort(f->stored, (size_t)f->n, sizeof *f->stored, by_name);
    status = check_cover(f);
done:
    reel_json_free(&doc);
    return status;
}

/* The rules that come before JSON. *header_bytes becomes the header's length. */
static reel_status check_frame(reel_safetensors *f, const unsigned char *data, int64_t bytes,
                               int64_t *header_bytes) {
    if (bytes < LENGTH_BYTES)
        return reel_fail(f->env, REEL_E_FORMAT,
                         "%s: %lld bytes, a safetensors file begins with 8 bytes of header length",
                         f->name, (long long)bytes);
    uint64_t n;
    memcpy(&n, data, sizeof n);
    if (n > REEL_SAFETENSORS_MAX_HEADER)
        return reel_fail(f->env, REEL_E_FORMAT,
                         "%s: header length %llu is above the limit of %d: not a safetensors file?",
                         f->name, (unsigned long long)n, REEL_SAFETENSORS_MAX_HEADER);
    if ((int64_t)n > bytes - LENGTH_BYTES)
        return reel_fail(f->env, REEL_E_FORMAT,
                         "%s: header length %llu, but only %lld bytes follow: cut short?", f->name,
                         (unsigned long long)n, (long long)(bytes - LENGTH_BYTES));
    const unsigned char *header = data + LENGTH_BYTES;
    if (n == 0 || header[0] != '{')
        return reel_fail(f->env, REEL_E_FORMAT, "%s: header does not begin with '{'", f->name);
    int64_t end = (int64_t)n;
    while (end > 0 && header[end - 1] == ' ')
        end--;
    if (header[end - 1] != '}')
        return reel_fail(f->env, REEL_E_FORMAT,
                         "%s: header does not end with '}', padded with spaces only", f->name);
    *header_bytes = (int64_t)n;
    return REEL_OK;
}

reel_status reel_safetensors_parse(reel_env *env, const void *data, int64_t bytes, const char *name,
                                   reel_safetensors **file) {
    reel_safetensors *f = reel_calloc(env, 1, sizeof *f, tag_safetensors);
    if (!f) return REEL_E_NOMEM;
    f->env = env;
    reel_arena_init(&f->arena, env, ARENA_BLOCK_BYTES, tag_safetensors);
    f->name = reel_arena_strdup(&f->arena, name);
    int64_t header_bytes = 0;
    reel_status status = f->name ? REEL_OK : REEL_E_NOMEM;
    if (status == REEL_OK) status = check_frame(f, data, bytes, &header_bytes);
    if (status == REEL_OK) {
        const unsigned char *header = (const unsigned char *)data + LENGTH_BYTES;
        f->data = header + header_bytes;
        f->data_bytes = bytes - LENGTH_BYTES - header_bytes;
        status = parse_header(f, (const char *)header, header_bytes);
    }
    if (status != REEL_OK) {
        reel_safetensors_close(&f);
        return status;
    }
    *file = f;
    return REEL_OK;
}

reel_status reel_safetensors_open(reel_env *env, const char *path, reel_safetensors **file) {
    reel_map map;
    reel_status status = reel_map_open(env, path, &map);
    if (status != REEL_OK) return status;
    reel_safetensors *f = NULL;
    status = reel_safetensors_parse(env, map.data, map.bytes, path, &f);
    if (status != REEL_OK) {
        reel_map_close(&map);
        return status;
    }
    f->map = map;
    *file = f;
    return REEL_OK;
}

void reel_safetensors_close(reel_safetensors **file) {
    if (!file || !*file) return;
    reel_safetensors *f = *file;
    *file = NULL;
    for (int64_t i = 0; i < f->n; i++)
        reel_free(f->env, f->copy[i]);
    reel_map_close(&f->map);
    reel_arena_deinit(&f->arena);
    reel_free(f->env, f);
}

/* ---- looking up ---- */

const char *reel_safetensors_name(const reel_safetensors *f) {
    return f->name;
}
int64_t reel_safetensors_count(const reel_safetensors *f) {
    return f->n;
}
const reel_stored *reel_safetensors_at(const reel_safetensors *f, int64_t i) {
    return &f->stored[i];
}

const reel_stored *reel_safetensors_find(const reel_safetensors *f, const char *name) {
    const reel_stored wanted = {.name = name};
    if (f->n == 0) return NULL;
    return bsearch(&wanted, f->stored, (size_t)f->n, sizeof *f->stored, by_name);
}

/* Tensors are plain data with a writable pointer; that this one must not be written to is the
 * header's word, not the type's. The cast is confined to here. */
static void *borrowed(const unsigned char *data) {
    return (void *)(uintptr_t)data;
}

reel_status reel_safetensors_get(reel_safetensors *f, const char *name, reel_tensor *tensor) {
    const reel_stored *s = reel_safetensors_find(f, name);
    if (!s) return reel_fail(f->env, REEL_E_ARG, "%s: has no tensor %.160s", f->name, name);
    const unsigned char *data = f->data + s->offset;
    void *aligned = borrowed(data);
    if ((uintptr_t)data % (uintptr_t)reel_dtype_bytes(s->dtype) != 0) {
        void **copy = &f->copy[s - f->stored];
        if (!*copy) {
            *copy = reel_alloc(f->env, s->bytes, tag_safetensors);
            if (!*copy) return REEL_E_NOMEM;
            memcpy(*copy, data, (size_t)s->bytes);
        }
        aligned = *copy;
    }
    *tensor = (reel_tensor){.dtype = s->dtype, .shape = s->shape, .data = aligned};
    return REEL_OK;
}

void reel_safetensors_done(const reel_safetensors *f, const reel_stored *s) {
    if (f->map.bytes > 0)
        reel_map_advise(&f->map, (f->data - f->map.data) + s->offset, s->bytes, REEL_MAP_DONE);
}

int64_t reel_safetensors_metadata_count(const reel_safetensors *f) {
    return f->n_metadata;
}
const reel_metadata *reel_safetensors_metadata_at(const reel_safetensors *f, int64_t i) {
    return &f->metadata[i];
}

const char *reel_safetensors_metadata(const reel_safetensors *f, const char *key) {
    for (int64_t i = 0; i < f->n_metadata; i++)
        if (strcmp(f->metadata[i].key, key) == 0) return f->metadata[i].value;
    return NULL;
}
