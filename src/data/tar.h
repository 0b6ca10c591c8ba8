/* Tar files as they are found on disk: members by name, read in place.
 *
 * The archive is mapped and its headers walked once, by libarchive; members are ranges of the
 * mapping. Nothing is ever unpacked, so a name is no path: but one that would lead out of a folder
 * ("../x", "/x") says that the file means no good, and its member is left out. Compressed archives
 * are refused, since their members lie nowhere. A build without libarchive refuses them all.
 */
#ifndef REEL_DATA_TAR_H
#define REEL_DATA_TAR_H

#include "base/env.h"

typedef struct reel_tar reel_tar;

/* Told of what was left out: a member, or the rest of an archive that ends too early (member is the
 * archive's own name then). Borrowed for the call. */
typedef void reel_tar_skipped(void *context, const char *member, const char *reason);

/* Opens path. REEL_E_IO, REEL_E_FORMAT when it is no tar file, REEL_E_UNSUPPORTED when it is
 * compressed or the build has no libarchive. What comes before a damaged place is kept, and skipped
 * (may be NULL) is told. The caller closes *tar. */
REEL_MUST_USE reel_status reel_tar_open(reel_env *env, const char *path, reel_tar_skipped *skipped,
                                        void *context, reel_tar **tar);
/* The same from bytes in memory, which must outlive it; name stands in messages. */
REEL_MUST_USE reel_status reel_tar_parse(reel_env *env, const void *data, int64_t bytes,
                                         const char *name, reel_tar_skipped *skipped, void *context,
                                         reel_tar **tar);
/* NULL-safe. */
void reel_tar_close(reel_tar **tar);

/* A regular file in the archive, in the archive's order. Borrowed. */
typedef struct reel_tar_member {
    const char *name; /* without "./" in front */
    const uint8_t *data;
    int64_t bytes;
} reel_tar_member;

int64_t reel_tar_count(const reel_tar *tar);
reel_tar_member reel_tar_at(const reel_tar *tar, int64_t i);

/* True when a name, taken as a path, stays within the folder it is unpacked to. */
bool reel_tar_name_is_safe(const char *name);

#endif
