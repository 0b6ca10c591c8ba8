/* What the files of the prediction share. Included by nobody else. */
#ifndef REEL_PIPELINE_PREDICT_STATE_H
#define REEL_PIPELINE_PREDICT_STATE_H

#include "pipeline/generate_state.h"

/* How a model is to be made up. */
typedef struct reel_make {
    reel_dtype dtype; /* of weights */
    bool q8;          /* those of linear layers are 8-bit blocks */
    bool filled;      /* in memory, to be run */
} reel_make;

/* A closed store with what a configuration asks for; the caller frees it. */
REEL_MUST_USE reel_status reel_predict_make(reel_env *env, const reel_component_config *config,
                                            reel_make how, reel_params **params);

/* Latent frames that are made at once. */
int64_t reel_predict_length(const reel_settings *settings);

/* What the autoencoder's turns take, beside base bytes of the process; how its frames are cut is
 * settled on the way and put into the settings. */
REEL_MUST_USE reel_status reel_predict_vae_bytes(reel_generate *g, int64_t base,
                                                 reel_generate_cost *cost);
REEL_MUST_USE reel_status reel_predict_vae_s(reel_generate *g, reel_generate_cost *cost);

#endif
