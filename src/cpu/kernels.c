#include "cpu/cpu.h"

/* Every unit of kernels.def exists once for each level its sources were compiled for. */
#define DECLARE(name, isa) void reel_cpu_register_##name##_##isa(reel_kernel_table *table);

#define REEL_CPU_UNIT(name) DECLARE(name, portable)
#include "cpu/kernels.def"
#undef REEL_CPU_UNIT

static void register_portable(reel_kernel_table *table) {
#define REEL_CPU_UNIT(name) reel_cpu_register_##name##_portable(table);
#include "cpu/kernels.def"
#undef REEL_CPU_UNIT
}

#if defined(__x86_64__)
#define REEL_CPU_UNIT(name)                                                                        \
    DECLARE(name, avx2)                                                                            \
    DECLARE(name, avx512)                                                                          \
    DECLARE(name, avx512_bf16)                                                                     \
    DECLARE(name, amx)
#include "cpu/kernels.def"
#undef REEL_CPU_UNIT

#define REGISTER(isa) static void register_##isa(reel_kernel_table *table)

REGISTER(avx2) {
#define REEL_CPU_UNIT(name) reel_cpu_register_##name##_avx2(table);
#include "cpu/kernels.def"
#undef REEL_CPU_UNIT
}
REGISTER(avx512) {
#define REEL_CPU_UNIT(name) reel_cpu_register_##name##_avx512(table);
#include "cpu/kernels.def"
#undef REEL_CPU_UNIT
}
REGISTER(avx512_bf16) {
#define REEL_CPU_UNIT(name) reel_cpu_register_##name##_avx512_bf16(table);
#include "cpu/kernels.def"
#undef REEL_CPU_UNIT
}
REGISTER(amx) {
#define REEL_CPU_UNIT(name) reel_cpu_register_##name##_amx(table);
#include "cpu/kernels.def"
#undef REEL_CPU_UNIT
}
#endif

reel_status reel_cpu_table(reel_env *env, reel_isa max, reel_kernel_table **table) {
    const reel_status status = reel_ops_reference_table(env, table);
    if (status != REEL_OK) return status;
    const reel_isa machine = reel_isa_detect();
    const reel_isa level = max < machine ? max : machine;
    register_portable(*table);
#if defined(__x86_64__)
    if (level >= REEL_ISA_AVX2) register_avx2(*table);
    if (level >= REEL_ISA_AVX512) register_avx512(*table);
    if (level >= REEL_ISA_AVX512_BF16) register_avx512_bf16(*table);
    if (level >= REEL_ISA_AMX) register_amx(*table);
#else
    (void)level;
#endif
    return REEL_OK;
}
