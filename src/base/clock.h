/* The clock: monotonic time for progress, profiles and benches.
 *
 * Never a seed and never part of a result: what reel computes does not depend on when.
 */
#ifndef REEL_BASE_CLOCK_H
#define REEL_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds since some fixed moment (the boot of the machine, on Linux). Any thread. */
static inline int64_t reel_clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The same in seconds. */
static inline double reel_clock_s(void) {
    return (double)reel_clock_ns() * 1e-9;
}

#endif
