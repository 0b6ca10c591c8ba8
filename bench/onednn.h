/* oneDNN itself as the peer of products and convolutions: its own threads, as many as reel has
 * lanes.
 *
 * Without oneDNN in the build there is no peer, and the functions say so.
 */
#ifndef REEL_BENCH_ONEDNN_H
#define REEL_BENCH_ONEDNN_H

#include "bench.h"

/* How a two-dimensional operand lies in memory: [rows,cols], or its transpose. */
typedef struct bench_operand {
    reel_dtype dtype;
    bool transposed;
} bench_operand;

/* C [M,N] = A [M,K] B [K,N], all the peer's own memory. prepacked: B in the layout the library
 * likes best, arranged beforehand. False: no such primitive, or no oneDNN. */
bool bench_onednn_product(int64_t M, int64_t N, int64_t K, bench_operand a, bench_operand b,
                          reel_dtype c, bool prepacked, bench_peer *peer);

/* The convolution behind a call of conv3d, conv3d_dx or conv3d_dw, in memory of the peer's own:
 * variant 0 in the layouts the library likes best, with nothing reordered; variant 1 with grids in
 * the layout of the call. False: no more variants, no such primitive, or no oneDNN. */
bool bench_onednn_conv(const bench *b, const reel_call *call, int variant, bench_peer *peer);

#endif
