/* The file of what was seen: one JSON object a line, the newest last. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/json_out.h"
#include "data/shots.h"

static const char tag[] = "sights";
static const int64_t most_bytes = (int64_t)1 << 30;

typedef struct sight {
    reel_sight_key key;
    reel_shots shots;
    const char *trouble;
    int64_t line; /* the later of two counts */
} sight;

struct reel_sights {
    reel_env *env;
    reel_arena arena;
    char *path;
    sight *sight; /* [n], sorted */
    int64_t n, room;
};

/* ---- reading ---- */

static reel_status read_shots(const reel_json *at, reel_arena *arena, reel_shots *out) {
    reel_json list;
    int64_t side;
    const char *id;
    reel_status status = reel_json_int(at, "width", 1, 1 << 20, &side);
    if (status != REEL_OK) return status;
    out->width = (int)side;
    status = reel_json_int(at, "height", 1, 1 << 20, &side);
    if (status == REEL_OK) status = reel_json_string(at, "id", &id);
    if (status == REEL_OK) status = reel_json_array(at, "shots", &list);
    if (status != REEL_OK) return status;
    out->height = (int)side;
    out->id = strtoull(id, NULL, 16);
    out->n = reel_json_count(&list) / 2;
    reel_shot *shot = reel_arena_calloc(arena, out->n, sizeof *shot);
    if (!shot) return REEL_E_NOMEM;
    for (int64_t i = 0; i < 2 * out->n && status == REEL_OK; i++) {
        const reel_json item = reel_json_item(&list, i);
        int64_t *to = i % 2 ? &shot[i / 2].end : &shot[i / 2].first;
        const int64_t least = i % 2 ? shot[i / 2].first + 1 : i ? shot[i / 2 - 1].end : 0;
        status = reel_json_int(&item, NULL, least, (int64_t)1 << 40, to);
    }
    out->shot = shot;
    return status;
}

static reel_status read_sight(const reel_json *at, reel_arena *arena, sight *s) {
    const char *name, *trouble = NULL;
    reel_status status = reel_json_string(at, "name", &name);
    if (status == REEL_OK) status = reel_json_int(at, "bytes", 0, INT64_MAX, &s->key.bytes);
    if (status == REEL_OK)
        status = reel_json_int(at, "changed", INT64_MIN, INT64_MAX, &s->key.changed);
    if (status == REEL_OK) status = reel_json_real(at, "fps", 0, 1e6, &s->key.fps);
    if (status == REEL_OK) status = reel_json_string_or(at, "trouble", NULL, &trouble);
    if (status == REEL_OK && !trouble) status = read_shots(at, arena, &s->shots);
    if (status != REEL_OK) return status;
    s->key.name = reel_arena_strdup(arena, name);
    s->trouble = trouble ? reel_arena_strdup(arena, trouble) : NULL;
    return s->key.name && (!trouble || s->trouble) ? REEL_OK : REEL_E_NOMEM;
}

static reel_status keep(reel_sights *s, const sight *one) {
    if (s->n == s->room) {
        const int64_t room = s->room ? 2 * s->room : 256;
        sight *grown = reel_realloc(s->env, s->sight, room * (int64_t)sizeof *grown, tag);
        if (!grown) return REEL_E_NOMEM;
        s->sight = grown;
        s->room = room;
    }
    s->sight[s->n++] = *one;
    return REEL_OK;
}

/* A line that a kill cut in two, or that something else wrote, is no sight. */
static reel_status read_line(reel_sights *s, const char *line, int64_t bytes, int64_t number) {
    reel_json_doc *doc = NULL;
    sight one = {.line = number};
    reel_status status = reel_json_parse(s->env, line, bytes, s->path, &doc);
    if (status == REEL_OK) {
        const reel_json root = reel_json_root(doc);
        status = read_sight(&root, &s->arena, &one);
    }
    reel_json_free(&doc);
    if (status == REEL_E_NOMEM) return status;
    if (status == REEL_OK) return keep(s, &one);
    reel_env_clear(s->env);
    return REEL_OK;
}

static int by_name(const void *a, const void *b) {
    const sight *x = a, *y = b;
    const int order = strcmp(x->key.name, y->key.name);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static reel_status read_file(reel_sights *s) {
    char *text;
    int64_t bytes, number = 0;
    if (!reel_path_exists(s->path)) return REEL_OK;
    reel_status status = reel_file_read(s->env, s->path, most_bytes, &text, &bytes);
    if (status != REEL_OK) return status;
    for (int64_t from = 0; from < bytes && status == REEL_OK;) {
        const char *end = memchr(text + from, '\n', (size_t)(bytes - from));
        const int64_t to = end ? end - text : bytes;
        if (to > from) status = read_line(s, text + from, to - from, number++);
        from = to + 1;
    }
    reel_free(s->env, text);
    if (s->n) qsort(s->sight, (size_t)s->n, sizeof *s->sight, by_name);
    return status;
}

reel_status reel_sights_open(reel_env *env, const char *path, reel_sights **sights) {
    reel_sights *s = reel_calloc(env, 1, sizeof *s, tag);
    if (!s) return REEL_E_NOMEM;
    s->env = env;
    reel_arena_init(&s->arena, env, 1 << 16, tag);
    s->path = reel_strdup(env, path, tag);
    const reel_status status = s->path ? read_file(s) : REEL_E_NOMEM;
    if (status != REEL_OK) {
        reel_sights_close(&s);
        return status;
    }
    *sights = s;
    return REEL_OK;
}

void reel_sights_close(reel_sights **sights) {
    reel_sights *s = *sights;
    if (!s) return;
    reel_arena_deinit(&s->arena);
    reel_free(s->env, s->path);
    reel_free(s->env, s->sight);
    reel_free(s->env, s);
    *sights = NULL;
}

/* ---- finding and adding ---- */

/* The first sight whose name is not before `name`. */
static int64_t lower_bound(const reel_sights *s, const char *name) {
    int64_t low = 0, high = s->n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (strcmp(s->sight[middle].key.name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool reel_sights_find(const reel_sights *s, const reel_sight_key *key, reel_shots *shots,
                      const char **trouble) {
    bool found = false;
    for (int64_t i = lower_bound(s, key->name);
         i < s->n && strcmp(s->sight[i].key.name, key->name) == 0; i++) {
        const sight *one = &s->sight[i];
        if (one->key.bytes != key->bytes || one->key.changed != key->changed ||
            one->key.fps < key->fps || one->key.fps > key->fps)
            continue;
        *shots = one->shots;
        *trouble = one->trouble;
        found = true;
    }
    return found;
}

static void put_int(reel_json_out *out, const char *key, int64_t x) {
    reel_json_out_key(out, key);
    reel_json_out_int(out, x);
}

static void put_shots(reel_json_out *out, const reel_shots *shots) {
    char id[24];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)shots->id);
    reel_json_out_key(out, "id");
    reel_json_out_string(out, id);
    put_int(out, "width", shots->width);
    put_int(out, "height", shots->height);
    reel_json_out_key(out, "shots");
    reel_json_out_array_begin(out);
    for (int64_t i = 0; i < shots->n; i++) {
        reel_json_out_int(out, shots->shot[i].first);
        reel_json_out_int(out, shots->shot[i].end);
    }
    reel_json_out_end(out);
}

static reel_status append(const reel_sights *s, const reel_json_out *out) {
    const char *text;
    int64_t bytes;
    reel_status status = reel_json_out_text(out, &text, &bytes);
    if (status != REEL_OK) return status;
    char *line = reel_alloc(s->env, bytes + 1, tag);
    if (!line) return REEL_E_NOMEM;
    memcpy(line, text, (size_t)bytes);
    line[bytes] = '\n';
    status = reel_file_append(s->env, s->path, line, bytes + 1);
    reel_free(s->env, line);
    return status;
}

reel_status reel_sights_add(reel_sights *s, const reel_sight_key *key, const reel_shots *shots,
                            const char *trouble) {
    reel_json_out out;
    reel_json_out_init(&out, s->env);
    reel_json_out_object_begin(&out);
    reel_json_out_key(&out, "name");
    reel_json_out_string(&out, key->name);
    put_int(&out, "bytes", key->bytes);
    put_int(&out, "changed", key->changed);
    reel_json_out_key(&out, "fps");
    reel_json_out_real(&out, key->fps);
    if (trouble) {
        reel_json_out_key(&out, "trouble");
        reel_json_out_string(&out, trouble);
    } else {
        put_shots(&out, shots);
    }
    reel_json_out_end(&out);
    const reel_status status = append(s, &out);
    reel_json_out_deinit(&out);
    return status;
}
