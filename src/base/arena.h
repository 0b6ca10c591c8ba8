/* The arena: memory that is given back all at once.
 *
 * Takes blocks from the tagged allocator, hands them out by moving an offset, and keeps them over
 * a reset: work that repeats (a step, a request) allocates in its first round only. Pieces are
 * aligned to 64 bytes and have no header of their own. One thread at a time.
 */
#ifndef REEL_BASE_ARENA_H
#define REEL_BASE_ARENA_H

#include <stdint.h>

#include "reel/reel.h"

typedef struct reel_arena_block reel_arena_block;

/* Plain data, so that it can live inside another object; fields are touched by arena.c only. */
typedef struct reel_arena {
    reel_env *env;
    const char *tag;
    reel_arena_block *first;
    reel_arena_block *current; /* where the next piece is looked for; NULL: none yet */
    int64_t block_bytes;
    int64_t used_bytes; /* handed out since the last reset, padding included */
    int64_t peak_bytes; /* the most used_bytes has been */
} reel_arena;

/* A place to come back to: everything handed out after it is given back by reel_arena_rewind. */
typedef struct reel_arena_mark {
    reel_arena_block *block;
    int64_t block_used;
    int64_t used_bytes;
} reel_arena_mark;

/* An arena that takes blocks of at least block_bytes (> 0) from env under tag (static storage). No
 * memory is taken before the first piece, so this cannot fail. */
void reel_arena_init(reel_arena *arena, reel_env *env, int64_t block_bytes, const char *tag);

/* Gives every block back to the allocator. Safe on a zeroed struct. */
void reel_arena_deinit(reel_arena *arena);

/* bytes >= 0, contents undefined, aligned to REEL_ALIGN; NULL with a message when there is no
 * memory. Lives until the next reset (or a rewind to a mark before it). */
void *reel_arena_alloc(reel_arena *arena, int64_t bytes);

/* n items of item_bytes, zeroed; the product is checked. */
void *reel_arena_calloc(reel_arena *arena, int64_t n, int64_t item_bytes);

/* A copy of text; NULL with a message when there is no memory. */
char *reel_arena_strdup(reel_arena *arena, const char *text);

/* A formatted string; NULL with a message when there is no memory. */
char *reel_arena_printf(reel_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

reel_arena_mark reel_arena_get_mark(const reel_arena *arena);
/* Marks are undone in the reverse order of their making. */
void reel_arena_rewind(reel_arena *arena, reel_arena_mark mark);

/* Takes everything back and keeps the blocks for the next round. */
void reel_arena_reset(reel_arena *arena);

#endif
