#include "pipeline/rates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "ops/elementwise.h"
#include "ops/linear.h"
#include "support/tape_rig.h"

enum { SIDE = 96 };

static float x[8 * SIDE * SIDE], w[SIDE * SIDE];

/* rows of x through a linear layer and a scale, `layers` times. */
static void record(tape_rig *g, int64_t rows, int layers, bool dry) {
    reel_plan_free(&g->plan);
    reel_tape_reset(g->tape);
    reel_var h = reel_tape_input(g->tape, REEL_F32, REEL_SHAPE(rows, SIDE), "x", x);
    const reel_var weight = reel_tape_input(g->tape, REEL_F32, REEL_SHAPE(SIDE, SIDE), "w", w);
    for (int i = 0; i < layers; i++) {
        h = reel_linear(g->tape, h, weight, 0, REEL_ACT_NONE, REEL_F32);
        h = reel_scale(g->tape, h, 0.5f, 0);
    }
    reel_tape_keep(g->tape, h);
    reel_plan_options options = reel_plan_options_default();
    options.dry = dry;
    assert_int_equal(reel_plan_new(g->tape, g->table, &options, &g->plan), REEL_OK);
}

/* What was measured is predicted of itself to the last digit, and scales with the work. */
static void test_rates_scale_with_the_work(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    reel_rates rates = {0};
    record(&g, SIDE, 1, false);
    assert_int_equal(reel_rates_measure(g.env, g.plan, &rates), REEL_OK);
    double measured = 0;
    for (int i = 0; i < REEL_MAX_RATES; i++)
        measured += rates.op[i].seconds;
    assert_true(measured > 0);
    const double same = reel_rates_predict(&rates, g.plan);
    assert_true(fabs(same - measured) < 1e-9 * measured + 1e-12);
    record(&g, 8 * SIDE, 3, true); /* dry: its operands have no memory */
    const double more = reel_rates_predict(&rates, g.plan);
    assert_true(more > 20 * same && more < 28 * same); /* 24, but that w is counted once a layer */
    tape_rig_close(&g);
}

static void test_rates_of_what_was_not_measured_are_nothing(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const reel_rates rates = {0};
    record(&g, SIDE, 2, true);
    assert_true(reel_rates_predict(&rates, g.plan) == 0);
    assert_int_equal(reel_plan_run(g.plan, NULL), REEL_E_ARG);
    tape_rig_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_scale_with_the_work),
        cmocka_unit_test(test_rates_of_what_was_not_measured_are_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
