/* rope_table and qk_norm_rope: queries and keys normalised, then rotated by their place in the
 * video.
 *
 *     y = rotate(xhat w),  xhat = x / sqrt(mean(x^2) + eps)
 *
 * Rotary embedding (Su et al. 2021) in three axes: of the D channels of a head the first
 * D - 4 (D / 6) turn with t, the next 2 (D / 6) with h, the last 2 (D / 6) with w (integer
 * division), as Wan 2.1 has it. Neighbours (2 j, 2 j + 1) of an axis of d channels make a pair,
 * turned by position / theta^(2 j / d). Letters: P parts (1, or 3 of a fused q, k, v).
 */
#ifndef REEL_OPS_ROPE_H
#define REEL_OPS_ROPE_H

#include "ops/norm.h"

/* attr of rope_table. */
typedef struct reel_rope_table_attr {
    double theta;
    int64_t D;
} reel_rope_table_attr;

/* positions i32 [T,3] (t, h, w of each token, so that packed clips carry their own) -> table [T,D],
 * f32: cos and sin of each pair, one after the other. D even. Made once, shared by all blocks. */
reel_var reel_rope_table(reel_tape *tape, reel_var positions, int64_t D, double theta);

typedef enum reel_qk_norm {
    REEL_QK_NORM_NONE,  /* xhat = x, no weight */
    REEL_QK_NORM_TOKEN, /* over all N D channels of a token, w [N D]: Wan's rms_norm_across_heads */
    REEL_QK_NORM_HEAD,  /* over the D channels of a head, w [D] */
    REEL_QK_NORM_COUNT,
} reel_qk_norm;

/* attr of qk_norm_rope and its backward. */
typedef struct reel_qk_attr {
    int32_t norm;      /* reel_qk_norm */
    int32_t packed;    /* 1: x [...,3,N,D]; set by the recording functions */
    int32_t out_dtype; /* of y, or of dx: f32 or bf16 */
    float eps;
} reel_qk_attr;

/* x [...,N,D], w [N D] or [D] or 0, table [T,D] -> y of x's shape. T divides the tokens of x: token
 * i takes row i mod T, so that a batch shares one table. x, w f32 or bf16. */
reel_var reel_qk_norm_rope(reel_tape *tape, reel_var x, reel_var w, reel_var table,
                           const reel_qk_attr *attr);
/* x [...,3,N,D], q, k and v side by side: q with wq and k with wk as above, v as it is. */
reel_var reel_qkv_norm_rope(reel_tape *tape, reel_var x, reel_var wq, reel_var wk, reel_var table,
                            const reel_qk_attr *attr);

/* x as the kernels see it: T tokens of P parts of N heads of D channels; n_norm channels share one
 * statistic. */
typedef struct reel_qk_size {
    int64_t T, P, N, D, n_norm, T_table;
} reel_qk_size;
reel_qk_size reel_qk_size_of(const reel_qk_attr *attr, const reel_shape *x,
                             const reel_shape *table);

#endif
