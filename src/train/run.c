#include "train/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "ops/linear.h"
#include "train/report.h"

/* A run in progress. */
typedef struct loop {
    reel_env *env;
    const reel_job *job;
    const reel_run_options *options;
    const reel_recipe *recipe;
    reel_run_state state;
    double began_s, checkpoint_s, validate_s; /* on the clock */
    int64_t validated;                        /* the step of the last validation */
    /* since the last line of metrics */
    double loss, flops, norm, window_s, waited_s;
    int64_t n, samples;
    bool stop;
} loop;

/* ---- telling ---- */

static reel_train_event event_of(const loop *l, const char *phase) {
    const double n = l->n ? (double)l->n : 1, seconds = l->window_s > 0 ? l->window_s : 1;
    const int64_t left = l->recipe->run.steps - l->state.step;
    const double pace = l->state.step ? l->state.seconds / (double)l->state.step : 0;
    return (reel_train_event){.kind = l->job->kind,
                              .phase = phase,
                              .step = l->state.step,
                              .steps = l->recipe->run.steps,
                              .loss = l->loss / n,
                              .norm = l->norm / n,
                              .seconds = l->state.seconds,
                              .left_s = (l->n ? seconds / n : pace) * (double)left,
                              .samples_per_s = (double)l->samples / seconds,
                              .flops_per_s = l->flops / seconds,
                              .ceiling_flops_per_s = l->options->ceiling_flops_per_s};
}

static void tell(loop *l, const char *phase, const char *text) {
    reel_train_event event = event_of(l, phase);
    event.text = text;
    if (l->options->progress && l->options->progress(l->options->context, &event)) l->stop = true;
}

bool reel_run_tell(const reel_run_options *o, const char *kind, const char *phase,
                   const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const reel_train_event event = {.kind = kind, .phase = phase, .text = text};
    return o->progress && o->progress(o->context, &event);
}

/* ---- metrics ---- */

static reel_status append_line(loop *l, const reel_json_out *out) {
    const char *text;
    int64_t bytes;
    char path[4096];
    reel_status status = reel_json_out_text(out, &text, &bytes);
    if (status != REEL_OK) return status;
    snprintf(path, sizeof path, "%s/metrics.jsonl", l->options->folder);
    char *line = reel_alloc(l->env, bytes + 1, "metrics");
    if (!line) return REEL_E_NOMEM;
    memcpy(line, text, (size_t)bytes);
    line[bytes] = '\n';
    status = reel_file_append(l->env, path, line, bytes + 1);
    reel_free(l->env, line);
    return status;
}

static void put(reel_json_out *out, const char *key, double x) {
    reel_json_out_key(out, key);
    reel_json_out_real(out, x);
}

static void begin_line(loop *l, reel_json_out *out, const char *event) {
    reel_json_out_init(out, l->env);
    reel_json_out_object_begin(out);
    reel_json_out_key(out, "event");
    reel_json_out_string(out, event);
    reel_json_out_key(out, "step");
    reel_json_out_int(out, l->state.step);
    reel_json_out_key(out, "samples");
    reel_json_out_int(out, l->state.samples);
    put(out, "seconds", l->state.seconds);
}

static reel_status write_step_line(loop *l) {
    const reel_train_event e = event_of(l, "step");
    reel_json_out out;
    begin_line(l, &out, "step");
    put(&out, "loss", e.loss);
    put(&out, "norm", e.norm);
    put(&out, "rate", reel_recipe_rate(l->recipe, l->state.step));
    put(&out, "samples_per_s", e.samples_per_s);
    put(&out, "gflops_per_s", e.flops_per_s * 1e-9);
    put(&out, "waiting", l->window_s > 0 ? l->waited_s / l->window_s : 0);
    if (e.ceiling_flops_per_s > 0) put(&out, "share", e.flops_per_s / e.ceiling_flops_per_s);
    reel_json_out_end(&out);
    const reel_status status = append_line(l, &out);
    reel_json_out_deinit(&out);
    return status;
}

/* ---- what happens now and then ---- */

static reel_status validate(loop *l, bool at_end) {
    l->validate_s = reel_clock_s();
    l->validated = l->state.step;
    reel_status status = REEL_OK;
    if (l->job->validate) {
        reel_json_out out;
        begin_line(l, &out, "validate");
        status = l->job->validate(l->job->context, &out);
        if (status == REEL_OK) {
            reel_json_out_end(&out);
            status = append_line(l, &out);
        }
        if (status == REEL_OK) tell(l, "validate", out.text);
        reel_json_out_deinit(&out);
    }
    if (status == REEL_OK && l->job->save) status = l->job->save(l->job->context, at_end);
    if (status == REEL_OK && l->job->show) status = l->job->show(l->job->context);
    if (status == REEL_OK)
        status = reel_report_write(l->env, l->options->folder, l->options->folder);
    return status;
}

static reel_status checkpoint(loop *l) {
    l->checkpoint_s = reel_clock_s();
    const reel_status status = reel_checkpoint_write(l->env, l->options->folder, l->job->kind,
                                                     l->job->learner, l->recipe, &l->state);
    if (status == REEL_OK) tell(l, "checkpoint", NULL);
    return status;
}

static bool due(double since_s, double minutes) {
    return minutes > 0 && reel_clock_s() - since_s > 60 * minutes;
}

static reel_status step(loop *l) {
    const double start = reel_clock_s();
    reel_job_step done = {0};
    const reel_status status = l->job->step(l->job->context, l->state.step,
                                            reel_recipe_rate(l->recipe, l->state.step), &done);
    if (status != REEL_OK) return status;
    const double took = reel_clock_s() - start;
    l->state.step++;
    l->state.samples += done.samples;
    l->state.seconds += took;
    l->n++;
    l->loss += done.result.loss;
    l->norm += done.result.norm;
    l->flops += done.result.flops;
    l->samples += done.samples;
    l->window_s += took;
    l->waited_s += done.waited_s;
    return REEL_OK;
}

static reel_status step_and_tell(loop *l) {
    reel_status status = step(l);
    if (status != REEL_OK) return status;
    tell(l, "step", NULL);
    if (l->state.step % l->recipe->run.log_steps != 0) return REEL_OK;
    status = write_step_line(l);
    l->loss = l->norm = l->flops = l->window_s = l->waited_s = 0;
    l->n = l->samples = 0;
    return status;
}

static reel_status now_and_then(loop *l) {
    const int64_t every = l->recipe->run.validate_steps;
    reel_status status = REEL_OK;
    if ((every && l->state.step % every == 0) ||
        due(l->validate_s, l->recipe->run.validate_minutes))
        status = validate(l, false);
    if (status == REEL_OK && due(l->checkpoint_s, l->recipe->run.checkpoint_minutes))
        status = checkpoint(l);
    return status;
}

/* ---- the profile ---- */

static void tell_line(void *context, const char *line) {
    loop *l = context;
    tell(l, "profile", line);
}

static reel_status profile(loop *l) {
    reel_plan *plan = reel_program_plan(l->job->program(l->job->context));
    const reel_plan_stats stats = reel_plan_get_stats(plan);
    reel_profile_row *rows = reel_calloc(l->env, stats.n_records, sizeof *rows, "profile");
    if (!rows) return REEL_E_NOMEM;
    const reel_status status = reel_plan_run(plan, rows);
    if (status == REEL_OK) reel_profile_write(rows, stats.n_records, tell_line, l);
    char text[160];
    snprintf(text, sizeof text, "%d records, arena %.0f MiB, %.1f GFLOP a step", stats.n_records,
             (double)stats.planned_bytes / 1048576, stats.flops * 1e-9);
    tell(l, "profile", text);
    reel_free(l->env, rows);
    return status;
}

/* ---- the loop ---- */

static reel_status open_folder(reel_env *env, const reel_run_options *o) {
    char *text, path[4096];
    int64_t bytes;
    reel_status status = reel_folder_make(env, o->folder);
    if (status == REEL_OK) status = reel_recipe_write(env, o->recipe, &text, &bytes);
    if (status != REEL_OK) return status;
    snprintf(path, sizeof path, "%s/recipe.json", o->folder);
    status = reel_file_write(env, path, text, bytes);
    reel_free(env, text);
    return status;
}

static reel_status loop_steps(loop *l) {
    const double minutes = l->options->minutes;
    const int64_t first = l->state.step;
    reel_status status = REEL_OK;
    while (status == REEL_OK && !l->stop && l->state.step < l->recipe->run.steps) {
        if (minutes > 0 && reel_clock_s() - l->began_s > 60 * minutes) {
            l->stop = true;
            break;
        }
        status = step_and_tell(l);
        if (status == REEL_OK && l->options->profile && l->state.step >= first + 3) {
            status = profile(l);
            l->stop = true;
            break;
        }
        if (status == REEL_OK && !l->stop) status = now_and_then(l);
    }
    return status;
}

reel_status reel_run(reel_env *env, const reel_job *job, const reel_run_options *options,
                     bool *stopped) {
    loop l = {.env = env, .job = job, .options = options, .recipe = options->recipe};
    bool found = false;
    reel_status status = reel_folder_make(env, options->folder);
    if (status == REEL_OK)
        status = reel_checkpoint_read(env, options->folder, job->kind, job->learner,
                                      options->recipe, &l.state, &found);
    if (status == REEL_OK) status = open_folder(env, options);
    if (status != REEL_OK) return status;
    if (found && l.state.step >= options->recipe->run.steps) {
        tell(&l, "done", NULL);
        return REEL_OK;
    }
    if (found) tell(&l, "prepare", "goes on from its last checkpoint");
    if (!found && job->begin) status = job->begin(job->context);
    if (status != REEL_OK) return status;
    l.began_s = l.checkpoint_s = l.validate_s = reel_clock_s();
    l.validated = found ? l.state.step : -1;
    if (!found && !options->profile) status = validate(&l, false);
    if (status == REEL_OK) status = loop_steps(&l);
    if (status != REEL_OK || options->profile) return status;
    const bool at_end = l.state.step >= options->recipe->run.steps;
    if (l.validated != l.state.step || at_end) status = validate(&l, at_end);
    if (status == REEL_OK) status = checkpoint(&l);
    if (status == REEL_OK) tell(&l, at_end ? "done" : "stopped", NULL);
    *stopped = !at_end;
    return status;
}

/* ---- the ceiling ---- */

reel_status reel_run_ceiling(reel_env *env, const reel_kernel_table *table, reel_dtype dtype,
                             double *flops_per_s) {
    enum { N = 1024, TRIES = 8 };
    reel_tape *tape = NULL;
    reel_plan *plan = NULL;
    void *data = reel_calloc(env, 2 * N * N, reel_dtype_bytes(dtype), "ceiling");
    reel_status status = data ? reel_ops_tape_new(env, &tape) : REEL_E_NOMEM;
    if (status == REEL_OK) {
        const reel_shape square = REEL_SHAPE(N, N);
        const reel_var x = reel_tape_input(tape, dtype, square, "x", data);
        const reel_var w = reel_tape_input(tape, dtype, square, "w",
                                           (char *)data + N * N * reel_dtype_bytes(dtype));
        reel_tape_keep(tape, reel_linear(tape, x, w, 0, REEL_ACT_NONE, dtype));
        status = reel_plan_new(tape, table, NULL, &plan);
    }
    double best = 0;
    for (int i = 0; i < TRIES && status == REEL_OK; i++) {
        const double start = reel_clock_s();
        status = reel_plan_run(plan, NULL);
        best = fmax(best, reel_plan_get_stats(plan).flops / (reel_clock_s() - start));
    }
    if (status == REEL_OK) *flops_per_s = best;
    reel_plan_free(&plan);
    reel_tape_free(&tape);
    reel_free(env, data);
    return status;
}
