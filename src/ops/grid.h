/* Grids of pixels rearranged: nearest upsampling, patches folded into channels and back.
 *
 * space_to_depth moves each patch of Pt x Ph x Pw positions into the channels of one;
 * depth_to_space is its inverse, and each is the other's gradient. Patchify and unpatchify are the
 * same with the folded side as rows of tokens [B,T,C Pt Ph Pw], T = f h w.
 *
 * Letters: p a patch size, f h w the folded grid.
 */
#ifndef REEL_OPS_GRID_H
#define REEL_OPS_GRID_H

#include "ops/conv3d.h"

/* The order of the channels of a folded position: what varies slowest stands first. */
typedef enum reel_fold_order {
    REEL_FOLD_CTHW, /* PyTorch's pixel_unshuffle; rows of a strided convolution's weights */
    REEL_FOLD_CTWH, /* the patches of Wan 2.2's VAE */
    REEL_FOLD_THWC, /* the rows Wan's DiT predicts; Wan's doubling of frames */
} reel_fold_order;

/* attr of space_to_depth and depth_to_space. Axes t, h, w. */
typedef struct reel_fold_attr {
    int32_t patch[3];
    int32_t order;   /* reel_fold_order */
    int32_t layout;  /* reel_grid_layout of both sides */
    int32_t tokens;  /* the folded side is [B,T,C'] instead of a grid */
    int32_t grid[3]; /* depth_to_space of tokens: F H W of the result */
} reel_fold_attr;

/* attr of upsample and upsample_backward: factors along t, h, w. */
typedef struct reel_upsample_attr {
    int32_t factor[3];
    int32_t layout; /* reel_grid_layout */
} reel_upsample_attr;

/* x [B,C,F,H,W] -> [B,C Pt Ph Pw,F/Pt,H/Ph,W/Pw] (channels last likewise), or tokens; any dtype.
 * The patch must divide the grid. */
reel_var reel_space_to_depth(reel_tape *tape, const reel_fold_attr *attr, reel_var x);
reel_var reel_depth_to_space(reel_tape *tape, const reel_fold_attr *attr, reel_var x);

/* x [B,C,F,H,W] -> tokens [B,T,C Pt Ph Pw], channels slowest (CTHW): times w [O,C Pt Ph Pw] it is
 * the patch embedding, a convolution whose stride is its kernel. */
reel_var reel_patchify(reel_tape *tape, reel_var x, const int32_t patch[3]);
/* tokens [B,T,Pt Ph Pw C], channels fastest (THWC), as Wan's DiT predicts them -> [B,C,F,H,W] with
 * F, H, W = grid. */
reel_var reel_unpatchify(reel_tape *tape, reel_var x, const int32_t patch[3],
                         const int32_t grid[3]);

/* x [B,C,F,H,W] -> y [B,C,F factor_t,H factor_h,W factor_w], each position repeated; f32 or bf16.
 */
reel_var reel_upsample(reel_tape *tape, const reel_upsample_attr *attr, reel_var x);

/* ---- for kernels ---- */

/* A rearrangement as a copy over eight axes, b c f i h j w l: position (f i, h j, w l) of the
 * space side is position (f, h, w) of the depth side, i j l within the patch. */
enum { REEL_FOLD_AXES = 8 };
typedef struct reel_fold {
    int64_t dim[REEL_FOLD_AXES], space[REEL_FOLD_AXES], depth[REEL_FOLD_AXES]; /* strides */
} reel_fold;

/* The axes of a call of space_to_depth or depth_to_space. */
reel_fold reel_fold_of(const reel_call *call);

#endif
