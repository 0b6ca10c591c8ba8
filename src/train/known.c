#include "train/known.h"

#include "base/rng.h"

static uint64_t below(uint64_t seed, const char *what, uint64_t i, int64_t n) {
    return reel_rng_below(seed, reel_rng_stream(what), i, (uint64_t)n);
}

reel_known_kind reel_known_kind_of(uint64_t seed, uint64_t i, double fraction) {
    if ((double)reel_rng_uniform(seed, reel_rng_stream("dit mask"), i) >= fraction)
        return REEL_KNOWN_NOTHING;
    return (reel_known_kind)(REEL_KNOWN_FIRST +
                             below(seed, "dit mask kind", i, REEL_KNOWN_KINDS - REEL_KNOWN_FIRST));
}

static uint64_t some_frames(uint64_t seed, uint64_t i, uint64_t all) {
    const reel_rng_block bits = reel_rng(seed, reel_rng_stream("dit mask frames"), i);
    const uint64_t some = (bits.word[0] | (uint64_t)bits.word[1] << 32) & all;
    return some == all ? 1 : some;
}

/* A head and a tail with one frame or more between them. */
static uint64_t both_ends(uint64_t seed, uint64_t i, int64_t f) {
    if (f < 3) return 1;
    const int64_t n = 2 + (int64_t)below(seed, "dit mask length", i, f - 2);
    const int64_t head = 1 + (int64_t)below(seed, "dit mask head", i, n - 1);
    return (((uint64_t)1 << head) - 1) | (((uint64_t)1 << (n - head)) - 1) << (f - (n - head));
}

static uint64_t frames_of(reel_known_kind kind, uint64_t seed, uint64_t i, int64_t f) {
    const uint64_t all = f < 64 ? ((uint64_t)1 << f) - 1 : ~(uint64_t)0;
    const uint64_t last = (uint64_t)1 << (f - 1);
    const int64_t n = 1 + (int64_t)below(seed, "dit mask length", i, f - 1);
    const uint64_t head = ((uint64_t)1 << n) - 1;
    switch (kind) {
    case REEL_KNOWN_FIRST:
        return 1;
    case REEL_KNOWN_LAST:
        return last;
    case REEL_KNOWN_BOTH:
        return f > 2 ? 1 | last : 1;
    case REEL_KNOWN_SOME:
        return some_frames(seed, i, all);
    case REEL_KNOWN_HEAD:
        return head;
    case REEL_KNOWN_TAIL:
        return head << (f - n);
    case REEL_KNOWN_ENDS:
        return both_ends(seed, i, f);
    case REEL_KNOWN_WINDOW:
        return f > 2 && n == 1 ? 3 : head;
    default:
        return 0;
    }
}

/* A box that is neither nothing nor all of a frame. */
static reel_row_box box_of(uint64_t seed, uint64_t i, int64_t h, int64_t w) {
    reel_row_box b = {.height = 1 + (int64_t)below(seed, "dit mask height", i, h - 1),
                      .width = 1 + (int64_t)below(seed, "dit mask width", i, w - 1),
                      .outside = below(seed, "dit mask side", i, 2) != 0};
    b.y = (int64_t)below(seed, "dit mask y", i, h - b.height + 1);
    b.x = (int64_t)below(seed, "dit mask x", i, w - b.width + 1);
    return b;
}

int64_t reel_known_gap(uint64_t seed, uint64_t i, reel_known_kind kind, int64_t *f) {
    if (kind != REEL_KNOWN_WINDOW || *f < 5) return 0;
    const int64_t stored = *f;
    *f = 3 + (int64_t)below(seed, "dit mask window", i, stored - 3);
    return 1 + (int64_t)below(seed, "dit mask gap", i, stored - *f);
}

uint64_t reel_known_draw(uint64_t seed, uint64_t i, double fraction, int64_t f, int64_t h,
                         int64_t w, reel_row_box *region) {
    const reel_known_kind kind = reel_known_kind_of(seed, i, fraction);
    *region = (reel_row_box){0};
    if (kind == REEL_KNOWN_REGION && h > 1 && w > 1) *region = box_of(seed, i, h, w);
    return f > 1 ? frames_of(kind, seed, i, f) : 0;
}
