#include <assert.h>

#include "tape/op.h"

reel_status reel_kernel_table_new(reel_env *env, const reel_op *const *op, int n_ops,
                                  reel_kernel_table **table) {
    reel_kernel_table *t = reel_calloc(env, 1, sizeof *t, "kernels");
    if (!t) return REEL_E_NOMEM;
    t->n_ops = n_ops;
    t->row = reel_calloc(env, n_ops, sizeof *t->row, "kernels");
    if (!t->row) {
        reel_free(env, t);
        return REEL_E_NOMEM;
    }
    for (int i = 0; i < n_ops; i++) {
        assert(op[i]->id == i);
        t->row[i].op = op[i];
    }
    *table = t;
    return REEL_OK;
}

void reel_kernel_table_free(reel_env *env, reel_kernel_table **table) {
    if (!*table) return;
    reel_free(env, (*table)->row);
    reel_free(env, *table);
    *table = NULL;
}

void reel_kernel_table_add(reel_kernel_table *table, const reel_op *op, const reel_kernel *kernel) {
    reel_kernel_row *row = &table->row[op->id];
    assert(row->op == op && row->n < REEL_MAX_KERNELS);
    row->kernel[row->n++] = kernel;
}
