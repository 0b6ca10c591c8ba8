/* The tagged allocator: every heap byte of reel is accounted to a name.
 *
 * Blocks are aligned to 64 bytes (a cache line, an AVX-512 register). The allocator counts bytes
 * now, bytes at the peak and calls, for each tag and in all, and can be told to fail at the k-th
 * call, which is how the fault tests walk every error path. Any thread may allocate and free.
 */
#ifndef REEL_BASE_ALLOC_H
#define REEL_BASE_ALLOC_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "reel/reel.h"

enum { REEL_ALIGN = 64, REEL_MAX_TAGS = 64 };

typedef struct reel_tag_usage {
    const char *tag; /* static storage, compared by text */
    int64_t bytes;   /* live now */
    int64_t peak_bytes;
    int64_t n_calls; /* allocations since the beginning */
} reel_tag_usage;

/* Plain data so that reel_env can hold it by value; fields are touched only by alloc.c. */
typedef struct reel_allocator {
    pthread_mutex_t lock;
    int64_t bytes;
    int64_t peak_bytes;
    int64_t n_calls;
    int64_t fail_at; /* 0: never; k: the k-th call from now on and every one after it fails */
    int n_tags;
    reel_tag_usage tag[REEL_MAX_TAGS]; /* the last one collects what does not fit, as "other" */
} reel_allocator;

/* Makes an empty allocator that never fails on purpose. REEL_E_NOMEM when no lock can be had. */
REEL_MUST_USE reel_status reel_allocator_init(reel_allocator *allocator);
/* Gives the lock back. Blocks still live are the caller's leak; bytes says how much. */
void reel_allocator_deinit(reel_allocator *allocator);

/* From now on the k-th call and every one after it fails; 0: none does. Any thread. */
void reel_alloc_fail_at(reel_env *env, int64_t k);

/* bytes of memory, contents undefined; NULL with a message in env when there is none. bytes >= 0;
 * 0 gives a valid pointer. tag: static storage, names who holds it ("tape", "safetensors"). */
void *reel_alloc(reel_env *env, int64_t bytes, const char *tag);

/* Like reel_alloc for n items of item_bytes each, zeroed; the product is checked. */
void *reel_calloc(reel_env *env, int64_t n, int64_t item_bytes, const char *tag);

/* Grows or shrinks a block of reel_alloc (block may be NULL); on failure the old block lives on. */
void *reel_realloc(reel_env *env, void *block, int64_t bytes, const char *tag);

/* Gives back a block; NULL-safe. */
void reel_free(reel_env *env, void *block);

/* A copy of a string; NULL with a message when there is no memory. */
char *reel_strdup(reel_env *env, const char *text, const char *tag);

#endif
