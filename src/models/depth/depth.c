#include "models/depth/depth.h"

#include <stdio.h>

#include "ops/conv3d.h"
#include "ops/elementwise.h"
#include "ops/grid.h"
#include "ops/norm.h"

/* All grids are channels last: [B,F,H,W,C]. */
enum { CHANNELS = 4 };

static const reel_init one = {REEL_INIT_ONE, 0};
static const reel_init zero = {REEL_INIT_ZERO, 0};
static const reel_init fan_in = {REEL_INIT_FAN_IN, 1};

/* x [B,F,H,W,C] -> [B,F,H,W,O] in dtype; kernel Kt x Ks x Ks with zeros around. */
static reel_var conv(reel_nn *nn, const char *name, reel_var x, int64_t O, int32_t Kt, int32_t Ks,
                     reel_dtype dtype) {
    const int64_t C = reel_tape_value(nn->tape, x)->shape.dim[CHANNELS];
    reel_nn_begin(nn, "%s", name);
    const reel_var w = reel_nn_param(nn, "weight", REEL_SHAPE(O, C, Kt, Ks, Ks), fan_in);
    const reel_var b = reel_nn_param(nn, "bias", REEL_SHAPE(O), zero);
    const reel_conv3d_attr attr = {.stride = {1, 1, 1},
                                   .pad_lo = {Kt / 2, Ks / 2, Ks / 2},
                                   .pad_hi = {Kt / 2, Ks / 2, Ks / 2},
                                   .layout = REEL_GRID_CHANNELS_LAST,
                                   .out_dtype = dtype};
    x = reel_cast(nn->tape, x, reel_tape_value(nn->tape, w)->dtype);
    const reel_var y = reel_conv3d(nn->tape, &attr, x, w, b, 0);
    reel_nn_end(nn);
    return y;
}

static reel_var norm_silu(reel_nn *nn, const char *name, reel_var x) {
    const int64_t C = reel_shape_last(&reel_tape_value(nn->tape, x)->shape);
    reel_nn_begin(nn, "%s", name);
    const reel_var w = reel_nn_param(nn, "weight", REEL_SHAPE(C), one);
    const reel_var y = reel_rms_norm(nn->tape, x, w, 1e-6f, nn->compute);
    reel_nn_end(nn);
    return reel_activate(nn->tape, y, REEL_ACT_SILU);
}

/* x [B,F,H,W,C] -> [B,F,H,W,C]: a look at the plane, then one at Kt moments (1: another at the
 * plane), added to x. */
static reel_var block(reel_nn *nn, const char *name, reel_var x, int32_t Kt) {
    const int64_t C = reel_shape_last(&reel_tape_value(nn->tape, x)->shape);
    reel_nn_begin(nn, "%s", name);
    reel_var y = norm_silu(nn, "norm1", x);
    y = conv(nn, "conv1", y, C, 1, 3, nn->compute);
    y = norm_silu(nn, "norm2", y);
    y = conv(nn, "conv2", y, C, Kt, Kt > 1 ? 1 : 3, nn->compute);
    y = reel_add(nn->tape, x, y);
    reel_nn_end(nn);
    return y;
}

/* x [B,f,h,w,C] -> [B,f Pt,h Ps,w Ps,O] */
static reel_var step_up(reel_nn *nn, const char *name, reel_var x, int32_t Pt, int32_t Ps,
                        int64_t O, const reel_nn_linear_options *options) {
    const reel_fold_attr fold = {
        .patch = {Pt, Ps, Ps}, .order = REEL_FOLD_THWC, .layout = REEL_GRID_CHANNELS_LAST};
    x = reel_nn_linear_with(nn, name, x, (int64_t)Pt * Ps * Ps * O, options);
    return reel_depth_to_space(nn->tape, &fold, x);
}

static bool fits(reel_nn *nn, const reel_depth_config *c, reel_var x) {
    reel_tape *t = nn->tape;
    const reel_status status = reel_depth_config_check(reel_tape_env(t), c);
    const reel_shape s = reel_tape_value(t, x)->shape;
    if (status != REEL_OK)
        reel_tape_fail(t, status, "depth");
    else if (s.rank != 5 || s.dim[CHANNELS] != c->z_dim)
        reel_tape_fail(t, REEL_E_SHAPE, "depth: x must be [B,f,h,w,%lld], got %s",
                       (long long)c->z_dim, REEL_SHAPE_STR(&s));
    return reel_tape_status(t) == REEL_OK;
}

reel_var reel_depth(reel_nn *nn, const reel_depth_config *c, reel_var x) {
    if (!fits(nn, c, x)) return 0;
    const int32_t cell = (int32_t)c->factor_s / REEL_DEPTH_STEP;
    const reel_nn_linear_options inner = reel_nn_linear_default(nn);
    reel_nn_linear_options last = inner; /* begins near 0: what is random there is seen in pixels */
    last.out_dtype = REEL_F32;
    last.init.scale = 0.1f;
    x = conv(nn, "stem", x, c->channels, 1, 3, nn->compute); /* [B,f,h,w,channels] */
    for (int i = 0; i < c->blocks; i++) {
        char name[32];
        snprintf(name, sizeof name, "blocks.%d", i);
        x = block(nn, name, x, 3);
    }
    x = norm_silu(nn, "norm", x);
    x = step_up(nn, "cells", x, (int32_t)c->factor_t, REEL_DEPTH_STEP, c->mid, &inner);
    x = block(nn, "cell", x, 1); /* [B,f Pt,4h,4w,mid] */
    x = norm_silu(nn, "cell_norm", x);
    return step_up(nn, "pixels", x, 1, cell, 1, &last); /* [B,f Pt,H,W,1] */
}

/* ---- configuration ---- */

reel_depth_config reel_depth_config_default(void) {
    return (reel_depth_config){
        .z_dim = 64, .factor_t = 4, .factor_s = 16, .channels = 144, .blocks = 2, .mid = 32};
}

static reel_status in_range(reel_env *env, const char *field, int64_t value, int64_t most) {
    if (value >= 1 && value <= most) return REEL_OK;
    return reel_fail(env, REEL_E_ARG, "depth: %s must be in 1..%lld, got %lld", field,
                     (long long)most, (long long)value);
}

reel_status reel_depth_config_check(reel_env *env, const reel_depth_config *c) {
    const struct {
        const char *name;
        int64_t value, most;
    } field[] = {{"z_dim", c->z_dim, 1024},      {"factor_t", c->factor_t, 64},
                 {"factor_s", c->factor_s, 256}, {"channels", c->channels, 4096},
                 {"blocks", c->blocks, 16},      {"mid", c->mid, 1024}};
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        const reel_status status = in_range(env, field[i].name, field[i].value, field[i].most);
        if (status != REEL_OK) return status;
    }
    if (c->factor_s % REEL_DEPTH_STEP)
        return reel_fail(env, REEL_E_ARG, "depth: factor_s must be a multiple of %d, got %lld",
                         REEL_DEPTH_STEP, (long long)c->factor_s);
    return REEL_OK;
}
