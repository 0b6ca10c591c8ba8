/* Adapters: what low-rank training left (Hu et al. 2021, "LoRA"), as files people pass around.
 *
 * A file holds, for some matrices W [O,I] of a transformer, A [r,I] and B [O,r]; applied with a
 * scale it makes W + scale alpha / r B A of them. Names are diffusers' and PEFT's:
 *
 *     transformer.blocks.0.attn1.to_q.lora_A.weight, ....lora_B.weight
 *
 * with alpha in the metadata "lora_adapter_metadata" (JSON, "transformer.lora_alpha"), or r when it
 * is not given. Also read: "diffusion_model." or "base_model.model." or nothing in front, Wan's own
 * names of modules, lora_down and lora_up, and an alpha for each module as a tensor ".alpha". What
 * reel trained says in the metadata "reel_prediction" what its model gives ("flow", "sample"): the
 * same change is of no use to a model that gives another.
 */
#ifndef REEL_ZOO_ADAPTER_H
#define REEL_ZOO_ADAPTER_H

#include "zoo/component.h"

/* What diffusers looks for in a folder. */
#define REEL_ADAPTER_FILE "pytorch_lora_weights.safetensors"

typedef struct reel_adapter reel_adapter;

/* Opens a file for a part, whose names and shapes it must fit. REEL_E_IO, REEL_E_FORMAT naming the
 * tensor, REEL_E_UNSUPPORTED for kinds of adapters other than the above. The caller closes it,
 * before the part. */
REEL_MUST_USE reel_status reel_adapter_open(reel_env *env, const char *path,
                                            const reel_component *part, reel_adapter **adapter);
/* NULL-safe. */
void reel_adapter_close(reel_adapter **adapter);

/* Matrices it changes, and a hash of all it holds. */
int64_t reel_adapter_count(const reel_adapter *adapter);
uint64_t reel_adapter_hash(const reel_adapter *adapter);
/* What the model it was trained with predicts, in the words of zoo/config.h; NULL: it does not say.
 * Lives as long as the adapter. */
const char *reel_adapter_prediction(const reel_adapter *adapter);

/* Changes the weights of the part it was opened for; those that lie in a mapped file are copied
 * first. scale: any finite number. REEL_E_NOMEM; REEL_E_ARG when the weights are in 8-bit blocks,
 * which comes after. */
REEL_MUST_USE reel_status reel_adapter_apply(const reel_adapter *adapter, double scale,
                                             reel_component *part);

/* A pair to be written: the name of its module ("blocks.0.attn1.to_q"), A [r,I], B [O,r], f32. */
typedef struct reel_adapter_pair {
    const char *module;
    reel_tensor a, b;
} reel_adapter_pair;

/* What a file says of its pairs. */
typedef struct reel_adapter_about {
    int64_t rank; /* of all of them */
    double alpha;
    const char *prediction; /* as above; NULL: not said */
} reel_adapter_about;

/* Writes a file of n pairs. REEL_E_NOMEM, REEL_E_IO. */
REEL_MUST_USE reel_status reel_adapter_write(reel_env *env, const char *path,
                                             const reel_adapter_pair *pair, int64_t n,
                                             const reel_adapter_about *about);

#endif
