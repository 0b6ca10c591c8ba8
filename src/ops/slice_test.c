#include "ops/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ops/elementwise.h"
#include "support/op_check.h"

typedef struct cut {
    int axis;
    int64_t start, length;
} cut;

static reel_var build_slice(reel_tape *t, const reel_var *in, const void *context) {
    const cut *h = context;
    return reel_slice(t, in[0], h->axis, h->start, h->length);
}

static reel_var build_box(reel_tape *t, const reel_var *in, const void *context) {
    const reel_slice_attr *box = context;
    return reel_slice_box(t, in[0], box->start, box->size);
}

static reel_var build_pad(reel_tape *t, const reel_var *in, const void *context) {
    return reel_pad(t, in[0], *(const reel_pad_attr *)context);
}

/* Two overlapping slices of one value: gradients add up where they overlap. */
static reel_var build_overlap(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_mul(t, reel_slice(t, in[0], 1, 0, 4), reel_slice(t, in[0], 1, 2, 4));
}

static op_case of(const char *name, op_build *build, const void *context, reel_dtype dtype,
                  reel_shape x) {
    return (op_case){
        .name = name,
        .build = build,
        .context = context,
        .n_in = 1,
        .no_gradient = !reel_dtype_is_float(dtype),
        .in = {{.dtype = dtype, .shape = x, .hi = reel_dtype_is_float(dtype) ? 0 : 250}}};
}

static const reel_pad_attr constant = {
    .before = {1, 0, 2}, .after = {0, 2, 1}, .mode = REEL_PAD_CONSTANT, .value = 3};
static const reel_pad_attr replicate = {
    .before = {1, 0, 2}, .after = {0, 2, 1}, .mode = REEL_PAD_REPLICATE};
static const reel_pad_attr replicate_first = {.before = {0, 2}, .mode = REEL_PAD_REPLICATE};

static void test_slice_has_hand_values(void **state) {
    (void)state;
    const float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    op_case c = of("columns", build_slice, &(cut){1, 1, 2}, REEL_F32, REEL_SHAPE(2, 4));
    c.in[0].value = x;
    op_check_values(&c, (const float[]){2, 3, 6, 7}, 4, 0);
    c = of("row", build_slice, &(cut){0, 1, 1}, REEL_I64, REEL_SHAPE(2, 4));
    c.in[0].value = x;
    op_check_values(&c, (const float[]){5, 6, 7, 8}, 4, 0);
    const reel_slice_attr box = {REEL_SHAPE(1, 0, 1), REEL_SHAPE(1, 2, 1)};
    c = of("box", build_box, &box, REEL_BF16, REEL_SHAPE(2, 2, 2));
    c.in[0].value = x;
    op_check_values(&c, (const float[]){6, 8}, 2, 0);
}

static void test_pad_has_hand_values(void **state) {
    (void)state;
    const float x[4] = {1, 2, 3, 4};
    const reel_pad_attr nine = {.before = {1, 0}, .after = {0, 2}, .value = 9};
    op_case c = of("constant", build_pad, &nine, REEL_F32, REEL_SHAPE(2, 2));
    c.in[0].value = x;
    op_check_values(&c, (const float[]){9, 9, 9, 9, 1, 2, 9, 9, 3, 4, 9, 9}, 12, 0);
    c.in[0].dtype = REEL_I32;
    op_check_values(&c, (const float[]){9, 9, 9, 9, 1, 2, 9, 9, 3, 4, 9, 9}, 12, 0);
    const reel_pad_attr edge = {.before = {1, 1}, .after = {0, 2}, .mode = REEL_PAD_REPLICATE};
    c = of("replicate", build_pad, &edge, REEL_F32, REEL_SHAPE(2, 2));
    c.in[0].value = x;
    op_check_values(&c, (const float[]){1, 1, 2, 2, 2, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4}, 15, 0);
}

static void test_slice_checks_for_every_dtype_and_axis(void **state) {
    (void)state;
    const reel_slice_attr box = {REEL_SHAPE(1, 0, 2, 0, 1, 0), REEL_SHAPE(2, 1, 1, 2, 2, 3)};
    for (reel_dtype dtype = 0; dtype < REEL_DTYPE_COUNT; dtype++) {
        for (int axis = 0; axis < 3; axis++) {
            const cut h = {axis, 1, 3};
            const op_case c = of("slice", build_slice, &h, dtype, REEL_SHAPE(5, 6, 7));
            op_check(&c);
        }
        const op_case c = of("box", build_box, &box, dtype, REEL_SHAPE(3, 1, 3, 2, 3, 3));
        op_check(&c);
    }
    const op_case c = of("overlap", build_overlap, NULL, REEL_F32, REEL_SHAPE(3, 6));
    op_check(&c);
}

static void test_pad_checks_for_every_dtype(void **state) {
    (void)state;
    for (reel_dtype dtype = 0; dtype < REEL_DTYPE_COUNT; dtype++) {
        const op_case cases[] = {
            of("constant", build_pad, &constant, dtype, REEL_SHAPE(2, 3, 4)),
            of("replicate", build_pad, &replicate, dtype, REEL_SHAPE(2, 3, 4)),
            of("replicate of one", build_pad, &replicate, dtype, REEL_SHAPE(1, 1, 1)),
            of("first frame", build_pad, &replicate_first, dtype, REEL_SHAPE(2, 3, 2, 5)),
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            op_check(&cases[i]);
    }
}

static void test_slice_and_pad_kernels_agree_at_larger_sizes(void **state) {
    (void)state;
    const reel_slice_attr box = {REEL_SHAPE(0, 3, 5), REEL_SHAPE(2, 200, 301)};
    const cut rows = {1, 7, 250}, column = {2, 19, 1};
    /* the reference of replicate's gradient is quadratic, so its case stays small */
    const reel_pad_attr wide = {.before = {0, 1, 17}, .after = {1, 0, 40}, .value = -2};
    const reel_pad_attr edges = {
        .before = {0, 1, 17}, .after = {1, 0, 40}, .mode = REEL_PAD_REPLICATE};
    const reel_dtype dtypes[] = {REEL_F32, REEL_BF16, REEL_U8, REEL_I64};
    for (int d = 0; d < 4; d++) {
        const op_case cases[] = {
            of("box", build_box, &box, dtypes[d], REEL_SHAPE(2, 257, 311)),
            of("rows", build_slice, &rows, dtypes[d], REEL_SHAPE(2, 257, 311)),
            of("column", build_slice, &column, dtypes[d], REEL_SHAPE(2, 257, 311)),
            of("wide", build_pad, &wide, dtypes[d], REEL_SHAPE(2, 157, 211)),
            of("edges", build_pad, &edges, dtypes[d], REEL_SHAPE(2, 5, 37)),
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            op_check_kernels(&cases[i]);
    }
}

static void test_slice_of_nothing_is_nothing(void **state) {
    (void)state;
    const cut none = {1, 2, 0};
    op_case c = of("no columns", build_slice, &none, REEL_F32, REEL_SHAPE(3, 4));
    op_check_plans(&c);
    op_check_kernels(&c);
    c = of("all border", build_pad, &constant, REEL_F32, REEL_SHAPE(2, 3, 0));
    op_check_plans(&c);
    op_check_kernels(&c);
}

static void test_slice_of_everything_records_nothing(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_tape *t;
    assert_int_equal(reel_ops_tape_new(env, &t), REEL_OK);
    const reel_var x = reel_tape_input(t, REEL_F32, REEL_SHAPE(2, 3), "x", NULL);
    assert_int_equal(reel_slice(t, x, 1, 0, 3), x);
    assert_int_equal(reel_pad(t, x, (reel_pad_attr){.mode = REEL_PAD_REPLICATE}), x);
    assert_int_equal(reel_tape_n_records(t), 0);
    reel_tape_free(&t);
    reel_env_free(&env);
}

static void test_slice_refuses_what_is_outside(void **state) {
    (void)state;
    const cut outside[] = {{1, 2, 3}, {1, -1, 2}, {1, 5, 0}, {1, 0, -1}, {1, INT64_MAX, 2}};
    for (int i = 0; i < 5; i++) {
        const op_case c = of("outside", build_slice, &outside[i], REEL_F32, REEL_SHAPE(2, 4));
        op_check_refused(&c, REEL_E_SHAPE, "slice: x [2,4] has no box of [2,", "from [0,");
    }
    const cut axis = {2, 0, 1};
    const op_case c = of("axis", build_slice, &axis, REEL_F32, REEL_SHAPE(2, 4));
    op_check_refused(&c, REEL_E_SHAPE, "slice: x [2,4] has no axis 2", NULL);
}

static void test_pad_refuses_misfits(void **state) {
    (void)state;
    reel_pad_attr border = {.before = {0, 0, 1}};
    op_case c = of("axis", build_pad, &border, REEL_F32, REEL_SHAPE(2, 4));
    op_check_refused(&c, REEL_E_SHAPE, "pad: x [2,4] cannot grow by 1 and 0 along axis 2", NULL);
    border = (reel_pad_attr){.after = {-1}};
    op_check_refused(&c, REEL_E_SHAPE, "cannot grow by 0 and -1 along axis 0", NULL);
    border = (reel_pad_attr){.before = {INT64_MAX}};
    op_check_refused(&c, REEL_E_SHAPE, "the border of axis 0 is too wide", NULL);
    border = (reel_pad_attr){.before = {0, 1}, .mode = REEL_PAD_REPLICATE};
    c.in[0].shape = REEL_SHAPE(2, 0);
    op_check_refused(&c, REEL_E_SHAPE, "x [2,0] has nothing to replicate along axis 1", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slice_has_hand_values),
        cmocka_unit_test(test_pad_has_hand_values),
        cmocka_unit_test(test_slice_checks_for_every_dtype_and_axis),
        cmocka_unit_test(test_pad_checks_for_every_dtype),
        cmocka_unit_test(test_slice_and_pad_kernels_agree_at_larger_sizes),
        cmocka_unit_test(test_slice_of_nothing_is_nothing),
        cmocka_unit_test(test_slice_of_everything_records_nothing),
        cmocka_unit_test(test_slice_refuses_what_is_outside),
        cmocka_unit_test(test_pad_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
