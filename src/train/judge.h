/* Training of the judge (models/judge) on clips of the world and what is true of them. */
#ifndef REEL_TRAIN_JUDGE_H
#define REEL_TRAIN_JUDGE_H

#include "train/run.h"

/* Trains on random clips of a pool that is always being renewed; the loss is the sum of the
 * questions' cross entropies. Validation asks the average's weights about held-out combinations:
 * the share of right answers to each question, "everything" (kind, color, motion, camera, ground
 * and sky at once) and the same for scenes of one object. The judge is saved into
 * options->folder/judge. REEL_E_ARG when the first bucket is no size a judge can have. */
REEL_MUST_USE reel_status reel_train_judge(reel_env *env, const reel_kernel_table *table,
                                           const reel_run_options *options, bool *stopped);

#endif
