/* Weight files: the public view of a safetensors set. */
#include <string.h>

#include "base/env.h"
#include "reel/reel.h"
#include "tensor/safetensors_set.h"

_Static_assert((int)REEL_WEIGHT_MAX_RANK == (int)REEL_MAX_RANK, "reel.h promises tensor.h's rank");

struct reel_weights {
    reel_env *env;
    reel_safetensors_set *set;
};

reel_status reel_weights_open(reel_env *env, const char *path, reel_weights **weights) {
    reel_weights *made = reel_calloc(env, 1, (int64_t)sizeof *made, "weights");
    if (!made) return REEL_E_NOMEM;
    made->env = env;
    const reel_status status = reel_safetensors_set_open(env, path, &made->set);
    if (status != REEL_OK) {
        reel_free(env, made);
        return status;
    }
    *weights = made;
    return REEL_OK;
}

void reel_weights_close(reel_weights **weights) {
    if (!weights || !*weights) return;
    reel_safetensors_set_close(&(*weights)->set);
    reel_free((*weights)->env, *weights);
    *weights = NULL;
}

int64_t reel_weights_count(const reel_weights *weights) {
    return reel_safetensors_set_count(weights->set);
}

reel_weight reel_weights_at(const reel_weights *weights, int64_t i) {
    const reel_stored *stored = reel_safetensors_set_at(weights->set, i);
    reel_weight weight = {.name = stored->name,
                          .dtype = reel_dtype_name(stored->dtype),
                          .rank = stored->shape.rank,
                          .n_elements = reel_shape_count(&stored->shape),
                          .n_bytes = stored->bytes};
    memcpy(weight.dim, stored->shape.dim, sizeof weight.dim);
    return weight;
}

int reel_weights_files(const reel_weights *weights) {
    return reel_safetensors_set_shards(weights->set);
}

const char *reel_weights_file(const reel_weights *weights, int i) {
    return reel_safetensors_name(reel_safetensors_set_shard(weights->set, i));
}

int64_t reel_weights_metadata_count(const reel_weights *weights, int i) {
    return reel_safetensors_metadata_count(reel_safetensors_set_shard(weights->set, i));
}

void reel_weights_metadata_at(const reel_weights *weights, int i, int64_t k, const char **key,
                              const char **value) {
    const reel_metadata *pair =
        reel_safetensors_metadata_at(reel_safetensors_set_shard(weights->set, i), k);
    *key = pair->key;
    *value = pair->value;
}
