/* The tape: a model is plain C calls, each of which appends a record.
 *
 * reel_tape_backward walks the list once in reverse and appends ordinary records by each op's
 * gradient rule; tape/plan.h gives every value a place in one arena and runs the list. Errors are
 * sticky: the first one is kept with its scope path and shapes, later records are no-ops, and the
 * caller tests once, at reel_plan_new (or with reel_tape_status).
 */
#ifndef REEL_TAPE_TAPE_H
#define REEL_TAPE_TAPE_H

#include "tape/op.h"

typedef enum reel_value_kind {
    REEL_VALUE_NONE,
    REEL_VALUE_TEMP,  /* planned memory, or the caller's when bound as an output */
    REEL_VALUE_INPUT, /* the caller's memory, read only; no gradient unless asked for */
    REEL_VALUE_PARAM, /* the caller's memory, read only; wants a gradient (f32), which is kept */
} reel_value_kind;

typedef struct reel_value {
    reel_dtype dtype;
    reel_shape shape;
    reel_value_kind kind;
    bool keep;        /* lives to the end of the run */
    bool wants_grad;  /* a parameter is upstream */
    int32_t producer; /* the record that makes it, -1 for inputs and parameters */
    reel_var origin;  /* the value this one recomputes, or 0 */
    reel_var grad;    /* its gradient, once backward has found one, or 0 */
    void *data;       /* bound memory, or NULL */
    int64_t name;     /* offset into the tape's names; reel_tape_value_name reads it */
} reel_value;

typedef enum reel_scope_flags {
    REEL_SCOPE_PLAIN = 0,
    REEL_RECOMPUTE = 1, /* backward records the scope's forward again instead of keeping it */
} reel_scope_flags;

/* An empty tape. accumulate: the op that adds two gradients (two inputs of one shape and dtype, one
 * output); ops/ops.h's reel_ops_tape_new passes the right one. Heap; the caller frees it. */
REEL_MUST_USE reel_status reel_tape_new(reel_env *env, const reel_op *accumulate, reel_tape **tape);
void reel_tape_free(reel_tape **tape);
/* Forgets all records, values and any error; keeps the memory, so that recording a step again
 * allocates nothing. */
void reel_tape_reset(reel_tape *tape);

reel_env *reel_tape_env(const reel_tape *tape);

/* Training tapes save what backward needs (pre-activations, statistics); inference tapes do not.
 * Set before recording; default off; survives a reset. */
void reel_tape_set_training(reel_tape *tape, bool training);
bool reel_tape_training(const reel_tape *tape);

/* ---- values ---- */

/* A value in the caller's memory. data may be NULL and bound later; it must stay valid while plans
 * run. name is copied and may be NULL. Returns 0 on a failed tape. */
reel_var reel_tape_input(reel_tape *tape, reel_dtype dtype, reel_shape shape, const char *name,
                         const void *data);
reel_var reel_tape_param(reel_tape *tape, reel_dtype dtype, reel_shape shape, const char *name,
                         const void *data);
/* Binds memory: of an input or parameter, or, for a temporary, where its value is to be written. */
void reel_tape_bind(reel_tape *tape, reel_var var, void *data);
/* Makes an input want a gradient, as parameters do. Before the first record that reads it. */
void reel_tape_want_grad(reel_tape *tape, reel_var input);
/* Keeps a value to the end of the run, where reel_plan_data finds it. */
void reel_tape_keep(reel_tape *tape, reel_var var);

/* The value behind var: dtype, shape, kind. Borrowed until the next record. For var 0 (an absent
 * operand, a failed tape) a value of kind NONE. */
const reel_value *reel_tape_value(const reel_tape *tape, reel_var var);
const char *reel_tape_value_name(const reel_tape *tape, reel_var var);
int reel_tape_n_values(const reel_tape *tape);
int reel_tape_n_records(const reel_tape *tape);
const reel_record *reel_tape_record_at(const reel_tape *tape, int index);

/* ---- records ---- */

/* Appends op(in...) and returns its first output; the others follow it (out + 1, ...). in[i] is 0
 * for an absent operand. attr is copied (attr_bytes <= REEL_ATTR_BYTES) and may be NULL; it is
 * compared by its bytes, so its struct must have no padding between fields and no pointers. Returns
 * 0 on failure. */
reel_var reel_tape_record(reel_tape *tape, const reel_op *op, const void *attr, int attr_bytes,
                          const reel_var *in, int n_in);
/* The same with the operands written out: REEL_RECORD(tape, &reel_op_add, NULL, 0, x, y). */
#define REEL_RECORD(tape, op, attr, attr_bytes, ...)                                               \
    reel_tape_record((tape), (op), (attr), (attr_bytes), (const reel_var[]){__VA_ARGS__},          \
                     (int)(sizeof((const reel_var[]){__VA_ARGS__}) / sizeof(reel_var)))

/* Scopes name the records inside ("block 7") and may carry REEL_RECOMPUTE. name is copied. */
void reel_scope_begin(reel_tape *tape, const char *name, reel_scope_flags flags);
void reel_scope_end(reel_tape *tape);
/* The name of the innermost open scope, "" at the root. Borrowed until the next scope or value. */
const char *reel_tape_open_scope_name(const reel_tape *tape);
/* "dit.block 7.attn" into text (always terminated); returns text. */
const char *reel_tape_scope_path(const reel_tape *tape, int scope, char *text, int text_bytes);

/* REEL_OK, or the status of the first failure; its message is in the environment. */
reel_status reel_tape_status(const reel_tape *tape);
/* Fails the tape from an op's wrapper or a model: message as in reel_fail; the scope is added. */
void reel_tape_fail(reel_tape *tape, reel_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- backward ---- */

/* Appends the gradient of loss (one f32 element) by every value that wants one. Once per tape. */
void reel_tape_backward(reel_tape *tape, reel_var loss);
/* The gradient of var, 0 when none flows: f32 for parameters, else of var's dtype; var's shape. */
reel_var reel_tape_grad(const reel_tape *tape, reel_var var);

/* For gradient rules: does anybody need var's gradient; here is a part of it (parts are added). */
bool reel_tape_wants_grad(const reel_tape *tape, reel_var var);
void reel_tape_add_grad(reel_tape *tape, reel_var var, reel_var gradient);
/* The dtype a gradient of var must have: f32 for inputs and parameters, else var's own. */
reel_dtype reel_tape_grad_dtype(const reel_tape *tape, reel_var var);

/* ---- looking at it ---- */

/* A hash over ops, attributes, operands, shapes, dtypes, scopes and what is kept: equal hash, equal
 * plan.
 */
uint64_t reel_tape_hash(const reel_tape *tape);

/* One line a record: outputs, op, operands, shapes, scope. Calls write for each, without newline.
 */
void reel_tape_dump(const reel_tape *tape, void (*write)(void *context, const char *line),
                    void *context);

/* Eager mode, for debugging: from now on every record runs as it is appended, in memory of its own
 * that lives until reset, so that reel_tape_value(...)->data can be looked at. Set before the first
 * record; inputs must be bound before they are read. NULL turns it off. */
void reel_tape_set_eager(reel_tape *tape, const reel_kernel_table *table);

#endif
