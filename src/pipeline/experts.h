/* The transformers of a generation: the one that works at the noise level there is, in memory.
 *
 * Most models have one. Wan 2.2's 14B are pairs, one for much noise and one for little; they are
 * never in memory together.
 */
#ifndef REEL_PIPELINE_EXPERTS_H
#define REEL_PIPELINE_EXPERTS_H

#include "pipeline/condition.h"
#include "pipeline/generate_state.h"

typedef struct reel_experts {
    const reel_generate *g;
    const reel_text_rows *text;
    const reel_condition *condition;
    int64_t F;            /* latent frames of the canvas */
    int n_groups, n_rows; /* of evaluations: levels at a time; 2 when any is guided */
    reel_tick *tick;      /* or NULL */
    void *tick_context;

    reel_component_kind kind;  /* of what is open */
    reel_component *component; /* NULL: nothing is */
    reel_transformer *model;
} reel_experts;

/* A reel_denoise_model; context is a reel_experts whose fields above the line are filled. The
 * transformer for the query's level is opened first, and the other one dropped. */
reel_status reel_experts_evaluate(void *context, const reel_denoise_query *query, float *cond,
                                  float *uncond);

/* Drops what is open; safe on a zeroed struct. */
void reel_experts_close(reel_experts *experts);

#endif
