#include "base/path.h"

#include <errno.h>
#include <sys/stat.h>

reel_path_kind reel_path_look(const char *path) {
    struct stat about;
    if (stat(path, &about) != 0)
        return errno == ENOENT || errno == ENOTDIR ? REEL_PATH_NONE : REEL_PATH_OTHER;
    if (S_ISREG(about.st_mode)) return REEL_PATH_FILE;
    return S_ISDIR(about.st_mode) ? REEL_PATH_FOLDER : REEL_PATH_OTHER;
}

bool reel_path_stat(const char *path, int64_t *bytes, int64_t *changed) {
    struct stat about;
    if (stat(path, &about) != 0) return false;
    *bytes = about.st_size;
    *changed = (int64_t)about.st_mtim.tv_sec * 1000000000 + about.st_mtim.tv_nsec;
    return true;
}
