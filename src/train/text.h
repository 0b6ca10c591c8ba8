/* Training of the text encoder alone, before there is a transformer: it learns to say what captions
 * say.
 *
 * From clips alone a T5 learns slowly what few numbers of a clip depend on (left or right), and
 * meanwhile forgets that these words differ. Captions of the world cost nothing, and what each of
 * them says is known (world/understand.h): a linear layer on the pooled rows, pooled as the
 * transformer pools them (models/wan/dit.h, pooled_text), is to name every attribute a caption
 * tells, or that it does not, in English and in Chinese alike. The layer is thrown away.
 */
#ifndef REEL_TRAIN_TEXT_H
#define REEL_TRAIN_TEXT_H

#include "models/t5/t5.h"
#include "train/run.h"

/* Of recipe.text's sizes, for a tokenizer of that many pieces. */
reel_t5_config reel_text_config(const reel_recipe *recipe, int64_t pieces);

/* That of text.init, where the recipe names one. REEL_E_ARG when it knows fewer pieces. */
REEL_MUST_USE reel_status reel_text_read_init(reel_env *env, const reel_recipe *recipe,
                                              int64_t pieces, reel_t5_config *t5);

/* Trains a T5 of recipe.text's sizes, or of text.init's with its weights, on captions of the world
 * (data.drills of them about directions, dit.chinese_fraction in Chinese) through dit.tokenizer.
 * Validation says, of captions of held-out scenes, how many of an attribute's mentions are named
 * right, and how many captions are right in everything, for each language. The encoder is saved
 * into options->folder/text_encoder. */
REEL_MUST_USE reel_status reel_train_text(reel_env *env, const reel_kernel_table *table,
                                          const reel_run_options *options, bool *stopped);

#endif
