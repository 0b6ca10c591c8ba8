/* A fuzz target without libFuzzer: every file of the folders given, as it is and then changed in
 * thousands of fixed small ways (cut at each byte, each byte changed, left out or doubled). So the
 * target runs in every build, under every compiler and sanitizer, always over the same inputs.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

enum { MAX_FILE_BYTES = 1 << 20, MAX_CHANGED_BYTES = 2048 };

static long n_runs;

/* The target sees a block of exactly n bytes, so that a sanitizer sees a read past it. */
static void run(const uint8_t *data, size_t n) {
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact) return;
    memcpy(exact, data, n);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    n_runs++;
}

static void run_changed(const uint8_t *data, size_t n) {
    static const uint8_t other[] = {0, 1, '"', ',', '-', '9', '[', '}', '\\', 0x80, 0xff};
    uint8_t *changed = malloc(n + 1);
    if (!changed) return;
    for (size_t i = 0; i < n; i++) {
        run(data, i);
        memcpy(changed, data, n);
        for (size_t k = 0; k < sizeof other; k++) {
            changed[i] = other[k];
            run(changed, n);
        }
        changed[i] = data[i] ^ 1;
        run(changed, n);
        memcpy(changed + i, data + i + 1, n - i - 1);
        run(changed, n - 1);
        memcpy(changed, data, i + 1);
        memcpy(changed + i + 1, data + i, n - i);
        run(changed, n + 1);
    }
    free(changed);
}

static int run_file(const char *path) {
    static uint8_t data[MAX_FILE_BYTES];
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "replay: cannot open %s\n", path);
        return 1;
    }
    const size_t n = fread(data, 1, sizeof data, file);
    fclose(file);
    run(data, n);
    if (n <= MAX_CHANGED_BYTES) run_changed(data, n);
    return 0;
}

static int run_folder(const char *folder) {
    DIR *d = opendir(folder);
    if (!d) return run_file(folder);
    int failed = 0;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        char path[4096];
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        failed |= run_file(path);
    }
    closedir(d);
    return failed;
}

int main(int argc, char **argv) {
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= run_folder(argv[i]);
    printf("replay: %ld inputs\n", n_runs);
    return failed || n_runs == 0;
}
