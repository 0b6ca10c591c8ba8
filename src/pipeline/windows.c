#include "pipeline/windows.h"

/* What each window but the first adds. */
static int64_t stride(const reel_spans *s) {
    return s->window - s->anchor - s->context;
}

int64_t reel_windows_count(const reel_spans *s, int64_t F) {
    return F <= s->most ? 1 : 1 + (F - s->window + stride(s) - 1) / stride(s);
}

int64_t reel_windows_length(const reel_spans *s, int64_t F) {
    return F <= s->most ? F : s->window;
}

reel_window reel_windows_at(const reel_spans *s, int64_t F, int64_t i) {
    if (i == 0) return (reel_window){.fresh = reel_windows_length(s, F)};
    const int64_t begin = s->window + (i - 1) * stride(s); /* of what is fresh */
    const int64_t end = begin + stride(s) < F ? begin + stride(s) : F;
    const int64_t at = end - (s->window - s->anchor);
    return (reel_window){.anchor = s->anchor, .at = at, .known = begin - at, .fresh = end - begin};
}

uint64_t reel_windows_seed(int64_t seed, int64_t i) {
    return (uint64_t)seed + (uint64_t)i * 0x9e3779b97f4a7c15u; /* 2^64 over the golden ratio */
}
