/* What the fault run puts through every failure: small pieces of real work, each of which makes
 * all it needs from the environment and gives it back, whatever happens in between.
 */
#ifndef REEL_TESTS_FAULT_FAULTS_H
#define REEL_TESTS_FAULT_FAULTS_H

#include "base/env.h"

/* Files the scenarios read and write, in a folder of their own. */
typedef struct fault_place {
    char folder[64];
    char file[96];      /* a safetensors file */
    char unaligned[96]; /* one whose data begins at an odd byte */
    char index[112];    /* of one shard, file */
    char target[96];    /* holds "old"; scenarios may replace it */
    char clip[96];      /* a video of two frames, where the build writes any */
} fault_place;

typedef struct fault_scenario {
    const char *name;
    reel_status (*run)(reel_env *env, const fault_place *place);
} fault_scenario;

extern const fault_scenario fault_scenarios[];
extern const int n_fault_scenarios;

/* Makes and removes the folder and its files; remove fails when a file is there that should not. */
REEL_MUST_USE reel_status fault_place_make(reel_env *env, fault_place *place);
REEL_MUST_USE reel_status fault_place_remove(reel_env *env, const fault_place *place);

#endif
