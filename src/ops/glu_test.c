#include "ops/glu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "support/op_check.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    const reel_glu_attr *a = context;
    if (a->halves == REEL_GLU_APART) return reel_glu(t, in[0], in[1], (reel_activation)a->act);
    return reel_glu_split(t, in[0], (reel_activation)a->act, (reel_glu_halves)a->halves);
}

static op_case apart(const reel_glu_attr *attr, reel_shape x) {
    return (op_case){.name = "glu",
                     .build = build,
                     .context = attr,
                     .n_in = 2,
                     .in = {{.shape = x}, {.shape = x}}};
}
static op_case split(const reel_glu_attr *attr, reel_shape x) {
    return (op_case){
        .name = "glu split", .build = build, .context = attr, .n_in = 1, .in = {{.shape = x}}};
}

static const reel_activation all[] = {REEL_ACT_NONE, REEL_ACT_GELU_TANH, REEL_ACT_GELU_ERF,
                                      REEL_ACT_SILU};

static void test_glu_has_hand_values(void **state) {
    (void)state;
    const float gate[2] = {-1, 2}, value[2] = {10, -3};
    const float both[4] = {-1, 2, 10, -3}, swapped[4] = {10, -3, -1, 2};
    const float want[2] = {-0.26894142f * 10, 1.76159416f * -3}; /* silu(-1), silu(2) */
    const reel_glu_attr two = {.act = REEL_ACT_SILU, .halves = REEL_GLU_APART};
    const reel_glu_attr first = {.act = REEL_ACT_SILU, .halves = REEL_GLU_GATE_FIRST};
    const reel_glu_attr last = {.act = REEL_ACT_SILU, .halves = REEL_GLU_GATE_LAST};
    op_case c = apart(&two, REEL_SHAPE(2));
    c.in[0].value = gate;
    c.in[1].value = value;
    op_check_values(&c, want, 2, 1e-6);
    c = split(&first, REEL_SHAPE(1, 4));
    c.in[0].value = both;
    op_check_values(&c, want, 2, 1e-6);
    c = split(&last, REEL_SHAPE(1, 4));
    c.in[0].value = swapped;
    op_check_values(&c, want, 2, 1e-6);
}

static void test_glu_checks_for_every_activation(void **state) {
    (void)state;
    for (int f = 0; f < 4; f++)
        for (int k = REEL_GLU_APART; k <= REEL_GLU_GATE_LAST; k++) {
            const reel_glu_attr attr = {.act = all[f], .halves = k};
            const bool two = k == REEL_GLU_APART;
            op_case c = two ? apart(&attr, REEL_SHAPE(3, 19)) : split(&attr, REEL_SHAPE(3, 38));
            op_check(&c);
            c.in[0].dtype = REEL_BF16;
            op_check(&c);
            c.in[1].dtype = REEL_BF16;
            op_check(&c);
            c = two ? apart(&attr, REEL_SHAPE(3, 8195)) : split(&attr, REEL_SHAPE(3, 16390));
            op_check_kernels(&c);
            c.in[0].dtype = c.in[1].dtype = REEL_BF16;
            op_check_kernels(&c);
        }
}

static void test_glu_works_for_one_gradient(void **state) {
    (void)state;
    const reel_glu_attr attr = {.act = REEL_ACT_GELU_TANH};
    for (int i = 0; i < 2; i++) {
        op_case c = apart(&attr, REEL_SHAPE(2, 21));
        c.in[i].fixed = true;
        op_check(&c);
    }
}

static void test_glu_passes_nan_and_saturates(void **state) {
    (void)state;
    const float gate[6] = {NAN, 1e30f, -1e30f, 5, 0, 1}, value[6] = {1, 2, 3, NAN, 5, INFINITY};
    for (int f = 0; f < 4; f++) {
        const reel_glu_attr attr = {.act = all[f]};
        op_case c = apart(&attr, REEL_SHAPE(6));
        c.in[0].value = gate;
        c.in[1].value = value;
        op_check_kernels(&c);
    }
}

static void test_glu_refuses_misfits(void **state) {
    (void)state;
    const reel_glu_attr two = {.act = REEL_ACT_SILU};
    const reel_glu_attr one = {.act = REEL_ACT_SILU, .halves = REEL_GLU_GATE_LAST};
    op_case c = apart(&two, REEL_SHAPE(2, 3));
    c.in[1].shape = REEL_SHAPE(2, 4);
    op_check_refused(&c, REEL_E_SHAPE, "glu: gate [2,3] needs a value of its shape", "got [2,4]");
    c = split(&one, REEL_SHAPE(2, 3));
    op_check_refused(&c, REEL_E_SHAPE, "glu: x must be [...,2C]", "got [2,3]");
    c.in[0].dtype = REEL_I32;
    op_check_refused(&c, REEL_E_SHAPE, "float type", "i32");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glu_has_hand_values),
        cmocka_unit_test(test_glu_checks_for_every_activation),
        cmocka_unit_test(test_glu_works_for_one_gradient),
        cmocka_unit_test(test_glu_passes_nan_and_saturates),
        cmocka_unit_test(test_glu_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
