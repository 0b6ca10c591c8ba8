#include "data/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"

static const char tag[] = "tar";

struct reel_tar {
    reel_env *env;
    reel_map map; /* empty when the bytes are the caller's */
    const uint8_t *data;
    int64_t bytes;
    reel_arena arena; /* names */
    reel_tar_member *member;
    int64_t n, room;
};

/* What walking an archive needs. */
typedef struct walk {
    reel_tar *tar;
    const char *path;
    struct archive *archive;
    reel_tar_skipped *skipped;
    void *context;
} walk;

static void skip(const walk *w, const char *member, const char *reason) {
    if (w->skipped) w->skipped(w->context, member, reason);
}

/* ---- one member ---- */

/* Where the bytes of the member lie; NULL when they are no one piece of the mapping. *bytes: how
 * many there are, fewer than announced when the archive ends within them. */
static const uint8_t *find_bytes(const walk *w, int64_t announced, int64_t *bytes, int *code) {
    const uint8_t *from = w->tar->data, *first = NULL;
    *bytes = 0;
    while (*bytes < announced) {
        const void *block;
        size_t n;
        la_int64_t offset;
        *code = archive_read_data_block(w->archive, &block, &n, &offset);
        if (*code != ARCHIVE_OK) return first;
        const uint8_t *at = block;
        if (at < from || (int64_t)n > from + w->tar->bytes - at) return NULL;
        if (!first) first = at;
        if (offset != *bytes || at != first + *bytes) return NULL;
        *bytes += (int64_t)n;
    }
    return first ? first : from; /* an empty member lies anywhere */
}

static reel_status keep(reel_tar *t, const char *name, const uint8_t *data, int64_t bytes) {
    if (t->n == t->room) {
        const int64_t room = t->room ? 2 * t->room : 256;
        reel_tar_member *grown =
            reel_realloc(t->env, t->member, room * (int64_t)sizeof *grown, tag);
        if (!grown) return REEL_E_NOMEM;
        t->member = grown;
        t->room = room;
    }
    const char *copy = reel_arena_strdup(&t->arena, name);
    if (!copy) return REEL_E_NOMEM;
    t->member[t->n++] = (reel_tar_member){copy, data, bytes};
    return REEL_OK;
}

static reel_status take_member(const walk *w, struct archive_entry *entry) {
    const char *name = archive_entry_pathname(entry);
    if (!name) name = archive_entry_pathname_utf8(entry);
    if (!name) {
        skip(w, w->path, "a member's name cannot be read");
        return REEL_OK;
    }
    while (strncmp(name, "./", 2) == 0)
        name += 2;
    if (archive_entry_filetype(entry) == AE_IFDIR) return REEL_OK;
    if (!reel_tar_name_is_safe(name)) {
        skip(w, name, "its name leads out of the archive");
        return REEL_OK;
    }
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) {
        skip(w, name, "is a link or a device, no file");
        return REEL_OK;
    }
    const int64_t announced = archive_entry_size(entry);
    int64_t bytes;
    int code = ARCHIVE_OK;
    const uint8_t *data = find_bytes(w, announced, &bytes, &code);
    if (data && bytes == announced) return keep(w->tar, name, data, bytes);
    skip(w, name, code == ARCHIVE_OK ? "is not stored in one piece" : "the archive ends within it");
    return REEL_OK;
}

/* ---- the archive ---- */

static reel_status walk_members(walk *w) {
    reel_status status = REEL_OK;
    while (status == REEL_OK) {
        struct archive_entry *entry;
        const int code = archive_read_next_header(w->archive, &entry);
        if (code == ARCHIVE_EOF) break;
        if (code < ARCHIVE_WARN) { /* warnings are about times and owners, which nobody asked for */
            const char *why = archive_error_string(w->archive);
            if (w->tar->n == 0)
                return reel_fail(w->tar->env, REEL_E_FORMAT, "%s: no tar file: %s", w->path,
                                 why ? why : "not understood");
            skip(w, w->path, why ? why : "what follows is damaged");
            break;
        }
        status = take_member(w, entry);
    }
    return status;
}

static bool begins_with(const reel_tar *t, const char *bytes, int64_t n) {
    return t->bytes >= n && memcmp(t->data, bytes, (size_t)n) == 0;
}

static reel_status check_kind(const reel_tar *t, const char *path) {
    static const struct {
        char bytes[6];
        int n;
    } marks[] = {{"\x1f\x8b", 2},
                 {"BZh", 3},
                 {"\xfd"
                  "7zXZ",
                  5},
                 {"\x28\xb5\x2f\xfd", 4}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (begins_with(t, marks[i].bytes, marks[i].n))
            return reel_fail(t->env, REEL_E_UNSUPPORTED,
                             "%s: is compressed; clips are already, wanted a plain tar file", path);
    return t->bytes < 512
               ? reel_fail(t->env, REEL_E_FORMAT, "%s: no tar file: %lld bytes are there", path,
                           (long long)t->bytes)
               : REEL_OK;
}

static reel_status walk_archive(reel_tar *t, const char *path, reel_tar_skipped *skipped,
                                void *context) {
    walk w = {.tar = t, .path = path, .skipped = skipped, .context = context};
    w.archive = archive_read_new();
    if (!w.archive) return reel_fail(t->env, REEL_E_NOMEM, "%s: out of memory", path);
    reel_status status = REEL_OK;
    if (archive_read_support_format_tar(w.archive) != ARCHIVE_OK ||
        archive_read_open_memory(w.archive, t->data, (size_t)t->bytes) != ARCHIVE_OK)
        status = reel_fail(t->env, REEL_E_FORMAT, "%s: no tar file: %s", path,
                           archive_error_string(w.archive));
    if (status == REEL_OK) status = walk_members(&w);
    archive_read_free(w.archive);
    return status;
}

/* Takes over map, which is closed when this fails. */
static reel_status open_any(reel_env *env, reel_map map, const void *data, int64_t bytes,
                            const char *name, reel_tar_skipped *skipped, void *context,
                            reel_tar **tar) {
    reel_tar *t = reel_calloc(env, 1, sizeof *t, tag);
    if (!t) {
        reel_map_close(&map);
        return REEL_E_NOMEM;
    }
    *t = (reel_tar){.env = env, .map = map, .data = data, .bytes = bytes};
    reel_arena_init(&t->arena, env, 1 << 16, tag);
    reel_status status = check_kind(t, name);
    if (status == REEL_OK) status = walk_archive(t, name, skipped, context);
    if (status != REEL_OK) {
        reel_tar_close(&t);
        return status;
    }
    *tar = t;
    return REEL_OK;
}

reel_status reel_tar_open(reel_env *env, const char *path, reel_tar_skipped *skipped, void *context,
                          reel_tar **tar) {
    reel_map map = {0};
    const reel_status status = reel_map_open(env, path, &map);
    return status == REEL_OK ? open_any(env, map, map.data, map.bytes, path, skipped, context, tar)
                             : status;
}

reel_status reel_tar_parse(reel_env *env, const void *data, int64_t bytes, const char *name,
                           reel_tar_skipped *skipped, void *context, reel_tar **tar) {
    return open_any(env, (reel_map){0}, data, bytes, name, skipped, context, tar);
}

void reel_tar_close(reel_tar **tar) {
    reel_tar *t = *tar;
    if (!t) return;
    reel_map_close(&t->map);
    reel_arena_deinit(&t->arena);
    reel_free(t->env, t->member);
    reel_free(t->env, t);
    *tar = NULL;
}

int64_t reel_tar_count(const reel_tar *t) {
    return t->n;
}

reel_tar_member reel_tar_at(const reel_tar *t, int64_t i) {
    return t->member[i];
}
