#include "data/buckets.h"

#include <math.h>

#include "base/rng.h"

int64_t reel_bucket_of(const reel_bucket *bucket, int64_t n, uint64_t seed, int64_t index) {
    double total = 0;
    for (int64_t i = 0; i < n; i++)
        total += bucket[i].weight;
    double at = total * (double)reel_rng_uniform(seed, reel_rng_stream("bucket"), (uint64_t)index);
    for (int64_t i = 0; i < n; i++) {
        if (at < bucket[i].weight) return i;
        at -= bucket[i].weight;
    }
    return n - 1;
}

/* How much of the picture is lost or stretched: |log of the ratio of aspects|, in steps of 1/50 so
 * that 854 x 480 and 16:9 are one. */
static double aspect_off(const reel_bucket *b, int64_t width, int64_t height) {
    const double ratio = (double)b->width * (double)height / ((double)b->height * (double)width);
    return rint(fabs(log(ratio)) * 50);
}

/* True when a suits better than b. */
static bool suits_better(const reel_bucket *a, const reel_bucket *b, int64_t width,
                         int64_t height) {
    if ((a->frames > 1) != (b->frames > 1)) return a->frames > 1;
    const double off_a = aspect_off(a, width, height), off_b = aspect_off(b, width, height);
    if (off_a < off_b || off_b < off_a) return off_a < off_b;
    if (a->frames != b->frames) return a->frames > b->frames;
    const int64_t area = width * height, area_a = a->width * a->height,
                  area_b = b->width * b->height;
    if ((area_a <= area) != (area_b <= area)) return area_a <= area;
    return area_a <= area ? area_a > area_b : area_a < area_b;
}

int64_t reel_bucket_fit(const reel_bucket *bucket, int64_t n, int64_t width, int64_t height,
                        int64_t frames) {
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++) {
        if (bucket[i].frames > frames || !(bucket[i].weight > 0)) continue;
        if (best < 0 || suits_better(&bucket[i], &bucket[best], width, height)) best = i;
    }
    return best;
}
