/* Operations and kernels: what a record of the tape refers to.
 *
 * An op is a contract: a shape rule, a gradient rule, an arithmetic count. A kernel computes one
 * op for some dtypes and some machine. Ops live in ops/, kernels in ops/ (reference), cpu/ and
 * cuda/; the tape only follows the pointers below and knows no concrete op.
 */
#ifndef REEL_TAPE_OP_H
#define REEL_TAPE_OP_H

#include "base/env.h"
#include "tensor/tensor.h"

enum { REEL_MAX_IN = 10, REEL_MAX_OUT = 8, REEL_ATTR_BYTES = 128, REEL_MAX_KERNELS = 8 };

typedef int32_t reel_var; /* a value of a tape; 0 is none */
typedef struct reel_tape reel_tape;
typedef struct reel_op reel_op;
typedef struct reel_kernel reel_kernel;

/* One call of an op: its operands, attributes and planned scratch. A shape rule sees the inputs
 * without data and fills dtype and shape of the outputs; a kernel sees everything. */
typedef struct reel_call {
    const reel_op *op;
    const reel_kernel *kernel;
    int n_in, n_out;
    reel_tensor in[REEL_MAX_IN];
    bool present[REEL_MAX_IN];     /* which inputs were given; the others have rank 0 and no data */
    reel_tensor out[REEL_MAX_OUT]; /* data is NULL for an output nobody reads: do not write it */
    const void *attr;              /* the op's own attribute struct, or NULL */
    void *scratch;                 /* planned, aligned to 64 bytes; contents undefined at entry */
    int64_t scratch_bytes;
    void *prepared; /* what the kernel's prepare made: a packed primitive, a schedule */
    reel_threads *threads;
} reel_call;

/* A record: one op applied to values. Outputs are consecutive: out, out + 1, ... */
typedef struct reel_record {
    const reel_op *op;
    reel_var in[REEL_MAX_IN]; /* 0 where absent */
    reel_var out;             /* the first output */
    int16_t n_in, n_out;
    int32_t scope; /* index of the innermost scope */
    uint8_t attr[REEL_ATTR_BYTES] __attribute__((aligned(8)));
} reel_record;

/* Checks inputs and attributes, sets call->n_out and dtype and shape of each output. On misfit
 * `return reel_fail(env, REEL_E_SHAPE, "x %s needs w [*,%d], got %s", ...)`; the tape adds where.
 */
typedef reel_status reel_shape_rule(reel_env *env, reel_call *call);

/* Appends the records that turn the gradients of the outputs (dout[i], 0 where nothing flows) into
 * gradients of the inputs, and hands each over with reel_tape_add_grad. It asks
 * reel_tape_wants_grad first, so that nothing is computed for a value that needs none. record is a
 * copy and stays valid while the rule appends. */
typedef void reel_grad_rule(reel_tape *tape, const reel_record *record, const reel_var *dout);

struct reel_op {
    const char *name;
    int id; /* row of ops.def: index into the kernel table */
    reel_shape_rule *shape;
    reel_grad_rule *grad; /* NULL: no gradient flows through (integer outputs, backward ops) */
    /* Multiply and add count as two; NULL: not counted. Before a run operands have no data: what
     * depends on their values is guessed then. */
    double (*flops)(const reel_call *call);
    uint32_t optional; /* bit i: input i may be absent; the tape refuses a record lacking another */
    uint32_t inplace;  /* bit i: output 0 may share the memory of input i when that dies here */
    bool view;         /* output 0 is input 0's memory under another shape; no kernel runs */
};

/* A kernel. run must not allocate, lock, log or touch globals; it may call reel_parallel_for. */
struct reel_kernel {
    const char *name; /* "linear.onednn_bf16" */
    /* Why this kernel does not take the call ("x is f16"), or NULL when it does. NULL: takes all.
     */
    const char *(*refuse)(const reel_call *call);
    /* Bytes of scratch, with n_lanes lanes; asked after prepare. NULL: none. */
    int64_t (*scratch)(const reel_call *call, int n_lanes);
    /* Called once at plan time with shapes and dtypes (data pointers are not final): may set
     * call->prepared. REEL_E_UNSUPPORTED, without a message: the next weaker kernel is tried. NULL:
     * nothing to do. */
    reel_status (*prepare)(reel_env *env, reel_call *call);
    void (*release)(reel_env *env, reel_call *call);
    void (*run)(const reel_call *call);
};

/* For each op the kernels that compute it, weakest first; the planner takes the last that accepts.
 */
typedef struct reel_kernel_row {
    const reel_op *op;
    int n;
    const reel_kernel *kernel[REEL_MAX_KERNELS];
} reel_kernel_row;

typedef struct reel_kernel_table {
    int n_ops;
    reel_kernel_row *row; /* [n_ops] */
} reel_kernel_table;

/* A table with a row for each of n_ops ops (op[i]->id == i) and no kernels. The caller frees it. */
REEL_MUST_USE reel_status reel_kernel_table_new(reel_env *env, const reel_op *const *op, int n_ops,
                                                reel_kernel_table **table);
void reel_kernel_table_free(reel_env *env, reel_kernel_table **table);
/* Puts a kernel on top of op's row. A full row is a bug of ours (assert). */
void reel_kernel_table_add(reel_kernel_table *table, const reel_op *op, const reel_kernel *kernel);

#endif
