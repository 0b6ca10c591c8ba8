/* The decoder's turn: latents into a file, frame by frame.
 *
 * Each latent frame becomes up to four pictures, which go to the encoder and are forgotten: memory
 * does not depend on the length of the clip but for what bands and tiles keep of it.
 */
#ifndef REEL_PIPELINE_DECODE_H
#define REEL_PIPELINE_DECODE_H

#include "media/video_writer.h"
#include "models/wan/vae_stream.h"
#include "pipeline/preview.h"
#include "pipeline/streaming.h"

typedef struct reel_decode_options {
    const reel_wan_vae_config *config;
    reel_params *params;
    const reel_kernel_table *table;
    reel_dtype compute;
    int64_t width, height; /* pixels */
    int64_t f, h, w;       /* of the latents */
    /* As in reel_wan_vae_stream_options; tiles in pixels, height first, 0: the frame as a whole. */
    int64_t n_bands;
    int64_t tile[2], stride[2];
    double deblock; /* pipeline/deblock.h's share; 0: none */
    /* Takes each picture [H,W,3] u8 in the writer's place; NULL: the writer does. */
    reel_status (*frame)(void *context, int64_t index, const uint8_t *pixels);
    void *frame_context;
    /* Told after each piece how many frames there are, in bands as many as so much work is worth;
     * anything but REEL_OK ends the run. */
    reel_status (*progress)(void *context, int64_t frames);
    void *context;
} reel_decode_options;

/* Decodes latents [z,f,h,w], normalised, into a writer of width x height pixels. */
REEL_MUST_USE reel_status reel_decode(reel_env *env, const reel_decode_options *options,
                                      const float *latents, reel_video_writer *writer);

/* Fits a preview map to this decoder, by one small picture of sample latents. */
REEL_MUST_USE reel_status reel_decode_fit_preview(reel_env *env, const reel_decode_options *options,
                                                  reel_preview_map *map);

/* n values of [-1,1] as bytes: scaled, cut to 0..255, rounded half up; NaN becomes 0. */
void reel_decode_bytes(const float *x, int64_t n, uint8_t *bytes);

#endif
