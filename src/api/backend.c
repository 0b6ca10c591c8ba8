#include "api/backend.h"

#include "base/env.h"
#include "cpu/cpu.h"

reel_status reel_backend_open(reel_env *env, const char *level, bool bit_exact,
                              reel_kernel_table **table, reel_backend *backend) {
    reel_isa isa = reel_isa_detect();
    if (level) {
        const reel_isa cap = reel_isa_parse(level);
        if (cap == REEL_ISA_COUNT)
            return reel_fail(env, REEL_E_ARG, "isa is '%s', wanted one of portable to %s", level,
                             reel_isa_name(REEL_ISA_AMX));
        if (cap < isa) isa = cap;
    }
    if (bit_exact) isa = REEL_ISA_PORTABLE;
    const reel_status status = reel_cpu_table(env, isa, table);
    if (status == REEL_OK) *backend = (reel_backend){.table = *table, .isa = reel_isa_name(isa)};
    return status;
}
