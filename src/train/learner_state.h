/* What learner.c and program.c share: the learner's own fields. Included by nobody else. */
#ifndef REEL_TRAIN_LEARNER_STATE_H
#define REEL_TRAIN_LEARNER_STATE_H

#include "ops/ops.h"
#include "ops/optim.h"
#include "train/learner.h"

enum { MASTERS, COPIES, AVERAGES, N_STORES };

/* The numbers of a step as the optimisers read them, for each rule; the last is for `other`. */
typedef struct step_numbers {
    float adamw[REEL_MAX_RULES + 1][REEL_ADAMW_HYPER];
    float muon[REEL_MAX_RULES + 1][REEL_MUON_HYPER];
    float clip, average_rate;
} step_numbers;

struct reel_learner {
    reel_env *env;
    const reel_kernel_table *table;
    reel_learner_options options;
    reel_rule other; /* for what matches no rule */
    reel_tape *tape; /* recorded on by one program at a time; plans keep what they need */
    reel_params *store[N_STORES];
    reel_learned *learned; /* [n], in the order of declaration */
    int n;
    int64_t steps;
    step_numbers numbers;
};

#endif
