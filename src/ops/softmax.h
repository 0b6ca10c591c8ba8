/* softmax over the last axis. */
#ifndef REEL_OPS_SOFTMAX_H
#define REEL_OPS_SOFTMAX_H

#include "ops/ops.h"

/* attr of softmax_backward. */
typedef struct reel_softmax_attr {
    int32_t out_dtype; /* of dx */
} reel_softmax_attr;

/* x [...,C] -> y [...,C] of x's dtype, y = e^x / sum e^x along the last axis. A row that holds a
 * NaN, or nothing but -inf, comes out as NaN. */
reel_var reel_softmax(reel_tape *tape, reel_var x);

#endif
