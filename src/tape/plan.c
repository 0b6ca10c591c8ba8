/* Planning: liveness, views and in-place reuse, kernels, addresses, and the loop that runs it. */
#include "tape/plan.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "tape/place.h"
#include "tape/state.h"

enum { FOREVER = INT32_MAX };

typedef struct reel_plan_call {
    reel_call call;
    int32_t scope;
    int64_t scratch_offset;
    reel_var in[REEL_MAX_IN], out[REEL_MAX_OUT]; /* roots of the operands, 0 where absent */
    uint8_t attr[REEL_ATTR_BYTES] __attribute__((aligned(8))); /* the tape may be reset */
} plan_call;

/* What the plan knows of a value. Several values can share one root's memory (views, in-place). */
typedef struct plan_value {
    reel_var parent;     /* itself for a root */
    int32_t first, last; /* calls between which the root's memory is in use; last < first: never */
    int64_t bytes, offset;
    int64_t name; /* offset into the plan's names */
    void *data;   /* bound memory */
    bool bound;   /* lives in the caller's memory */
    bool keep;
} plan_value;

struct reel_plan {
    reel_env *env;
    const reel_kernel_table *table;
    uint64_t hash;
    plan_value *value; /* [n_values + 1] */
    plan_call *call;   /* [n_calls] */
    int n_values, n_calls;
    char *names; /* the tape's, which may be reset while the plan lives */
    char *arena;
    reel_plan_options options;
    reel_plan_stats stats;
    reel_plan_after *after; /* or NULL */
    void *after_context;
};

reel_plan_options reel_plan_options_default(void) {
    return (reel_plan_options){.reuse = true, .inplace = true};
}

static reel_var root_of(const reel_plan *p, reel_var var) {
    while (p->value[var].parent != var)
        var = p->value[var].parent;
    return var;
}

static int64_t padded(int64_t bytes) {
    return (bytes + REEL_ALIGN - 1) / REEL_ALIGN * REEL_ALIGN;
}

/* ---- liveness ---- */

/* needed[k]: record k makes something that is kept, written to the caller, or read by one needed.
 */
static int mark_needed(const reel_tape *t, bool *needed, bool *read) {
    int n = 0;
    for (int k = t->n_records - 1; k >= 0; k--) {
        const reel_record *r = &t->record[k];
        for (int i = 0; i < r->n_out; i++) {
            const reel_value *v = &t->value[r->out + i];
            needed[k] |= v->keep || (v->data && !t->eager) || read[r->out + i];
        }
        if (!needed[k]) continue;
        n++;
        for (int i = 0; i < r->n_in; i++)
            read[r->in[i]] = true;
    }
    return n;
}

static void init_values(reel_plan *p, const reel_tape *t) {
    for (reel_var v = 0; v <= p->n_values; v++) {
        const reel_value *from = &t->value[v];
        p->value[v] = (plan_value){.parent = v, .first = FOREVER, .last = -1, .keep = from->keep};
        if (v == 0) continue;
        p->value[v].name = from->name;
        p->value[v].bytes = reel_dtype_size(from->dtype, reel_shape_count(&from->shape));
        p->value[v].data = t->eager && from->kind == REEL_VALUE_TEMP ? NULL : from->data;
        p->value[v].bound = from->kind != REEL_VALUE_TEMP || p->value[v].data;
    }
}

/* Makes view outputs share their input's root; everything else stays its own root. */
static reel_status join_views(reel_plan *p, const reel_tape *t, const bool *needed) {
    for (int k = 0; k < t->n_records; k++) {
        const reel_record *r = &t->record[k];
        if (!needed[k] || !r->op->view) continue;
        plan_value *view = &p->value[r->out];
        if (view->bound)
            return reel_fail(p->env, REEL_E_UNSUPPORTED,
                             "value %d is a view (%s) and cannot be bound: bind what it views",
                             (int)r->out, r->op->name);
        view->parent = root_of(p, r->in[0]);
        p->value[view->parent].keep |= view->keep;
    }
    return REEL_OK;
}

/* The calls in order, with operands but no memory yet. */
static void list_calls(reel_plan *p, const reel_tape *t, const bool *needed) {
    for (int k = 0; k < t->n_records; k++) {
        const reel_record *r = &t->record[k];
        if (!needed[k] || r->op->view) continue;
        plan_call *c = &p->call[p->n_calls++];
        c->scope = r->scope;
        reel_tape_call(t, r, &c->call);
        memcpy(c->attr, r->attr, sizeof c->attr);
        c->call.attr = c->attr;
        for (int i = 0; i < r->n_in; i++)
            c->in[i] = r->in[i] ? root_of(p, r->in[i]) : 0;
        for (int i = 0; i < r->n_out; i++)
            c->out[i] = r->out + i;
    }
}

static void find_lifetimes(reel_plan *p) {
    for (int k = 0; k < p->n_calls; k++) {
        const plan_call *c = &p->call[k];
        for (int i = 0; i < c->call.n_out; i++)
            p->value[c->out[i]].first = k;
        for (int i = 0; i < c->call.n_in; i++)
            if (c->in[i]) p->value[c->in[i]].last = k;
    }
    for (reel_var v = 1; v <= p->n_values; v++)
        if (p->value[v].keep) p->value[v].last = FOREVER;
}

/* ---- in place ---- */

static bool may_take_over(const reel_plan *p, const plan_call *c, int k, int i) {
    if (!(c->call.op->inplace >> i & 1) || !c->in[i]) return false;
    const plan_value *in = &p->value[root_of(p, c->in[i])];
    if (in->bound || in->last != k) return false;
    if (reel_tensor_bytes(&c->call.in[i]) != reel_tensor_bytes(&c->call.out[0])) return false;
    if (in->bytes != reel_tensor_bytes(&c->call.out[0])) return false;
    for (int j = 0; j < c->call.n_in; j++)
        if (j != i && c->in[j] && root_of(p, c->in[j]) == root_of(p, c->in[i])) return false;
    return true;
}

static void share_in_place(reel_plan *p) {
    for (int k = 0; k < p->n_calls; k++) {
        const plan_call *c = &p->call[k];
        plan_value *out = &p->value[c->out[0]];
        if (out->bound || out->last <= k) continue;
        for (int i = 0; i < c->call.n_in; i++) {
            if (!may_take_over(p, c, k, i)) continue;
            out->parent = root_of(p, c->in[i]);
            p->value[out->parent].last = out->last;
            p->stats.n_inplace++;
            break;
        }
    }
}

/* ---- kernels ---- */

reel_status reel_call_prepare(reel_env *env, const reel_kernel_table *table, reel_call *call) {
    const reel_kernel_row *row = &table->row[call->op->id];
    const char *reason = "there is no kernel";
    for (int i = row->n - 1; i >= 0; i--) {
        const reel_kernel *kernel = row->kernel[i];
        const char *refusal = kernel->refuse ? kernel->refuse(call) : NULL;
        if (refusal) {
            reason = refusal;
            continue;
        }
        call->kernel = kernel;
        const reel_status status = kernel->prepare ? kernel->prepare(env, call) : REEL_OK;
        if (status == REEL_OK) return REEL_OK;
        call->kernel = NULL;
        if (status != REEL_E_UNSUPPORTED) return status;
        reason = "its preparation failed";
    }
    return reel_fail(env, REEL_E_UNSUPPORTED, "%s: no kernel takes %s %s: %s", call->op->name,
                     reel_dtype_name(call->in[0].dtype), REEL_SHAPE_STR(&call->in[0].shape),
                     reason);
}

void reel_call_release(reel_env *env, reel_call *call) {
    if (call->kernel && call->kernel->release) call->kernel->release(env, call);
    call->kernel = NULL;
}

/* Operands may be bound to memory that is filled later. */
static double flops_of_shapes(const reel_call *call) {
    reel_call bare = *call;
    for (int i = 0; i < bare.n_in; i++)
        bare.in[i].data = NULL;
    return call->op->flops ? call->op->flops(&bare) : 0;
}

static reel_status pick_kernels(reel_plan *p, const reel_tape *t) {
    const int n_lanes = reel_threads_count(p->env->threads);
    for (int k = 0; k < p->n_calls; k++) {
        reel_call *call = &p->call[k].call;
        const reel_status status = reel_call_prepare(p->env, p->table, call);
        if (status != REEL_OK) {
            char path[256];
            reel_tape_scope_path(t, p->call[k].scope, path, sizeof path);
            if (path[0]) reel_fail_within(p->env, "%s", path);
            return status;
        }
        if (call->kernel->scratch) call->scratch_bytes = call->kernel->scratch(call, n_lanes);
        p->stats.flops += flops_of_shapes(call);
    }
    return REEL_OK;
}

/* ---- placement ---- */

/* The pieces of the arena: root values, and the scratch of calls (with ~index of the call). */
static int list_pieces(const reel_plan *p, reel_piece *pieces) {
    int n = 0;
    for (reel_var v = 1; v <= p->n_values; v++) {
        const plan_value *value = &p->value[v];
        const bool used = value->parent == v && !value->bound && value->last >= value->first;
        if (used && value->bytes)
            pieces[n++] = (reel_piece){padded(value->bytes), 0, value->first, value->last, v};
    }
    for (int k = 0; k < p->n_calls; k++)
        if (p->call[k].call.scratch_bytes)
            pieces[n++] = (reel_piece){padded(p->call[k].call.scratch_bytes), 0, k, k, ~k};
    return n;
}

static reel_status place(reel_plan *p) {
    const int64_t room = (int64_t)p->n_values + p->n_calls + 1;
    reel_piece *pieces = reel_calloc(p->env, 2 * room, sizeof *pieces, "plan");
    if (!pieces) return REEL_E_NOMEM;
    const int n = list_pieces(p, pieces);
    p->stats.planned_bytes = reel_place(pieces, n, pieces + room, p->options.reuse);
    for (int i = 0; i < n; i++) {
        const reel_piece *piece = &pieces[i];
        p->stats.sum_bytes += piece->bytes;
        if (piece->index > 0)
            p->value[piece->index].offset = piece->offset;
        else
            p->call[~piece->index].scratch_offset = piece->offset;
    }
    reel_free(p->env, pieces);
    return REEL_OK;
}

static void *address(const reel_plan *p, reel_var var) {
    if (!var) return NULL;
    const plan_value *v = &p->value[root_of(p, var)];
    if (v->bound) return v->data;
    return v->last >= v->first ? p->arena + v->offset : NULL;
}

static void note_peak(reel_plan *p, const void *data, int64_t bytes) {
    if (!data || !p->arena) return;
    const int64_t end = (const char *)data - p->arena + bytes;
    if ((const char *)data >= p->arena && end <= p->stats.planned_bytes &&
        padded(end) > p->stats.peak_bytes)
        p->stats.peak_bytes = padded(end);
}

/* Points every operand and scratch at its memory. */
static reel_status point(reel_plan *p) {
    p->arena = reel_alloc(p->env, p->stats.planned_bytes, "plan arena");
    if (!p->arena) return REEL_E_NOMEM;
    for (int k = 0; k < p->n_calls; k++) {
        plan_call *c = &p->call[k];
        for (int i = 0; i < c->call.n_in; i++) {
            c->in[i] = c->in[i] ? root_of(p, c->in[i]) : 0;
            c->call.in[i].data = address(p, c->in[i]);
            note_peak(p, c->call.in[i].data, reel_tensor_bytes(&c->call.in[i]));
        }
        for (int i = 0; i < c->call.n_out; i++) {
            c->call.out[i].data = address(p, c->out[i]);
            c->out[i] = root_of(p, c->out[i]);
            note_peak(p, c->call.out[i].data, reel_tensor_bytes(&c->call.out[i]));
        }
        if (c->call.scratch_bytes) {
            c->call.scratch = p->arena + c->scratch_offset;
            note_peak(p, c->call.scratch, c->call.scratch_bytes);
        }
    }
    return REEL_OK;
}

/* ---- the plan's life ---- */

/* Everything that depends on the list alone, not on kernels. */
static reel_status analyse(reel_plan *p, const reel_tape *t) {
    const int64_t n_flags = (int64_t)t->n_records + 1 + t->n_values + 1;
    bool *needed = reel_calloc(p->env, n_flags, sizeof *needed, "plan");
    if (!needed) return REEL_E_NOMEM;
    const int n = mark_needed(t, needed, needed + t->n_records + 1);
    p->stats.n_dropped = t->n_records - n;
    p->call = reel_calloc(p->env, n ? n : 1, sizeof *p->call, "plan");
    reel_status status = p->call ? REEL_OK : REEL_E_NOMEM;
    if (status == REEL_OK) {
        init_values(p, t);
        status = join_views(p, t, needed);
    }
    if (status == REEL_OK) {
        list_calls(p, t, needed);
        find_lifetimes(p);
        if (p->options.inplace) share_in_place(p);
    }
    reel_free(p->env, needed);
    p->stats.n_records = p->n_calls;
    return status;
}

reel_status reel_plan_new(const reel_tape *t, const reel_kernel_table *table,
                          const reel_plan_options *options, reel_plan **plan) {
    if (t->status != REEL_OK) return t->status;
    reel_plan *p = reel_calloc(t->env, 1, sizeof *p, "plan");
    if (!p) return REEL_E_NOMEM;
    p->env = t->env;
    p->table = table;
    p->options = options ? *options : reel_plan_options_default();
    p->hash = reel_tape_hash(t);
    p->n_values = t->n_values;
    p->value = reel_calloc(t->env, (int64_t)t->n_values + 1, sizeof *p->value, "plan");
    p->names = reel_alloc(t->env, t->names_bytes, "plan");
    if (p->names) memcpy(p->names, t->names, (size_t)t->names_bytes);
    reel_status status = p->value && p->names ? analyse(p, t) : REEL_E_NOMEM;
    if (status == REEL_OK) status = pick_kernels(p, t);
    if (status == REEL_OK) status = place(p);
    if (status == REEL_OK && !p->options.dry) status = point(p);
    if (status == REEL_OK)
        *plan = p;
    else
        reel_plan_free(&p);
    return status;
}

void reel_plan_free(reel_plan **plan) {
    reel_plan *p = *plan;
    if (!p) return;
    for (int k = 0; p->call && k < p->n_calls; k++)
        reel_call_release(p->env, &p->call[k].call);
    reel_free(p->env, p->call);
    reel_free(p->env, p->value);
    reel_free(p->env, p->names);
    reel_free(p->env, p->arena);
    reel_free(p->env, p);
    *plan = NULL;
}

reel_status reel_plan_update(const reel_tape *t, const reel_kernel_table *table,
                             const reel_plan_options *options, reel_plan **plan) {
    reel_plan *old = *plan;
    const reel_plan_options wanted = options ? *options : reel_plan_options_default();
    const bool same = old && t->status == REEL_OK && old->table == table &&
                      old->hash == reel_tape_hash(t) && old->options.reuse == wanted.reuse &&
                      old->options.inplace == wanted.inplace && old->options.dry == wanted.dry;
    if (same) {
        for (reel_var v = 1; v <= old->n_values; v++)
            if (old->value[v].bound && old->value[v].data != t->value[v].data)
                reel_plan_bind(old, v, t->value[v].data);
        return REEL_OK;
    }
    reel_plan *fresh;
    const reel_status status = reel_plan_new(t, table, options, &fresh);
    if (status != REEL_OK) return status;
    reel_plan_free(plan);
    *plan = fresh;
    return REEL_OK;
}

void reel_plan_bind(reel_plan *p, reel_var var, void *data) {
    assert(var >= 1 && var <= p->n_values && p->value[var].bound);
    p->value[var].data = data;
    for (int k = 0; k < p->n_calls; k++) {
        plan_call *c = &p->call[k];
        for (int i = 0; i < c->call.n_in; i++)
            if (c->in[i] == var) c->call.in[i].data = data;
        for (int i = 0; i < c->call.n_out; i++)
            if (c->out[i] == var) c->call.out[i].data = data;
    }
}

void *reel_plan_data(const reel_plan *p, reel_var var) {
    if (var < 1 || var > p->n_values) return NULL;
    const plan_value *v = &p->value[root_of(p, var)];
    return v->bound || v->last == FOREVER ? address(p, var) : NULL;
}

void reel_plan_set_after(reel_plan *p, reel_plan_after *after, void *context) {
    p->after = after;
    p->after_context = context;
}

int reel_plan_last_use(const reel_plan *p, reel_var var) {
    if (var < 1 || var > p->n_values || !p->value[var].bound) return -1;
    const int32_t last = p->value[var].last;
    return last < p->n_calls ? last : -1;
}

reel_plan_stats reel_plan_get_stats(const reel_plan *p) {
    return p->stats;
}

const reel_call *reel_plan_call(const reel_plan *p, int index) {
    return &p->call[index].call;
}

/* ---- running ---- */

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double call_bytes(const reel_call *call) {
    double bytes = 0;
    for (int i = 0; i < call->n_in; i++)
        if (call->present[i]) bytes += (double)reel_tensor_bytes(&call->in[i]);
    for (int i = 0; i < call->n_out; i++)
        if (call->out[i].data) bytes += (double)reel_tensor_bytes(&call->out[i]);
    return bytes;
}

static double call_flops(const reel_call *call) {
    return call->op->flops ? call->op->flops(call) : 0;
}

static void run_profiled(const plan_call *c, reel_profile_row *row) {
    const double start = seconds_now();
    c->call.kernel->run(&c->call);
    *row = (reel_profile_row){.op = c->call.op,
                              .kernel = c->call.kernel,
                              .scope = c->scope,
                              .seconds = seconds_now() - start,
                              .flops = call_flops(&c->call),
                              .bytes = call_bytes(&c->call)};
}

reel_status reel_plan_run(reel_plan *p, reel_profile_row *rows) {
    if (p->options.dry) return reel_fail(p->env, REEL_E_ARG, "a dry plan cannot run");
    for (reel_var v = 1; v <= p->n_values; v++)
        if (p->value[v].bound && !p->value[v].data && p->value[v].last >= 0)
            return reel_fail(p->env, REEL_E_ARG, "value %d (%s) is read but bound to no memory",
                             (int)v, p->names + p->value[v].name);
    const int64_t n_calls = p->env->allocator.n_calls;
    double flops = 0;
    for (int k = 0; k < p->n_calls; k++) {
        if (rows)
            run_profiled(&p->call[k], &rows[k]);
        else
            p->call[k].call.kernel->run(&p->call[k].call);
        flops += rows ? rows[k].flops : call_flops(&p->call[k].call);
        if (!p->after) continue;
        const reel_status status = p->after(p->after_context, k);
        if (status != REEL_OK) return status;
    }
    p->stats.flops = flops;
    p->stats.n_run_allocations += p->env->allocator.n_calls - n_calls;
    return REEL_OK;
}
