/* Eager mode: every record runs as it is appended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ops/activation.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/reduce.h"
#include "support/tape_rig.h"

static const float *values(const tape_rig *g, reel_var var) {
    const float *data = reel_tape_value(g->tape, var)->data;
    assert_non_null(data);
    return data;
}

static void test_eager_values_are_there_at_once(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    reel_tape_set_eager(g.tape, g.table);
    const float x[4] = {1, 2, 3, 4};
    const reel_var p = reel_tape_param(g.tape, REEL_F32, REEL_SHAPE(2, 2), "p", x);
    const reel_var h = reel_scale(g.tape, p, 2, 1);
    assert_true(values(&g, h)[3] == 9);
    const reel_var view = reel_reshape(g.tape, h, REEL_SHAPE(4));
    assert_ptr_equal(values(&g, view), values(&g, h));
    const reel_var loss = reel_dot(g.tape, view, view);
    assert_true(values(&g, loss)[0] == 9 + 25 + 49 + 81);
    reel_tape_backward(g.tape, loss);
    assert_true(values(&g, reel_tape_grad(g.tape, p))[1] == 2 * 2 * 5);
    tape_rig_close(&g);
}

static void test_eager_memory_goes_with_a_reset(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const float x[2] = {1, 2};
    reel_tape_set_eager(g.tape, g.table);
    int64_t bytes = 0;
    for (int round = 0; round < 3; round++) {
        reel_tape_reset(g.tape);
        if (round == 1) bytes = g.env->allocator.bytes;
        if (round > 0) assert_int_equal(g.env->allocator.bytes, bytes);
        const reel_var in = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(2), "x", x);
        reel_reshape(g.tape, reel_add(g.tape, in, in), REEL_SHAPE(2, 1));
    }
    tape_rig_close(&g);
}

static void test_eager_bound_output_gets_a_copy(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const float x[2] = {1, 2};
    float y[2] = {0, 0};
    reel_tape_set_eager(g.tape, g.table);
    const reel_var in = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(2), "x", x);
    const reel_var sum = reel_add(g.tape, in, in);
    reel_tape_bind(g.tape, sum, y);
    assert_true(y[0] == 2 && y[1] == 4);
    assert_ptr_not_equal(reel_tape_value(g.tape, sum)->data, y);
    tape_rig_close(&g);
}

static void test_eager_refuses_what_a_plan_refuses(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const float x[2] = {1, 2};
    reel_tape_set_eager(g.tape, g.table);
    reel_scope_begin(g.tape, "block 1", REEL_SCOPE_PLAIN);
    reel_var in = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(2), "x", NULL);
    reel_add(g.tape, in, in);
    tape_rig_expect_failure(&g, REEL_E_ARG, "block 1: add reads value 1", "no memory");
    g.table->row[REEL_OP_ADD].n = 0;
    reel_scope_begin(g.tape, "block 1", REEL_SCOPE_PLAIN);
    in = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(2), "x", x);
    reel_add(g.tape, in, in);
    tape_rig_expect_failure(&g, REEL_E_UNSUPPORTED, "block 1: add: no kernel takes f32 [2]",
                            "there is no kernel");
    tape_rig_close(&g);
}

static void test_eager_tape_can_be_planned_too(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const float x[2] = {1, -2};
    reel_tape_set_eager(g.tape, g.table);
    const reel_var in = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(2), "x", x);
    const reel_var y = reel_activate(g.tape, reel_add(g.tape, in, in), REEL_ACT_SILU);
    reel_tape_keep(g.tape, y);
    tape_rig_run(&g, NULL);
    assert_memory_equal(tape_rig_data(&g, y), values(&g, y), 2 * sizeof(float));
    assert_ptr_not_equal(tape_rig_data(&g, y), values(&g, y));
    tape_rig_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eager_values_are_there_at_once),
        cmocka_unit_test(test_eager_memory_goes_with_a_reset),
        cmocka_unit_test(test_eager_bound_output_gets_a_copy),
        cmocka_unit_test(test_eager_refuses_what_a_plan_refuses),
        cmocka_unit_test(test_eager_tape_can_be_planned_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
