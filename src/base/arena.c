#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"

/* A block's memory begins one cache line after its description, so it keeps the alignment. */
struct reel_arena_block {
    reel_arena_block *next;
    int64_t bytes; /* of memory, without this struct */
    int64_t used;
};

enum { HEAD_BYTES = REEL_ALIGN };
_Static_assert(sizeof(reel_arena_block) <= HEAD_BYTES, "a block's head must fit in front of it");

void reel_arena_init(reel_arena *arena, reel_env *env, int64_t block_bytes, const char *tag) {
    assert(block_bytes > 0);
    *arena = (reel_arena){.env = env, .tag = tag, .block_bytes = block_bytes};
}

void reel_arena_deinit(reel_arena *arena) {
    for (reel_arena_block *b = arena->first; b;) {
        reel_arena_block *next = b->next;
        reel_free(arena->env, b);
        b = next;
    }
    memset(arena, 0, sizeof *arena);
}

/* The first block from `current` on that has room, made when there is none. Blocks that are too
 * small are passed over until the next reset: what they still hold is lost to this round. */
static reel_arena_block *block_with_room(reel_arena *arena, int64_t bytes) {
    reel_arena_block *last = arena->current;
    for (reel_arena_block *b = arena->current; b; last = b, b = b->next)
        if (b->bytes - b->used >= bytes) return b;
    const int64_t block_bytes = bytes > arena->block_bytes ? bytes : arena->block_bytes;
    reel_arena_block *made = reel_alloc(arena->env, HEAD_BYTES + block_bytes, arena->tag);
    if (!made) return NULL;
    *made = (reel_arena_block){.bytes = block_bytes};
    if (last)
        last->next = made;
    else
        arena->first = made;
    return made;
}

void *reel_arena_alloc(reel_arena *arena, int64_t bytes) {
    assert(bytes >= 0);
    if (bytes > INT64_MAX / 2) {
        reel_fail(arena->env, REEL_E_NOMEM, "%s: no memory for %lld bytes", arena->tag,
                  (long long)bytes);
        return NULL;
    }
    const int64_t padded = (bytes + REEL_ALIGN - 1) / REEL_ALIGN * REEL_ALIGN;
    reel_arena_block *b = block_with_room(arena, padded);
    if (!b) return NULL;
    arena->current = b;
    char *piece = (char *)b + HEAD_BYTES + b->used;
    b->used += padded;
    arena->used_bytes += padded;
    if (arena->used_bytes > arena->peak_bytes) arena->peak_bytes = arena->used_bytes;
    return piece;
}

void *reel_arena_calloc(reel_arena *arena, int64_t n, int64_t item_bytes) {
    int64_t bytes;
    if (n < 0 || item_bytes < 0 || __builtin_mul_overflow(n, item_bytes, &bytes)) {
        reel_fail(arena->env, REEL_E_NOMEM,
                  "%s: %lld items of %lld bytes are more than can be counted", arena->tag,
                  (long long)n, (long long)item_bytes);
        return NULL;
    }
    void *piece = reel_arena_alloc(arena, bytes);
    if (piece) memset(piece, 0, (size_t)bytes);
    return piece;
}

char *reel_arena_strdup(reel_arena *arena, const char *text) {
    const size_t bytes = strlen(text) + 1;
    char *copy = reel_arena_alloc(arena, (int64_t)bytes);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

char *reel_arena_printf(reel_arena *arena, const char *format, ...) {
    va_list arguments;
    va_list again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = n >= 0 ? reel_arena_alloc(arena, (int64_t)n + 1) : NULL;
    if (text) vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

reel_arena_mark reel_arena_get_mark(const reel_arena *arena) {
    return (reel_arena_mark){.block = arena->current,
                             .block_used = arena->current ? arena->current->used : 0,
                             .used_bytes = arena->used_bytes};
}

void reel_arena_rewind(reel_arena *arena, reel_arena_mark mark) {
    /* Blocks after the mark's are empty again; without a block the mark is the very beginning. */
    reel_arena_block *b = mark.block ? mark.block : arena->first;
    if (!b) return;
    b->used = mark.block_used;
    arena->current = b;
    for (reel_arena_block *after = b->next; after; after = after->next)
        after->used = 0;
    arena->used_bytes = mark.used_bytes;
}

void reel_arena_reset(reel_arena *arena) {
    reel_arena_rewind(arena, (reel_arena_mark){0});
}
