/* slice and pad: cutting a box out of a value, and putting a border around it. */
#ifndef REEL_OPS_SLICE_H
#define REEL_OPS_SLICE_H

#include "ops/ops.h"

/* attr of slice: the box, from start on. */
typedef struct reel_slice_attr {
    reel_shape start, size; /* both of x's rank */
} reel_slice_attr;

typedef enum reel_pad_mode {
    REEL_PAD_CONSTANT,  /* the border holds one value */
    REEL_PAD_REPLICATE, /* the border repeats the nearest element */
} reel_pad_mode;

/* attr of pad and pad_backward. */
typedef struct reel_pad_attr {
    int64_t before[REEL_MAX_RANK], after[REEL_MAX_RANK]; /* elements along each axis */
    int32_t mode;                                        /* reel_pad_mode */
    float value; /* of the border, REEL_PAD_CONSTANT; stored as x's dtype */
} reel_pad_attr;

/* x of any dtype -> x[start .. start + length) along axis; x itself when that is all of it. Fails
 * the tape with REEL_E_SHAPE when it reaches outside. For several slices of one value record a
 * split (concat.h): its gradient is one pass. */
reel_var reel_slice(reel_tape *tape, reel_var x, int axis, int64_t start, int64_t length);

/* The box [start, start + size) along every axis; start is a list of coordinates held in a shape.
 */
reel_var reel_slice_box(reel_tape *tape, reel_var x, reel_shape start, reel_shape size);

/* x of any dtype with border around it: axis k grows by before[k] + after[k]. Entries from x's rank
 * on must be 0. Replicating needs at least one element along each axis that grows. Fails the tape
 * with REEL_E_SHAPE. */
reel_var reel_pad(reel_tape *tape, reel_var x, reel_pad_attr border);

#endif
