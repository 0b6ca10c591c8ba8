/* Reverse-mode differentiation of the tape: one walk back over the records.
 *
 * Each gradient rule appends ordinary records. A recompute scope is recorded a second time just
 * before its gradients are taken, and the rules see the copies, so the first run's values die early
 * (Chen et al. 2016, "Training deep nets with sublinear memory cost").
 */
#include <string.h>

#include "tape/state.h"

static reel_var origin_of(const reel_tape *t, reel_var var) {
    return t->value[var].origin ? t->value[var].origin : var;
}

bool reel_tape_wants_grad(const reel_tape *t, reel_var var) {
    return var && t->value[origin_of(t, var)].wants_grad;
}

reel_var reel_tape_grad(const reel_tape *t, reel_var var) {
    return reel_tape_value(t, var)->grad;
}

/* f32 for parameters, so that sums over steps keep their bits; else the value's own type. */
reel_dtype reel_tape_grad_dtype(const reel_tape *t, reel_var var) {
    const reel_value *v = &t->value[origin_of(t, var)];
    return v->kind == REEL_VALUE_TEMP ? v->dtype : REEL_F32;
}

void reel_tape_add_grad(reel_tape *t, reel_var var, reel_var gradient) {
    if (t->status != REEL_OK || !reel_tape_wants_grad(t, var)) return;
    const reel_var target = origin_of(t, var);
    const reel_value *v = &t->value[target], *g = reel_tape_value(t, gradient);
    const reel_dtype dtype = reel_tape_grad_dtype(t, target);
    if (g->dtype != dtype || !reel_shape_equal(&g->shape, &v->shape)) {
        reel_tape_fail(t, REEL_E_SHAPE, "gradient of value %d must be %s %s, got %s %s",
                       (int)target, reel_dtype_name(dtype), REEL_SHAPE_STR(&v->shape),
                       reel_dtype_name(g->dtype), REEL_SHAPE_STR(&g->shape));
        return;
    }
    reel_var sum = gradient;
    if (v->grad) sum = REEL_RECORD(t, t->accumulate, NULL, 0, v->grad, gradient);
    if (sum) t->value[target].grad = sum;
}

/* The outermost recompute scope around a record, or 0. */
static int32_t recompute_scope(const reel_tape *t, int32_t scope) {
    int32_t found = 0;
    for (int32_t s = scope; s > 0; s = t->scope[s].parent)
        if (t->scope[s].recompute) found = s;
    return found;
}

/* Appends copies of records [first,last); copy[k - first] is where record k's copy stands. Operands
 * made inside are the copies' own; operands from outside are shared. */
static void record_again(reel_tape *t, int first, int last, int32_t *copy) {
    for (int k = first; k < last && t->status == REEL_OK; k++) {
        const reel_record r = t->record[k]; /* the array may move while copies are appended */
        t->open_scope = r.scope;
        reel_var in[REEL_MAX_IN];
        for (int i = 0; i < r.n_in; i++) {
            const int32_t producer = t->value[r.in[i]].producer;
            const bool inside = r.in[i] && producer >= first && producer < last;
            in[i] = r.in[i];
            if (inside)
                in[i] = t->record[copy[producer - first]].out + (r.in[i] - t->record[producer].out);
        }
        copy[k - first] = t->n_records;
        const reel_var out = reel_tape_record(t, r.op, r.attr, REEL_ATTR_BYTES, in, r.n_in);
        for (int i = 0; out && i < r.n_out; i++)
            t->value[out + i].origin = r.out + i;
    }
}

/* Takes the gradient of record k, seen through `seen` (itself, or its copy). What the rule appends
 * gets the scope of the forward record, so that profiles name the block. */
static void record_grad(reel_tape *t, int k, const reel_record *seen) {
    reel_var dout[REEL_MAX_OUT] = {0};
    bool any = false;
    for (int i = 0; i < t->record[k].n_out; i++) {
        dout[i] = t->value[t->record[k].out + i].grad;
        any |= dout[i] != 0;
    }
    if (!any || !seen->op->grad) return;
    const reel_record copy = *seen; /* the array may move while the rule appends */
    t->open_scope = t->record[k].scope;
    seen->op->grad(t, &copy, dout);
}

static bool scope_has_grad(const reel_tape *t, int first, int last) {
    for (int k = first; k < last; k++)
        for (int i = 0; i < t->record[k].n_out; i++)
            if (t->value[t->record[k].out + i].grad) return true;
    return false;
}

/* Records [first,last) of a recompute scope, differentiated through their copies. */
static void recomputed_grads(reel_tape *t, int first, int last) {
    if (!scope_has_grad(t, first, last)) return;
    int32_t *copy = reel_calloc(t->env, last - first, sizeof *copy, "tape");
    if (!copy) {
        t->status = REEL_E_NOMEM;
        return;
    }
    record_again(t, first, last, copy);
    for (int k = last - 1; k >= first && t->status == REEL_OK; k--)
        record_grad(t, k, &t->record[copy[k - first]]);
    reel_free(t->env, copy);
}

/* Whether backward can be recorded now; fails the tape when not. */
static bool may_differentiate(reel_tape *t, reel_var loss) {
    const reel_value *v = reel_tape_value(t, loss);
    if (v->kind != REEL_VALUE_TEMP || v->dtype != REEL_F32 || reel_shape_count(&v->shape) != 1) {
        reel_tape_fail(t, REEL_E_SHAPE, "backward needs a loss of one f32 element, got %s %s",
                       reel_dtype_name(v->dtype), REEL_SHAPE_STR(&v->shape));
        return false;
    }
    if (t->open_scope != 0) {
        reel_tape_fail(t, REEL_E_ARG, "backward inside a scope: end it first");
        return false;
    }
    if (t->differentiated) {
        reel_tape_fail(t, REEL_E_ARG, "backward a second time: once per tape");
        return false;
    }
    return true;
}

void reel_tape_backward(reel_tape *t, reel_var loss) {
    static const float one = 1; /* outlives the tape, as plans may */
    if (t->status != REEL_OK || !may_differentiate(t, loss)) return;
    t->differentiated = true;
    const int n = t->n_records;
    const reel_var seed = reel_tape_input(t, REEL_F32, t->value[loss].shape, "dloss", &one);
    if (!seed) return;
    t->value[loss].grad = seed;
    for (int k = n - 1; k >= 0 && t->status == REEL_OK; k--) {
        const int32_t scope = recompute_scope(t, t->record[k].scope);
        if (scope) { /* its records are consecutive, and k is the last of them */
            const int first = t->scope[scope].first;
            recomputed_grads(t, first, t->scope[scope].last);
            k = first;
        } else {
            record_grad(t, k, &t->record[k]);
        }
    }
    t->open_scope = 0;
    for (reel_var i = 1; i <= t->n_values; i++)
        if (t->value[i].kind != REEL_VALUE_TEMP && t->value[i].grad)
            t->value[t->value[i].grad].keep = true;
}
