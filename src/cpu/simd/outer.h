/* Sums of outer products of rows: dw = dy^T x and db, for many more rows than either is wide.
 *
 * Only with tiles, only bf16. The rows are cut into parts by shape alone; each part has sums of its
 * own, which are added in the order of the parts.
 */
#ifndef REEL_CPU_SIMD_OUTER_H
#define REEL_CPU_SIMD_OUTER_H

#include "cpu/simd/vec.h"

#if REEL_ISA_LEVEL >= 4

#include "base/threads.h"

typedef struct reel_outer {
    int64_t n_batches, R, O, I;
    const reel_bf16 *dy; /* [n_batches,R,O] */
    const reel_bf16 *x;  /* [n_batches,R,I] */
    float *dw;           /* [n_batches,O,I] */
    float *db;           /* [n_batches,O] or NULL */
    void *scratch;       /* reel_outer_scratch bytes, aligned to 64 */
    reel_threads *threads;
} reel_outer;

/* Whether there are so many rows that this is the faster way. */
bool REEL_ISA_NAME(reel_outer_takes)(const reel_outer *p);
/* Data pointers do not matter here. */
int64_t REEL_ISA_NAME(reel_outer_scratch)(const reel_outer *p, int n_lanes);
void REEL_ISA_NAME(reel_outer_run)(const reel_outer *p);

#endif
#endif
