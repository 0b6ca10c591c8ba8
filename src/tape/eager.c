/* Eager mode: each record runs as it is appended, in memory of its own. For debugging only. */
#include <string.h>

#include "tape/state.h"

void reel_eager_run(reel_tape *t, const reel_record *r) {
    reel_call call;
    for (int i = 0; i < r->n_out; i++) {
        reel_value *v = &t->value[r->out + i];
        const int64_t bytes = reel_dtype_size(v->dtype, reel_shape_count(&v->shape));
        if (r->op->view)
            v->data = t->value[r->in[0]].data;
        else if (!(v->data = reel_alloc(t->env, bytes, "eager")))
            t->status = REEL_E_NOMEM;
    }
    if (r->op->view || t->status != REEL_OK) return;
    reel_tape_call(t, r, &call);
    for (int i = 0; i < call.n_in; i++)
        if (call.present[i] && !call.in[i].data) {
            reel_tape_fail(t, REEL_E_ARG, "%s reads value %d, which is bound to no memory",
                           r->op->name, (int)r->in[i]);
            return;
        }
    t->status = reel_call_prepare(t->env, t->eager, &call);
    if (t->status != REEL_OK) {
        reel_tape_say_where(t, NULL);
        return;
    }
    if (call.kernel->scratch)
        call.scratch_bytes = call.kernel->scratch(&call, reel_threads_count(call.threads));
    call.scratch = reel_alloc(t->env, call.scratch_bytes, "eager");
    if (call.scratch)
        call.kernel->run(&call);
    else
        t->status = REEL_E_NOMEM;
    reel_free(t->env, call.scratch);
    reel_call_release(t->env, &call);
}

void reel_eager_release(reel_tape *t) {
    if (!t->eager) return;
    for (int k = 0; k < t->n_records; k++) {
        const reel_record *r = &t->record[k];
        for (int i = 0; i < r->n_out && !r->op->view; i++)
            reel_free(t->env, t->value[r->out + i].data);
    }
}
