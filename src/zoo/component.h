/* One part of a model folder, opened: its configuration and its weights, in place.
 *
 * The weights of the file are mapped and used where they lie; nothing is read before a kernel reads
 * it. What the configuration says the model must hold is found out by recording the model, and
 * every name and shape of the file is compared with it, both ways.
 */
#ifndef REEL_ZOO_COMPONENT_H
#define REEL_ZOO_COMPONENT_H

#include "nn/params.h"
#include "tensor/safetensors_set.h"
#include "zoo/config.h"

/* What the weights are to be in memory. */
typedef enum reel_weights_as {
    REEL_WEIGHTS_STORED, /* as in the file, in place */
    REEL_WEIGHTS_F32,
    REEL_WEIGHTS_BF16,
} reel_weights_as;

/* An open component. One thread at a time. The fields may be read. */
typedef struct reel_component {
    reel_env *env;
    reel_component_config config;
    reel_params *params;         /* filled and closed, under diffusers' names; freed by the close */
    reel_safetensors_set *files; /* mapped while the component is open */
    int64_t bytes;               /* of all weights as they are used */
    int64_t converted_bytes;     /* of them, those that were converted into memory of our own */
} reel_component;

/* Declares in an open, empty store every parameter a configuration has, with its shape, its rule
 * of initialisation and dtype weights, by recording the model once. */
REEL_MUST_USE reel_status reel_component_declare(reel_env *env, const reel_component_config *config,
                                                 reel_dtype weights, reel_params *params);

/* Opens path, a .safetensors file or an index of shards, as the weights of a model of that
 * configuration, in diffusers' or the original names. Missing, unexpected and misshapen tensors
 * are listed in one message (REEL_E_FORMAT). The caller closes *component. */
REEL_MUST_USE reel_status reel_component_open(reel_env *env, const reel_component_config *config,
                                              const char *path, reel_weights_as as,
                                              reel_component **component);
/* Unmaps and frees everything; NULL-safe. */
void reel_component_close(reel_component **component);

#endif
