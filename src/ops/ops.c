#include "ops/ops.h"

const reel_op *const reel_ops[REEL_OP_COUNT] = {
#define REEL_OP(NAME, name) &reel_op_##name,
#define REEL_VIEW(NAME, name) &reel_op_##name,
#include "ops/ops.def"
#undef REEL_OP
#undef REEL_VIEW
};

reel_status reel_ops_reference_table(reel_env *env, reel_kernel_table **table) {
    reel_kernel_table *t;
    const reel_status status = reel_kernel_table_new(env, reel_ops, REEL_OP_COUNT, &t);
    if (status != REEL_OK) return status;
#define REEL_OP(NAME, name) reel_kernel_table_add(t, &reel_op_##name, &reel_ref_##name);
#define REEL_VIEW(NAME, name)
#include "ops/ops.def"
#undef REEL_OP
#undef REEL_VIEW
    *table = t;
    return REEL_OK;
}

reel_status reel_ops_tape_new(reel_env *env, reel_tape **tape) {
    return reel_tape_new(env, &reel_op_add, tape);
}
