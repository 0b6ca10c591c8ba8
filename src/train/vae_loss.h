/* Losses of videos in [-1,1], the pixels of an autoencoder. N = H W C elements of a frame.
 *
 * A causal autoencoder makes a latent frame's pictures together, and each of them misses in its own
 * way what the code cannot say: what stands still flickers, in errors so small that those of moving
 * edges, which nobody can foretell, drown them in a plain mean square. So the steps from frame to
 * frame are compared, and each error is weighed by what is to be expected of it.
 */
#ifndef REEL_TRAIN_VAE_LOSS_H
#define REEL_TRAIN_VAE_LOSS_H

#include "ops/ops.h"

/* x [F,N] -> weight [F-1,N] of the steps d from frame to frame: 1 / (1 + (d / s)^2), s 6 of 255
 * levels. */
void reel_delta_weights(const float *x, int64_t F, int64_t N, float *weight);

/* y and x [B,F,H,W,C], F > 1, weight [B,F-1,1,N] -> the weighted mean of
 * |(y[t] - y[t-1]) - (x[t] - x[t-1])|^2 over t in [1,F). */
reel_var reel_delta_loss(reel_tape *tape, reel_var y, reel_var x, reel_var weight);

#endif
