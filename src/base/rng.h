/* Randomness: a pure function of (seed, stream, index).
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC'11):
 * the seed is the key, stream and index are the counter. There is no generator state, so element i
 * of an array is the same whoever computes it, in whatever order, and a stopped run continues to
 * the same numbers. Results are the same on every machine: only IEEE additions, products,
 * divisions and square roots are used, never libm.
 */
#ifndef REEL_BASE_RNG_H
#define REEL_BASE_RNG_H

#include <stdint.h>

typedef struct reel_rng_block {
    uint32_t word[4];
} reel_rng_block;

/* 128 random bits. Any thread, as everything here. */
reel_rng_block reel_rng(uint64_t seed, uint64_t stream, uint64_t index);

/* A stream number from a name ("init.blocks.0.attn.q", "noise"): FNV-1a, 64 bits. */
uint64_t reel_rng_stream(const char *name);

/* Element i of the array that reel_rng_fill_uniform makes: [0,1), a multiple of 2^-24. */
float reel_rng_uniform(uint64_t seed, uint64_t stream, uint64_t i);

/* Element i of the array that reel_rng_fill_normal makes: mean 0, variance 1, |x| < 6.8. */
float reel_rng_normal(uint64_t seed, uint64_t stream, uint64_t i);

/* An integer in [0,n), n >= 1, from element i; uneven by less than n * 2^-64. */
uint64_t reel_rng_below(uint64_t seed, uint64_t stream, uint64_t i, uint64_t n);

/* out[j] = element first + j, for j in [0,n): any split of an array gives the same array. */
void reel_rng_fill_uniform(uint64_t seed, uint64_t stream, uint64_t first, int64_t n, float *out);
void reel_rng_fill_normal(uint64_t seed, uint64_t stream, uint64_t first, int64_t n, float *out);

/* order becomes a random permutation of 0..n-1 (Fisher-Yates). */
void reel_rng_permute(uint64_t seed, uint64_t stream, int64_t n, int64_t *order);

#endif
