#include "tape/tape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "ops/activation.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/reduce.h"
#include "support/tape_rig.h"

static reel_var input(tape_rig *g, int64_t rows, int64_t columns) {
    return reel_tape_input(g->tape, REEL_F32, REEL_SHAPE(rows, columns), "x", NULL);
}

/* ---- errors ---- */

static void test_tape_error_names_scope_op_and_shapes(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    reel_scope_begin(g.tape, "dit", REEL_SCOPE_PLAIN);
    reel_scope_begin(g.tape, "block 7", REEL_RECOMPUTE);
    reel_add(g.tape, input(&g, 2, 3), input(&g, 2, 4));
    reel_scope_end(g.tape);
    reel_scope_end(g.tape);
    assert_string_equal(
        reel_env_message(g.env),
        "dit.block 7: add: a [2,3] and b [2,4] do not broadcast: axis -1 is 3 and 4");
    tape_rig_expect_failure(&g, REEL_E_SHAPE, "dit.block 7: add", NULL);
    tape_rig_close(&g);
}

static void test_tape_after_an_error_does_nothing(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const reel_var x = input(&g, 2, 3);
    assert_int_equal(reel_add(g.tape, x, input(&g, 2, 4)), 0);
    const int n_values = reel_tape_n_values(g.tape), n_records = reel_tape_n_records(g.tape);
    char message[512];
    snprintf(message, sizeof message, "%s", reel_env_message(g.env));
    assert_int_equal(reel_add(g.tape, x, x), 0);
    assert_int_equal(input(&g, 1, 1), 0);
    assert_int_equal(reel_reshape(g.tape, x, REEL_SHAPE(5)), 0);
    reel_scope_begin(g.tape, "later", REEL_SCOPE_PLAIN);
    reel_scope_end(g.tape);
    reel_scope_end(g.tape); /* one too many, and not what is reported */
    reel_tape_fail(g.tape, REEL_E_ARG, "a later failure");
    reel_tape_backward(g.tape, x);
    reel_tape_keep(g.tape, 0);
    reel_tape_bind(g.tape, 0, NULL);
    reel_tape_want_grad(g.tape, 0);
    assert_int_equal(reel_tape_n_values(g.tape), n_values);
    assert_int_equal(reel_tape_n_records(g.tape), n_records);
    assert_int_equal(reel_tape_status(g.tape), REEL_E_SHAPE);
    assert_string_equal(reel_env_message(g.env), message);
    reel_plan *plan = NULL;
    assert_int_equal(reel_plan_new(g.tape, g.table, NULL, &plan), REEL_E_SHAPE);
    assert_null(plan);
    tape_rig_close(&g);
}

static void test_tape_reset_forgets_the_error(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    reel_tape_fail(g.tape, REEL_E_ARG, "no %s today", "video");
    tape_rig_expect_failure(&g, REEL_E_ARG, "no video today", NULL);
    assert_int_equal(reel_tape_status(g.tape), REEL_OK);
    assert_int_equal(reel_tape_n_values(g.tape), 0);
    assert_true(reel_add(g.tape, input(&g, 1, 2), input(&g, 1, 2)) != 0);
    tape_rig_close(&g);
}

static void test_tape_refuses_bad_operands(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    reel_add(g.tape, input(&g, 2, 3), 0);
    tape_rig_expect_failure(&g, REEL_E_ARG, "add: operand 1 is absent", NULL);
    reel_add(g.tape, 7, input(&g, 2, 3));
    tape_rig_expect_failure(&g, REEL_E_ARG, "add: operand 0 is value 7, the tape has 1", NULL);
    reel_add(g.tape, -1, input(&g, 2, 3));
    tape_rig_expect_failure(&g, REEL_E_ARG, "add: operand 0 is value -1", NULL);
    const reel_var x = input(&g, 2, 3); /* an operand that may be absent */
    assert_true(reel_linear(g.tape, x, input(&g, 4, 3), 0, REEL_ACT_NONE, REEL_F32) != 0);
    tape_rig_close(&g);
}

static void test_tape_refuses_bad_values(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const reel_shape negative = REEL_SHAPE(2, -3), vast = REEL_SHAPE(INT64_MAX, 2);
    const reel_shape deep = {.rank = 7};
    reel_tape_input(g.tape, REEL_F32, negative, "mask", NULL);
    tape_rig_expect_failure(&g, REEL_E_SHAPE, "value mask: shape [2,-3]", "negative");
    reel_tape_param(g.tape, REEL_F32, vast, NULL, NULL);
    tape_rig_expect_failure(&g, REEL_E_SHAPE, "value without a name", "more elements");
    reel_tape_input(g.tape, REEL_F32, deep, "deep", NULL);
    tape_rig_expect_failure(&g, REEL_E_SHAPE, "0 to 6 axes, got 7", NULL);
    tape_rig_close(&g);
}

static void test_tape_refuses_an_end_without_a_begin(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    reel_scope_begin(g.tape, "block", REEL_SCOPE_PLAIN);
    reel_scope_end(g.tape);
    assert_int_equal(reel_tape_status(g.tape), REEL_OK);
    reel_scope_end(g.tape);
    tape_rig_expect_failure(&g, REEL_E_ARG, "a scope ends that was not begun", NULL);
    tape_rig_close(&g);
}

/* ---- values ---- */

static void test_tape_values_know_what_they_are(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const reel_var x = input(&g, 2, 3);
    const reel_var w = reel_tape_param(g.tape, REEL_BF16, REEL_SHAPE(4, 3), "w", NULL);
    const reel_var ids = reel_tape_param(g.tape, REEL_I32, REEL_SHAPE(4), NULL, NULL);
    const reel_var y =
        reel_linear(g.tape, reel_cast(g.tape, x, REEL_BF16), w, 0, REEL_ACT_GELU_TANH, REEL_BF16);
    assert_int_equal(reel_tape_value(g.tape, x)->kind, REEL_VALUE_INPUT);
    assert_int_equal(reel_tape_value(g.tape, w)->kind, REEL_VALUE_PARAM);
    assert_int_equal(reel_tape_value(g.tape, y)->kind, REEL_VALUE_TEMP);
    assert_int_equal(reel_tape_value(g.tape, y)->producer, 1);
    assert_int_equal(reel_tape_value(g.tape, 0)->kind, REEL_VALUE_NONE);
    assert_int_equal(reel_tape_value(g.tape, 99)->kind, REEL_VALUE_NONE);
    assert_string_equal(reel_tape_value_name(g.tape, w), "w");
    assert_string_equal(reel_tape_value_name(g.tape, ids), "");
    assert_true(reel_tape_wants_grad(g.tape, w));
    assert_true(reel_tape_wants_grad(g.tape, y));
    assert_false(reel_tape_wants_grad(g.tape, x));
    assert_false(reel_tape_wants_grad(g.tape, ids)); /* integers have none */
    assert_false(reel_tape_wants_grad(g.tape, 0));
    tape_rig_close(&g);
}

/* More values, records, scopes and names than the first allocation holds. */
static void test_tape_grows(void **state) {
    (void)state;
    enum { N = 1000 };
    tape_rig g;
    tape_rig_open(&g);
    float x[2] = {1, 2};
    reel_var h = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(2), "x", x);
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof name, "layer number %d", i);
        reel_scope_begin(g.tape, name, REEL_SCOPE_PLAIN);
        h = reel_scale(g.tape, h, 1, 1);
        reel_scope_end(g.tape);
    }
    reel_tape_keep(g.tape, h);
    assert_int_equal(reel_tape_n_records(g.tape), N);
    char path[64];
    const reel_record *last = reel_tape_record_at(g.tape, N - 1);
    assert_string_equal(reel_tape_scope_path(g.tape, last->scope, path, sizeof path),
                        "layer number 999");
    tape_rig_run(&g, NULL);
    const float *y = tape_rig_data(&g, h);
    assert_true(y[0] == 1001 && y[1] == 1002);
    tape_rig_close(&g);
}

static void test_tape_reset_keeps_its_memory(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    int64_t n_calls = 0;
    for (int round = 0; round < 2; round++) {
        reel_tape_reset(g.tape);
        reel_var h = input(&g, 4, 4);
        for (int i = 0; i < 300; i++)
            h = reel_scale(g.tape, h, 2, 0);
        if (round == 0) n_calls = g.env->allocator.n_calls;
    }
    assert_int_equal(g.env->allocator.n_calls, n_calls);
    tape_rig_close(&g);
}

static void test_tape_scope_paths_are_cut_to_their_room(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    reel_scope_begin(g.tape, "abcdef", REEL_SCOPE_PLAIN);
    reel_scope_begin(g.tape, "ghi", REEL_SCOPE_PLAIN);
    char text[8];
    assert_string_equal(reel_tape_scope_path(g.tape, 2, text, sizeof text), "abcdef.");
    char one[1];
    assert_string_equal(reel_tape_scope_path(g.tape, 2, one, sizeof one), "");
    assert_string_equal(reel_tape_scope_path(g.tape, 0, text, sizeof text), "");
    tape_rig_close(&g);
}

/* ---- hash ---- */

/* What a tape may differ in. */
typedef struct variant {
    float factor;
    int64_t columns;
    bool keep_other, swap, scope, param;
    reel_dtype dtype;
    const char *name;
} variant;

static uint64_t hash_of(tape_rig *g, variant v) {
    reel_tape_reset(g->tape);
    const reel_shape shape = REEL_SHAPE(2, v.columns);
    const reel_var x =
        (v.param ? reel_tape_param : reel_tape_input)(g->tape, v.dtype, shape, v.name, NULL);
    const reel_var y = reel_tape_input(g->tape, v.dtype, shape, "y", NULL);
    if (v.scope) reel_scope_begin(g->tape, "scope", REEL_SCOPE_PLAIN);
    const reel_var sum = v.swap ? reel_add(g->tape, y, x) : reel_add(g->tape, x, y);
    if (v.scope) reel_scope_end(g->tape);
    const reel_var z = reel_scale(g->tape, sum, v.factor, 0);
    reel_tape_keep(g->tape, v.keep_other ? sum : z);
    return reel_tape_hash(g->tape);
}

static void test_tape_hash_tells_what_matters(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const variant base = {.factor = 2, .columns = 3, .dtype = REEL_F32, .name = "x"};
    variant other[7];
    for (int i = 0; i < 7; i++)
        other[i] = base;
    other[0].factor = -2; /* an attribute: one bit */
    other[1].columns = 4;
    other[2].keep_other = true;
    other[3].swap = true;
    other[4].scope = true;
    other[5].param = true;
    other[6].dtype = REEL_BF16;
    const uint64_t hash = hash_of(&g, base);
    assert_true(hash_of(&g, base) == hash);
    variant renamed = base;
    renamed.name = "z";
    assert_true(hash_of(&g, renamed) == hash);
    for (int i = 0; i < 7; i++)
        if (hash_of(&g, other[i]) == hash) fail_msg("variant %d has the same hash", i);
    tape_rig_close(&g);
}

/* Attributes are hashed by their bytes: leftovers of the stack in them would make every step a new
 * plan. Each round records with other rubbish below. */
static void scribble(int value) {
    volatile char rubbish[4096];
    for (size_t i = 0; i < sizeof rubbish; i++)
        rubbish[i] = (char)value;
}

static void test_tape_hash_does_not_see_the_stack(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    uint64_t hash[2];
    for (int round = 0; round < 2; round++) {
        reel_tape_reset(g.tape);
        const reel_var x = reel_tape_param(g.tape, REEL_F32, REEL_SHAPE(2, 6), "x", NULL);
        scribble(round ? 0x55 : 0xaa);
        reel_var h = reel_reshape(g.tape, x, REEL_SHAPE(3, 4));
        scribble(round ? 0x33 : 0xcc);
        h = reel_cast(g.tape, reel_sum(g.tape, h, 1, REEL_KEEP_AXES), REEL_BF16);
        scribble(round ? 0x0f : 0xf0);
        reel_tape_backward(g.tape, reel_sum(g.tape, h, 3, REEL_DROP_AXES));
        hash[round] = reel_tape_hash(g.tape);
    }
    assert_true(hash[0] == hash[1]);
    tape_rig_close(&g);
}

/* ---- dump ---- */

typedef struct lines {
    int n;
    char text[8][256];
} lines;

static void collect(void *context, const char *line) {
    lines *l = context;
    if (l->n < 8) snprintf(l->text[l->n], sizeof l->text[l->n], "%s", line);
    l->n++;
}

static void test_tape_dump_shows_op_shapes_and_scope(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const reel_var x = input(&g, 2, 3);
    const reel_var w = reel_tape_param(g.tape, REEL_F32, REEL_SHAPE(4, 3), "w", NULL);
    reel_scope_begin(g.tape, "block 0", REEL_SCOPE_PLAIN);
    reel_scope_begin(g.tape, "mlp", REEL_SCOPE_PLAIN);
    const reel_var h = reel_linear(g.tape, x, w, 0, REEL_ACT_SILU, REEL_BF16);
    reel_scope_end(g.tape);
    reel_scope_end(g.tape);
    reel_add(g.tape, h, h);
    lines l = {0};
    reel_tape_dump(g.tape, collect, &l);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.text[0],
                        "   0 %3 bf16[2,4], %4 bf16[2,4] = linear %1:x %2:w -  @ block 0.mlp");
    assert_string_equal(l.text[1], "   1 %5 bf16[2,4] = add %3 %3");
    tape_rig_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tape_error_names_scope_op_and_shapes),
        cmocka_unit_test(test_tape_after_an_error_does_nothing),
        cmocka_unit_test(test_tape_reset_forgets_the_error),
        cmocka_unit_test(test_tape_refuses_bad_operands),
        cmocka_unit_test(test_tape_refuses_bad_values),
        cmocka_unit_test(test_tape_refuses_an_end_without_a_begin),
        cmocka_unit_test(test_tape_values_know_what_they_are),
        cmocka_unit_test(test_tape_grows),
        cmocka_unit_test(test_tape_reset_keeps_its_memory),
        cmocka_unit_test(test_tape_scope_paths_are_cut_to_their_room),
        cmocka_unit_test(test_tape_hash_tells_what_matters),
        cmocka_unit_test(test_tape_hash_does_not_see_the_stack),
        cmocka_unit_test(test_tape_dump_shows_op_shapes_and_scope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
