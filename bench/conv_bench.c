/* conv3d and its gradients, 3x3x3, in both layouts, in bf16 and f32, at the shapes of a video VAE.
 */
#include "ops/conv3d.h"

#include <stdio.h>

#include "bench.h"
#include "onednn.h"
#include "ops/elementwise.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    /* Behind an op, so that x is a temporary and dx comes in its dtype, as inside a model. */
    return reel_conv3d(t, context, reel_add(t, in[0], in[0]), in[1], in[2], 0);
}

/* x [1,C,F,S,S], S square, to O channels. */
static void run(bench *b, reel_grid_layout layout, reel_dtype dtype, int64_t C, int64_t O,
                int64_t F, int64_t S) {
    char shape[64];
    snprintf(shape, sizeof shape, "[1,%lld,%lld,%lld,%lld] -> %lld", (long long)C, (long long)F,
             (long long)S, (long long)S, (long long)O);
    const reel_conv3d_attr attr = {.stride = {1, 1, 1},
                                   .pad_lo = {2, 1, 1},
                                   .pad_hi = {0, 1, 1},
                                   .layout = (int32_t)layout,
                                   .out_dtype = (int32_t)dtype};
    const bool last = layout == REEL_GRID_CHANNELS_LAST;
    bench_case c = {.shape = shape,
                    .dtype = reel_dtype_name(dtype),
                    .build = build,
                    .context = &attr,
                    .n_in = 3,
                    .in = {{.dtype = dtype,
                            .shape = last ? REEL_SHAPE(1, F, S, S, C) : REEL_SHAPE(1, C, F, S, S)},
                           {.dtype = dtype, .shape = REEL_SHAPE(O, C, 3, 3, 3)},
                           {.dtype = REEL_F32, .shape = REEL_SHAPE(O)}},
                    .backward = true,
                    .report = {&reel_op_conv3d, &reel_op_conv3d_dx, &reel_op_conv3d_dw},
                    .limit = dtype == REEL_BF16 ? BENCH_BF16 : BENCH_FMA,
                    .peer = bench_onednn_conv};
    bench_run_case(b, &c);
}

void bench_conv(bench *b) {
    static const char *const title[2][2] = {
        {"conv3d 3x3x3, f32, channels last", "conv3d 3x3x3, f32, channels first"},
        {"conv3d 3x3x3, bf16, channels last", "conv3d 3x3x3, bf16, channels first"}};
    for (int i = 0; i < 4; i++) {
        const reel_dtype dtype = i < 2 ? REEL_BF16 : REEL_F32;
        const reel_grid_layout layout =
            i % 2 == 0 ? REEL_GRID_CHANNELS_LAST : REEL_GRID_CHANNELS_FIRST;
        bench_print_head(b, title[dtype == REEL_BF16][i % 2], "oneDNN");
        run(b, layout, dtype, 64, 64, 5, 64);
        run(b, layout, dtype, 96, 96, 5, 64);
        run(b, layout, dtype, 128, 128, 5, 32);
        run(b, layout, dtype, 256, 256, 5, 16);
        run(b, layout, dtype, 3, 64, 5, 64);
        run(b, layout, dtype, 64, 3, 5, 64);
    }
}
