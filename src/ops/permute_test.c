#include "ops/permute.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/op_check.h"

/* Result axes of a case, ended by -1. */
typedef struct order {
    int axis[REEL_MAX_RANK + 1];
} order;

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    const order *o = context;
    int rank = 0;
    while (o->axis[rank] >= 0)
        rank++;
    return reel_permute(t, in[0], rank, o->axis);
}

/* Through a temporary of x's dtype, so that the gradient has it too. */
static reel_var build_twice(reel_tape *t, const reel_var *in, const void *context) {
    return build(t, (const reel_var[]){build(t, in, context)}, context);
}

static op_case sized(const char *name, const order *o, reel_dtype dtype, reel_shape x) {
    return (op_case){
        .name = name,
        .build = build,
        .context = o,
        .n_in = 1,
        .no_gradient = !reel_dtype_is_float(dtype),
        .in = {{.dtype = dtype, .shape = x, .hi = reel_dtype_is_float(dtype) ? 0 : 250}}};
}

static void test_permute_has_hand_values(void **state) {
    (void)state;
    const float x[6] = {1, 2, 3, 4, 5, 6};
    op_case c = sized("2x3", &(order){{1, 0, -1}}, REEL_F32, REEL_SHAPE(2, 3));
    c.in[0].value = x;
    op_check_values(&c, (const float[]){1, 4, 2, 5, 3, 6}, 6, 0);
    c = sized("1x2x3 to 3x1x2", &(order){{2, 0, 1, -1}}, REEL_F32, REEL_SHAPE(1, 2, 3));
    c.in[0].value = x;
    op_check_values(&c, (const float[]){1, 4, 2, 5, 3, 6}, 6, 0);
    c = sized("3x2x1 to 2x3x1", &(order){{1, 0, 2, -1}}, REEL_I64, REEL_SHAPE(3, 2, 1));
    c.in[0].value = x;
    op_check_values(&c, (const float[]){1, 3, 5, 2, 4, 6}, 6, 0);
}

static const order heads = {{0, 2, 1, 3, -1}}, last_two = {{0, 2, 1, -1}}, turn = {{1, 0, -1}},
                   all_back = {{5, 4, 3, 2, 1, 0, -1}}, mixed = {{3, 0, 5, 2, 4, 1, -1}},
                   channels_last = {{0, 2, 3, 4, 1, -1}}, channels_first = {{0, 4, 1, 2, 3, -1}},
                   rotate = {{1, 2, 0, -1}}, single = {{0, -1}};

static void test_permute_checks_at_odd_sizes(void **state) {
    (void)state;
    for (reel_dtype dtype = 0; dtype < REEL_DTYPE_COUNT; dtype++) {
        const op_case cases[] = {
            sized("turn", &turn, dtype, REEL_SHAPE(5, 7)),
            sized("turn 17x9", &turn, dtype, REEL_SHAPE(17, 9)),
            sized("heads", &heads, dtype, REEL_SHAPE(2, 5, 3, 4)),
            sized("rotate", &rotate, dtype, REEL_SHAPE(3, 4, 5)),
            sized("six axes back", &all_back, dtype, REEL_SHAPE(2, 3, 1, 2, 3, 2)),
            sized("six axes mixed", &mixed, dtype, REEL_SHAPE(2, 3, 2, 1, 3, 2)),
            sized("one axis", &single, dtype, REEL_SHAPE(5)),
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            op_check(&cases[i]);
            op_case twice = cases[i];
            twice.build = build_twice;
            op_check_kernels(&twice);
        }
    }
}

/* Several tasks, ragged blocks on both axes, runs longer than a task. */
static void test_permute_kernels_agree_at_larger_sizes(void **state) {
    (void)state;
    const reel_dtype dtypes[] = {REEL_F32, REEL_BF16, REEL_U8, REEL_I64};
    for (int d = 0; d < 4; d++) {
        const op_case cases[] = {
            sized("last two", &last_two, dtypes[d], REEL_SHAPE(2, 133, 203)),
            sized("turn 261x331", &turn, dtypes[d], REEL_SHAPE(261, 331)),
            sized("thin", &turn, dtypes[d], REEL_SHAPE(20011, 3)),
            sized("flat", &turn, dtypes[d], REEL_SHAPE(3, 20011)),
            sized("heads", &heads, dtypes[d], REEL_SHAPE(2, 80, 4, 33)),
            sized("channels last", &channels_last, dtypes[d], REEL_SHAPE(2, 19, 3, 17, 9)),
            sized("channels first", &channels_first, dtypes[d], REEL_SHAPE(2, 3, 17, 9, 19)),
            sized("long runs", &heads, dtypes[d], REEL_SHAPE(1, 2, 3, 40001)),
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            op_check_kernels(&cases[i]);
    }
}

static void test_permute_of_nothing_is_nothing(void **state) {
    (void)state;
    const op_case c = sized("empty", &last_two, REEL_F32, REEL_SHAPE(3, 0, 2));
    op_check_plans(&c);
    op_check_kernels(&c);
}

static void test_permute_of_unit_axes_is_a_view(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_tape *t;
    assert_int_equal(reel_ops_tape_new(env, &t), REEL_OK);
    const reel_var x = reel_tape_input(t, REEL_F32, REEL_SHAPE(1, 4, 1, 5), "x", NULL);
    const reel_var y = REEL_PERMUTE(t, x, 2, 1, 3, 0);
    const reel_shape wanted = REEL_SHAPE(1, 4, 5, 1);
    assert_true(reel_shape_equal(&reel_tape_value(t, y)->shape, &wanted));
    assert_true(reel_tape_record_at(t, 0)->op->view);
    reel_tape_free(&t);
    reel_env_free(&env);
}

static reel_var build_transpose(reel_tape *t, const reel_var *in, const void *context) {
    const int *axes = context;
    return reel_transpose(t, in[0], axes[0], axes[1]);
}

static void test_transpose_exchanges_two_axes(void **state) {
    (void)state;
    const float x[6] = {1, 2, 3, 4, 5, 6};
    op_case c = sized("transpose", &turn, REEL_F32, REEL_SHAPE(2, 1, 3));
    c.build = build_transpose;
    c.context = (const int[]){0, 2};
    c.in[0].value = x;
    op_check_values(&c, (const float[]){1, 4, 2, 5, 3, 6}, 6, 0);
    c.context = (const int[]){0, 3};
    op_check_refused(&c, REEL_E_SHAPE, "transpose: x [2,1,3]", "0 and 3");
}

static void test_permute_refuses_what_is_no_order(void **state) {
    (void)state;
    const order twice = {{0, 0, -1}}, outside = {{0, 2, -1}}, more = {{0, 1, 2, -1}};
    op_case c = sized("twice", &twice, REEL_F32, REEL_SHAPE(2, 3));
    op_check_refused(&c, REEL_E_SHAPE, "permute: x [2,3] has 2 axes", "[0,0]");
    c.context = &outside;
    op_check_refused(&c, REEL_E_SHAPE, "permute: x [2,3] has 2 axes", "[0,2]");
    c.context = &more;
    op_check_refused(&c, REEL_E_SHAPE, "permute: x [2,3] has 2 axes", "[0,1,2]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permute_has_hand_values),
        cmocka_unit_test(test_permute_checks_at_odd_sizes),
        cmocka_unit_test(test_permute_kernels_agree_at_larger_sizes),
        cmocka_unit_test(test_permute_of_nothing_is_nothing),
        cmocka_unit_test(test_permute_of_unit_axes_is_a_view),
        cmocka_unit_test(test_transpose_exchanges_two_axes),
        cmocka_unit_test(test_permute_refuses_what_is_no_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
