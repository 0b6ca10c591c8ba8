/* How near one picture is to another: PSNR and SSIM. */
#ifndef REEL_DATA_QUALITY_H
#define REEL_DATA_QUALITY_H

#include "base/env.h"

/* Mean squared difference of n values in [0,1] each; PSNR = -10 log10 of it, in dB, at most 100. */
double reel_psnr(double mean_square);

/* The mean squared difference of two pictures u8 [n], as of values in [0,1]. */
double reel_mean_square(const uint8_t *a, const uint8_t *b, int64_t n);

/* Structural similarity of two pictures u8 [H,W,3] (Wang et al. 2004): a Gaussian window of 11 x 11
 * with deviation 1.5 inside the picture, K = 0.01 and 0.03, the mean over positions and channels.
 * H and W at least 11. REEL_E_NOMEM, REEL_E_ARG. */
REEL_MUST_USE reel_status reel_ssim(reel_env *env, const uint8_t *a, const uint8_t *b, int64_t H,
                                    int64_t W, double *ssim);

/* f32 in [-1,1] to u8, rounded, clamped. */
void reel_pixels_to_u8(const float *x, int64_t n, uint8_t *out);

#endif
