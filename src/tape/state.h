/* What the files of tape/ share: the tape's own fields. Included by nobody outside this folder. */
#ifndef REEL_TAPE_STATE_H
#define REEL_TAPE_STATE_H

#include "tape/tape.h"

typedef struct reel_scope {
    int64_t name;        /* offset into names */
    int32_t parent;      /* -1 for the root, which is scope 0 */
    int32_t first, last; /* records [first, last); last is -1 while open */
    bool recompute;
} reel_scope;

struct reel_tape {
    reel_env *env;
    const reel_op *accumulate;
    const reel_kernel_table *eager;

    reel_value *value; /* [n_values + 1]: entry 0 is the absent value */
    int n_values, value_capacity;
    reel_record *record;
    int n_records, record_capacity;
    reel_scope *scope;
    int n_scopes, scope_capacity;
    char *names; /* zero-terminated strings, the first one empty */
    int64_t names_bytes, names_capacity;

    int32_t open_scope;
    bool training;
    bool differentiated;
    reel_status status;
};

/* A new value of the tape, or 0 with the tape failed. */
reel_var reel_tape_new_value(reel_tape *tape, reel_dtype dtype, const reel_shape *shape,
                             reel_value_kind kind);

/* Fills operands of call from a record; data pointers are those of bound values. */
void reel_tape_call(const reel_tape *tape, const reel_record *record, reel_call *call);

/* Puts the open scope's path, and op's name unless NULL, in front of the environment's message. */
void reel_tape_say_where(reel_tape *tape, const char *op);

/* Runs the last record at once (eager.c); fails the tape when it cannot. */
void reel_eager_run(reel_tape *tape, const reel_record *record);
void reel_eager_release(reel_tape *tape);

/* Picks the strongest kernel of the table that takes the call and prepares it; fills call->kernel.
 * Fails with REEL_E_UNSUPPORTED naming the last refusal when none does. */
REEL_MUST_USE reel_status reel_call_prepare(reel_env *env, const reel_kernel_table *table,
                                            reel_call *call);
void reel_call_release(reel_env *env, reel_call *call);

#endif
