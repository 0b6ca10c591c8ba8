#include "ops/embedding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/op_check.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    return reel_embedding(t, in[0], in[1], *(const reel_dtype *)context);
}

static const reel_dtype to_f32 = REEL_F32, to_bf16 = REEL_BF16, to_i32 = REEL_I32;

static op_case of(const char *name, const reel_dtype *out, reel_dtype dtype, reel_shape table,
                  reel_dtype id_dtype, reel_shape ids) {
    return (op_case){
        .name = name,
        .build = build,
        .context = out,
        .n_in = 2,
        .in = {
            {.dtype = dtype, .shape = table},
            {.dtype = id_dtype, .shape = ids, .lo = 0, .hi = (double)table.dim[0], .fixed = true}}};
}

static void test_embedding_has_hand_values(void **state) {
    (void)state;
    op_case c = of("hand", &to_f32, REEL_F32, REEL_SHAPE(3, 2), REEL_I64, REEL_SHAPE(2, 2));
    c.in[0].value = (const float[]){1, 2, 3, 4, 5, 6};
    c.in[1].value = (const float[]){2, 0, 2, 1};
    op_check_values(&c, (const float[]){5, 6, 1, 2, 5, 6, 3, 4}, 8, 0);
    c.in[1].dtype = REEL_I32;
    c.in[1].value = (const float[]){-1, 3, 0, 1e9f}; /* outside the table: zeros */
    op_check_values(&c, (const float[]){0, 0, 0, 0, 1, 2, 0, 0}, 8, 0);
    op_check(&c); /* and no gradient from them */
}

static void test_embedding_checks_at_odd_sizes(void **state) {
    (void)state;
    const op_case cases[] = {
        of("i64", &to_f32, REEL_F32, REEL_SHAPE(5, 7), REEL_I64, REEL_SHAPE(3, 4)),
        of("i32", &to_f32, REEL_F32, REEL_SHAPE(11, 3), REEL_I32, REEL_SHAPE(2, 1, 3, 1, 2)),
        of("repeated", &to_f32, REEL_F32, REEL_SHAPE(2, 19), REEL_I32, REEL_SHAPE(33)),
        of("bf16", &to_bf16, REEL_BF16, REEL_SHAPE(5, 33), REEL_I32, REEL_SHAPE(9)),
        of("bf16 to f32", &to_f32, REEL_BF16, REEL_SHAPE(5, 35), REEL_I64, REEL_SHAPE(9)),
        of("scalar id", &to_f32, REEL_F32, REEL_SHAPE(5, 3), REEL_I64, (reel_shape){.rank = 0}),
        of("no ids", &to_f32, REEL_F32, REEL_SHAPE(5, 3), REEL_I64, REEL_SHAPE(0)),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        op_check(&cases[i]);
    /* rounding to bf16 is no function to take differences of: everything but those */
    op_case c = of("to bf16", &to_bf16, REEL_F32, REEL_SHAPE(5, 33), REEL_I32, REEL_SHAPE(9));
    op_check_plans(&c);
    op_check_kernels(&c);
    /* several tasks on both axes */
    c = of("large", &to_f32, REEL_F32, REEL_SHAPE(701, 513), REEL_I32, REEL_SHAPE(401));
    op_check_kernels(&c);
    c.in[0].dtype = REEL_BF16;
    c.context = &to_bf16;
    op_check_kernels(&c);
}

static void test_embedding_refuses_misfits(void **state) {
    (void)state;
    op_case c = of("axes", &to_f32, REEL_F32, REEL_SHAPE(5, 3, 1), REEL_I32, REEL_SHAPE(2));
    op_check_refused(&c, REEL_E_SHAPE, "embedding: needs a table [V,C]", "[5,3,1]");
    c = of("table", &to_f32, REEL_I32, REEL_SHAPE(5, 3), REEL_I32, REEL_SHAPE(2));
    op_check_refused(&c, REEL_E_SHAPE, "needs a table [V,C] of a float type", "i32 [5,3]");
    c = of("ids", &to_f32, REEL_F32, REEL_SHAPE(5, 3), REEL_F32, REEL_SHAPE(2));
    op_check_refused(&c, REEL_E_SHAPE, "needs ids i32 or i64", "got f32 [2]");
    c = of("rank", &to_f32, REEL_F32, REEL_SHAPE(5, 3), REEL_I32, REEL_SHAPE(1, 1, 1, 1, 1, 1));
    op_check_refused(&c, REEL_E_SHAPE, "of up to 5 axes", "[1,1,1,1,1,1]");
    c = of("out", &to_i32, REEL_F32, REEL_SHAPE(5, 3), REEL_I32, REEL_SHAPE(2));
    op_check_refused(&c, REEL_E_SHAPE, "must be a float type, wanted i32", NULL);
}

static void test_embedding_ids_are_checked_for_callers(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    int64_t wide[3] = {0, 4, 2};
    int32_t narrow[2] = {1, -3};
    float none[1] = {0};
    const reel_tensor good = {REEL_I64, REEL_SHAPE(3), wide};
    const reel_tensor bad = {REEL_I32, REEL_SHAPE(2), narrow};
    const reel_tensor floats = {REEL_F32, REEL_SHAPE(1), none};
    assert_int_equal(reel_embedding_check_ids(env, &good, 5), REEL_OK);
    assert_int_equal(reel_embedding_check_ids(env, &good, 4), REEL_E_ARG);
    assert_string_equal(reel_env_message(env), "id 4 at 1 is outside [0,4)");
    reel_env_clear(env);
    assert_int_equal(reel_embedding_check_ids(env, &bad, 5), REEL_E_ARG);
    assert_string_equal(reel_env_message(env), "id -3 at 1 is outside [0,5)");
    reel_env_clear(env);
    assert_int_equal(reel_embedding_check_ids(env, &floats, 5), REEL_E_ARG);
    assert_string_equal(reel_env_message(env), "ids must be i32 or i64, got f32");
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedding_has_hand_values),
        cmocka_unit_test(test_embedding_checks_at_odd_sizes),
        cmocka_unit_test(test_embedding_refuses_misfits),
        cmocka_unit_test(test_embedding_ids_are_checked_for_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
