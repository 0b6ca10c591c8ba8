#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"

/* True, with errno set, when the fault plan wants the next system call to fail. */
static bool fails(reel_env *env, int error) {
    if (!reel_fault_due(&env->faults.io_at)) return false;
    errno = error;
    return true;
}

static reel_status fail_errno(reel_env *env, const char *path, const char *verb) {
    const int error = errno;
    char reason[128];
    return reel_fail(env, REEL_E_IO, "%s: cannot %s: %s", path, verb,
                     strerror_r(error, reason, sizeof reason));
}

/* ---- making ---- */

static reel_status make_one(reel_env *env, const char *path) {
    const int failed = fails(env, ENOSPC) ? -1 : mkdir(path, 0777);
    if (failed == 0) return REEL_OK;
    if (errno != EEXIST) return fail_errno(env, path, "make the folder");
    struct stat about;
    if (stat(path, &about) != 0) return fail_errno(env, path, "stat");
    return S_ISDIR(about.st_mode) ? REEL_OK
                                  : reel_fail(env, REEL_E_IO, "%s: is there and no folder", path);
}

reel_status reel_folder_make(reel_env *env, const char *path) {
    char *part = reel_strdup(env, path, "folder");
    if (!part) return REEL_E_NOMEM;
    reel_status status = REEL_OK;
    for (char *p = part + 1; *part && *p && status == REEL_OK; p++) {
        if (*p != '/') continue;
        *p = 0;
        status = make_one(env, part);
        *p = '/';
    }
    if (status == REEL_OK) status = make_one(env, part);
    reel_free(env, part);
    return status;
}

/* ---- listing ---- */

typedef struct name_list {
    const char **name;
    int64_t n, room;
} name_list;

static bool matches(const char *name, const char *prefix, const char *suffix) {
    const size_t n = strlen(name), n_prefix = strlen(prefix), n_suffix = strlen(suffix);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return false;
    return n >= n_prefix + n_suffix && memcmp(name, prefix, n_prefix) == 0 &&
           memcmp(name + n - n_suffix, suffix, n_suffix) == 0;
}

static reel_status keep(reel_arena *arena, name_list *list, const char *name) {
    if (list->n == list->room) {
        const int64_t room = list->room ? 2 * list->room : 64;
        const char **grown = reel_arena_calloc(arena, room, sizeof *grown);
        if (!grown) return REEL_E_NOMEM;
        if (list->n) memcpy(grown, list->name, (size_t)list->n * sizeof *grown);
        list->name = grown;
        list->room = room;
    }
    list->name[list->n] = reel_arena_strdup(arena, name);
    return list->name[list->n++] ? REEL_OK : REEL_E_NOMEM;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

reel_status reel_folder_list(reel_env *env, reel_arena *arena, const char *path, const char *prefix,
                             const char *suffix, const char *const **names, int64_t *n) {
    DIR *folder = fails(env, EIO) ? NULL : opendir(path);
    if (!folder) return fail_errno(env, path, "open the folder");
    name_list list = {0};
    reel_status status = REEL_OK;
    while (status == REEL_OK) {
        errno = 0;
        const struct dirent *entry = readdir(folder); /* one stream, one thread */
        if (!entry && errno) status = fail_errno(env, path, "read the folder");
        if (!entry) break;
        if (matches(entry->d_name, prefix, suffix)) status = keep(arena, &list, entry->d_name);
    }
    closedir(folder);
    if (status != REEL_OK) return status;
    if (list.n) qsort(list.name, (size_t)list.n, sizeof *list.name, by_bytes);
    *names = list.name;
    *n = list.n;
    return REEL_OK;
}

bool reel_path_exists(const char *path) {
    return access(path, F_OK) == 0;
}

/* ---- files in it ---- */

reel_status reel_file_remove(reel_env *env, const char *path) {
    const int failed = fails(env, EIO) ? -1 : unlink(path);
    if (failed == 0 || errno == ENOENT) return REEL_OK;
    return fail_errno(env, path, "remove");
}

reel_status reel_file_append(reel_env *env, const char *path, const void *data, int64_t bytes) {
    const int fd =
        fails(env, EIO) ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return fail_errno(env, path, "open");
    reel_status status = REEL_OK;
    const char *from = data;
    for (int64_t done = 0; done < bytes && status == REEL_OK;) {
        const ssize_t got =
            fails(env, ENOSPC) ? -1 : write(fd, from + done, (size_t)(bytes - done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            status = fail_errno(env, path, "write");
        else
            done += got;
    }
    if (close(fd) != 0 && status == REEL_OK) status = fail_errno(env, path, "close");
    return status;
}
