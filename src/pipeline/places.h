/* Places: which tensor of a model's files lies at an address, so that a parameter used in place can
 * be dropped from memory by name.
 */
#ifndef REEL_PIPELINE_PLACES_H
#define REEL_PIPELINE_PLACES_H

#include "nn/params.h"
#include "tensor/safetensors_set.h"

typedef struct reel_places {
    reel_env *env;
    struct reel_place {
        const void *data;
        const char *name; /* in the files */
    } * place;            /* [n], by address */
    int64_t n;
} reel_places;

/* Lists every tensor of the set, which must stay open. The caller deinits it. */
REEL_MUST_USE reel_status reel_places_init(reel_env *env, reel_safetensors_set *files,
                                           reel_places *places);
/* Safe on a zeroed struct. */
void reel_places_deinit(reel_places *places);

/* The name in the files of what lies at data, NULL when it is not theirs. */
const char *reel_places_find(const reel_places *places, const void *data);

/* Whether a parameter is the weight of a linear layer that can be turned into q8_0. */
bool reel_places_is_linear(const reel_param *param);

/* Turns the weights of linear layers into q8_0 (reel_params_quantise), dropping each one's pages of
 * the file once it is read, so that no more than one is in memory twice. */
REEL_MUST_USE reel_status reel_places_quantise(reel_env *env, reel_safetensors_set *files,
                                               reel_params *params);

#endif
