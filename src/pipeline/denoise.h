/* The denoise driver: from a canvas to latents, for every task there is.
 *
 * It owns x and a sampler, asks a model (a callback: it never sees one) for its output at each
 * evaluation, guides it, keeps what the canvas knows as it is, and tells a watcher how far it is
 * and what the result will look like. Everything it needs in order to go on after any evaluation
 * is x, the sampler's memory and a number, so that a killed run continues to the same bytes
 * (pipeline/resume.h).
 *
 * Positions of the canvas that start from the same noise level form a group. A group below the
 * current level waits: it is shown to the model at its own level, and within the sampler it moves
 * along the line from its noise to what is known of it, x = (1 - s) known + s noise, whose
 * predicted x_0 is `known` exactly. When the falling level reaches it, it is let go. A group at
 * level 0 never is.
 */
#ifndef REEL_PIPELINE_DENOISE_H
#define REEL_PIPELINE_DENOISE_H

#include "diffusion/guidance.h"
#include "diffusion/sampler.h"
#include "pipeline/canvas.h"

/* What a model is asked. */
typedef struct reel_denoise_query {
    const float *x;       /* [C,F,h,w] */
    const int32_t *group; /* [F,h,w]: the group of each position, in [0, n_groups) */
    int n_groups;
    const double *timestep; /* [n_groups] of each group, 0..num_train_timesteps */
    const double *sigma;    /* [n_groups]: the noise level itself, which timestep may round */
    bool guided;            /* the unconditional output is wanted too */
} reel_denoise_query;

/* Computes the model's output for the prompt into cond [C,F,h,w] and, when the query is guided, for
 * the negative prompt into uncond. A failure ends the run. */
typedef reel_status reel_denoise_model(void *context, const reel_denoise_query *query, float *cond,
                                       float *uncond);

/* How far a run is, after an evaluation. */
typedef struct reel_denoise_step {
    int done, n;     /* evaluations: 1..n */
    double sigma;    /* the noise level x has now */
    const float *x;  /* [C,F,h,w] */
    const float *x0; /* [C,F,h,w]: what the last output says the clean latents are */
} reel_denoise_step;

/* Called after each evaluation, when the driver may already be saved. Anything but REEL_OK ends the
 * run with that status. */
typedef reel_status reel_denoise_watch(void *context, const reel_denoise_step *step);

typedef struct reel_denoise_options {
    reel_sampler_options sampler;
    reel_guidance guidance;
    uint64_t seed;
    const float *noise; /* [C,F,h,w] to start from, standard normal; NULL: made from the seed */
    /* In [0,1]: positions that are kept are shown to the model noised up to this level, or to the
     * current one once that is lower. The result has them as they are known. 0: shown clean. */
    double known_noise;
} reel_denoise_options;

typedef struct reel_denoise reel_denoise;

/* A run at its beginning. canvas and options->noise are read here and not afterwards. Fails with
 * REEL_E_ARG for options out of range, REEL_E_UNSUPPORTED when something is known and the sampler's
 * schedule is not a flow. The caller frees it. */
REEL_MUST_USE reel_status reel_denoise_new(reel_env *env, const reel_canvas *canvas,
                                           const reel_denoise_options *options, reel_denoise **run);
void reel_denoise_free(reel_denoise **run);

/* Groups of the canvas, at least 1: what a model plans for. */
int reel_denoise_n_groups(const reel_denoise *run);
/* Evaluations in all, and those behind us. The first ones, at levels nothing starts from, are never
 * computed and count as done. */
int reel_denoise_n(const reel_denoise *run);
int reel_denoise_done(const reel_denoise *run);
/* Whether any evaluation asks for the unconditional output. */
bool reel_denoise_is_guided(const reel_denoise *run);

/* Does the evaluations that are left. watch may be NULL. A run that failed in its model can be
 * called again and goes on with the evaluation that failed. */
REEL_MUST_USE reel_status reel_denoise_run(reel_denoise *run, reel_denoise_model *model,
                                           void *model_context, reel_denoise_watch *watch,
                                           void *watch_context);

/* x [C,F,h,w]: the result once done is n. Borrowed. */
const float *reel_denoise_latents(const reel_denoise *run);
/* What the last evaluation said the result will be, [C,F,h,w]; NULL before the first one of this
 * process. Borrowed. */
const float *reel_denoise_estimate(const reel_denoise *run);

/* What a run has to remember: x [n] and the sampler's memory. Borrowed; both may be written to by
 * whoever brings a run back, who then says how many evaluations are done. */
typedef struct reel_denoise_memory {
    float *x;
    int64_t n;
    void *sampler;
    int64_t sampler_bytes;
} reel_denoise_memory;
reel_denoise_memory reel_denoise_get_memory(reel_denoise *run);
/* Says how far a memory that was written to is: done in [0, n], REEL_E_ARG otherwise; REEL_E_FORMAT
 * when the sampler's memory cannot be that of a run so far. */
REEL_MUST_USE reel_status reel_denoise_restore(reel_denoise *run, int done);

#endif
