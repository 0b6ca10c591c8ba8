#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* The figure in kB behind "key:" in a file of /proc, in bytes. */
static int64_t figure(const char *path, const char *key) {
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    char line[256];
    int64_t bytes = -1;
    const size_t n = strlen(key);
    while (bytes < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, key, n) == 0 && line[n] == ':')
            bytes = strtoll(line + n + 1, NULL, 10) * 1024;
    fclose(file);
    return bytes;
}

int64_t reel_memory_resident(void) {
    return figure("/proc/self/status", "VmRSS");
}
int64_t reel_memory_peak(void) {
    return figure("/proc/self/status", "VmHWM");
}
int64_t reel_memory_available(void) {
    return figure("/proc/meminfo", "MemAvailable");
}

void reel_memory_trim(void) {
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}
