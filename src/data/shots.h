/* Shots of a video: what lies between two cuts, counted in frames of the rate that is trained at.
 *
 * Looking decodes every frame once, at a small size, so that a file that is damaged anywhere is
 * found out here and not in the middle of a run. What was seen is kept in a file of lines, so that
 * it is looked at once.
 */
#ifndef REEL_DATA_SHOTS_H
#define REEL_DATA_SHOTS_H

#include "base/arena.h"

/* Frames [first, end) of the grid of times k / fps. */
typedef struct reel_shot {
    int64_t first, end;
} reel_shot;

typedef struct reel_shots {
    int width, height; /* of the video, upright */
    uint64_t id;       /* a hash of all the file's bytes: what a file is, whatever its name */
    int64_t n;
    const reel_shot *shot; /* memory of the arena */
} reel_shots;

/* A hash of bytes, not to be relied on against people who want two files to agree. */
uint64_t reel_bytes_hash(const void *data, int64_t bytes);

/* Looks at the bytes of a video or picture (one shot of one frame). name stands in messages. fps >
 * 0; n_threads of the decoder, [1,16]. Errors as of reel_video_reader_open and _next. */
REEL_MUST_USE reel_status reel_shots_find(reel_env *env, reel_arena *arena, const char *name,
                                          const void *data, int64_t bytes, double fps,
                                          int n_threads, reel_shots *shots);

/* ---- what was seen before ---- */

/* What a file was when it was looked at. */
typedef struct reel_sight_key {
    const char *name;
    int64_t bytes, changed; /* size; time of the last change, in ns */
    double fps;
} reel_sight_key;

typedef struct reel_sights reel_sights;

/* Reads path, or begins with nothing when there is no such file; lines that are not understood are
 * passed over. The caller frees it. */
REEL_MUST_USE reel_status reel_sights_open(reel_env *env, const char *path, reel_sights **sights);
void reel_sights_close(reel_sights **sights);

/* True when a file of exactly that key was looked at; *shots then borrows from sights, or *trouble
 * (else NULL) says what was wrong with it. */
bool reel_sights_find(const reel_sights *sights, const reel_sight_key *key, reel_shots *shots,
                      const char **trouble);
/* Appends a line to the file: shots, or what is wrong (trouble not NULL). */
REEL_MUST_USE reel_status reel_sights_add(reel_sights *sights, const reel_sight_key *key,
                                          const reel_shots *shots, const char *trouble);

#endif
