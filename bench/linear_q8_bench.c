/* linear with weights in 8-bit blocks at the shapes of Wan 1.3B, each beside the bf16 one. */
#include "ops/linear_q8.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "ops/linear.h"
#include "tensor/q8.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_linear(t, in[2], in[0], in[1], REEL_ACT_NONE, REEL_BF16);
}

static void run(bench *b, reel_dtype weights, int64_t R, int64_t I, int64_t O) {
    char shape[64];
    snprintf(shape, sizeof shape, "%lld x %lld -> %lld", (long long)R, (long long)I, (long long)O);
    bench_case c = {.shape = shape,
                    .dtype = reel_dtype_name(weights),
                    .build = build,
                    .n_in = 3,
                    .in = {{.dtype = weights, .shape = REEL_SHAPE(O, I)},
                           {.dtype = REEL_F32, .shape = REEL_SHAPE(O)},
                           {.dtype = REEL_BF16, .shape = REEL_SHAPE(R, I)}},
                    .report = {&reel_op_linear, &reel_op_linear_q8},
                    .limit = BENCH_BF16};
    bench_run_case(b, &c);
}

void bench_linear_q8(bench *b) {
    static const int64_t rows[] = {1, 64, 512, 1280, 4096};
    static const int64_t size[][2] = {{1536, 1536}, {1536, 8960}, {8960, 1536}};
    bench_print_head(b, "linear, bf16 and q8_0 weights", NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0; k < sizeof size / sizeof *size; k++) {
            run(b, REEL_BF16, rows[i], size[k][0], size[k][1]);
            run(b, REEL_Q8_0, rows[i], size[k][0], size[k][1]);
        }
}
