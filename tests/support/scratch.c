#include "support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void scratch_make(scratch *s) {
    const char *base = getenv("TMPDIR");
    snprintf(s->path, sizeof s->path, "%.60s/reel-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(s->path)) fail_msg("%s: cannot make a folder", s->path);
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *walk) {
    (void)about;
    (void)type;
    (void)walk;
    return remove(path);
}

void scratch_remove(scratch *s) {
    nftw(s->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

bool scratch_give_back(scratch *s) {
    return rmdir(s->path) == 0;
}

const char *scratch_path(const scratch *s, const char *below, char text[200]) {
    snprintf(text, 200, "%s/%s", s->path, below);
    return text;
}

static FILE *create(const scratch *s, const char *below) {
    char path[200];
    scratch_path(s, below, path);
    for (char *slash = strchr(path + strlen(s->path) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    if (!file) fail_msg("%s: cannot write", path);
    return file;
}

void scratch_write(const scratch *s, const char *below, const char *text) {
    FILE *file = create(s, below);
    fputs(text, file);
    fclose(file);
}

void scratch_copy(const scratch *s, const char *below, const char *from) {
    FILE *in = fopen(from, "r");
    if (!in) fail_msg("%s: cannot open", from);
    FILE *out = create(s, below);
    char block[1 << 14];
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;)
        fwrite(block, 1, n, out);
    fclose(in);
    fclose(out);
}
