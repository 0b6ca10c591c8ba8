/* The list of all ops, and the table of their reference kernels.
 *
 * An op is one file pair: its contract (attributes, recording function) in x.h, and in x.c the
 * shape rule, the reference kernels and the gradient rule side by side; its test is x_test.c.
 * ops.def holds a row for each.
 */
#ifndef REEL_OPS_OPS_H
#define REEL_OPS_OPS_H

#include "tape/tape.h"

enum {
#define REEL_OP(NAME, name) REEL_OP_##NAME,
#define REEL_VIEW(NAME, name) REEL_OP_##NAME,
#include "ops/ops.def"
#undef REEL_OP
#undef REEL_VIEW
    REEL_OP_COUNT
};

#define REEL_OP(NAME, name)                                                                        \
    extern const reel_op reel_op_##name;                                                           \
    extern const reel_kernel reel_ref_##name;
#define REEL_VIEW(NAME, name) extern const reel_op reel_op_##name;
#include "ops/ops.def"
#undef REEL_OP
#undef REEL_VIEW

/* All ops by id. */
extern const reel_op *const reel_ops[REEL_OP_COUNT];

/* A table holding the reference kernel of every op. The caller frees it. */
REEL_MUST_USE reel_status reel_ops_reference_table(reel_env *env, reel_kernel_table **table);

/* A tape that adds gradients with the op `add`. The caller frees it. */
REEL_MUST_USE reel_status reel_ops_tape_new(reel_env *env, reel_tape **tape);

#endif
