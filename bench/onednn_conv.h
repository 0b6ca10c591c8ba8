/* oneDNN's convolutions as the peer of conv3d and its gradients. */
#ifndef REEL_BENCH_ONEDNN_CONV_H
#define REEL_BENCH_ONEDNN_CONV_H

#include "bench.h"

/* The convolution behind a call of conv3d, conv3d_dx or conv3d_dw, in memory of the peer's own:
 * variant 0 in the layouts the library likes best, with nothing reordered; variant 1 with grids in
 * the layout of the call. False: no more variants, no such primitive, or no oneDNN. */
bool bench_onednn_conv(const bench *b, const reel_call *call, int variant, bench_peer *peer);

#endif
