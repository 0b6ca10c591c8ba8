/* attention against hand values, central differences, separate calls and permuted keys.
 *
 * Letters: Tq Tk tokens, N heads, D head dim.
 */
#include "ops/attention.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"
#include "ops/reduce.h"
#include "support/op_check.h"
#include "support/tape_rig.h"
#include "tape/plan.h"
#include "tensor/tolerance.h"

/* ---- cases ---- */

/* Which operands a case gives, in the order in which they stand in its inputs. */
typedef struct form {
    enum { PARTS, PAIR, ONE } parts;
    bool lengths, key_mask, q_offsets, k_offsets, bias;
    float scale;
} form;

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    const form *f = context;
    reel_attention_in a = {.scale = f->scale};
    if (f->parts == ONE) {
        a.qkv = *in++;
    } else {
        a.q = *in++;
        if (f->parts == PAIR) {
            a.kv = *in++;
        } else {
            a.k = *in++;
            a.v = *in++;
        }
    }
    if (f->lengths) a.lengths = *in++;
    if (f->key_mask) a.key_mask = *in++;
    if (f->q_offsets) a.q_offsets = *in++;
    if (f->k_offsets) a.k_offsets = *in++;
    if (f->bias) a.bias = *in++;
    return reel_attention(t, &a);
}

static const form plain = {.parts = PARTS}, pair = {.parts = PAIR}, one = {.parts = ONE};

static op_case self(const char *name, reel_dtype dtype, int64_t B, int64_t T, int64_t N,
                    int64_t D) {
    return (op_case){.name = name,
                     .build = build,
                     .context = &one,
                     .n_in = 1,
                     .in = {{.dtype = dtype, .shape = REEL_SHAPE(B, T, 3, N, D)}}};
}

/* With one key the weights are 1 whatever q and k: their gradients are 0, and rounding compared
 * with 0 says nothing. There only v wants one. */
static op_case cross(const char *name, reel_dtype dtype, int64_t Tq, int64_t Tk, int64_t N,
                     int64_t D) {
    const op_input q = {.dtype = dtype, .shape = REEL_SHAPE(2, Tq, N, D), .fixed = Tk == 1};
    const op_input k = {.dtype = dtype, .shape = REEL_SHAPE(2, Tk, N, D), .fixed = Tk == 1};
    const op_input v = {.dtype = dtype, .shape = REEL_SHAPE(2, Tk, N, D)};
    return (op_case){.name = name, .build = build, .context = &plain, .n_in = 3, .in = {q, k, v}};
}

/* One more input, with given values that want no gradient. */
static void give(op_case *c, reel_dtype dtype, reel_shape shape, const float *value) {
    c->in[c->n_in++] =
        (op_input){.dtype = dtype, .shape = shape, .value = value, .fixed = value != NULL};
}

/* ---- values ---- */

static void test_attention_has_hand_values(void **state) {
    (void)state;
    /* scores of the first row: ln 1, ln 3 -> weights 1/4, 3/4; of the second: 0, 0 */
    const float ln3 = 1.0986123f;
    const float q[2] = {1, 0}, k[2] = {0, ln3}, v[2] = {4, 8};
    op_case c = {.name = "hand",
                 .build = build,
                 .context = &(form){.parts = PARTS, .scale = 1},
                 .n_in = 3,
                 .in = {{.shape = REEL_SHAPE(2, 1, 1), .value = q},
                        {.shape = REEL_SHAPE(2, 1, 1), .value = k},
                        {.shape = REEL_SHAPE(2, 1, 1), .value = v}}};
    op_check_values(&c, (const float[]){7, 6}, 2, 1e-6);
    /* D = 4: the default scale halves the score 2 ln 3 */
    const float q4[4] = {2, 0, 0, 0}, k4[8] = {0, 0, 0, 0, ln3, 5, 6, 7},
                v4[8] = {4, 0, 1, 2, 8, 4, 1, 6};
    c = (op_case){.name = "scale",
                  .build = build,
                  .context = &plain,
                  .n_in = 3,
                  .in = {{.shape = REEL_SHAPE(1, 1, 4), .value = q4},
                         {.shape = REEL_SHAPE(2, 1, 4), .value = k4},
                         {.shape = REEL_SHAPE(2, 1, 4), .value = v4}}};
    op_check_values(&c, (const float[]){7, 3, 1, 5}, 4, 1e-6);
}

static reel_var build_lse(reel_tape *t, const reel_var *in, const void *context) {
    const reel_var o = build(t, in, context);
    return o ? o + 1 : 0;
}

static void test_attention_saves_lse(void **state) {
    (void)state;
    const float qkv[6] = {1, 1.0986123f, 5, 1, 0, 5}; /* scores ln 3 and 0: sum 4, twice */
    op_case c = self("lse", REEL_F32, 1, 2, 1, 1);
    c.in[0].value = qkv;
    c.build = build_lse;
    op_check_values(&c, (const float[]){1.3862944f, 1.3862944f}, 2, 1e-6);
}

static void test_attention_forms_read_the_same_numbers(void **state) {
    (void)state;
    /* T 2, N 2, D 1: head 0 all zero scores, head 1 as in the hand case */
    const float ln3 = 1.0986123f;
    const float q[4] = {0, 1, 0, 0}, k[4] = {9, 0, 9, ln3}, v[4] = {1, 4, 3, 8};
    const float want[4] = {2, 7, 2, 6};
    float qkv[12], kv[8];
    for (int i = 0; i < 4; i++) {
        const int t = i / 2, n = i % 2;
        qkv[t * 6 + n] = q[i];
        qkv[t * 6 + 2 + n] = kv[t * 4 + n] = k[i];
        qkv[t * 6 + 4 + n] = kv[t * 4 + 2 + n] = v[i];
    }
    op_case c = self("qkv", REEL_F32, 1, 2, 2, 1);
    c.in[0].value = qkv;
    op_check_values(&c, want, 4, 1e-6);
    c = (op_case){.name = "kv",
                  .build = build,
                  .context = &pair,
                  .n_in = 2,
                  .in = {{.shape = REEL_SHAPE(2, 2, 1), .value = q},
                         {.shape = REEL_SHAPE(2, 2, 2, 1), .value = kv}}};
    op_check_values(&c, want, 4, 1e-6);
    c = (op_case){.name = "q, k, v",
                  .build = build,
                  .context = &plain,
                  .n_in = 3,
                  .in = {{.shape = REEL_SHAPE(2, 2, 1), .value = q},
                         {.shape = REEL_SHAPE(2, 2, 1), .value = k},
                         {.shape = REEL_SHAPE(2, 2, 1), .value = v}}};
    op_check_values(&c, want, 4, 1e-6);
}

/* ---- sizes ---- */

static void test_attention_checks_at_odd_sizes(void **state) {
    (void)state;
    const op_case cases[] = {
        self("self 2x7x3x8", REEL_F32, 2, 7, 3, 8),
        self("one token", REEL_F32, 1, 1, 1, 8),
        self("D 5", REEL_F32, 1, 9, 2, 5),
        cross("Tq 1", REEL_F32, 1, 7, 1, 8),
        cross("Tk 1", REEL_F32, 5, 1, 2, 8),
        cross("3 on 11", REEL_F32, 3, 11, 2, 8),
        self("bf16 7x3x8", REEL_BF16, 2, 7, 3, 8),
        cross("bf16 1 on 33", REEL_BF16, 1, 33, 1, 40),
        cross("bf16 5 on 1", REEL_BF16, 5, 1, 2, 64),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        op_check(&cases[i]);
}

static void test_attention_kernels_check_at_many_sizes(void **state) {
    (void)state;
    static const int64_t tokens[] = {1, 7, 33, 65}, dims[] = {8, 40, 64, 128};
    for (int i = 0; i < 4; i++)
        for (int d = 0; d < 4; d++)
            for (int bf16 = 0; bf16 < 2; bf16++) {
                char name[64];
                const reel_dtype dtype = bf16 ? REEL_BF16 : REEL_F32;
                snprintf(name, sizeof name, "%s T %d D %d", reel_dtype_name(dtype), (int)tokens[i],
                         (int)dims[d]);
                const op_case a = self(name, dtype, 1, tokens[i], 2, dims[d]);
                const op_case b = cross(name, dtype, tokens[i], tokens[3 - i], 1, dims[d]);
                op_check_kernels(&a);
                op_check_kernels(&b);
            }
    const op_case longer[] = {
        self("f32 T 333", REEL_F32, 1, 333, 1, 33),
        self("bf16 T 333", REEL_BF16, 1, 333, 1, 72),
        cross("f32 130 on 517", REEL_F32, 130, 517, 1, 256),
        cross("bf16 517 on 130", REEL_BF16, 517, 130, 1, 256),
    };
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
        op_check_kernels(&longer[i]);
}

/* ---- who sees whom ---- */

/* The case in f32, and its kernels once more in bf16. */
static void check_both(op_case *c, int n_floats) {
    op_check(c);
    for (int i = 0; i < n_floats; i++)
        c->in[i].dtype = REEL_BF16;
    op_check_kernels(c);
}

static void test_attention_leaves_masked_keys_out(void **state) {
    (void)state;
    const float lengths[2] = {3, 0}, too_long[2] = {-4, 99};
    op_case c = cross("lengths", REEL_F32, 4, 7, 2, 8);
    c.context = &(form){.parts = PARTS, .lengths = true};
    give(&c, REEL_I32, REEL_SHAPE(2), lengths);
    check_both(&c, 3);
    c.in[3].value = too_long;
    op_check_kernels(&c);

    const float mask[14] = {1, 0, 1, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0};
    c = cross("key mask", REEL_F32, 4, 7, 2, 8);
    c.context = &(form){.parts = PARTS, .key_mask = true};
    give(&c, REEL_U8, REEL_SHAPE(2, 7), mask);
    check_both(&c, 3);
}

static void test_attention_gives_zeros_to_a_row_that_sees_nothing(void **state) {
    (void)state;
    op_case c = self("nothing", REEL_F32, 1, 2, 1, 2);
    c.context = &(form){.parts = ONE, .key_mask = true};
    give(&c, REEL_U8, REEL_SHAPE(1, 2), (const float[]){0, 0});
    op_check_values(&c, (const float[]){0, 0, 0, 0}, 4, 0);
    c.build = build_lse;
    op_check_values(&c, (const float[]){-INFINITY, -INFINITY}, 2, 0);
}

static void test_attention_does_not_read_masked_keys(void **state) {
    (void)state;
    /* token 2 is NaN in k and v, and does not count: nothing of it may come out */
    float kv[3 * 2 * 8];
    for (int i = 0; i < 48; i++)
        kv[i] = i < 32 ? 0.125f * (float)(i % 9) : NAN;
    op_case c = {.name = "NaN",
                 .build = build,
                 .context = &(form){.parts = PAIR, .key_mask = true},
                 .n_in = 2,
                 .in = {{.shape = REEL_SHAPE(1, 4, 1, 8)},
                        {.shape = REEL_SHAPE(1, 3, 2, 1, 8), .value = kv}}};
    give(&c, REEL_U8, REEL_SHAPE(1, 3), (const float[]){1, 1, 0});
    op_check_kernels(&c);
    c.context = &(form){.parts = PAIR, .lengths = true};
    c.in[2] = (op_input){
        .dtype = REEL_I32, .shape = REEL_SHAPE(1), .value = (const float[]){2}, .fixed = true};
    op_check_kernels(&c);
    c.in[0].dtype = c.in[1].dtype = REEL_BF16;
    op_check_kernels(&c);
}

static void test_attention_checks_with_segments(void **state) {
    (void)state;
    const float offsets[4] = {0, 5, 5, 11};
    op_case c = self("segments", REEL_F32, 1, 11, 2, 8);
    c.context = &(form){.parts = ONE, .q_offsets = true};
    give(&c, REEL_I32, REEL_SHAPE(4), offsets);
    check_both(&c, 1);

    /* each clip with a text of its own; the second has none; rows 9.. belong to no clip */
    const float q_offsets[4] = {1, 4, 6, 9}, k_offsets[4] = {0, 5, 5, 12};
    c = cross("cross segments", REEL_F32, 5, 7, 1, 8);
    c.context = &(form){.parts = PARTS, .q_offsets = true, .k_offsets = true};
    give(&c, REEL_I32, REEL_SHAPE(4), q_offsets);
    give(&c, REEL_I32, REEL_SHAPE(4), k_offsets);
    check_both(&c, 3);

    /* falling and far offsets are brought into range, so that no row has two segments */
    const float wild[4] = {-3, 8, 2, 1000};
    c = self("wild offsets", REEL_F32, 1, 11, 1, 8);
    c.context = &(form){.parts = ONE, .q_offsets = true};
    give(&c, REEL_I32, REEL_SHAPE(4), wild);
    check_both(&c, 1);

    const float mask[11] = {1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 0};
    c = self("segments and mask", REEL_F32, 1, 11, 2, 8);
    c.context = &(form){.parts = ONE, .key_mask = true, .q_offsets = true};
    give(&c, REEL_U8, REEL_SHAPE(1, 11), mask);
    give(&c, REEL_I32, REEL_SHAPE(4), offsets);
    check_both(&c, 1);
}

/* Short segments keep their operands in the memory of a lane, long ones in that of the call: 16 and
 * 144 rows beside 300, of which the kernels make two blocks, and rows of no segment. */
static void test_attention_kernels_check_short_segments_beside_long(void **state) {
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        const reel_dtype dtype = bf16 ? REEL_BF16 : REEL_F32;
        const float offsets[5] = {0, 16, 160, 160, 460};
        op_case c = self("16, 144 and 300 rows", dtype, 1, 465, 2, 24);
        c.context = &(form){.parts = ONE, .q_offsets = true};
        give(&c, REEL_I32, REEL_SHAPE(5), offsets);
        op_check_kernels(&c);

        const float rows[4] = {0, 20, 117, 120}, keys[4] = {0, 64, 67, 367};
        c = cross("20 on 64, 97 on 3, 3 on 300", dtype, 60, 184, 1, 40);
        c.context = &(form){.parts = PARTS, .q_offsets = true, .k_offsets = true};
        give(&c, REEL_I32, REEL_SHAPE(4), rows);
        give(&c, REEL_I32, REEL_SHAPE(4), keys);
        op_check_kernels(&c);
    }
}

/* Spans around the limits of a block and of what a lane keeps: 257, 321, 576 and 577 rows packed in
 * one row, with heads enough that a span is a task, and some keys that do not count; 1025 rows of
 * 96 channels are kept by the call. */
static void test_attention_kernels_check_spans_of_several_blocks(void **state) {
    (void)state;
    enum { T = 1733 };
    static float mask[T];
    for (int i = 0; i < T; i++)
        mask[i] = i % 7 != 3 && (i < 500 || i > 577);
    const float offsets[5] = {0, 257, 578, 1154, 1731};
    op_case c = self("257, 321, 576 and 577 rows", REEL_BF16, 1, T, 4, 4);
    c.context = &(form){.parts = ONE, .q_offsets = true};
    give(&c, REEL_I32, REEL_SHAPE(5), offsets);
    op_check_kernels(&c);
    c.n_in = 1;
    c.context = &(form){.parts = ONE, .key_mask = true, .q_offsets = true};
    give(&c, REEL_U8, REEL_SHAPE(1, T), mask);
    give(&c, REEL_I32, REEL_SHAPE(5), offsets);
    op_check_kernels(&c);

    const float rows[4] = {0, 576, 897, 1154}, keys[4] = {0, 20, 81, 117};
    c = cross("576 on 20, 321 on 61, 257 on 36", REEL_BF16, 577, 60, 2, 96);
    c.context = &(form){.parts = PARTS, .key_mask = true, .q_offsets = true, .k_offsets = true};
    give(&c, REEL_U8, REEL_SHAPE(1, 120), mask);
    give(&c, REEL_I32, REEL_SHAPE(4), rows);
    give(&c, REEL_I32, REEL_SHAPE(4), keys);
    op_check_kernels(&c);

    c = cross("bf16 1025 on 33", REEL_BF16, 1025, 33, 1, 96);
    op_check_kernels(&c);
    c = cross("bf16 33 on 1025", REEL_BF16, 33, 1025, 1, 96);
    op_check_kernels(&c);
}

static void test_attention_checks_with_bias(void **state) {
    (void)state;
    op_case c = cross("bias", REEL_F32, 5, 7, 2, 8);
    c.context = &(form){.parts = PARTS, .bias = true, .scale = 1};
    give(&c, REEL_F32, REEL_SHAPE(2, 5, 7), NULL);
    c.in[0].lo = c.in[1].lo = -0.5; /* scale 1 and long steps: keep the softmax soft */
    c.in[0].hi = c.in[1].hi = 0.5;
    check_both(&c, 3);

    c = self("bias [1,..], lengths", REEL_F32, 2, 5, 1, 8);
    c.context = &(form){.parts = ONE, .lengths = true, .bias = true};
    give(&c, REEL_I32, REEL_SHAPE(2), (const float[]){5, 3});
    give(&c, REEL_F32, REEL_SHAPE(1, 1, 5, 5), NULL);
    check_both(&c, 1);

    c = self("bias and segments", REEL_F32, 1, 9, 2, 8);
    c.context = &(form){.parts = ONE, .q_offsets = true, .bias = true};
    give(&c, REEL_I32, REEL_SHAPE(3), (const float[]){0, 4, 9});
    give(&c, REEL_F32, REEL_SHAPE(2, 9, 9), NULL);
    check_both(&c, 1);

    c = cross("long bias", REEL_F32, 70, 130, 2, 16);
    c.context = &(form){.parts = PARTS, .bias = true};
    give(&c, REEL_F32, REEL_SHAPE(2, 70, 130), NULL);
    op_check_kernels(&c);
}

static void test_attention_takes_minus_infinity_as_no_edge(void **state) {
    (void)state;
    float bias[25]; /* causal, and the first row sees nothing */
    for (int i = 0; i < 25; i++)
        bias[i] = i % 5 > i / 5 || i < 5 ? -INFINITY : 0;
    op_case c = self("causal", REEL_F32, 2, 5, 1, 8);
    c.context = &(form){.parts = ONE, .bias = true};
    give(&c, REEL_F32, REEL_SHAPE(1, 5, 5), bias);
    check_both(&c, 1);
}

/* ---- numbers ---- */

static void test_attention_is_stable_for_huge_scores(void **state) {
    (void)state;
    /* rising scores, so that the running maximum moves in every block of keys; beyond e^88 */
    enum { T = 300, D = 8 };
    static float q[T * D], k[T * D];
    for (int i = 0; i < T * D; i++) {
        q[i] = 30;
        k[i] = 0.05f * (float)(i / D);
    }
    op_case c = cross("huge", REEL_F32, T / 2, T / 2, 1, D);
    c.in[0].value = q;
    c.in[1].value = k;
    /* Scores reach 636, so that f32 holds them to 2^-15; a weight is off by that much. */
    c.tolerance = 1e-4;
    c.no_gradient = true;
    op_check_kernels(&c);
    /* In dq that is multiplied by the keys, 7.5, of whose differences, 0.05, dq is made. */
    c.tolerance = 5e-2;
    c.no_gradient = false;
    op_check_kernels(&c);
    c.tolerance = 0;
    c.no_gradient = true;
    for (int i = 0; i < 3; i++)
        c.in[i].dtype = REEL_BF16;
    op_check_kernels(&c);
}

static void test_attention_passes_nan(void **state) {
    (void)state;
    float qkv[5 * 3 * 8] = {0};
    qkv[2 * 24 + 3] = NAN; /* a query: its row alone */
    op_case c = self("NaN in q", REEL_F32, 1, 5, 1, 8);
    c.in[0].value = qkv;
    c.no_gradient = true;
    op_check_kernels(&c);
    qkv[3 * 24 + 8] = NAN; /* a key: all rows */
    op_check_kernels(&c);
    qkv[2 * 24 + 3] = qkv[3 * 24 + 8] = 0;
    qkv[4 * 24 + 16 + 5] = NAN; /* a value: one column */
    op_check_kernels(&c);
    c.in[0].dtype = REEL_BF16;
    op_check_kernels(&c);
}

/* ---- properties, at every level ---- */

typedef struct rig {
    reel_env *env;
    reel_kernel_table *table;
    reel_tape *tape;
    reel_plan *plan;
} rig;

/* o [n] of a case whose inputs have values, at a level. */
static void run(const op_case *c, int isa, float *o, int64_t n) {
    rig g = {.env = op_test_env(1)};
    assert_int_equal(reel_cpu_table(g.env, (reel_isa)isa, &g.table), REEL_OK);
    assert_int_equal(reel_ops_tape_new(g.env, &g.tape), REEL_OK);
    reel_var in[REEL_MAX_IN];
    void *data[REEL_MAX_IN];
    for (int i = 0; i < c->n_in; i++) {
        const int64_t count = reel_shape_count(&c->in[i].shape);
        data[i] = malloc((size_t)(count * reel_dtype_bytes(c->in[i].dtype)));
        reel_dtype_cast(c->in[i].dtype, data[i], REEL_F32, c->in[i].value, count);
        in[i] = reel_tape_input(g.tape, c->in[i].dtype, c->in[i].shape, "in", data[i]);
    }
    const reel_var out = c->build(g.tape, in, c->context);
    reel_tape_keep(g.tape, out);
    assert_int_equal(reel_plan_new(g.tape, g.table, NULL, &g.plan), REEL_OK);
    assert_int_equal(reel_plan_run(g.plan, NULL), REEL_OK);
    const reel_value *v = reel_tape_value(g.tape, out);
    assert_int_equal(reel_shape_count(&v->shape), n);
    reel_dtype_cast(REEL_F32, o, v->dtype, reel_plan_data(g.plan, out), n);
    reel_plan_free(&g.plan);
    reel_tape_free(&g.tape);
    reel_kernel_table_free(g.env, &g.table);
    for (int i = 0; i < c->n_in; i++)
        free(data[i]);
    reel_env_free(&g.env);
}

static void fill_wave(float *x, int64_t n, float step) {
    for (int64_t i = 0; i < n; i++)
        x[i] = 2 * sinf(step * (float)i);
}

static void test_attention_takes_exponentials_exactly(void **state) {
    (void)state;
    /* keys 0 and x give lse = log(1 + e^x); the outputs would round the weights too coarsely */
    enum { B = 401 };
    static float q[B], k[2 * B], lse[B];
    for (int b = 0; b < B; b++) {
        q[b] = 1;
        k[2 * b + 1] = reel_bf16_to_f32(reel_f32_to_bf16(0.1f * (float)(b - B / 2)));
    }
    op_case c = {.build = build_lse,
                 .context = &(form){.parts = PARTS, .scale = 1},
                 .n_in = 3,
                 .in = {{.shape = REEL_SHAPE(B, 1, 1, 1), .value = q},
                        {.shape = REEL_SHAPE(B, 2, 1, 1), .value = k},
                        {.shape = REEL_SHAPE(B, 2, 1, 1), .value = k}}};
    for (int bf16 = 0; bf16 < 2; bf16++)
        for (int isa = 0; isa <= (int)reel_isa_detect(); isa++) {
            for (int i = 0; i < 3; i++)
                c.in[i].dtype = bf16 ? REEL_BF16 : REEL_F32;
            run(&c, isa, lse, B);
            /* the bf16 kernels' polynomial is off by 2.6e-6; then four roundings of a score */
            const double polynomial = bf16 ? 2.6e-6 : 0;
            for (int b = 0; b < B; b++) {
                const double wanted = log1p(exp((double)k[2 * b + 1]));
                const double slack = polynomial + 4 * 0x1p-24 * (1 + fabs((double)k[2 * b + 1]));
                if (!(fabs((double)lse[b] - wanted) <= slack))
                    fail_msg("%s: x %g: lse %.9g wanted %.9g", reel_isa_name((reel_isa)isa),
                             (double)k[2 * b + 1], (double)lse[b], wanted);
            }
        }
}

static void test_attention_does_not_depend_on_the_order_of_keys(void **state) {
    (void)state;
    enum { T = 70, N = 2, D = 16, W = N * D };
    static float q[T * W], k[T * W], v[T * W], k2[T * W], v2[T * W], o[T * W], o2[T * W];
    fill_wave(q, T * W, 0.7f);
    fill_wave(k, T * W, 1.3f);
    fill_wave(v, T * W, 2.9f);
    for (int t = 0; t < T; t++) /* 31 has no factor in common with 70 */
        for (int i = 0; i < W; i++) {
            k2[t * 31 % T * W + i] = k[t * W + i];
            v2[t * 31 % T * W + i] = v[t * W + i];
        }
    op_case c = {.build = build,
                 .context = &plain,
                 .n_in = 3,
                 .in = {{.shape = REEL_SHAPE(T, N, D), .value = q},
                        {.shape = REEL_SHAPE(T, N, D), .value = k},
                        {.shape = REEL_SHAPE(T, N, D), .value = v}}};
    for (int isa = 0; isa <= (int)reel_isa_detect(); isa++) {
        c.in[1].value = k;
        c.in[2].value = v;
        run(&c, isa, o, T * W);
        c.in[1].value = k2;
        c.in[2].value = v2;
        run(&c, isa, o2, T * W);
        assert_true(reel_relative_l2(REEL_F32, o2, o, T * W) < reel_tol(REEL_F32, T + D));
    }
}

static void test_attention_segments_equal_separate_calls(void **state) {
    (void)state;
    enum { T = 90, N = 2, D = 40, W = 3 * N * D };
    static float qkv[T * W], packed[T * N * D], alone[T * N * D];
    const int begin[4] = {0, 17, 50, 90};
    fill_wave(qkv, T * W, 1.7f);
    for (int k = 0; k < 2; k++)
        for (int isa = 0; isa <= (int)reel_isa_detect(); isa++) {
            const reel_dtype dtype = k ? REEL_BF16 : REEL_F32;
            op_case c = self("packed", dtype, 1, T, N, D);
            c.in[0].value = qkv;
            c.context = &(form){.parts = ONE, .q_offsets = true};
            give(&c, REEL_I32, REEL_SHAPE(4), (const float[]){0, 17, 50, 90});
            run(&c, isa, packed, T * N * D);
            for (int s = 0; s < 3; s++) {
                const int n = begin[s + 1] - begin[s];
                c = self("alone", dtype, 1, n, N, D);
                c.in[0].value = qkv + begin[s] * W;
                run(&c, isa, alone + begin[s] * N * D, n * N * D);
            }
            assert_memory_equal(packed, alone, sizeof packed);
        }
}

/* ---- counting ---- */

/* What a run counts of attention; all of it is the plan's. */
static double run_and_count(const tape_rig *g) {
    reel_profile_row row[16];
    double all = 0, sum = 0;
    assert_true(reel_plan_get_stats(g->plan).n_records <= 16);
    assert_int_equal(reel_plan_run(g->plan, row), REEL_OK);
    for (int i = 0; i < reel_plan_get_stats(g->plan).n_records; i++) {
        all += row[i].flops;
        if (row[i].op == &reel_op_attention || row[i].op == &reel_op_attention_backward)
            sum += row[i].flops;
    }
    assert_true(reel_plan_get_stats(g->plan).flops == all);
    assert_int_equal(reel_plan_run(g->plan, NULL), REEL_OK);
    assert_true(reel_plan_get_stats(g->plan).flops == all);
    return sum;
}

/* One plan serves whatever a packed row holds: what it counts is what the offsets say in a run. */
static void test_attention_counts_the_pairs_of_each_segment(void **state) {
    (void)state;
    enum { T = 24, N = 2, D = 4 };
    static float qkv[T * 3 * N * D];
    static const struct {
        int32_t offsets[6];
        double pairs;
    } rows[] = {{{0, 8, 16, 24, 24, 24}, 3 * 8 * 8}, /* three equal clips, room for five */
                {{0, 2, 20, 20, 20, 24}, 2 * 2 + 18 * 18 + 4 * 4},
                {{4, 6, 8, 8, 8, 12}, 2 * 2 + 2 * 2 + 4 * 4}, /* rows of no segment see nothing */
                {{0, 24, 3, 24, 99, 99}, 24 * 24}};
    int32_t offsets[6] = {0};
    tape_rig g;
    tape_rig_open(&g);
    const reel_var x = reel_tape_param(g.tape, REEL_F32, REEL_SHAPE(1, T, 3, N, D), "qkv", qkv);
    const reel_var at = reel_tape_input(g.tape, REEL_I32, REEL_SHAPE(6), "offsets", offsets);
    const reel_var o = reel_attention(g.tape, &(reel_attention_in){.qkv = x, .q_offsets = at});
    reel_tape_backward(g.tape, reel_sum(g.tape, o, REEL_AXES_ALL, REEL_DROP_AXES));
    reel_tape_keep(g.tape, reel_tape_grad(g.tape, x));
    assert_int_equal(reel_plan_new(g.tape, g.table, NULL, &g.plan), REEL_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memcpy(offsets, rows[i].offsets, sizeof offsets);
        assert_true(run_and_count(&g) == (4 + 10) * rows[i].pairs * N * D);
    }
    tape_rig_close(&g);
}

static void test_attention_counts_a_clip_against_its_own_text(void **state) {
    (void)state;
    enum { Tq = 12, Tk = 9, N = 2, D = 4 };
    static float q[Tq * N * D], kv[Tk * 2 * N * D];
    int32_t rows[4] = {0, 4, 10, 12}, keys[4] = {0, 3, 9, 9};
    tape_rig g;
    tape_rig_open(&g);
    const reel_attention_in in = {
        .q = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(Tq, N, D), "q", q),
        .kv = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(Tk, 2, N, D), "kv", kv),
        .q_offsets = reel_tape_input(g.tape, REEL_I32, REEL_SHAPE(4), "rows", rows),
        .k_offsets = reel_tape_input(g.tape, REEL_I32, REEL_SHAPE(4), "keys", keys)};
    reel_tape_keep(g.tape, reel_attention(g.tape, &in));
    assert_int_equal(reel_plan_new(g.tape, g.table, NULL, &g.plan), REEL_OK);
    /* before it runs: three segments of one size */
    assert_true(reel_plan_get_stats(g.plan).flops == 4.0 * Tq * Tk / 3 * N * D);
    assert_true(run_and_count(&g) == 4.0 * (4 * 3 + 6 * 6) * N * D);
    tape_rig_close(&g);
}

/* ---- refusals ---- */

static void test_attention_refuses_misfits(void **state) {
    (void)state;
    op_case c = cross("heads", REEL_F32, 4, 7, 2, 8);
    c.in[1].shape = REEL_SHAPE(2, 7, 3, 8);
    op_check_refused(&c, REEL_E_SHAPE, "attention: q [2,4,2,8] needs k [..,Tk,N,D]",
                     "got [2,7,3,8]");
    c = cross("v", REEL_F32, 4, 7, 2, 8);
    c.in[2].shape = REEL_SHAPE(2, 6, 2, 8);
    op_check_refused(&c, REEL_E_SHAPE, "k [2,7,2,8] needs v of its shape", "got [2,6,2,8]");
    c = cross("dtypes", REEL_F32, 4, 7, 2, 8);
    c.in[1].dtype = REEL_BF16;
    op_check_refused(&c, REEL_E_SHAPE, "one float type", "f32 and bf16");
    c = self("qkv", REEL_F32, 1, 4, 2, 8);
    c.in[0].shape = REEL_SHAPE(1, 4, 2, 2, 8);
    op_check_refused(&c, REEL_E_SHAPE, "qkv needs [B,T,3,N,D]", "got [1,4,2,2,8]");
    c = cross("kv", REEL_F32, 4, 7, 2, 8);
    c.context = &pair;
    c.n_in = 2;
    op_check_refused(&c, REEL_E_SHAPE, "needs kv [..,Tk,2,N,D]", "got [2,7,2,8]");
    c = cross("rank", REEL_F32, 4, 7, 2, 8);
    c.in[0].shape = REEL_SHAPE(4, 8);
    op_check_refused(&c, REEL_E_SHAPE, "q needs [B,Tq,N,D] or [Tq,N,D]", "got [4,8]");
    c = cross("no head dim", REEL_F32, 4, 7, 2, 0);
    op_check_refused(&c, REEL_E_SHAPE, "head dim", NULL);
}

static void test_attention_refuses_masks_that_do_not_fit(void **state) {
    (void)state;
    op_case c = cross("lengths", REEL_F32, 4, 7, 2, 8);
    c.context = &(form){.parts = PARTS, .lengths = true};
    give(&c, REEL_I32, REEL_SHAPE(3), (const float[]){1, 1, 1});
    op_check_refused(&c, REEL_E_SHAPE, "lengths i32 [2] or key_mask u8 [2,7]", "got i32 [3]");
    c.in[3].dtype = REEL_U8;
    op_check_refused(&c, REEL_E_SHAPE, "lengths need i32", "got u8");
    c = cross("offsets", REEL_F32, 4, 7, 2, 8);
    c.context = &(form){.parts = PARTS, .q_offsets = true};
    give(&c, REEL_I32, REEL_SHAPE(2), (const float[]){0, 8});
    op_check_refused(&c, REEL_E_SHAPE, "k of 14 rows needs k_offsets", NULL);
    c.in[3].shape = REEL_SHAPE(1);
    op_check_refused(&c, REEL_E_SHAPE, "q_offsets need i32 [n+1]", "got i32 [1]");
    c = self("bias", REEL_F32, 2, 4, 2, 8);
    c.context = &(form){.parts = ONE, .bias = true};
    give(&c, REEL_F32, REEL_SHAPE(2, 2, 4, 4), NULL);
    op_check_refused(&c, REEL_E_SHAPE, "bias needs f32 [2,4,4]", "got f32 [2,2,4,4]");
}

static reel_var build_contradiction(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_attention(t, &(reel_attention_in){.q = in[0], .k = in[1]});
}

static void test_attention_refuses_contradictions(void **state) {
    (void)state;
    op_case c = cross("q and k", REEL_F32, 4, 7, 2, 8);
    c.build = build_contradiction;
    op_check_refused(&c, REEL_E_ARG, "give q, k and v, or q and kv, or qkv", NULL);
    c = self("lengths and offsets", REEL_F32, 1, 4, 2, 8);
    c.context = &(form){.parts = ONE, .lengths = true, .q_offsets = true};
    give(&c, REEL_I32, REEL_SHAPE(1), (const float[]){1});
    give(&c, REEL_I32, REEL_SHAPE(2), (const float[]){0, 4});
    op_check_refused(&c, REEL_E_ARG, "lengths exclude key_mask and offsets", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_has_hand_values),
        cmocka_unit_test(test_attention_saves_lse),
        cmocka_unit_test(test_attention_forms_read_the_same_numbers),
        cmocka_unit_test(test_attention_checks_at_odd_sizes),
        cmocka_unit_test(test_attention_kernels_check_at_many_sizes),
        cmocka_unit_test(test_attention_leaves_masked_keys_out),
        cmocka_unit_test(test_attention_gives_zeros_to_a_row_that_sees_nothing),
        cmocka_unit_test(test_attention_does_not_read_masked_keys),
        cmocka_unit_test(test_attention_checks_with_segments),
        cmocka_unit_test(test_attention_kernels_check_short_segments_beside_long),
        cmocka_unit_test(test_attention_kernels_check_spans_of_several_blocks),
        cmocka_unit_test(test_attention_checks_with_bias),
        cmocka_unit_test(test_attention_takes_minus_infinity_as_no_edge),
        cmocka_unit_test(test_attention_is_stable_for_huge_scores),
        cmocka_unit_test(test_attention_passes_nan),
        cmocka_unit_test(test_attention_takes_exponentials_exactly),
        cmocka_unit_test(test_attention_does_not_depend_on_the_order_of_keys),
        cmocka_unit_test(test_attention_segments_equal_separate_calls),
        cmocka_unit_test(test_attention_counts_the_pairs_of_each_segment),
        cmocka_unit_test(test_attention_counts_a_clip_against_its_own_text),
        cmocka_unit_test(test_attention_refuses_misfits),
        cmocka_unit_test(test_attention_refuses_masks_that_do_not_fit),
        cmocka_unit_test(test_attention_refuses_contradictions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
