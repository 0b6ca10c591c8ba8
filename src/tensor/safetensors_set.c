#include "tensor/safetensors_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

static const char tag_set[] = "safetensors";
enum { MAX_INDEX_BYTES = 64 << 20 };

/* ---- the index ---- */

static bool ends_with(const char *text, const char *end) {
    const size_t n = strlen(text);
    const size_t n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

/* An index comes from a stranger; it may name files beside it and nothing else. */
static reel_status check_file_name(const reel_json *at, const char *file) {
    if (strchr(file, '/') || strchr(file, '\\') || file[0] == '.')
        return reel_json_fail(at, REEL_E_FORMAT,
                              "wanted the name of a file in the index's folder, got \"%.80s\"",
                              file);
    if (!ends_with(file, ".safetensors"))
        return reel_json_fail(at, REEL_E_FORMAT, "wanted a .safetensors file, got \"%.80s\"", file);
    return REEL_OK;
}

/* Number of a file, given to it when it is mentioned first. Neighbours in an index mostly share
 * their file, so the search begins with the newest. */
static reel_status number_file(reel_shard_index *x, const reel_json *at, const char *file,
                               int *number) {
    for (int i = x->n_files - 1; i >= 0; i--) {
        if (strcmp(x->file[i], file) == 0) {
            *number = i;
            return REEL_OK;
        }
    }
    const reel_status status = check_file_name(at, file);
    if (status != REEL_OK) return status;
    if (x->n_files == REEL_MAX_SHARDS)
        return reel_json_fail(at, REEL_E_UNSUPPORTED, "is in one file more than %d",
                              REEL_MAX_SHARDS);
    x->file[x->n_files] = reel_arena_strdup(&x->arena, file);
    if (!x->file[x->n_files]) return REEL_E_NOMEM;
    *number = x->n_files++;
    return REEL_OK;
}

static int by_entry_name(const void *a, const void *b) {
    return strcmp(((const reel_shard_entry *)a)->name, ((const reel_shard_entry *)b)->name);
}

static reel_status parse_weight_map(reel_shard_index *x, const reel_json *root) {
    reel_json map;
    reel_status status = reel_json_object(root, "weight_map", &map);
    if (status != REEL_OK) return status;
    const int64_t n = reel_json_count(&map);
    x->entry = reel_arena_calloc(&x->arena, n, sizeof *x->entry);
    x->file =
        reel_arena_calloc(&x->arena, n < REEL_MAX_SHARDS ? n : REEL_MAX_SHARDS, sizeof *x->file);
    if (!x->entry || !x->file) return REEL_E_NOMEM;
    for (reel_json_entry e = reel_json_first(&map); e.key; e = reel_json_next(&map, e)) {
        reel_shard_entry *entry = &x->entry[x->n];
        const char *file = NULL;
        status = reel_json_string(&e.value, NULL, &file);
        if (status == REEL_OK) status = number_file(x, &e.value, file, &entry->file);
        if (status != REEL_OK) return status;
        entry->name = reel_arena_strdup(&x->arena, e.key);
        if (!entry->name) return REEL_E_NOMEM;
        x->n++;
    }
    if (x->n > 0) qsort(x->entry, (size_t)x->n, sizeof *x->entry, by_entry_name);
    return REEL_OK;
}

/* total_size is an integer in most indices, and a whole number written as a real in some. */
static reel_status parse_total_size(reel_shard_index *x, const reel_json *root) {
    x->total_size = -1;
    if (!reel_json_has(root, "metadata")) return REEL_OK;
    reel_json metadata;
    reel_status status = reel_json_object(root, "metadata", &metadata);
    if (status != REEL_OK) return status;
    double size = 0;
    const double largest = 0x1p62;
    status = reel_json_real_or(&metadata, "total_size", 0, largest, -1, &size);
    if (status == REEL_OK) x->total_size = (int64_t)size;
    return status;
}

reel_status reel_shard_index_parse(reel_env *env, const char *text, int64_t bytes, const char *name,
                                   reel_shard_index *index) {
    reel_json_doc *doc = NULL;
    reel_status status = reel_json_parse(env, text, bytes, name, &doc);
    if (status != REEL_OK) return status;
    reel_shard_index x = {0};
    reel_arena_init(&x.arena, env, 1 << 16, tag_set);
    const reel_json root = reel_json_root(doc);
    status = parse_weight_map(&x, &root);
    if (status == REEL_OK) status = parse_total_size(&x, &root);
    reel_json_free(&doc);
    if (status != REEL_OK) {
        reel_shard_index_deinit(&x);
        return status;
    }
    *index = x;
    return REEL_OK;
}

void reel_shard_index_deinit(reel_shard_index *index) {
    reel_arena_deinit(&index->arena);
    *index = (reel_shard_index){0};
}

/* ---- the set ---- */

/* A tensor and where it is. */
typedef struct member {
    const reel_stored *stored;
    int shard;
} member;

struct reel_safetensors_set {
    reel_env *env;
    char *name;
    int n_shards;
    reel_safetensors **shard;
    int64_t n;
    member *member; /* by name */
};

/* Both ways: what the index names must be in its shard, and what a shard has must be named by the
 * index and put there. */
static reel_status compare(reel_safetensors_set *set, const reel_shard_index *index) {
    for (int64_t i = 0; i < index->n; i++) {
        const reel_shard_entry *e = &index->entry[i];
        const reel_stored *s = reel_safetensors_find(set->shard[e->file], e->name);
        if (!s)
            return reel_fail(set->env, REEL_E_FORMAT, "%s: tensor %.160s is not in %s", set->name,
                             e->name, index->file[e->file]);
        set->member[i] = (member){.stored = s, .shard = e->file};
    }
    for (int f = 0; f < set->n_shards; f++) {
        for (int64_t i = 0; i < reel_safetensors_count(set->shard[f]); i++) {
            const reel_stored *s = reel_safetensors_at(set->shard[f], i);
            const reel_shard_entry wanted = {.name = s->name};
            const reel_shard_entry *e = index->n ? bsearch(&wanted, index->entry, (size_t)index->n,
                                                           sizeof *index->entry, by_entry_name)
                                                 : NULL;
            if (!e || e->file != f)
                return reel_fail(set->env, REEL_E_FORMAT,
                                 "%s: %s has tensor %.160s, which the index %s", set->name,
                                 index->file[f], s->name, e ? "puts elsewhere" : "does not name");
        }
    }
    return REEL_OK;
}

static void check_total_size(const reel_safetensors_set *set, int64_t total_size) {
    int64_t sum = 0;
    for (int64_t i = 0; i < set->n; i++)
        sum += set->member[i].stored->bytes;
    if (total_size >= 0 && total_size != sum)
        reel_log(set->env, REEL_LOG_WARN, "%s: metadata.total_size is %lld, the tensors have %lld",
                 set->name, (long long)total_size, (long long)sum);
}

/* folder of path, with its slash, and file behind it. */
static reel_status open_shard(reel_env *env, const char *path, const char *file,
                              reel_safetensors **shard) {
    const char *slash = strrchr(path, '/');
    const size_t n_folder = slash ? (size_t)(slash - path) + 1 : 0;
    const size_t n_file = strlen(file);
    char *full = reel_alloc(env, (int64_t)(n_folder + n_file + 1), tag_set);
    if (!full) return REEL_E_NOMEM;
    memcpy(full, path, n_folder);
    memcpy(full + n_folder, file, n_file + 1);
    const reel_status status = reel_safetensors_open(env, full, shard);
    reel_free(env, full);
    return status;
}

static reel_status make_room(reel_safetensors_set *set, int n_shards, int64_t n) {
    set->shard = reel_calloc(set->env, n_shards, sizeof *set->shard, tag_set);
    if (!set->shard) return REEL_E_NOMEM;
    set->n_shards = n_shards;
    set->member = reel_calloc(set->env, n, sizeof *set->member, tag_set);
    if (!set->member) return REEL_E_NOMEM;
    set->n = n;
    return REEL_OK;
}

static reel_status open_indexed(reel_safetensors_set *set, const char *path) {
    char *text = NULL;
    int64_t bytes = 0;
    reel_status status = reel_file_read(set->env, path, MAX_INDEX_BYTES, &text, &bytes);
    if (status != REEL_OK) return status;
    reel_shard_index index;
    status = reel_shard_index_parse(set->env, text, bytes, path, &index);
    reel_free(set->env, text);
    if (status != REEL_OK) return status;
    status = make_room(set, index.n_files, index.n);
    for (int f = 0; f < index.n_files && status == REEL_OK; f++)
        status = open_shard(set->env, path, index.file[f], &set->shard[f]);
    if (status == REEL_OK) status = compare(set, &index);
    if (status == REEL_OK) check_total_size(set, index.total_size);
    reel_shard_index_deinit(&index);
    return status;
}

static reel_status open_single(reel_safetensors_set *set, const char *path) {
    reel_safetensors *file = NULL;
    reel_status status = reel_safetensors_open(set->env, path, &file);
    if (status != REEL_OK) return status;
    status = make_room(set, 1, reel_safetensors_count(file));
    if (status != REEL_OK) {
        reel_safetensors_close(&file);
        return status;
    }
    set->shard[0] = file;
    for (int64_t i = 0; i < set->n; i++)
        set->member[i] = (member){.stored = reel_safetensors_at(file, i)};
    return REEL_OK;
}

reel_status reel_safetensors_set_open(reel_env *env, const char *path, reel_safetensors_set **set) {
    reel_safetensors_set *made = reel_calloc(env, 1, sizeof *made, tag_set);
    if (!made) return REEL_E_NOMEM;
    made->env = env;
    made->name = reel_strdup(env, path, tag_set);
    reel_status status = made->name ? REEL_OK : REEL_E_NOMEM;
    if (status == REEL_OK)
        status = ends_with(path, ".json") ? open_indexed(made, path) : open_single(made, path);
    if (status != REEL_OK) {
        reel_safetensors_set_close(&made);
        return status;
    }
    *set = made;
    return REEL_OK;
}

void reel_safetensors_set_close(reel_safetensors_set **set) {
    if (!set || !*set) return;
    reel_safetensors_set *dead = *set;
    *set = NULL;
    for (int f = 0; f < dead->n_shards; f++)
        reel_safetensors_close(&dead->shard[f]);
    reel_free(dead->env, dead->shard);
    reel_free(dead->env, dead->member);
    reel_free(dead->env, dead->name);
    reel_free(dead->env, dead);
}

int64_t reel_safetensors_set_count(const reel_safetensors_set *set) {
    return set->n;
}
const reel_stored *reel_safetensors_set_at(const reel_safetensors_set *set, int64_t i) {
    return set->member[i].stored;
}

static int by_member_name(const void *name, const void *m) {
    return strcmp(name, ((const member *)m)->stored->name);
}

static const member *find_member(const reel_safetensors_set *set, const char *name) {
    if (set->n == 0) return NULL;
    return bsearch(name, set->member, (size_t)set->n, sizeof *set->member, by_member_name);
}

const reel_stored *reel_safetensors_set_find(const reel_safetensors_set *set, const char *name) {
    const member *m = find_member(set, name);
    return m ? m->stored : NULL;
}

reel_status reel_safetensors_set_get(reel_safetensors_set *set, const char *name,
                                     reel_tensor *tensor) {
    const member *m = find_member(set, name);
    if (!m) return reel_fail(set->env, REEL_E_ARG, "%s: has no tensor %.160s", set->name, name);
    return reel_safetensors_get(set->shard[m->shard], name, tensor);
}

void reel_safetensors_set_done(const reel_safetensors_set *set, const char *name) {
    const member *m = find_member(set, name);
    if (m) reel_safetensors_done(set->shard[m->shard], m->stored);
}

int reel_safetensors_set_shards(const reel_safetensors_set *set) {
    return set->n_shards;
}
const reel_safetensors *reel_safetensors_set_shard(const reel_safetensors_set *set, int i) {
    return set->shard[i];
}
