/* Training of a tokenizer on captions: of the world, English and Chinese, or of one's own clips. */
#ifndef REEL_TRAIN_VOCABULARY_H
#define REEL_TRAIN_VOCABULARY_H

#include "train/run.h"

/* Writes options->folder/spiece.model from recipe->tokenizer.captions captions, half of them in
 * either language. */
REEL_MUST_USE reel_status reel_train_vocabulary(reel_env *env, const reel_run_options *options);

#endif
