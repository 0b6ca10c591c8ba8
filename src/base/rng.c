#include "base/rng.h"

#include <math.h>
#include <string.h>

/* Constants of the paper, section 3.3: two multipliers found by search for the best avalanche, and
 * two Weyl increments, the golden ratio and sqrt(3) - 1 as 32-bit fractions. */
static const uint32_t multiplier_0 = 0xd2511f53u;
static const uint32_t multiplier_1 = 0xcd9e8d57u;
static const uint32_t weyl_0 = 0x9e3779b9u;
static const uint32_t weyl_1 = 0xbb67ae85u;

enum { N_ROUNDS = 10 };

reel_rng_block reel_rng(uint64_t seed, uint64_t stream, uint64_t index) {
    uint32_t c0 = (uint32_t)index;
    uint32_t c1 = (uint32_t)(index >> 32);
    uint32_t c2 = (uint32_t)stream;
    uint32_t c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed;
    uint32_t k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < N_ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)multiplier_0 * c0;
        const uint64_t p1 = (uint64_t)multiplier_1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += weyl_0;
        k1 += weyl_1;
    }
    return (reel_rng_block){{c0, c1, c2, c3}};
}

uint64_t reel_rng_stream(const char *name) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        hash = (hash ^ *c) * 0x100000001b3u;
    return hash;
}

/* The top 24 bits, so that every value is a float and 1 is never reached. */
static float uniform_of(uint32_t word) {
    return (float)(word >> 8) * 0x1p-24f;
}

/* -log(u) for u = (word + 1/2) 2^-32, in (0,1).
 *
 * u = m 2^e with m in [1/sqrt 2, sqrt 2); log m = 2 atanh(s), s = (m-1)/(m+1), |s| <= 0.1716, and
 * atanh's series up to s^15 leaves 0.1716^16 / 17 ~ 3e-14 of it: far below f32, which is what
 * comes out at the end. */
static double minus_log_of(uint32_t word) {
    const double u = ((double)word + 0.5) * 0x1p-32;
    uint64_t bits;
    memcpy(&bits, &u, sizeof bits);
    /* Adding the distance from sqrt(1/2) to 1 carries into the exponent when m >= sqrt 2. */
    const uint64_t root_half = 0x3fe6a09e667f3bcdu;
    const int64_t e = (int64_t)(bits - root_half) >> 52;
    bits -= (uint64_t)e << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    const double s = (m - 1.0) / (m + 1.0);
    const double z = s * s;
    double sum = 1.0 / 15;
    sum = sum * z + 1.0 / 13;
    sum = sum * z + 1.0 / 11;
    sum = sum * z + 1.0 / 9;
    sum = sum * z + 1.0 / 7;
    sum = sum * z + 1.0 / 5;
    sum = sum * z + 1.0 / 3;
    sum = sum * z + 1.0;
    const double log_2 = 0x1.62e42fefa39efp-1;
    return -((double)e * log_2 + 2.0 * s * sum);
}

/* A point on the unit circle, evenly. The top two bits choose the quarter; the others an angle y
 * in [-pi/4, pi/4) around its middle. Taylor to y^13 and y^14 leaves less than 1e-13. */
static void circle_of(uint32_t word, double *x, double *y) {
    const double half_pi = 0x1.921fb54442d18p+0;
    const double a = (((double)(word & 0x3fffffffu) + 0.5) * 0x1p-30 - 0.5) * half_pi;
    const double z = a * a;
    double sine = 1.0 / 6227020800.0;
    sine = sine * z - 1.0 / 39916800.0;
    sine = sine * z + 1.0 / 362880.0;
    sine = sine * z - 1.0 / 5040.0;
    sine = sine * z + 1.0 / 120.0;
    sine = sine * z - 1.0 / 6.0;
    sine = (sine * z + 1.0) * a;
    double cosine = -1.0 / 87178291200.0;
    cosine = cosine * z + 1.0 / 479001600.0;
    cosine = cosine * z - 1.0 / 3628800.0;
    cosine = cosine * z + 1.0 / 40320.0;
    cosine = cosine * z - 1.0 / 720.0;
    cosine = cosine * z + 1.0 / 24.0;
    cosine = cosine * z - 1.0 / 2.0;
    cosine = cosine * z + 1.0;
    /* Quarters 0..3 turn (c, s) by 0, 90, 180, 270 degrees. Written without branches, so that the
     * compiler may do several at once. */
    const uint32_t quarter = word >> 30;
    const double turned_x = (quarter & 1u) ? -sine : cosine;
    const double turned_y = (quarter & 1u) ? cosine : sine;
    const double sign = (quarter & 2u) ? -1.0 : 1.0;
    *x = turned_x * sign;
    *y = turned_y * sign;
}

/* Box and Muller: radius sqrt(-2 log u), angle 2 pi v. Two words give two independent normals. */
static void normal_pair(uint32_t radius_word, uint32_t angle_word, float out[2]) {
    const double radius = sqrt(2.0 * minus_log_of(radius_word));
    double x;
    double y;
    circle_of(angle_word, &x, &y);
    out[0] = (float)(radius * x);
    out[1] = (float)(radius * y);
}

/* Elements 4b..4b+3 of an array come from block b. */
static void uniform_block(uint64_t seed, uint64_t stream, uint64_t block, float out[4]) {
    const reel_rng_block r = reel_rng(seed, stream, block);
    for (int j = 0; j < 4; j++)
        out[j] = uniform_of(r.word[j]);
}

static void normal_block(uint64_t seed, uint64_t stream, uint64_t block, float out[4]) {
    const reel_rng_block r = reel_rng(seed, stream, block);
    normal_pair(r.word[0], r.word[1], out);
    normal_pair(r.word[2], r.word[3], out + 2);
}

float reel_rng_uniform(uint64_t seed, uint64_t stream, uint64_t i) {
    float out[4];
    uniform_block(seed, stream, i / 4, out);
    return out[i % 4];
}

float reel_rng_normal(uint64_t seed, uint64_t stream, uint64_t i) {
    float out[4];
    normal_block(seed, stream, i / 4, out);
    return out[i % 4];
}

uint64_t reel_rng_below(uint64_t seed, uint64_t stream, uint64_t i, uint64_t n) {
    const reel_rng_block r = reel_rng(seed, stream, i);
    const uint64_t x = ((uint64_t)r.word[1] << 32) | r.word[0];
    /* floor(x n / 2^64), the high half of the product, from 32-bit halves (C11 has no wider
     * integer). */
    const uint64_t x_low = (uint32_t)x;
    const uint64_t x_high = x >> 32;
    const uint64_t n_low = (uint32_t)n;
    const uint64_t n_high = n >> 32;
    const uint64_t middle = x_high * n_low + ((x_low * n_low) >> 32);
    const uint64_t cross = x_low * n_high + (uint32_t)middle;
    return x_high * n_high + (middle >> 32) + (cross >> 32);
}

typedef void block_fn(uint64_t seed, uint64_t stream, uint64_t block, float out[4]);

/* Elements [first, first + n) through whole blocks, the ragged ends by way of a small buffer. */
static inline void fill(block_fn *make, uint64_t seed, uint64_t stream, uint64_t first, int64_t n,
                        float *out) {
    int64_t i = 0;
    float edge[4];
    while (i < n) {
        const uint64_t element = first + (uint64_t)i;
        const int64_t offset = (int64_t)(element % 4);
        const int64_t take = n - i < 4 - offset ? n - i : 4 - offset;
        if (take == 4) {
            make(seed, stream, element / 4, out + i);
        } else {
            make(seed, stream, element / 4, edge);
            memcpy(out + i, edge + offset, (size_t)take * sizeof(float));
        }
        i += take;
    }
}

void reel_rng_fill_uniform(uint64_t seed, uint64_t stream, uint64_t first, int64_t n, float *out) {
    fill(uniform_block, seed, stream, first, n, out);
}

void reel_rng_fill_normal(uint64_t seed, uint64_t stream, uint64_t first, int64_t n, float *out) {
    fill(normal_block, seed, stream, first, n, out);
}

void reel_rng_permute(uint64_t seed, uint64_t stream, int64_t n, int64_t *order) {
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)reel_rng_below(seed, stream, (uint64_t)i, (uint64_t)i + 1);
        const int64_t held = order[i];
        order[i] = order[j];
        order[j] = held;
    }
}
