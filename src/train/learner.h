/* The learner: the weights that are trained, and everything that trains them.
 *
 * A learner holds f32 master weights, the copies the model computes with (bf16 for matrices), the
 * optimiser's moments and a moving average. What runs on them is a program: a recording of a model
 * at fixed shapes. A training program is one tape from forward to moving average: forward, loss,
 * backward, clipping, optimiser. Several programs (another clip size, a validation) share a
 * learner.
 *
 * Muon (ops/optim.h) moves the hidden matrices, AdamW the rest; a table of rules, first match
 * first, says which is which. A step whose loss or gradient norm is not finite leaves weights and
 * moments as they were and is reported with the first tensor that went bad.
 */
#ifndef REEL_TRAIN_LEARNER_H
#define REEL_TRAIN_LEARNER_H

#include "nn/module.h"
#include "tape/plan.h"

typedef enum reel_method {
    REEL_METHOD_ADAMW,
    REEL_METHOD_MUON,
    REEL_METHOD_FROZEN, /* not trained: recorded as an input */
    REEL_METHOD_COUNT,
} reel_method;

enum { REEL_MAX_RULES = 32 };

/* How the parameters whose name matches a pattern are trained. '*' stands for any characters. */
typedef struct reel_rule {
    char pattern[96];
    int32_t method; /* reel_method */
    double lr;      /* peak; what a step asks for multiplies it */
    double weight_decay;
} reel_rule;

typedef struct reel_learner_options {
    reel_dtype compute; /* of activations and matrices: bf16 or f32 */
    reel_rule rule[REEL_MAX_RULES];
    int n_rules; /* a parameter that matches none is trained by AdamW at 1e-3 */
    double beta1, beta2, eps;
    double momentum;    /* of Muon */
    double clip;        /* largest norm of all gradients together; 0: no limit */
    double ema;         /* decay of the moving average; its start is faster: (1 + s) / (10 + s) */
    int64_t accumulate; /* micro-steps whose mean gradient makes a step; >= 1 */
    bool recompute;     /* not used by the learner: programs read it */
} reel_learner_options;

/* bf16, no rules, 0.9, 0.95, 1e-8, momentum 0.95, clip 1, ema 0.999, accumulate 1. */
reel_learner_options reel_learner_options_default(void);

/* True when name matches a pattern: characters stand for themselves, '*' for any run of them. */
bool reel_pattern_match(const char *pattern, const char *name);

/* One parameter with its state. Buffers have the parameter's elements. */
typedef struct reel_learned {
    const char *name;
    reel_shape shape;
    const reel_rule *rule;
    float *master;
    float *moment[2]; /* AdamW: m and v; Muon: its buffer and NULL; frozen: NULL */
    float *average;   /* NULL when frozen */
    float *sum;       /* of the micro-steps' gradients; NULL unless accumulating */
    reel_bf16 *copy;  /* what matrices compute with, NULL: the master itself */
} reel_learned;

typedef struct reel_learner reel_learner;

/* Records the model with nn and returns the value to look at: for a training program the loss, one
 * f32 element. context is the program's own. */
typedef reel_var reel_program_record(void *context, reel_nn *nn);

/* A learner without parameters. table is borrowed and must outlive it. The caller frees it. */
REEL_MUST_USE reel_status reel_learner_new(reel_env *env, const reel_kernel_table *table,
                                           const reel_learner_options *options,
                                           reel_learner **learner);
/* Programs must be gone before. NULL-safe. */
void reel_learner_free(reel_learner **learner);

/* Learns a model's parameters by recording it once; may be called for several models, whose names
 * must differ. No data is needed: nothing runs. */
REEL_MUST_USE reel_status reel_learner_declare(reel_learner *learner, reel_program_record *record,
                                               void *context);
/* The parameters declared so far, for their names and shapes. Borrowed. */
reel_params *reel_learner_declared(reel_learner *learner);
/* Before _begin: the value of a parameter, count f32 or bf16 elements, instead of its initialiser.
 * REEL_E_ARG for an unknown name, REEL_E_SHAPE for another shape. */
REEL_MUST_USE reel_status reel_learner_set(reel_learner *learner, const char *name,
                                           const reel_tensor *value);
/* Fills what was not set by each parameter's own rule and the seed, makes moments (zero), averages
 * and copies. After this no parameter may be declared. */
REEL_MUST_USE reel_status reel_learner_begin(reel_learner *learner, uint64_t seed);

int reel_learner_count(const reel_learner *learner);
reel_learned *reel_learner_at(reel_learner *learner, int index);
/* Elements of all parameters, trained ones only when trained_only. */
int64_t reel_learner_elements(const reel_learner *learner, bool trained_only);
const reel_learner_options *reel_learner_get_options(const reel_learner *learner);

/* Steps taken; drives bias correction and the average's start. */
int64_t reel_learner_steps(const reel_learner *learner);
/* For checkpoints: sets the count, and makes the computing copies from masters again. */
void reel_learner_restore(reel_learner *learner, int64_t steps);

/* A store of the average's (average true) or the current weights whose names begin with prefix,
 * which is left out of them, in dtype: what is saved as a model. Low-rank paths (nn/module.h) are
 * multiplied out and added to their weights. The caller frees it; its memory is its own. */
REEL_MUST_USE reel_status reel_learner_export(reel_learner *learner, const char *prefix,
                                              bool average, reel_dtype dtype, reel_params **params);

/* ---- programs ---- */

typedef enum reel_program_kind {
    REEL_PROGRAM_TRAIN,
    REEL_PROGRAM_LOOK,    /* the current weights, without gradient */
    REEL_PROGRAM_AVERAGE, /* the moving average, as reel_learner_refresh_average left it */
} reel_program_kind;

typedef struct reel_program reel_program;

/* A recording that is made and planned at its first run. learner and context are borrowed. */
REEL_MUST_USE reel_status reel_program_new(reel_learner *learner, reel_program_kind kind,
                                           reel_program_record *record, void *context,
                                           reel_program **program);
void reel_program_free(reel_program **program);

/* What a training step did. */
typedef struct reel_step_result {
    double loss; /* mean over micro-steps */
    double norm; /* of the gradient before clipping */
    double flops;
    double seconds;
} reel_step_result;

/* One optimiser step. lr multiplies the rules' rates. before: called before each micro-step k of
 * `accumulate`, to put its data in place; may be NULL. Fails with REEL_E_FORMAT, naming the first
 * tensor that is not finite; then nothing has changed. */
REEL_MUST_USE reel_status reel_program_step(reel_program *program, double lr,
                                            reel_status (*before)(void *context, int64_t k),
                                            reel_step_result *result);

/* Runs a LOOK or AVERAGE program once. */
REEL_MUST_USE reel_status reel_program_run(reel_program *program);
/* A kept, bound or input value after a run; var is what the record function saw. */
const void *reel_program_data(const reel_program *program, reel_var var);
/* The value the record function returned, as its first f32 element. */
double reel_program_value(const reel_program *program);
/* Makes the copies AVERAGE programs compute with anew from the moving average. */
REEL_MUST_USE reel_status reel_learner_refresh_average(reel_learner *learner);
/* The plan of a program that has run, for profiles. Borrowed. */
reel_plan *reel_program_plan(reel_program *program);

#endif
