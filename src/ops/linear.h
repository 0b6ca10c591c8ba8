/* linear: y = act(x w^T + b), the fully connected layer, plain or batched.
 *
 * Letters: R rows (all leading axes of x), I inputs, O outputs, B batch.
 */
#ifndef REEL_OPS_LINEAR_H
#define REEL_OPS_LINEAR_H

#include "ops/activation.h"
#include "ops/ops.h"

/* attr of linear. save: output 1 is written, the pre-activation x w^T + b, for backward. */
typedef struct reel_linear_attr {
    int32_t act;       /* reel_activation */
    int32_t out_dtype; /* of y: f32 or bf16 */
    int32_t save;
} reel_linear_attr;

/* attr of linear_dx and linear_dw. out_dtype: of dx; dw and db are always f32. */
typedef struct reel_linear_grad_attr {
    int32_t out_dtype;
    int32_t bias; /* linear_dw: also make output 1, db */
} reel_linear_grad_attr;

/* x [...,I] w [O,I] b [O] or 0 -> y [...,O]; with w [B,O,I]: x [B,...,I], b [B,O] or 0.
 * dtypes: x and w f32 or bf16 (alike for the fast kernels), b f32 or bf16, sums in f32, y
 * out_dtype. With w q8_0 it is reel_linear_q8 (ops/linear_q8.h). Fails the tape with REEL_E_SHAPE
 * when they do not fit. */
reel_var reel_linear(reel_tape *tape, reel_var x, reel_var w, reel_var b, reel_activation act,
                     reel_dtype out_dtype);

#endif
