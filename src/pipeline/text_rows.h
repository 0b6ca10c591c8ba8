/* Prompts into the rows a transformer reads: the text encoder's turn.
 *
 * The encoder runs once, on all prompts in one batch, over no more columns than the longest of them
 * has tokens: padding up to what the transformer is used to is rows of zeros, as Wan has it, and is
 * not computed. Its weights leave memory as they are read.
 */
#ifndef REEL_PIPELINE_TEXT_ROWS_H
#define REEL_PIPELINE_TEXT_ROWS_H

#include "models/t5/t5.h"
#include "pipeline/streaming.h"

enum { REEL_MAX_PROMPTS = 2 };

typedef struct reel_text_encoder {
    const reel_t5_config *config;
    reel_params *params;
    reel_safetensors_set *files; /* where the weights are mapped; NULL: they are not dropped */
    const reel_kernel_table *table;
    reel_dtype compute;
    reel_tick *tick; /* or NULL */
    void *tick_context;
} reel_text_encoder;

/* The rows of the prompts, without padding. */
typedef struct reel_text_rows {
    int n_prompts;
    int64_t dim;
    int64_t n[REEL_MAX_PROMPTS];  /* tokens of each */
    float *row[REEL_MAX_PROMPTS]; /* [n,dim] each, from reel_alloc */
} reel_text_rows;

/* Encodes n_prompts in [1, REEL_MAX_PROMPTS] rows of ids, n[i] >= 1 each, every id below the
 * vocabulary's size (REEL_E_ARG). The caller deinits *rows. */
REEL_MUST_USE reel_status reel_text_rows_encode(reel_env *env, const reel_text_encoder *encoder,
                                                int n_prompts, const int32_t *const *ids,
                                                const int64_t *n, reel_text_rows *rows);
/* Safe on a zeroed struct. */
void reel_text_rows_deinit(reel_env *env, reel_text_rows *rows);

/* The plan of a run on n_prompts of `longest` tokens each, all of them token 0, with its own inputs
 * in *batch: for predictions. dry: it takes no memory and cannot run. Both are freed by
 * reel_text_rows_unplan. */
typedef struct reel_text_batch reel_text_batch;
REEL_MUST_USE reel_status reel_text_rows_plan(reel_env *env, const reel_text_encoder *encoder,
                                              int n_prompts, int64_t longest, bool dry,
                                              reel_text_batch **batch, reel_plan **plan);
void reel_text_rows_unplan(reel_env *env, reel_text_batch **batch, reel_plan **plan);

#endif
