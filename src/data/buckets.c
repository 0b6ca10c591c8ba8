#include "data/buckets.h"

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
