/* Losses of videos in [-1,1], the pixels of an autoencoder. N = H W C elements of a frame; clips
 * are made `period` frames at a time behind their first, F = 1 + n period with n >= 1.
 *
 * A pulse is what the steps onto the first frame of a piece have too much. Most of it is where
 * nothing moves, in errors so small that those of moving edges, which nobody can foretell, drown
 * them in a plain mean square. So each error is weighed by what is to be expected of it.
 */
#ifndef REEL_TRAIN_VAE_LOSS_H
#define REEL_TRAIN_VAE_LOSS_H

#include "ops/ops.h"

/* x [F,N] -> weight [n,N] of the steps d onto the first frame of a piece: 1 / (1 + (d / s)^2), s 6
 * of 255 levels. */
void reel_delta_weights(const float *x, int64_t n, int64_t period, int64_t N, float *weight);

/* y and x [B,F,H,W,C], weight [B,n,1,N] -> the weighted mean of
 * |(y[t] - y[t-1]) - (x[t] - x[t-1])|^2 over the steps onto the first frame t of a piece. */
reel_var reel_delta_loss(reel_tape *tape, reel_var y, reel_var x, reel_var weight, int64_t period);

#endif
