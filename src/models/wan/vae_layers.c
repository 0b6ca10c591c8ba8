#include "models/wan/vae_layers.h"

#include <string.h>

#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/slice.h"

enum { FRAMES = REEL_VAE_FRAMES, CHANNELS = REEL_VAE_CHANNELS };

static const reel_init one = {REEL_INIT_ONE, 0};
static const reel_init zero = {REEL_INIT_ZERO, 0};
static const reel_init fan_in = {REEL_INIT_FAN_IN, 1};

int64_t reel_vae_size(reel_nn *nn, reel_var x, int axis) {
    return reel_tape_value(nn->tape, x)->shape.dim[axis];
}

/* Layers of few channels are computed in f32: they do not fill the vectors of a bf16 product, and
 * rounding errors do not average out over them. In the real models that is the encoder's first. */
enum { WIDE = 16 };
reel_dtype reel_vae_dtype(const reel_nn *nn, int64_t C) {
    return C < WIDE ? REEL_F32 : nn->compute;
}

/* ---- what is carried from piece to piece ---- */

/* The frames before x, n of them: an input of this piece, what an earlier frame of it has left, or
 * 0 when there are none. */
static reel_var cache_before(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t n) {
    if (!c->caches || c->first) return 0;
    if (c->caches->next < c->caches->n) return c->caches->out[c->caches->next];
    const reel_value *v = reel_tape_value(nn->tape, x);
    reel_shape shape = v->shape;
    shape.dim[FRAMES] = n;
    return reel_tape_input(nn->tape, v->dtype, shape, nn->name, NULL);
}

void reel_vae_carry(reel_nn *nn, const reel_vae_context *c, reel_var in, reel_var out) {
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

bool reel_vae_one_by_one(const reel_vae_context *c, int64_t n, int64_t elements) {
    enum { LARGE = 8 << 20 }; /* from half of 832 x 480 on; none of 256 x 256 */
    if (!c->caches || c->first || n < 2 || n > REEL_WAN_VAE_AT_ONCE) return false;
    return elements >= (c->caches->single_from ? c->caches->single_from : LARGE);
}

void reel_vae_frames(reel_nn *nn, reel_var x, int64_t n, reel_var *frame) {
    int64_t ones[REEL_WAN_VAE_AT_ONCE];
    for (int64_t i = 0; i < n; i++)
        ones[i] = 1;
    reel_split(nn->tape, x, FRAMES, ones, (int)n, frame);
}

/* ---- bands ---- */

reel_vae_edges reel_vae_edges_now(const reel_vae_context *c) {
    return c->edges ? *c->edges : (reel_vae_edges){0};
}

reel_var reel_vae_crop(reel_nn *nn, const reel_vae_context *c, reel_var x,
                       const reel_vae_edges *from) {
    if (!c->edges || reel_tape_status(nn->tape) != REEL_OK) return x;
    const int64_t *now = c->edges->halo, start = from->halo[0] - now[0];
    const int64_t length = reel_vae_size(nn, x, c->edges->axis) - start - (from->halo[1] - now[1]);
    return reel_slice(nn->tape, x, c->edges->axis, start, length);
}

reel_var reel_vae_trim(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t most) {
    const reel_vae_edges from = reel_vae_edges_now(c);
    for (int i = 0; c->edges && i < 2; i++)
        if (c->edges->halo[i] > most) c->edges->halo[i] = most;
    return reel_vae_crop(nn, c, x, &from);
}

/* The paddings of a convolution before and behind, of which a cut needs none. */
static void pad(const reel_vae_context *c, const reel_vae_motion *m, int32_t lo[3], int32_t hi[3]) {
    memcpy(lo, m->pad_lo, sizeof m->pad_lo);
    memcpy(hi, m->pad_hi, sizeof m->pad_hi);
    if (!c->edges || m->kernel[c->edges->axis - 1] == 1) return;
    for (int i = 0; i < 2; i++) {
        if (c->edges->halo[i] == c->edges->beyond[i]) continue;
        (i ? hi : lo)[c->edges->axis - 1] = 0;
        c->edges->halo[i]--;
    }
}

/* ---- layers ---- */

const reel_vae_motion reel_vae_causal = {{3, 3, 3}, {1, 1, 1}, {2, 1, 1}, {0, 1, 1}};

/* The weight [O,C,...], in the dtype that products over C channels are computed in. */
static reel_var weight(reel_nn *nn, reel_shape shape) {
    const reel_var w = reel_nn_param(nn, "weight", shape, fan_in);
    return reel_cast(nn->tape, w, reel_vae_dtype(nn, shape.dim[1]));
}

/* The weight of a convolution by a motion: [O,C,Kt,Kh,Kw], or [O,C,Kh,Kw] where Kt is 1. */
static reel_var kernel(reel_nn *nn, int64_t C, int64_t O, const reel_vae_motion *m) {
    const int32_t *k = m->kernel;
    return weight(nn,
                  k[0] == 1 ? REEL_SHAPE(O, C, k[1], k[2]) : REEL_SHAPE(O, C, k[0], k[1], k[2]));
}

void reel_vae_unused_conv(reel_nn *nn, const char *name, int64_t C, int64_t O,
                          const reel_vae_motion *m) {
    reel_nn_begin(nn, "%s", name);
    kernel(nn, C, O, m);
    reel_nn_param(nn, "bias", REEL_SHAPE(O), zero);
    reel_nn_end(nn);
}

reel_var reel_vae_conv(reel_nn *nn, const reel_vae_context *c, const char *name, reel_var x,
                       int64_t O, const reel_vae_motion *m, reel_dtype out_dtype) {
    const int64_t C = reel_vae_size(nn, x, CHANNELS);
    const int32_t *k = m->kernel;
    reel_nn_begin(nn, "%s", name);
    x = reel_cast(nn->tape, x, reel_vae_dtype(nn, C));
    reel_var w = kernel(nn, C, O, m);
    w = reel_reshape(nn->tape, w, REEL_SHAPE(O, C, k[0], k[1], k[2]));
    const reel_var b = reel_nn_param(nn, "bias", REEL_SHAPE(O), zero);
    const bool carries = c->caches && k[0] > 1;
    const reel_var cache = k[0] > 1 ? cache_before(nn, c, x, k[0] - m->stride[0]) : 0;
    reel_conv3d_attr attr = {.stride = {m->stride[0], m->stride[1], m->stride[2]},
                             .layout = REEL_GRID_CHANNELS_LAST,
                             .out_dtype = out_dtype,
                             .carry = carries};
    pad(c, m, attr.pad_lo, attr.pad_hi);
    const reel_var y = reel_conv3d(nn->tape, &attr, x, w, b, cache);
    if (carries) reel_vae_carry(nn, c, cache, y + 1);
    reel_nn_end(nn);
    return y;
}

reel_var reel_vae_point_conv(reel_nn *nn, const char *name, reel_var x, int64_t O, int n_ones,
                             reel_dtype out_dtype) {
    const int64_t C = reel_shape_last(&reel_tape_value(nn->tape, x)->shape);
    reel_nn_begin(nn, "%s", name);
    x = reel_cast(nn->tape, x, reel_vae_dtype(nn, C));
    reel_var w = weight(nn, n_ones == 2 ? REEL_SHAPE(O, C, 1, 1) : REEL_SHAPE(O, C, 1, 1, 1));
    w = reel_reshape(nn->tape, w, REEL_SHAPE(O, C));
    const reel_var b = reel_nn_param(nn, "bias", REEL_SHAPE(O), zero);
    const reel_var y = reel_linear(nn->tape, x, w, b, REEL_ACT_NONE, out_dtype);
    reel_nn_end(nn);
    return y;
}

/* x / |x| sqrt(C) gamma over the channels; gamma has n_ones axes of 1 behind [C]. */
static reel_var norm(reel_nn *nn, const char *name, reel_var x, int n_ones) {
    const int64_t C = reel_vae_size(nn, x, CHANNELS);
    const reel_norm_attr attr = {REEL_NORM_L2, 0, reel_vae_dtype(nn, C), 1e-12f};
    reel_nn_begin(nn, "%s", name);
    const reel_var gamma =
        reel_nn_param(nn, "gamma", n_ones == 2 ? REEL_SHAPE(C, 1, 1) : REEL_SHAPE(C, 1, 1, 1), one);
    const reel_var y = reel_norm(nn->tape, x, gamma, 0, &attr);
    reel_nn_end(nn);
    return y;
}

reel_var reel_vae_norm_silu(reel_nn *nn, const char *name, reel_var x) {
    return reel_activate(nn->tape, norm(nn, name, x, 3), REEL_ACT_SILU);
}

/* ---- blocks ---- */

reel_var reel_vae_resnet(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O) {
    reel_var h = x;
    const reel_vae_edges from = reel_vae_edges_now(c);
    if (reel_vae_size(nn, x, CHANNELS) != O)
        h = reel_vae_point_conv(nn, "conv_shortcut", x, O, 3,
                                reel_vae_dtype(nn, O)); /* [B,F,H,W,O] */
    x = reel_vae_norm_silu(nn, "norm1", x);
    x = reel_vae_conv(nn, c, "conv1", x, O, &reel_vae_causal,
                      reel_vae_dtype(nn, O)); /* [B,F,H,W,O] */
    x = reel_vae_norm_silu(nn, "norm2", x);
    x = reel_vae_conv(nn, c, "conv2", x, O, &reel_vae_causal, reel_vae_dtype(nn, O));
    return reel_add(nn->tape, x, reel_vae_crop(nn, c, h, &from));
}

reel_var reel_vae_resnets(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O,
                          int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        reel_nn_begin(nn, "resnets.%d", (int)i);
        x = reel_vae_resnet(nn, c, x, O);
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
    y = reel_vae_point_conv(nn, "to_qkv", y, 3 * C, 2, reel_vae_dtype(nn, C)); /* [B,F,h,w,3C] */
    y = reel_reshape(t, y, REEL_SHAPE(n, T, 3, 1, C));     /* B F rows, one head */
    y = reel_attention(t, &(reel_attention_in){.qkv = y}); /* [BF,T,1,C] */
    y = reel_vae_point_conv(nn, "proj", reel_reshape(t, y, s), C, 2,
                            reel_vae_dtype(nn, C)); /* [B,F,h,w,C] */
    return reel_add(t, y, x);
}

reel_var reel_vae_mid_block(reel_nn *nn, const reel_vae_context *c, reel_var x) {
    const int64_t C = reel_vae_size(nn, x, CHANNELS);
    reel_nn_begin(nn, "mid_block");
    reel_nn_begin(nn, "resnets.0");
    x = reel_vae_resnet(nn, c, x, C);
    reel_nn_end(nn);
    reel_nn_begin(nn, "attentions.0");
    x = attention(nn, x);
    reel_nn_end(nn);
    reel_nn_begin(nn, "resnets.1");
    x = reel_vae_resnet(nn, c, x, C);
    reel_nn_end(nn);
    reel_nn_end(nn);
    return x;
}

/* ---- patches ---- */

/* Not Wan's. A linear code of patches beside the networks, which then have to learn only what such
 * a code leaves: a small model starts at the quality of its principal components. */
reel_fold_attr reel_vae_linear_patches(const reel_wan_vae_config *g) {
    const int32_t t = (int32_t)reel_wan_vae_factor_t(g), s = (int32_t)reel_wan_vae_factor_s(g);
    return (reel_fold_attr){
        .patch = {t, s, s}, .order = REEL_FOLD_THWC, .layout = REEL_GRID_CHANNELS_LAST};
}

reel_fold_attr reel_vae_patches(const reel_wan_vae_config *g) {
    const int32_t p = (int32_t)g->patch_size;
    return (reel_fold_attr){
        .patch = {1, p, p}, .order = REEL_FOLD_CTWH, .layout = REEL_GRID_CHANNELS_LAST};
}

bool reel_vae_fits(reel_nn *nn, const reel_wan_vae_config *g, reel_var x, const char *what,
                   const int64_t multiple[3], reel_wan_vae_piece piece) {
    if (reel_tape_status(nn->tape) != REEL_OK) return false;
    const reel_status status = reel_wan_vae_config_check(reel_tape_env(nn->tape), g);
    if (status != REEL_OK) {
        reel_tape_fail(nn->tape, status, "wan vae");
        return false;
    }
    const reel_shape s = reel_tape_value(nn->tape, x)->shape;
    const int64_t alone = piece == REEL_WAN_VAE_FIRST;
    const int64_t C = multiple[0], step_t = multiple[1], step_s = multiple[2];
    if (s.rank == 5 && s.dim[CHANNELS] == C && s.dim[FRAMES] > 0 && s.dim[2] > 0 && s.dim[3] > 0 &&
        (s.dim[FRAMES] - alone) % step_t == 0 && s.dim[2] % step_s == 0 && s.dim[3] % step_s == 0)
        return true;
    reel_tape_fail(nn->tape, REEL_E_SHAPE, "wan vae: %s needs [B,%lldn%s,%lldh,%lldw,%lld], got %s",
                   what, (long long)step_t, alone ? "+1" : "", (long long)step_s, (long long)step_s,
                   (long long)C, REEL_SHAPE_STR(&s));
    return false;
}

void reel_vae_begin(reel_wan_vae_caches *caches) {
    if (caches) caches->n = caches->n_between = caches->next = 0;
}
