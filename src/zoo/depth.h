/* The depth head of a model folder: FOLDER/depth, which not every folder has.
 *
 * A head reads the latents of one encoder. Its configuration holds that encoder's key, so that a
 * head which was left behind by a retrained autoencoder is told, not believed.
 */
#ifndef REEL_ZOO_DEPTH_H
#define REEL_ZOO_DEPTH_H

#include "models/depth/depth.h"
#include "zoo/folder.h"

/* The key of the latents an autoencoder makes, as 16 hexadecimal digits: of its encoder's weights
 * as they are stored and of what latents are normalised by. Reads the encoder once. vae was opened
 * with REEL_WEIGHTS_STORED. */
void reel_latents_key(const reel_component *vae, char key[REEL_DEPTH_KEY]);

/* Whether the folder has a head. */
bool reel_folder_has_depth(const reel_folder *folder);

/* Opens the folder's head and compares it with the folder's autoencoder. REEL_E_UNSUPPORTED when
 * there is none, saying how one is made; REEL_E_FORMAT when it belongs to another autoencoder. The
 * caller closes *model. */
REEL_MUST_USE reel_status reel_folder_depth(reel_env *env, const reel_folder *folder,
                                            const reel_kernel_table *table,
                                            reel_depth_model **model);

#endif
