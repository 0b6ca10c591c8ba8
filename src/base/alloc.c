#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/env.h"

/* Each block is preceded by one cache line that remembers its size and tag, so that a free needs
 * no lookup and the block itself keeps the alignment. */
typedef struct header {
    int64_t bytes; /* as asked for, without this header */
    int32_t tag;   /* index into reel_allocator.tag */
    uint32_t magic;
} header;

enum { HEADER_BYTES = REEL_ALIGN, HUGE_PAGE_BYTES = 2 << 20, HUGE_FROM_BYTES = 8 << 20 };
static const uint32_t live_magic = 0x6c656572u; /* "reel" */
static const uint32_t dead_magic = 0x64616564u; /* "dead": a block given back twice */

_Static_assert(sizeof(header) <= HEADER_BYTES, "the header must fit in front of a block");

reel_status reel_allocator_init(reel_allocator *allocator) {
    memset(allocator, 0, sizeof *allocator);
    return pthread_mutex_init(&allocator->lock, NULL) == 0 ? REEL_OK : REEL_E_NOMEM;
}

void reel_allocator_deinit(reel_allocator *allocator) {
    pthread_mutex_destroy(&allocator->lock);
}

void reel_alloc_fail_at(reel_env *env, int64_t k) {
    pthread_mutex_lock(&env->allocator.lock);
    env->allocator.fail_at = k;
    pthread_mutex_unlock(&env->allocator.lock);
}

static header *header_of(void *block) {
    header *h = (header *)(void *)((char *)block - HEADER_BYTES);
    assert(h->magic == live_magic);
    return h;
}

/* Index of a tag, added when it is new. Under the lock. */
static int find_tag(reel_allocator *a, const char *tag) {
    for (int i = 0; i < a->n_tags; i++)
        if (a->tag[i].tag == tag || strcmp(a->tag[i].tag, tag) == 0) return i;
    if (a->n_tags == REEL_MAX_TAGS) return REEL_MAX_TAGS - 1;
    const int i = a->n_tags++;
    a->tag[i].tag = i == REEL_MAX_TAGS - 1 ? "other" : tag;
    return i;
}

/* Books bytes under a tag before they are asked of libc; -1 when this call is to fail. Booking
 * first keeps the whole account under one lock; a refusal by libc is booked out again. */
static int book(reel_allocator *a, int64_t bytes, const char *tag) {
    pthread_mutex_lock(&a->lock);
    a->n_calls++;
    const int i = find_tag(a, tag);
    if (reel_fault_due(&a->fail_at)) {
        pthread_mutex_unlock(&a->lock);
        return -1;
    }
    reel_tag_usage *usage = &a->tag[i];
    usage->n_calls++;
    usage->bytes += bytes;
    if (usage->bytes > usage->peak_bytes) usage->peak_bytes = usage->bytes;
    a->bytes += bytes;
    if (a->bytes > a->peak_bytes) a->peak_bytes = a->bytes;
    pthread_mutex_unlock(&a->lock);
    return i;
}

static void book_out(reel_allocator *a, int64_t bytes, int tag) {
    pthread_mutex_lock(&a->lock);
    a->tag[tag].bytes -= bytes;
    a->bytes -= bytes;
    pthread_mutex_unlock(&a->lock);
}

/* Memory for a header and a block. From 8 MiB on it begins at a huge page and the kernel is asked
 * for such pages: the first touch of 512 MiB took 91 ms instead of 220, and walking down its
 * columns 246 instead of 267. Advice that is refused costs nothing. */
static void *take(size_t bytes) {
    const bool huge = bytes >= HUGE_FROM_BYTES;
    void *memory = NULL;
    if (posix_memalign(&memory, huge ? HUGE_PAGE_BYTES : REEL_ALIGN, bytes) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    if (huge) (void)madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

void *reel_alloc(reel_env *env, int64_t bytes, const char *tag) {
    assert(bytes >= 0);
    const int64_t largest = (int64_t)(PTRDIFF_MAX - HEADER_BYTES);
    const int i = bytes <= largest ? book(&env->allocator, bytes, tag) : -1;
    void *memory = i >= 0 ? take((size_t)(HEADER_BYTES + bytes)) : NULL;
    if (!memory) {
        if (i >= 0) book_out(&env->allocator, bytes, i);
        reel_fail(env, REEL_E_NOMEM, "%s: no memory for %lld bytes (%lld are held)", tag,
                  (long long)bytes, (long long)env->allocator.bytes);
        return NULL;
    }
    *(header *)memory = (header){.bytes = bytes, .tag = i, .magic = live_magic};
    return (char *)memory + HEADER_BYTES;
}

void *reel_calloc(reel_env *env, int64_t n, int64_t item_bytes, const char *tag) {
    int64_t bytes;
    if (n < 0 || item_bytes < 0 || __builtin_mul_overflow(n, item_bytes, &bytes)) {
        reel_fail(env, REEL_E_NOMEM, "%s: %lld items of %lld bytes are more than can be counted",
                  tag, (long long)n, (long long)item_bytes);
        return NULL;
    }
    void *block = reel_alloc(env, bytes, tag);
    if (block) memset(block, 0, (size_t)bytes);
    return block;
}

void *reel_realloc(reel_env *env, void *block, int64_t bytes, const char *tag) {
    if (!block) return reel_alloc(env, bytes, tag);
    const int64_t old_bytes = header_of(block)->bytes;
    void *grown = reel_alloc(env, bytes, tag);
    if (!grown) return NULL;
    memcpy(grown, block, (size_t)(bytes < old_bytes ? bytes : old_bytes));
    reel_free(env, block);
    return grown;
}

void reel_free(reel_env *env, void *block) {
    if (!block) return;
    header *h = header_of(block);
    book_out(&env->allocator, h->bytes, h->tag);
    h->magic = dead_magic;
    free(h);
}

char *reel_strdup(reel_env *env, const char *text, const char *tag) {
    const size_t bytes = strlen(text) + 1;
    char *copy = reel_alloc(env, (int64_t)bytes, tag);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}
