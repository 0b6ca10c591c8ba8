/* What the machine can do at most: loops that do one thing, with nothing to wait for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { N_CHAINS = 16, N_STEPS = 1 << 14 };

typedef double loop(void); /* does a fixed amount of arithmetic and returns it, in flop */

/* Keeps the accumulators alive without storing them. */
#define KEEP(x) __asm__ volatile("" : "+m"(x))

/* ---- arithmetic ---- */

/* N_CHAINS independent chains of a = a * x + y; the loop over i is unrolled by the compiler. */
#define FMA_LOOP(name, attribute, type, width, expression)                                         \
    attribute static double name(void) {                                                           \
        type a[N_CHAINS], x = (type){0} + 0.999f, y = (type){0} + 1e-3f;                           \
        for (int i = 0; i < N_CHAINS; i++)                                                         \
            a[i] = (type){0} + (float)i;                                                           \
        for (int k = 0; k < N_STEPS; k++) {                                                        \
            _Pragma("GCC unroll 16") for (int i = 0; i < N_CHAINS; i++) a[i] = expression;         \
        }                                                                                          \
        KEEP(a);                                                                                   \
        return 2.0 * (width)*N_CHAINS * (double)N_STEPS;                                           \
    }

typedef float v4 __attribute__((vector_size(16)));
FMA_LOOP(fma_portable, , v4, 4, a[i] * x + y)

#if defined(__x86_64__)
FMA_LOOP(fma_avx2, __attribute__((target("avx2,fma"))), __m256, 8, _mm256_fmadd_ps(a[i], x, y))
FMA_LOOP(fma_avx512, __attribute__((target("avx512f"))), __m512, 16, _mm512_fmadd_ps(a[i], x, y))

__attribute__((target("avx512f,avx512bf16"))) static double dot_avx512(void) {
    __m512 a[N_CHAINS];
    const __m512bh x = (__m512bh)_mm512_set1_epi32(0x3f803f80);
    for (int i = 0; i < N_CHAINS; i++)
        a[i] = _mm512_setzero_ps();
    for (int k = 0; k < N_STEPS; k++) {
        _Pragma("GCC unroll 16") for (int i = 0; i < N_CHAINS; i++) a[i] =
            _mm512_dpbf16_ps(a[i], x, x);
    }
    KEEP(a);
    return 64.0 * N_CHAINS * (double)N_STEPS;
}

/* Four accumulator tiles, two of A, two of B: [16,32] x [32,16] bf16 products. */
__attribute__((target("amx-tile,amx-bf16"))) static double tile_amx(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t colsb[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.colsb[i] = 64;
        config.rows[i] = 16;
    }
    KEEP(config); /* gcc's intrinsic claims to read 8 bytes; the others must be there too */
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (int k = 0; k < N_STEPS; k++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    return 4 * 2.0 * 16 * 16 * 32 * (double)N_STEPS;
}
#endif

typedef struct loop_run {
    loop *run;
    double flops[256]; /* by piece */
} loop_run;

static void loop_task(void *context, int64_t index, int lane) {
    (void)lane;
    loop_run *r = context;
    double flops = 0;
    for (int k = 0; k < 16; k++)
        flops += r->run();
    r->flops[index] = flops;
}

/* Best of several, GFLOP/s, with one piece for each of n lanes. */
static double loop_rate(const bench *b, loop *run, int n) {
    loop_run r = {.run = run};
    double best = 0;
    for (int k = 0; k < 8; k++) {
        const double start = reel_clock_s();
        reel_parallel_for(n > 1 ? b->env->threads : NULL, n, loop_task, &r);
        const double s = reel_clock_s() - start;
        double flops = 0;
        for (int i = 0; i < n; i++)
            flops += r.flops[i];
        if (flops / s > best) best = flops / s;
    }
    return best * 1e-9;
}

/* ---- memory ---- */

enum { COPY_CHUNK = 1 << 20 };

typedef struct copy_run {
    const char *from;
    char *to;
    int64_t bytes, chunk;
    bool streaming;
} copy_run;

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void copy_streaming(char *to, const char *from, int64_t n) {
    for (int64_t i = 0; i + 32 <= n; i += 32)
        _mm256_stream_si256((__m256i *)(void *)(to + i),
                            _mm256_loadu_si256((const __m256i *)(const void *)(from + i)));
    _mm_sfence();
}
#endif

static void copy_task(void *context, int64_t index, int lane) {
    (void)lane;
    const copy_run *c = context;
    const int64_t at = index * c->chunk, left = c->bytes - at;
    const int64_t n = left < c->chunk ? left : c->chunk;
#if defined(__x86_64__)
    if (c->streaming) {
        copy_streaming(c->to + at, c->from + at, n);
        return;
    }
#endif
    memcpy(c->to + at, c->from + at, (size_t)n);
}

/* GB/s, read plus written, of the best of several copies of `bytes`. */
static double copy_rate(const bench *b, int64_t bytes, bool streaming, bool all) {
    copy_run c = {.streaming = streaming};
    void *from = NULL, *to = NULL;
    c.bytes = bytes / 64 * 64;
    /* As kernels split their work: enough pieces for the lanes, none too small to be worth it. */
    c.chunk = c.bytes / (8 * b->n_threads) / 64 * 64;
    if (c.chunk > COPY_CHUNK) c.chunk = COPY_CHUNK;
    if (c.chunk < 4096) c.chunk = 4096;
    if (posix_memalign(&from, 4096, (size_t)c.bytes + 64) != 0 ||
        posix_memalign(&to, 4096, (size_t)c.bytes + 64) != 0) {
        fprintf(stderr, "bench: no memory for a copy of %lld bytes\n", (long long)bytes);
        exit(1);
    }
    memset(from, 1, (size_t)c.bytes);
    memset(to, 2, (size_t)c.bytes);
    c.from = from;
    c.to = to;
    double best = 0;
    const double end = reel_clock_s() + 0.1;
    for (int k = 0; k < 5 || (reel_clock_s() < end && k < 1000); k++) {
        const double start = reel_clock_s();
        reel_parallel_for(all ? b->env->threads : NULL, (c.bytes + c.chunk - 1) / c.chunk,
                          copy_task, &c);
        const double rate = 2.0 * (double)c.bytes / (reel_clock_s() - start);
        if (rate > best) best = rate;
    }
    free(from);
    free(to);
    return best * 1e-9;
}

static bool can_stream(const bench *b) {
    return b->isa >= REEL_ISA_AVX2;
}

double bench_copy_rate(const bench *b, double bytes) {
    /* The last size asked for; a case's rows often share theirs. The bench has one thread. */
    static double last_bytes, last_rate;
    if (bytes == last_bytes) return last_rate;
    const int64_t half = bytes < 8192 ? 4096 : (int64_t)(bytes / 2);
    double rate = copy_rate(b, half, false, true);
    const double streamed = can_stream(b) ? copy_rate(b, half, true, true) : 0;
    if (streamed > rate) rate = streamed;
    last_bytes = bytes;
    last_rate = rate;
    return rate;
}

/* ---- all of them ---- */

void bench_measure_ceilings(bench *b) {
    loop *fma = fma_portable, *dot = NULL, *tile = NULL;
#if defined(__x86_64__)
    if (b->isa >= REEL_ISA_AVX2) fma = fma_avx2;
    if (b->isa >= REEL_ISA_AVX512) fma = fma_avx512;
    if (b->isa >= REEL_ISA_AVX512_BF16) dot = dot_avx512;
    if (b->isa >= REEL_ISA_AMX) tile = tile_amx;
#endif
    bench_ceilings *c = &b->ceiling;
    for (int all = 0; all < 2; all++) {
        const int n = all ? b->n_threads : 1;
        c->fma[all] = loop_rate(b, fma, n);
        if (dot) c->dot[all] = loop_rate(b, dot, n);
        if (tile) c->tile[all] = loop_rate(b, tile, n);
        c->copy[all] = copy_rate(b, 256 << 20, false, all);
        if (can_stream(b)) c->copy_nt[all] = copy_rate(b, 256 << 20, true, all);
    }
}

static void print_ceiling(const char *name, const double rate[2], const char *unit) {
    if (rate[1] > 0) printf("  %-40s %8.1f %8.1f %s\n", name, rate[0], rate[1], unit);
}

void bench_print_ceilings(const bench *b) {
    printf("ceilings at level %s: one core, %d thread%s\n", reel_isa_name(b->isa), b->n_threads,
           b->n_threads > 1 ? "s" : "");
    print_ceiling("f32 multiply-add", b->ceiling.fma, "GFLOP/s");
    print_ceiling("bf16 dot product (vdpbf16ps)", b->ceiling.dot, "GFLOP/s");
    print_ceiling("bf16 tile product (tdpbf16ps)", b->ceiling.tile, "GFLOP/s");
    print_ceiling("copy of 256 MiB", b->ceiling.copy, "GB/s read + written");
    print_ceiling("copy of 256 MiB, non-temporal", b->ceiling.copy_nt, "GB/s read + written");
}
