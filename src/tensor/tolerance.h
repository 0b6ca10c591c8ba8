/* Tolerances: how far two correct computations of one thing may lie apart.
 *
 * Derived from the element type and the length of the reductions, never picked by hand:
 *
 *     tol = 4 (u_dtype + u_f32 sqrt(n))        in relative L2, |got - wanted| / |wanted|
 *
 * u is the unit roundoff, half the spacing at 1: 2^-24 for f32, 2^-8 for bf16, 2^-11 for f16. The
 * first term is the rounding of inputs and results to dtype. The second is f32 accumulation: the
 * partial sums of n terms of random sign grow as sqrt(k), each rounding adds u times that, and the
 * errors add up as a random walk to u sqrt(n/2) of the result. (The worst case is n u; it needs
 * every rounding to go the same way.) Two computations are compared and a product has two rounded
 * factors, hence the 4.
 */
#ifndef REEL_TENSOR_TOLERANCE_H
#define REEL_TENSOR_TOLERANCE_H

#include <stdint.h>

#include "tensor/dtype.h"

/* The tolerance above for results of dtype that sum n >= 1 terms; 0 for integer types. */
double reel_tol(reel_dtype dtype, int64_t n);

/* |got - wanted| / |wanted| over n elements of dtype, in f64; |got| when wanted is all zero, and
 * infinity when got has a NaN or an infinity that wanted has not in the same place (elements that
 * agree in not being finite are left out). */
double reel_relative_l2(reel_dtype dtype, const void *got, const void *wanted, int64_t n);

#endif
