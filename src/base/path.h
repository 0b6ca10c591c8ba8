/* Paths: what is there. Nothing is opened, and nothing can fail: who opens a path next gets the
 * operating system's reason.
 */
#ifndef REEL_BASE_PATH_H
#define REEL_BASE_PATH_H

typedef enum reel_path_kind {
    REEL_PATH_NONE,   /* nothing of that name */
    REEL_PATH_FILE,   /* a regular file */
    REEL_PATH_FOLDER, /* a directory */
    REEL_PATH_OTHER,  /* something else, or something that may not be looked at */
} reel_path_kind;

/* Follows symbolic links; a loop of them is REEL_PATH_OTHER, one that leads nowhere is NONE. */
reel_path_kind reel_path_look(const char *path);

#endif
