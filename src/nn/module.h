/* Modules: the layers models are written in, as functions that record.
 *
 * A reel_nn is where recording stands: the tape, the parameter store, the name so far. Layers look
 * their parameters up under that name ("blocks.0.attn.qkv" + ".weight"), so a model's forward is
 * at once its description, its list of checkpoint keys and its program.
 */
#ifndef REEL_NN_MODULE_H
#define REEL_NN_MODULE_H

#include "nn/params.h"
#include "ops/activation.h"

enum { REEL_NN_NAME_BYTES = 256 };

typedef struct reel_nn {
    reel_tape *tape;
    reel_params *params;
    reel_dtype weights;            /* dtype of parameters an open store is asked for: f32 or bf16 */
    reel_dtype compute;            /* dtype of activations between layers: f32 or bf16 */
    int64_t lora_rank;             /* > 0: linear layers have a low-rank side path; see below */
    char name[REEL_NN_NAME_BYTES]; /* "blocks.0.attn", "" at the root */
} reel_nn;

/* Starts recording a model on tape with a store. */
reel_nn reel_nn_start(reel_tape *tape, reel_params *params, reel_dtype compute);

/* Enters and leaves a part of the model: names and the tape's scopes. A name that does not fit
 * fails the tape. */
void reel_nn_begin(reel_nn *nn, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reel_nn_begin_recompute(reel_nn *nn, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void reel_nn_end(reel_nn *nn);

/* The parameter `name` of the current part, as a value of the tape; recorded once however often it
 * is asked for. An open store declares it with init; a closed one fails the tape when it is not
 * there. Either fails when its shape is another. */
reel_var reel_nn_param(reel_nn *nn, const char *name, reel_shape shape, reel_init init);
/* The same as it is stored. Above, an f16 weight, which no product takes, is cast to nn->compute
 * where it is used, so that the file's own memory serves; a table of which few rows are read is
 * better left alone. */
reel_var reel_nn_param_stored(reel_nn *nn, const char *name, reel_shape shape, reel_init init);

/* With lora_rank r (Hu et al. 2021, "LoRA") every linear layer computes x (W + B A)^T instead, with
 * name.lora_A.weight [r,I], random, and name.lora_B.weight [O,r], zero at first: what is trained
 * while W stays. The scale is 1 (alpha = r). */

/* y = act(x weight^T + bias): x [...,I] -> [...,O]; parameters name.weight [O,I], name.bias [O].
 * Initialised as PyTorch's nn.Linear. x is cast to the weight's dtype when that is bf16. */
reel_var reel_nn_linear(reel_nn *nn, const char *name, reel_var x, int64_t O, reel_activation act);
/* The same with an initialiser for the weight (bias zero), an output dtype, and a choice of bias.
 */
typedef struct reel_nn_linear_options {
    reel_activation act;
    reel_init init;
    reel_dtype out_dtype;
    bool bias;
} reel_nn_linear_options;
reel_nn_linear_options reel_nn_linear_default(const reel_nn *nn);
reel_var reel_nn_linear_with(reel_nn *nn, const char *name, reel_var x, int64_t O,
                             const reel_nn_linear_options *options);

#endif
