/* Generating: a request taken through its phases, with one model in memory at a time.
 *
 *     text      prompts -> ids -> rows      the text encoder, streamed, dropped
 *     denoise   canvas + rows -> latents    the transformer, dropped; state saved at each step
 *     decode    latents -> frames -> file   the VAE and the video encoder
 */
#ifndef REEL_PIPELINE_GENERATE_H
#define REEL_PIPELINE_GENERATE_H

#include "pipeline/settings.h"
#include "tape/op.h"

/* What computes: api/ names a device, pipeline/ does not. Borrowed while a generation is open. */
typedef struct reel_backend {
    const reel_kernel_table *table;
    const char *isa; /* its name, for the provenance: bytes depend on it */
} reel_backend;

typedef struct reel_generate reel_generate;

/* As reel_generation_open of reel.h. */
REEL_MUST_USE reel_status reel_generate_open(reel_env *env, const reel_generate_request *request,
                                             const reel_backend *backend, reel_generate **generate);
void reel_generate_close(reel_generate **generate);

const reel_generate_settings *reel_generate_get_settings(const reel_generate *generate);

/* All that the bytes of the file depend on, as JSON: the model's weights, the prompt, the settings,
 * what is in the files that were given, the seed as it was asked for. *key lives as long as the
 * generation. Fails as the beginning of a run does. */
REEL_MUST_USE reel_status reel_generate_key(reel_generate *generate, const char **key);
/* Whether the model was trained on reel's own world and knows no more ("world" in "_reel"). */
bool reel_generate_is_of_world(const reel_generate *generate);
/* Adds a sentence to the settings' notes, for who knows more of a request than the pipeline. */
void reel_generate_note(reel_generate *generate, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* As reel_generation_predict and reel_generation_run. */
REEL_MUST_USE reel_status reel_generate_predict(reel_generate *generate, reel_generate_cost *cost);
REEL_MUST_USE reel_status reel_generate_run(reel_generate *generate, reel_event_fn *on_event,
                                            reel_cancel_fn *cancel, void *context);

#endif
