/* conv3d: the convolution of video grids, causal in time, and able to run over a clip in pieces.
 *
 *     y[o,f,h,w] = b[o] + sum_{c,t,i,j} w[o,c,t,i,j] x~[c, f St + t, h Sh + i - Ph, w Sw + j - Pw]
 *
 * x~ is x with zeros around it in space and, in time, with some frames in front: zeros, copies of
 * the first frame, or a cache, the frames that came before. The cache is an explicit value: output
 * 1 is what the next piece needs, so that a clip fed in pieces gives the bytes of the whole.
 *
 * Letters: O outputs, Kt Kh Kw kernel, M frames of a cache. Weights are [O,C,Kt,Kh,Kw] in both
 * layouts, as model files hold them; channels-last grids are the faster ones.
 */
#ifndef REEL_OPS_CONV3D_H
#define REEL_OPS_CONV3D_H

#include "ops/ops.h"

typedef enum reel_grid_layout {
    REEL_GRID_CHANNELS_FIRST, /* [B,C,F,H,W] */
    REEL_GRID_CHANNELS_LAST,  /* [B,F,H,W,C] */
} reel_grid_layout;

typedef enum reel_conv_front {
    REEL_FRONT_ZERO,      /* the frames in front of the first one are zero */
    REEL_FRONT_REPLICATE, /* they repeat it */
} reel_conv_front;

/* attr of conv3d. Axes are t, h, w. */
typedef struct reel_conv3d_attr {
    int32_t stride[3];
    int32_t pad_lo[3]; /* in front, above, left; in time only without a cache */
    int32_t pad_hi[3]; /* behind, below, right */
    int32_t layout;    /* reel_grid_layout of x, y and caches */
    int32_t front;     /* reel_conv_front */
    int32_t out_dtype; /* of y: f32 or bf16 */
    int32_t carry;     /* make output 1, the cache for the next piece */
} reel_conv3d_attr;

/* attr of conv3d_dx and conv3d_dw: the convolution, and the shapes its gradients have. */
typedef struct reel_conv3d_grad_attr {
    reel_conv3d_attr conv;
    int32_t x_dim[5];     /* of x, in the order of the layout */
    int32_t kernel[3];    /* Kt Kh Kw */
    int32_t n_cache;      /* frames of the cache, -1 without one */
    int32_t dx_dtype;     /* conv3d_dx */
    int32_t dcache_dtype; /* conv3d_dx */
    int32_t bias;         /* conv3d_dw: also make output 1, db */
} reel_conv3d_grad_attr;

/* Sizes of a convolution; axes t, h, w. The stream of frames is n_front frames, then x's, then
 * pad_hi[0] zero ones. */
typedef struct reel_conv3d_size {
    int64_t B, C, O;
    int64_t in[3], out[3], kernel[3];
    int64_t n_cache; /* -1 without a cache */
    int64_t n_front; /* n_cache, or pad_lo[0] without one */
    int64_t n_kept;  /* frames of the cache carried on */
} reel_conv3d_size;

/* Elements between neighbours along each axis of a grid. */
typedef struct reel_grid_stride {
    int64_t b, c, f, h, w;
} reel_grid_stride;

/* stride 1, no padding but Kt-1 zero frames in front, channels first, f32. */
reel_conv3d_attr reel_conv3d_attr_default(int64_t kernel_t);

/* x [B,C,F,H,W] w [O,C,Kt,Kh,Kw] b [O] or 0, cache [B,C,M,H,W] or 0, of x's dtype -> y [B,O,f,h,w];
 * output 1 (when attr->carry) the next cache [B,C,m,H,W]. In channels-last layout x [B,F,H,W,C] and
 * likewise the others, but w. A piece shorter than the kernel may give a y of no frames.
 * dtypes f32 or bf16, sums in f32. The frames kept are those the next output starts at: Kt - St or
 * more. Pieces give the same bytes as the whole when all weights are finite. The next cache may be
 * bound to the memory of the cache when both have as many frames: it is written last. */
reel_var reel_conv3d(reel_tape *tape, const reel_conv3d_attr *attr, reel_var x, reel_var w,
                     reel_var b, reel_var cache);

/* ---- for kernels ---- */

/* Sizes of a call of conv3d, conv3d_dx or conv3d_dw. */
reel_conv3d_size reel_conv3d_size_of(const reel_call *call);

/* The strides of [B,C,F,H,W] (first) or [B,F,H,W,C] (last) with these sizes. */
reel_grid_stride reel_grid_stride_of(reel_grid_layout layout, int64_t C, const int64_t size[3]);

/* Where frame j of the stream comes from: frame *frame of x, or of the cache; false: it is zero. */
bool reel_conv3d_frame(const reel_conv3d_attr *attr, const reel_conv3d_size *n, int64_t j,
                       bool *from_cache, int64_t *frame);

#endif
