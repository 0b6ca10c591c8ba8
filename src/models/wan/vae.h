/* Wan's video autoencoder: clips into latents and back, causal in time.
 *
 * Wan Team 2025, "Wan: open and advanced large-scale video generative models", section 4.1; the
 * class is diffusers' AutoencoderKLWan, whose config fields and parameter names are used here, in
 * both generations: 2.1 (8 x 8 pixels, 4 frames, 16 channels) and 2.2 (is_residual, patches).
 *
 * A clip has 1 + k factor_t frames, its latents 1 + k: the first frame stands alone, so an image
 * is a clip of one. Recorded whole (training) or piece by piece, which gives the same numbers:
 * what a convolution must remember of earlier frames is an explicit value, listed in a
 * reel_wan_vae_caches. models/wan/vae_stream.h drives that.
 *
 * Letters: z latent channels; f h w latent grid, F H W pixels.
 */
#ifndef REEL_MODELS_WAN_VAE_H
#define REEL_MODELS_WAN_VAE_H

#include "nn/module.h"

enum {
    REEL_WAN_VAE_LEVELS = 6,     /* most entries of dim_mult */
    REEL_WAN_VAE_CHANNELS = 256, /* most of z_dim */
    REEL_WAN_VAE_BLOCKS = 8,     /* most of num_res_blocks */
    /* a cache for each causal convolution: two a residual block, the ends, one a resampling */
    REEL_WAN_VAE_CACHES = REEL_WAN_VAE_LEVELS * (2 * (REEL_WAN_VAE_BLOCKS + 1) + 1) + 6,
    REEL_WAN_VAE_AT_ONCE = 16, /* most frames of a piece that are made one by one */
    REEL_WAN_VAE_BETWEEN = REEL_WAN_VAE_CACHES * (REEL_WAN_VAE_AT_ONCE - 1),
};

/* Field names of config.json. attn_scales must be empty there and dropout is not applied. */
typedef struct reel_wan_vae_config {
    int64_t base_dim;
    int64_t decoder_base_dim; /* 0 (null): base_dim */
    int64_t z_dim;
    int64_t n_levels; /* entries of dim_mult */
    int64_t dim_mult[REEL_WAN_VAE_LEVELS];
    int64_t num_res_blocks;
    bool temperal_downsample[REEL_WAN_VAE_LEVELS - 1]; /* n_levels - 1 entries; its spelling */
    bool is_residual;
    int64_t in_channels, out_channels; /* 3 patch_size^2 */
    int64_t patch_size;                /* 1 (null): none */
    int64_t scale_factor_temporal;     /* 0: not given, else what factor_t must be */
    int64_t scale_factor_spatial;      /* likewise */
    bool linear_path; /* reel's own: a linear code of patches beside the networks */
    float latents_mean[REEL_WAN_VAE_CHANNELS], latents_std[REEL_WAN_VAE_CHANNELS]; /* [z_dim] */
} reel_wan_vae_config;

/* Wan 2.1. */
reel_wan_vae_config reel_wan_vae_config_default(void);

/* Fails with REEL_E_ARG naming the field that is out of range or does not fit another. */
REEL_MUST_USE reel_status reel_wan_vae_config_check(reel_env *env,
                                                    const reel_wan_vae_config *config);

/* Frames a latent frame stands for (but the first, which stands for one), and pixels along an edge
 * of a latent. */
int64_t reel_wan_vae_factor_t(const reel_wan_vae_config *config);
int64_t reel_wan_vae_factor_s(const reel_wan_vae_config *config);

/* Latents as diffusion sees them: (z - latents_mean) / latents_std by channel, and back.
 * latent [z,n] in place, n positions of each channel. */
void reel_wan_vae_normalise(const reel_wan_vae_config *config, float *latent, int64_t n);
void reel_wan_vae_denormalise(const reel_wan_vae_config *config, float *latent, int64_t n);

/* Whether the parameter of that name is the decoder's; else it is the encoder's. */
bool reel_wan_vae_decodes(const char *parameter);

/* ---- whole clips ---- */

/* x [B,3,F,H,W] in [-1,1], F = 1 + k factor_t, H and W multiples of factor_s -> mean (returned)
 * and *logvar [B,z,f,h,w] f32, neither normalised nor clamped (diffusers clamps logvar to
 * [-30,20]). Fails the tape on misfit. */
reel_var reel_wan_vae_encode(reel_nn *nn, const reel_wan_vae_config *config, reel_var x,
                             reel_var *logvar);

/* z [B,z,f,h,w], not normalised -> [B,3,F,H,W] f32, not clamped to [-1,1]. */
reel_var reel_wan_vae_decode(reel_nn *nn, const reel_wan_vae_config *config, reel_var z);

/* ---- pieces ---- */

/* What has to be carried from one piece of a clip to the next: cache i is read as in[i] (0 in a
 * first piece) and written as out[i]. Both may be bound to the same memory: each piece reads a
 * cache before it writes it. out[i] is 0 where a piece leaves a cache as it is; all caches are to
 * be zero before a first piece.
 *
 * The large grids of a decoder's piece are made frame by frame, so that one frame is what its
 * temporaries take. Cache i then has values in between, too, each written after the one before it
 * has been read: to be bound to the same memory, or each would be a copy of its own. */
typedef struct reel_wan_vae_caches {
    int n;
    reel_var in[REEL_WAN_VAE_CACHES], out[REEL_WAN_VAE_CACHES];
    int n_between;
    reel_var between[REEL_WAN_VAE_BETWEEN];
    int between_of[REEL_WAN_VAE_BETWEEN]; /* cache */
    int next;                             /* while recording: the cache that comes next */
    int64_t single_from; /* set before recording: the elements of a frame from which on frames are
                          * made one by one; 0: where it pays */
} reel_wan_vae_caches;

/* Binds in[i], out[i] and what is between them to memory, where they are. */
void reel_wan_vae_cache_bind(reel_tape *tape, const reel_wan_vae_caches *caches, int i,
                             void *memory);

typedef enum reel_wan_vae_piece {
    REEL_WAN_VAE_FIRST, /* 1 + k factor_t frames, 1 + k latents */
    REEL_WAN_VAE_NEXT,  /* k factor_t frames, k latents */
} reel_wan_vae_piece;

/* Channels last: x [B,F,H,W,3] -> [B,f,h,w,2z] f32, mean and logvar; z [B,f,h,w,z] ->
 * [B,F,H,W,3] f32. caches NULL: the piece is all there is; else it is filled. The number and order
 * of caches depends on the config alone. */
reel_var reel_wan_vae_encode_piece(reel_nn *nn, const reel_wan_vae_config *config, reel_var x,
                                   reel_wan_vae_piece piece, reel_wan_vae_caches *caches);
reel_var reel_wan_vae_decode_piece(reel_nn *nn, const reel_wan_vae_config *config, reel_var z,
                                   reel_wan_vae_piece piece, reel_wan_vae_caches *caches);

/* ---- bands ---- */

/* A frame can be decoded in bands of rows or columns, each by itself, with the same pixels: behind
 * the middle block, whose attention sees all of a frame, nothing but convolutions looks around, and
 * they do not look far. A band takes so much more of the middle than it makes of the picture, and
 * uses it up layer by layer. */
typedef struct reel_wan_vae_band {
    int axis;           /* 0: rows, 1: columns */
    int64_t size;       /* of the frame along that axis, in latents */
    int64_t begin, end; /* what the band makes, in latents */
} reel_wan_vae_band;

/* The part [range[0], range[1]) of the middle that a band takes, in latents. */
void reel_wan_vae_band_range(const reel_wan_vae_config *config, const reel_wan_vae_band *band,
                             int64_t range[2]);

/* C of the middle. */
int64_t reel_wan_vae_middle_channels(const reel_wan_vae_config *config);

/* z [B,f,h,w,z] -> the decoder's middle [B,f,h,w,C], f32 or what is computed in. */
reel_var reel_wan_vae_decode_middle(reel_nn *nn, const reel_wan_vae_config *config, reel_var z,
                                    reel_wan_vae_piece piece, reel_wan_vae_caches *caches);

/* The range of the middle, and of z what the band makes, which only a linear path reads. */
typedef struct reel_wan_vae_band_in {
    reel_var middle, z;
} reel_wan_vae_band_in;

/* -> the band's part of [B,F,H,W,3] f32. Caches are those behind the middle. */
reel_var reel_wan_vae_decode_band(reel_nn *nn, const reel_wan_vae_config *config,
                                  const reel_wan_vae_band *band, const reel_wan_vae_band_in *in,
                                  reel_wan_vae_piece piece, reel_wan_vae_caches *caches);

#endif
