/* The arithmetic of cutting: work falls into parts of about one size, within bounds. */
#ifndef REEL_CPU_SIMD_CUT_H
#define REEL_CPU_SIMD_CUT_H

#include <stdint.h>

static inline int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static inline int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}
/* How many parts of a size n falls into, the last of which may be shorter. */
static inline int64_t parts(int64_t n, int64_t of) {
    return (n + of - 1) / of;
}

#endif
