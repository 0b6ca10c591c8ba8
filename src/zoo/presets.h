/* Configurations that are known without a file: what the folders of Wan's own repositories do not
 * say. */
#ifndef REEL_ZOO_PRESETS_H
#define REEL_ZOO_PRESETS_H

#include "zoo/config.h"

/* The autoencoder of Wan 2.2's 5B: 48 channels, 16 x 16 x 4. */
reel_wan_vae_config reel_wan22_vae_config(void);

#endif
