#include "replay/replay.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "ops/ops.h"

/* ---- weights and inputs ---- */

static reel_status add_weight(replay *r, reel_params *params, const char *name,
                              const char *stored_name) {
    reel_tensor t;
    reel_status status = reel_safetensors_get(r->weights, stored_name, &t);
    if (status != REEL_OK) return status;
    const bool same = t.dtype == r->compute;
    status = same ? reel_params_set(params, name, t.dtype, t.shape, t.data)
                  : reel_params_declare(params, name, r->compute, t.shape, (reel_init){0});
    if (status != REEL_OK || same) return status;
    reel_param *p = reel_params_find(params, name);
    p->data = reel_alloc(r->env, reel_tensor_count(&t) * reel_dtype_bytes(r->compute), "replay");
    if (!p->data) return REEL_E_NOMEM;
    p->owned = true;
    reel_dtype_cast(r->compute, p->data, t.dtype, t.data, reel_tensor_count(&t));
    return REEL_OK;
}

reel_status replay_params(replay *r, const char *prefix, reel_params **params) {
    const size_t n = strlen(prefix);
    reel_status status = reel_params_new(r->env, params);
    for (int64_t i = 0; status == REEL_OK && i < reel_safetensors_count(r->weights); i++) {
        const char *name = reel_safetensors_at(r->weights, i)->name;
        if (strncmp(name, prefix, n) == 0) status = add_weight(r, *params, name + n, name);
    }
    if (status == REEL_OK)
        reel_params_close(*params);
    else
        reel_params_free(params);
    return status;
}

reel_status replay_all_used(replay *r, reel_params *params) {
    for (int i = 0; i < reel_params_count(params); i++)
        if (!reel_params_at(params, i)->used)
            return reel_fail(r->env, REEL_E_FORMAT, "weight %s was never asked for",
                             reel_params_at(params, i)->name);
    return REEL_OK;
}

reel_status replay_input(replay *r, const char *name, reel_tensor *tensor) {
    return reel_safetensors_get(r->inputs, name, tensor);
}

bool replay_has_input(const replay *r, const char *name) {
    return reel_safetensors_find(r->inputs, name) != NULL;
}

const reel_stored *replay_output(const replay *r, const char *name) {
    return reel_safetensors_find(r->outputs, name);
}

/* ---- recording ---- */

reel_status replay_begin(replay *r, reel_params *params, replay_run *run) {
    *run = (replay_run){0};
    const reel_status status = reel_ops_tape_new(r->env, &run->tape);
    if (status == REEL_OK) run->nn = reel_nn_start(run->tape, params, r->compute);
    return status;
}

reel_status replay_finish(replay *r, replay_run *run) {
    const reel_status status = reel_plan_new(run->tape, r->table, NULL, &run->plan);
    return status == REEL_OK ? reel_plan_run(run->plan, NULL) : status;
}

void replay_end(replay_run *run) {
    reel_plan_free(&run->plan);
    if (run->tape) reel_tape_free(&run->tape);
}

reel_var replay_var(replay_run *run, const char *name, const reel_tensor *t) {
    return reel_tape_input(run->tape, t->dtype, t->shape, name, t->data);
}

static bool within(const char *path, const char *scope) {
    const size_t n = strlen(scope);
    return strncmp(path, scope, n) == 0 && (path[n] == '\0' || path[n] == '.');
}

static reel_var kept(replay_run *run, const reel_record *record) {
    reel_tape_keep(run->tape, record->out);
    return record->out;
}

static bool record_within(const replay_run *run, const reel_record *record, const char *scope) {
    char path[512];
    return within(reel_tape_scope_path(run->tape, record->scope, path, sizeof path), scope);
}

/* Whether something outside the scope reads the value, which record i makes. */
static bool leaves(const replay_run *run, int i, reel_var var, const char *scope) {
    for (int n = reel_tape_n_records(run->tape), k = i + 1; k < n; k++) {
        const reel_record *record = reel_tape_record_at(run->tape, k);
        for (int j = 0; j < record->n_in; j++)
            if (record->in[j] == var && !record_within(run, record, scope)) return true;
    }
    return false;
}

reel_var replay_made_in(replay_run *run, const char *scope, const reel_op *op) {
    for (int i = reel_tape_n_records(run->tape) - 1; i >= 0; i--) {
        const reel_record *record = reel_tape_record_at(run->tape, i);
        if (op && record->op != op) continue;
        if (record_within(run, record, scope) && (op || leaves(run, i, record->out, scope)))
            return kept(run, record);
    }
    return 0;
}

reel_var replay_made_by(replay_run *run, const reel_op *op) {
    for (int i = 0; i < reel_tape_n_records(run->tape); i++) {
        const reel_record *record = reel_tape_record_at(run->tape, i);
        if (record->op == op) return kept(run, record);
    }
    return 0;
}

/* ---- comparing ---- */

/* The i-th output; false when there is none of that name, or it has its line. */
static bool find_output(replay *r, const char *name, int64_t *index) {
    for (int64_t i = 0; i < reel_safetensors_count(r->outputs) && i < REPLAY_MAX_OUTPUTS; i++)
        if (strcmp(reel_safetensors_at(r->outputs, i)->name, name) == 0) {
            *index = i;
            return !r->seen[i];
        }
    return false;
}

static void print_line(replay *r, const char *name, double error, const char *verdict) {
    r->n_pass += verdict[0] == 'p';
    r->n_fail += verdict[0] == 'F';
    r->n_skip += verdict[0] == 'S';
    if (verdict[0] == 'S')
        printf("  %-32s  %-10s  %s\n", name, "-", verdict);
    else
        printf("  %-32s  %-10.2e  %s\n", name, error, verdict);
}

/* An element of got by the output's index, when got has its channels last. */
static int64_t swapped(const reel_shape *want, int64_t i) {
    const int64_t C = want->dim[1], n = reel_shape_span(want, 2, want->rank);
    const int64_t b = i / (C * n), c = i / n % C, at = i % n;
    return (b * n + at) * C + c;
}

static void compare(replay *r, const char *name, reel_dtype dtype, const void *got, int64_t count,
                    replay_view view) {
    int64_t index;
    if (!find_output(r, name, &index)) return;
    r->seen[index] = true;
    reel_tensor want;
    if (!got) {
        print_line(r, name, 0, "SKIP");
        return;
    }
    if (reel_safetensors_get(r->outputs, name, &want) != REEL_OK ||
        reel_tensor_count(&want) != count) {
        printf("  %-32s  %-10s  FAIL (%lld elements, wanted another number)\n", name, "-",
               (long long)count);
        r->n_fail++;
        return;
    }
    const int64_t last = reel_shape_last(&want.shape);
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        if (view.rows && !view.rows[i / last]) continue;
        const int64_t at = view.channels_last ? swapped(&want.shape, i) : i;
        const double w = (double)reel_dtype_load(want.dtype, want.data, i);
        const double d = (double)reel_dtype_load(dtype, got, at) - w;
        difference += d * d;
        norm += w * w;
    }
    const double error = difference == 0 ? 0 : sqrt(difference / norm);
    print_line(r, name, error, error <= r->tolerance ? "pass" : "FAIL"); /* NaN fails */
}

void replay_compare(replay *r, const char *name, const float *got, int64_t count) {
    compare(r, name, REEL_F32, got, count, (replay_view){0});
}

void replay_compare_var(replay *r, replay_run *run, const char *name, reel_var var,
                        replay_view view) {
    const reel_value *value = reel_tape_value(run->tape, var);
    const void *got = var ? reel_plan_data(run->plan, var) : NULL;
    compare(r, name, value->dtype, got, got ? reel_shape_count(&value->shape) : 0, view);
}
