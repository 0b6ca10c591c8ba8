#include "train/vae_loss.h"

#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/loss.h"
#include "ops/slice.h"

enum { FRAMES = 1, PLACE = 2 };

/* In pocket's autoencoder the squared error of a step d levels wide is about 18 (1 + d^2 / 36). */
static const float still = 6 / 127.5f;

void reel_delta_weights(const float *x, int64_t n, int64_t period, int64_t N, float *weight) {
    for (int64_t k = 0; k < n; k++) {
        const float *before = x + k * period * N, *at = before + N;
        for (int64_t i = 0; i < N; i++) {
            const float d = (at[i] - before[i]) / still;
            weight[k * N + i] = 1 / (1 + d * d);
        }
    }
}

/* e [B,F,H,W,C] -> its frames start, start + period, ...: [B,n,1,HWC] */
static reel_var every(reel_tape *t, reel_var e, int64_t start, int64_t period) {
    const reel_shape s = reel_tape_value(t, e)->shape;
    const int64_t n = s.dim[FRAMES] / period;
    const reel_shape pieces = REEL_SHAPE(s.dim[0], n, period, s.dim[2] * s.dim[3] * s.dim[4]);
    const reel_var part = reel_slice(t, e, FRAMES, start, n * period);
    return reel_slice(t, reel_reshape(t, part, pieces), PLACE, 0, 1);
}

reel_var reel_delta_loss(reel_tape *t, reel_var y, reel_var x, reel_var weight, int64_t period) {
    const reel_var e = reel_sub(t, y, x);
    return reel_mse(t, every(t, e, 1, period), every(t, e, 0, period), weight);
}
