/* Samplers against traces of the public reference implementations (tests/golden/schedulers):
 * diffusers 0.35.2 and Wan 2.1's own solvers, run on the model rule out = 0.3 x + 0.1 sin(t / 100).
 */
#include "diffusion/sampler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "support/op_check.h"
#include "support/trace_options.h"

static int read_reals(const reel_json *at, const char *key, double *out, int most) {
    int n;
    assert_int_equal(trace_reals(at, key, out, most, &n), REEL_OK);
    return n;
}

/* ---- running one ---- */

static void expect_tables(const reel_json *trace, const reel_sampler *s, const char *name, int n) {
    double want[128];
    assert_int_equal(read_reals(trace, "timesteps", want, 128), n);
    for (int i = 0; i < n; i++)
        if (fabs(reel_sampler_timestep(s, i) - want[i]) > 1e-6 * 1000)
            fail_msg("%s: timestep %d is %.9g, wanted %.9g", name, i, reel_sampler_timestep(s, i),
                     want[i]);
    const int n_sigmas = read_reals(trace, "sigmas", want, 128);
    /* the reference holds alphas_cumprod in f32: an error of 6e-8 in 1 - ac = sigma^2 ac */
    for (int i = 0; i < n_sigmas; i++)
        if (fabs(reel_sampler_sigma(s, i) - want[i]) > 1e-5 * want[i] + 6e-8 / (2 * want[i] + 6e-2))
            fail_msg("%s: sigma %d is %.9g, wanted %.9g", name, i, reel_sampler_sigma(s, i),
                     want[i]);
}

static void expect_states(const reel_json *trace, reel_sampler *s, const char *name, int n) {
    reel_json states;
    assert_int_equal(reel_json_array(trace, "x_f64", &states), REEL_OK);
    assert_int_equal(reel_json_count(&states), n + 1);
    float x[4], out[4], noise[4];
    double want[4], most = 0;
    int drawn = 0;
    for (int i = 0; i <= n; i++) {
        const reel_json row = reel_json_item(&states, i);
        reel_json_entry holder = {.value = row};
        reel_json flat = holder.value;
        for (int k = 0; k < 4; k++) {
            const reel_json item = reel_json_item(&flat, k);
            assert_int_equal(reel_json_real(&item, NULL, -1e300, 1e300, &want[k]), REEL_OK);
            most = fmax(most, fabs(want[k]));
            if (i == 0) x[k] = (float)want[k];
        }
        for (int k = 0; k < 4; k++)
            if (!(fabs((double)x[k] - want[k]) <= 1e-5 * most))
                fail_msg("%s: state %d element %d is %.9g, wanted %.9g", name, i, k, (double)x[k],
                         want[k]);
        if (i == n) return;
        const double t = reel_sampler_timestep(s, i);
        for (int k = 0; k < 4;
             k++) /* the traces' model sees x unscaled, even Euler's on diffusion */
            out[k] = (float)(0.3 * (double)x[k] + 0.1 * sin(t / 100));
        const bool noisy = reel_sampler_wants_noise(s, i);
        for (int k = 0; noisy && k < 4; k++)
            noise[k] = (float)sin(12.9898 * (drawn * 4 + k + 1));
        drawn += noisy;
        reel_sampler_step(s, i, out, NULL, noise, x);
    }
}

static void test_samplers_reproduce_the_reference_traces(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_json_doc *doc;
    if (reel_json_load(env, "tests/golden/schedulers/traces.json", &doc) != REEL_OK)
        fail_msg("%s", reel_env_message(env));
    const reel_json root = reel_json_root(doc);
    assert_int_equal(reel_json_count(&root), 42);
    for (int64_t i = 0; i < 42; i++) {
        const reel_json trace = reel_json_item(&root, i);
        const char *name;
        reel_sampler_options options;
        reel_sampler *s;
        double sigmas[TRACE_MAX_SIGMAS];
        assert_int_equal(reel_json_string(&trace, "name", &name), REEL_OK);
        if (trace_options_read(&trace, &options, sigmas) != REEL_OK)
            fail_msg("%s: %s", name, reel_env_message(env));
        if (reel_sampler_new(env, &options, 4, &s) != REEL_OK)
            fail_msg("%s: %s", name, reel_env_message(env));
        expect_tables(&trace, s, name, options.n_steps);
        expect_states(&trace, s, name, options.n_steps);
        reel_sampler_free(&s);
    }
    reel_json_free(&doc);
    reel_env_free(&env);
}

static void test_samplers_reproduce_the_longer_tables(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_json_doc *doc;
    if (reel_json_load(env, "tests/golden/schedulers/tables.json", &doc) != REEL_OK)
        fail_msg("%s", reel_env_message(env));
    const reel_json root = reel_json_root(doc);
    int n_tables = 0;
    for (reel_json_entry e = reel_json_first(&root); e.key; e = reel_json_next(&root, e)) {
        const char *shift = strstr(e.key, "shift");
        const char *steps = strstr(e.key, "_30_") ? "30" : "50";
        assert_non_null(shift);
        reel_sampler_options o = reel_sampler_options_default(
            strstr(e.key, "euler") ? REEL_SAMPLER_EULER : REEL_SAMPLER_UNIPC);
        o.n_steps = atoi(steps);
        o.schedule.shift = atof(shift + 5);
        reel_sampler *s;
        assert_int_equal(reel_sampler_new(env, &o, 1, &s), REEL_OK);
        expect_tables(&e.value, s, e.key, o.n_steps);
        reel_sampler_free(&s);
        n_tables++;
    }
    assert_int_equal(n_tables, 12);
    reel_json_free(&doc);
    reel_env_free(&env);
}

/* ---- what no trace covers ---- */

/* The end of dx/dsigma = -x from sigma 1 to 0, started at 1: e. */
static double decay_error(reel_env *env, reel_sampler_kind kind, int n_steps) {
    reel_sampler_options o = reel_sampler_options_default(kind);
    double sigmas[64];
    for (int i = 0; i < n_steps; i++)
        sigmas[i] = 1 - (double)i / n_steps;
    o.n_steps = n_steps;
    o.sigmas = sigmas;
    reel_sampler *s;
    assert_int_equal(reel_sampler_new(env, &o, 1, &s), REEL_OK);
    float x = 1;
    for (int i = 0; i < reel_sampler_n_evaluations(s); i++) {
        const float out = -x;
        reel_sampler_step(s, i, &out, NULL, NULL, &x);
    }
    reel_sampler_free(&s);
    return fabs((double)x - exp(1));
}

static void test_heun_is_of_second_order_but_for_its_last_step(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    /* the last step is Euler's: its local error, x h^2 / 2, is of second order as well */
    const double ratio =
        decay_error(env, REEL_SAMPLER_HEUN, 8) / decay_error(env, REEL_SAMPLER_HEUN, 16);
    const double euler =
        decay_error(env, REEL_SAMPLER_EULER, 8) / decay_error(env, REEL_SAMPLER_EULER, 16);
    assert_true(ratio > 3.4 && ratio < 4.6);
    assert_true(euler > 1.6 && euler < 2.4);
    reel_env_free(&env);
}

static void test_samplers_go_on_from_their_memory(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    for (int kind = 0; kind < REEL_SAMPLER_COUNT; kind++)
        for (int cut = 1; cut < 7; cut++) {
            reel_sampler_options o = reel_sampler_options_default((reel_sampler_kind)kind);
            o.n_steps = 8;
            reel_sampler *s, *again;
            assert_int_equal(reel_sampler_new(env, &o, 3, &s), REEL_OK);
            assert_int_equal(reel_sampler_new(env, &o, 3, &again), REEL_OK);
            const float noise[3] = {0.3f, -1, 2};
            float x[3] = {1, -2, 0.5f}, y[3];
            for (int i = 0; i < reel_sampler_n_evaluations(s); i++) {
                if (i == cut) { /* a copy goes on in another sampler */
                    int64_t bytes, same;
                    void *memory = reel_sampler_memory(s, &bytes);
                    memcpy(reel_sampler_memory(again, &same), memory, (size_t)bytes);
                    assert_int_equal(bytes, same);
                    assert_true(reel_sampler_can_continue(again, i));
                    memcpy(y, x, sizeof x);
                }
                float out[3], out_again[3];
                for (int k = 0; k < 3; k++) {
                    out[k] = 0.4f * x[k] + 0.1f;
                    out_again[k] = 0.4f * y[k] + 0.1f;
                }
                reel_sampler_step(s, i, out, NULL, noise, x);
                if (i >= cut) reel_sampler_step(again, i, out_again, NULL, noise, y);
            }
            assert_memory_equal(x, y, sizeof x);
            reel_sampler_free(&s);
            reel_sampler_free(&again);
        }
    reel_env_free(&env);
}

/* A memory begins with the number of outputs it holds and the order of the last step. */
static void test_samplers_do_not_go_on_from_what_cannot_be(void **state) {
    (void)state;
    static const struct {
        reel_sampler_kind kind;
        int32_t n_outputs, last_order;
        int i;
        bool possible;
    } memory[] = {{REEL_SAMPLER_UNIPC, 0, 0, 0, true},        {REEL_SAMPLER_UNIPC, 1, 1, 1, true},
                  {REEL_SAMPLER_UNIPC, 2, 1, 5, true},        {REEL_SAMPLER_UNIPC, 2, 2, 8, true},
                  {REEL_SAMPLER_UNIPC, 2, 2, 1, false},       {REEL_SAMPLER_UNIPC, 3, 2, 5, false},
                  {REEL_SAMPLER_UNIPC, 2, 0, 5, false},       {REEL_SAMPLER_UNIPC, 2, 3, 5, false},
                  {REEL_SAMPLER_UNIPC, 2, 1 << 20, 5, false}, {REEL_SAMPLER_UNIPC, 2, -1, 5, false},
                  {REEL_SAMPLER_UNIPC, -1, 0, 5, false},      {REEL_SAMPLER_UNIPC, 1, 1, 0, false},
                  {REEL_SAMPLER_UNIPC, 1, 1, -1, false},      {REEL_SAMPLER_UNIPC, 1, 1, 9, false},
                  {REEL_SAMPLER_DPMPP, 2, 0, 5, true},        {REEL_SAMPLER_DPMPP, 1, 0, 0, false},
                  {REEL_SAMPLER_DPMPP, 2, 3, 5, false},       {REEL_SAMPLER_EULER, 0, 0, 8, true}};
    reel_env *env = op_test_env(1);
    for (size_t k = 0; k < sizeof memory / sizeof *memory; k++) {
        reel_sampler_options o = reel_sampler_options_default(memory[k].kind);
        o.n_steps = 8;
        reel_sampler *s;
        int64_t bytes;
        assert_int_equal(reel_sampler_new(env, &o, 3, &s), REEL_OK);
        int32_t *head = reel_sampler_memory(s, &bytes);
        head[0] = memory[k].n_outputs;
        head[1] = memory[k].last_order;
        if (reel_sampler_can_continue(s, memory[k].i) != memory[k].possible)
            fail_msg("memory %zu", k);
        reel_sampler_free(&s);
    }
    reel_env_free(&env);
}

static void test_sampler_options_out_of_range_are_refused(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    struct {
        reel_sampler_kind kind;
        int n_steps, order;
        double shift, eta;
        const char *message;
    } bad[] = {{REEL_SAMPLER_EULER, 0, 2, 1, 0, "steps must be in 1..1000, got 0"},
               {REEL_SAMPLER_EULER, 1001, 2, 1, 0, "got 1001"},
               {REEL_SAMPLER_UNIPC, 8, 4, 1, 0, "order of unipc must be in 1..3, got 4"},
               {REEL_SAMPLER_DPMPP, 8, 3, 1, 0, "order of dpm++2m must be in 1..2, got 3"},
               {REEL_SAMPLER_EULER, 8, 2, 0, 0, "shift must be in 0.001..1000, got 0"},
               {REEL_SAMPLER_EULER, 8, 2, (double)NAN, 0, "shift must be"},
               {REEL_SAMPLER_DDIM, 8, 2, 1, 1.5, "eta must be in 0..1, got 1.5"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        reel_sampler_options o = reel_sampler_options_default(bad[i].kind);
        reel_sampler *s = NULL;
        o.n_steps = bad[i].n_steps;
        o.order = bad[i].order;
        o.schedule.shift = bad[i].shift;
        o.eta = bad[i].eta;
        reel_env_clear(env);
        assert_int_equal(reel_sampler_new(env, &o, 1, &s), REEL_E_ARG);
        if (!strstr(reel_env_message(env), bad[i].message))
            fail_msg("'%s' lacks '%s'", reel_env_message(env), bad[i].message);
    }
    reel_sampler_options o = reel_sampler_options_default(REEL_SAMPLER_DDIM);
    o.schedule.flow = true;
    o.prediction = REEL_PREDICT_FLOW;
    reel_sampler *s = NULL;
    reel_env_clear(env);
    assert_int_equal(reel_sampler_new(env, &o, 1, &s), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(env), "ddim needs a diffusion schedule, got flow"));
    reel_env_free(&env);
}

static void test_euler_on_diffusion_scales_what_the_model_sees(void **state) {
    (void)state;
    reel_env *env = op_test_env(1);
    reel_sampler_options o = reel_sampler_options_default(REEL_SAMPLER_EULER);
    o.schedule.flow = false;
    o.prediction = REEL_PREDICT_EPSILON;
    o.n_steps = 4;
    reel_sampler *s;
    assert_int_equal(reel_sampler_new(env, &o, 1, &s), REEL_OK);
    const double sigma = reel_sampler_sigma(s, 0); /* sqrt((1 - ac) / ac) at 999: 157.4 */
    assert_true(fabs(sigma - 157.407) < 1e-2);
    assert_true(reel_sampler_initial_scale(s) == sigma);
    const float x = 2;
    float scaled;
    reel_sampler_scale_input(s, 0, &x, &scaled);
    assert_true(fabs((double)scaled - 2 / sqrt(sigma * sigma + 1)) < 1e-7);
    reel_sampler_free(&s);
    reel_env_free(&env);
}

static void test_sampler_names_parse_back(void **state) {
    (void)state;
    for (int k = 0; k < REEL_SAMPLER_COUNT; k++)
        assert_int_equal(reel_sampler_parse(reel_sampler_name((reel_sampler_kind)k)), k);
    assert_int_equal(reel_sampler_parse("eulerx"), REEL_SAMPLER_COUNT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samplers_reproduce_the_reference_traces),
        cmocka_unit_test(test_samplers_reproduce_the_longer_tables),
        cmocka_unit_test(test_heun_is_of_second_order_but_for_its_last_step),
        cmocka_unit_test(test_samplers_go_on_from_their_memory),
        cmocka_unit_test(test_samplers_do_not_go_on_from_what_cannot_be),
        cmocka_unit_test(test_sampler_options_out_of_range_are_refused),
        cmocka_unit_test(test_euler_on_diffusion_scales_what_the_model_sees),
        cmocka_unit_test(test_sampler_names_parse_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
