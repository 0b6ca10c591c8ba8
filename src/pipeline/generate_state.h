/* What the files of a generation share. Included by nobody else. */
#ifndef REEL_PIPELINE_GENERATE_STATE_H
#define REEL_PIPELINE_GENERATE_STATE_H

#include "base/arena.h"
#include "pipeline/decode.h"
#include "pipeline/generate.h"
#include "pipeline/identity.h"
#include "pipeline/provenance.h"
#include "pipeline/resume.h"
#include "pipeline/task.h"
#include "pipeline/transformer.h"
#include "text/tokenizer.h"

struct reel_generate {
    reel_env *env;
    const reel_generate_request *request; /* the caller's, or `adjusted` */
    reel_generate_request adjusted;       /* with what the task's clips say */
    reel_job task;
    reel_backend backend;
    reel_arena arena; /* paths and texts */
    reel_folder *folder;
    reel_settings settings;
    reel_generate_settings shown;
    const char *note[REEL_MAX_NOTES];

    int n_prompts; /* 2 with guidance */
    reel_tokens tokens[REEL_MAX_PROMPTS];

    char hash[REEL_IDENTITY_TEXT];
    reel_dtype dtype;       /* of the transformer's weights: f32, bf16 or f16 */
    reel_dtype text_dtype;  /* of the text encoder's */
    reel_dtype image_dtype; /* of the image encoder's, where there is one */
    bool bf16;              /* the transformer computes in bf16, and the decoder with it */
    const char *state_path; /* OUTPUT.reel-state */
    const char *parts_path; /* OUTPUT.reel-parts */
};

/* The configuration of a part; the folder was checked to have it. */
static inline const reel_component_config *reel_generate_config(const reel_generate *g,
                                                                reel_component_kind kind) {
    return reel_folder_config(g->folder, kind);
}

/* How a part's weights are to be, and what it computes in. */
reel_weights_as reel_generate_weights(const reel_generate *g, reel_component_kind kind);
reel_dtype reel_generate_compute(const reel_component *component);

/* Opens every part once: fills hash and what weights are of. */
REEL_MUST_USE reel_status reel_generate_identify(reel_generate *g);

/* Adds the request's adapters to an open transformer; with hash they are looked at and mixed into
 * it instead. */
REEL_MUST_USE reel_status reel_generate_adapt(const reel_generate *g, reel_component *transformer,
                                              uint64_t *hash);

/* Fills the figures of memory (peak, and whether weights are streamed), and of time. The first
 * fails with REEL_E_NOMEM and figures when the limit cannot be kept. After reel_generate_identify.
 */
REEL_MUST_USE reel_status reel_predict_memory(reel_generate *g, reel_generate_cost *cost);
REEL_MUST_USE reel_status reel_predict_time(reel_generate *g, reel_generate_cost *cost);

/* Bytes the process may hold: what was asked for, or what the machine has. */
int64_t reel_generate_limit(const reel_generate *g);

#endif
