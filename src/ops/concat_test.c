#include "ops/concat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ops/elementwise.h"
#include "support/op_check.h"

/* How a case joins or splits. */
typedef struct how {
    int axis, n;
    int64_t size[REEL_MAX_PARTS];
    int part; /* split: which one is looked at */
} how;

static reel_var build_concat(reel_tape *t, const reel_var *in, const void *context) {
    const how *h = context;
    return reel_concat(t, in, h->n, h->axis);
}

static reel_var build_split(reel_tape *t, const reel_var *in, const void *context) {
    const how *h = context;
    reel_var part[REEL_MAX_PARTS];
    reel_split(t, in[0], h->axis, h->size, h->n, part);
    return part[h->part];
}

/* part 0 + part n-1, of one size: two outputs read, the others not. */
static reel_var build_even(reel_tape *t, const reel_var *in, const void *context) {
    const how *h = context;
    reel_var part[REEL_MAX_PARTS + 1] = {0};
    reel_split_evenly(t, in[0], h->axis, h->n, part);
    return reel_mul(t, part[0], part[h->n - 1]);
}

/* Joins what was split, in reverse order. */
static reel_var build_turned(reel_tape *t, const reel_var *in, const void *context) {
    const how *h = context;
    reel_var part[REEL_MAX_PARTS], turned[REEL_MAX_PARTS];
    reel_split(t, in[0], h->axis, h->size, h->n, part);
    for (int i = 0; i < h->n; i++)
        turned[i] = part[h->n - 1 - i];
    return reel_concat(t, turned, h->n, h->axis);
}

static op_case of(const char *name, op_build *build, const how *h, reel_dtype dtype, reel_shape x) {
    op_case c = {.name = name,
                 .build = build,
                 .context = h,
                 .n_in = build == build_concat ? h->n : 1,
                 .no_gradient = !reel_dtype_is_float(dtype)};
    for (int i = 0; i < c.n_in; i++) {
        c.in[i] =
            (op_input){.dtype = dtype, .shape = x, .hi = reel_dtype_is_float(dtype) ? 0 : 250};
        if (build == build_concat) c.in[i].shape.dim[h->axis] = h->size[i];
    }
    return c;
}

static void test_concat_has_hand_values(void **state) {
    (void)state;
    const how last = {1, 2, {2, 1}, 0}, first = {0, 2, {1, 2}, 0};
    op_case c = of("last axis", build_concat, &last, REEL_F32, REEL_SHAPE(2, 0));
    c.in[0].value = (const float[]){1, 2, 3, 4};
    c.in[1].value = (const float[]){5, 6};
    op_check_values(&c, (const float[]){1, 2, 5, 3, 4, 6}, 6, 0);
    c = of("first axis", build_concat, &first, REEL_U8, REEL_SHAPE(0, 2));
    c.in[0].value = (const float[]){5, 6};
    c.in[1].value = (const float[]){1, 2, 3, 4};
    op_check_values(&c, (const float[]){5, 6, 1, 2, 3, 4}, 6, 0);
}

static void test_split_has_hand_values(void **state) {
    (void)state;
    const float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const float *want[3] = {(const float[]){1, 5}, (const float[]){2, 3, 6, 7},
                            (const float[]){4, 8}};
    for (int part = 0; part < 3; part++) {
        const how h = {1, 3, {1, 2, 1}, part};
        op_case c = of("split", build_split, &h, REEL_F32, REEL_SHAPE(2, 4));
        c.in[0].value = x;
        op_check_values(&c, want[part], part == 1 ? 4 : 2, 0);
    }
    const how even = {1, 4, {0}, 0};
    op_case c = of("even", build_even, &even, REEL_F32, REEL_SHAPE(2, 4));
    c.in[0].value = x;
    op_check_values(&c, (const float[]){4, 40}, 2, 0);
}

static void test_concat_checks_for_every_dtype_and_axis(void **state) {
    (void)state;
    for (reel_dtype dtype = 0; dtype < REEL_DTYPE_COUNT; dtype++) {
        const how eight = {0, 8, {1, 2, 3, 1, 0, 1, 2, 1}, 0};
        for (int axis = 0; axis < 3; axis++) {
            const how h = {axis, 3, {3, 1, 5}, 0};
            const op_case c = of("3 parts", build_concat, &h, dtype, REEL_SHAPE(2, 3, 5));
            op_check(&c);
        }
        const how deep = {3, 2, {2, 3}, 0};
        op_case c = of("6 axes", build_concat, &deep, dtype, REEL_SHAPE(2, 1, 3, 1, 2, 2));
        op_check(&c);
        /* one part is empty and so gets no gradient check of its own: the harness sees zeros */
        c = of("8 parts", build_concat, &eight, dtype, REEL_SHAPE(1, 3));
        op_check(&c);
    }
}

static void test_split_checks_for_every_dtype_and_axis(void **state) {
    (void)state;
    for (reel_dtype dtype = 0; dtype < REEL_DTYPE_COUNT; dtype++)
        for (int axis = 0; axis < 3; axis++) {
            const how h = {axis, 3, {2, 1, 3}, axis}, whole = {axis, 1, {6}, 0};
            op_case c = of("3 parts", build_split, &h, dtype, REEL_SHAPE(6, 6, 6));
            op_check(&c);
            c.build = build_turned;
            op_check(&c);
            c.context = &whole;
            op_check(&c);
        }
    const how even = {2, 3, {0}, 0};
    op_case c = of("even", build_even, &even, REEL_F32, REEL_SHAPE(2, 3, 6));
    op_check(&c); /* the middle part gets no gradient: zeros */
    c.in[0].dtype = REEL_BF16;
    op_check(&c);
}

static void test_concat_kernels_agree_at_larger_sizes(void **state) {
    (void)state;
    const how last = {2, 3, {129, 1, 257}, 1}, middle = {1, 2, {31, 50}, 1},
              first = {0, 2, {3, 1}, 0};
    const reel_dtype dtypes[] = {REEL_F32, REEL_BF16, REEL_U8};
    for (int d = 0; d < 3; d++) {
        const op_case cases[] = {
            of("last", build_concat, &last, dtypes[d], REEL_SHAPE(2, 101, 0)),
            of("middle", build_concat, &middle, dtypes[d], REEL_SHAPE(2, 0, 513)),
            of("first", build_concat, &first, dtypes[d], REEL_SHAPE(0, 20, 1031)),
            of("split last", build_split, &last, dtypes[d], REEL_SHAPE(2, 101, 387)),
            of("split middle", build_split, &middle, dtypes[d], REEL_SHAPE(2, 81, 513)),
            of("split first", build_split, &first, dtypes[d], REEL_SHAPE(4, 20, 1031)),
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            op_check_kernels(&cases[i]);
    }
}

static void test_concat_of_nothing_is_nothing(void **state) {
    (void)state;
    const how h = {0, 2, {3, 2}, 0};
    const op_case c = of("empty", build_concat, &h, REEL_F32, REEL_SHAPE(0, 0));
    op_check_plans(&c);
    op_check_kernels(&c);
}

static void test_concat_of_one_part_records_nothing(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_tape *t;
    assert_int_equal(reel_ops_tape_new(env, &t), REEL_OK);
    const reel_var x = reel_tape_input(t, REEL_F32, REEL_SHAPE(2, 3), "x", NULL);
    assert_int_equal(reel_concat(t, &x, 1, 1), x);
    assert_int_equal(reel_tape_n_records(t), 0);
    assert_int_equal(reel_concat(t, (const reel_var[]){x, 0}, 2, 1), 0);
    assert_int_equal(reel_tape_status(t), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(env), "part 1 of 2 is absent"));
    reel_tape_free(&t);
    reel_env_free(&env);
}

static void test_concat_refuses_misfits(void **state) {
    (void)state;
    const how h = {1, 2, {2, 3}, 0}, outside = {2, 2, {0}, 0}, many = {0, 9, {0}, 0};
    op_case c = of("rows", build_concat, &h, REEL_F32, REEL_SHAPE(2, 0));
    c.in[1].shape = REEL_SHAPE(4, 3);
    op_check_refused(&c, REEL_E_SHAPE, "concat: part 1 must be f32 [2,3]", "got f32 [4,3]");
    c.in[1].shape = REEL_SHAPE(2, 3);
    c.in[1].dtype = REEL_BF16;
    op_check_refused(&c, REEL_E_SHAPE, "concat: part 1 must be f32 [2,3]", "got bf16 [2,3]");
    c.in[1] = (op_input){.shape = REEL_SHAPE(2, 3, 1)};
    op_check_refused(&c, REEL_E_SHAPE, "concat: part 1", "[2,3,1]");
    c.context = &outside;
    op_check_refused(&c, REEL_E_SHAPE, "concat: x [2,2] has no axis 2", NULL);
    c.context = &many;
    op_check_refused(&c, REEL_E_SHAPE, "1 to 8 parts", "got 9");
}

static void test_split_refuses_misfits(void **state) {
    (void)state;
    const how shorter = {1, 2, {2, 1}, 0}, longer = {1, 2, {2, 3}, 0},
              negative = {1, 2, {5, -1}, 0}, outside = {-1, 2, {2, 2}, 0}, many = {0, 9, {0}, 0},
              odd = {1, 3, {0}, 0};
    op_case c = of("split", build_split, &shorter, REEL_F32, REEL_SHAPE(2, 4));
    op_check_refused(&c, REEL_E_SHAPE, "split: x [2,4]: the parts leave 1 of axis 1", NULL);
    c.context = &longer;
    op_check_refused(&c, REEL_E_SHAPE, "part 1 of 3 does not fit the 2 left", NULL);
    c.context = &negative;
    op_check_refused(&c, REEL_E_SHAPE, "part 0 of 5 does not fit", NULL);
    c.context = &outside;
    op_check_refused(&c, REEL_E_SHAPE, "x [2,4] has no axis -1", NULL);
    c.build = build_even;
    c.context = &odd;
    op_check_refused(&c, REEL_E_SHAPE, "the parts leave 1 of axis 1 over", NULL);
    c.context = &many;
    op_check_refused(&c, REEL_E_SHAPE, "1 to 8 parts", "got 9");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_concat_has_hand_values),
        cmocka_unit_test(test_split_has_hand_values),
        cmocka_unit_test(test_concat_checks_for_every_dtype_and_axis),
        cmocka_unit_test(test_split_checks_for_every_dtype_and_axis),
        cmocka_unit_test(test_concat_kernels_agree_at_larger_sizes),
        cmocka_unit_test(test_concat_of_nothing_is_nothing),
        cmocka_unit_test(test_concat_of_one_part_records_nothing),
        cmocka_unit_test(test_concat_refuses_misfits),
        cmocka_unit_test(test_split_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
