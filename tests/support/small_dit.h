/* A small diffusion transformer out of the real ops, for tests of the engine: blocks of modulated
 * norm, attention with dropout, gate, mlp and gate, conditioned by a split of a linear layer; a
 * loss; backward.
 */
#ifndef REEL_TESTS_SMALL_DIT_H
#define REEL_TESTS_SMALL_DIT_H

#include "tape/tape.h"

enum { SMALL_DIT_MAX_PARAMS = 64 };

typedef enum small_dit_recompute {
    SMALL_DIT_KEEP,   /* plain scopes */
    SMALL_DIT_BLOCKS, /* each block recomputes */
    SMALL_DIT_NESTED, /* pairs of blocks recompute, and each block inside them, and its attention */
} small_dit_recompute;

typedef struct small_dit {
    /* given */
    int n_blocks;
    small_dit_recompute recompute;
    reel_dtype dtype; /* of activations between ops and of the products' weights: f32 or bf16 */
    /* recorded */
    reel_var param[SMALL_DIT_MAX_PARAMS];
    int n_params;
    reel_var out, loss;
} small_dit;

/* Records the network, its loss and its backward; out and loss are kept. Parameters and inputs are
 * static memory of fixed values, so every call gives the same numbers. */
void small_dit_record(small_dit *dit, reel_tape *tape);

#endif
