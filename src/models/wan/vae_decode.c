#include <string.h>

#include "models/wan/vae_layers.h"
#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/grid.h"
#include "ops/layout.h"
#include "ops/slice.h"

enum { FRAMES = REEL_VAE_FRAMES, CHANNELS = REEL_VAE_CHANNELS };

static const reel_vae_motion over_frames = {{3, 1, 1}, {1, 1, 1}, {2, 0, 0}, {0, 0, 0}};
static const reel_vae_motion plane = {{1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}};

/* ---- up ---- */

/* Two frames from each of x: [B,F,h,w,C] -> [B,2F,h,w,C]. The first frame of a clip passes through
 * and is not seen by those that follow: for them, what came before is zero. */
static reel_var double_frames(reel_nn *nn, const reel_vae_context *c, reel_var x) {
    reel_tape *t = nn->tape;
    const int64_t C = reel_vae_size(nn, x, CHANNELS), F = reel_vae_size(nn, x, FRAMES);
    reel_var parts[2] = {0, x};
    if (c->first) {
        if (F == 1) {
            reel_vae_unused_conv(nn, "time_conv", C, 2 * C, &over_frames);
            reel_vae_carry(nn, c, 0, 0);
            return x;
        }
        reel_split(t, x, FRAMES, (const int64_t[]){1, F - 1}, 2, parts);
    }
    const reel_fold_attr fold = {
        .patch = {2, 1, 1}, .order = REEL_FOLD_THWC, .layout = REEL_GRID_CHANNELS_LAST};
    x = reel_vae_conv(nn, c, "time_conv", parts[1], 2 * C, &over_frames,
                      reel_vae_dtype(nn, C));    /* [B,F,h,w,2C] */
    parts[1] = reel_depth_to_space(t, &fold, x); /* [B,2F,h,w,C] */
    return c->first ? reel_concat(t, parts, 2, FRAMES) : parts[1];
}

/* Twice the height and width, and twice the frames: [B,f,h,w,C] -> [B,F,H,W,O] */
static reel_var upsample(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O,
                         bool temporal) {
    const reel_upsample_attr twice = {.factor = {1, 2, 2}, .layout = REEL_GRID_CHANNELS_LAST};
    if (temporal) x = double_frames(nn, c, x);
    const int64_t n = reel_vae_size(nn, x, FRAMES);
    reel_var frame[REEL_WAN_VAE_AT_ONCE] = {x};
    const bool alone =
        reel_vae_one_by_one(c, n, 4 * reel_vae_size(nn, x, 2) * reel_vae_size(nn, x, 3) * O);
    if (alone) reel_vae_frames(nn, x, n, frame);
    for (int i = 0; i < (alone ? n : 1); i++) {
        frame[i] = reel_upsample(nn->tape, &twice, frame[i]);
        frame[i] = reel_vae_conv(nn, c, "resample.1", frame[i], O, &plane, reel_vae_dtype(nn, O));
    }
    return alone ? reel_concat(nn->tape, frame, (int)n, FRAMES) : frame[0];
}

/* Channels repeated until they fill patches: [B,f,h,w,C] -> [B,f ft,2h,2w,O]. Of the first latent
 * of a clip only the last frame is kept. */
static reel_var repeat_up(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O,
                          int32_t ft) {
    reel_tape *t = nn->tape;
    const reel_shape s = reel_tape_value(t, x)->shape;
    const int64_t n = O * ft * 4 / s.dim[4];
    if (n > 1) {
        reel_shape wide = {.rank = 6};
        memcpy(wide.dim, s.dim, sizeof wide.dim);
        wide.dim[5] = 1;
        x = reel_reshape(t, x, wide); /* [B,f,h,w,C,1] */
        wide.dim[5] = n;
        x = reel_broadcast_to(t, x, wide, reel_tape_value(t, x)->dtype);
        x = reel_reshape(t, x, REEL_SHAPE(s.dim[0], s.dim[1], s.dim[2], s.dim[3], n * s.dim[4]));
    }
    const reel_fold_attr fold = {.patch = {ft, 2, 2}, .layout = REEL_GRID_CHANNELS_LAST};
    x = reel_depth_to_space(t, &fold, x); /* [B,f ft,2h,2w,O] */
    return c->first ? reel_slice(t, x, FRAMES, ft - 1, s.dim[1] * ft - (ft - 1)) : x;
}

/* [B,f,h,w,C] -> [B,F,H,W,O], of the next level's width in the first generation */
static reel_var up_block(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O, int level) {
    const reel_wan_vae_config *g = c->config;
    const int last = (int)g->n_levels - 1;
    const bool temporal = level < last && g->temperal_downsample[last - 1 - level];
    reel_nn_begin(nn, "up_blocks.%d", level);
    reel_var h = reel_vae_resnets(nn, c, x, O, g->num_res_blocks + 1); /* [B,f,h,w,O] */
    if (level < last) {
        reel_nn_begin(nn, g->is_residual ? "upsampler" : "upsamplers.0");
        h = upsample(nn, c, h, g->is_residual ? O : O / 2, temporal); /* [B,F,H,W,*] */
        reel_nn_end(nn);
        if (g->is_residual) h = reel_add(nn->tape, h, repeat_up(nn, c, x, O, temporal ? 2 : 1));
    }
    reel_nn_end(nn);
    return h;
}

/* The decoder from a level on: [B,f,h,w,C] -> patches [B,F,H/p,W/p,out] f32 */
static reel_var levels_from(reel_nn *nn, const reel_vae_context *c, reel_var x, int level) {
    const reel_wan_vae_config *g = c->config;
    const int64_t dim = g->decoder_base_dim ? g->decoder_base_dim : g->base_dim;
    const int last = (int)g->n_levels - 1;
    const int64_t n = reel_vae_size(nn, x, FRAMES);
    const int64_t elements =
        reel_vae_size(nn, x, 2) * reel_vae_size(nn, x, 3) * reel_vae_size(nn, x, CHANNELS);
    if (!c->single && reel_vae_one_by_one(c, n, elements)) {
        reel_var frame[REEL_WAN_VAE_AT_ONCE];
        reel_vae_context single = *c;
        single.single = true;
        const int first_cache = c->caches->next;
        reel_vae_frames(nn, x, n, frame);
        for (int64_t i = 0; i < n; i++) {
            c->caches->next = first_cache;
            frame[i] = levels_from(nn, &single, frame[i], level);
        }
        return reel_concat(nn->tape, frame, (int)n, FRAMES);
    }
    x = up_block(nn, c, x, dim * g->dim_mult[last - level], level);
    if (level < last) return levels_from(nn, c, x, level + 1);
    x = reel_vae_norm_silu(nn, "norm_out", x);
    return reel_vae_conv(nn, c, "conv_out", x, g->out_channels, &reel_vae_causal, REEL_F32);
}

/* [B,f,h,w,z] -> patches [B,F,H/p,W/p,out] f32 */
static reel_var decoder(reel_nn *nn, const reel_vae_context *c, reel_var x) {
    const reel_wan_vae_config *g = c->config;
    const int64_t dim = g->decoder_base_dim ? g->decoder_base_dim : g->base_dim;
    const int last = (int)g->n_levels - 1;
    reel_nn_begin(nn, "decoder");
    const int64_t C = dim * g->dim_mult[last];
    x = reel_vae_conv(nn, c, "conv_in", x, C, &reel_vae_causal, reel_vae_dtype(nn, C));
    x = reel_vae_mid_block(nn, c, x);
    x = levels_from(nn, c, x, 0);
    reel_nn_end(nn);
    return x;
}

/* z [B,f,h,w,z] -> [B,F,H,W,3]. Of a clip's first patches the last frame is kept. */
static reel_var linear_picture(reel_nn *nn, const reel_vae_context *c, reel_var z) {
    const reel_wan_vae_config *g = c->config;
    const reel_fold_attr fold = reel_vae_linear_patches(g);
    const int64_t p = g->patch_size, t = fold.patch[0], s = fold.patch[1];
    const int64_t P = t * s * s * g->out_channels / (p * p);
    reel_var x = reel_vae_point_conv(nn, "linear_decoder", z, P, 3, REEL_F32); /* [B,f,h,w,P] */
    x = reel_depth_to_space(nn->tape, &fold, x);                               /* [B,f t,H,W,3] */
    return c->first ? reel_slice(nn->tape, x, FRAMES, t - 1, reel_vae_size(nn, x, FRAMES) - (t - 1))
                    : x;
}

/* ---- the model ---- */

reel_var reel_wan_vae_decode_piece(reel_nn *nn, const reel_wan_vae_config *g, reel_var z,
                                   reel_wan_vae_piece piece, reel_wan_vae_caches *caches) {
    const reel_vae_context c = {
        .config = g, .caches = caches, .first = piece == REEL_WAN_VAE_FIRST};
    reel_vae_begin(caches);
    if (!reel_vae_fits(nn, g, z, "z", (const int64_t[]){g->z_dim, 1, 1}, piece)) return 0;
    const reel_fold_attr fold = reel_vae_patches(g);
    reel_var x =
        reel_vae_point_conv(nn, "post_quant_conv", z, g->z_dim, 3, REEL_F32); /* [B,f,h,w,z] */
    x = decoder(nn, &c, x);                                             /* [B,F,H/p,W/p,out] */
    if (g->patch_size > 1) x = reel_depth_to_space(nn->tape, &fold, x); /* [B,F,H,W,3] */
    return g->linear_path ? reel_add(nn->tape, x, linear_picture(nn, &c, z)) : x;
}
