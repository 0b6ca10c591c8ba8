/* What a transformer does between its products: norms, modulation, gates and rotations, at the
 * sizes of a small DiT, of Wan 1.3B and past every cache; and the norm of Wan's VAE. */
#include <stdio.h>

#include "bench.h"
#include "ops/activation.h"
#include "ops/elementwise.h"
#include "ops/modulate.h"
#include "ops/rope.h"

/* in: x f32 [T,C], b [T,C] bf16, shift, scale, g f32 [R,C]. b goes through an op, so that its
 * gradient is bf16, as inside a model. */
static reel_var modulate(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    const reel_modulate_attr attr = {REEL_NORM_LAYER, REEL_BF16, 1e-6f};
    return reel_norm_modulate(t, in[0], in[1], in[2], 0, &attr);
}
static reel_var gate(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_gate(t, in[0], reel_add(t, in[1], in[1]), in[2], 0);
}
static reel_var layer_norm(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_layer_norm(t, in[0], in[1], in[2], 1e-6f, REEL_BF16);
}
/* in: qkv bf16 [T,3,N,D], wq, wk f32 [N D], positions */
static reel_var rotate(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    const reel_qk_attr attr = {.norm = REEL_QK_NORM_TOKEN, .out_dtype = REEL_BF16, .eps = 1e-6f};
    const int64_t D = reel_shape_last(&reel_tape_value(t, in[0])->shape);
    const reel_var table = reel_rope_table(t, in[3], D, 10000);
    return reel_qkv_norm_rope(t, reel_add(t, in[0], in[0]), in[1], in[2], table, &attr);
}
/* in: x f32 [B,C,F,H,W], w [C] */
static reel_var grid(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    const reel_norm_attr attr = {.kind = REEL_NORM_L2, .channels_first = 1, .eps = 1e-12f};
    return reel_norm(t, in[0], in[1], 0, &attr);
}

static void run_rows(bench *b, int64_t T, int64_t N, int64_t D, int64_t R) {
    const int64_t C = N * D;
    char shape[64];
    snprintf(shape, sizeof shape, "%lld x %lld, %lld row%s", (long long)T, (long long)C,
             (long long)R, R > 1 ? "s" : "");
    bench_case c = {.shape = shape,
                    .dtype = "f32 bf16",
                    .build = modulate,
                    .n_in = 3,
                    .in = {{.shape = REEL_SHAPE(T, C)},
                           {.shape = REEL_SHAPE(R, C)},
                           {.shape = REEL_SHAPE(R, C)}},
                    .backward = true,
                    .report = {&reel_op_norm_modulate, &reel_op_norm_modulate_backward},
                    .limit = BENCH_COPY};
    bench_run_case(b, &c);
    c.build = gate;
    c.in[1] = (bench_input){.dtype = REEL_BF16, .shape = REEL_SHAPE(T, C)};
    c.report[0] = &reel_op_gate;
    c.report[1] = &reel_op_gate_backward;
    bench_run_case(b, &c);
    snprintf(shape, sizeof shape, "%lld x %lld", (long long)T, (long long)C);
    c.build = layer_norm;
    c.in[1] = c.in[2] = (bench_input){.shape = REEL_SHAPE(C)};
    c.report[0] = &reel_op_norm;
    c.report[1] = &reel_op_norm_backward;
    bench_run_case(b, &c);
    snprintf(shape, sizeof shape, "%lld x 3 x (%lld x %lld)", (long long)T, (long long)N,
             (long long)D);
    c.build = rotate;
    c.dtype = "bf16";
    c.n_in = 4;
    c.in[0] = (bench_input){.dtype = REEL_BF16, .shape = REEL_SHAPE(T, 3, N, D)};
    c.in[3] = (bench_input){
        .dtype = REEL_I32, .shape = REEL_SHAPE(T, 3), .lo = 0, .hi = 60, .fixed = true};
    c.report[0] = &reel_op_qk_norm_rope;
    c.report[1] = &reel_op_qk_norm_rope_backward;
    bench_run_case(b, &c);
}

/* in: x [n] */
static reel_var bend(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_activate(t, reel_add(t, in[0], in[0]), REEL_ACT_GELU_TANH);
}

static void run_activation(bench *b, reel_dtype dtype, int64_t T, int64_t C) {
    char shape[64];
    snprintf(shape, sizeof shape, "%lld x %lld, gelu", (long long)T, (long long)C);
    const bench_case c = {
        .shape = shape,
        .dtype = reel_dtype_name(dtype),
        .build = bend,
        .n_in = 1,
        .in = {{.dtype = dtype, .shape = REEL_SHAPE(T, C), .lo = -2, .hi = 2}},
        .backward = true,
        .report = {&reel_op_add, &reel_op_activation, &reel_op_activation_backward},
        .limit = BENCH_COPY};
    bench_run_case(b, &c);
}

static void run_grid(bench *b, int64_t C, int64_t F, int64_t H, int64_t W) {
    char shape[64];
    snprintf(shape, sizeof shape, "[1,%lld,%lld,%lld,%lld]", (long long)C, (long long)F,
             (long long)H, (long long)W);
    const bench_case c = {.shape = shape,
                          .dtype = "f32",
                          .build = grid,
                          .n_in = 2,
                          .in = {{.shape = REEL_SHAPE(1, C, F, H, W)}, {.shape = REEL_SHAPE(C)}},
                          .backward = true,
                          .report = {&reel_op_norm, &reel_op_norm_backward},
                          .limit = BENCH_COPY};
    bench_run_case(b, &c);
}

void bench_memory(bench *b) {
    bench_print_head(b, "norms, modulation, gates, rotations", NULL);
    run_rows(b, 2560, 4, 64, 8);
    run_rows(b, 9216, 3, 96, 96);
    run_activation(b, REEL_BF16, 9216, 1152);
    run_activation(b, REEL_F32, 9216, 288);
    run_rows(b, 4096, 12, 128, 1);
    run_rows(b, 32768, 12, 128, 8);
    run_grid(b, 384, 3, 30, 52);
    run_grid(b, 96, 4, 240, 416);
}
