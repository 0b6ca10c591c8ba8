/* Files: read by mapping, written so that a reader never sees half of one.
 *
 * A writer puts its bytes into a temporary file beside the target. Committing makes them durable
 * (fsync), renames the temporary over the target and syncs the folder; whatever fails before the
 * rename leaves the old file as it was and no temporary behind. Every system call here can be made
 * to fail through env->faults.io_at. One thread at a time for each object.
 */
#ifndef REEL_BASE_FILE_H
#define REEL_BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "reel/reel.h"

/* How a mapping is going to be read; the kernel's read-ahead follows it. */
typedef enum reel_map_advice {
    REEL_MAP_NORMAL,
    REEL_MAP_SEQUENTIAL, /* once, from front to back */
    REEL_MAP_RANDOM,     /* here and there: no read-ahead */
    REEL_MAP_WILL_NEED,  /* soon: start reading now */
    REEL_MAP_DONE,       /* not again soon: the pages may be dropped (they are re-read on use) */
} reel_map_advice;

/* A file mapped for reading. data is never NULL while open, page-aligned, and must not be written
 * to. If another process shortens the file, reading past its new end kills the process (SIGBUS);
 * files replaced by a rename, as the writer below does, are safe. */
typedef struct reel_map {
    const unsigned char *data;
    int64_t bytes;
} reel_map;

/* Maps a regular file. path is borrowed. REEL_E_IO when it cannot be opened, is a folder or is not
 * a regular file. */
REEL_MUST_USE reel_status reel_map_open(reel_env *env, const char *path, reel_map *map);
/* Safe on a zeroed struct; zeroes it. */
void reel_map_close(reel_map *map);
/* Advice for [offset, offset + bytes) of the mapping, held to its pages. Never fails. */
void reel_map_advise(const reel_map *map, int64_t offset, int64_t bytes, reel_map_advice advice);

/* The whole of a small file, in memory under tag "file", with a 0 byte after the end that is not
 * counted. max_bytes guards against a file that is not the small one it should be (REEL_E_FORMAT).
 * The caller frees *data with reel_free. */
REEL_MUST_USE reel_status reel_file_read(reel_env *env, const char *path, int64_t max_bytes,
                                         char **data, int64_t *bytes);

typedef struct reel_writer reel_writer;

/* Begins to write path: makes the temporary beside it. A path that is a symbolic link is replaced
 * by a file. The caller closes *writer whatever happens. */
REEL_MUST_USE reel_status reel_writer_open(reel_env *env, const char *path, reel_writer **writer);
/* Appends bytes. After a failure the writer stays failed and returns the same status. */
REEL_MUST_USE reel_status reel_writer_write(reel_writer *writer, const void *data, int64_t bytes);
/* Where the next byte goes: bytes written so far, unless there was a seek. */
int64_t reel_writer_offset(const reel_writer *writer);
/* What is written next goes to offset (>= 0), over what may be there. A failure sticks. */
REEL_MUST_USE reel_status reel_writer_seek(reel_writer *writer, int64_t offset);
/* Reads up to bytes of what was written, from offset on; *n_read is 0 at the end. Where writing
 * goes on is not moved. A failure sticks. */
REEL_MUST_USE reel_status reel_writer_read(reel_writer *writer, int64_t offset, void *data,
                                           int64_t bytes, int64_t *n_read);
/* Makes everything durable under the target's name. To be called once, before the close. */
REEL_MUST_USE reel_status reel_writer_commit(reel_writer *writer);
/* Frees *writer and nulls it; NULL-safe. Without a successful commit the temporary is removed and
 * the target is untouched. */
void reel_writer_close(reel_writer **writer);

/* open, write, commit, close in one call. */
REEL_MUST_USE reel_status reel_file_write(reel_env *env, const char *path, const void *data,
                                          int64_t bytes);

#endif
