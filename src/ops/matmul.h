/* matmul: the batched product of two operands that both carry gradients.
 *
 * Letters: B batch (all axes before the last two), M rows, K inner axis, N columns.
 */
#ifndef REEL_OPS_MATMUL_H
#define REEL_OPS_MATMUL_H

#include "ops/ops.h"

/* attr of matmul. a is [...,K,M] in memory when a_transposed, b is [...,N,K] when b_transposed. */
typedef struct reel_matmul_attr {
    int32_t a_transposed, b_transposed;
    int32_t out_dtype; /* f32 or bf16 */
} reel_matmul_attr;

/* a [...,M,K] b [...,K,N] -> y [...,M,N], or the transposes attr names; the axes in front must be
 * the same. f32 or bf16 operands, sums in f32. Fails the tape with REEL_E_SHAPE on a misfit. */
reel_var reel_matmul(reel_tape *tape, reel_var a, reel_var b, reel_matmul_attr attr);

#endif
