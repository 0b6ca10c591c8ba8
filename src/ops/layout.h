/* Moving data without computing: reshape. */
#ifndef REEL_OPS_LAYOUT_H
#define REEL_OPS_LAYOUT_H

#include "ops/ops.h"

/* attr of reshape. */
typedef struct reel_reshape_attr {
    reel_shape shape;
} reel_reshape_attr;

/* x under another shape of as many elements: a view, no data moves. */
reel_var reel_reshape(reel_tape *tape, reel_var x, reel_shape shape);

#endif
