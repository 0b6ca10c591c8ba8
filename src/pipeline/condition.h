/* The condition of models that make video from a picture (Wan 2.1 and 2.2 I2V): what they are shown
 * beside the latents.
 *
 * In channels behind the latents: which frames are known, and the latents of a clip that holds
 * those frames and is grey elsewhere. In rows beside the text, for the models that have CLIP: the
 * first picture as its image encoder sees it.
 */
#ifndef REEL_PIPELINE_CONDITION_H
#define REEL_PIPELINE_CONDITION_H

#include "models/clip/vision.h"
#include "pipeline/known.h"
#include "pipeline/streaming.h"

typedef struct reel_condition {
    float *channels; /* [factor_t + z,F,h,w], from reel_alloc; NULL: no condition */
    float *rows;     /* [n_rows,dim] likewise; NULL: none */
    int64_t n_rows, dim;
} reel_condition;

/* Encodes the task's pictures, a first and perhaps a last one, for F x h x w latents into
 * condition->channels. options as of reel_known_put. REEL_E_FORMAT or REEL_E_ARG naming the file
 * when one cannot be read. The caller deinits *condition. */
REEL_MUST_USE reel_status reel_condition_encode(reel_env *env, const reel_known_options *options,
                                                const reel_job *task, int64_t F, int64_t h,
                                                int64_t w, reel_condition *condition);

typedef struct reel_image_encoder {
    const reel_clip_vision_config *config;
    reel_params *params;
    reel_safetensors_set *files; /* where the weights are mapped; they leave memory as they are
                                    read; NULL: they stay */
    const reel_kernel_table *table;
    reel_dtype compute;
    reel_tick *tick; /* or NULL */
    void *tick_context;
} reel_image_encoder;

/* Runs the image encoder on the picture at path, whole and stretched to its square, into
 * condition->rows: what its last block but one hands on. */
REEL_MUST_USE reel_status reel_condition_look(reel_env *env, const reel_image_encoder *encoder,
                                              const char *path, reel_condition *condition);

/* Safe on a zeroed struct. */
void reel_condition_deinit(reel_env *env, reel_condition *condition);

/* The recording and plan that looks at a picture: to be run, or, without pixels, to tell what it
 * would take. */
typedef struct reel_look {
    reel_tape *tape;
    reel_plan *plan;
    reel_var out; /* [1,T,C] */
} reel_look;

REEL_MUST_USE reel_status reel_condition_plan_look(reel_env *env, const reel_image_encoder *encoder,
                                                   float *pixels, reel_look *look);
void reel_condition_unplan_look(reel_look *look);

#endif
