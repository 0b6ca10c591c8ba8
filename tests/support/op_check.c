#include "support/op_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "cpu/cpu.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "tape/plan.h"

/* ---- random inputs: a small generator of the tests' own, so that they do not lean on base/rng
 * ---- */

static double uniform(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    uint64_t x = *state;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 32;
    return ((double)(x >> 11) + 0.5) * 0x1p-53;
}

static double normal(uint64_t *state) {
    const double u = uniform(state), v = uniform(state);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static void fill(const op_input *in, void *data, uint64_t seed) {
    const int64_t n = reel_shape_count(&in->shape);
    for (int64_t i = 0; i < n; i++) {
        double x;
        if (in->value)
            x = (double)in->value[i];
        else if (in->lo == 0 && in->hi == 0)
            x = normal(&seed);
        else if (reel_dtype_is_float(in->dtype))
            x = in->lo + (in->hi - in->lo) * uniform(&seed);
        else
            x = floor(in->lo + (in->hi - in->lo) * uniform(&seed));
        reel_dtype_store(in->dtype, data, i, (float)x);
    }
}

/* ---- one recorded case with its memory ---- */

typedef struct rig {
    const op_case *c;
    reel_env *env;
    reel_kernel_table *table;
    reel_tape *tape;
    reel_plan *plan;
    void *data[REEL_MAX_IN];
    reel_var in[REEL_MAX_IN], out;
    float *r;           /* weights of the loss, one for each element of out */
    int64_t idle_bytes; /* what the environment itself holds */
} rig;

reel_env *op_test_env(int n_threads) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = n_threads;
    reel_env *env = NULL;
    assert_int_equal(reel_env_new(&options, &env), REEL_OK);
    return env;
}

static void rig_fail(const rig *g, const char *what) {
    fail_msg("%s: %s: %s", g->c->name, what, reel_env_message(g->env));
}

/* Records the case; with gradient also the loss sum(r * out) and its backward. */
static void rig_record(rig *g, bool gradient) {
    const op_case *c = g->c;
    reel_tape_set_training(g->tape, gradient);
    for (int i = 0; i < c->n_in; i++) {
        char name[16];
        snprintf(name, sizeof name, "in%d", i);
        const bool param = gradient && !c->in[i].fixed && reel_dtype_is_float(c->in[i].dtype);
        g->in[i] = (param ? reel_tape_param : reel_tape_input)(g->tape, c->in[i].dtype,
                                                               c->in[i].shape, name, g->data[i]);
    }
    g->out = c->build(g->tape, g->in, c->context);
    reel_tape_keep(g->tape, g->out);
    if (!gradient) return;
    const reel_value out = *reel_tape_value(g->tape, g->out);
    const int64_t n = reel_shape_count(&out.shape);
    if (!g->r) {
        g->r = malloc((size_t)(n ? n : 1) * sizeof *g->r);
        uint64_t seed = 77;
        for (int64_t i = 0; i < n; i++)
            g->r[i] = (float)normal(&seed);
    }
    const reel_var r = reel_tape_input(g->tape, REEL_F32, out.shape, "r", g->r);
    const reel_var loss = reel_dot(g->tape, reel_cast(g->tape, g->out, REEL_F32), r);
    reel_tape_backward(g->tape, loss);
}

static void rig_open(rig *g, const op_case *c, int n_threads, int isa) {
    *g = (rig){.c = c, .env = op_test_env(n_threads)};
    g->idle_bytes = g->env->allocator.bytes;
    const reel_status status = isa < 0 ? reel_ops_reference_table(g->env, &g->table)
                                       : reel_cpu_table(g->env, (reel_isa)isa, &g->table);
    if (status != REEL_OK || reel_ops_tape_new(g->env, &g->tape) != REEL_OK) rig_fail(g, "setup");
    for (int i = 0; i < c->n_in; i++) {
        const int64_t n = reel_shape_count(&c->in[i].shape);
        g->data[i] = calloc((size_t)(n ? n : 1), (size_t)reel_dtype_bytes(c->in[i].dtype));
        fill(&c->in[i], g->data[i], 1000u + (uint64_t)i);
    }
}

static void rig_close(rig *g) {
    reel_plan_free(&g->plan);
    reel_tape_free(&g->tape);
    reel_kernel_table_free(g->env, &g->table);
    for (int i = 0; i < g->c->n_in; i++)
        free(g->data[i]);
    free(g->r);
    if (g->env->allocator.bytes != g->idle_bytes)
        fail_msg("%s: %d bytes leaked", g->c->name, (int)(g->env->allocator.bytes - g->idle_bytes));
    reel_env_free(&g->env);
}

static void rig_plan_and_run(rig *g, const reel_plan_options *options) {
    if (reel_plan_new(g->tape, g->table, options, &g->plan) != REEL_OK) rig_fail(g, "plan");
    if (reel_plan_run(g->plan, NULL) != REEL_OK) rig_fail(g, "run");
}

/* The gradient of input i as f32 values, NULL when there is none. Caller frees. */
static float *copy_values(const reel_tape *tape, const reel_plan *plan, reel_var var) {
    const reel_value *v = reel_tape_value(tape, var);
    const void *data = plan ? reel_plan_data(plan, var) : v->data;
    if (!var || !data) return NULL;
    const int64_t n = reel_shape_count(&v->shape);
    float *copy = malloc((size_t)(n ? n : 1) * sizeof *copy);
    for (int64_t i = 0; i < n; i++)
        copy[i] = reel_dtype_load(v->dtype, data, i);
    return copy;
}

static double relative_l2(const float *a, const float *b, int64_t n) {
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)a[i] - (double)b[i];
        if (isnan(d) && !(isnan(a[i]) && isnan(b[i])) && a[i] != b[i]) return HUGE_VAL;
        difference += isnan(d) ? 0 : d * d;
        norm += isnan(d) ? 0 : (double)b[i] * (double)b[i];
    }
    return sqrt(difference / (norm + 1e-30));
}

/* ---- values and refusals ---- */

void op_check_values(const op_case *c, const float *expected, int n, double tol) {
    rig g;
    rig_open(&g, c, 1, -1);
    rig_record(&g, false);
    rig_plan_and_run(&g, NULL);
    float *got = copy_values(g.tape, g.plan, g.out);
    const int64_t n_out = reel_shape_count(&reel_tape_value(g.tape, g.out)->shape);
    if (n_out != n) fail_msg("%s: output has %d elements, wanted %d", c->name, (int)n_out, n);
    const double error = relative_l2(got, expected, n);
    if (!(error <= tol)) {
        for (int i = 0; i < n; i++)
            print_error("%s: [%d] got %.9g wanted %.9g\n", c->name, i, (double)got[i],
                        (double)expected[i]);
        fail_msg("%s: relative L2 error %.2e, tolerance %.2e", c->name, error, tol);
    }
    free(got);
    rig_close(&g);
}

void op_check_refused(const op_case *c, reel_status status, const char *part, const char *other) {
    rig g;
    rig_open(&g, c, 1, -1);
    rig_record(&g, false);
    const char *message = reel_env_message(g.env);
    if (reel_tape_status(g.tape) != status)
        fail_msg("%s: status %s, wanted %s: %s", c->name,
                 reel_status_name(reel_tape_status(g.tape)), reel_status_name(status), message);
    if ((part && !strstr(message, part)) || (other && !strstr(message, other)))
        fail_msg("%s: message '%s' lacks '%s' or '%s'", c->name, message, part ? part : "",
                 other ? other : "");
    rig_close(&g);
}

/* ---- gradients ---- */

static double loss_now(rig *g) {
    if (reel_plan_run(g->plan, NULL) != REEL_OK) rig_fail(g, "run");
    const reel_value *v = reel_tape_value(g->tape, g->out);
    const void *y = reel_plan_data(g->plan, g->out);
    double sum = 0;
    for (int64_t i = 0, n = reel_shape_count(&v->shape); i < n; i++)
        sum += (double)reel_dtype_load(v->dtype, y, i) * (double)g->r[i];
    return sum;
}

static void check_input_gradient(rig *g, int i, const float *gradient) {
    const op_case *c = g->c;
    const int64_t n = reel_shape_count(&c->in[i].shape);
    float *numeric = malloc((size_t)(n ? n : 1) * sizeof *numeric), *x = g->data[i];
    for (int64_t k = 0; k < n; k++) {
        const float old = x[k];
        const float step = 1e-2f;
        x[k] = old + step;
        const double above = loss_now(g), up = (double)x[k];
        x[k] = old - step;
        const double below = loss_now(g), down = (double)x[k];
        x[k] = old;
        numeric[k] = (float)((above - below) / (up - down));
    }
    const double error = relative_l2(gradient, numeric, n);
    const double slack = c->slack > 0 ? c->slack : 2e-3;
    if (!(error <= slack)) {
        for (int64_t k = 0; k < n && k < 12; k++)
            print_error("%s: d in%d[%d] got %.6g wanted %.6g\n", c->name, i, (int)k,
                        (double)gradient[k], (double)numeric[k]);
        fail_msg("%s: gradient of in%d is off by %.2e from central differences", c->name, i, error);
    }
    free(numeric);
}

void op_check_gradients(const op_case *c) {
    rig g, forward;
    rig_open(&g, c, 1, -1);
    rig_record(&g, true);
    rig_plan_and_run(&g, NULL);
    rig_open(&forward, c, 1, -1);
    rig_record(&forward, false);
    if (reel_plan_new(forward.tape, forward.table, NULL, &forward.plan) != REEL_OK)
        rig_fail(&forward, "plan");
    forward.r = g.r;
    int n_checked = 0;
    for (int i = 0; i < c->n_in; i++) {
        if (c->in[i].fixed || c->in[i].dtype != REEL_F32) continue;
        float *gradient = copy_values(g.tape, g.plan, reel_tape_grad(g.tape, g.in[i]));
        if (!gradient) fail_msg("%s: in%d got no gradient", c->name, i);
        check_input_gradient(&forward, i, gradient);
        free(gradient);
        n_checked++;
    }
    if (n_checked == 0) fail_msg("%s: no input to take a gradient by", c->name);
    forward.r = NULL;
    rig_close(&forward);
    rig_close(&g);
}

/* ---- plans ---- */

/* Bytes of the output and of every gradient under one way of running. */
static void expect_same_run(const op_case *c, rig *a, rig *b, bool b_eager, const char *what) {
    for (int i = -1; i < c->n_in; i++) {
        const reel_var va = i < 0 ? a->out : reel_tape_grad(a->tape, a->in[i]);
        const reel_var vb = i < 0 ? b->out : reel_tape_grad(b->tape, b->in[i]);
        if (!va && !vb) continue;
        const reel_value *v = reel_tape_value(a->tape, va);
        const void *pa = reel_plan_data(a->plan, va);
        const void *pb = b_eager ? reel_tape_value(b->tape, vb)->data : reel_plan_data(b->plan, vb);
        const size_t bytes = (size_t)(reel_shape_count(&v->shape) * reel_dtype_bytes(v->dtype));
        if (!pa || !pb || memcmp(pa, pb, bytes) != 0)
            fail_msg("%s: %s differ in %s%d", c->name, what,
                     i < 0 ? "the output " : "gradient of in", i);
    }
}

void op_check_plans(const op_case *c) {
    rig planned, other;
    rig_open(&planned, c, 1, -1);
    rig_record(&planned, !c->no_gradient);
    rig_plan_and_run(&planned, NULL);
    const reel_plan_stats stats = reel_plan_get_stats(planned.plan);
    assert_int_equal(stats.n_run_allocations, 0);
    assert_int_equal(stats.planned_bytes, stats.peak_bytes);
    const reel_plan_options ways[2] = {{.reuse = true, .inplace = false},
                                       {.reuse = false, .inplace = false}};
    for (int k = 0; k < 2; k++) {
        rig_open(&other, c, 1, -1);
        rig_record(&other, !c->no_gradient);
        rig_plan_and_run(&other, &ways[k]);
        expect_same_run(c, &planned, &other, false,
                        k ? "planned and unplanned" : "in-place and not");
        rig_close(&other);
    }
    rig_open(&other, c, 1, -1);
    reel_tape_set_eager(other.tape, other.table);
    rig_record(&other, !c->no_gradient);
    if (reel_tape_status(other.tape) != REEL_OK) rig_fail(&other, "eager");
    expect_same_run(c, &planned, &other, true, "planned and eager");
    rig_close(&other);
    rig_close(&planned);
}

/* ---- kernels ---- */

static double fast_tolerance(const op_case *c, const rig *g) {
    if (c->tolerance > 0) return c->tolerance;
    for (reel_var v = 1; v <= reel_tape_n_values(g->tape); v++)
        if (reel_tape_value(g->tape, v)->dtype == REEL_BF16) return 1e-2;
    return 2e-6;
}

static void expect_close_run(const op_case *c, rig *fast, rig *ref, const char *isa) {
    for (int i = -1; i < c->n_in; i++) {
        const reel_var v = i < 0 ? ref->out : reel_tape_grad(ref->tape, ref->in[i]);
        if (!v) continue;
        const reel_var w = i < 0 ? fast->out : reel_tape_grad(fast->tape, fast->in[i]);
        float *a = copy_values(fast->tape, fast->plan, w),
              *b = copy_values(ref->tape, ref->plan, v);
        const double error =
            relative_l2(a, b, reel_shape_count(&reel_tape_value(ref->tape, v)->shape));
        const double tol = fast_tolerance(c, ref);
        if (!(error <= tol))
            fail_msg("%s: %s: %s%d is off by %.2e from the reference, tolerance %.2e", c->name, isa,
                     i < 0 ? "output " : "gradient of in", i, error, tol);
        free(a);
        free(b);
    }
}

/* Runs once on inputs that are no numbers and then on the right ones: what the first run left in
 * the plan's memory and the kernels' own must not be seen in the second. */
static void rig_run_after_nan(rig *g) {
    const op_case *c = g->c;
    for (int i = 0; i < c->n_in; i++)
        for (int64_t k = 0, n = reel_shape_count(&c->in[i].shape); k < n; k++)
            if (reel_dtype_is_float(c->in[i].dtype))
                reel_dtype_store(c->in[i].dtype, g->data[i], k, NAN);
    if (reel_plan_run(g->plan, NULL) != REEL_OK) rig_fail(g, "run");
    for (int i = 0; i < c->n_in; i++)
        fill(&c->in[i], g->data[i], 1000u + (uint64_t)i);
    if (reel_plan_run(g->plan, NULL) != REEL_OK) rig_fail(g, "run");
}

void op_check_kernels(const op_case *c) {
    rig ref;
    rig_open(&ref, c, 1, -1);
    rig_record(&ref, !c->no_gradient);
    rig_plan_and_run(&ref, NULL);
    for (int isa = 0; isa <= (int)reel_isa_detect(); isa++) {
        rig fast[3];
        for (int k = 0; k < 3; k++) {
            rig_open(&fast[k], c, k + 1, isa);
            rig_record(&fast[k], !c->no_gradient);
            rig_plan_and_run(&fast[k], NULL);
        }
        expect_close_run(c, &fast[0], &ref, reel_isa_name((reel_isa)isa));
        expect_same_run(c, &fast[0], &fast[1], false, "1 and 2 threads");
        expect_same_run(c, &fast[0], &fast[2], false, "1 and 3 threads");
        rig_run_after_nan(&fast[1]);
        expect_same_run(c, &fast[0], &fast[1], false, "a first run and one after no numbers");
        for (int k = 0; k < 3; k++)
            rig_close(&fast[k]);
    }
    rig_close(&ref);
}

void op_check_same(const op_case *fused, const op_case *composed, double tol) {
    op_case c = *fused;
    c.tolerance = tol;
    rig a, b;
    rig_open(&a, &c, 1, -1);
    rig_record(&a, !c.no_gradient);
    rig_plan_and_run(&a, NULL);
    rig_open(&b, composed, 1, -1);
    rig_record(&b, !c.no_gradient);
    rig_plan_and_run(&b, NULL);
    expect_close_run(&c, &a, &b, "fused");
    rig_close(&b);
    rig_close(&a);
}

void op_check(const op_case *c) {
    bool f32 = true;
    for (int i = 0; i < c->n_in; i++)
        f32 &= !(reel_dtype_is_float(c->in[i].dtype) && c->in[i].dtype != REEL_F32);
    if (f32 && !c->no_gradient) op_check_gradients(c);
    op_check_plans(c);
    op_check_kernels(c);
}
