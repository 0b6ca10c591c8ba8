/* Folders of small models that are read whole: config.json and model.safetensors.
 *
 * The judge and the depth head keep theirs so. What config.json says is each model's own; how both
 * files are written and how the weights come back is the same.
 */
#ifndef REEL_MODELS_SMALL_FOLDER_H
#define REEL_MODELS_SMALL_FOLDER_H

#include "base/json_out.h"
#include "nn/params.h"
#include "tensor/safetensors.h"

/* Writes config, a whole document, and all parameters; the folder is made. REEL_E_IO, REEL_E_NOMEM,
 * or what config failed with. */
REEL_MUST_USE reel_status reel_small_folder_save(reel_env *env, const char *folder,
                                                 reel_json_out *config, reel_params *params);

/* Maps the weights of a folder: frozen parameters in the file's memory, a store that takes no more.
 * The caller frees *params, then closes *file, whatever is returned: both are NULL before. */
REEL_MUST_USE reel_status reel_small_folder_weights(reel_env *env, const char *folder,
                                                    reel_safetensors **file, reel_params **params);

#endif
