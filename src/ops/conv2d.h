/* conv2d: the convolution of images, as conv3d over clips of one frame. Frames of a video that are
 * to be convolved one by one need no folding into the batch: conv3d with Kt = 1 does that.
 *
 * Letters as in ops/conv3d.h.
 */
#ifndef REEL_OPS_CONV2D_H
#define REEL_OPS_CONV2D_H

#include "ops/conv3d.h"

/* How a conv2d moves over the image; axes h, w. */
typedef struct reel_conv2d_attr {
    int32_t stride[2], pad_lo[2], pad_hi[2];
    reel_grid_layout layout;
    reel_dtype out_dtype; /* of y: f32 or bf16 */
} reel_conv2d_attr;

/* stride 1, no padding, channels first, f32. */
reel_conv2d_attr reel_conv2d_attr_default(void);

/* x [B,C,H,W] w [O,C,Kh,Kw] b [O] or 0 -> y [B,O,h,w]; channels last: x [B,H,W,C], y [B,h,w,O]. */
reel_var reel_conv2d(reel_tape *tape, const reel_conv2d_attr *attr, reel_var x, reel_var w,
                     reel_var b);

#endif
