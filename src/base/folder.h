/* Folders: made, listed, and what lies in them removed or appended to.
 *
 * For what lives on while a program runs: run folders, caches, logs. Every system call can be made
 * to fail through env->faults.io_at, as in base/file.h.
 */
#ifndef REEL_BASE_FOLDER_H
#define REEL_BASE_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/* Makes a folder and those above it; one that exists is fine. REEL_E_IO. */
REEL_MUST_USE reel_status reel_folder_make(reel_env *env, const char *path);

/* The names of a folder's entries that begin with prefix and end with suffix (either may be ""),
 * in byte order, as memory of the arena. "." and ".." are left out. REEL_E_IO. */
REEL_MUST_USE reel_status reel_folder_list(reel_env *env, reel_arena *arena, const char *path,
                                           const char *prefix, const char *suffix,
                                           const char *const **names, int64_t *n);

/* True when something of that name exists. */
bool reel_path_exists(const char *path);

/* Removes a file; one that is not there is fine. REEL_E_IO. */
REEL_MUST_USE reel_status reel_file_remove(reel_env *env, const char *path);

/* Appends bytes to a file, which is made if need be, in one write: a log whose lines stay whole.
 * REEL_E_IO. */
REEL_MUST_USE reel_status reel_file_append(reel_env *env, const char *path, const void *data,
                                           int64_t bytes);

#endif
