/* The loop of a training run: steps, validations, checkpoints, metrics and progress.
 *
 * Whatever depends on the clock (when to validate, when to write a checkpoint, when to stop)
 * changes nothing that is trained: a run stopped anywhere goes on to the bytes of one that was not.
 */
#ifndef REEL_TRAIN_RUN_H
#define REEL_TRAIN_RUN_H

#include "base/json_out.h"
#include "train/checkpoint.h"

/* What one step did, besides the learner's own figures. */
typedef struct reel_job_step {
    reel_step_result result;
    int64_t samples;
    double waited_s; /* for clips: rendering, decoding, encoding, packing before the step */
} reel_job_step;

/* What is trained. Functions get context; those marked so may be NULL. */
typedef struct reel_job {
    const char *kind;
    void *context;
    reel_learner *learner;
    /* Before the first step of a run that goes on from no checkpoint. May be NULL. */
    reel_status (*begin)(void *context);
    /* Step `step` (from 0) at a rate; a function of step alone. */
    reel_status (*step)(void *context, int64_t step, double rate, reel_job_step *done);
    /* Adds keys to an object of metrics. May be NULL. */
    reel_status (*validate)(void *context, reel_json_out *out);
    /* Saves the model into the run folder: at each validation and at the end. May be NULL. */
    reel_status (*save)(void *context, bool at_end);
    /* Shows what the saved model makes, behind each save: pictures into the run folder's samples/.
     * May be NULL. */
    reel_status (*show)(void *context);
    /* The program to profile. May be NULL. */
    reel_program *(*program)(void *context);
} reel_job;

/* Clips to be made with the model of a run, for people to look at. */
typedef struct reel_sample_request {
    const char *model;         /* folder of the model */
    const char *const *prompt; /* [n] */
    int64_t n;
    reel_bucket size;
    int64_t steps;
    double fps;
    uint64_t seed;
} reel_sample_request;

/* Receives clip i, u8 [F,H,W,3], borrowed. */
typedef reel_status reel_sample_take(void *context, int64_t i, const uint8_t *rgb);

/* Makes them; whoever has a pipeline, which training may not know. REEL_E_UNSUPPORTED when such a
 * model cannot be sampled. */
typedef reel_status reel_sample_make(reel_env *env, const reel_kernel_table *table,
                                     const reel_sample_request *request, reel_sample_take *take,
                                     void *context);

/* A model whose mistakes a decoder learns to forgive (train/vae_mistakes.h). */
typedef struct reel_mistakes {
    void *model;     /* NULL: there is none */
    int64_t latents; /* elements of a clip's: z f h w */
    /* What it makes of x0, the latents of rgb u8 [F,H,W,3]: error [z,f,h,w] of the x0 it predicts
     * from (1 - t) x0 + t eps under a caption, as latents of unit variance. eps: of seed. */
    reel_status (*make)(void *model, const uint8_t *rgb, const char *caption, double t,
                        uint64_t seed, float *error);
    void (*close)(struct reel_mistakes *mistakes);
} reel_mistakes;

/* Opens a model folder for clips of a size; *mistakes is the caller's to close. Whoever can run
 * it, which training may not know. */
typedef reel_status reel_mistakes_open(reel_env *env, const reel_kernel_table *table,
                                       const char *folder, const reel_bucket *size,
                                       reel_mistakes *mistakes);

typedef struct reel_run_options {
    const char *folder;
    const reel_recipe *recipe;
    double minutes; /* of wall time; 0: to the end of the recipe's steps */
    double ceiling_flops_per_s;
    bool profile;                 /* after three steps: tell a table of kernels, stop */
    reel_sample_make *sample;     /* NULL: no samples are shown */
    reel_mistakes_open *mistakes; /* NULL: of no model */
    reel_train_progress *progress;
    void *context;
} reel_run_options;

/* Goes on from the folder's newest checkpoint, if there is one, and runs to the recipe's last step,
 * the time limit or the caller's wish to stop (*stopped). recipe.json is written first. */
REEL_MUST_USE reel_status reel_run(reel_env *env, const reel_job *job,
                                   const reel_run_options *options, bool *stopped);

/* Tells an event of its own: what is being prepared. True: the caller wishes to stop. */
bool reel_run_tell(const reel_run_options *options, const char *kind, const char *phase,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* FLOP/s of a large product through the table's kernels: what shares are of. */
REEL_MUST_USE reel_status reel_run_ceiling(reel_env *env, const reel_kernel_table *table,
                                           reel_dtype dtype, double *flops_per_s);

#endif
