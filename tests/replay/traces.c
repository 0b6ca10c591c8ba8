/* Traces of samplers on the model rule out = 0.3 x + 0.1 sin(t / 100). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "diffusion/sampler.h"
#include "replay/replay.h"
#include "support/trace_options.h"

enum { MAX_ELEMENTS = 64 };

/* Reads state i of a trace. */
static reel_status read_state(const reel_json *states, int i, double *x, int *n) {
    const reel_json row = reel_json_item(states, i);
    return trace_reals(&row, NULL, x, MAX_ELEMENTS, n);
}

static void evaluate(const reel_sampler *s, int i, const float *x, int n, float *out) {
    const double t = reel_sampler_timestep(s, i);
    for (int k = 0; k < n; k++)
        out[k] = (float)(0.3 * (double)x[k] + 0.1 * sin(t / 100));
}

/* The greatest distance to the states, over the greatest element of them. */
static reel_status run_states(const reel_json *trace, reel_sampler *s, int n_steps, double *error) {
    reel_json states;
    double want[MAX_ELEMENTS], most = 0, distance = 0;
    float x[MAX_ELEMENTS], out[MAX_ELEMENTS], noise[MAX_ELEMENTS];
    int n = 0, drawn = 0;
    reel_status status = reel_json_array(trace, "x_f64", &states);
    if (status == REEL_OK && reel_json_count(&states) != n_steps + 1)
        status = reel_json_fail(&states, REEL_E_FORMAT, "wanted %d states", n_steps + 1);
    for (int i = 0; i <= n_steps && status == REEL_OK; i++) {
        status = read_state(&states, i, want, &n);
        for (int k = 0; k < n && status == REEL_OK; k++) {
            if (i == 0) x[k] = (float)want[k];
            most = fmax(most, fabs(want[k]));
            distance = fmax(distance, fabs((double)x[k] - want[k]));
        }
        if (i == n_steps || status != REEL_OK) break;
        evaluate(s, i, x, n, out);
        const bool noisy = reel_sampler_wants_noise(s, i);
        for (int k = 0; noisy && k < n; k++)
            noise[k] = (float)sin(12.9898 * (drawn * n + k + 1));
        drawn += noisy;
        reel_sampler_step(s, i, out, NULL, noise, x);
    }
    *error = distance / most;
    return status;
}

static reel_status run_trace(replay *r, const reel_json *trace, double *error) {
    reel_sampler_options options;
    reel_sampler *s = NULL;
    double sigmas[TRACE_MAX_SIGMAS], first[MAX_ELEMENTS];
    reel_json states;
    int n = 0;
    reel_status status = trace_options_read(trace, &options, sigmas);
    if (status == REEL_OK) status = reel_json_array(trace, "x_f64", &states);
    if (status == REEL_OK) status = read_state(&states, 0, first, &n);
    if (status == REEL_OK) status = reel_sampler_new(r->env, &options, n, &s);
    if (status == REEL_OK) status = run_states(trace, s, options.n_steps, error);
    reel_sampler_free(&s);
    return status;
}

reel_status replay_traces(replay *r, const char *path) {
    reel_json_doc *doc;
    const reel_status status = reel_json_load(r->env, path, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    for (int64_t i = 0; i < reel_json_count(&root); i++) {
        const reel_json trace = reel_json_item(&root, i);
        const char *name = "";
        double error = 0;
        reel_status ran = reel_json_string(&trace, "name", &name);
        if (ran == REEL_OK) ran = run_trace(r, &trace, &error);
        if (ran == REEL_E_UNSUPPORTED) {
            printf("  %-40s  %-10s  SKIP\n", name, "-");
            r->n_skip++;
        } else if (ran != REEL_OK) {
            printf("  %-40s  %-10s  FAIL: %s\n", name, "-", reel_env_message(r->env));
            r->n_fail++;
        } else {
            const bool pass = error <= 1e-5; /* samplers compute in f64, states are f32 */
            printf("  %-40s  %-10.2e  %s\n", name, error, pass ? "pass" : "FAIL");
            r->n_pass += pass;
            r->n_fail += !pass;
        }
        reel_env_clear(r->env);
    }
    reel_json_free(&doc);
    return REEL_OK;
}
