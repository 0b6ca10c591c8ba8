/* What encoder and decoder of the VAE are made of. Included by the files of this model only.
 *
 * Letters as in models/wan/vae.h. All grids are channels last: [B,F,H,W,C].
 */
#ifndef REEL_MODELS_WAN_VAE_LAYERS_H
#define REEL_MODELS_WAN_VAE_LAYERS_H

#include "models/wan/vae.h"
#include "ops/grid.h"

enum { REEL_VAE_FRAMES = 1, REEL_VAE_CHANNELS = 4 }; /* axes */

/* What a band of a frame sees of its neighbours. A convolution at an edge of the frame finds zeros
 * behind it; at a cut it uses up a position of the halo instead. */
typedef struct reel_vae_edges {
    int axis;          /* of the grids: 2 or 3 */
    int64_t beyond[2]; /* positions of the frame before and behind those of the band */
    int64_t halo[2];   /* those of them that a grid holds at the moment; all of them: no cut */
} reel_vae_edges;

/* What every layer gets. */
typedef struct reel_vae_context {
    const reel_wan_vae_config *config;
    reel_wan_vae_caches *caches; /* NULL: nothing is carried on */
    bool first;                  /* nothing came before */
    reel_vae_edges *edges;       /* follows the layers; NULL: frames are whole */
} reel_vae_context;

/* How a convolution moves; axes t, h, w. */
typedef struct reel_vae_motion {
    int32_t kernel[3], stride[3], pad_lo[3], pad_hi[3];
} reel_vae_motion;

extern const reel_vae_motion reel_vae_causal; /* 3 x 3 x 3, back in time only */

int64_t reel_vae_size(reel_nn *nn, reel_var x, int axis);

/* What layers of C channels are computed in. */
reel_dtype reel_vae_dtype(const reel_nn *nn, int64_t C);

/* Whether a grid of `what` fits: frames, channels, and edges that divide. */
bool reel_vae_fits(reel_nn *nn, const reel_wan_vae_config *config, reel_var x, const char *what,
                   const int64_t multiple[3], reel_wan_vae_piece piece);

/* ---- pieces ---- */

/* Of a recording: no cache has been met yet. caches may be NULL. */
void reel_vae_begin(reel_wan_vae_caches *caches);

/* The next cache: what it is read as and what is left in it, 0 where there is nothing. */
void reel_vae_carry(reel_nn *nn, const reel_vae_context *c, reel_var in, reel_var out);

/* Whether n frames of so many elements are made one by one: temporaries of one frame are then all
 * there is, and a frame is large enough to pay for packing weights once more. */
bool reel_vae_one_by_one(const reel_vae_context *c, int64_t n, int64_t elements);

/* The n frames of x, one by one. */
void reel_vae_frames(reel_nn *nn, reel_var x, int64_t n, reel_var *frame);

/* ---- bands ---- */

/* Where the layers stand now, to be restored or to be cropped from. */
reel_vae_edges reel_vae_edges_now(const reel_vae_context *c);

/* Cuts off of x what its halo has more than the layers have now. */
reel_var reel_vae_crop(reel_nn *nn, const reel_vae_context *c, reel_var x,
                       const reel_vae_edges *from);

/* Cuts off of x, where the layers stand, what is more than `most` on each side. */
reel_var reel_vae_trim(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t most);

/* ---- layers and blocks ---- */

/* x [B,F,H,W,C] -> [B,f,h,w,O]. Frames that came before are looked up and carried on when the
 * motion reaches back. */
reel_var reel_vae_conv(reel_nn *nn, const reel_vae_context *c, const char *name, reel_var x,
                       int64_t O, const reel_vae_motion *m, reel_dtype out_dtype);

/* Asks for the parameters of a convolution that a clip of one frame has no use for, so that any
 * clip declares the whole model. */
void reel_vae_unused_conv(reel_nn *nn, const char *name, int64_t C, int64_t O,
                          const reel_vae_motion *m);

/* The convolution of single positions, whose weights have n_ones axes of 1 behind [O,C]: x [...,C]
 * -> [...,O] */
reel_var reel_vae_point_conv(reel_nn *nn, const char *name, reel_var x, int64_t O, int n_ones,
                             reel_dtype out_dtype);

reel_var reel_vae_norm_silu(reel_nn *nn, const char *name, reel_var x);

/* x [B,F,H,W,C] -> [B,F,H,W,O]; n of them. */
reel_var reel_vae_resnet(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O);
reel_var reel_vae_resnets(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O, int64_t n);

/* x [B,F,h,w,C] -> [B,F,h,w,C]; each frame attends to all of itself. */
reel_var reel_vae_mid_block(reel_nn *nn, const reel_vae_context *c, reel_var x);

/* ---- patches ---- */

/* Of the second generation's pixels, and of the linear path. */
reel_fold_attr reel_vae_patches(const reel_wan_vae_config *config);
reel_fold_attr reel_vae_linear_patches(const reel_wan_vae_config *config);

#endif
