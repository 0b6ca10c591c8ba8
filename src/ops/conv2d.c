#include "ops/conv2d.h"

#include "ops/layout.h"

reel_conv2d_attr reel_conv2d_attr_default(void) {
    return (reel_conv2d_attr){
        .stride = {1, 1}, .layout = REEL_GRID_CHANNELS_FIRST, .out_dtype = REEL_F32};
}

/* shape with an axis of one frame put in at `axis`, or the axis taken out again: views both. */
static reel_var insert_frame(reel_tape *t, reel_var x, int axis) {
    const reel_shape from = reel_tape_value(t, x)->shape;
    reel_shape to = {.rank = from.rank + 1};
    for (int i = 0; i < to.rank; i++)
        to.dim[i] = i < axis ? from.dim[i] : i == axis ? 1 : from.dim[i - 1];
    return reel_reshape(t, x, to);
}

static reel_var remove_frame(reel_tape *t, reel_var x, int axis) {
    const reel_shape from = reel_tape_value(t, x)->shape;
    reel_shape to = {.rank = from.rank - 1};
    for (int i = 0; i < to.rank; i++)
        to.dim[i] = from.dim[i < axis ? i : i + 1];
    return reel_reshape(t, x, to);
}

reel_var reel_conv2d(reel_tape *t, const reel_conv2d_attr *a, reel_var x, reel_var w, reel_var b) {
    if (reel_tape_status(t) != REEL_OK) return 0;
    const reel_shape xs = reel_tape_value(t, x)->shape, ws = reel_tape_value(t, w)->shape;
    if (xs.rank != 4 || ws.rank != 4) {
        reel_tape_fail(t, REEL_E_SHAPE, "conv2d: x and w need four axes, got %s and %s",
                       REEL_SHAPE_STR(&xs), REEL_SHAPE_STR(&ws));
        return 0;
    }
    const int frames = a->layout == REEL_GRID_CHANNELS_LAST ? 1 : 2;
    const reel_conv3d_attr attr = {.stride = {1, a->stride[0], a->stride[1]},
                                   .pad_lo = {0, a->pad_lo[0], a->pad_lo[1]},
                                   .pad_hi = {0, a->pad_hi[0], a->pad_hi[1]},
                                   .layout = a->layout,
                                   .out_dtype = a->out_dtype};
    const reel_var y =
        reel_conv3d(t, &attr, insert_frame(t, x, frames), insert_frame(t, w, 2), b, 0);
    return y ? remove_frame(t, y, frames) : 0;
}
