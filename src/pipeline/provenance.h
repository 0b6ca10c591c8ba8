/* Provenance: how a file was made, as JSON. It goes into the file's metadata, where `reel info`
 * finds it, and a part of it, all that the bytes depend on but the seed, tells a resumed run its
 * own.
 */
#ifndef REEL_PIPELINE_PROVENANCE_H
#define REEL_PIPELINE_PROVENANCE_H

#include "base/json_out.h"
#include "pipeline/task.h"

typedef struct reel_provenance {
    const char *model;  /* as it was asked for */
    const char *hash;   /* of its weights: 16 hexadecimal digits */
    const char *prompt; /* as given */
    const char *negative_prompt;
    const char *isa;
    const reel_lora *lora; /* [n_loras]; the hash knows of them */
    int n_loras;
    int64_t seed;
    int64_t n_windows; /* 1: it is made at once */
    const reel_settings *settings;
    const reel_job *task;
} reel_provenance;

/* Writes it as one JSON object; out is inited by the caller. with_seed false: without the
 * seed and the model's name, in the fixed form that resumed runs are compared by. */
void reel_provenance_write(reel_json_out *out, const reel_provenance *made, bool with_seed);

#endif
