/* Stands in for tar.c where the build has no libarchive. */
#include "data/tar.h"

reel_status reel_tar_open(reel_env *env, const char *path, reel_tar_skipped *skipped, void *context,
                          reel_tar **tar) {
    (void)skipped;
    (void)context;
    (void)tar;
    return reel_fail(env, REEL_E_UNSUPPORTED,
                     "%s: this build of reel has no libarchive and cannot read tar files; unpack "
                     "it and name the folder",
                     path);
}

reel_status reel_tar_parse(reel_env *env, const void *data, int64_t bytes, const char *name,
                           reel_tar_skipped *skipped, void *context, reel_tar **tar) {
    (void)data;
    (void)bytes;
    return reel_tar_open(env, name, skipped, context, tar);
}

/* There is never an archive. */

void reel_tar_close(reel_tar **tar) {
    (void)tar;
}

int64_t reel_tar_count(const reel_tar *tar) {
    (void)tar;
    return 0;
}

reel_tar_member reel_tar_at(const reel_tar *tar, int64_t i) {
    (void)tar;
    (void)i;
    return (reel_tar_member){0};
}
