/* Moving data without moving it: reshape.
 *
 * What does move data: permute.h (axes), concat.h (joining and splitting), slice.h (cutting and
 * padding).
 */
#ifndef REEL_OPS_LAYOUT_H
#define REEL_OPS_LAYOUT_H

#include "ops/ops.h"

/* attr of reshape. */
typedef struct reel_reshape_attr {
    reel_shape shape;
} reel_reshape_attr;

/* x of any dtype under another shape of as many elements: a view, no data moves; x itself when it
 * has that shape. Fails the tape with REEL_E_SHAPE when the counts differ. */
reel_var reel_reshape(reel_tape *tape, reel_var x, reel_shape shape);

#endif
