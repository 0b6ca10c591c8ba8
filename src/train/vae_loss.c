#include "train/vae_loss.h"

#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/loss.h"
#include "ops/slice.h"

enum { FRAMES = 1 };

/* In pocket's autoencoder the squared error of a step d levels wide is about 18 (1 + d^2 / 36). */
static const float still = 6 / 127.5f;

void reel_delta_weights(const float *x, int64_t F, int64_t N, float *weight) {
    for (int64_t i = 0; i < (F - 1) * N; i++) {
        const float d = (x[i + N] - x[i]) / still;
        weight[i] = 1 / (1 + d * d);
    }
}

reel_var reel_delta_loss(reel_tape *t, reel_var y, reel_var x, reel_var weight) {
    const reel_shape s = reel_tape_value(t, y)->shape;
    const int64_t n = s.dim[FRAMES] - 1;
    const reel_shape frames = REEL_SHAPE(s.dim[0], n + 1, 1, s.dim[2] * s.dim[3] * s.dim[4]);
    const reel_var e = reel_reshape(t, reel_sub(t, y, x), frames); /* [B,F,1,N] */
    return reel_mse(t, reel_slice(t, e, FRAMES, 1, n), reel_slice(t, e, FRAMES, 0, n), weight);
}
