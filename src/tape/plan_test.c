#include "tape/plan.h"

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

static const float ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};

static reel_var input(tape_rig *g, const char *name, const float *data) {
    return reel_tape_input(g->tape, REEL_F32, REEL_SHAPE(2, 4), name, data);
}

static reel_plan_stats stats(const tape_rig *g) {
    return reel_plan_get_stats(g->plan);
}

/* ---- keeping a plan ---- */

/* silu(x + y) scaled by an attribute, kept. */
static reel_var record(tape_rig *g, const float *x, const float *y, float factor) {
    reel_tape_reset(g->tape);
    const reel_var a = input(g, "x", x), b = input(g, "y", y);
    const reel_var h = reel_activate(g->tape, reel_add(g->tape, a, b), REEL_ACT_SILU);
    const reel_var z = reel_scale(g->tape, h, factor, 0);
    reel_tape_keep(g->tape, z);
    return z;
}

static void update(tape_rig *g) {
    if (reel_plan_update(g->tape, g->table, NULL, &g->plan) != REEL_OK ||
        reel_plan_run(g->plan, NULL) != REEL_OK)
        fail_msg("%s", reel_env_message(g->env));
}

static void test_plan_is_kept_while_the_tape_is_the_same(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, moved[8];
    reel_var z = record(&g, x, ones, 2);
    update(&g);
    const reel_plan *first = g.plan;
    float wanted[8];
    memcpy(wanted, tape_rig_data(&g, z), sizeof wanted);
    memcpy(moved, x, sizeof x);
    memset(x, 0, sizeof x); /* a plan that still read here would show it */
    const int64_t n_calls = g.env->allocator.n_calls;
    z = record(&g, moved, ones, 2);
    update(&g);
    assert_ptr_equal(g.plan, first);
    assert_int_equal(g.env->allocator.n_calls, n_calls);
    assert_memory_equal(tape_rig_data(&g, z), wanted, sizeof wanted);
    z = record(&g, moved, ones, 4);
    update(&g);
    for (int i = 0; i < 8; i++)
        assert_true(((const float *)tape_rig_data(&g, z))[i] == 2 * wanted[i]);
    tape_rig_close(&g);
}

/* Attributes too: several plans take turns on one tape. */
static void test_plan_outlives_the_recording_it_was_made_from(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    reel_plan *other = NULL;
    const reel_var z = record(&g, x, ones, 2);
    update(&g);
    float wanted[8];
    memcpy(wanted, tape_rig_data(&g, z), sizeof wanted);
    const reel_var y = record(&g, x, ones, 5);
    assert_int_equal(reel_plan_new(g.tape, g.table, NULL, &other), REEL_OK);
    assert_int_equal(reel_plan_run(other, NULL), REEL_OK);
    assert_int_equal(reel_plan_run(g.plan, NULL), REEL_OK);
    assert_memory_equal(tape_rig_data(&g, z), wanted, sizeof wanted);
    for (int i = 0; i < 8; i++)
        assert_true(((const float *)reel_plan_data(other, y))[i] == 2.5f * wanted[i]);
    reel_plan_free(&other);
    tape_rig_close(&g);
}

static void test_plan_update_sees_every_reason_to_plan_again(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    record(&g, ones, ones, 2);
    update(&g);
    const reel_plan *before = g.plan;
    const reel_plan_options whole = {.reuse = false, .inplace = false};
    assert_int_equal(reel_plan_update(g.tape, g.table, &whole, &g.plan), REEL_OK);
    assert_ptr_not_equal(g.plan, before);
    assert_int_equal(stats(&g).planned_bytes, stats(&g).sum_bytes);
    assert_int_equal(stats(&g).n_inplace, 0);
    before = g.plan;
    reel_kernel_table *other = NULL;
    assert_int_equal(reel_ops_reference_table(g.env, &other), REEL_OK);
    assert_int_equal(reel_plan_update(g.tape, other, &whole, &g.plan), REEL_OK);
    assert_ptr_not_equal(g.plan, before);
    reel_kernel_table_free(g.env, &g.table); /* the plan must not need it any more */
    g.table = other;
    assert_int_equal(reel_plan_run(g.plan, NULL), REEL_OK);
    tape_rig_close(&g);
}

static void test_plan_survives_a_failed_update(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const reel_var z = record(&g, ones, ones, 2);
    update(&g);
    const reel_plan *first = g.plan;
    reel_tape_fail(g.tape, REEL_E_ARG, "no");
    assert_int_equal(reel_plan_update(g.tape, g.table, NULL, &g.plan), REEL_E_ARG);
    assert_ptr_equal(g.plan, first);
    assert_int_equal(reel_plan_run(g.plan, NULL), REEL_OK);
    assert_non_null(reel_plan_data(g.plan, z));
    tape_rig_close(&g);
}

/* ---- what runs ---- */

static void test_plan_drops_dead_records(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const reel_var x = input(&g, "x", ones);
    const reel_var dead = reel_activate(g.tape, reel_add(g.tape, x, x), REEL_ACT_SILU);
    reel_activate(g.tape, dead, REEL_ACT_SILU);
    const reel_var y = reel_scale(g.tape, x, 2, 0);
    reel_tape_keep(g.tape, y);
    tape_rig_run(&g, NULL);
    assert_int_equal(stats(&g).n_dropped, 3);
    assert_int_equal(stats(&g).n_records, 1);
    assert_null(reel_plan_data(g.plan, dead));
    assert_null(reel_plan_data(g.plan, 99));
    tape_rig_close(&g);
}

static void test_plan_of_nothing_needed_is_empty(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const reel_var x = input(&g, "x", NULL);
    reel_add(g.tape, x, x);
    tape_rig_run(&g, NULL);
    assert_int_equal(stats(&g).n_records, 0);
    assert_int_equal(stats(&g).planned_bytes, 0);
    tape_rig_close(&g);
}

static void test_plan_runs_no_kernel_for_views(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const reel_var x = input(&g, "x", ones);
    const reel_var of_input = reel_reshape(g.tape, x, REEL_SHAPE(8));
    const reel_var h = reel_scale(g.tape, x, 2, 0);
    const reel_var view =
        reel_reshape(g.tape, reel_reshape(g.tape, h, REEL_SHAPE(8)), REEL_SHAPE(4, 2));
    reel_tape_keep(g.tape, view);
    reel_tape_keep(g.tape, of_input);
    tape_rig_run(&g, NULL);
    assert_int_equal(stats(&g).n_records, 1);
    assert_ptr_equal(tape_rig_data(&g, view), tape_rig_data(&g, h));
    assert_ptr_equal(tape_rig_data(&g, of_input), ones);
    tape_rig_close(&g);
}

static void test_plan_refuses_a_bound_view(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    float y[8];
    const reel_var h = reel_scale(g.tape, input(&g, "x", ones), 2, 0);
    const reel_var view = reel_reshape(g.tape, h, REEL_SHAPE(8));
    reel_tape_bind(g.tape, view, y);
    assert_int_equal(reel_plan_new(g.tape, g.table, NULL, &g.plan), REEL_E_UNSUPPORTED);
    assert_non_null(strstr(reel_env_message(g.env), "value 3 is a view (reshape)"));
    assert_null(g.plan);
    tape_rig_close(&g);
}

static void test_plan_writes_bound_outputs_where_they_belong(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    float y[8] = {0}, later[8] = {0};
    const reel_var h = reel_scale(g.tape, input(&g, "x", ones), 2, 0);
    const reel_var out = reel_scale(g.tape, h, 3, 1);
    reel_tape_bind(g.tape, out, y);
    const reel_var after = reel_scale(g.tape, out, 10, 0); /* and may be read like any value */
    reel_tape_keep(g.tape, after);
    tape_rig_run(&g, NULL);
    assert_true(y[0] == 7 && y[7] == 7);
    assert_ptr_equal(reel_plan_data(g.plan, out), y);
    assert_true(((const float *)tape_rig_data(&g, after))[5] == 70);
    reel_plan_bind(g.plan, out, later);
    y[0] = 0;
    assert_int_equal(reel_plan_run(g.plan, NULL), REEL_OK);
    assert_true(y[0] == 0 && later[0] == 7);
    assert_true(((const float *)tape_rig_data(&g, after))[5] == 70);
    tape_rig_close(&g);
}

/* ---- in place ---- */

/* The addresses of the last call's first input and output. */
static bool last_call_is_in_place(const tape_rig *g) {
    const reel_call *c = reel_plan_call(g->plan, stats(g).n_records - 1);
    return c->in[0].data == c->out[0].data;
}

static void test_inplace_takes_over_an_operand_that_dies(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const reel_var x = input(&g, "x", ones);
    const reel_var h = reel_add(g.tape, x, x);
    const reel_var y = reel_activate(g.tape, h, REEL_ACT_SILU);
    reel_tape_keep(g.tape, y);
    tape_rig_run(&g, NULL);
    assert_int_equal(stats(&g).n_inplace, 1);
    assert_true(last_call_is_in_place(&g));
    assert_int_equal(stats(&g).planned_bytes, REEL_ALIGN);
    reel_plan_options options = reel_plan_options_default();
    options.inplace = false;
    tape_rig_run(&g, &options);
    assert_int_equal(stats(&g).n_inplace, 0);
    assert_false(last_call_is_in_place(&g));
    tape_rig_close(&g);
}

/* Why an operand must not be written over. */
typedef enum reason { READ_LATER, KEPT, BOUND_INPUT, BOUND_OUTPUT, TWICE, VIEW_READ_LATER } reason;

static void test_inplace_is_refused_where_it_would_harm(void **state) {
    (void)state;
    for (int why = READ_LATER; why <= VIEW_READ_LATER; why++) {
        tape_rig g;
        tape_rig_open(&g);
        float y[8];
        const reel_var x = input(&g, "x", ones);
        const reel_var h = why == BOUND_INPUT ? x : reel_scale(g.tape, x, 2, 0);
        const reel_var view = reel_reshape(g.tape, h, REEL_SHAPE(8));
        const reel_var z =
            why == TWICE ? reel_add(g.tape, h, h) : reel_activate(g.tape, h, REEL_ACT_SILU);
        if (why == BOUND_OUTPUT) reel_tape_bind(g.tape, z, y);
        reel_tape_keep(g.tape, why == KEPT ? h : z);
        reel_tape_keep(g.tape, z);
        reel_var later = 0;
        if (why == READ_LATER) later = reel_sum(g.tape, h, 3, REEL_DROP_AXES);
        if (why == VIEW_READ_LATER) later = reel_sum(g.tape, view, 1, REEL_DROP_AXES);
        if (later) reel_tape_keep(g.tape, later);
        tape_rig_run(&g, NULL);
        if (stats(&g).n_inplace != 0) fail_msg("reason %d: written over", why);
        assert_true(ones[0] == 1);
        if (later) assert_true(*(const float *)tape_rig_data(&g, later) == 16);
        if (why == KEPT) assert_true(*(const float *)tape_rig_data(&g, h) == 2);
        tape_rig_close(&g);
    }
}

static void test_inplace_needs_an_operand_of_the_same_size(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const float row[4] = {1, 2, 3, 4};
    const reel_var small =
        reel_scale(g.tape, reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(4), "row", row), 1, 0);
    const reel_var y = reel_add(g.tape, small, input(&g, "x", ones)); /* small is repeated */
    reel_tape_keep(g.tape, y);
    tape_rig_run(&g, NULL);
    assert_int_equal(stats(&g).n_inplace, 0);
    assert_true(((const float *)tape_rig_data(&g, y))[7] == 5);
    tape_rig_close(&g);
}

/* ---- kernels ---- */

static const char *refuse_always(const reel_call *call) {
    (void)call;
    return "it is Sunday";
}
static void do_nothing(const reel_call *call) {
    (void)call;
}
static reel_status cannot_prepare(reel_env *env, reel_call *call) {
    (void)env;
    (void)call;
    return REEL_E_UNSUPPORTED;
}
static reel_status fail_to_prepare(reel_env *env, reel_call *call) {
    (void)call;
    return reel_fail(env, REEL_E_NOMEM, "no room for weights");
}
/* prepared is what a real kernel would pack: here a block that release must give back. */
static reel_status prepare_block(reel_env *env, reel_call *call) {
    call->prepared = reel_alloc(env, 100, "test");
    return call->prepared ? REEL_OK : REEL_E_NOMEM;
}
static void release_block(reel_env *env, reel_call *call) {
    reel_free(env, call->prepared);
    call->prepared = NULL;
}
static int64_t scratch_of_100(const reel_call *call, int n_lanes) {
    return call->prepared ? 100 * n_lanes : 0;
}
/* out = in, through scratch, which must be apart from both. */
static void copy_by_scratch(const reel_call *call) {
    const float *x = call->in[0].data;
    float *y = call->out[0].data, *s = call->scratch;
    for (int i = 0; i < 8; i++)
        s[i] = -1;
    for (int i = 0; i < 8; i++)
        y[i] = x[i] + s[i];
}

static const reel_kernel sunday = {.name = "sunday", .refuse = refuse_always, .run = do_nothing},
                         unprepared = {.name = "unprepared",
                                       .prepare = cannot_prepare,
                                       .run = do_nothing},
                         failing = {.name = "failing",
                                    .prepare = fail_to_prepare,
                                    .run = do_nothing},
                         scratchy = {.name = "scratchy",
                                     .prepare = prepare_block,
                                     .release = release_block,
                                     .scratch = scratch_of_100,
                                     .run = copy_by_scratch};

static void test_plan_names_the_refusal_of_a_missing_kernel(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    reel_kernel_row *row = &g.table->row[REEL_OP_SCALE];
    row->n = 0;
    reel_scope_begin(g.tape, "block 3", REEL_SCOPE_PLAIN);
    const reel_var y = reel_scale(g.tape, input(&g, "x", ones), 2, 0);
    reel_scope_end(g.tape);
    reel_tape_keep(g.tape, y);
    assert_int_equal(reel_plan_new(g.tape, g.table, NULL, &g.plan), REEL_E_UNSUPPORTED);
    assert_string_equal(reel_env_message(g.env),
                        "block 3: scale: no kernel takes f32 [2,4]: there is no kernel");
    reel_env_clear(g.env);
    reel_kernel_table_add(g.table, &reel_op_scale, &sunday);
    assert_int_equal(reel_plan_new(g.tape, g.table, NULL, &g.plan), REEL_E_UNSUPPORTED);
    assert_string_equal(reel_env_message(g.env),
                        "block 3: scale: no kernel takes f32 [2,4]: it is Sunday");
    tape_rig_close(&g);
}

static void test_plan_takes_the_strongest_kernel_that_accepts(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    reel_kernel_table_add(g.table, &reel_op_scale, &scratchy);
    reel_kernel_table_add(g.table, &reel_op_scale, &unprepared);
    reel_kernel_table_add(g.table, &reel_op_scale, &sunday);
    const reel_var h = reel_scale(g.tape, input(&g, "x", ones), 2, 0);
    const reel_var y = reel_scale(g.tape, h, 2, 0);
    reel_tape_keep(g.tape, y);
    tape_rig_run(&g, NULL);
    assert_string_equal(reel_plan_call(g.plan, 0)->kernel->name, "scratchy");
    assert_string_equal(reel_env_message(g.env), "");
    assert_true(((const float *)tape_rig_data(&g, y))[0] == -1);
    assert_int_equal(stats(&g).planned_bytes, stats(&g).peak_bytes);
    tape_rig_close(&g); /* and what was prepared is given back */
}

static void test_plan_passes_on_a_failed_preparation(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    reel_kernel_table_add(g.table, &reel_op_scale, &scratchy);
    reel_kernel_table_add(g.table, &reel_op_add, &failing);
    const reel_var h = reel_scale(g.tape, input(&g, "x", ones), 2, 0);
    reel_tape_keep(g.tape, reel_add(g.tape, h, h));
    assert_int_equal(reel_plan_new(g.tape, g.table, NULL, &g.plan), REEL_E_NOMEM);
    assert_non_null(strstr(reel_env_message(g.env), "no room for weights"));
    assert_null(g.plan);
    tape_rig_close(&g);
}

/* ---- running ---- */

static void test_plan_run_refuses_an_unbound_input(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const reel_var x = input(&g, "latents", NULL);
    input(&g, "unused", NULL);
    const reel_var y = reel_scale(g.tape, x, 2, 0);
    reel_tape_keep(g.tape, y);
    assert_int_equal(reel_plan_new(g.tape, g.table, NULL, &g.plan), REEL_OK);
    reel_tape_reset(g.tape); /* names are the plan's own */
    assert_int_equal(reel_plan_run(g.plan, NULL), REEL_E_ARG);
    assert_string_equal(reel_env_message(g.env),
                        "value 1 (latents) is read but bound to no memory");
    float later[8] = {4};
    reel_plan_bind(g.plan, x, later);
    assert_int_equal(reel_plan_run(g.plan, NULL), REEL_OK);
    assert_true(*(const float *)tape_rig_data(&g, y) == 8);
    tape_rig_close(&g);
}

typedef struct follower {
    int seen[8], n, stop_at;
} follower;

static reel_status follow(void *context, int index) {
    follower *f = context;
    f->seen[f->n++] = index;
    return index == f->stop_at ? REEL_E_CANCELLED : REEL_OK;
}

static void test_plan_tells_after_each_record_and_stops_when_told(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    const reel_var x = input(&g, "x", ones), w = input(&g, "w", ones),
                   unused = input(&g, "u", ones);
    const reel_var h = reel_scale(g.tape, reel_add(g.tape, x, w), 2, 0);
    const reel_var y = reel_mul(g.tape, h, w);
    reel_tape_keep(g.tape, y);
    assert_int_equal(reel_plan_new(g.tape, g.table, NULL, &g.plan), REEL_OK);
    assert_int_equal(reel_plan_last_use(g.plan, x), 0);
    assert_int_equal(reel_plan_last_use(g.plan, w), 2);
    assert_int_equal(reel_plan_last_use(g.plan, unused), -1);
    assert_int_equal(reel_plan_last_use(g.plan, h), -1); /* not the caller's memory */
    follower f = {.stop_at = -1};
    reel_plan_set_after(g.plan, follow, &f);
    assert_int_equal(reel_plan_run(g.plan, NULL), REEL_OK);
    assert_int_equal(f.n, 3);
    assert_int_equal(f.seen[0], 0);
    assert_int_equal(f.seen[2], 2);
    f = (follower){.stop_at = 1};
    assert_int_equal(reel_plan_run(g.plan, NULL), REEL_E_CANCELLED);
    assert_int_equal(f.n, 2);
    reel_plan_set_after(g.plan, NULL, NULL);
    assert_int_equal(reel_plan_run(g.plan, NULL), REEL_OK);
    assert_int_equal(f.n, 2);
    tape_rig_close(&g);
}

/* Lines of reel_profile_write. */
typedef struct report {
    int n;
    char text[8][200];
} report;

static void collect(void *context, const char *line) {
    report *r = context;
    assert_true(r->n < 8);
    snprintf(r->text[r->n++], sizeof r->text[0], "%s", line);
}

static void test_profile_rows_add_up(void **state) {
    (void)state;
    tape_rig g;
    tape_rig_open(&g);
    static float x[64 * 32], w[32 * 32];
    const reel_var a = reel_tape_input(g.tape, REEL_F32, REEL_SHAPE(64, 32), "x", x);
    const reel_var p = reel_tape_param(g.tape, REEL_F32, REEL_SHAPE(32, 32), "w", w);
    reel_scope_begin(g.tape, "mlp", REEL_SCOPE_PLAIN);
    reel_var h = reel_linear(g.tape, a, p, 0, REEL_ACT_NONE, REEL_F32);
    h = reel_linear(g.tape, h, p, 0, REEL_ACT_NONE, REEL_F32);
    reel_scope_end(g.tape);
    reel_tape_keep(g.tape, reel_scale(g.tape, h, 2, 0));
    assert_int_equal(reel_plan_new(g.tape, g.table, NULL, &g.plan), REEL_OK);
    reel_profile_row rows[3];
    assert_int_equal(stats(&g).n_records, 3);
    assert_int_equal(reel_plan_run(g.plan, rows), REEL_OK);
    double flops = 0;
    for (int i = 0; i < 3; i++) {
        assert_true(rows[i].seconds >= 0);
        flops += rows[i].flops;
    }
    assert_true(flops == stats(&g).flops && rows[0].flops == 2.0 * 64 * 32 * 32);
    assert_true(rows[0].bytes == 4.0 * (64 * 32 + 32 * 32 + 64 * 32));
    assert_true(rows[0].op == &reel_op_linear && rows[2].op == &reel_op_scale);
    assert_int_equal(rows[0].scope, 1);
    assert_int_equal(rows[2].scope, 0);
    report r = {0};
    rows[0].seconds = rows[1].seconds = 0.001;
    rows[2].seconds = 0.006;
    reel_profile_write(rows, 3, collect, &r);
    assert_int_equal(r.n, 3);
    assert_non_null(strstr(r.text[1], "scale.ref "));
    assert_non_null(strstr(r.text[1], " 1    6.000  75.0%"));
    assert_non_null(strstr(r.text[2], "linear.ref "));
    assert_non_null(strstr(r.text[2], " 2    2.000  25.0%"));
    tape_rig_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_is_kept_while_the_tape_is_the_same),
        cmocka_unit_test(test_plan_outlives_the_recording_it_was_made_from),
        cmocka_unit_test(test_plan_update_sees_every_reason_to_plan_again),
        cmocka_unit_test(test_plan_survives_a_failed_update),
        cmocka_unit_test(test_plan_drops_dead_records),
        cmocka_unit_test(test_plan_of_nothing_needed_is_empty),
        cmocka_unit_test(test_plan_runs_no_kernel_for_views),
        cmocka_unit_test(test_plan_refuses_a_bound_view),
        cmocka_unit_test(test_plan_writes_bound_outputs_where_they_belong),
        cmocka_unit_test(test_inplace_takes_over_an_operand_that_dies),
        cmocka_unit_test(test_inplace_is_refused_where_it_would_harm),
        cmocka_unit_test(test_inplace_needs_an_operand_of_the_same_size),
        cmocka_unit_test(test_plan_names_the_refusal_of_a_missing_kernel),
        cmocka_unit_test(test_plan_takes_the_strongest_kernel_that_accepts),
        cmocka_unit_test(test_plan_passes_on_a_failed_preparation),
        cmocka_unit_test(test_plan_run_refuses_an_unbound_input),
        cmocka_unit_test(test_plan_tells_after_each_record_and_stops_when_told),
        cmocka_unit_test(test_profile_rows_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
