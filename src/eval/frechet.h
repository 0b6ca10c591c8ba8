/* The Fréchet distance between two sets of vectors, each taken as a Gaussian (Heusel et al. 2017,
 * eq. 6, on the features of whichever network the caller uses):
 *
 *     d = |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))
 *
 * A covariance of few vectors says nothing of how channels vary together, so below
 * REEL_FRECHET_FULL vectors in either set the channels are taken as independent:
 * tr(...) = sum (s_a - s_b)^2 over their deviations s.
 */
#ifndef REEL_EVAL_FRECHET_H
#define REEL_EVAL_FRECHET_H

#include "base/env.h"

enum { REEL_FRECHET_FULL = 2000 };

/* a [n_a,d], b [n_b,d]; n_a and n_b at least 2 (REEL_E_ARG). Variances divide by n - 1. */
REEL_MUST_USE reel_status reel_frechet(reel_env *env, const float *a, int64_t n_a, const float *b,
                                       int64_t n_b, int64_t d, double *distance);
/* The same with full covariances whatever n is, for tests and those who know what they do. */
REEL_MUST_USE reel_status reel_frechet_full(reel_env *env, const float *a, int64_t n_a,
                                            const float *b, int64_t n_b, int64_t d,
                                            double *distance);

#endif
