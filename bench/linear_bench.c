/* linear and its gradients at the shapes of a small DiT, of pocket and of Wan 1.3B, in bf16 and
 * f32. */
#include "ops/linear.h"

#include <stdio.h>

#include "bench.h"
#include "onednn.h"
#include "ops/elementwise.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    const reel_dtype *dtype = context;
    /* Behind an op, so that x is a temporary and dx comes in its dtype, as inside a model. */
    return reel_linear(t, reel_add(t, in[2], in[2]), in[0], in[1], REEL_ACT_NONE, *dtype);
}

/* The product behind a record of linear: y = x w^T, dx = dy w, dw = dy^T x. */
static bool peer(const bench *b, const reel_call *c, int variant, bench_peer *made) {
    (void)b;
    if (variant > 1) return false;
    const reel_shape *w = c->op == &reel_op_linear_dw ? &c->out[0].shape : &c->in[1].shape;
    const reel_shape *x = &c->in[0].shape;
    const int64_t O = w->dim[0], I = w->dim[1], R = reel_shape_rows(x);
    const bench_operand plain = {.dtype = c->in[0].dtype},
                        turned = {.dtype = c->in[0].dtype, .transposed = true};
    const reel_dtype out = c->out[0].dtype;
    if (c->op == &reel_op_linear)
        return bench_onednn_product(R, O, I, plain, turned, out, variant == 1, made);
    if (c->op == &reel_op_linear_dx)
        return bench_onednn_product(R, I, O, plain, plain, out, variant == 1, made);
    return bench_onednn_product(O, I, R, turned, plain, out, variant == 1, made);
}

static void run(bench *b, reel_dtype dtype, int64_t R, int64_t I, int64_t O) {
    char shape[64];
    snprintf(shape, sizeof shape, "%lld x %lld -> %lld", (long long)R, (long long)I, (long long)O);
    bench_case c = {.shape = shape,
                    .dtype = reel_dtype_name(dtype),
                    .build = build,
                    .context = &dtype,
                    .n_in = 3,
                    .in = {{.dtype = dtype, .shape = REEL_SHAPE(O, I)},
                           {.dtype = REEL_F32, .shape = REEL_SHAPE(O)},
                           {.dtype = dtype, .shape = REEL_SHAPE(R, I)}},
                    .backward = true,
                    .report = {&reel_op_linear, &reel_op_linear_dx, &reel_op_linear_dw},
                    .limit = dtype == REEL_BF16 ? BENCH_BF16 : BENCH_FMA,
                    .peer = peer};
    bench_run_case(b, &c);
}

void bench_linear(bench *b) {
    static const int64_t rows[] = {80, 320, 640, 1024, 2560}, width[] = {192, 256, 512};
    for (int d = 0; d < 2; d++) {
        const reel_dtype dtype = d == 0 ? REEL_BF16 : REEL_F32;
        bench_print_head(b, d == 0 ? "linear, bf16" : "linear, f32", "oneDNN");
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            for (size_t k = 0; k < sizeof width / sizeof *width; k++) {
                const int64_t R = rows[i], C = width[k];
                run(b, dtype, R, C, 3 * C);
                run(b, dtype, R, C, C);
                run(b, dtype, R, C, 4 * C);
                run(b, dtype, R, 4 * C, C);
            }
        run(b, dtype, 6144, 192, 288);
        run(b, dtype, 9216, 288, 288);
        run(b, dtype, 9216, 288, 1152);
        run(b, dtype, 9216, 1152, 288);
        for (int64_t R = 1280; R <= 4096; R += 4096 - 1280) {
            run(b, dtype, R, 1536, 1536);
            run(b, dtype, R, 1536, 8960);
            run(b, dtype, R, 8960, 1536);
        }
    }
}
