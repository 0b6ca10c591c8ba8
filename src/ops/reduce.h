/* Reductions: dot, the sum of products that tests and losses end in. */
#ifndef REEL_OPS_REDUCE_H
#define REEL_OPS_REDUCE_H

#include "ops/ops.h"

/* x [...] r [...] of one shape -> sum x r, one f32 element. */
reel_var reel_dot(reel_tape *tape, reel_var x, reel_var r);

#endif
