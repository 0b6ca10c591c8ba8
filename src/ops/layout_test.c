#include "ops/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ops/activation.h"
#include "ops/elementwise.h"
#include "support/op_check.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    return reel_reshape(t, in[0], *(const reel_shape *)context);
}

/* A view of a temporary, read by an op that may write over it. */
static reel_var build_inside(reel_tape *t, const reel_var *in, const void *context) {
    const reel_var h = reel_add(t, in[0], in[0]);
    const reel_var view = reel_reshape(t, h, *(const reel_shape *)context);
    const reel_var y = reel_activate(t, view, REEL_ACT_SILU);
    return reel_mul(t, y, reel_reshape(t, h, *(const reel_shape *)context));
}

static void test_reshape_keeps_the_elements_in_order(void **state) {
    (void)state;
    const float x[6] = {1, 2, 3, 4, 5, 6};
    const reel_shape to = REEL_SHAPE(3, 1, 2);
    const op_case c = {.name = "reshape",
                       .build = build,
                       .context = &to,
                       .n_in = 1,
                       .in = {{.shape = REEL_SHAPE(2, 3), .value = x}}};
    op_check_values(&c, x, 6, 0);
}

static void test_reshape_checks_for_every_dtype(void **state) {
    (void)state;
    const reel_shape to = REEL_SHAPE(3, 5, 2, 1);
    op_case c = {.name = "reshape",
                 .build = build,
                 .context = &to,
                 .n_in = 1,
                 .in = {{.shape = REEL_SHAPE(5, 6)}}};
    op_check(&c); /* a parameter: its gradient is f32 */
    c.in[0].dtype = REEL_BF16;
    op_check(&c); /* gradient of a bf16 parameter: widened to f32 */
    c.build = build_inside;
    op_check(&c);
    c.in[0].dtype = REEL_F32;
    op_check(&c);
    c.build = build;
    c.no_gradient = true;
    c.in[0].hi = 200;
    for (reel_dtype dtype = REEL_I32; dtype <= REEL_U8; dtype++) {
        c.in[0].dtype = dtype;
        op_check(&c);
    }
}

static void test_reshape_to_the_same_shape_records_nothing(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_tape *t;
    assert_int_equal(reel_ops_tape_new(env, &t), REEL_OK);
    const reel_var x = reel_tape_input(t, REEL_F32, REEL_SHAPE(2, 3), "x", NULL);
    assert_int_equal(reel_reshape(t, x, REEL_SHAPE(2, 3)), x);
    assert_int_equal(reel_tape_n_records(t), 0);
    reel_tape_free(&t);
    reel_env_free(&env);
}

static void test_reshape_refuses_another_count(void **state) {
    (void)state;
    const reel_shape to = REEL_SHAPE(4, 2), negative = REEL_SHAPE(-2, -3);
    op_case c = {.name = "count",
                 .build = build,
                 .context = &to,
                 .n_in = 1,
                 .in = {{.shape = REEL_SHAPE(2, 3)}}};
    op_check_refused(&c, REEL_E_SHAPE, "x [2,3] cannot become", "[4,2]");
    c.context = &negative;
    op_check_refused(&c, REEL_E_SHAPE, "reshape", "negative");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reshape_keeps_the_elements_in_order),
        cmocka_unit_test(test_reshape_checks_for_every_dtype),
        cmocka_unit_test(test_reshape_to_the_same_shape_records_nothing),
        cmocka_unit_test(test_reshape_refuses_another_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
