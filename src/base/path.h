/* Paths: what is there. Nothing is opened, and nothing can fail: who opens a path next gets the
 * operating system's reason.
 */
#ifndef REEL_BASE_PATH_H
#define REEL_BASE_PATH_H

#include <stdbool.h>
#include <stdint.h>

typedef enum reel_path_kind {
    REEL_PATH_NONE,   /* nothing of that name */
    REEL_PATH_FILE,   /* a regular file */
    REEL_PATH_FOLDER, /* a directory */
    REEL_PATH_OTHER,  /* something else, or something that may not be looked at */
} reel_path_kind;

/* Follows symbolic links; a loop of them is REEL_PATH_OTHER, one that leads nowhere is NONE. */
reel_path_kind reel_path_look(const char *path);

/* Size and time of the last change, in ns since 1970, of what a path leads to; false when nothing
 * can be said. */
bool reel_path_stat(const char *path, int64_t *bytes, int64_t *changed);

#endif
