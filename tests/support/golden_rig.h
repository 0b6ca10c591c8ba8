/* What a recording of a golden case needs around it, for the tests of networks. */
#ifndef REEL_TESTS_GOLDEN_RIG_H
#define REEL_TESTS_GOLDEN_RIG_H

#include "cpu/cpu.h"
#include "support/golden.h"
#include "tape/plan.h"

typedef struct golden_rig {
    reel_env *env;
    reel_tape *tape; /* empty */
    reel_plan *plan; /* the last one made */
    reel_kernel_table *table;
    reel_params *params; /* the case's weights */
    golden g;
} golden_rig;

/* Opens the case, its weights in the dtype of the computation, or fails the test. */
void golden_rig_open(golden_rig *rig, const char *folder, reel_dtype compute, reel_isa isa);
void golden_rig_close(golden_rig *rig);

/* Replaces rig->plan by a new plan of the tape and runs it; fails the test with the message. */
void golden_rig_run(golden_rig *rig);

/* An input of the case, on the tape. */
reel_var golden_rig_input(golden_rig *rig, const char *name);

#endif
