/* A model folder of the Wan family, as people have it on disk.
 *
 * Two layouts are understood: diffusers' (model_index.json, transformer/, vae/, text_encoder/,
 * tokenizer/, scheduler/) and that of Wan's own repository (config.json and the transformer's
 * weights at the top, the other parts as single files). Opening reads the configurations only; the
 * weights of each part are opened, checked against its configuration and dropped one by one.
 */
#ifndef REEL_ZOO_FOLDER_H
#define REEL_ZOO_FOLDER_H

#include "zoo/component.h"

typedef struct reel_folder reel_folder;

/* Reads and checks every configuration of the folder at path. path may also be the file of a
 * transformer's weights, or their index, with its config.json beside it. REEL_E_IO, REEL_E_FORMAT
 * or REEL_E_UNSUPPORTED, naming the file. The caller closes *folder; components may outlive it. */
REEL_MUST_USE reel_status reel_folder_open(reel_env *env, const char *path, reel_folder **folder);
/* NULL-safe. */
void reel_folder_close(reel_folder **folder);

/* The path it was opened by. Borrowed, as everything below. */
const char *reel_folder_path(const reel_folder *folder);
/* Which parts there are, and how the model is used. */
const reel_model_index *reel_folder_index(const reel_folder *folder);
/* A part's configuration, NULL when the folder has no such part. An original image-conditioned
 * transformer's image_dim is known only once it is opened: see the component's own config. */
const reel_component_config *reel_folder_config(const reel_folder *folder,
                                                reel_component_kind kind);
/* Wan's default when the folder has none. */
const reel_scheduler_config *reel_folder_scheduler(const reel_folder *folder);
/* The path of spiece.model; NULL when there is none. */
const char *reel_folder_tokenizer(const reel_folder *folder);

/* Opens a part: its weights are mapped, checked and ready in component->params. REEL_E_ARG when the
 * folder has no such part; a pickle (.bin, .pt, .pth, .ckpt) in its place is REEL_E_UNSUPPORTED,
 * saying what to do instead. The caller closes *component. */
REEL_MUST_USE reel_status reel_folder_component(const reel_folder *folder, reel_component_kind kind,
                                                reel_weights_as as, reel_component **component);

#endif
