#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/rng.h"

/* The known answers that come with the paper's code (Random123, kat_vectors, philox4x32 10). */
static void test_rng_matches_the_known_answers(void **state) {
    (void)state;
    static const struct {
        uint64_t seed, stream, index;
        uint32_t word[4];
    } known[] = {
        {0, 0, 0, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}},
        {0x299f31d0a4093822u,
         0x0370734413198a2eu,
         0x85a308d3243f6a88u,
         {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const reel_rng_block got = reel_rng(known[i].seed, known[i].stream, known[i].index);
        assert_memory_equal(got.word, known[i].word, sizeof got.word);
    }
}

enum { N = 1000 };

typedef void fill_fn(uint64_t seed, uint64_t stream, uint64_t first, int64_t n, float *out);
typedef float element_fn(uint64_t seed, uint64_t stream, uint64_t i);

/* The array must not depend on how it is cut: every piece length from 1 to 9, from an odd start. */
static void check_splits(fill_fn *fill, element_fn *element) {
    float whole[N];
    const uint64_t first = 12345678901u;
    fill(7, 11, first, N, whole);
    for (int64_t piece = 1; piece <= 9; piece++) {
        float cut[N];
        for (int64_t i = 0; i < N; i += piece)
            fill(7, 11, first + (uint64_t)i, i + piece < N ? piece : N - i, cut + i);
        assert_memory_equal(cut, whole, sizeof whole);
    }
    for (int64_t i = 0; i < N; i++)
        assert_true(element(7, 11, first + (uint64_t)i) == whole[i]);
}

static void test_rng_fill_uniform_is_splittable(void **state) {
    (void)state;
    check_splits(reel_rng_fill_uniform, reel_rng_uniform);
}

static void test_rng_fill_normal_is_splittable(void **state) {
    (void)state;
    check_splits(reel_rng_fill_normal, reel_rng_normal);
}

/* Moments and tails of 2^18 normals; the bounds are five standard errors of each statistic. */
static void test_rng_normal_has_the_moments_of_a_normal(void **state) {
    (void)state;
    enum { M = 1 << 18, CHUNK = 1 << 10 };
    double sum = 0, sum2 = 0, sum3 = 0, sum4 = 0, lag = 0, before = 0;
    int64_t beyond_two = 0;
    for (int64_t first = 0; first < M; first += CHUNK) {
        float x[CHUNK];
        reel_rng_fill_normal(42, reel_rng_stream("test"), (uint64_t)first, CHUNK, x);
        for (int i = 0; i < CHUNK; i++) {
            const double v = (double)x[i];
            assert_true(isfinite(v) && fabs(v) < 6.8);
            sum += v;
            sum2 += v * v;
            sum3 += v * v * v;
            sum4 += v * v * v * v;
            lag += v * before;
            before = v;
            beyond_two += fabs(v) > 2.0;
        }
    }
    const double root = sqrt((double)M);
    assert_true(fabs(sum / M) < 5.0 / root);
    assert_true(fabs(sum2 / M - 1.0) < 5.0 * sqrt(2.0) / root);
    assert_true(fabs(sum3 / M) < 5.0 * sqrt(15.0) / root);
    assert_true(fabs(sum4 / M - 3.0) < 5.0 * sqrt(96.0) / root);
    assert_true(fabs(lag / M) < 5.0 / root);
    const double p = 0.045500263896358; /* P(|x| > 2) */
    assert_true(fabs((double)beyond_two / M - p) < 5.0 * sqrt(p * (1 - p)) / root);
}

/* The polynomials against libm: Box-Muller recomputed from the same words. */
static void test_rng_normal_matches_box_muller_in_libm(void **state) {
    (void)state;
    const double half_pi = 1.5707963267948966;
    for (uint64_t block = 0; block < 20000; block++) {
        const reel_rng_block r = reel_rng(3, 4, block);
        const double u = ((double)r.word[0] + 0.5) / 4294967296.0;
        const double turn = ((double)(r.word[1] & 0x3fffffffu) + 0.5) / 1073741824.0 - 0.5;
        const double angle = (turn + (double)(r.word[1] >> 30)) * half_pi;
        const double radius = sqrt(-2.0 * log(u));
        const double wanted[2] = {radius * cos(angle), radius * sin(angle)};
        for (uint64_t j = 0; j < 2; j++) {
            const double got = (double)reel_rng_normal(3, 4, 4 * block + j);
            /* Half a unit in the last place of the f32 result, and libm's own rounding. */
            assert_true(fabs(got - wanted[j]) <= 0x1p-24 * fabs(wanted[j]) + 1e-12);
        }
    }
}

/* The bytes themselves, so that a compiler that contracts or reorders is found out. */
static void test_rng_normal_has_the_recorded_bytes(void **state) {
    (void)state;
    uint64_t hash = 0xcbf29ce484222325u;
    for (uint64_t i = 0; i < 4096; i++) {
        const float x = reel_rng_normal(1, 2, i);
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        hash = (hash ^ bits) * 0x100000001b3u;
    }
    assert_int_equal(hash, 0x2419225f0d3e708du);
}

static void test_rng_uniform_is_the_top_24_bits_of_its_word(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 64; i++) {
        const uint32_t word = reel_rng(5, 6, i / 4).word[i % 4];
        assert_true(reel_rng_uniform(5, 6, i) == (float)ldexp((double)(word >> 8), -24));
    }
}

static void test_rng_uniform_is_in_its_range_and_even(void **state) {
    (void)state;
    enum { M = 1 << 16, N_BINS = 64 };
    int64_t bin[N_BINS] = {0};
    for (uint64_t i = 0; i < M; i++) {
        const float x = reel_rng_uniform(9, 9, i);
        assert_true(x >= 0.0f && x < 1.0f);
        bin[(int)(x * N_BINS)]++;
    }
    double chi2 = 0;
    for (int b = 0; b < N_BINS; b++) {
        const double d = (double)bin[b] - (double)M / N_BINS;
        chi2 += d * d / ((double)M / N_BINS);
    }
    assert_true(chi2 < 63 + 5 * sqrt(2.0 * 63)); /* mean 63, variance 126 */
}

static void test_rng_below_stays_below(void **state) {
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 10, 1u << 31, 1ull << 40, UINT64_MAX};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        uint64_t highest = 0;
        for (uint64_t i = 0; i < 2000; i++) {
            const uint64_t x = reel_rng_below(5, s, i, sizes[s]);
            assert_true(x < sizes[s]);
            if (x > highest) highest = x;
        }
        assert_true(highest >= sizes[s] / 10 * 9);
    }
}

static void test_rng_permute_is_a_permutation(void **state) {
    (void)state;
    enum { M = 257 };
    int64_t order[M];
    int seen[M] = {0};
    int fixed = 0;
    reel_rng_permute(1, 2, M, order);
    for (int i = 0; i < M; i++) {
        assert_in_range(order[i], 0, M - 1);
        seen[order[i]]++;
        fixed += order[i] == i;
    }
    for (int i = 0; i < M; i++)
        assert_int_equal(seen[i], 1);
    assert_true(fixed < 10); /* one is expected */
}

static void test_rng_stream_is_fnv1a(void **state) {
    (void)state;
    assert_int_equal(reel_rng_stream(""), 0xcbf29ce484222325u);
    assert_int_equal(reel_rng_stream("foobar"), 0x85944171f73967e8u); /* the authors' test vector */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rng_matches_the_known_answers),
        cmocka_unit_test(test_rng_fill_uniform_is_splittable),
        cmocka_unit_test(test_rng_fill_normal_is_splittable),
        cmocka_unit_test(test_rng_normal_has_the_moments_of_a_normal),
        cmocka_unit_test(test_rng_normal_matches_box_muller_in_libm),
        cmocka_unit_test(test_rng_normal_has_the_recorded_bytes),
        cmocka_unit_test(test_rng_uniform_is_the_top_24_bits_of_its_word),
        cmocka_unit_test(test_rng_uniform_is_in_its_range_and_even),
        cmocka_unit_test(test_rng_below_stays_below),
        cmocka_unit_test(test_rng_permute_is_a_permutation),
        cmocka_unit_test(test_rng_stream_is_fnv1a),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
