/* attention and its gradient at the shapes of a small DiT, of pocket and of Wan 1.3B. */
#include "ops/attention.h"

#include <stdio.h>

#include "bench.h"
#include "ops/elementwise.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    /* Behind an op, so that qkv is a temporary and dqkv comes in its dtype, as inside a model. */
    const reel_attention_in a = {.qkv = reel_add(t, in[0], in[1])};
    return reel_attention(t, &a);
}

static void run(bench *b, reel_dtype dtype, int64_t B, int64_t T, int64_t N, int64_t D) {
    char shape[64];
    snprintf(shape, sizeof shape, "%lld x %lld x (%lld x %lld)", (long long)B, (long long)T,
             (long long)N, (long long)D);
    const bench_case c = {.shape = shape,
                          .dtype = reel_dtype_name(dtype),
                          .build = build,
                          .n_in = 2,
                          .in = {{.dtype = dtype, .shape = REEL_SHAPE(B, T, 3, N, D)},
                                 {.dtype = dtype, .shape = REEL_SHAPE(1)}},
                          .backward = true,
                          .report = {&reel_op_attention, &reel_op_attention_backward},
                          .limit = dtype == REEL_BF16 ? BENCH_BF16 : BENCH_FMA};
    bench_run_case(b, &c);
}

static reel_var build_apart(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    const reel_attention_in a = {.q = reel_add(t, in[0], in[2]), .kv = reel_add(t, in[1], in[2])};
    return reel_attention(t, &a);
}

/* Queries of one source, keys and values of another. */
static void run_cross(bench *b, reel_dtype dtype, int64_t B, int64_t Tq, int64_t Tk, int64_t N,
                      int64_t D) {
    char shape[64];
    snprintf(shape, sizeof shape, "%lld x %lld on %lld x (%lld x %lld)", (long long)B,
             (long long)Tq, (long long)Tk, (long long)N, (long long)D);
    const bench_case c = {.shape = shape,
                          .dtype = reel_dtype_name(dtype),
                          .build = build_apart,
                          .n_in = 3,
                          .in = {{.dtype = dtype, .shape = REEL_SHAPE(B, Tq, N, D)},
                                 {.dtype = dtype, .shape = REEL_SHAPE(B, Tk, 2, N, D)},
                                 {.dtype = dtype, .shape = REEL_SHAPE(1)}},
                          .backward = true,
                          .report = {&reel_op_attention, &reel_op_attention_backward},
                          .limit = dtype == REEL_BF16 ? BENCH_BF16 : BENCH_FMA};
    bench_run_case(b, &c);
}

void bench_attention(bench *b) {
    for (int d = 0; d < 2; d++) {
        const reel_dtype dtype = d == 0 ? REEL_BF16 : REEL_F32;
        bench_print_head(b, d == 0 ? "attention, bf16" : "attention, f32", NULL);
        run(b, dtype, 64, 80, 3, 64);
        run(b, dtype, 96, 96, 3, 96);
        run_cross(b, dtype, 96, 96, 64, 3, 96);
        run(b, dtype, 8, 320, 4, 64);
        run(b, dtype, 16, 576, 3, 96);
        run_cross(b, dtype, 16, 576, 64, 3, 96);
        run(b, dtype, 1, 1024, 12, 128);
        /* f32 takes tens of seconds there and shows nothing that 1024 does not */
        if (dtype == REEL_BF16) run(b, dtype, 1, 4096, 12, 128);
    }
}
