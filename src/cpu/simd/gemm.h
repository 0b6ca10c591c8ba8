/* Matrix products with an epilogue: y = act(a b + bias), batched, any operand transposed.
 *
 * Every product of the CPU backend that is not a convolution goes through here. Sums are in f32 and
 * run along K in one order; work is split by shape alone. The arithmetic is f32 multiply-add, or,
 * when both operands are bf16 and the level has them, bf16 dot products or tiles.
 */
#ifndef REEL_CPU_SIMD_GEMM_H
#define REEL_CPU_SIMD_GEMM_H

#include "cpu/simd/vec.h"
#include "ops/activation.h"

/* One operand: n_batches matrices, each contiguous and all one after the other. */
typedef struct reel_gemm_operand {
    const void *data;
    bool bf16;     /* else f32 */
    bool k_inside; /* K is the contiguous axis: a is [M,K], b is [N,K]; else [K,M], [K,N] */
} reel_gemm_operand;

typedef struct reel_gemm {
    int64_t n_batches, M, N, K;
    reel_gemm_operand a, b;
    const void *bias; /* [n_batches,N] or NULL */
    bool bias_bf16;
    reel_activation act;
    void *y;   /* [n_batches,M,N] */
    void *pre; /* the same before act, or NULL */
    bool y_bf16;
    void *scratch; /* reel_gemm_scratch bytes, aligned to 64 */
    reel_threads *threads;
} reel_gemm;

/* Data pointers do not matter here. */
int64_t REEL_ISA_NAME(reel_gemm_scratch)(const reel_gemm *g, int n_lanes);
void REEL_ISA_NAME(reel_gemm_run)(const reel_gemm *g);

#endif
