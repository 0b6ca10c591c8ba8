#include "tape/tape.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "tape/state.h"

/* Makes room for one more item of item_bytes. Doubling keeps recording a step amortised O(1). */
static bool grow(reel_tape *t, void **items, int n, int *capacity, int64_t item_bytes) {
    if (n < *capacity) return true;
    const int wanted = *capacity ? *capacity * 2 : 64;
    void *more = reel_realloc(t->env, *items, wanted * item_bytes, "tape");
    if (!more) {
        if (t->status == REEL_OK) t->status = REEL_E_NOMEM;
        return false;
    }
    *items = more;
    *capacity = wanted;
    return true;
}

/* Copies text into the tape's names; returns its offset, 0 (the empty name) for NULL. */
static int64_t intern(reel_tape *t, const char *text) {
    if (!text || !*text) return 0;
    const int64_t bytes = (int64_t)strlen(text) + 1;
    if (t->names_bytes + bytes > t->names_capacity) {
        const int64_t wanted = t->names_capacity * 2 + bytes;
        char *more = reel_realloc(t->env, t->names, wanted, "tape");
        if (!more) {
            if (t->status == REEL_OK) t->status = REEL_E_NOMEM;
            return 0;
        }
        t->names = more;
        t->names_capacity = wanted;
    }
    memcpy(t->names + t->names_bytes, text, (size_t)bytes);
    t->names_bytes += bytes;
    return t->names_bytes - bytes;
}

reel_status reel_tape_new(reel_env *env, const reel_op *accumulate, reel_tape **tape) {
    reel_tape *t = reel_calloc(env, 1, (int64_t)sizeof *t, "tape");
    if (!t) return REEL_E_NOMEM;
    t->env = env;
    t->accumulate = accumulate;
    t->names = reel_calloc(env, 1, 256, "tape");
    t->names_capacity = 256;
    void *values = NULL, *scopes = NULL;
    const bool ok = t->names && grow(t, &values, 0, &t->value_capacity, sizeof *t->value) &&
                    grow(t, &scopes, 0, &t->scope_capacity, sizeof *t->scope);
    t->value = values;
    t->scope = scopes;
    if (!ok) {
        reel_tape_free(&t);
        return REEL_E_NOMEM;
    }
    memset(&t->value[0], 0, sizeof t->value[0]);
    reel_tape_reset(t);
    *tape = t;
    return REEL_OK;
}

void reel_tape_free(reel_tape **tape) {
    reel_tape *t = *tape;
    if (!t) return;
    reel_eager_release(t);
    reel_free(t->env, t->value);
    reel_free(t->env, t->record);
    reel_free(t->env, t->scope);
    reel_free(t->env, t->names);
    reel_free(t->env, t);
    *tape = NULL;
}

void reel_tape_reset(reel_tape *t) {
    reel_eager_release(t);
    t->n_values = t->n_records = 0;
    t->names_bytes = 1; /* names[0] is the empty name */
    t->n_scopes = 1;
    t->scope[0] = (reel_scope){.parent = -1, .last = -1};
    t->open_scope = 0;
    t->differentiated = false;
    t->status = REEL_OK;
}

reel_env *reel_tape_env(const reel_tape *t) {
    return t->env;
}
void reel_tape_set_training(reel_tape *t, bool training) {
    t->training = training;
}
bool reel_tape_training(const reel_tape *t) {
    return t->training;
}
reel_status reel_tape_status(const reel_tape *t) {
    return t->status;
}
int reel_tape_n_values(const reel_tape *t) {
    return t->n_values;
}
int reel_tape_n_records(const reel_tape *t) {
    return t->n_records;
}
const reel_record *reel_tape_record_at(const reel_tape *t, int index) {
    return &t->record[index];
}

void reel_tape_set_eager(reel_tape *t, const reel_kernel_table *table) {
    assert(t->n_records == 0);
    t->eager = table;
}

/* ---- values ---- */

const reel_value *reel_tape_value(const reel_tape *t, reel_var var) {
    return &t->value[var >= 1 && var <= t->n_values ? var : 0];
}

const char *reel_tape_value_name(const reel_tape *t, reel_var var) {
    return t->names + reel_tape_value(t, var)->name;
}

reel_var reel_tape_new_value(reel_tape *t, reel_dtype dtype, const reel_shape *shape,
                             reel_value_kind kind) {
    if (t->status != REEL_OK) return 0;
    void *values = t->value;
    const bool room = grow(t, &values, t->n_values + 1, &t->value_capacity, sizeof *t->value);
    t->value = values;
    if (!room) return 0;
    t->value[++t->n_values] =
        (reel_value){.dtype = dtype, .shape = *shape, .kind = kind, .producer = -1};
    return t->n_values;
}

static reel_var bound_value(reel_tape *t, reel_value_kind kind, reel_dtype dtype, reel_shape shape,
                            const char *name, const void *data) {
    if (t->status != REEL_OK) return 0;
    const reel_status status = reel_shape_check(t->env, &shape);
    if (status != REEL_OK) {
        reel_fail_within(t->env, "value %s", name ? name : "without a name");
        t->status = status;
        return 0;
    }
    const reel_var var = reel_tape_new_value(t, dtype, &shape, kind);
    if (!var) return 0;
    t->value[var].name = intern(t, name);
    memcpy(&t->value[var].data, &data, sizeof data); /* inputs are read only by contract */
    t->value[var].wants_grad = kind == REEL_VALUE_PARAM && reel_dtype_is_float(dtype);
    return t->status == REEL_OK ? var : 0;
}

reel_var reel_tape_input(reel_tape *t, reel_dtype dtype, reel_shape shape, const char *name,
                         const void *data) {
    return bound_value(t, REEL_VALUE_INPUT, dtype, shape, name, data);
}

reel_var reel_tape_param(reel_tape *t, reel_dtype dtype, reel_shape shape, const char *name,
                         const void *data) {
    return bound_value(t, REEL_VALUE_PARAM, dtype, shape, name, data);
}

void reel_tape_bind(reel_tape *t, reel_var var, void *data) {
    if (!var) return;
    reel_value *v = &t->value[var];
    if (t->eager && v->kind == REEL_VALUE_TEMP) /* it is there already, in memory of its own */
        memcpy(data, v->data, (size_t)(reel_shape_count(&v->shape) * reel_dtype_bytes(v->dtype)));
    else
        v->data = data;
}

void reel_tape_want_grad(reel_tape *t, reel_var input) {
    if (input) t->value[input].wants_grad = reel_dtype_is_float(t->value[input].dtype);
}

void reel_tape_keep(reel_tape *t, reel_var var) {
    if (var) t->value[var].keep = true;
}

/* ---- scopes ---- */

void reel_scope_begin(reel_tape *t, const char *name, reel_scope_flags flags) {
    if (t->status != REEL_OK) return;
    void *scopes = t->scope;
    const bool room = grow(t, &scopes, t->n_scopes, &t->scope_capacity, sizeof *t->scope);
    t->scope = scopes;
    if (!room) return;
    t->scope[t->n_scopes] = (reel_scope){.name = intern(t, name),
                                         .parent = t->open_scope,
                                         .first = t->n_records,
                                         .last = -1,
                                         .recompute = flags & REEL_RECOMPUTE};
    t->open_scope = t->n_scopes++;
}

void reel_scope_end(reel_tape *t) {
    if (t->status != REEL_OK) return;
    if (t->open_scope == 0) {
        reel_tape_fail(t, REEL_E_ARG, "a scope ends that was not begun");
        return;
    }
    t->scope[t->open_scope].last = t->n_records;
    t->open_scope = t->scope[t->open_scope].parent;
}

const char *reel_tape_open_scope_name(const reel_tape *t) {
    return t->names + t->scope[t->open_scope].name;
}

const char *reel_tape_scope_path(const reel_tape *t, int scope, char *text, int text_bytes) {
    int chain[32], n = 0;
    for (int s = scope; s > 0 && n < 32; s = t->scope[s].parent)
        chain[n++] = s;
    int used = 0;
    text[0] = 0;
    while (n-- > 0 && used < text_bytes) {
        const int wrote = snprintf(text + used, (size_t)(text_bytes - used), "%s%s",
                                   used ? "." : "", t->names + t->scope[chain[n]].name);
        used += wrote;
    }
    return text;
}

/* ---- failing ---- */

void reel_tape_say_where(reel_tape *t, const char *op) {
    char path[256];
    if (op) reel_fail_within(t->env, "%s", op);
    reel_tape_scope_path(t, t->open_scope, path, sizeof path);
    if (path[0]) reel_fail_within(t->env, "%s", path);
}

void reel_tape_fail(reel_tape *t, reel_status status, const char *format, ...) {
    if (t->status != REEL_OK) return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    t->status = reel_fail(t->env, status, "%s", text);
    reel_tape_say_where(t, NULL);
}

/* ---- records ---- */

void reel_tape_call(const reel_tape *t, const reel_record *r, reel_call *call) {
    memset(call, 0, sizeof *call);
    call->op = r->op;
    call->n_in = r->n_in;
    call->n_out = r->n_out;
    call->attr = r->attr;
    call->threads = t->env->threads;
    for (int i = 0; i < r->n_in; i++) {
        const reel_value *v = &t->value[r->in[i]];
        call->present[i] = r->in[i] != 0;
        call->in[i] = (reel_tensor){v->dtype, v->shape, v->data};
    }
    for (int i = 0; i < r->n_out; i++) {
        const reel_value *v = &t->value[r->out + i];
        call->out[i] = (reel_tensor){v->dtype, v->shape, v->data};
    }
}

/* Fails the tape unless every operand is a value of this tape, or may be absent and is. */
static bool operands_fit(reel_tape *t, const reel_op *op, const reel_var *in, int n_in) {
    for (int i = 0; i < n_in; i++) {
        if (in[i] >= 1 && in[i] <= t->n_values) continue;
        if (in[i] == 0 && (op->optional >> i & 1)) continue;
        if (in[i] == 0)
            t->status = reel_fail(t->env, REEL_E_ARG, "operand %d is absent", i);
        else
            t->status = reel_fail(t->env, REEL_E_ARG, "operand %d is value %d, the tape has %d", i,
                                  (int)in[i], t->n_values);
        reel_tape_say_where(t, op->name);
        return false;
    }
    return true;
}

/* Runs the shape rule of r, without data; outputs land in call. */
static reel_status infer(reel_tape *t, const reel_record *r, reel_call *call) {
    reel_tape_call(t, r, call);
    for (int i = 0; i < call->n_in; i++)
        call->in[i].data = NULL;
    reel_status status = r->op->shape(t->env, call);
    for (int i = 0; status == REEL_OK && i < call->n_out; i++)
        status = reel_shape_check(t->env, &call->out[i].shape);
    if (status != REEL_OK) {
        t->status = status;
        reel_tape_say_where(t, r->op->name);
    }
    return status;
}

/* Creates the outputs of r from what its shape rule said. */
static bool make_outputs(reel_tape *t, reel_record *r, const reel_call *call) {
    bool wants_grad = false;
    if (r->op->grad)
        for (int i = 0; i < r->n_in; i++)
            wants_grad |= t->value[r->in[i]].wants_grad;
    assert(call->n_out >= 1 && call->n_out <= REEL_MAX_OUT);
    r->n_out = (int16_t)call->n_out;
    for (int i = 0; i < call->n_out; i++) {
        const reel_var var =
            reel_tape_new_value(t, call->out[i].dtype, &call->out[i].shape, REEL_VALUE_TEMP);
        if (!var) return false;
        if (i == 0) r->out = var;
        t->value[var].producer = t->n_records;
        t->value[var].wants_grad = wants_grad && reel_dtype_is_float(call->out[i].dtype);
    }
    return true;
}

reel_var reel_tape_record(reel_tape *t, const reel_op *op, const void *attr, int attr_bytes,
                          const reel_var *in, int n_in) {
    if (t->status != REEL_OK) return 0;
    assert(n_in <= REEL_MAX_IN && attr_bytes <= REEL_ATTR_BYTES);
    if (!operands_fit(t, op, in, n_in)) return 0;
    reel_record r = {.op = op, .n_in = (int16_t)n_in, .scope = t->open_scope};
    for (int i = 0; i < n_in; i++)
        r.in[i] = in[i];
    if (attr_bytes) memcpy(r.attr, attr, (size_t)attr_bytes);

    reel_call call;
    if (infer(t, &r, &call) != REEL_OK || !make_outputs(t, &r, &call)) return 0;
    void *records = t->record;
    const bool room = grow(t, &records, t->n_records, &t->record_capacity, sizeof *t->record);
    t->record = records;
    if (!room) return 0;
    t->record[t->n_records++] = r;
    if (t->eager) reel_eager_run(t, &r);
    return t->status == REEL_OK ? r.out : 0;
}
