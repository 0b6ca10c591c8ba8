/* Checkpoints: everything a run needs to go on as if it had never stopped.
 *
 * One safetensors file for each, written under another name and renamed: master weights, moments
 * and averages as f32 tensors, and as metadata the step, the counts and the recipe. Data and
 * randomness need no more than the step, since every draw is a function of (seed, step, place).
 * The last two are kept; one that cannot be read is passed over for the one before.
 */
#ifndef REEL_TRAIN_CHECKPOINT_H
#define REEL_TRAIN_CHECKPOINT_H

#include "train/learner.h"
#include "train/recipe.h"

enum { REEL_CHECKPOINTS_KEPT = 2 };

/* How far a run is. */
typedef struct reel_run_state {
    int64_t step;    /* optimiser steps done */
    int64_t samples; /* clips, crops or packed samples seen */
    double seconds;  /* spent in steps, over all sittings */
} reel_run_state;

/* Writes folder/checkpoint-STEP.safetensors and then removes all but the last two. */
REEL_MUST_USE reel_status reel_checkpoint_write(reel_env *env, const char *folder, const char *kind,
                                                reel_learner *learner, const reel_recipe *recipe,
                                                const reel_run_state *state);

/* Restores the newest readable checkpoint of the folder into a learner that has begun; *found is
 * false when there is none, and nothing is changed. Unreadable ones are logged as warnings.
 * REEL_E_ARG when it is of another kind or its recipe does not fit, REEL_E_FORMAT when its tensors
 * are not the learner's. */
REEL_MUST_USE reel_status reel_checkpoint_read(reel_env *env, const char *folder, const char *kind,
                                               reel_learner *learner, const reel_recipe *recipe,
                                               reel_run_state *state, bool *found);

#endif
