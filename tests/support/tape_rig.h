/* A tape with what it takes to run it, for the tests of the engine and of whole networks. */
#ifndef REEL_TESTS_TAPE_RIG_H
#define REEL_TESTS_TAPE_RIG_H

#include "ops/ops.h"
#include "tape/plan.h"

typedef struct tape_rig {
    reel_env *env;
    reel_kernel_table *table; /* of reference kernels */
    reel_tape *tape;          /* a training tape */
    reel_plan *plan;          /* the last one made */
    int64_t idle_bytes;       /* what the environment itself holds */
} tape_rig;

/* Fails the test when it cannot be made. */
void tape_rig_open(tape_rig *rig);
/* Frees everything; fails the test when memory is left. */
void tape_rig_close(tape_rig *rig);

/* Replaces rig->plan by a new plan of the tape and runs it; fails the test with the message. */
void tape_rig_run(tape_rig *rig, const reel_plan_options *options);

/* The bytes of a kept or bound value after a run. */
const void *tape_rig_data(const tape_rig *rig, reel_var var);

/* n floats in [-1,1), always the same for the same seed. */
void tape_rig_fill(float *x, int64_t n, uint64_t seed);

/* The tape's status is `status`, and its message contains each of the (non-NULL) parts. Resets the
 * tape and the message. */
void tape_rig_expect_failure(tape_rig *rig, reel_status status, const char *part,
                             const char *other);

#endif
