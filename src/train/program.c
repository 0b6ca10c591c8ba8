#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ops/elementwise.h"
#include "train/learner_state.h"

/* A training program has two plans when it accumulates: one that only adds to the sums, and one
 * whose gradients are the sums' last part and that steps. */
enum { PLAN_SUM, PLAN_STEP, N_PLANS };

/* Values that a recording leaves behind. */
typedef struct recorded {
    reel_var loss, clip;
} recorded;

struct reel_program {
    reel_learner *learner;
    reel_program_kind kind;
    reel_program_record *record;
    void *context;
    reel_plan *plan[N_PLANS];
    recorded value[N_PLANS];
};

reel_status reel_program_new(reel_learner *learner, reel_program_kind kind,
                             reel_program_record *record, void *context, reel_program **program) {
    reel_program *p = reel_calloc(learner->env, 1, sizeof *p, "program");
    if (!p) return REEL_E_NOMEM;
    *p = (reel_program){.learner = learner, .kind = kind, .record = record, .context = context};
    *program = p;
    return REEL_OK;
}

void reel_program_free(reel_program **program) {
    reel_program *p = *program;
    if (!p) return;
    for (int i = 0; i < N_PLANS; i++)
        reel_plan_free(&p->plan[i]);
    reel_free(p->learner->env, p);
    *program = NULL;
}

/* ---- recording ---- */

static reel_var state(reel_tape *t, const reel_learned *p, float *data, const char *what) {
    char name[REEL_NN_NAME_BYTES + 16];
    snprintf(name, sizeof name, "%s of %s", what, p->name);
    return data ? reel_tape_input(t, REEL_F32, p->shape, name, data) : 0;
}

/* The optimiser's inputs, made once for each tape. */
typedef struct optimiser {
    reel_tape *tape;
    reel_learner *learner;
    reel_var adamw[REEL_MAX_RULES + 1], muon[REEL_MAX_RULES + 1];
    reel_var clip, average_rate;
} optimiser;

static int rule_index(const reel_learner *l, const reel_rule *rule) {
    return rule == &l->other ? REEL_MAX_RULES : (int)(rule - l->options.rule);
}

static reel_var adamw_numbers(optimiser *o, int k) {
    if (!o->adamw[k])
        o->adamw[k] = reel_tape_input(o->tape, REEL_F32, REEL_SHAPE(REEL_ADAMW_HYPER), "adamw",
                                      o->learner->numbers.adamw[k]);
    return o->adamw[k];
}

static reel_var muon_numbers(optimiser *o, int k) {
    if (!o->muon[k])
        o->muon[k] = reel_tape_input(o->tape, REEL_F32, REEL_SHAPE(REEL_MUON_HYPER), "muon",
                                     o->learner->numbers.muon[k]);
    return o->muon[k];
}

/* The step of one parameter, then its average. */
static void record_update(optimiser *o, const reel_learned *p, const reel_param *param,
                          reel_var grad) {
    const int k = rule_index(o->learner, p->rule);
    const reel_var copy = p->copy ? param->var : 0;
    const reel_var w = p->copy ? state(o->tape, p, p->master, "master") : param->var;
    const reel_var buf = state(o->tape, p, p->moment[0], "moment");
    reel_var next;
    if (p->rule->method == REEL_METHOD_MUON)
        next = reel_muon(o->tape, &(reel_muon_operands){.w = w,
                                                        .buf = buf,
                                                        .grad = grad,
                                                        .hyper = muon_numbers(o, k),
                                                        .clip = o->clip,
                                                        .copy = copy,
                                                        .product = o->learner->options.compute});
    else
        next = reel_adamw(o->tape,
                          &(reel_adamw_operands){.w = w,
                                                 .m = buf,
                                                 .v = state(o->tape, p, p->moment[1], "square"),
                                                 .grad = grad,
                                                 .hyper = adamw_numbers(o, k),
                                                 .clip = o->clip,
                                                 .copy = copy});
    reel_moving_average(o->tape, state(o->tape, p, p->average, "average"), next, o->average_rate);
}

/* The gradients of all that is trained, in the learner's order; 0 where none flows. */
static reel_status gradients(reel_program *program, reel_var *grad, const reel_param **param) {
    reel_learner *l = program->learner;
    for (int i = 0; i < l->n; i++) {
        param[i] = reel_params_find(l->store[COPIES], l->learned[i].name);
        const bool trained = l->learned[i].average && param[i]->used;
        grad[i] = trained ? reel_tape_grad(l->tape, param[i]->var) : 0;
        if (!grad[i] || !l->learned[i].sum) continue;
        const reel_var sum = state(l->tape, &l->learned[i], l->learned[i].sum, "sum");
        grad[i] = reel_add(l->tape, grad[i], sum);
    }
    return reel_tape_status(l->tape);
}

static void record_sums(reel_program *program, const reel_var *grad) {
    reel_learner *l = program->learner;
    for (int i = 0; i < l->n; i++) {
        if (!grad[i]) continue;
        const reel_record *made = NULL; /* the sum is the second operand of the add */
        const reel_value *value = reel_tape_value(l->tape, grad[i]);
        made = reel_tape_record_at(l->tape, value->producer);
        reel_update(l->tape, made->in[1], grad[i]);
    }
}

static void record_step(reel_program *program, const reel_var *grad, const reel_param **param,
                        reel_var *packed, recorded *value) {
    reel_learner *l = program->learner;
    optimiser o = {.tape = l->tape, .learner = l};
    int n = 0;
    for (int i = 0; i < l->n; i++)
        if (grad[i]) packed[n++] = grad[i];
    if (!n) {
        reel_tape_fail(l->tape, REEL_E_ARG, "nothing to train: the loss depends on no parameter");
        return;
    }
    const reel_var most =
        reel_tape_input(l->tape, REEL_F32, (reel_shape){0}, "clip", &l->numbers.clip);
    o.clip = reel_grad_clip(l->tape, packed, n, most);
    reel_tape_keep(l->tape, o.clip);
    o.average_rate = reel_tape_input(l->tape, REEL_F32, (reel_shape){0}, "average rate",
                                     &l->numbers.average_rate);
    value->clip = o.clip;
    for (int i = 0; i < l->n; i++)
        if (grad[i]) record_update(&o, &l->learned[i], param[i], grad[i]);
}

/* The model and its loss on an empty tape. */
static reel_var record_model(reel_program *program) {
    reel_learner *l = program->learner;
    const bool average = program->kind == REEL_PROGRAM_AVERAGE;
    reel_tape_reset(l->tape);
    reel_tape_set_training(l->tape, program->kind == REEL_PROGRAM_TRAIN);
    for (int i = 0; i < l->n; i++) {
        const reel_param *p = reel_params_find(l->store[COPIES], l->learned[i].name);
        if (p) reel_params_find(l->store[COPIES], l->learned[i].name)->used = false;
    }
    reel_nn nn = reel_nn_start(l->tape, l->store[average ? AVERAGES : COPIES], l->options.compute);
    const reel_var y = program->record(program->context, &nn);
    reel_tape_keep(l->tape, y);
    return y;
}

static reel_status record_training(reel_program *program, int which, recorded *value) {
    reel_learner *l = program->learner;
    reel_var *grad = reel_calloc(l->env, 2 * (int64_t)l->n, sizeof *grad, "program");
    const reel_param **param = reel_calloc(l->env, l->n, sizeof *param, "program");
    reel_status status = grad && param ? REEL_OK : REEL_E_NOMEM;
    if (status != REEL_OK) goto done;
    value->loss = record_model(program);
    reel_var root = value->loss;
    if (l->options.accumulate > 1)
        root = reel_scale(l->tape, root, 1 / (float)l->options.accumulate, 0);
    if (reel_tape_status(l->tape) == REEL_OK) reel_tape_backward(l->tape, root);
    status = reel_tape_status(l->tape);
    if (status == REEL_OK) status = gradients(program, grad, param);
    if (status != REEL_OK) goto done;
    if (which == PLAN_SUM)
        record_sums(program, grad);
    else
        record_step(program, grad, param, grad + l->n, value);
    status = reel_tape_status(l->tape);
done:
    reel_free(l->env, grad);
    reel_free(l->env, param);
    return status;
}

/* Records and plans if that was not done before. */
static reel_status prepare(reel_program *program, int which) {
    if (program->plan[which]) return REEL_OK;
    reel_learner *l = program->learner;
    recorded value = {0};
    reel_status status;
    if (program->kind == REEL_PROGRAM_TRAIN) {
        status = record_training(program, which, &value);
    } else {
        value.loss = record_model(program);
        status = reel_tape_status(l->tape);
    }
    if (status == REEL_OK) status = reel_plan_new(l->tape, l->table, NULL, &program->plan[which]);
    program->value[which] = value;
    return status;
}

/* ---- the search for the first bad tensor ---- */

static bool all_finite(const reel_tensor *x) {
    if (!reel_dtype_is_float(x->dtype) || !x->data) return true;
    const int64_t n = reel_tensor_count(x);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(reel_dtype_load(x->dtype, x->data, i))) return false;
    return true;
}

/* A second run of the step, stopped at the first result that is not finite. */
typedef struct search {
    reel_learner *learner;
    const reel_plan *plan;
    const reel_profile_row *rows;
    char *text;
    size_t bytes;
} search;

static reel_status look_at_results(void *context, int index) {
    const search *s = context;
    const reel_call *c = reel_plan_call(s->plan, index);
    for (int k = 0; k < c->n_out; k++) {
        if (all_finite(&c->out[k])) continue;
        char path[REEL_NN_NAME_BYTES];
        reel_tape_scope_path(s->learner->tape, s->rows[index].scope, path, sizeof path);
        snprintf(s->text, s->bytes, "result %d of %s%s%s, %s %s, record %d", k, path,
                 path[0] ? "." : "", c->op->name, reel_dtype_name(c->out[k].dtype),
                 REEL_SHAPE_STR(&c->out[k].shape), index);
        return REEL_E_CANCELLED;
    }
    return REEL_OK;
}

/* Inputs and weights, which come before all results. The tape holds the program's recording. */
static void look_at_inputs(reel_learner *l, char *text, size_t bytes) {
    for (reel_var v = 1; v <= reel_tape_n_values(l->tape); v++) {
        const reel_value *value = reel_tape_value(l->tape, v);
        if (value->producer >= 0 || !value->data) continue;
        const reel_tensor x = {value->dtype, value->shape, value->data};
        if (all_finite(&x)) continue;
        snprintf(text, bytes, "%s %s %s", value->kind == REEL_VALUE_PARAM ? "parameter" : "input",
                 reel_tape_value_name(l->tape, v), REEL_SHAPE_STR(&x.shape));
        return;
    }
}

/* Runs the plan again, which ends before it changes a weight: the clip it computes comes before all
 * updates and is not finite. */
static void find_bad(reel_program *program, int which, char *text, size_t bytes) {
    reel_learner *l = program->learner;
    recorded again;
    if (record_training(program, which, &again) != REEL_OK) return;
    look_at_inputs(l, text, bytes);
    reel_plan *plan = program->plan[which];
    if (text[0] || !plan) return;
    reel_profile_row *rows =
        reel_calloc(l->env, reel_plan_get_stats(plan).n_records, sizeof *rows, "program");
    if (!rows) return;
    search s = {.learner = l, .plan = plan, .rows = rows, .text = text, .bytes = bytes};
    reel_plan_set_after(plan, look_at_results, &s);
    const reel_status status = reel_plan_run(plan, rows);
    (void)status; /* what was found is in text */
    reel_plan_set_after(plan, NULL, NULL);
    reel_free(l->env, rows);
}

static reel_status fail_not_finite(reel_program *program, int which, double loss, double norm) {
    reel_learner *l = program->learner;
    char text[512] = "";
    find_bad(program, which, text, sizeof text);
    reel_env_clear(l->env);
    return reel_fail(l->env, REEL_E_FORMAT,
                     "step %lld is not finite (loss %g, gradient norm %g); first: %s",
                     (long long)l->steps + 1, loss, norm, text[0] ? text : "not found again");
}

/* ---- running ---- */

static void set_numbers(reel_learner *l, double lr) {
    const reel_learner_options *o = &l->options;
    const int64_t step = l->steps + 1;
    for (int k = 0; k <= REEL_MAX_RULES; k++) {
        const reel_rule *rule = k == REEL_MAX_RULES ? &l->other : &o->rule[k];
        const reel_adamw_options adamw = {.lr = lr * rule->lr,
                                          .beta1 = o->beta1,
                                          .beta2 = o->beta2,
                                          .eps = o->eps,
                                          .weight_decay = rule->weight_decay};
        reel_adamw_hyper(&adamw, step, l->numbers.adamw[k]);
        l->numbers.muon[k][0] = (float)(lr * rule->lr);
        l->numbers.muon[k][1] = (float)o->momentum;
        l->numbers.muon[k][2] = (float)rule->weight_decay;
    }
    const double early = (1 + (double)l->steps) / (10 + (double)l->steps);
    l->numbers.clip = (float)o->clip;
    l->numbers.average_rate = (float)(1 - (early < o->ema ? early : o->ema));
}

static double first_value(const reel_plan *plan, reel_var var) {
    const float *data = reel_plan_data(plan, var);
    return data ? (double)data[0] : (double)NAN;
}

static void clear_sums(reel_learner *l) {
    for (int i = 0; i < l->n; i++)
        if (l->learned[i].sum)
            memset(l->learned[i].sum, 0,
                   (size_t)reel_shape_count(&l->learned[i].shape) * sizeof(float));
}

static reel_status micro_step(reel_program *p, int which, reel_step_result *result) {
    reel_status status = prepare(p, which);
    const double start = reel_clock_s();
    if (status == REEL_OK) status = reel_plan_run(p->plan[which], NULL);
    if (status != REEL_OK) return status;
    result->seconds += reel_clock_s() - start;
    result->flops += reel_plan_get_stats(p->plan[which]).flops;
    result->loss += first_value(p->plan[which], p->value[which].loss);
    return REEL_OK;
}

reel_status reel_program_step(reel_program *p, double lr,
                              reel_status (*before)(void *context, int64_t k),
                              reel_step_result *result) {
    reel_learner *l = p->learner;
    const int64_t n = l->options.accumulate;
    reel_step_result made = {0};
    reel_status status = REEL_OK;
    set_numbers(l, lr);
    for (int64_t k = 0; k < n && status == REEL_OK; k++) {
        if (before) status = before(p->context, k);
        if (status == REEL_OK) status = micro_step(p, k + 1 < n ? PLAN_SUM : PLAN_STEP, &made);
        if (status == REEL_OK && !isfinite(made.loss) && k + 1 < n)
            status = fail_not_finite(p, PLAN_SUM, made.loss, (double)NAN);
    }
    if (n > 1) clear_sums(l);
    if (status != REEL_OK) return status;
    made.loss /= (double)n;
    made.norm = first_value(p->plan[PLAN_STEP], p->value[PLAN_STEP].clip);
    if (!isfinite(made.loss) || !isfinite(made.norm))
        return fail_not_finite(p, PLAN_STEP, made.loss, made.norm);
    l->steps++;
    *result = made;
    return REEL_OK;
}

reel_status reel_program_run(reel_program *p) {
    reel_status status = prepare(p, PLAN_STEP);
    if (status == REEL_OK) status = reel_plan_run(p->plan[PLAN_STEP], NULL);
    return status;
}

const void *reel_program_data(const reel_program *p, reel_var var) {
    return p->plan[PLAN_STEP] ? reel_plan_data(p->plan[PLAN_STEP], var) : NULL;
}
double reel_program_value(const reel_program *p) {
    return first_value(p->plan[PLAN_STEP], p->value[PLAN_STEP].loss);
}
reel_plan *reel_program_plan(reel_program *p) {
    return p->plan[PLAN_STEP];
}
