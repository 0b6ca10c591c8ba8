#include "ops/linear.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/cpu.h"
#include "support/op_check.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    const reel_linear_attr *a = context;
    return reel_linear(t, in[0], in[1], in[2], (reel_activation)a->act, (reel_dtype)a->out_dtype);
}
static reel_var build_without_bias(reel_tape *t, const reel_var *in, const void *context) {
    const reel_linear_attr *a = context;
    return reel_linear(t, in[0], in[1], 0, (reel_activation)a->act, (reel_dtype)a->out_dtype);
}

static const reel_linear_attr plain = {REEL_ACT_NONE, REEL_F32, 0};
static const reel_linear_attr gelu = {REEL_ACT_GELU_TANH, REEL_F32, 0};
static const reel_linear_attr silu = {REEL_ACT_SILU, REEL_F32, 0};
static const reel_linear_attr plain_bf16 = {REEL_ACT_NONE, REEL_BF16, 0};
static const reel_linear_attr gelu_bf16 = {REEL_ACT_GELU_TANH, REEL_BF16, 0};

static op_case sized(const char *name, const reel_linear_attr *attr, reel_dtype dtype, int64_t R,
                     int64_t I, int64_t O) {
    return (op_case){.name = name,
                     .build = build,
                     .context = attr,
                     .n_in = 3,
                     .in = {{.dtype = dtype, .shape = REEL_SHAPE(R, I)},
                            {.dtype = dtype, .shape = REEL_SHAPE(O, I)},
                            {.dtype = dtype, .shape = REEL_SHAPE(O)}}};
}

static void test_linear_has_hand_values(void **state) {
    (void)state;
    const float x[4] = {1, 2, 3, 4}, w[6] = {1, 0, 0, 1, 1, -1}, b[3] = {0.5f, 0, 10};
    op_case c = sized("hand", &plain, REEL_F32, 2, 2, 3);
    c.in[0].value = x;
    c.in[1].value = w;
    c.in[2].value = b;
    op_check_values(&c, (const float[]){1.5f, 2, 9, 3.5f, 4, 9}, 6, 1e-7);
}

static void test_linear_gelu_has_hand_values(void **state) {
    (void)state;
    const float x[2] = {1, -1}, one[1] = {1}, zero[1] = {0};
    op_case c = sized("gelu", &gelu, REEL_F32, 2, 1, 1);
    c.in[0].value = x;
    c.in[1].value = one;
    c.in[2].value = zero;
    op_check_values(&c, (const float[]){0.84119199f, -0.15880801f}, 2, 1e-6);
}

static void test_linear_checks_at_odd_sizes(void **state) {
    (void)state;
    const op_case cases[] = {
        sized("plain 5x7x3", &plain, REEL_F32, 5, 7, 3),
        sized("gelu 3x5x9", &gelu, REEL_F32, 3, 5, 9),
        sized("silu 1x1x1", &silu, REEL_F32, 1, 1, 1),
        sized("bf16 17x33x19", &plain_bf16, REEL_BF16, 17, 33, 19),
        sized("bf16 gelu 31x15x21", &gelu_bf16, REEL_BF16, 31, 15, 21),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        op_check(&cases[i]);
}

static void test_linear_works_without_bias_and_batched(void **state) {
    (void)state;
    op_case c = sized("no bias", &plain, REEL_F32, 4, 6, 5);
    c.build = build_without_bias;
    c.n_in = 2;
    op_check(&c);
    const op_case batched = {.name = "batched",
                             .build = build,
                             .context = &gelu,
                             .n_in = 3,
                             .in = {{.shape = REEL_SHAPE(2, 3, 5)},
                                    {.shape = REEL_SHAPE(2, 4, 5)},
                                    {.shape = REEL_SHAPE(2, 4)}}};
    op_check(&batched);
}

static const reel_linear_attr erf_bf16 = {REEL_ACT_GELU_ERF, REEL_BF16, 0};

/* Sizes around tiles, panels, blocks and slices, at every level, with all gradients. */
static void test_linear_kernels_agree_at_odd_sizes(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {
        {1, 1, 1},      {15, 1, 17},    {17, 31, 33},  {31, 33, 15},   {33, 63, 65},
        {127, 65, 31},  {16, 32, 1},    {64, 64, 127}, {130, 48, 400}, {3, 1100, 50},
        {1030, 20, 40}, {1100, 32, 48}, {48, 544, 48}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char name[64];
        const int64_t *n = sizes[i];
        snprintf(name, sizeof name, "f32 %dx%dx%d", (int)n[0], (int)n[1], (int)n[2]);
        op_case c = sized(name, &plain, REEL_F32, n[0], n[1], n[2]);
        op_check_kernels(&c);
        snprintf(name, sizeof name, "bf16 %dx%dx%d", (int)n[0], (int)n[1], (int)n[2]);
        c = sized(name, i % 2 ? &erf_bf16 : &gelu_bf16, REEL_BF16, n[0], n[1], n[2]);
        op_check_kernels(&c);
    }
}

/* Where tiles are loaded from rows in place: K in one, two and several slices for the L1, and in
 * two for the L2, of weights and of gradients of x; strips of 32 and of 16 rows; the last panel
 * whole, in part, and the only one; results in f32 and bf16, with a pre-activation and without. */
static void test_linear_kernels_agree_where_k_is_cut(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{48, 704, 100}, {48, 704, 96},  {64, 1184, 32},
                                       {80, 2112, 64}, {48, 96, 1088}, {16, 32, 2112},
                                       {656, 64, 704}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char name[64];
        const int64_t *n = sizes[i];
        snprintf(name, sizeof name, "bf16 %dx%dx%d", (int)n[0], (int)n[1], (int)n[2]);
        op_case c = sized(name, i % 2 ? &gelu_bf16 : &plain_bf16, REEL_BF16, n[0], n[1], n[2]);
        op_check_kernels(&c);
        c = sized(name, &gelu, REEL_BF16, n[0], n[1], n[2]);
        op_check_kernels(&c);
    }
}

/* So many rows that the gradient of weights is a sum of parts: widths around strips of 32, either
 * operand the narrower one, rows that are no multiple of anything, batches. */
static void test_linear_kernels_agree_with_many_rows(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{2048, 32, 32}, {2049, 33, 66}, {2111, 257, 9},
                                       {2300, 5, 65},  {2081, 64, 31}, {2048, 1, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char name[64];
        const int64_t *n = sizes[i];
        snprintf(name, sizeof name, "bf16 %dx%dx%d", (int)n[0], (int)n[1], (int)n[2]);
        const op_case c = sized(name, &plain_bf16, REEL_BF16, n[0], n[1], n[2]);
        op_check_kernels(&c);
    }
    const op_case batched = {.name = "batched, many rows",
                             .build = build,
                             .context = &plain_bf16,
                             .n_in = 3,
                             .in = {{.dtype = REEL_BF16, .shape = REEL_SHAPE(2, 2051, 17)},
                                    {.dtype = REEL_BF16, .shape = REEL_SHAPE(2, 34, 17)},
                                    {.dtype = REEL_BF16, .shape = REEL_SHAPE(2, 34)}}};
    op_check_kernels(&batched);
    op_case alone = sized("no bias, many rows", &plain_bf16, REEL_BF16, 2050, 19, 37);
    alone.build = build_without_bias;
    alone.n_in = 2;
    op_check_kernels(&alone);
}

static const reel_kernel *strongest(const reel_kernel_table *table, const reel_call *c) {
    const reel_kernel_row *row = &table->row[c->op->id];
    for (int i = row->n - 1; i > 0; i--)
        if (!row->kernel[i]->refuse || !row->kernel[i]->refuse(c)) return row->kernel[i];
    return row->kernel[0];
}

/* 1 where row and column are the same modulo `modulus`, else 0. */
static reel_tensor stripes(int64_t rows, int64_t width, int64_t modulus) {
    reel_bf16 *data = malloc((size_t)(rows * width) * sizeof *data);
    for (int64_t i = 0; i < rows * width; i++)
        data[i] = (i / width - i % width) % modulus ? 0 : 0x3f80;
    return (reel_tensor){.dtype = REEL_BF16, .shape = REEL_SHAPE(rows, width), .data = data};
}

/* dw[o,i] counts the rows that are o modulo 7 and i modulo 5, db[o] those that are o modulo 7. */
static void check_counts(int64_t R, int64_t I, int64_t O, int n_threads) {
    reel_env *env = op_test_env(n_threads);
    reel_kernel_table *table = NULL;
    assert_int_equal(reel_cpu_table(env, reel_isa_detect(), &table), REEL_OK);
    const reel_linear_grad_attr attr = {.out_dtype = REEL_F32, .bias = true};
    float *dw = malloc((size_t)(O * I) * sizeof *dw), *db = malloc((size_t)O * sizeof *db);
    reel_call c = {.op = &reel_op_linear_dw,
                   .n_in = 3,
                   .n_out = 2,
                   .in = {stripes(R, O, 7), stripes(R, I, 5), {REEL_BF16, REEL_SHAPE(O, I), NULL}},
                   .present = {true, true, true},
                   .out = {{REEL_F32, REEL_SHAPE(O, I), dw}, {REEL_F32, REEL_SHAPE(O), db}},
                   .attr = &attr,
                   .threads = env->threads};
    c.kernel = strongest(table, &c);
    c.scratch_bytes = c.kernel->scratch(&c, n_threads);
    c.scratch = aligned_alloc(REEL_ALIGN, (size_t)(c.scratch_bytes / REEL_ALIGN + 1) * REEL_ALIGN);
    c.kernel->run(&c);
    int count[35] = {0}, n_wrong = 0;
    for (int64_t r = 0; r < R; r++)
        count[r % 35]++;
    for (int64_t o = 0; o < O; o++) {
        float total = 0;
        for (int r = 0; r < 35; r++)
            total += r % 7 == o % 7 ? (float)count[r] : 0;
        n_wrong += db[o] != total;
        /* the one number below 35 with these remainders */
        for (int64_t i = 0; i < I; i++)
            n_wrong += dw[o * I + i] != (float)count[(15 * (o % 7) + 21 * (i % 5)) % 35];
    }
    if (n_wrong)
        fail_msg("%s, %d x %d -> %d: %d values are wrong", c.kernel->name, (int)R, (int)I, (int)O,
                 n_wrong);
    free(c.in[0].data), free(c.in[1].data), free(c.scratch), free(dw), free(db);
    reel_kernel_table_free(env, &table);
    reel_env_free(&env);
}

/* Weights too large for a reference in double: groups of columns of both operands. */
static void test_linear_dw_counts_rows_of_large_weights(void **state) {
    (void)state;
    check_counts(2049, 545, 610, 2);
    check_counts(2048, 8225, 5, 1);
    check_counts(2090, 40, 9000, 2);
    check_counts(5003, 288, 300, 3);
}

static void test_linear_takes_mixed_dtypes(void **state) {
    (void)state;
    op_case c = sized("x f32, w bf16", &gelu, REEL_F32, 19, 37, 23);
    c.in[1].dtype = REEL_BF16;
    op_check_kernels(&c);
    c = sized("x bf16, b f32", &plain_bf16, REEL_BF16, 19, 37, 23);
    c.in[2].dtype = REEL_F32;
    op_check_kernels(&c);
}

static void test_linear_takes_empty_operands(void **state) {
    (void)state;
    op_case c = sized("no rows", &plain, REEL_F32, 0, 5, 3);
    op_check_kernels(&c);
    c = sized("no inputs", &plain, REEL_F32, 4, 0, 3);
    op_check_kernels(&c);
}

/* A NaN or an infinity reaches its own row of y and no other (the reference has no padding to leak
 * through), in the last of an odd number of inputs. */
static void check_spread(reel_dtype dtype, float bad) {
    enum { R = 19, I = 37, O = 21 };
    float x[R * I], w[O * I], b[O];
    for (int i = 0; i < R * I; i++)
        x[i] = i == 5 * I + 36 ? bad : 0.5f;
    for (int i = 0; i < O * I; i++)
        w[i] = 0.25f;
    for (int i = 0; i < O; i++)
        b[i] = 1;
    op_case c = sized("spread", dtype == REEL_F32 ? &plain : &plain_bf16, dtype, R, I, O);
    c.in[0].value = x;
    c.in[1].value = w;
    c.in[2].value = b;
    c.no_gradient = true;
    op_check_kernels(&c);
}

static void test_linear_keeps_nan_and_infinity_in_their_rows(void **state) {
    (void)state;
    for (int d = 0; d < 2; d++) {
        const reel_dtype dtype = d ? REEL_BF16 : REEL_F32;
        check_spread(dtype, NAN);
        check_spread(dtype, INFINITY);
        check_spread(dtype, -INFINITY);
    }
}

static void test_linear_refuses_misfits(void **state) {
    (void)state;
    op_case c = sized("inner axis", &plain, REEL_F32, 2, 3, 4);
    c.in[1].shape = REEL_SHAPE(4, 5);
    op_check_refused(&c, REEL_E_SHAPE, "linear: x [2,3] needs w [O,3]", "got [4,5]");
    c = sized("bias", &plain, REEL_F32, 2, 3, 4);
    c.in[2].shape = REEL_SHAPE(3);
    op_check_refused(&c, REEL_E_SHAPE, "needs b [4]", "got [3]");
    c = sized("integers", &plain, REEL_F32, 2, 3, 4);
    c.in[0].dtype = REEL_I32;
    op_check_refused(&c, REEL_E_SHAPE, "float type", "i32");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear_has_hand_values),
        cmocka_unit_test(test_linear_gelu_has_hand_values),
        cmocka_unit_test(test_linear_checks_at_odd_sizes),
        cmocka_unit_test(test_linear_works_without_bias_and_batched),
        cmocka_unit_test(test_linear_kernels_agree_at_odd_sizes),
        cmocka_unit_test(test_linear_kernels_agree_where_k_is_cut),
        cmocka_unit_test(test_linear_kernels_agree_with_many_rows),
        cmocka_unit_test(test_linear_dw_counts_rows_of_large_weights),
        cmocka_unit_test(test_linear_takes_mixed_dtypes),
        cmocka_unit_test(test_linear_takes_empty_operands),
        cmocka_unit_test(test_linear_keeps_nan_and_infinity_in_their_rows),
        cmocka_unit_test(test_linear_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
