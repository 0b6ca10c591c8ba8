#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/gaussian.h"
#include "ops/layout.h"
#include "ops/loss.h"
#include "ops/norm.h"
#include "train/row.h"

/* A number for each token: [1,T,1] */
static reel_var of_tokens(reel_tape *t, const reel_row *row, const char *name, const float *data) {
    return reel_tape_input(t, REEL_F32, REEL_SHAPE(1, row->T, 1), name, data);
}

/* L_vlb for one timestep of each clip, up to terms the model has no part in: with
 * l = middle + half v the log variance, (mu_q - mu)^2 = shift (eps - prediction)^2. */
static reel_var bound(reel_tape *t, const reel_row *row, reel_var eps, reel_var v, reel_var target,
                      reel_var weight) {
    const reel_var middle = of_tokens(t, row, "middle of log variance", row->middle);
    const reel_var half = of_tokens(t, row, "half range of log variance", row->half);
    const reel_var shift = of_tokens(t, row, "shift of the mean", row->shift);
    const reel_var least = of_tokens(t, row, "true variance", row->least);
    const reel_var l = reel_add(t, reel_mul(t, v, half), middle);
    const reel_var d = reel_sub(t, eps, target);
    const reel_var s = reel_add(t, reel_mul(t, reel_mul(t, d, d), shift), least);
    return reel_gaussian(t, l, s, weight);
}

reel_var reel_row_layout_loss(reel_nn *nn, const reel_row *row, reel_var h) {
    const int64_t T = row->T;
    reel_nn_linear_options o = reel_nn_linear_default(nn);
    o.init = (reel_init){REEL_INIT_ZERO, 0};
    o.out_dtype = REEL_F32;
    reel_nn_begin(nn, "layout");
    h = reel_layer_norm(nn->tape, h, 0, 0, 1e-6f, nn->compute);         /* [1,T,C] */
    h = reel_nn_linear_with(nn, "head", h, 2 * REEL_SOURCE_LABELS, &o); /* [1,T,2 labels] */
    reel_nn_end(nn);
    h = reel_reshape(nn->tape, h, REEL_SHAPE(2 * T, REEL_SOURCE_LABELS));
    const reel_var truth =
        reel_tape_input(nn->tape, REEL_I32, REEL_SHAPE(2 * T), "layout", row->layout);
    return reel_cross_entropy(nn->tape, h, truth, -1, 0);
}

reel_var reel_row_loss(reel_tape *t, const reel_row *row, reel_var y, float vlb) {
    const int64_t P = row->patch * row->patch, z = row->z, T = row->T;
    const reel_shape s = REEL_SHAPE(1, T, P * z);
    const reel_var target = reel_tape_input(t, REEL_F32, s, "target", row->target);
    const reel_var weight = of_tokens(t, row, "weight", row->weight);
    if (row->objective == REEL_OBJECTIVE_SAMPLE) { /* not divided by the sum of the weights */
        const reel_var mean =
            reel_tape_input(t, REEL_F32, REEL_SHAPE(1), "mean weight", &row->mean_weight);
        return reel_mul(t, reel_mse(t, y, target, weight), mean);
    }
    if (row->objective != REEL_OBJECTIVE_LEARNED) return reel_mse(t, y, target, weight);
    reel_var part[2];
    reel_split_evenly(t, reel_reshape(t, y, REEL_SHAPE(1, T, P, 2 * z)), 3, 2, part);
    const reel_var eps = reel_reshape(t, part[0], s), v = reel_reshape(t, part[1], s);
    const reel_var simple = reel_mse(t, eps, target, weight);
    /* every timestep has the same chance, so that one stands for the sum over all of them */
    return reel_combine(t, simple, 1, bound(t, row, eps, v, target, weight),
                        vlb * (float)REEL_ROW_TIMESTEPS);
}
