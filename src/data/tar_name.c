#include <string.h>

#include "data/tar.h"

bool reel_tar_name_is_safe(const char *name) {
    if (!*name || *name == '/' || strchr(name, '\\')) return false;
    for (const char *at = name; at;) {
        const size_t n = strcspn(at, "/");
        if (n == 2 && at[0] == '.' && at[1] == '.') return false;
        at = at[n] ? at + n + 1 : NULL;
    }
    return true;
}
