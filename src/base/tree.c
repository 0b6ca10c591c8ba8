#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "base/path.h"

enum { MAX_ATTEMPTS = 100, MAX_DEPTH = 8 };
static const char tag_tree[] = "tree";

struct reel_tree {
    reel_env *env;
    char *path;
    char *temporary; /* "" once it is not ours any more */
};

static bool fails(reel_env *env, int error) {
    if (!reel_fault_due(&env->faults.io_at)) return false;
    errno = error;
    return true;
}

static reel_status fail_errno(reel_env *env, const char *path, const char *verb) {
    char reason[128];
    const int error = errno;
    return reel_fail(env, REEL_E_IO, "%s: cannot %s: %s", path, verb,
                     strerror_r(error, reason, sizeof reason));
}

/* The process id keeps two writers apart, the counter two attempts of one. */
static reel_status make_temporary(reel_tree *t) {
    const size_t room = strlen(t->path) + 64;
    t->temporary = reel_calloc(t->env, (int64_t)room, 1, tag_tree);
    if (!t->temporary) return REEL_E_NOMEM;
    for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        snprintf(t->temporary, room, "%s.%ld.%d.tmp", t->path, (long)getpid(), attempt);
        if (!fails(t->env, EACCES) && mkdir(t->temporary, 0777) == 0) return REEL_OK;
        if (errno != EEXIST) break;
    }
    t->temporary[0] = '\0';
    return fail_errno(t->env, t->path, "create a temporary folder beside it");
}

reel_status reel_tree_open(reel_env *env, const char *path, reel_tree **tree) {
    size_t n = strlen(path);
    if (n == 0) return reel_fail(env, REEL_E_ARG, "the path of a folder is empty");
    if (reel_path_look(path) != REEL_PATH_NONE)
        return reel_fail(env, REEL_E_ARG, "%s: exists already, wanted a new folder", path);
    reel_tree *t = reel_calloc(env, 1, sizeof *t, tag_tree);
    if (!t) return REEL_E_NOMEM;
    t->env = env;
    t->path = reel_strdup(env, path, tag_tree);
    while (t->path && n > 1 && t->path[n - 1] == '/') /* "dir/": the temporary is beside it */
        t->path[--n] = '\0';
    const reel_status status = t->path ? make_temporary(t) : REEL_E_NOMEM;
    if (status != REEL_OK) {
        reel_tree_close(&t);
        return status;
    }
    *tree = t;
    return REEL_OK;
}

const char *reel_tree_path(const reel_tree *t) {
    return t->temporary;
}

reel_status reel_tree_add_folder(reel_tree *t, const char *name) {
    const size_t room = strlen(t->temporary) + strlen(name) + 2;
    char *path = reel_alloc(t->env, (int64_t)room, tag_tree);
    if (!path) return REEL_E_NOMEM;
    snprintf(path, room, "%s/%s", t->temporary, name);
    reel_status status = REEL_OK;
    if (fails(t->env, ENOSPC) || mkdir(path, 0777) != 0)
        status = fail_errno(t->env, path, "create the folder");
    reel_free(t->env, path);
    return status;
}

/* Makes the rename durable; a file system that cannot sync a folder says EINVAL. */
static reel_status sync_parent(reel_tree *t) {
    char *slash = strrchr(t->path, '/');
    int fd;
    if (!slash) {
        fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } else {
        const char kept = slash[1];
        slash[1] = '\0';
        fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        slash[1] = kept;
    }
    if (fd < 0) return fail_errno(t->env, t->path, "open the folder above");
    const bool synced = !fails(t->env, EIO) && (fsync(fd) == 0 || errno == EINVAL);
    const reel_status status =
        synced ? REEL_OK : fail_errno(t->env, t->path, "sync the folder above");
    close(fd);
    return status;
}

reel_status reel_tree_commit(reel_tree *t) {
    if (fails(t->env, EIO)) return fail_errno(t->env, t->path, "rename into place");
    int failed = renameat2(AT_FDCWD, t->temporary, AT_FDCWD, t->path, RENAME_NOREPLACE);
    /* Some file systems know no flags; rename itself replaces nothing but an empty folder. */
    if (failed && errno == EINVAL) failed = rename(t->temporary, t->path);
    if (failed) return fail_errno(t->env, t->path, "rename into place");
    t->temporary[0] = '\0';
    return sync_parent(t);
}

/* Removes what is below path, then path. Symbolic links are removed, not followed. Best effort:
 * this runs when something else went wrong already. */
static void remove_tree(int above, const char *name, int depth) {
    const int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder && fd >= 0) close(fd);
    for (struct dirent *e = folder ? readdir(folder) : NULL; e; e = readdir(folder)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (unlinkat(fd, e->d_name, 0) != 0 && depth < MAX_DEPTH)
            remove_tree(fd, e->d_name, depth + 1);
    }
    if (folder) closedir(folder);
    unlinkat(above, name, AT_REMOVEDIR);
}

void reel_tree_close(reel_tree **tree) {
    if (!tree || !*tree) return;
    reel_tree *t = *tree;
    *tree = NULL;
    if (t->temporary && t->temporary[0]) remove_tree(AT_FDCWD, t->temporary, 0);
    reel_free(t->env, t->temporary);
    reel_free(t->env, t->path);
    reel_free(t->env, t);
}
