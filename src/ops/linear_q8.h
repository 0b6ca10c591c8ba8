/* linear_q8: y = act(x w^T + b) with w in 8-bit blocks (tensor/q8.h), and quantise, which makes
 * them. For inference.
 *
 * Letters: R rows (all leading axes of x), I inputs, O outputs. The rows of x are rounded to blocks
 * of 32 bytes with a scale in f32 too, so that the products are of integers: part of the op's
 * definition, not of a kernel. No gradient flows through.
 */
#ifndef REEL_OPS_LINEAR_Q8_H
#define REEL_OPS_LINEAR_Q8_H

#include "ops/activation.h"
#include "ops/ops.h"

typedef struct reel_linear_q8_attr {
    int32_t act;       /* reel_activation */
    int32_t out_dtype; /* of y: a float type */
} reel_linear_q8_attr;

/* x [...,I] float, w [O,I] q8_0 with I a multiple of 32, b [O] float or 0 -> y [...,O]. Fails the
 * tape with REEL_E_SHAPE when they do not fit. reel_linear comes here by itself when its w is q8_0.
 * x with a value that is not finite: its row of y is NaN. */
reel_var reel_linear_q8(reel_tape *tape, reel_var x, reel_var w, reel_var b, reel_activation act,
                        reel_dtype out_dtype);

/* w [O,I] float, I a multiple of 32 -> the same in q8_0 blocks, as reel_q8_quantise makes them: for
 * weights that are not to be kept in blocks, because there is no room for them all. Without a
 * gradient. Fails the tape with REEL_E_SHAPE. */
reel_var reel_quantise(reel_tape *tape, reel_var w);

#endif
