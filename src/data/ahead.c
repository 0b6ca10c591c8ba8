#include "data/ahead.h"

#include <string.h>

#include "base/worker.h"

static const char tag[] = "clips ahead";
enum { SLOTS = 8 };
static const int64_t most_bytes = (int64_t)256 << 20; /* of all slots */

typedef struct slot {
    const struct reel_ahead *ahead;
    bool taken;
    int64_t index, job;
    reel_bucket size;
    reel_status status; /* the job's, as rgb */
    uint8_t *rgb;
    int64_t room;
} slot;

struct reel_ahead {
    reel_env *env;
    reel_env *own; /* the worker's */
    reel_worker *worker;
    reel_ahead_read *read;
    const void *context;
    slot slot[SLOTS];
    int64_t bytes; /* of all slots */
};

reel_status reel_ahead_new(reel_env *env, reel_ahead_read *read, const void *context,
                           reel_ahead **ahead) {
    reel_ahead *a = reel_calloc(env, 1, sizeof *a, tag);
    if (!a) return REEL_E_NOMEM;
    *a = (reel_ahead){.env = env, .read = read, .context = context};
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    reel_status status = reel_env_new(&options, &a->own);
    if (status != REEL_OK) status = reel_fail(env, status, "no second environment");
    if (status == REEL_OK) status = reel_worker_new(env, &a->worker);
    if (status != REEL_OK) {
        reel_ahead_free(&a);
        return status;
    }
    *ahead = a;
    return REEL_OK;
}

void reel_ahead_free(reel_ahead **ahead) {
    reel_ahead *a = *ahead;
    if (!a) return;
    reel_worker_free(&a->worker);
    for (int i = 0; i < SLOTS; i++)
        reel_free(a->env, a->slot[i].rgb);
    reel_env_free(&a->own);
    reel_free(a->env, a);
    *ahead = NULL;
}

static void read_slot(void *context) {
    slot *s = context;
    const reel_ahead *a = s->ahead;
    s->status = a->read(a->own, a->context, s->index, &s->size, s->rgb);
    if (s->status != REEL_OK) reel_env_clear(a->own);
}

static bool same_size(const reel_bucket *a, const reel_bucket *b) {
    return a->width == b->width && a->height == b->height && a->frames == b->frames;
}

static slot *find(reel_ahead *a, int64_t index, const reel_bucket *size) {
    for (int i = 0; i < SLOTS; i++)
        if (a->slot[i].taken && a->slot[i].index == index && same_size(&a->slot[i].size, size))
            return &a->slot[i];
    return NULL;
}

/* A slot that is free, or else the one whose clip has waited longest without being asked for; NULL
 * while all are being read. */
static slot *find_slot(reel_ahead *a) {
    slot *oldest = NULL;
    for (int i = 0; i < SLOTS; i++) {
        slot *s = &a->slot[i];
        if (!s->taken) return s;
        if (reel_worker_is_done(a->worker, s->job) && (!oldest || s->job < oldest->job)) oldest = s;
    }
    return oldest;
}

/* A slot with memory for bytes, or NULL. */
static slot *find_room(reel_ahead *a, int64_t bytes) {
    slot *s = find_slot(a);
    if (!s || s->room >= bytes) return s;
    if (a->bytes - s->room + bytes > most_bytes) return NULL;
    uint8_t *grown = reel_realloc(a->env, s->rgb, bytes, tag);
    if (!grown) {
        reel_env_clear(a->env); /* whoever asks will try again */
        return NULL;
    }
    a->bytes += bytes - s->room;
    s->rgb = grown;
    s->room = bytes;
    return s;
}

void reel_ahead_expect(reel_ahead *a, int64_t index, const reel_bucket *size) {
    if (find(a, index, size)) return;
    slot *s = find_room(a, reel_bucket_bytes(size));
    if (!s) return;
    s->ahead = a;
    s->index = index;
    s->size = *size;
    s->taken = reel_worker_push(a->worker, read_slot, s, &s->job);
}

reel_status reel_ahead_take(reel_ahead *a, int64_t index, const reel_bucket *size, uint8_t *rgb) {
    slot *s = find(a, index, size);
    if (s) {
        reel_worker_wait(a->worker, s->job);
        s->taken = false;
        if (s->status == REEL_OK) {
            memcpy(rgb, s->rgb, (size_t)reel_bucket_bytes(size));
            return REEL_OK;
        }
    } /* else, and after a failure, here, so that its message is ours */
    return a->read(a->env, a->context, index, size, rgb);
}
