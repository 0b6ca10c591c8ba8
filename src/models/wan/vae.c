#include "models/wan/vae.h"

#include <string.h>

#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/grid.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/permute.h"
#include "ops/slice.h"

/* All grids are channels last: [B,F,H,W,C]. */
enum { FRAMES = 1, CHANNELS = 4 };

static const reel_init one = {REEL_INIT_ONE, 0};
static const reel_init zero = {REEL_INIT_ZERO, 0};
static const reel_init fan_in = {REEL_INIT_FAN_IN, 1};

/* What every layer gets. */
typedef struct context {
    const reel_wan_vae_config *config;
    reel_wan_vae_caches *caches; /* NULL: nothing is carried on */
    bool first;                  /* nothing came before */
    bool single;                 /* within a piece whose frames are made one by one */
} context;

static int64_t size(reel_nn *nn, reel_var x, int axis) {
    return reel_tape_value(nn->tape, x)->shape.dim[axis];
}

/* Layers of few channels are computed in f32: they do not fill the vectors of a bf16 product, and
 * rounding errors do not average out over them. In the real models that is the encoder's first. */
enum { WIDE = 16 };
static reel_dtype dtype_of(const reel_nn *nn, int64_t C) {
    return C < WIDE ? REEL_F32 : nn->compute;
}

/* ---- what is carried from piece to piece ---- */

/* The frames before x, n of them: an input of this piece, what an earlier frame of it has left, or
 * 0 when there are none. */
static reel_var cache_before(reel_nn *nn, const context *c, reel_var x, int64_t n) {
    if (!c->caches || c->first) return 0;
    if (c->caches->next < c->caches->n) return c->caches->out[c->caches->next];
    const reel_value *v = reel_tape_value(nn->tape, x);
    reel_shape shape = v->shape;
    shape.dim[FRAMES] = n;
    return reel_tape_input(nn->tape, v->dtype, shape, nn->name, NULL);
}

static void carry(reel_nn *nn, const context *c, reel_var in, reel_var out) {
    reel_wan_vae_caches *k = c->caches;
    if (!k || reel_tape_status(nn->tape) != REEL_OK) return;
    const int i = k->next++;
    if (i < k->n) { /* an earlier frame has come by here */
        k->between[k->n_between] = k->out[i];
        k->between_of[k->n_between++] = i;
    } else {
        k->in[i] = in;
        k->n = i + 1;
    }
    k->out[i] = out;
}

void reel_wan_vae_cache_bind(reel_tape *tape, const reel_wan_vae_caches *caches, int i,
                             void *memory) {
    if (caches->in[i]) reel_tape_bind(tape, caches->in[i], memory);
    if (caches->out[i]) reel_tape_bind(tape, caches->out[i], memory);
    for (int k = 0; k < caches->n_between; k++)
        if (caches->between_of[k] == i) reel_tape_bind(tape, caches->between[k], memory);
}

/* Whether n frames of so many elements are made one by one: temporaries of one frame are then all
 * there is, and a frame is large enough to pay for packing weights once more. */
static bool one_by_one(const context *c, int64_t n, int64_t elements) {
    enum { LARGE = 8 << 20 }; /* from half of 832 x 480 on; none of 256 x 256 */
    if (!c->caches || c->first || n < 2 || n > REEL_WAN_VAE_AT_ONCE) return false;
    return elements >= (c->caches->single_from ? c->caches->single_from : LARGE);
}

/* The n frames of x, one by one. */
static void frames_of(reel_nn *nn, reel_var x, int64_t n, reel_var *frame) {
    int64_t ones[REEL_WAN_VAE_AT_ONCE];
    for (int64_t i = 0; i < n; i++)
        ones[i] = 1;
    reel_split(nn->tape, x, FRAMES, ones, (int)n, frame);
}

/* ---- layers ---- */

/* How a convolution moves; axes t, h, w. */
typedef struct motion {
    int32_t kernel[3], stride[3], pad_lo[3], pad_hi[3];
} motion;
static const motion causal = {{3, 3, 3}, {1, 1, 1}, {2, 1, 1}, {0, 1, 1}};
static const motion over_frames = {{3, 1, 1}, {1, 1, 1}, {2, 0, 0}, {0, 0, 0}};
static const motion frame_pairs = {{3, 1, 1}, {2, 1, 1}, {0, 0, 0}, {0, 0, 0}};
static const motion plane = {{1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}};
static const motion half_plane = {{1, 3, 3}, {1, 2, 2}, {0, 0, 0}, {0, 1, 1}};

/* The weight [O,C,...], in the dtype that products over C channels are computed in. */
static reel_var weight(reel_nn *nn, reel_shape shape) {
    const reel_var w = reel_nn_param(nn, "weight", shape, fan_in);
    return reel_cast(nn->tape, w, dtype_of(nn, shape.dim[1]));
}

/* The weight of a convolution by a motion: [O,C,Kt,Kh,Kw], or [O,C,Kh,Kw] where Kt is 1. */
static reel_var kernel(reel_nn *nn, int64_t C, int64_t O, const motion *m) {
    const int32_t *k = m->kernel;
    return weight(nn,
                  k[0] == 1 ? REEL_SHAPE(O, C, k[1], k[2]) : REEL_SHAPE(O, C, k[0], k[1], k[2]));
}

/* Asks for the parameters of a convolution that a clip of one frame has no use for, so that any
 * clip declares the whole model. */
static void unused_conv(reel_nn *nn, const char *name, int64_t C, int64_t O, const motion *m) {
    reel_nn_begin(nn, "%s", name);
    kernel(nn, C, O, m);
    reel_nn_param(nn, "bias", REEL_SHAPE(O), zero);
    reel_nn_end(nn);
}

/* x [B,F,H,W,C] -> [B,f,h,w,O]. Frames that came before are looked up and carried on
 * when the motion reaches back. */
static reel_var conv(reel_nn *nn, const context *c, const char *name, reel_var x, int64_t O,
                     const motion *m, reel_dtype out_dtype) {
    const int64_t C = size(nn, x, CHANNELS);
    const int32_t *k = m->kernel;
    reel_nn_begin(nn, "%s", name);
    x = reel_cast(nn->tape, x, dtype_of(nn, C));
    reel_var w = kernel(nn, C, O, m);
    w = reel_reshape(nn->tape, w, REEL_SHAPE(O, C, k[0], k[1], k[2]));
    const reel_var b = reel_nn_param(nn, "bias", REEL_SHAPE(O), zero);
    const bool carries = c->caches && k[0] > 1;
    const reel_var cache = k[0] > 1 ? cache_before(nn, c, x, k[0] - m->stride[0]) : 0;
    const reel_conv3d_attr attr = {.stride = {m->stride[0], m->stride[1], m->stride[2]},
                                   .pad_lo = {m->pad_lo[0], m->pad_lo[1], m->pad_lo[2]},
                                   .pad_hi = {m->pad_hi[0], m->pad_hi[1], m->pad_hi[2]},
                                   .layout = REEL_GRID_CHANNELS_LAST,
                                   .out_dtype = out_dtype,
                                   .carry = carries};
    const reel_var y = reel_conv3d(nn->tape, &attr, x, w, b, cache);
    if (carries) carry(nn, c, cache, y + 1);
    reel_nn_end(nn);
    return y;
}

/* The convolution of single positions, whose weights have n_ones axes of 1 behind [O,C]: x [...,C]
 * -> [...,O] */
static reel_var point_conv(reel_nn *nn, const char *name, reel_var x, int64_t O, int n_ones,
                           reel_dtype out_dtype) {
    const int64_t C = reel_shape_last(&reel_tape_value(nn->tape, x)->shape);
    reel_nn_begin(nn, "%s", name);
    x = reel_cast(nn->tape, x, dtype_of(nn, C));
    reel_var w = weight(nn, n_ones == 2 ? REEL_SHAPE(O, C, 1, 1) : REEL_SHAPE(O, C, 1, 1, 1));
    w = reel_reshape(nn->tape, w, REEL_SHAPE(O, C));
    const reel_var b = reel_nn_param(nn, "bias", REEL_SHAPE(O), zero);
    const reel_var y = reel_linear(nn->tape, x, w, b, REEL_ACT_NONE, out_dtype);
    reel_nn_end(nn);
    return y;
}

/* x / |x| sqrt(C) gamma over the channels; gamma has n_ones axes of 1 behind [C]. */
static reel_var norm(reel_nn *nn, const char *name, reel_var x, int n_ones) {
    const int64_t C = size(nn, x, CHANNELS);
    const reel_norm_attr attr = {REEL_NORM_L2, 0, dtype_of(nn, C), 1e-12f};
    reel_nn_begin(nn, "%s", name);
    const reel_var gamma =
        reel_nn_param(nn, "gamma", n_ones == 2 ? REEL_SHAPE(C, 1, 1) : REEL_SHAPE(C, 1, 1, 1), one);
    const reel_var y = reel_norm(nn->tape, x, gamma, 0, &attr);
    reel_nn_end(nn);
    return y;
}

static reel_var norm_silu(reel_nn *nn, const char *name, reel_var x) {
    return reel_activate(nn->tape, norm(nn, name, x, 3), REEL_ACT_SILU);
}

/* ---- blocks ---- */

/* x [B,F,H,W,C] -> [B,F,H,W,O] */
static reel_var resnet(reel_nn *nn, const context *c, reel_var x, int64_t O) {
    reel_var h = x;
    if (size(nn, x, CHANNELS) != O)
        h = point_conv(nn, "conv_shortcut", x, O, 3, dtype_of(nn, O)); /* [B,F,H,W,O] */
    x = norm_silu(nn, "norm1", x);
    x = conv(nn, c, "conv1", x, O, &causal, dtype_of(nn, O)); /* [B,F,H,W,O] */
    x = norm_silu(nn, "norm2", x);
    x = conv(nn, c, "conv2", x, O, &causal, dtype_of(nn, O));
    return reel_add(nn->tape, x, h);
}

static reel_var resnets(reel_nn *nn, const context *c, reel_var x, int64_t O, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        reel_nn_begin(nn, "resnets.%d", (int)i);
        x = resnet(nn, c, x, O);
        reel_nn_end(nn);
    }
    return x;
}

/* One head of attention within each frame: x [B,F,h,w,C] -> [B,F,h,w,C] */
static reel_var attention(reel_nn *nn, reel_var x) {
    reel_tape *t = nn->tape;
    const reel_shape s = reel_tape_value(t, x)->shape;
    const int64_t n = s.dim[0] * s.dim[1], T = s.dim[2] * s.dim[3], C = s.dim[4];
    reel_var y = norm(nn, "norm", x, 2);
    y = point_conv(nn, "to_qkv", y, 3 * C, 2, dtype_of(nn, C)); /* [B,F,h,w,3C] */
    y = reel_reshape(t, y, REEL_SHAPE(n, T, 3, 1, C));          /* B F rows, one head */
    y = reel_attention(t, &(reel_attention_in){.qkv = y});      /* [BF,T,1,C] */
    y = point_conv(nn, "proj", reel_reshape(t, y, s), C, 2, dtype_of(nn, C)); /* [B,F,h,w,C] */
    return reel_add(t, y, x);
}

static reel_var mid_block(reel_nn *nn, const context *c, reel_var x) {
    const int64_t C = size(nn, x, CHANNELS);
    reel_nn_begin(nn, "mid_block");
    reel_nn_begin(nn, "resnets.0");
    x = resnet(nn, c, x, C);
    reel_nn_end(nn);
    reel_nn_begin(nn, "attentions.0");
    x = attention(nn, x);
    reel_nn_end(nn);
    reel_nn_begin(nn, "resnets.1");
    x = resnet(nn, c, x, C);
    reel_nn_end(nn);
    reel_nn_end(nn);
    return x;
}

/* ---- down ---- */

/* Every second frame from frames of x and the one before: [B,2n,h,w,C] -> [B,n,h,w,C]. The first
 * frame of a clip passes through and is the one before for what follows. */
static reel_var halve_frames(reel_nn *nn, const context *c, reel_var x) {
    const int64_t C = size(nn, x, CHANNELS), F = size(nn, x, FRAMES);
    if (!c->first) return conv(nn, c, "time_conv", x, C, &frame_pairs, dtype_of(nn, C));
    if (F > 1) {
        const reel_var parts[2] = {reel_slice(nn->tape, x, FRAMES, 0, 1),
                                   conv(nn, c, "time_conv", x, C, &frame_pairs, dtype_of(nn, C))};
        return reel_concat(nn->tape, parts, 2, FRAMES);
    }
    unused_conv(nn, "time_conv", C, C, &frame_pairs);
    carry(nn, c, 0, x);
    return x;
}

/* Half the height and width, and half the frames: [B,F,H,W,C] -> [B,f,h,w,C] */
static reel_var downsample(reel_nn *nn, const context *c, reel_var x, bool temporal) {
    const int64_t C = size(nn, x, CHANNELS);
    x = conv(nn, c, "resample.1", x, C, &half_plane, dtype_of(nn, C));
    return temporal ? halve_frames(nn, c, x) : x;
}

/* Patches of x averaged in groups of channels: [B,F,H,W,C] -> [B,F/ft,H/fs,W/fs,O]. A first piece
 * has one frame too few, which is zero and in front. */
static reel_var average_down(reel_nn *nn, const context *c, reel_var x, int64_t O, int32_t ft,
                             int32_t fs) {
    reel_tape *t = nn->tape;
    if (c->first && ft > 1) x = reel_pad(t, x, (reel_pad_attr){.before = {0, ft - 1}});
    const reel_fold_attr fold = {.patch = {ft, fs, fs}, .layout = REEL_GRID_CHANNELS_LAST};
    if (ft * fs > 1) x = reel_space_to_depth(t, &fold, x); /* [B,f,h,w,C ft fs fs] */
    const reel_shape s = reel_tape_value(t, x)->shape;
    if (s.dim[4] == O) return x;
    x = reel_reshape(t, x, REEL_SHAPE(s.dim[0], s.dim[1], s.dim[2], s.dim[3], O, s.dim[4] / O));
    return reel_cast(t, reel_mean(t, x, 1 << 5, REEL_DROP_AXES), dtype_of(nn, O));
}

/* A level of the second generation: [B,F,H,W,C] -> [B,f,h,w,O] */
static reel_var residual_down(reel_nn *nn, const context *c, reel_var x, int64_t O, int level) {
    const bool down = level < c->config->n_levels - 1;
    const bool temporal = down && c->config->temperal_downsample[level];
    reel_nn_begin(nn, "down_blocks.%d", level);
    reel_var h = resnets(nn, c, x, O, c->config->num_res_blocks); /* [B,F,H,W,O] */
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
static reel_var plain_down(reel_nn *nn, const context *c, reel_var x, int64_t O, int level,
                           int *n) {
    for (int64_t i = 0; i < c->config->num_res_blocks; i++) {
        reel_nn_begin(nn, "down_blocks.%d", (*n)++);
        x = resnet(nn, c, x, O); /* [B,F,H,W,O] */
        reel_nn_end(nn);
    }
    if (level == c->config->n_levels - 1) return x;
    reel_nn_begin(nn, "down_blocks.%d", (*n)++);
    x = downsample(nn, c, x, c->config->temperal_downsample[level]); /* [B,f,h,w,O] */
    reel_nn_end(nn);
    return x;
}

/* Patches [B,F,H/p,W/p,in] -> [B,f,h,w,2z] f32 */
static reel_var encoder(reel_nn *nn, const context *c, reel_var x) {
    const reel_wan_vae_config *g = c->config;
    int n = 0;
    reel_nn_begin(nn, "encoder");
    x = conv(nn, c, "conv_in", x, g->base_dim, &causal, dtype_of(nn, g->base_dim));
    for (int i = 0; i < g->n_levels; i++) {
        const int64_t O = g->base_dim * g->dim_mult[i];
        x = g->is_residual ? residual_down(nn, c, x, O, i) : plain_down(nn, c, x, O, i, &n);
    }
    x = mid_block(nn, c, x);
    x = norm_silu(nn, "norm_out", x);
    x = conv(nn, c, "conv_out", x, 2 * g->z_dim, &causal, REEL_F32);
    reel_nn_end(nn);
    return x;
}

/* ---- up ---- */

/* Two frames from each of x: [B,F,h,w,C] -> [B,2F,h,w,C]. The first frame of a clip passes through
 * and is not seen by those that follow: for them, what came before is zero. */
static reel_var double_frames(reel_nn *nn, const context *c, reel_var x) {
    reel_tape *t = nn->tape;
    const int64_t C = size(nn, x, CHANNELS), F = size(nn, x, FRAMES);
    reel_var parts[2] = {0, x};
    if (c->first) {
        if (F == 1) {
            unused_conv(nn, "time_conv", C, 2 * C, &over_frames);
            carry(nn, c, 0, 0);
            return x;
        }
        reel_split(t, x, FRAMES, (const int64_t[]){1, F - 1}, 2, parts);
    }
    const reel_fold_attr fold = {
        .patch = {2, 1, 1}, .order = REEL_FOLD_THWC, .layout = REEL_GRID_CHANNELS_LAST};
    x = conv(nn, c, "time_conv", parts[1], 2 * C, &over_frames, dtype_of(nn, C)); /* [B,F,h,w,2C] */
    parts[1] = reel_depth_to_space(t, &fold, x);                                  /* [B,2F,h,w,C] */
    return c->first ? reel_concat(t, parts, 2, FRAMES) : parts[1];
}

/* Twice the height and width, and twice the frames: [B,f,h,w,C] -> [B,F,H,W,O] */
static reel_var upsample(reel_nn *nn, const context *c, reel_var x, int64_t O, bool temporal) {
    const reel_upsample_attr twice = {.factor = {1, 2, 2}, .layout = REEL_GRID_CHANNELS_LAST};
    if (temporal) x = double_frames(nn, c, x);
    const int64_t n = size(nn, x, FRAMES);
    reel_var frame[REEL_WAN_VAE_AT_ONCE] = {x};
    const bool alone = one_by_one(c, n, 4 * size(nn, x, 2) * size(nn, x, 3) * O);
    if (alone) frames_of(nn, x, n, frame);
    for (int i = 0; i < (alone ? n : 1); i++) {
        frame[i] = reel_upsample(nn->tape, &twice, frame[i]);
        frame[i] = conv(nn, c, "resample.1", frame[i], O, &plane, dtype_of(nn, O));
    }
    return alone ? reel_concat(nn->tape, frame, (int)n, FRAMES) : frame[0];
}

/* Channels repeated until they fill patches: [B,f,h,w,C] -> [B,f ft,2h,2w,O]. Of the first latent
 * of a clip only the last frame is kept. */
static reel_var repeat_up(reel_nn *nn, const context *c, reel_var x, int64_t O, int32_t ft) {
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
static reel_var up_block(reel_nn *nn, const context *c, reel_var x, int64_t O, int level) {
    const reel_wan_vae_config *g = c->config;
    const int last = (int)g->n_levels - 1;
    const bool temporal = level < last && g->temperal_downsample[last - 1 - level];
    reel_nn_begin(nn, "up_blocks.%d", level);
    reel_var h = resnets(nn, c, x, O, g->num_res_blocks + 1); /* [B,f,h,w,O] */
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
static reel_var levels_from(reel_nn *nn, const context *c, reel_var x, int level) {
    const reel_wan_vae_config *g = c->config;
    const int64_t dim = g->decoder_base_dim ? g->decoder_base_dim : g->base_dim;
    const int last = (int)g->n_levels - 1;
    const int64_t n = size(nn, x, FRAMES);
    const int64_t elements = size(nn, x, 2) * size(nn, x, 3) * size(nn, x, CHANNELS);
    if (!c->single && one_by_one(c, n, elements)) {
        reel_var frame[REEL_WAN_VAE_AT_ONCE];
        context single = *c;
        single.single = true;
        const int first_cache = c->caches->next;
        frames_of(nn, x, n, frame);
        for (int64_t i = 0; i < n; i++) {
            c->caches->next = first_cache;
            frame[i] = levels_from(nn, &single, frame[i], level);
        }
        return reel_concat(nn->tape, frame, (int)n, FRAMES);
    }
    x = up_block(nn, c, x, dim * g->dim_mult[last - level], level);
    if (level < last) return levels_from(nn, c, x, level + 1);
    x = norm_silu(nn, "norm_out", x);
    return conv(nn, c, "conv_out", x, g->out_channels, &causal, REEL_F32);
}

/* [B,f,h,w,z] -> patches [B,F,H/p,W/p,out] f32 */
static reel_var decoder(reel_nn *nn, const context *c, reel_var x) {
    const reel_wan_vae_config *g = c->config;
    const int64_t dim = g->decoder_base_dim ? g->decoder_base_dim : g->base_dim;
    const int last = (int)g->n_levels - 1;
    reel_nn_begin(nn, "decoder");
    const int64_t C = dim * g->dim_mult[last];
    x = conv(nn, c, "conv_in", x, C, &causal, dtype_of(nn, C));
    x = mid_block(nn, c, x);
    x = levels_from(nn, c, x, 0);
    reel_nn_end(nn);
    return x;
}

/* ---- the linear path ---- */

/* Not Wan's. A linear code of patches beside the networks, which then have to learn only what such
 * a code leaves: a small model starts at the quality of its principal components. */
static reel_fold_attr linear_patches(const reel_wan_vae_config *g) {
    const int32_t t = (int32_t)reel_wan_vae_factor_t(g), s = (int32_t)reel_wan_vae_factor_s(g);
    return (reel_fold_attr){
        .patch = {t, s, s}, .order = REEL_FOLD_THWC, .layout = REEL_GRID_CHANNELS_LAST};
}

/* x [B,F,H,W,3] -> [B,f,h,w,z]. The first frame of a clip fills its patches by standing still. */
static reel_var linear_code(reel_nn *nn, const context *c, reel_var x) {
    const reel_fold_attr fold = linear_patches(c->config);
    const reel_pad_attr still = {.before = {0, fold.patch[0] - 1}, .mode = REEL_PAD_REPLICATE};
    if (c->first && fold.patch[0] > 1) x = reel_pad(nn->tape, x, still);
    x = reel_space_to_depth(nn->tape, &fold, x);
    return point_conv(nn, "linear_encoder", x, c->config->z_dim, 3, REEL_F32);
}

/* z [B,f,h,w,z] -> [B,F,H,W,3]. Of a clip's first patches the last frame is kept. */
static reel_var linear_picture(reel_nn *nn, const context *c, reel_var z) {
    const reel_wan_vae_config *g = c->config;
    const reel_fold_attr fold = linear_patches(g);
    const int64_t p = g->patch_size, t = fold.patch[0], s = fold.patch[1];
    const int64_t P = t * s * s * g->out_channels / (p * p);
    reel_var x = point_conv(nn, "linear_decoder", z, P, 3, REEL_F32); /* [B,f,h,w,P] */
    x = reel_depth_to_space(nn->tape, &fold, x);                      /* [B,f t,H,W,3] */
    return c->first ? reel_slice(nn->tape, x, FRAMES, t - 1, size(nn, x, FRAMES) - (t - 1)) : x;
}

/* The mean, the first half of moments [B,f,h,w,2z], with the linear code of x. */
static reel_var add_linear_code(reel_nn *nn, const context *c, reel_var moments, reel_var x) {
    reel_var parts[2];
    reel_split_evenly(nn->tape, moments, CHANNELS, 2, parts);
    parts[0] = reel_add(nn->tape, parts[0], linear_code(nn, c, x));
    return reel_concat(nn->tape, parts, 2, CHANNELS);
}

/* ---- the model ---- */

static reel_fold_attr patches(const reel_wan_vae_config *g) {
    const int32_t p = (int32_t)g->patch_size;
    return (reel_fold_attr){
        .patch = {1, p, p}, .order = REEL_FOLD_CTWH, .layout = REEL_GRID_CHANNELS_LAST};
}

/* Whether a grid of `what` fits: frames, channels, and edges that divide. */
static bool fits(reel_nn *nn, const reel_wan_vae_config *g, reel_var x, const char *what, int64_t C,
                 int64_t step_t, int64_t step_s, reel_wan_vae_piece piece) {
    if (reel_tape_status(nn->tape) != REEL_OK) return false;
    const reel_status status = reel_wan_vae_config_check(reel_tape_env(nn->tape), g);
    if (status != REEL_OK) {
        reel_tape_fail(nn->tape, status, "wan vae");
        return false;
    }
    const reel_shape s = reel_tape_value(nn->tape, x)->shape;
    const int64_t alone = piece == REEL_WAN_VAE_FIRST;
    if (s.rank == 5 && s.dim[CHANNELS] == C && s.dim[FRAMES] > 0 && s.dim[2] > 0 && s.dim[3] > 0 &&
        (s.dim[FRAMES] - alone) % step_t == 0 && s.dim[2] % step_s == 0 && s.dim[3] % step_s == 0)
        return true;
    reel_tape_fail(nn->tape, REEL_E_SHAPE, "wan vae: %s needs [B,%lldn%s,%lldh,%lldw,%lld], got %s",
                   what, (long long)step_t, alone ? "+1" : "", (long long)step_s, (long long)step_s,
                   (long long)C, REEL_SHAPE_STR(&s));
    return false;
}

static void empty(reel_wan_vae_caches *caches) {
    if (caches) caches->n = caches->n_between = caches->next = 0;
}

reel_var reel_wan_vae_encode_piece(reel_nn *nn, const reel_wan_vae_config *g, reel_var x,
                                   reel_wan_vae_piece piece, reel_wan_vae_caches *caches) {
    const context c = {.config = g, .caches = caches, .first = piece == REEL_WAN_VAE_FIRST};
    const int64_t p = g->patch_size;
    empty(caches);
    if (!fits(nn, g, x, "x", p > 0 ? g->in_channels / (p * p) : 0, reel_wan_vae_factor_t(g),
              reel_wan_vae_factor_s(g), piece))
        return 0;
    const reel_fold_attr fold = patches(g);
    reel_var h = p > 1 ? reel_space_to_depth(nn->tape, &fold, x) : x; /* [B,F,H/p,W/p,in] */
    h = encoder(nn, &c, h);                                           /* [B,f,h,w,2z] */
    h = point_conv(nn, "quant_conv", h, 2 * g->z_dim, 3, REEL_F32);
    return g->linear_path ? add_linear_code(nn, &c, h, x) : h;
}

reel_var reel_wan_vae_decode_piece(reel_nn *nn, const reel_wan_vae_config *g, reel_var z,
                                   reel_wan_vae_piece piece, reel_wan_vae_caches *caches) {
    const context c = {.config = g, .caches = caches, .first = piece == REEL_WAN_VAE_FIRST};
    empty(caches);
    if (!fits(nn, g, z, "z", g->z_dim, 1, 1, piece)) return 0;
    const reel_fold_attr fold = patches(g);
    reel_var x = point_conv(nn, "post_quant_conv", z, g->z_dim, 3, REEL_F32); /* [B,f,h,w,z] */
    x = decoder(nn, &c, x);                                             /* [B,F,H/p,W/p,out] */
    if (g->patch_size > 1) x = reel_depth_to_space(nn->tape, &fold, x); /* [B,F,H,W,3] */
    return g->linear_path ? reel_add(nn->tape, x, linear_picture(nn, &c, z)) : x;
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
