/* Golden cases: folders of weights, inputs and outputs that a public reference implementation made.
 */
#ifndef REEL_TESTS_GOLDEN_H
#define REEL_TESTS_GOLDEN_H

#include "nn/params.h"
#include "tensor/safetensors.h"

/* An open folder: weights.safetensors, inputs.safetensors, outputs.safetensors. */
typedef struct golden {
    reel_env *env;
    const char *folder;
    reel_safetensors *weights, *inputs, *outputs;
} golden;

/* Opens or fails the test. */
void golden_open(golden *g, reel_env *env, const char *folder);
void golden_close(golden *g);

/* A store holding every tensor of weights.safetensors in place, closed. The caller frees it before
 * the case is closed. */
reel_params *golden_params(golden *g);
/* A store holding the weights in another dtype. */
reel_params *golden_params_as(golden *g, reel_dtype dtype);

/* An input by name, with data; fails the test when there is none. */
reel_tensor golden_input(golden *g, const char *name);

/* Fails the test unless got (count elements) is within tol, relative L2, of the output of that
 * name. */
void golden_expect(golden *g, const char *name, reel_dtype dtype, const void *got, int64_t count,
                   double tol);

/* Every parameter of the store was asked for by a recording: fails the test naming one that was
 * not. */
void golden_expect_all_used(reel_params *params);

#endif
