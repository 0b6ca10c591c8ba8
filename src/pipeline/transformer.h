/* The transformer's turn: what answers the denoise driver.
 *
 * Holds the recorded and planned model for one canvas. The conditional and the unconditional pass
 * are one batch, so that every weight is read once for both. Without guidance in an evaluation the
 * batch has one row, under a plan of its own, which replaces the other.
 */
#ifndef REEL_PIPELINE_TRANSFORMER_H
#define REEL_PIPELINE_TRANSFORMER_H

#include "models/wan/dit.h"
#include "pipeline/denoise.h"
#include "pipeline/text_rows.h"

typedef struct reel_transformer_options {
    const reel_wan_dit_config *config;
    reel_params *params;
    reel_safetensors_set *files; /* to stream weights from; NULL: they stay in memory */
    const reel_kernel_table *table;
    reel_dtype compute;
    bool q8; /* linear weights are turned into 8-bit blocks at each use; else as params has them */
    bool gives_sample; /* its output is x0, not the velocity eps - x0: prediction_type "sample" */
    int64_t F, h, w;   /* latent grid, multiples of the patch */
    int n_groups;      /* noise levels at a time: reel_denoise_n_groups */
    const reel_text_rows *text; /* the prompt's, then the negative prompt's where there is one */
    int64_t text_length;        /* X: rows the model sees, the last ones zero */
    /* What a model that takes a picture is shown in both rows; NULL: zeros, for predictions. */
    const float *condition; /* [in-out,F,h,w], behind the latents */
    const float *image;     /* [Y,image_dim] */
    int64_t n_image_rows;   /* Y */
    bool dry;               /* plans take no memory and cannot run: for predictions */
    reel_tick *tick;        /* asked between records, or NULL */
    void *tick_context;
} reel_transformer_options;

typedef struct reel_transformer reel_transformer;

/* Copies options; what they point to must outlive the transformer, but for text, condition and
 * image, which are copied. REEL_E_ARG for a grid that is no multiple of the patch, for rows of text
 * of another width or more than text_length, and without rows of an image where the model has a
 * place for them. */
REEL_MUST_USE reel_status reel_transformer_new(reel_env *env,
                                               const reel_transformer_options *options,
                                               reel_transformer **transformer);
void reel_transformer_free(reel_transformer **transformer);

/* A reel_denoise_model; context is the transformer. cond and uncond are velocities whatever the
 * model gives. */
reel_status reel_transformer_evaluate(void *context, const reel_denoise_query *query, float *cond,
                                      float *uncond);

/* Plans a batch of n_rows (1, or 2 with guidance) without running it, as an evaluation would.
 * Borrowed until the next evaluation. */
REEL_MUST_USE reel_status reel_transformer_plan(reel_transformer *transformer, int n_rows,
                                                reel_plan **plan);

/* Tokens of one row. */
int64_t reel_transformer_tokens(const reel_transformer *transformer);

#endif
