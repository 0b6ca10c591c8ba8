/* Wan's VAE at work: clips through it piece by piece, in memory that does not depend on how many
 * frames they have.
 *
 * A stream holds one recorded piece of one size, its plan, and the caches that lead from piece to
 * piece. Frames are given and taken as f32; the models' own latents are hidden: what goes in and
 * comes out is normalised by the config's latents_mean and latents_std.
 *
 * A frame too large for the memory there is can be cut into overlapping tiles, each of which runs
 * through the clip by itself; where tiles overlap they are faded into each other linearly (as
 * diffusers' tiled_decode and tiled_encode do, but for the corners where four tiles meet: here the
 * weight is the product of those along both edges). Tiles are pictures of their own, with a border
 * of their own: what they add up to is close to the whole frame.
 *
 * A decoder may cut frames into bands instead, which give the same pixels as the whole: what a band
 * needs of its neighbours it computes once more. The clip's frames come when its last band is made.
 *
 * Letters: z latent channels; f h w latent grid, F H W pixels.
 */
#ifndef REEL_MODELS_WAN_VAE_STREAM_H
#define REEL_MODELS_WAN_VAE_STREAM_H

#include "models/wan/vae.h"

typedef struct reel_wan_vae_stream reel_wan_vae_stream;

typedef struct reel_wan_vae_stream_options {
    reel_params *params;            /* borrowed while the stream lives; f32 or bf16 */
    const reel_kernel_table *table; /* likewise */
    reel_dtype compute;             /* f32 or bf16 */
    int64_t height, width;          /* of a frame in pixels: multiples of factor_s */
    /* The edges of a tile and the way from one to the next, in pixels: multiples of factor_s, the
     * stride at most the tile. 0: the frame in one piece along that edge. */
    int64_t tile_height, tile_width, stride_height, stride_width;
    /* A decoder's bands along the longer edge, each at least a latent wide: 2 or more; else the
     * frame in one piece. Not with tiles. */
    int64_t n_bands;
    /* Of a run in bands: told after each piece which share of the work is done; NULL: nobody.
     * Anything but REEL_OK ends the run with that status. */
    reel_status (*tick)(void *context, double done);
    void *tick_context;
    bool raw;            /* latents as the model has them, not normalised */
    int64_t single_from; /* as in reel_wan_vae_caches; 0: where it pays, in bands sooner */
} reel_wan_vae_stream_options;

/* What a stream holds while it runs. */
typedef struct reel_wan_vae_stream_stats {
    int64_t cache_bytes;  /* what is carried from piece to piece, of one tile or band */
    int64_t plan_bytes;   /* everything else of a piece */
    int64_t canvas_bytes; /* of a frame of pixels, kept until its tiles or bands are all there */
    int64_t store_bytes;  /* of a latent frame, kept for the bands */
    int64_t middle_bytes; /* what is held before the bands' turn, without the store */
    int64_t n_tiles, n_bands; /* 1: none */
    double flops;             /* of a piece after the first, of one tile or of all bands */
} reel_wan_vae_stream_stats;

/* Opens a stream that decodes, or encodes. Fails with REEL_E_ARG or REEL_E_SHAPE when sizes do not
 * fit, and as recording and planning do. The caller closes it. */
REEL_MUST_USE reel_status reel_wan_vae_decoder_open(reel_env *env,
                                                    const reel_wan_vae_config *config,
                                                    const reel_wan_vae_stream_options *options,
                                                    reel_wan_vae_stream **stream);
REEL_MUST_USE reel_status reel_wan_vae_encoder_open(reel_env *env,
                                                    const reel_wan_vae_config *config,
                                                    const reel_wan_vae_stream_options *options,
                                                    reel_wan_vae_stream **stream);
void reel_wan_vae_stream_close(reel_wan_vae_stream **stream);

reel_wan_vae_stream_stats reel_wan_vae_stream_get_stats(const reel_wan_vae_stream *stream);

/* The most memory that a run over f latent frames holds at once, beside weights and latents. */
int64_t reel_wan_vae_stream_peak(const reel_wan_vae_stream *stream, int64_t f);

/* ---- piece by piece, without tiles and bands ---- */

/* The next piece is the first of a clip. A stream is opened there. */
void reel_wan_vae_stream_begin(reel_wan_vae_stream *stream);

/* One latent frame: element (c,y,x) is latent[c * stride + y * w + x] -> *n frames of pixels
 * [n,H,W,3] in [-1,1]: 1 of the first piece, factor_t of those after; pixels has room for factor_t.
 */
REEL_MUST_USE reel_status reel_wan_vae_decoder_push(reel_wan_vae_stream *stream,
                                                    const float *latent, int64_t stride,
                                                    float *pixels, int64_t *n);

/* The next frames of a clip [n,H,W,3] in [-1,1], 1 in the first piece and factor_t after -> one
 * latent frame's mean and (unless NULL) logvar, laid out as in decoder_push. logvar is clamped to
 * [-30,20] before it is normalised. */
REEL_MUST_USE reel_status reel_wan_vae_encoder_push(reel_wan_vae_stream *stream,
                                                    const float *pixels, float *mean, float *logvar,
                                                    int64_t stride);

/* ---- whole clips ---- */

/* Takes frames [first, first + n) as [n,H,W,3] in [-1,1]; anything but REEL_OK ends the run with
 * that status. */
typedef reel_status reel_wan_vae_write(void *context, int64_t first, int64_t n,
                                       const float *pixels);
/* Fills in frames [first, first + n) likewise; with tiles, once for each tile. */
typedef reel_status reel_wan_vae_read(void *context, int64_t first, int64_t n, float *pixels);

/* latents [z,f,h,w] -> 1 + (f - 1) factor_t frames, handed out in order. Those of bands have the
 * 256 levels of bytes, rounded half up, as they were kept. */
REEL_MUST_USE reel_status reel_wan_vae_decoder_run(reel_wan_vae_stream *stream,
                                                   const float *latents, int64_t f,
                                                   reel_wan_vae_write *write, void *context);

/* 1 + (f - 1) factor_t frames -> mean [z,f,h,w] and, unless NULL, logvar likewise. */
REEL_MUST_USE reel_status reel_wan_vae_encoder_run(reel_wan_vae_stream *stream,
                                                   reel_wan_vae_read *read, void *context,
                                                   int64_t f, float *mean, float *logvar);

#endif
