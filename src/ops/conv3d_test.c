#include "ops/conv3d.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "cpu/cpu.h"
#include "support/op_check.h"
#include "tape/plan.h"

/* x, w, b or x, w; a cache when there is a fourth input. */
static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    return reel_conv3d(t, context, in[0], in[1], in[2], 0);
}
static reel_var build_without_bias(reel_tape *t, const reel_var *in, const void *context) {
    return reel_conv3d(t, context, in[0], in[1], 0, 0);
}
static reel_var build_with_cache(reel_tape *t, const reel_var *in, const void *context) {
    return reel_conv3d(t, context, in[0], in[1], in[2], in[3]);
}
/* Two pieces, joined by the cache: a loss that reads the second alone must reach the first. */
static reel_var build_two_pieces(reel_tape *t, const reel_var *in, const void *context) {
    reel_conv3d_attr a = *(const reel_conv3d_attr *)context;
    a.carry = 1;
    const reel_var first = reel_conv3d(t, &a, in[0], in[2], 0, 0);
    return first ? reel_conv3d(t, &a, in[1], in[2], 0, first + 1) : 0;
}
/* The cache itself. */
static reel_var build_kept(reel_tape *t, const reel_var *in, const void *context) {
    const reel_var y = reel_conv3d(t, context, in[0], in[1], 0, in[2]);
    return y ? y + 1 : 0;
}

typedef struct sizes {
    int64_t B, C, O, F, H, W, Kt, Kh, Kw;
} sizes;

static reel_shape grid(const reel_conv3d_attr *a, int64_t B, int64_t C, int64_t F, int64_t H,
                       int64_t W) {
    return a->layout == REEL_GRID_CHANNELS_LAST ? REEL_SHAPE(B, F, H, W, C)
                                                : REEL_SHAPE(B, C, F, H, W);
}

static op_case sized(const char *name, const reel_conv3d_attr *attr, reel_dtype dtype, sizes n) {
    return (op_case){
        .name = name,
        .build = build,
        .context = attr,
        .n_in = 3,
        .in = {{.dtype = dtype, .shape = grid(attr, n.B, n.C, n.F, n.H, n.W)},
               {.dtype = dtype, .shape = REEL_SHAPE(n.O, n.C, n.Kt, n.Kh, n.Kw)},
               {.dtype = dtype, .shape = REEL_SHAPE(n.O)}},
    };
}

/* causal in time, `same` in space, for odd kernels */
#define CAUSAL(kt, kh, kw)                                                                         \
    .stride = {1, 1, 1}, .pad_lo = {(kt)-1, (kh) / 2, (kw) / 2}, .pad_hi = {0, (kh) / 2, (kw) / 2}

static const reel_conv3d_attr causal = {CAUSAL(3, 3, 3)};
static const reel_conv3d_attr causal_last = {CAUSAL(3, 3, 3), .layout = REEL_GRID_CHANNELS_LAST};
static const reel_conv3d_attr causal_bf16 = {CAUSAL(3, 3, 3), .out_dtype = REEL_BF16};
static const reel_conv3d_attr last_bf16 = {CAUSAL(3, 3, 3), .layout = REEL_GRID_CHANNELS_LAST,
                                           .out_dtype = REEL_BF16};

/* ---- values ---- */

static void test_conv3d_has_hand_values(void **state) {
    (void)state;
    const float x[4] = {1, 2, 3, 4}, w[9] = {1, 0, 0, 0, 10, 100, 0, 0, 1000}, b[1] = {0.5f};
    const reel_conv3d_attr a = {CAUSAL(1, 3, 3)};
    op_case c = sized("3x3 over 2x2", &a, REEL_F32, (sizes){1, 1, 1, 1, 2, 2, 1, 3, 3});
    c.in[0].value = x;
    c.in[1].value = w;
    c.in[2].value = b;
    op_check_values(&c, (const float[]){4210.5f, 20.5f, 430.5f, 41.5f}, 4, 1e-7);
}

static void test_conv3d_is_causal_in_time(void **state) {
    (void)state;
    const float x[3] = {1, 2, 3}, w[3] = {100, 10, 1}, b[1] = {0};
    op_case c = sized("3x1x1", &(const reel_conv3d_attr){CAUSAL(3, 1, 1)}, REEL_F32,
                      (sizes){1, 1, 1, 3, 1, 1, 3, 1, 1});
    c.in[0].value = x;
    c.in[1].value = w;
    c.in[2].value = b;
    op_check_values(&c, (const float[]){1, 12, 123}, 3, 1e-7);
    const reel_conv3d_attr replicate = {CAUSAL(3, 1, 1), .front = REEL_FRONT_REPLICATE};
    c.context = &replicate;
    op_check_values(&c, (const float[]){111, 112, 123}, 3, 1e-7);
}

static void test_conv3d_puts_a_cache_in_front(void **state) {
    (void)state;
    const float x[2] = {3, 4}, w[3] = {100, 10, 1}, b[1] = {0}, cache[2] = {1, 2};
    op_case c = sized("cache", &(const reel_conv3d_attr){CAUSAL(3, 1, 1)}, REEL_F32,
                      (sizes){1, 1, 1, 2, 1, 1, 3, 1, 1});
    c.in[0].value = x;
    c.in[1].value = w;
    c.in[2].value = b;
    c.in[3] = (op_input){.shape = REEL_SHAPE(1, 1, 2, 1, 1), .value = cache};
    c.n_in = 4;
    c.build = build_with_cache;
    op_check_values(&c, (const float[]){123, 234}, 2, 1e-7);
    const reel_conv3d_attr carry = {CAUSAL(3, 1, 1), .carry = 1};
    c = (op_case){.name = "kept",
                  .build = build_kept,
                  .context = &carry,
                  .n_in = 3,
                  .in = {{.shape = REEL_SHAPE(1, 1, 1, 1, 1), .value = x},
                         {.shape = REEL_SHAPE(1, 1, 3, 1, 1), .value = w},
                         {.shape = REEL_SHAPE(1, 1, 2, 1, 1), .value = cache}}};
    op_check_values(&c, (const float[]){2, 3}, 2, 0);
}

/* Wan halves the picture with zeros right and below alone. */
static void test_conv3d_pads_one_side(void **state) {
    (void)state;
    const float x[4] = {1, 2, 3, 4}, b[1] = {0};
    const float w[9] = {1, 10, 100, 1, 10, 100, 1000, 1000, 1000};
    const reel_conv3d_attr a = {.stride = {1, 2, 2}, .pad_hi = {0, 1, 1}};
    op_case c = sized("right and below", &a, REEL_F32, (sizes){1, 1, 1, 1, 2, 2, 1, 3, 3});
    c.in[0].value = x;
    c.in[1].value = w;
    c.in[2].value = b;
    op_check_values(&c, (const float[]){21 + 43}, 1, 1e-7);
}

/* ---- gradients, plans, levels, threads ---- */

static void test_conv3d_checks_at_odd_sizes(void **state) {
    (void)state;
    const reel_conv3d_attr pixel = {CAUSAL(1, 1, 1)}, time = {CAUSAL(3, 1, 1)},
                           space = {CAUSAL(1, 3, 3), .layout = REEL_GRID_CHANNELS_LAST},
                           replicate = {CAUSAL(3, 1, 3), .front = REEL_FRONT_REPLICATE},
                           strided = {.stride = {2, 2, 3},
                                      .pad_lo = {2, 1, 0},
                                      .pad_hi = {1, 0, 2}},
                           wan = {.stride = {1, 2, 2},
                                  .pad_hi = {0, 1, 1},
                                  .layout = REEL_GRID_CHANNELS_LAST};
    const op_case cases[] = {
        sized("1x1x1", &pixel, REEL_F32, (sizes){2, 3, 4, 2, 3, 2, 1, 1, 1}),
        sized("3x1x1", &time, REEL_F32, (sizes){2, 2, 3, 4, 2, 3, 3, 1, 1}),
        sized("1x3x3 last", &space, REEL_F32, (sizes){2, 3, 2, 2, 3, 4, 1, 3, 3}),
        sized("3x3x3", &causal, REEL_F32, (sizes){1, 2, 3, 2, 4, 3, 3, 3, 3}),
        sized("3x3x3 last", &causal_last, REEL_F32, (sizes){1, 2, 3, 2, 4, 3, 3, 3, 3}),
        sized("replicate", &replicate, REEL_F32, (sizes){1, 2, 2, 3, 2, 4, 3, 1, 3}),
        sized("strides 2 2 3", &strided, REEL_F32, (sizes){1, 2, 2, 4, 5, 6, 3, 2, 3}),
        sized("stride 2 last", &wan, REEL_F32, (sizes){1, 2, 3, 1, 4, 4, 1, 3, 3}),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        op_check(&cases[i]);
}

/* Wide enough for full vectors, tiles and their rests, in both layouts. */
static void test_conv3d_checks_where_vectors_fill(void **state) {
    (void)state;
    const reel_conv3d_attr wan = {.stride = {1, 2, 2},
                                  .pad_hi = {0, 1, 1},
                                  .layout = REEL_GRID_CHANNELS_LAST,
                                  .out_dtype = REEL_BF16};
    const op_case cases[] = {
        sized("33->35 f32", &causal_last, REEL_F32, (sizes){1, 33, 35, 2, 3, 17, 3, 3, 3}),
        sized("33->35 bf16", &last_bf16, REEL_BF16, (sizes){1, 33, 35, 2, 3, 17, 3, 3, 3}),
        sized("16->20 first bf16", &causal_bf16, REEL_BF16, (sizes){2, 16, 20, 2, 5, 9, 3, 3, 3}),
        sized("3->32 bf16", &last_bf16, REEL_BF16, (sizes){1, 3, 32, 3, 4, 19, 3, 3, 3}),
        sized("32->3 bf16", &last_bf16, REEL_BF16, (sizes){1, 32, 3, 3, 4, 19, 3, 3, 3}),
        sized("32->3 f32", &causal, REEL_F32, (sizes){1, 32, 3, 3, 4, 19, 3, 3, 3}),
        sized("stride 2 bf16", &wan, REEL_BF16, (sizes){1, 40, 24, 2, 6, 18, 1, 3, 3}),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        op_check_kernels(&cases[i]);
}

static void test_conv3d_works_without_bias_and_with_caches(void **state) {
    (void)state;
    op_case c = sized("no bias", &causal, REEL_F32, (sizes){1, 2, 3, 2, 3, 3, 3, 3, 3});
    c.build = build_without_bias;
    c.n_in = 2;
    op_check(&c);
    c = sized("cache", &causal_last, REEL_F32, (sizes){2, 2, 3, 2, 3, 2, 3, 3, 3});
    c.build = build_with_cache;
    c.in[3] = (op_input){.shape = REEL_SHAPE(2, 2, 3, 2, 2)};
    c.n_in = 4;
    op_check(&c);
    c = (op_case){.name = "two pieces",
                  .build = build_two_pieces,
                  .context = &causal,
                  .n_in = 3,
                  .in = {{.shape = REEL_SHAPE(1, 2, 1, 3, 2)},
                         {.shape = REEL_SHAPE(1, 2, 2, 3, 2)},
                         {.shape = REEL_SHAPE(2, 2, 3, 3, 3)}}};
    op_check(&c);
}

/* ---- refusals ---- */

static void test_conv3d_refuses_misfits(void **state) {
    (void)state;
    op_case c = sized("channels", &causal, REEL_F32, (sizes){1, 2, 3, 2, 3, 3, 3, 3, 3});
    c.in[1].shape = REEL_SHAPE(3, 4, 3, 3, 3);
    op_check_refused(&c, REEL_E_SHAPE, "conv3d: x [1,2,2,3,3] needs w [O,2,Kt,Kh,Kw]",
                     "got [3,4,3,3,3]");
    c = sized("bias", &causal, REEL_F32, (sizes){1, 2, 3, 2, 3, 3, 3, 3, 3});
    c.in[2].shape = REEL_SHAPE(2);
    op_check_refused(&c, REEL_E_SHAPE, "needs b [3]", "got [2]");
    c = sized("integers", &causal, REEL_F32, (sizes){1, 2, 3, 2, 3, 3, 3, 3, 3});
    c.in[0].dtype = REEL_I32;
    op_check_refused(&c, REEL_E_SHAPE, "f32 or bf16", "i32");
    const reel_conv3d_attr none = {.stride = {1, 1, 1}};
    c = sized("small", &none, REEL_F32, (sizes){1, 2, 3, 2, 3, 3, 3, 3, 3});
    op_check_refused(&c, REEL_E_SHAPE, "smaller than the kernel", NULL);
    const reel_conv3d_attr zero = {.stride = {1, 0, 1}};
    c.context = &zero;
    op_check_refused(&c, REEL_E_ARG, "axis 1 needs a stride >= 1", NULL);
    const reel_conv3d_attr carry = {.stride = {4, 1, 1}, .pad_lo = {2, 1, 1}, .carry = 1};
    c = sized("carry", &carry, REEL_F32, (sizes){1, 2, 3, 2, 3, 3, 3, 3, 3});
    op_check_refused(&c, REEL_E_ARG, "carried with stride 4 over kernel 3", NULL);
    c = sized("cache", &causal, REEL_F32, (sizes){1, 2, 3, 2, 3, 3, 3, 3, 3});
    c.build = build_with_cache;
    c.in[3] = (op_input){.shape = REEL_SHAPE(1, 2, 2, 3, 4)};
    c.n_in = 4;
    op_check_refused(&c, REEL_E_SHAPE, "needs a cache alike but for frames", "[1,2,2,3,4]");
}

/* ---- streaming ---- */

enum { MOST_PIECES = 9 };

/* A clip of F frames and its weights, to be convolved whole and in pieces. */
typedef struct clip {
    reel_env *env;
    reel_kernel_table *table;
    reel_conv3d_attr a;
    reel_dtype dtype;
    int64_t C, O, F, H, W;
    char *x, *w; /* one batch, elements of dtype */
    float b[64];
} clip;

static void fill(reel_dtype dtype, void *data, int64_t n, uint32_t seed) {
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        reel_dtype_store(dtype, data, i, (float)(seed >> 8) / (float)(1 << 23) - 1.0f);
    }
}

/* Frames [first, first + n) of a grid of F frames, in memory of their own or back into the grid. */
static void copy_frames(const clip *k, bool out, char *piece, char *whole, const int64_t at[3],
                        int64_t C, int64_t frame) {
    const int64_t first = at[0], n = at[1], F = at[2], bytes = reel_dtype_bytes(k->dtype);
    const bool last = k->a.layout == REEL_GRID_CHANNELS_LAST;
    for (int64_t c = 0; c < (last ? 1 : C); c++) {
        const size_t size = (size_t)(n * frame * (last ? C : 1) * bytes);
        const int64_t unit = frame * (last ? C : 1) * bytes;
        char *a = piece + c * n * unit, *b = whole + (c * F + first) * unit;
        memcpy(out ? b : a, out ? a : b, size);
    }
}

/* Runs the clip in pieces of these many frames; y: all frames of the output. Caller frees. */
static char *run_in_pieces(const clip *k, const int *frames, int n_pieces, int64_t *n_bytes) {
    reel_tape *t = NULL;
    reel_plan *plan = NULL;
    assert_int_equal(reel_ops_tape_new(k->env, &t), REEL_OK);
    char *piece[MOST_PIECES];
    reel_var y[MOST_PIECES], cache = 0;
    const reel_var w = reel_tape_input(t, k->dtype, REEL_SHAPE(k->O, k->C, 3, 3, 3), "w", k->w);
    const reel_var b = reel_tape_input(t, REEL_F32, REEL_SHAPE(k->O), "b", k->b);
    int64_t first = 0, n_out = 0;
    reel_conv3d_attr a = k->a;
    a.carry = n_pieces > 1;
    for (int i = 0; i < n_pieces; i++) {
        piece[i] = malloc((size_t)(frames[i] * k->C * k->H * k->W * 4));
        copy_frames(k, false, piece[i], k->x, (int64_t[]){first, frames[i], k->F}, k->C,
                    k->H * k->W);
        first += frames[i];
        const reel_var x =
            reel_tape_input(t, k->dtype, grid(&a, 1, k->C, frames[i], k->H, k->W), "x", piece[i]);
        y[i] = reel_conv3d(t, &a, x, w, b, cache);
        assert_true(y[i] > 0);
        cache = y[i] + 1;
        reel_tape_keep(t, y[i]);
        n_out += reel_tape_value(t, y[i])->shape.dim[a.layout == REEL_GRID_CHANNELS_LAST ? 1 : 2];
    }
    assert_int_equal(first, k->F);
    assert_int_equal(reel_plan_new(t, k->table, NULL, &plan), REEL_OK);
    assert_int_equal(reel_plan_run(plan, NULL), REEL_OK);
    const reel_shape shape = reel_tape_value(t, y[0])->shape;
    const bool last = a.layout == REEL_GRID_CHANNELS_LAST;
    const int64_t frame = last ? shape.dim[2] * shape.dim[3] : shape.dim[3] * shape.dim[4];
    *n_bytes = n_out * frame * k->O * reel_dtype_bytes(k->dtype);
    char *whole = malloc((size_t)*n_bytes);
    first = 0;
    for (int i = 0; i < n_pieces; i++) {
        const int64_t n = reel_tape_value(t, y[i])->shape.dim[last ? 1 : 2];
        if (n)
            copy_frames(k, true, reel_plan_data(plan, y[i]), whole, (int64_t[]){first, n, n_out},
                        k->O, frame);
        first += n;
    }
    reel_plan_free(&plan);
    reel_tape_free(&t);
    for (int i = 0; i < n_pieces; i++)
        free(piece[i]);
    return whole;
}

static void check_pieces(const clip *k) {
    static const int ways[][MOST_PIECES + 1] = {
        {9, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {3, 1, 4, 4}, {2, 2, 7}, {4, 3, 3, 2, 1}, {2, 8, 1},
    };
    int64_t n_bytes, n_pieced;
    char *whole = run_in_pieces(k, (const int[]){(int)k->F}, 1, &n_bytes);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char *pieced = run_in_pieces(k, ways[i] + 1, ways[i][0], &n_pieced);
        assert_int_equal(n_pieced, n_bytes);
        if (memcmp(whole, pieced, (size_t)n_bytes) != 0)
            fail_msg("way %d differs (stride %d, layout %d, front %d, dtype %d)", (int)i,
                     k->a.stride[0], k->a.layout, k->a.front, k->dtype);
        free(pieced);
    }
    free(whole);
}

static void test_conv3d_in_pieces_is_the_whole(void **state) {
    (void)state;
    for (int isa = -1; isa <= (int)reel_isa_detect(); isa++) {
        clip k = {.env = op_test_env(2), .C = 5, .O = 18, .F = 9, .H = 3, .W = 5};
        const reel_status made = isa < 0 ? reel_ops_reference_table(k.env, &k.table)
                                         : reel_cpu_table(k.env, (reel_isa)isa, &k.table);
        assert_int_equal(made, REEL_OK);
        k.x = malloc((size_t)(k.C * k.F * k.H * k.W * 4));
        k.w = malloc((size_t)(k.O * k.C * 27 * 4));
        fill(REEL_F32, k.b, k.O, 3);
        for (int way = 0; way < 16; way++) {
            k.dtype = way & 1 ? REEL_BF16 : REEL_F32;
            k.a = (reel_conv3d_attr){.stride = {way & 2 ? 2 : 1, way & 2 ? 2 : 1, 1},
                                     .pad_lo = {2, 1, 1},
                                     .pad_hi = {0, 1, 1},
                                     .layout = way & 4 ? REEL_GRID_CHANNELS_LAST
                                                       : REEL_GRID_CHANNELS_FIRST,
                                     .front = way & 8 ? REEL_FRONT_REPLICATE : REEL_FRONT_ZERO,
                                     .out_dtype = (int32_t)k.dtype};
            fill(k.dtype, k.x, k.C * k.F * k.H * k.W, 1);
            fill(k.dtype, k.w, k.O * k.C * 27, 2);
            check_pieces(&k);
        }
        free(k.x);
        free(k.w);
        reel_kernel_table_free(k.env, &k.table);
        reel_env_free(&k.env);
    }
}

/* ---- adversarial values ---- */

static void test_conv3d_keeps_nan_to_its_neighbourhood(void **state) {
    (void)state;
    enum { H = 5, W = 40 };
    const reel_shape shape = REEL_SHAPE(1, 1, H, W, 4);
    for (int isa = -1; isa <= (int)reel_isa_detect(); isa++)
        for (int dtype = REEL_F32; dtype <= REEL_BF16; dtype++) {
            reel_env *env = op_test_env(1);
            reel_kernel_table *table = NULL;
            reel_tape *t = NULL;
            reel_plan *plan = NULL;
            float memory[H * W * 4], weights[3 * 4 * 9];
            fill((reel_dtype)dtype, memory, H * W * 4, 5);
            fill((reel_dtype)dtype, weights, 3 * 4 * 9, 6);
            reel_dtype_store((reel_dtype)dtype, memory, (2 * W + 20) * 4 + 1, NAN);
            assert_int_equal(isa < 0 ? reel_ops_reference_table(env, &table)
                                     : reel_cpu_table(env, (reel_isa)isa, &table),
                             REEL_OK);
            assert_int_equal(reel_ops_tape_new(env, &t), REEL_OK);
            const reel_var x = reel_tape_input(t, (reel_dtype)dtype, shape, "x", memory);
            const reel_var w =
                reel_tape_input(t, (reel_dtype)dtype, REEL_SHAPE(3, 4, 1, 3, 3), "w", weights);
            const reel_conv3d_attr a = {CAUSAL(1, 3, 3), .layout = REEL_GRID_CHANNELS_LAST};
            const reel_var y = reel_conv3d(t, &a, x, w, 0, 0);
            reel_tape_keep(t, y);
            assert_int_equal(reel_plan_new(t, table, NULL, &plan), REEL_OK);
            assert_int_equal(reel_plan_run(plan, NULL), REEL_OK);
            const float *out = reel_plan_data(plan, y);
            for (int i = 0; i < H * W * 3; i++) {
                const int h = i / (W * 3), column = i / 3 % W;
                assert_int_equal(isnan(out[i]), h >= 1 && h <= 3 && column >= 19 && column <= 21);
            }
            reel_plan_free(&plan);
            reel_tape_free(&t);
            reel_kernel_table_free(env, &table);
            reel_env_free(&env);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv3d_has_hand_values),
        cmocka_unit_test(test_conv3d_is_causal_in_time),
        cmocka_unit_test(test_conv3d_puts_a_cache_in_front),
        cmocka_unit_test(test_conv3d_pads_one_side),
        cmocka_unit_test(test_conv3d_checks_at_odd_sizes),
        cmocka_unit_test(test_conv3d_checks_where_vectors_fill),
        cmocka_unit_test(test_conv3d_works_without_bias_and_with_caches),
        cmocka_unit_test(test_conv3d_refuses_misfits),
        cmocka_unit_test(test_conv3d_in_pieces_is_the_whole),
        cmocka_unit_test(test_conv3d_keeps_nan_to_its_neighbourhood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
