#include "zoo/cache.h"

#include <string.h>

#include "base/env.h"
#include "base/file.h"
#include "base/path.h"

static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

/* One part of a repository's name, n characters long. */
static bool is_part(const char *name, size_t n) {
    return n > 0 && n <= 96 && strspn(name, allowed) >= n && name[0] != '.' && name[0] != '-';
}

bool reel_is_repository(const char *name) {
    const char *slash = strchr(name, '/');
    if (!slash || strchr(slash + 1, '/') || strstr(name, "..") || strstr(name, "--")) return false;
    return is_part(name, (size_t)(slash - name)) && is_part(slash + 1, strlen(slash + 1));
}

static reel_status absent(reel_env *env, const char *root, const char *given) {
    return reel_fail(env, REEL_E_IO,
                     "%s: neither a folder here nor in the cache %s; nothing is downloaded by "
                     "itself: huggingface-cli download %s",
                     given, root ? root : "(there is none)", given);
}

/* refs/main: one line, a hash (or what a mirror uses in its place: never a path). */
static reel_status read_revision(reel_env *env, const char *refs, reel_arena *arena,
                                 const char **revision) {
    enum { MOST = 4096 };
    char *text;
    int64_t bytes;
    const reel_status status = reel_file_read(env, refs, MOST, &text, &bytes);
    if (status != REEL_OK) return status;
    text[strcspn(text, "\r\n \t")] = '\0';
    const bool good = is_part(text, strlen(text));
    *revision = good ? reel_arena_strdup(arena, text) : NULL;
    reel_free(env, text);
    if (!good) return reel_fail(env, REEL_E_FORMAT, "%s: wanted the hash of a revision", refs);
    return *revision ? REEL_OK : REEL_E_NOMEM;
}

reel_status reel_cache_find(reel_env *env, const char *root, const char *given, reel_arena *arena,
                            const char **path) {
    if (reel_path_look(given) != REEL_PATH_NONE) {
        *path = reel_arena_strdup(arena, given);
        return *path ? REEL_OK : REEL_E_NOMEM;
    }
    if (!reel_is_repository(given))
        return reel_fail(env, REEL_E_IO, "%s: no such folder (and not the name of a repository)",
                         given);
    if (!root) return absent(env, root, given);
    const int org = (int)strcspn(given, "/");
    const char *repository =
        reel_arena_printf(arena, "%s/models--%.*s--%s", root, org, given, given + org + 1);
    const char *refs = repository ? reel_arena_printf(arena, "%s/refs/main", repository) : NULL;
    if (!refs) return REEL_E_NOMEM;
    if (reel_path_look(refs) == REEL_PATH_NONE) return absent(env, root, given);
    const char *revision;
    const reel_status status = read_revision(env, refs, arena, &revision);
    if (status != REEL_OK) return status;
    const char *snapshot = reel_arena_printf(arena, "%s/snapshots/%s", repository, revision);
    if (!snapshot) return REEL_E_NOMEM;
    if (reel_path_look(snapshot) != REEL_PATH_FOLDER) return absent(env, root, given);
    *path = snapshot;
    return REEL_OK;
}
