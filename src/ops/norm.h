/* norm: layer norm, RMS norm and L2 normalisation, with and without weight and bias.
 *
 *     y = xhat w + b,  xhat = (x - mean) r        over C channels of one position
 *
 * The channels are the last axis (x [...,C]) or, for grids, axis 1 (x [B,C,...]). Statistics are
 * f32 whatever x is. Ba et al. 2016; Zhang & Sennrich 2019.
 */
#ifndef REEL_OPS_NORM_H
#define REEL_OPS_NORM_H

#include "ops/ops.h"

/* Where eps stands differs, and checkpoints depend on it. */
typedef enum reel_norm_kind {
    REEL_NORM_LAYER, /* r = 1 / sqrt(mean((x - mean)^2) + eps) */
    REEL_NORM_RMS,   /* mean = 0, r = 1 / sqrt(mean(x^2) + eps) */
    REEL_NORM_L2,    /* mean = 0, r = sqrt(C) / max(|x|, eps): the norm of Wan's VAE, eps 1e-12 */
    REEL_NORM_KINDS,
} reel_norm_kind;

/* attr of norm and norm_backward. */
typedef struct reel_norm_attr {
    int32_t kind;           /* reel_norm_kind */
    int32_t channels_first; /* 1: C is axis 1, x [B,C,...]; 0: the last axis */
    int32_t out_dtype;      /* of y, or of dx: f32 or bf16 */
    float eps;
} reel_norm_attr;

/* x [...,C] or [B,C,...], w and b [C] (or [C,1,1,...], as files have it) or 0 -> y of x's shape.
 * x, w, b f32 or bf16. Fails the tape with REEL_E_SHAPE when they do not fit. */
reel_var reel_norm(reel_tape *tape, reel_var x, reel_var w, reel_var b, const reel_norm_attr *attr);

/* The two usual ones over the last axis; w and b may be 0. */
reel_var reel_layer_norm(reel_tape *tape, reel_var x, reel_var w, reel_var b, float eps,
                         reel_dtype out_dtype);
reel_var reel_rms_norm(reel_tape *tape, reel_var x, reel_var w, float eps, reel_dtype out_dtype);

/* x seen as n_outer blocks of C channels, inner elements apart: element (o, c, i) is at
 * (o C + c) inner + i. */
typedef struct reel_norm_size {
    int64_t n_outer, C, inner;
} reel_norm_size;
reel_norm_size reel_norm_size_of(const reel_shape *x, bool channels_first);

/* "layer", "rms", "l2". Static storage. */
const char *reel_norm_kind_name(reel_norm_kind kind);

/* What y needs of one position: xhat = (x - mean) r. slope is 0 where r does not depend on x (a
 * clamped L2 norm), else 1. Reference kernels of this file and of modulate.c and rope.c use it. */
typedef struct reel_norm_stats {
    double mean, r, slope;
} reel_norm_stats;
/* Of the C elements of x at first, first + step, ... */
reel_norm_stats reel_norm_stats_of(reel_norm_kind kind, double eps, const reel_tensor *x,
                                   int64_t first, int64_t step, int64_t C);

#endif
