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

/* Twice the height and width: [B,F,h,w,C] -> [B,F,H,W,O] */
static reel_var double_edges(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O) {
    const reel_upsample_attr twice = {.factor = {1, 2, 2}, .layout = REEL_GRID_CHANNELS_LAST};
    for (int i = 0; c->edges && i < 2; i++) {
        c->edges->beyond[i] *= 2;
        c->edges->halo[i] *= 2;
    }
    x = reel_upsample(nn->tape, &twice, x);
    return reel_vae_conv(nn, c, "resample.1", x, O, &plane, reel_vae_dtype(nn, O));
}

/* Whether the frames of x, doubled along their edges, are made one by one. */
static bool doubles_alone(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O) {
    const int64_t area = reel_vae_size(nn, x, 2) * reel_vae_size(nn, x, 3);
    return reel_vae_one_by_one(c, reel_vae_size(nn, x, FRAMES), 4 * area * O);
}

/* Likewise, of many frames. */
static reel_var double_all_edges(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O) {
    if (!doubles_alone(nn, c, x, O)) return double_edges(nn, c, x, O);
    reel_var frame[REEL_WAN_VAE_AT_ONCE];
    const reel_vae_edges before = reel_vae_edges_now(c);
    const int64_t n = reel_vae_size(nn, x, FRAMES);
    reel_vae_frames(nn, x, n, frame);
    for (int64_t i = 0; i < n; i++) {
        if (c->edges) *c->edges = before;
        frame[i] = double_edges(nn, c, frame[i], O);
    }
    return reel_concat(nn->tape, frame, (int)n, FRAMES);
}

/* Channels repeated until they fill patches: [B,f,h,w,C] -> [B,f ft,2h,2w,O]. Of the first latent
 * of a clip only the last frame is kept. */
static reel_var repeat_up(reel_nn *nn, const reel_vae_context *c, reel_var x, int64_t O,
                          int32_t ft) {
    reel_tape *t = nn->tape;
    const reel_shape s = reel_tape_value(t, x)->shape;
    if (reel_tape_status(t) != REEL_OK) return 0; /* s has no channels to divide by */
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

/* How many positions beyond those it makes a band needs where a level begins: one for each
 * convolution from there on, halved with every doubling. */
static int64_t reach(const reel_wan_vae_config *g, int level) {
    int64_t n = 1; /* conv_out */
    for (int i = (int)g->n_levels - 1;; i--) {
        n += 2 * (g->num_res_blocks + 1);
        if (i == level) return n;
        n = (n + 1 + 1) / 2; /* with the one behind the doubling, rounded up */
    }
}

/* Where a level stands. */
typedef struct level {
    int number;
    int64_t O, next_O; /* its channels, and those behind its doubling */
    bool is_last, temporal;
} level;

static level level_at(const reel_wan_vae_config *g, int number) {
    const int last = (int)g->n_levels - 1;
    const int64_t dim = g->decoder_base_dim ? g->decoder_base_dim : g->base_dim;
    const int64_t O = dim * g->dim_mult[last - number];
    return (level){.number = number,
                   .O = O,
                   .next_O = g->is_residual ? O : O / 2,
                   .is_last = number == last,
                   .temporal = number < last && g->temperal_downsample[last - 1 - number]};
}

static void begin_doubling(reel_nn *nn, const reel_vae_context *c, const level *l) {
    reel_nn_begin(nn, "up_blocks.%d", l->number);
    reel_nn_begin(nn, c->config->is_residual ? "upsampler" : "upsamplers.0");
}
static void end_doubling(reel_nn *nn) {
    reel_nn_end(nn);
    reel_nn_end(nn);
}

static reel_var levels_from(reel_nn *nn, const reel_vae_context *c, reel_var x, int number);

/* A level from its beginning, or from the doubling of its edges on, and all behind it. */
typedef reel_var rest_of(reel_nn *nn, const reel_vae_context *c, reel_var x, int number);

static reel_var double_and_go_on(reel_nn *nn, const reel_vae_context *c, reel_var x, int number) {
    const level l = level_at(c->config, number);
    begin_doubling(nn, c, &l);
    x = double_edges(nn, c, x, l.next_O);
    end_doubling(nn);
    return levels_from(nn, c, x, number + 1);
}

/* The rest, frame by frame. */
static reel_var by_frame(reel_nn *nn, const reel_vae_context *c, reel_var x, int number,
                         rest_of *rest) {
    reel_var frame[REEL_WAN_VAE_AT_ONCE];
    const int first_cache = c->caches->next;
    const reel_vae_edges before = reel_vae_edges_now(c);
    const int64_t n = reel_vae_size(nn, x, FRAMES);
    reel_vae_frames(nn, x, n, frame);
    for (int64_t i = 0; i < n; i++) {
        c->caches->next = first_cache;
        if (c->edges) *c->edges = before;
        frame[i] = rest(nn, c, frame[i], number);
    }
    return reel_concat(nn->tape, frame, (int)n, FRAMES);
}

/* Behind the residual blocks of a level, h [B,f,h,w,O] of x [B,f,h,w,C], where the layers stood at
 * `from` -> what the rest makes of it. */
static reel_var double_up(reel_nn *nn, const reel_vae_context *c, reel_var h, reel_var x,
                          const level *l, reel_vae_edges from) {
    begin_doubling(nn, c, l);
    if (l->temporal) h = double_frames(nn, c, h);
    const bool residual = c->config->is_residual;
    const bool alone = !residual && doubles_alone(nn, c, h, l->next_O);
    if (!alone) h = double_all_edges(nn, c, h, l->next_O); /* [B,F,H,W,*] */
    end_doubling(nn);
    if (alone) return by_frame(nn, c, h, l->number, double_and_go_on);
    if (residual) {
        reel_nn_begin(nn, "up_blocks.%d", l->number);
        x = repeat_up(nn, c, x, l->O, l->temporal ? 2 : 1);
        from.halo[0] *= 2, from.halo[1] *= 2;
        h = reel_add(nn->tape, h, reel_vae_crop(nn, c, x, &from));
        reel_nn_end(nn);
    }
    return levels_from(nn, c, h, l->number + 1);
}

/* The decoder from a level on: [B,f,h,w,C] -> patches [B,F,H/p,W/p,out] f32 */
static reel_var levels_from(reel_nn *nn, const reel_vae_context *c, reel_var x, int number) {
    const reel_wan_vae_config *g = c->config;
    const level l = level_at(g, number);
    x = reel_vae_trim(nn, c, x, reach(g, number));
    const int64_t elements =
        reel_vae_size(nn, x, 2) * reel_vae_size(nn, x, 3) * reel_vae_size(nn, x, CHANNELS);
    if (reel_vae_one_by_one(c, reel_vae_size(nn, x, FRAMES), elements))
        return by_frame(nn, c, x, number, levels_from);
    const reel_vae_edges from = reel_vae_edges_now(c);
    reel_nn_begin(nn, "up_blocks.%d", number);
    reel_var h = reel_vae_resnets(nn, c, x, l.O, g->num_res_blocks + 1); /* [B,f,h,w,O] */
    reel_nn_end(nn);
    if (!l.is_last) return double_up(nn, c, h, x, &l, from);
    h = reel_vae_norm_silu(nn, "norm_out", h);
    h = reel_vae_conv(nn, c, "conv_out", h, g->out_channels, &reel_vae_causal, REEL_F32);
    return reel_vae_trim(nn, c, h, 0);
}

int64_t reel_wan_vae_middle_channels(const reel_wan_vae_config *g) {
    return (g->decoder_base_dim ? g->decoder_base_dim : g->base_dim) * g->dim_mult[g->n_levels - 1];
}

/* z [B,f,h,w,z] -> [B,f,h,w,C] */
static reel_var middle(reel_nn *nn, const reel_vae_context *c, reel_var z) {
    const int64_t C = reel_wan_vae_middle_channels(c->config);
    reel_var x = reel_vae_point_conv(nn, "post_quant_conv", z, c->config->z_dim, 3, REEL_F32);
    reel_nn_begin(nn, "decoder");
    x = reel_vae_conv(nn, c, "conv_in", x, C, &reel_vae_causal, reel_vae_dtype(nn, C));
    x = reel_vae_mid_block(nn, c, x);
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

/* [B,f,h,w,C] of the middle, and z [B,f,h,w,z] -> [B,F,H,W,3] */
static reel_var picture(reel_nn *nn, const reel_vae_context *c, reel_var x, reel_var z) {
    const reel_fold_attr fold = reel_vae_patches(c->config);
    reel_nn_begin(nn, "decoder");
    x = levels_from(nn, c, x, 0); /* [B,F,H/p,W/p,out] */
    reel_nn_end(nn);
    if (c->config->patch_size > 1) x = reel_depth_to_space(nn->tape, &fold, x);
    return c->config->linear_path ? reel_add(nn->tape, x, linear_picture(nn, c, z)) : x;
}

/* ---- the model ---- */

bool reel_wan_vae_decodes(const char *parameter) {
    static const char *const part[] = {"decoder.", "post_quant_conv.", "linear_decoder."};
    for (int i = 0; i < 3; i++)
        if (strncmp(parameter, part[i], strlen(part[i])) == 0) return true;
    return false;
}

reel_var reel_wan_vae_decode_piece(reel_nn *nn, const reel_wan_vae_config *g, reel_var z,
                                   reel_wan_vae_piece piece, reel_wan_vae_caches *caches) {
    const reel_vae_context c = {
        .config = g, .caches = caches, .first = piece == REEL_WAN_VAE_FIRST};
    reel_vae_begin(caches);
    if (!reel_vae_fits(nn, g, z, "z", (const int64_t[]){g->z_dim, 1, 1}, piece)) return 0;
    return picture(nn, &c, middle(nn, &c, z), z);
}

/* ---- bands ---- */

reel_var reel_wan_vae_decode_middle(reel_nn *nn, const reel_wan_vae_config *g, reel_var z,
                                    reel_wan_vae_piece piece, reel_wan_vae_caches *caches) {
    const reel_vae_context c = {
        .config = g, .caches = caches, .first = piece == REEL_WAN_VAE_FIRST};
    reel_vae_begin(caches);
    if (!reel_vae_fits(nn, g, z, "z", (const int64_t[]){g->z_dim, 1, 1}, piece)) return 0;
    return middle(nn, &c, z);
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

void reel_wan_vae_band_range(const reel_wan_vae_config *g, const reel_wan_vae_band *band,
                             int64_t range[2]) {
    const int64_t n = reach(g, 0);
    range[0] = band->begin - least(n, band->begin);
    range[1] = band->end + least(n, band->size - band->end);
}

/* Whether a band's grid has the edge and channels it should. */
static bool band_fits(reel_nn *nn, const reel_wan_vae_band *band, reel_var x, int64_t edge,
                      int64_t C) {
    if (reel_tape_status(nn->tape) != REEL_OK) return false;
    const reel_shape s = reel_tape_value(nn->tape, x)->shape;
    if (s.rank == 5 && s.dim[band->axis + 2] == edge && s.dim[CHANNELS] == C) return true;
    reel_tape_fail(nn->tape, REEL_E_SHAPE,
                   "wan vae: a band needs %lld positions along axis %d of %lld channels, got %s",
                   (long long)edge, band->axis + 2, (long long)C, REEL_SHAPE_STR(&s));
    return false;
}

reel_var reel_wan_vae_decode_band(reel_nn *nn, const reel_wan_vae_config *g,
                                  const reel_wan_vae_band *band, const reel_wan_vae_band_in *in,
                                  reel_wan_vae_piece piece, reel_wan_vae_caches *caches) {
    int64_t range[2];
    reel_wan_vae_band_range(g, band, range);
    reel_vae_edges edges = {.axis = band->axis + 2,
                            .beyond = {band->begin, band->size - band->end},
                            .halo = {band->begin - range[0], range[1] - band->end}};
    const reel_vae_context c = {
        .config = g, .caches = caches, .first = piece == REEL_WAN_VAE_FIRST, .edges = &edges};
    reel_vae_begin(caches);
    if (!band_fits(nn, band, in->middle, range[1] - range[0], reel_wan_vae_middle_channels(g)) ||
        (g->linear_path && !band_fits(nn, band, in->z, band->end - band->begin, g->z_dim)))
        return 0;
    return picture(nn, &c, in->middle, in->z);
}
