/* Principal components of patches: the best linear code, where an autoencoder starts from.
 *
 * The leading directions of a few thousand patches by subspace iteration, whose products run on the
 * tape: seconds where a full eigenproblem of 3072 dimensions takes minutes.
 *
 * Letters: N patches, P elements of one, K components.
 */
#ifndef REEL_TRAIN_PCA_H
#define REEL_TRAIN_PCA_H

#include "ops/ops.h"

typedef struct reel_pca {
    int64_t P, K;
    float *mean;      /* [P] */
    float *direction; /* [K,P], orthonormal rows, by falling deviation */
    float *deviation; /* [K]: standard deviation of the data along each */
    double residual;  /* mean square, by element, of what the components leave */
} reel_pca;

/* x f32 [N,P], N > K, P >= K; x is centred in place. The caller frees with reel_pca_free. */
REEL_MUST_USE reel_status reel_pca_new(reel_env *env, const reel_kernel_table *table, float *x,
                                       int64_t N, int64_t P, int64_t K, uint64_t seed,
                                       reel_pca **pca);
void reel_pca_free(reel_env *env, reel_pca **pca);

/* The code as a linear layer, w f32 [K,P], b f32 [K]: coefficients over the square root of their
 * deviation, all scaled alike so that the mean variance is 1 (half-way to white: what is large
 * stays larger). */
void reel_pca_layer(const reel_pca *pca, float *w, float *b);

/* The way back from that code as a linear layer, w f32 [P,K], b f32 [P]. */
void reel_pca_inverse_layer(const reel_pca *pca, float *w, float *b);

#endif
