#include <string.h>

#include "cpu/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux hands out the 8 KiB tile state on request: arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA). It
 * holds for the whole process, threads started earlier included. */
static bool may_use_tiles(void) {
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

static bool has_amx_bf16_and_int8(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    return (d >> 22 & 1) && (d >> 24 & 1) && (d >> 25 & 1);
}

static reel_isa detect(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return REEL_ISA_PORTABLE;
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (!avx512) return REEL_ISA_AVX2;
    /* every machine with bf16 dot products so far has those of bytes */
    if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512vnni"))
        return REEL_ISA_AVX512;
    const bool amx = has_amx_bf16_and_int8();
    return amx && may_use_tiles() ? REEL_ISA_AMX : REEL_ISA_AVX512_BF16;
}
#else
static reel_isa detect(void) {
    return REEL_ISA_PORTABLE;
}
#endif

/* -DREEL_MOST_ISA=avx2 builds what runs as on a lesser machine: how its tests are run on a better.
 */
reel_isa reel_isa_detect(void) {
#ifdef REEL_MOST_ISA
    const reel_isa most = REEL_MOST_ISA, found = detect();
    return found < most ? found : most;
#else
    return detect();
#endif
}

const char *const reel_isa_names[REEL_ISA_COUNT + 1] = {"portable",    "avx2", "avx512",
                                                        "avx512_bf16", "amx",  NULL};

const char *reel_isa_name(reel_isa isa) {
    return reel_isa_names[isa];
}

reel_isa reel_isa_parse(const char *name) {
    int i = 0;
    while (i < REEL_ISA_COUNT && strcmp(reel_isa_names[i], name) != 0)
        i++;
    return (reel_isa)i;
}
