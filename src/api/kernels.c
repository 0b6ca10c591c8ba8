/* Which kernels there are: the public view of the kernel table. */
#include "base/env.h"
#include "cpu/cpu.h"
#include "reel/reel.h"

const char *reel_machine_level(void) {
    return reel_isa_name(reel_isa_detect());
}

const char *const *reel_machine_levels(void) {
    return reel_isa_names;
}

reel_status reel_kernels_list(reel_env *env, const char *level, reel_kernel_visit *visit,
                              void *context) {
    const reel_isa cap = level ? reel_isa_parse(level) : REEL_ISA_AMX;
    if (cap == REEL_ISA_COUNT) {
        return reel_fail(env, REEL_E_ARG, "level is '%s', wanted one of portable to %s", level,
                         reel_isa_name(REEL_ISA_AMX));
    }
    reel_kernel_table *table;
    const reel_status status = reel_cpu_table(env, cap, &table);
    if (status != REEL_OK) return status;
    for (int i = 0; i < table->n_ops; i++) {
        const reel_kernel_row *row = &table->row[i];
        const char *kernel[REEL_MAX_KERNELS];
        for (int k = 0; k < row->n; k++)
            kernel[k] = row->kernel[row->n - 1 - k]->name;
        visit(context, row->op->name, row->n, kernel);
    }
    reel_kernel_table_free(env, &table);
    return REEL_OK;
}
