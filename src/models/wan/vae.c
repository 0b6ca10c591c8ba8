#include "models/wan/vae.h"

#include "models/wan/vae_layers.h"
#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/grid.h"
#include "ops/layout.h"
#include "ops/permute.h"
#include "ops/slice.h"

enum { FRAMES = REEL_VAE_FRAMES, CHANNELS = REEL_VAE_CHANNELS };

static const reel_vae_motion frame_pairs = {{3, 1, 1}, {2, 1, 1}, {0, 0, 0}, {0, 0, 0}};
static const reel_vae_motion half_plane = {{1, 3, 3}, {1, 2, 2}, {0, 0, 0}, {0, 1, 1}};

/* ---- down ---- */

/* Every second frame from frames of x and the one before: [B,2n,h,w,C] -> [B,n,h,w,C]. The first
 * frame of a clip passes through and is the one before for what follows. */
static reel_var halve_frames(reel_nn *nn, const reel_vae_context *c, reel_var x) {
    const int64_t C = reel_vae_size(nn, x, CHANNELS), F = reel_vae_size(nn, x, FRAMES);
    if (!c->first)
        return reel_vae_conv(nn, c, "time_conv", x, C, &frame_pairs, reel_vae_dtype(nn, C));
    if (F > 1) {
        const reel_var parts[2] = {
            reel_slice(nn->tape, x, FRAMES, 0, 1),
            reel_vae_conv(nn, c, "time_conv", x, C, &frame_pairs, reel_vae_dtype(nn, C))};
        return reel_concat(nn->tape, parts, 2, FRAMES);
    }
    reel_vae_unused_conv(nn, "time_conv", C, C, &frame_pairs);
    reel_vae_carry(nn, c, 0, x);
    return x;
}

/* Half the height and width, and half the frames: [B,F,H,W,C] -> [B,f,h,w,C] */
static reel_var downsample(reel_nn *nn, const reel_vae_context *c, reel_var x, bool temporal) {
    const int64_t C = reel_vae_size(nn, x, CHANNELS);
    x = reel_vae_conv(nn, c, "resample.1", x, C, &half_plane, reel_vae_dtype(nn, C));
    return temporal ? halve_frames(nn, c, x) : x;
}

/* Patches of x averaged in groups of channels: [B,F,H,W,C] -> [B,F/ft,H/fs,W/fs,O]. A first piece
 * has one frame too few, which is zero and in front. */
static reel_var average_down(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O,
                             int32_t ft, int32_t fs) {
    reel_tape *t = nn->tape;
    if (c->first && ft > 1) x = reel_pad(t, x, (reel_pad_attr){.before = {0, ft - 1}});
    const reel_fold_attr fold = {.patch = {ft, fs, fs}, .layout = REEL_GRID_CHANNELS_LAST};
    if (ft * fs > 1) x = reel_space_to_depth(t, &fold, x); /* [B,f,h,w,C ft fs fs] */
    const reel_shape s = reel_tape_value(t, x)->shape;
    if (s.dim[4] == O) return x;
    x = reel_reshape(t, x, REEL_SHAPE(s.dim[0], s.dim[1], s.dim[2], s.dim[3], O, s.dim[4] / O));
    return reel_cast(t, reel_mean(t, x, 1 << 5, REEL_DROP_AXES), reel_vae_dtype(nn, O));
}

/* A level of the second generation: [B,F,H,W,C] -> [B,f,h,w,O] */
static reel_var residual_down(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O,
                              int level) {
    const bool down = level < c->config->n_levels - 1;
    const bool temporal = down && c->config->temperal_downsample[level];
    reel_nn_begin(nn, "down_blocks.%d", level);
    reel_var h = reel_vae_resnets(nn, c, x, O, c->config->num_res_blocks); /* [B,F,H,W,O] */
    if (down) {
        reel_nn_begin(nn, "downsampler");
        h = downsample(nn, c, h, temporal); /* [B,f,h,w,O] */
        reel_nn_end(nn);
    }
    x = average_down(nn, c, x, O, temporal ? 2 : 1, down ? 2 : 1);
    h = reel_add(nn->tape, h, x);
    reel_nn_end(nn);
    return h;
}

/* A level of the first generation, whose parts are numbered through: *n is the next one's. */
static reel_var plain_down(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O, int level,
                           int *n) {
    for (int64_t i = 0; i < c->config->num_res_blocks; i++) {
        reel_nn_begin(nn, "down_blocks.%d", (*n)++);
        x = reel_vae_resnet(nn, c, x, O); /* [B,F,H,W,O] */
        reel_nn_end(nn);
    }
    if (level == c->config->n_levels - 1) return x;
    reel_nn_begin(nn, "down_blocks.%d", (*n)++);
    x = downsample(nn, c, x, c->config->temperal_downsample[level]); /* [B,f,h,w,O] */
    reel_nn_end(nn);
    return x;
}

/* Patches [B,F,H/p,W/p,in] -> [B,f,h,w,2z] f32 */
static reel_var encoder(reel_nn *nn, const reel_vae_context *c, reel_var x) {
    const reel_wan_vae_config *g = c->config;
    int n = 0;
    reel_nn_begin(nn, "encoder");
    x = reel_vae_conv(nn, c, "conv_in", x, g->base_dim, &reel_vae_causal,
                      reel_vae_dtype(nn, g->base_dim));
    for (int i = 0; i < g->n_levels; i++) {
        const int64_t O = g->base_dim * g->dim_mult[i];
        x = g->is_residual ? residual_down(nn, c, x, O, i) : plain_down(nn, c, x, O, i, &n);
    }
    x = reel_vae_mid_block(nn, c, x);
    x = reel_vae_norm_silu(nn, "norm_out", x);
    x = reel_vae_conv(nn, c, "conv_out", x, 2 * g->z_dim, &reel_vae_causal, REEL_F32);
    reel_nn_end(nn);
    return x;
}

/* ---- the linear path ---- */

/* x [B,F,H,W,3] -> [B,f,h,w,z]. The first frame of a clip fills its patches by standing still. */
static reel_var linear_code(reel_nn *nn, const reel_vae_context *c, reel_var x) {
    const reel_fold_attr fold = reel_vae_linear_patches(c->config);
    const reel_pad_attr still = {.before = {0, fold.patch[0] - 1}, .mode = REEL_PAD_REPLICATE};
    if (c->first && fold.patch[0] > 1) x = reel_pad(nn->tape, x, still);
    x = reel_space_to_depth(nn->tape, &fold, x);
    return reel_vae_point_conv(nn, "linear_encoder", x, c->config->z_dim, 3, REEL_F32);
}

/* The mean, the first half of moments [B,f,h,w,2z], with the linear code of x. */
static reel_var add_linear_code(reel_nn *nn, const reel_vae_context *c, reel_var moments,
                                reel_var x) {
    reel_var parts[2];
    reel_split_evenly(nn->tape, moments, CHANNELS, 2, parts);
    parts[0] = reel_add(nn->tape, parts[0], linear_code(nn, c, x));
    return reel_concat(nn->tape, parts, 2, CHANNELS);
}

/* Whether a parameter that nothing trains is zero throughout. */
static bool is_zero(reel_nn *nn, const char *name) {
    const reel_param *p = reel_params_find(nn->params, name);
    if (!p || !p->data || !p->frozen || reel_dtype_bytes(p->dtype) == 0) return false;
    const uint8_t *byte = p->data;
    const int64_t n = reel_shape_count(&p->shape) * reel_dtype_bytes(p->dtype);
    for (int64_t i = 0; i < n; i++)
        if (byte[i]) return false;
    return true;
}

/* An encoder whose last layer has not learned anything yet says nothing beside the linear path, so
 * nothing of it is computed. Its parameters are known by name at the root alone. */
static bool is_silent(reel_nn *nn, const reel_wan_vae_config *g) {
    return g->linear_path && !nn->name[0] && is_zero(nn, "quant_conv.weight") &&
           is_zero(nn, "quant_conv.bias");
}

/* [B,f,h,w,2z]: the linear code, and a log variance of 0. */
static reel_var linear_moments(reel_nn *nn, const reel_vae_context *c, reel_var x) {
    const reel_pad_attr zeros = {.after = {[CHANNELS] = (int32_t)c->config->z_dim}};
    return reel_pad(nn->tape, linear_code(nn, c, x), zeros);
}

/* ---- the model ---- */

reel_var reel_wan_vae_encode_piece(reel_nn *nn, const reel_wan_vae_config *g, reel_var x,
                                   reel_wan_vae_piece piece, reel_wan_vae_caches *caches) {
    const reel_vae_context c = {
        .config = g, .caches = caches, .first = piece == REEL_WAN_VAE_FIRST};
    const int64_t p = g->patch_size;
    reel_vae_begin(caches);
    const int64_t multiple[3] = {p > 0 ? g->in_channels / (p * p) : 0, reel_wan_vae_factor_t(g),
                                 reel_wan_vae_factor_s(g)};
    if (!reel_vae_fits(nn, g, x, "x", multiple, piece)) return 0;
    if (is_silent(nn, g)) return linear_moments(nn, &c, x);
    const reel_fold_attr fold = reel_vae_patches(g);
    reel_var h = p > 1 ? reel_space_to_depth(nn->tape, &fold, x) : x; /* [B,F,H/p,W/p,in] */
    h = encoder(nn, &c, h);                                           /* [B,f,h,w,2z] */
    h = reel_vae_point_conv(nn, "quant_conv", h, 2 * g->z_dim, 3, REEL_F32);
    return g->linear_path ? add_linear_code(nn, &c, h, x) : h;
}

/* Between [B,C,F,H,W] and [B,F,H,W,C]. */
static reel_var channels_last(reel_nn *nn, reel_var x) {
    return REEL_PERMUTE(nn->tape, x, 0, 2, 3, 4, 1);
}
static reel_var channels_first(reel_nn *nn, reel_var x) {
    return REEL_PERMUTE(nn->tape, x, 0, 4, 1, 2, 3);
}

reel_var reel_wan_vae_encode(reel_nn *nn, const reel_wan_vae_config *config, reel_var x,
                             reel_var *logvar) {
    x = channels_last(nn, x);
    x = reel_wan_vae_encode_piece(nn, config, x, REEL_WAN_VAE_FIRST, NULL); /* [B,f,h,w,2z] */
    reel_var parts[2];
    reel_split_evenly(nn->tape, channels_first(nn, x), 1, 2, parts);
    *logvar = parts[1];
    return parts[0];
}

reel_var reel_wan_vae_decode(reel_nn *nn, const reel_wan_vae_config *config, reel_var z) {
    z = channels_last(nn, z);
    z = reel_wan_vae_decode_piece(nn, config, z, REEL_WAN_VAE_FIRST, NULL); /* [B,F,H,W,3] */
    return channels_first(nn, z);
}
