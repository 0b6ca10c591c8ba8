/* Decoding a clip in bands: the same pixels in a part of the memory.
 *
 * The decoder's middle is made of whole frames first, for all of the clip; then one band after the
 * other goes through the clip, with the caches of one band. Frames are whole when the last band has
 * come by; what the others have made of them is kept as bytes. Included by the files of this model
 * only; users set n_bands in reel_wan_vae_stream_options.
 */
#ifndef REEL_MODELS_WAN_VAE_BANDS_H
#define REEL_MODELS_WAN_VAE_BANDS_H

#include "models/wan/vae_stream.h"

typedef struct reel_vae_bands reel_vae_bands;

/* options->n_bands of them, of the longer edge. What they take is put into stats. Fails with
 * REEL_E_ARG when there are more bands than latents; the caller closes it. */
REEL_MUST_USE reel_status reel_vae_bands_open(reel_env *env, const reel_wan_vae_config *config,
                                              const reel_wan_vae_stream_options *options,
                                              reel_wan_vae_stream_stats *stats,
                                              reel_vae_bands **bands);
void reel_vae_bands_close(reel_vae_bands **bands);

/* As reel_wan_vae_decoder_run. */
REEL_MUST_USE reel_status reel_vae_bands_run(reel_vae_bands *bands, const float *latents, int64_t f,
                                             reel_wan_vae_write *write, void *context);

#endif
