#include "data/pool.h"

static const char tag[] = "pool";
enum { AHEAD = 4 }; /* clips the source is told of before they are asked for */

struct reel_pool {
    reel_env *env;
    reel_source source;
    const reel_bucket *bucket;
    int64_t n_buckets, room;
    uint8_t **rgb;      /* [room]: clip i lies at i % room; each has room for the largest bucket */
    int64_t *size_of;   /* [room]: its bucket */
    int64_t first, end; /* clips held: [first, end) */
    int64_t clip_bytes;
};

reel_status reel_pool_new(reel_env *env, const reel_source *source, const reel_bucket *bucket,
                          int64_t n_buckets, int64_t room, reel_pool **pool) {
    if (source->n_clips > 0 && room > source->n_clips) room = source->n_clips;
    reel_pool *p = reel_calloc(env, 1, sizeof *p, tag);
    if (!p) return REEL_E_NOMEM;
    *p = (reel_pool){.env = env,
                     .source = *source,
                     .bucket = bucket,
                     .n_buckets = n_buckets,
                     .room = room,
                     .rgb = reel_calloc(env, room, sizeof *p->rgb, tag),
                     .size_of = reel_calloc(env, room, sizeof *p->size_of, tag)};
    for (int64_t i = 0; i < n_buckets; i++)
        if (reel_bucket_bytes(&bucket[i]) > p->clip_bytes)
            p->clip_bytes = reel_bucket_bytes(&bucket[i]);
    if (!p->rgb || !p->size_of) {
        reel_pool_free(&p);
        return REEL_E_NOMEM;
    }
    *pool = p;
    return REEL_OK;
}

void reel_pool_free(reel_pool **pool) {
    reel_pool *p = *pool;
    if (!p) return;
    for (int64_t i = 0; p->rgb && i < p->room; i++)
        reel_free(p->env, p->rgb[i]);
    reel_free(p->env, p->rgb);
    reel_free(p->env, p->size_of);
    reel_free(p->env, p);
    *pool = NULL;
}

static int64_t of_source(const reel_pool *p, int64_t index) {
    return p->source.n_clips > 0 ? index % p->source.n_clips : index;
}

static int64_t size_of(const reel_pool *p, int64_t index) {
    return p->source.bucket(p->source.context, p->bucket, p->n_buckets, -1, of_source(p, index));
}

static reel_status make(reel_pool *p, int64_t index) {
    const int64_t at = index % p->room;
    if (!p->rgb[at]) p->rgb[at] = reel_alloc(p->env, p->clip_bytes, tag);
    if (!p->rgb[at]) return REEL_E_NOMEM;
    const reel_source *s = &p->source;
    p->size_of[at] = size_of(p, index);
    return s->pixels(p->env, s->context, of_source(p, index), &p->bucket[p->size_of[at]],
                     p->rgb[at]);
}

/* Tells the source which clips come next. */
static void expect(const reel_pool *p) {
    const reel_source *s = &p->source;
    if (!s->expect || (s->n_clips > 0 && p->end >= s->n_clips && s->n_clips <= p->room)) return;
    for (int64_t i = p->end; i < p->end + AHEAD; i++)
        s->expect(s->context, of_source(p, i), &p->bucket[size_of(p, i)]);
}

reel_status reel_pool_advance(reel_pool *p, int64_t n_made) {
    const int64_t n = p->source.n_clips;
    if (n > 0 && n <= p->room && n_made > n) n_made = n; /* all of it, once */
    const int64_t first = n_made > p->room ? n_made - p->room : 0;
    if (p->end < first || n_made < p->end) p->first = p->end = first; /* begins anew */
    while (p->end < n_made) {
        const reel_status status = make(p, p->end);
        if (status != REEL_OK) return status;
        p->end++;
        if (p->end - p->first > p->room) p->first = p->end - p->room;
    }
    expect(p);
    return REEL_OK;
}

int64_t reel_pool_count(const reel_pool *p) {
    return p->end - p->first;
}

reel_pool_clip reel_pool_at(const reel_pool *p, int64_t i) {
    const int64_t index = p->first + i, at = index % p->room;
    return (reel_pool_clip){.index = index, .size = &p->bucket[p->size_of[at]], .rgb = p->rgb[at]};
}

void reel_pool_crop(const reel_pool_clip *clip, const reel_crop *c, float *out) {
    const int64_t W = clip->size->width, H = clip->size->height;
    for (int64_t f = 0; f < c->frames; f++)
        for (int64_t y = 0; y < c->height; y++) {
            const uint8_t *row = clip->rgb + (((c->frame + f) * H + c->y + y) * W + c->x) * 3;
            float *to = out + (f * c->height + y) * c->width * 3;
            for (int64_t x = 0; x < c->width; x++) {
                const uint8_t *from = row + 3 * (c->mirror ? c->width - 1 - x : x);
                for (int k = 0; k < 3; k++)
                    to[3 * x + k] = (float)from[k] * (2.0f / 255.0f) - 1.0f;
            }
        }
}
