/* build/tests/golden: cases of a public reference implementation, run again.
 *
 * A case is a folder: config.json, weights.safetensors, inputs.safetensors and
 * outputs.safetensors (or traces.json for schedulers). What model it is and how large is read from
 * its config, so that cases at other sizes than those in tests/golden run too. Each output gets a
 * line: its name, the relative L2 error, and pass, FAIL or SKIP for what reel does not compute.
 *
 * Named intermediates are found on the tape by the scope that makes them: models need not know that
 * they are watched.
 */
#ifndef REEL_TESTS_REPLAY_H
#define REEL_TESTS_REPLAY_H

#include "base/json.h"
#include "nn/module.h"
#include "tape/plan.h"
#include "tensor/safetensors.h"

enum { REPLAY_MAX_OUTPUTS = 4096 };

typedef struct replay {
    reel_env *env;
    const char *folder;
    reel_json config;
    reel_safetensors *weights, *inputs, *outputs;
    reel_kernel_table *table;
    reel_dtype compute;
    double tolerance;
    bool seen[REPLAY_MAX_OUTPUTS]; /* outputs that have their line */
    int n_pass, n_fail, n_skip;
} replay;

/* One recording and what it takes. */
typedef struct replay_run {
    reel_tape *tape;
    reel_plan *plan;
    reel_nn nn;
} replay_run;

/* A model's runner: computes what it can and compares it. */
typedef reel_status replay_model(replay *r);
replay_model replay_clip, replay_dit, replay_t5, replay_wan_dit, replay_wan_vae,
    replay_wan_pipeline;

/* Traces of schedulers at path; prints a line each. */
reel_status replay_traces(replay *r, const char *path);

/* ---- for runners ---- */

/* A store of the weights whose names begin with prefix, without it, in the compute dtype; closed.
 * The caller frees it. */
reel_status replay_params(replay *r, const char *prefix, reel_params **params);
/* An input by name: its tensor, or REEL_E_ARG with a message. */
reel_status replay_input(replay *r, const char *name, reel_tensor *tensor);
bool replay_has_input(const replay *r, const char *name);
const reel_stored *replay_output(const replay *r, const char *name);

/* Starts a recording with the store; freed by replay_end in any case. */
reel_status replay_begin(replay *r, reel_params *params, replay_run *run);
/* Plans and runs it. */
reel_status replay_finish(replay *r, replay_run *run);
void replay_end(replay_run *run);

/* An input of the recording with the tensor's data. */
reel_var replay_var(replay_run *run, const char *name, const reel_tensor *tensor);

/* What a scope ("blocks.0.attn1") hands on: the last value made in it that something outside reads;
 * or, with an op, the last value that op makes in it. 0 when there is none. It is kept, so that it
 * can be compared after the run. */
reel_var replay_made_in(replay_run *run, const char *scope, const reel_op *op);
/* The first value made by an op. */
reel_var replay_made_by(replay_run *run, const reel_op *op);

/* Prints the line of an output: got holds as many f32 elements as it has, or is NULL (SKIP). Does
 * nothing when the case has no such output. */
void replay_compare(replay *r, const char *name, const float *got, int64_t count);
/* The same of a kept value; channels_last: the output's channels are its second axis and got's are
 * its last. rows: u8 for each of the output's rows before the last axis, 0 for those that do not
 * count; NULL: all count. */
typedef struct replay_view {
    bool channels_last;
    const uint8_t *rows;
} replay_view;
void replay_compare_var(replay *r, replay_run *run, const char *name, reel_var var,
                        replay_view view);

/* Fails naming a weight nobody asked for. */
reel_status replay_all_used(replay *r, reel_params *params);

#endif
