/* Making a model that was never trained: a complete folder with random weights.
 *
 * For training from scratch, and for measuring at the real size of a model whose weights one does
 * not have. What goes into the folder is a blueprint: a preset's, another folder's, or a file's.
 */
#ifndef REEL_ZOO_CREATE_H
#define REEL_ZOO_CREATE_H

#include "zoo/folder.h"

typedef struct reel_blueprint {
    bool has[REEL_COMPONENT_COUNT];
    reel_component_config config[REEL_COMPONENT_COUNT];
    reel_scheduler_config scheduler;
    reel_model_index index; /* pipeline, expand_timesteps and boundary_ratio */
} reel_blueprint;

/* Names of the presets, ended by NULL: "wan2.1-t2v-1.3b", ... Static storage. */
const char *const *reel_presets(void);
/* The preset of that name; REEL_E_ARG listing them when there is none. */
REEL_MUST_USE reel_status reel_blueprint_preset(reel_env *env, const char *name,
                                                reel_blueprint *blueprint);
/* What a folder holds. */
REEL_MUST_USE reel_status reel_blueprint_folder(reel_env *env, const char *path,
                                                reel_blueprint *blueprint);
/* A JSON file: either one component's config.json, or an object of several,
 * {"transformer": {...}, "vae": {...}, "text_encoder": {...}, "scheduler": {...}}. */
REEL_MUST_USE reel_status reel_blueprint_file(reel_env *env, const char *path,
                                              reel_blueprint *blueprint);
/* Keeps only the parts in a list joined by commas, "transformer,vae"; REEL_E_ARG for an unknown one
 * and for one the blueprint has not. */
REEL_MUST_USE reel_status reel_blueprint_keep(reel_env *env, const char *parts,
                                              reel_blueprint *blueprint);

typedef struct reel_create_options {
    reel_dtype dtype;      /* f32 or bf16 */
    uint64_t seed;         /* every element depends on (seed, its tensor's name, its index) alone */
    const char *tokenizer; /* a sentencepiece model to be copied; NULL: none */
    int64_t shard_bytes;   /* 0: 5e9 */
} reel_create_options;

/* Writes the folder at path, where nothing may be yet; it appears whole, or not at all. */
REEL_MUST_USE reel_status reel_folder_create(reel_env *env, const char *path,
                                             const reel_blueprint *blueprint,
                                             const reel_create_options *options);

#endif
