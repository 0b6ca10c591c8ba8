/* The whole of a small model from nothing: tokenizer, text encoder, autoencoder,
 * transformer, and the decoder once more, on what that transformer gets wrong; what comes out is a
 * folder that generates, DIR/dit/model.
 *
 * A recipe of recipes: {"tokenizer": FILE, "text": FILE, "vae": FILE,
 * "words": [FILE, ...], "dit": FILE, "decoder": FILE}, the files looked for beside it. Text may be
 * left out: then the first transformer makes its text encoder. So may words, which are dits of
 * small clips: what words mean is learned there for a quarter of the price, each goes on from the
 * one before, and dit from the last. Each stage is a run in a folder of its own below the whole's
 * (words-1, ...) and goes on where it was; those that are done are passed over.
 */
#ifndef REEL_TRAIN_POCKET_H
#define REEL_TRAIN_POCKET_H

#include "train/run.h"

/* Changes made to every stage's recipe. */
typedef struct reel_pocket_changes {
    const char *const *set; /* [n_set], "section.field=value" */
    int n_set;
    int64_t steps; /* of each stage; 0: the recipes' */
} reel_pocket_changes;

/* options->recipe is not looked at. path: the recipe of recipes. The model is in
 * options->folder/dit/model. */
REEL_MUST_USE reel_status reel_train_pocket(reel_env *env, const reel_kernel_table *table,
                                            const reel_run_options *options, const char *path,
                                            const reel_pocket_changes *changes, bool *stopped);

/* Reads a recipe's file over the defaults, then the changes: what every kind of run begins with.
 * path NULL: the defaults alone. */
REEL_MUST_USE reel_status reel_recipe_load(reel_env *env, const char *path,
                                           const reel_pocket_changes *changes, reel_recipe *recipe);

#endif
