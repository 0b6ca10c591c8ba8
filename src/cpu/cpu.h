/* The CPU backend: which instruction sets there are, and the kernels each of them adds.
 *
 * Kernels under cpu/simd/ are written once over vectors of any width (simd/vec.h) and compiled for
 * each instruction set; a table is filled in rising order, so that the strongest one that takes a
 * call computes it. Capping the level (--isa) gives the bytes of a lesser machine.
 */
#ifndef REEL_CPU_CPU_H
#define REEL_CPU_CPU_H

#include "ops/ops.h"

typedef enum reel_isa {
    REEL_ISA_PORTABLE,    /* C with vector types: any machine */
    REEL_ISA_AVX2,        /* AVX2, FMA, F16C */
    REEL_ISA_AVX512,      /* AVX-512 F, BW, VL, DQ */
    REEL_ISA_AVX512_BF16, /* and its bf16 dot product */
    REEL_ISA_AMX,         /* and tiles: bf16, int8 */
    REEL_ISA_COUNT,
} reel_isa;

/* The strongest level of this machine that the operating system lets us use (asks it for the tile
 * state once). */
reel_isa reel_isa_detect(void);

/* "portable", "avx2", "avx512", "avx512_bf16", "amx". Static storage. */
const char *reel_isa_name(reel_isa isa);

/* All of them by level, ended by NULL. */
extern const char *const reel_isa_names[REEL_ISA_COUNT + 1];

/* The level with this name; REEL_ISA_COUNT when there is none. */
reel_isa reel_isa_parse(const char *name);

/* A table of reference kernels with the CPU's kernels up to max (and up to the machine) on top.
 * The caller frees it with reel_kernel_table_free. */
REEL_MUST_USE reel_status reel_cpu_table(reel_env *env, reel_isa max, reel_kernel_table **table);

#endif
