#include "ops/optim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "cpu/cpu.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/loss.h"
#include "support/op_check.h"
#include "tape/plan.h"

/* ---- the ops through the harness: against the reference, at every level and width ---- */

static reel_var build_square_sum(reel_tape *t, const reel_var *in, const void *context) {
    return reel_square_sum(t, in, *(const int *)context);
}
static reel_var build_grad_clip(reel_tape *t, const reel_var *in, const void *context) {
    return reel_grad_clip(t, in, *(const int *)context, in[2]);
}
/* Output number *context of adamw over the operands as they come. */
static reel_var build_adamw(reel_tape *t, const reel_var *in, const void *context) {
    const int which = *(const int *)context;
    const reel_optim_attr attr = {.copy = 1};
    const reel_var out = reel_tape_record(t, &reel_op_adamw, &attr, sizeof attr, in, in[5] ? 6 : 5);
    return out ? out + which : 0;
}
static reel_var build_momentum(reel_tape *t, const reel_var *in, const void *context) {
    const reel_optim_attr attr = {.out_dtype = REEL_BF16};
    const reel_var out =
        REEL_RECORD(t, &reel_op_momentum, &attr, sizeof attr, in[0], in[1], in[2], in[3]);
    return out ? out + *(const int *)context : 0;
}
static reel_var build_descend(reel_tape *t, const reel_var *in, const void *context) {
    const reel_optim_attr attr = {.copy = 1, .scale = 0.2f};
    const reel_var out =
        REEL_RECORD(t, &reel_op_descend, &attr, sizeof attr, in[0], in[1], in[2], in[3]);
    return out ? out + *(const int *)context : 0;
}
static reel_var build_orthogonalise(reel_tape *t, const reel_var *in, const void *context) {
    return reel_orthogonalise(t, in[0], *(const reel_dtype *)context);
}

static const float adamw_numbers[8] = {0.01f, 0.9f, 0.99f, 1e-8f, 0.1f, 0.19f, 0.0199f, 0};
static const float muon_numbers[3] = {0.02f, 0.95f, 0.1f};
static const float half[2] = {3, 0.5f}, broken[2] = {NAN, NAN};

static op_case adamw_case(const int *which, reel_shape x, const float *clip) {
    return (op_case){.name = "adamw",
                     .build = build_adamw,
                     .context = which,
                     .n_in = clip ? 6 : 5,
                     .no_gradient = true,
                     .in = {{.shape = x},
                            {.shape = x},
                            {.shape = x, .lo = 0.1, .hi = 2},
                            {.shape = x},
                            {.shape = REEL_SHAPE(8), .value = adamw_numbers},
                            {.shape = REEL_SHAPE(2), .value = clip}}};
}

static void test_adamw_checks_at_odd_sizes(void **state) {
    (void)state;
    for (int which = 0; which < 4; which++) {
        op_case c = adamw_case(&which, REEL_SHAPE(7, 13), NULL);
        op_check(&c);
        c = adamw_case(&which, REEL_SHAPE(3, 16389), half);
        op_check_kernels(&c);
        c.in[3].dtype = REEL_BF16;
        op_check_kernels(&c);
    }
}

static void test_muon_parts_check_at_odd_sizes(void **state) {
    (void)state;
    op_build *const builds[2] = {build_momentum, build_descend};
    for (int k = 0; k < 2; k++)
        for (int which = 0; which < 2; which++) {
            op_case c = {.name = k ? "descend" : "momentum",
                         .build = builds[k],
                         .context = &which,
                         .n_in = 4,
                         .no_gradient = true,
                         .in = {{.shape = REEL_SHAPE(7, 13)},
                                {.shape = REEL_SHAPE(7, 13)},
                                {.shape = REEL_SHAPE(3), .value = muon_numbers},
                                {.shape = REEL_SHAPE(2), .value = half}}};
            op_check(&c);
            c.in[0].shape = c.in[1].shape = REEL_SHAPE(3, 16389);
            c.in[1].dtype = REEL_BF16;
            op_check_kernels(&c);
        }
}

static void test_square_sum_takes_many_tensors(void **state) {
    (void)state;
    const float x[6] = {1, 2, 3, 4, 5, 6};
    int n = 10;
    op_case c = {.name = "square_sum", .build = build_square_sum, .context = &n, .n_in = 10};
    for (int i = 0; i < n; i++)
        c.in[i] = (op_input){.shape = REEL_SHAPE(i % 2 + 1, 3), .value = x};
    c.no_gradient = true;
    op_check_values(&c, (const float[]){5 * 14 + 5 * 91}, 1, 1e-7); /* 14, 91: of 3, of 6 */
    op_check(&c);
    for (int i = 0; i < n; i++)
        c.in[i] =
            (op_input){.shape = REEL_SHAPE(9001 * (i % 3)), .dtype = i % 2 ? REEL_BF16 : REEL_F32};
    op_check_kernels(&c);
}

static void test_grad_clip_has_hand_values(void **state) {
    (void)state;
    const float a[2] = {3, 4}, b[1] = {12}, limit[3] = {6.5f, 100, 0}, nan[1] = {NAN};
    int n = 2;
    op_case c = {.name = "grad_clip",
                 .build = build_grad_clip,
                 .context = &n,
                 .n_in = 3,
                 .in = {{.shape = REEL_SHAPE(2), .value = a},
                        {.shape = REEL_SHAPE(1), .value = b},
                        {.shape = {0}, .value = limit}}};
    op_check_values(&c, (const float[]){13, 0.5f}, 2, 1e-6);
    c.in[2].value = limit + 1;
    op_check_values(&c, (const float[]){13, 1}, 2, 1e-7);
    c.in[2].value = limit + 2;
    op_check_values(&c, (const float[]){13, 1}, 2, 1e-7);
    c.in[1].value = nan;
    op_check_values(&c, (const float[]){NAN, NAN}, 2, 0);
}

/* ---- AdamW against a scalar in double, over steps, in place ---- */

enum { N = 37, STEPS = 6 };

/* One tape that steps w in place; data[] is w, m, v, grad, hyper, clip. */
typedef struct stepper {
    reel_env *env;
    reel_tape *tape;
    reel_kernel_table *table;
    reel_plan *plan;
} stepper;

static stepper stepper_open(int isa) {
    stepper s = {.env = op_test_env(2)};
    assert_int_equal(reel_ops_tape_new(s.env, &s.tape), REEL_OK);
    assert_int_equal(isa < 0 ? reel_ops_reference_table(s.env, &s.table)
                             : reel_cpu_table(s.env, (reel_isa)isa, &s.table),
                     REEL_OK);
    reel_tape_set_training(s.tape, true);
    return s;
}
static void stepper_plan(stepper *s) {
    if (reel_plan_new(s->tape, s->table, NULL, &s->plan) != REEL_OK)
        fail_msg("%s", reel_env_message(s->env));
}
static void stepper_run(stepper *s) {
    assert_int_equal(reel_plan_run(s->plan, NULL), REEL_OK);
    assert_int_equal(reel_plan_get_stats(s->plan).n_run_allocations, 0);
}
static void stepper_close(stepper *s) {
    reel_plan_free(&s->plan);
    reel_tape_free(&s->tape);
    reel_kernel_table_free(s->env, &s->table);
    reel_env_free(&s->env);
}

static void adamw_in_double(double *w, double *m, double *v, double g, const reel_adamw_options *o,
                            int step) {
    *m = o->beta1 * *m + (1 - o->beta1) * g;
    *v = o->beta2 * *v + (1 - o->beta2) * g * g;
    const double mh = *m / (1 - pow(o->beta1, step)), vh = *v / (1 - pow(o->beta2, step));
    *w = *w - o->lr * o->weight_decay * *w - o->lr * mh / (sqrt(vh) + o->eps);
}

static void test_adamw_follows_double_over_steps(void **state) {
    (void)state;
    const reel_adamw_options o = {0.01, 0.9, 0.99, 1e-8, 0.1};
    for (int isa = -1; isa <= (int)reel_isa_detect(); isa++) {
        float w[N], m[N] = {0}, v[N] = {0}, g[N], hyper[REEL_ADAMW_HYPER];
        double dw[N], dm[N] = {0}, dv[N] = {0};
        reel_bf16 copy[N];
        reel_rng_fill_normal(1, 0, 0, N, w);
        for (int i = 0; i < N; i++)
            dw[i] = (double)w[i];
        stepper s = stepper_open(isa);
        reel_adamw_operands in = {0};
        in.w = reel_tape_input(s.tape, REEL_F32, REEL_SHAPE(N), "w", w);
        in.m = reel_tape_input(s.tape, REEL_F32, REEL_SHAPE(N), "m", m);
        in.v = reel_tape_input(s.tape, REEL_F32, REEL_SHAPE(N), "v", v);
        in.grad = reel_tape_input(s.tape, REEL_F32, REEL_SHAPE(N), "g", g);
        in.hyper = reel_tape_input(s.tape, REEL_F32, REEL_SHAPE(8), "hyper", hyper);
        in.copy = reel_tape_param(s.tape, REEL_BF16, REEL_SHAPE(N), "copy", copy);
        reel_adamw(s.tape, &in);
        stepper_plan(&s);
        for (int step = 1; step <= STEPS; step++) {
            reel_rng_fill_normal(2, (uint64_t)step, 0, N, g);
            reel_adamw_hyper(&o, step, hyper);
            stepper_run(&s);
            for (int i = 0; i < N; i++)
                adamw_in_double(&dw[i], &dm[i], &dv[i], (double)g[i], &o, step);
        }
        for (int i = 0; i < N; i++) {
            assert_true(fabs((double)w[i] - dw[i]) < 1e-6 * (1 + fabs(dw[i])));
            assert_true(fabs((double)v[i] - dv[i]) < 1e-6 * (1 + fabs(dv[i])));
            assert_int_equal(copy[i], reel_f32_to_bf16(w[i]));
        }
        stepper_close(&s);
    }
}

static void test_adamw_has_hand_values(void **state) {
    (void)state;
    /* The first step moves by lr sign(g), whatever g's size, and decays by lr * decay * w. */
    const reel_adamw_options o = {0.1, 0.9, 0.999, 0, 0.5};
    float hyper[REEL_ADAMW_HYPER];
    reel_adamw_hyper(&o, 1, hyper);
    const float w[3] = {1, -2, 0}, zero[3] = {0}, g[3] = {5, -0.001f, 2};
    const int first = 0;
    op_case c = adamw_case(&first, REEL_SHAPE(3), NULL);
    const float *const values[5] = {w, zero, zero, g, hyper};
    for (int i = 0; i < 5; i++)
        c.in[i].value = values[i];
    op_check_values(&c, (const float[]){1 - 0.1f - 0.05f, -2 + 0.1f + 0.1f, -0.1f}, 3, 1e-6);
}

static void test_adamw_skips_a_step_that_is_not_finite(void **state) {
    (void)state;
    for (int which = 0; which < 3; which++) {
        op_case c = adamw_case(&which, REEL_SHAPE(19), broken);
        float x[19], g[19];
        for (int i = 0; i < 19; i++) {
            x[i] = (float)(i + 1);
            g[i] = i == 4 ? NAN : 1;
        }
        c.in[which].value = x;
        c.in[3].value = g;
        op_check_values(&c, x, 19, 0);
        op_check_kernels(&c);
    }
    const int w = 0; /* and without clip the NaN goes through, to its own weight alone */
    op_case c = adamw_case(&w, REEL_SHAPE(2), NULL);
    c.in[3].value = (const float[]){NAN, 1};
    op_check_kernels(&c);
}

/* ---- Muon ---- */

/* A diagonal matrix keeps its form: Newton-Schulz acts on each singular value by the quintic. */
static void test_orthogonalise_maps_singular_values_by_the_quintic(void **state) {
    (void)state;
    const float u[12] = {3, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0};
    float want[12] = {0}, tall[12] = {0}, want_tall[12] = {0};
    for (int i = 0; i < 3; i++) {
        double s = (3 - i) / (sqrt(14) + 1e-7);
        for (int k = 0; k < 5; k++)
            s = 3.4445 * s - 4.7750 * s * s * s + 2.0315 * s * s * s * s * s;
        want[5 * i] = want_tall[4 * i] = (float)s;
        tall[4 * i] = (float)(3 - i);
        assert_true(s > 0.6 && s < 1.3);
    }
    const reel_dtype f32 = REEL_F32;
    op_case c = {.name = "orthogonalise",
                 .build = build_orthogonalise,
                 .context = &f32,
                 .n_in = 1,
                 .in = {{.shape = REEL_SHAPE(3, 4), .value = u}}};
    op_check_values(&c, want, 12, 1e-5);
    c.in[0] = (op_input){.shape = REEL_SHAPE(4, 3), .value = tall};
    op_check_values(&c, want_tall, 12, 1e-5);
}

static void test_orthogonalise_checks_kernels(void **state) {
    (void)state;
    const reel_dtype dtype[2] = {REEL_F32, REEL_BF16};
    for (int k = 0; k < 2; k++) {
        op_case c = {.name = "orthogonalise",
                     .build = build_orthogonalise,
                     .context = &dtype[k],
                     .n_in = 1,
                     .no_gradient = true,
                     /* each of five steps may stretch an error 3.4445 times, and bf16 rounds */
                     .tolerance = k ? 0.1 : 1e-4,
                     .in = {{.shape = REEL_SHAPE(33, 21), .dtype = dtype[k]}}};
        op_check_kernels(&c);
    }
}

/* Muon by hand, in double, for a matrix [O,I] with O <= I. */
enum { O = 3, I = 5 };

static void quintic_in_double(double x[O][I]) {
    double a[O][O], p[O][O], y[O][I];
    for (int i = 0; i < O; i++)
        for (int j = 0; j < O; j++) {
            a[i][j] = 0;
            for (int k = 0; k < I; k++)
                a[i][j] += x[i][k] * x[j][k];
        }
    for (int i = 0; i < O; i++)
        for (int j = 0; j < O; j++) {
            p[i][j] = -4.7750 * a[i][j];
            for (int k = 0; k < O; k++)
                p[i][j] += 2.0315 * a[i][k] * a[k][j];
        }
    for (int i = 0; i < O; i++)
        for (int j = 0; j < I; j++) {
            y[i][j] = 3.4445 * x[i][j];
            for (int k = 0; k < O; k++)
                y[i][j] += p[i][k] * x[k][j];
        }
    memcpy(x, y, sizeof y);
}

static void muon_in_double(double w[O][I], double buf[O][I], const float g[O * I], double lr,
                           double mu, double decay) {
    double x[O][I], norm = 0;
    for (int i = 0; i < O; i++)
        for (int j = 0; j < I; j++) {
            const double one = (double)g[i * I + j];
            buf[i][j] = mu * buf[i][j] + one;
            x[i][j] = one + mu * buf[i][j];
            norm += x[i][j] * x[i][j];
        }
    for (int i = 0; i < O; i++)
        for (int j = 0; j < I; j++)
            x[i][j] /= sqrt(norm) + 1e-7;
    for (int k = 0; k < 5; k++)
        quintic_in_double(x);
    for (int i = 0; i < O; i++)
        for (int j = 0; j < I; j++)
            w[i][j] -= lr * (0.2 * sqrt(5) * x[i][j] + decay * w[i][j]);
}

static void test_muon_follows_double_over_steps(void **state) {
    (void)state;
    for (int isa = -1; isa <= (int)reel_isa_detect(); isa++) {
        float w[O * I], buf[O * I] = {0}, g[O * I];
        double dw[O][I], dbuf[O][I] = {{0}};
        reel_rng_fill_normal(5, 0, 0, O * I, w);
        for (int i = 0; i < O * I; i++)
            dw[i / I][i % I] = (double)w[i];
        stepper s = stepper_open(isa);
        /* as a convolution kernel's shape, to see that it is taken for a matrix */
        reel_muon_operands in = {.product = REEL_F32};
        in.w = reel_tape_input(s.tape, REEL_F32, REEL_SHAPE(O, 1, I), "w", w);
        in.buf = reel_tape_input(s.tape, REEL_F32, REEL_SHAPE(O, 1, I), "buf", buf);
        in.grad = reel_tape_input(s.tape, REEL_F32, REEL_SHAPE(O, 1, I), "g", g);
        in.hyper = reel_tape_input(s.tape, REEL_F32, REEL_SHAPE(3), "hyper", muon_numbers);
        reel_muon(s.tape, &in);
        stepper_plan(&s);
        for (int step = 1; step <= STEPS; step++) {
            reel_rng_fill_normal(6, (uint64_t)step, 0, O * I, g);
            stepper_run(&s);
            muon_in_double(dw, dbuf, g, 0.02, 0.95, 0.1);
        }
        for (int i = 0; i < O * I; i++) {
            assert_true(fabs((double)w[i] - dw[i / I][i % I]) < 2e-5);
            assert_true(fabs((double)buf[i] - dbuf[i / I][i % I]) < 1e-5);
        }
        stepper_close(&s);
    }
}

/* ---- a whole training step on one tape ---- */

typedef struct model {
    float w[4 * 6], b[4], m[2][24], v[2][24], average[24];
    float x[5 * 6], target[5 * 4], hyper[REEL_ADAMW_HYPER], most, rate, loss, norm[2];
} model;

static void record_training(reel_tape *t, model *k) {
    const reel_var x = reel_tape_input(t, REEL_F32, REEL_SHAPE(5, 6), "x", k->x);
    const reel_var target = reel_tape_input(t, REEL_F32, REEL_SHAPE(5, 4), "target", k->target);
    const reel_var hyper = reel_tape_input(t, REEL_F32, REEL_SHAPE(8), "hyper", k->hyper);
    const reel_var most = reel_tape_input(t, REEL_F32, (reel_shape){0}, "most", &k->most);
    const reel_var rate = reel_tape_input(t, REEL_F32, (reel_shape){0}, "rate", &k->rate);
    const reel_var average = reel_tape_input(t, REEL_F32, REEL_SHAPE(4, 6), "average", k->average);
    const reel_shape shape[2] = {REEL_SHAPE(4, 6), REEL_SHAPE(4)};
    const reel_var p[2] = {reel_tape_param(t, REEL_F32, shape[0], "w", k->w),
                           reel_tape_param(t, REEL_F32, shape[1], "b", k->b)};
    const reel_var y = reel_linear(t, x, p[0], p[1], REEL_ACT_SILU, REEL_F32);
    const reel_var loss = reel_mse(t, y, target, 0);
    reel_tape_bind(t, loss, &k->loss);
    reel_tape_backward(t, loss);
    const reel_var grad[2] = {reel_tape_grad(t, p[0]), reel_tape_grad(t, p[1])};
    const reel_var clip = reel_grad_clip(t, grad, 2, most);
    reel_tape_bind(t, clip, k->norm);
    for (int i = 0; i < 2; i++) {
        const reel_var m = reel_tape_input(t, REEL_F32, shape[i], "m", k->m[i]);
        const reel_var v = reel_tape_input(t, REEL_F32, shape[i], "v", k->v[i]);
        const reel_var w = reel_adamw(
            t, &(reel_adamw_operands){
                   .w = p[i], .m = m, .v = v, .grad = grad[i], .hyper = hyper, .clip = clip});
        if (i == 0) reel_moving_average(t, average, w, rate);
    }
}

static model model_new(void) {
    model k = {.most = 0.05f, .rate = 0.25f};
    reel_rng_fill_normal(9, 1, 0, 24, k.w);
    reel_rng_fill_normal(9, 2, 0, 4, k.b);
    reel_rng_fill_normal(9, 3, 0, 30, k.x);
    reel_rng_fill_normal(9, 4, 0, 20, k.target);
    return k;
}

/* The same step in double, w and b as one list of 28. */
static double train_in_double(const model *k, double p[28], double m[28], double v[28],
                              double average[24], const reel_adamw_options *o, int step) {
    double g[28] = {0}, loss = 0, norm = 0;
    for (int r = 0; r < 5; r++)
        for (int j = 0; j < 4; j++) {
            double h = p[24 + j];
            for (int i = 0; i < 6; i++)
                h += (double)k->x[r * 6 + i] * p[j * 6 + i];
            const double s = 1 / (1 + exp(-h)), d = h * s - (double)k->target[r * 4 + j];
            loss += d * d / 20;
            const double dh = d / 10 * s * (1 + h * (1 - s));
            for (int i = 0; i < 6; i++)
                g[j * 6 + i] += dh * (double)k->x[r * 6 + i];
            g[24 + j] += dh;
        }
    for (int i = 0; i < 28; i++)
        norm += g[i] * g[i];
    const double clip = fmin(1, 0.05 / (sqrt(norm) + 1e-6));
    for (int i = 0; i < 28; i++)
        adamw_in_double(&p[i], &m[i], &v[i], clip * g[i], o, step);
    for (int i = 0; i < 24; i++)
        average[i] += 0.25 * (p[i] - average[i]);
    return loss;
}

static void test_a_training_step_is_one_tape(void **state) {
    (void)state;
    const reel_adamw_options o = {0.05, 0.9, 0.99, 1e-4, 0.1};
    for (int isa = -1; isa <= (int)reel_isa_detect(); isa++) {
        model k = model_new();
        double p[28], m[28] = {0}, v[28] = {0}, average[24] = {0}, first = 0;
        for (int i = 0; i < 28; i++)
            p[i] = i < 24 ? (double)k.w[i] : (double)k.b[i - 24];
        stepper s = stepper_open(isa);
        reel_plan *plan = NULL;
        for (int step = 1; step <= 20; step++) {
            reel_tape_reset(s.tape);
            record_training(s.tape, &k);
            assert_int_equal(reel_plan_update(s.tape, s.table, NULL, &s.plan), REEL_OK);
            if (step == 1) plan = s.plan;
            assert_ptr_equal(plan, s.plan); /* the numbers change, the plan stays */
            reel_adamw_hyper(&o, step, k.hyper);
            stepper_run(&s);
            const double loss = train_in_double(&k, p, m, v, average, &o, step);
            assert_true(fabs((double)k.loss - loss) < 1e-4 * loss);
            if (step == 1) first = loss;
        }
        assert_true((double)k.loss < 0.7 * first);
        for (int i = 0; i < 24; i++) {
            assert_true(fabs((double)k.w[i] - p[i]) < 1e-4);
            assert_true(fabs((double)k.average[i] - average[i]) < 1e-4);
        }
        stepper_close(&s);
    }
}

static void test_a_broken_batch_leaves_the_model_as_it_is(void **state) {
    (void)state;
    const reel_adamw_options o = reel_adamw_options_default();
    model k = model_new();
    k.x[7] = NAN;
    reel_adamw_hyper(&o, 1, k.hyper);
    const model before = k;
    stepper s = stepper_open(REEL_ISA_COUNT);
    record_training(s.tape, &k);
    stepper_plan(&s);
    stepper_run(&s);
    assert_true(isnan(k.loss) && isnan(k.norm[0]));
    assert_memory_equal(k.w, before.w, sizeof k.w);
    assert_memory_equal(k.b, before.b, sizeof k.b);
    assert_memory_equal(k.m, before.m, sizeof k.m);
    assert_memory_equal(k.v, before.v, sizeof k.v);
    stepper_close(&s);
}

static void test_update_works_in_eager_mode(void **state) {
    (void)state;
    float sum[3] = {1, 2, 3};
    const float x[3] = {10, 20, 30};
    stepper s = stepper_open(-1);
    reel_tape_set_eager(s.tape, s.table);
    const reel_var total = reel_tape_input(s.tape, REEL_F32, REEL_SHAPE(3), "sum", sum);
    const reel_var more = reel_tape_input(s.tape, REEL_F32, REEL_SHAPE(3), "x", x);
    reel_update(s.tape, total, reel_add(s.tape, total, more));
    const float want[3] = {11, 22, 33};
    assert_memory_equal(sum, want, sizeof want);
    stepper_close(&s);
}

/* ---- refusals ---- */

static void test_optim_refuses_misfits(void **state) {
    (void)state;
    const int first = 0, one = 1;
    op_case c = adamw_case(&first, REEL_SHAPE(3), NULL);
    c.in[3].shape = REEL_SHAPE(4);
    op_check_refused(&c, REEL_E_SHAPE, "adamw: operand 3 must be float [3]", "got f32 [4]");
    c = adamw_case(&first, REEL_SHAPE(3), NULL);
    c.in[1].dtype = REEL_BF16;
    op_check_refused(&c, REEL_E_SHAPE, "adamw: operand 1 must be f32 [3]", "got bf16 [3]");
    c = adamw_case(&first, REEL_SHAPE(3), NULL);
    c.in[4].shape = REEL_SHAPE(7);
    op_check_refused(&c, REEL_E_SHAPE, "adamw: hyper must be f32 [8]", "got f32 [7]");
    c = (op_case){.name = "square_sum",
                  .build = build_square_sum,
                  .context = &one,
                  .n_in = 1,
                  .in = {{.dtype = REEL_I32, .shape = REEL_SHAPE(3)}}};
    op_check_refused(&c, REEL_E_SHAPE, "square_sum: operand 1 must be a float type", "i32");
    const reel_dtype f32 = REEL_F32;
    c = (op_case){.name = "orthogonalise",
                  .build = build_orthogonalise,
                  .context = &f32,
                  .n_in = 1,
                  .in = {{.shape = REEL_SHAPE(3)}}};
    op_check_refused(&c, REEL_E_SHAPE, "orthogonalise: u must be [O,I]", "got [3]");
}

static void test_update_refuses_what_does_not_fit_or_has_no_memory(void **state) {
    (void)state;
    const float x[3] = {1, 2, 3};
    for (int k = 0; k < 2; k++) {
        stepper s = stepper_open(-1);
        const reel_var a = reel_tape_input(s.tape, REEL_F32, REEL_SHAPE(3), "a", k ? NULL : x);
        const reel_var b = reel_tape_input(s.tape, REEL_F32, REEL_SHAPE(2, 3), "b", NULL);
        reel_update(s.tape, a, reel_add(s.tape, a, k ? a : b));
        assert_int_equal(reel_tape_status(s.tape), k ? REEL_E_ARG : REEL_E_SHAPE);
        assert_non_null(strstr(reel_env_message(s.env),
                               k ? "bound to no memory" : "f32 [3] cannot take f32 [2,3]"));
        stepper_close(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adamw_checks_at_odd_sizes),
        cmocka_unit_test(test_muon_parts_check_at_odd_sizes),
        cmocka_unit_test(test_square_sum_takes_many_tensors),
        cmocka_unit_test(test_grad_clip_has_hand_values),
        cmocka_unit_test(test_adamw_follows_double_over_steps),
        cmocka_unit_test(test_adamw_has_hand_values),
        cmocka_unit_test(test_adamw_skips_a_step_that_is_not_finite),
        cmocka_unit_test(test_orthogonalise_maps_singular_values_by_the_quintic),
        cmocka_unit_test(test_orthogonalise_checks_kernels),
        cmocka_unit_test(test_muon_follows_double_over_steps),
        cmocka_unit_test(test_a_training_step_is_one_tape),
        cmocka_unit_test(test_a_broken_batch_leaves_the_model_as_it_is),
        cmocka_unit_test(test_update_works_in_eager_mode),
        cmocka_unit_test(test_optim_refuses_misfits),
        cmocka_unit_test(test_update_refuses_what_does_not_fit_or_has_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
