/* What training leaves: a model folder in diffusers' form, and how training goes on from one.
 *
 * A part is a subfolder with config.json and its weights, each file replaced as a whole, so that a
 * run can save again and again where others read.
 */
#ifndef REEL_TRAIN_SAVE_H
#define REEL_TRAIN_SAVE_H

#include "train/learner.h"
#include "zoo/component.h"
#include "zoo/usual.h"

/* Writes folder/<part>/config.json and the store's weights beside it; <part> is the kind's name. */
REEL_MUST_USE reel_status reel_save_part(reel_env *env, const char *folder,
                                         const reel_component_config *config, reel_params *params);

/* What is put together to a folder that generates. */
typedef struct reel_saved_model {
    reel_component_config transformer, text_encoder;
    reel_params *transformer_weights, *text_encoder_weights;
    const char *vae;       /* folder whose vae/ is copied */
    const char *tokenizer; /* a spiece.model, copied */
    reel_scheduler_config scheduler;
    bool expand_timesteps; /* the transformer takes a noise level for each token */
    reel_usual usual;
} reel_saved_model;

/* Copies from/vae into a folder, where it may replace one. */
REEL_MUST_USE reel_status reel_save_vae(reel_env *env, const char *folder, const char *from);

/* Writes all parts, the scheduler's configuration and model_index.json. */
REEL_MUST_USE reel_status reel_save_model(reel_env *env, const char *folder,
                                          const reel_saved_model *model);

/* Writes the averages of the low-rank paths whose names begin with prefix, of one rank, as an
 * adapter (zoo/adapter.h) whose alpha is the rank, of a model that predicts that. */
REEL_MUST_USE reel_status reel_save_adapter(reel_env *env, const char *path, reel_learner *learner,
                                            const char *prefix, int64_t rank,
                                            const char *prediction);

/* Reads folder/<part>/config.json. */
REEL_MUST_USE reel_status reel_read_part_config(reel_env *env, const char *folder,
                                                reel_component_kind kind,
                                                reel_component_config *config);

/* Gives every parameter the learner declared whose name begins with prefix, low-rank paths
 * excepted, the value that an open part has under the rest of its name. name stands in messages. */
REEL_MUST_USE reel_status reel_load_component(const reel_component *part, const char *name,
                                              const char *prefix, reel_learner *learner);

/* The same from a folder: gives every parameter the learner declared whose name begins with prefix
 * the value that the part stores under the rest of its name; config (may be NULL) becomes the
 * part's. REEL_E_FORMAT or REEL_E_SHAPE, naming what does not fit. */
REEL_MUST_USE reel_status reel_load_part(reel_env *env, const char *folder,
                                         reel_component_kind kind, const char *prefix,
                                         reel_learner *learner, reel_component_config *config);

/* Makes a store of bf16 weights the mean of themselves and of those a folder's part has, number by
 * number, share of it theirs: w = (1 - share) w + share theirs. Weights that one run has left
 * another with are often better half-way than at either end (WiSE-FT, Wortsman et al. 2022).
 * REEL_E_FORMAT or REEL_E_SHAPE, naming what does not fit; then some are changed. */
REEL_MUST_USE reel_status reel_blend_part(reel_env *env, const char *folder,
                                          reel_component_kind kind, double share,
                                          reel_params *params);

#endif
