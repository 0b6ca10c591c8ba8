/* Files of clips: videos and pictures in folders and tar files, with the words that go with them.
 *
 * A path is a folder (looked through with those in it), a .tar file in WebDataset's manner, or one
 * video. What has the ending of a video or picture is a clip; the file of its name that ends in
 * .json or .txt holds its captions (data/words.h). Everything else is passed over.
 */
#ifndef REEL_DATA_CLIP_FILES_H
#define REEL_DATA_CLIP_FILES_H

#include "base/file.h"
#include "data/words.h"

/* Told of what cannot be used, and why. Borrowed for the call. */
typedef void reel_clip_skipped(void *context, const char *name, const char *reason);

typedef struct reel_clip_files reel_clip_files;

/* One video or picture; borrowed from the list. */
typedef struct reel_clip_file {
    const char *name;       /* its path; in an archive "shard.tar/key.mp4" */
    int64_t bytes, changed; /* size; last change of the file or archive, in ns */
} reel_clip_file;

/* Lists n paths. REEL_E_IO when one does not exist, REEL_E_ARG when it is no such thing or there is
 * not a single clip in any. The caller closes *files. */
REEL_MUST_USE reel_status reel_clip_files_open(reel_env *env, const char *const *path, int64_t n,
                                               reel_clip_skipped *skipped, void *context,
                                               reel_clip_files **files);
/* NULL-safe. */
void reel_clip_files_close(reel_clip_files **files);

int64_t reel_clip_files_count(const reel_clip_files *files);
reel_clip_file reel_clip_files_at(const reel_clip_files *files, int64_t i);

/* The bytes of a file, for reading. */
typedef struct reel_clip_bytes {
    const void *data;
    int64_t bytes;
    reel_map map; /* empty for a member of an archive, which is mapped already */
} reel_clip_bytes;

/* env may be another than the list's: any thread with its own. Closed by reel_clip_bytes_close. */
REEL_MUST_USE reel_status reel_clip_bytes_open(reel_env *env, const reel_clip_files *files,
                                               int64_t i, reel_clip_bytes *bytes);
void reel_clip_bytes_close(reel_clip_bytes *bytes);

/* The captions of file i; none is no failure. Errors as of reel_words_read. */
REEL_MUST_USE reel_status reel_clip_files_words(const reel_clip_files *files, int64_t i,
                                                reel_arena *arena, reel_words *words);

#endif
