#include "base/sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* name is base, ".", digits, ".", digits, ".tmp" */
static bool is_temporary(const char *name, const char *base) {
    const size_t n = strlen(base);
    if (strncmp(name, base, n) != 0) return false;
    name += n;
    for (int i = 0; i < 2; i++) {
        if (*name++ != '.') return false;
        const size_t digits = strspn(name, "0123456789");
        if (!digits) return false;
        name += digits;
    }
    return strcmp(name, ".tmp") == 0;
}

static void remove_if_left(int folder, const char *name) {
    struct stat about;
    const int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(folder, name, 0);
    close(fd);
}

void reel_sweep(const char *path) {
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const size_t n = slash ? (size_t)(slash - path) + 1 : 2;
    if (n >= sizeof folder || !*base) return;
    memcpy(folder, slash ? path : "./", n);
    folder[n] = '\0';
    DIR *d = opendir(folder);
    if (!d) return;
    const struct dirent *entry;
    while ((entry = readdir(d)))
        if (is_temporary(entry->d_name, base)) remove_if_left(dirfd(d), entry->d_name);
    closedir(d);
}
