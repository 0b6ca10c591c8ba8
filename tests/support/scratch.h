/* A folder for the files of one test, gone after it. */
#ifndef REEL_TESTS_SCRATCH_H
#define REEL_TESTS_SCRATCH_H

#include <stdbool.h>

typedef struct scratch {
    char path[96];
} scratch;

/* Makes it below TMPDIR or fails the test. */
void scratch_make(scratch *s);
/* Removes it with all that is in it. */
void scratch_remove(scratch *s);
/* Removes it where a test must have left nothing in it: false when there is something. */
bool scratch_give_back(scratch *s);

/* path/below in memory of the scratch's caller: text has room bytes. Returns text. */
const char *scratch_path(const scratch *s, const char *below, char text[200]);
#define SCRATCH(s, below) scratch_path((s), (below), (char[200]){0})

/* Writes text to path/below, making the folders on the way. */
void scratch_write(const scratch *s, const char *below, const char *text);
/* Copies a file there. */
void scratch_copy(const scratch *s, const char *below, const char *from);

#endif
