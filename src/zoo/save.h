/* Writing a model folder that reel, diffusers and transformers open.
 *
 * The folder appears whole when it is committed. Weights are produced piece by piece, so that a
 * model larger than memory can be written; files above a limit are cut into shards with an index,
 * as diffusers does it.
 */
#ifndef REEL_ZOO_SAVE_H
#define REEL_ZOO_SAVE_H

#include "nn/params.h"
#include "zoo/config.h"

typedef struct reel_folder_writer reel_folder_writer;

/* Begins a folder at path, where nothing may be yet (REEL_E_ARG). The caller closes *writer
 * whatever happens. */
REEL_MUST_USE reel_status reel_folder_writer_open(reel_env *env, const char *path,
                                                  reel_folder_writer **writer);
/* Bytes of weights a file may hold before the next one is begun; 5e9 unless set. */
void reel_folder_writer_set_shard_bytes(reel_folder_writer *writer, int64_t bytes);

/* Adds a part with its configuration and the store's weights, as f32 or bf16. */
REEL_MUST_USE reel_status reel_folder_writer_component(reel_folder_writer *writer,
                                                       const reel_component_config *config,
                                                       reel_params *params, reel_dtype dtype);
/* Adds a part whose weights are drawn as reel_params_initialise draws them. */
REEL_MUST_USE reel_status reel_folder_writer_random(reel_folder_writer *writer,
                                                    const reel_component_config *config,
                                                    reel_dtype dtype, uint64_t seed);
/* Copies a sentencepiece model to tokenizer/spiece.model. */
REEL_MUST_USE reel_status reel_folder_writer_tokenizer(reel_folder_writer *writer,
                                                       const char *file);
REEL_MUST_USE reel_status reel_folder_writer_scheduler(reel_folder_writer *writer,
                                                       const reel_scheduler_config *config);

/* Writes model_index.json and gives the folder its name. like: pipeline and expand_timesteps are
 * taken from it; NULL: a text-to-video pipeline. To be called once. */
REEL_MUST_USE reel_status reel_folder_writer_commit(reel_folder_writer *writer,
                                                    const reel_model_index *like);
/* Frees *writer and nulls it; NULL-safe. Without a successful commit nothing is left. */
void reel_folder_writer_close(reel_folder_writer **writer);

#endif
