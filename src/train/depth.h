/* Training of the depth head (models/depth) on latents of the world's clips and their true depth.
 */
#ifndef REEL_TRAIN_DEPTH_H
#define REEL_TRAIN_DEPTH_H

#include "train/run.h"

/* Trains behind the encoder of recipe.depth.vae/vae, on clips of a pool that is always being
 * renewed; the loss is the mean absolute error of nearness. Validation measures the average's
 * weights on held-out combinations: the error of nearness, the true nearness it is to be compared
 * with, and the error in pixels when the eye moves 0.25 m. The head is saved into
 * options->folder/depth. REEL_E_ARG when a bucket is no size the autoencoder has. */
REEL_MUST_USE reel_status reel_train_depth(reel_env *env, const reel_kernel_table *table,
                                           const reel_run_options *options, bool *stopped);

#endif
