#include "models/dit/dit.h"

#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/grid.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/modulate.h"
#include "ops/timestep.h"

/* Layer norm without weights before modulation, as everywhere in the paper. */
static reel_var norm_modulate(reel_nn *nn, reel_var x, reel_var shift, reel_var scale) {
    const reel_modulate_attr attr = {REEL_NORM_LAYER, nn->compute, 1e-6f};
    return reel_norm_modulate(nn->tape, x, shift, scale, 0, &attr);
}

static const reel_init xavier = {REEL_INIT_XAVIER, 1};
static const reel_init narrow = {REEL_INIT_NORMAL, 0.02f};
static const reel_init zero = {REEL_INIT_ZERO, 0};

/* The n vectors [B,C] that steer a block: shift, scale, gate, ... = W silu(cond) + b, adaLN-Zero:
 * W starts at zero, so that every block starts as the identity. */
static void modulation(reel_nn *nn, reel_var cond, int n, reel_var *part) {
    reel_nn_linear_options options = reel_nn_linear_default(nn);
    options.init = zero;
    options.out_dtype = REEL_F32;
    const int64_t C = reel_shape_last(&reel_tape_value(nn->tape, cond)->shape);
    reel_nn_begin(nn, "adaLN_modulation");
    const reel_var m = reel_nn_linear_with(nn, "1", cond, n * C, &options); /* [B,nC] */
    reel_nn_end(nn);
    reel_split_evenly(nn->tape, m, 1, n, part); /* n x [B,C] */
}

/* x [B,T,C] f32, cond [B,C] -> [B,T,C] f32 */
static reel_var block(reel_nn *nn, const reel_dit_config *config, reel_var x, reel_var cond) {
    reel_tape *t = nn->tape;
    const reel_shape s = reel_tape_value(t, x)->shape;
    const int64_t B = s.dim[0], T = s.dim[1], C = s.dim[2], N = config->num_heads;
    reel_nn_linear_options options = reel_nn_linear_default(nn);
    options.init = xavier;
    reel_var m[6]; /* shift, scale, gate of attention, then of the mlp: [B,C] each */
    modulation(nn, cond, 6, m);

    reel_nn_begin(nn, "attn");
    reel_var h = norm_modulate(nn, x, m[0], m[1]);          /* [B,T,C] */
    h = reel_nn_linear_with(nn, "qkv", h, 3 * C, &options); /* [B,T,3C] */
    h = reel_reshape(t, h, REEL_SHAPE(B, T, 3, N, C / N));  /* [B,T,3,N,D] */
    h = reel_attention(t, &(reel_attention_in){.qkv = h});  /* [B,T,N,D] */
    h = reel_reshape(t, h, REEL_SHAPE(B, T, C));            /* [B,T,C] */
    h = reel_nn_linear_with(nn, "proj", h, C, &options);    /* [B,T,C] */
    reel_nn_end(nn);
    x = reel_gate(t, x, h, m[2], 0); /* [B,T,C] */

    reel_nn_begin(nn, "mlp");
    h = norm_modulate(nn, x, m[3], m[4]); /* [B,T,C] */
    options.act = REEL_ACT_GELU_TANH;
    h = reel_nn_linear_with(nn, "fc1", h, config->mlp_ratio * C, &options); /* [B,T,4C] */
    options.act = REEL_ACT_NONE;
    h = reel_nn_linear_with(nn, "fc2", h, C, &options); /* [B,T,C] */
    reel_nn_end(nn);
    return reel_gate(t, x, h, m[5], 0); /* [B,T,C] */
}

/* t [B] as sinusoids through a two-layer mlp: [B,C] */
static reel_var time_embedding(reel_nn *nn, int64_t C, reel_var t) {
    reel_nn_linear_options options = reel_nn_linear_default(nn);
    options.init = narrow;
    options.out_dtype = REEL_F32;
    reel_nn_begin(nn, "t_embedder.mlp");
    reel_var h = reel_timestep(nn->tape, t, reel_timestep_attr_default()); /* [B,256] */
    options.act = REEL_ACT_SILU;
    h = reel_nn_linear_with(nn, "0", h, C, &options); /* [B,C] */
    options.act = REEL_ACT_NONE;
    h = reel_nn_linear_with(nn, "2", h, C, &options); /* [B,C] */
    reel_nn_end(nn);
    return h;
}

/* Row y of the class table: [B,C] f32 */
static reel_var class_embedding(reel_nn *nn, const reel_dit_config *config, reel_var y) {
    const reel_shape shape = REEL_SHAPE(config->num_classes + 1, config->hidden_size);
    reel_nn_begin(nn, "y_embedder.embedding_table");
    const reel_var table = reel_nn_param(nn, "weight", shape, narrow); /* [K+1,C] */
    reel_nn_end(nn);
    return reel_embedding(nn->tape, table, y, REEL_F32);
}

/* Patches through a linear layer, stored as the convolution it equals, plus positions: [B,T,C] */
static reel_var patch_embedding(reel_nn *nn, const reel_dit_config *config, reel_var x) {
    reel_tape *t = nn->tape;
    const reel_shape s = reel_tape_value(t, x)->shape; /* [B,in,H,W]: an image is one frame */
    const int64_t B = s.dim[0], in = s.dim[1], H = s.dim[2], W = s.dim[3];
    const int64_t p = config->patch_size, C = config->hidden_size, T = (H / p) * (W / p);
    reel_nn_begin(nn, "x_embedder.proj");
    reel_var w = reel_nn_param(nn, "weight", REEL_SHAPE(C, in, p, p), xavier); /* [C,in,p,p] */
    const reel_var b = reel_nn_param(nn, "bias", REEL_SHAPE(C), zero);         /* [C] */
    reel_nn_end(nn);
    w = reel_reshape(t, w, REEL_SHAPE(C, in * p * p));                     /* [C,in p p] */
    x = reel_reshape(t, x, REEL_SHAPE(B, in, 1, H, W));                    /* [B,in,1,H,W] */
    x = reel_patchify(t, x, (const int32_t[]){1, (int32_t)p, (int32_t)p}); /* [B,T,in p p] */
    x = reel_cast(t, x, reel_tape_value(t, w)->dtype);                     /* [B,T,in p p] */
    x = reel_linear(t, x, w, b, REEL_ACT_NONE, REEL_F32);                  /* [B,T,C] */
    return reel_add(t, x, reel_nn_param(nn, "pos_embed", REEL_SHAPE(1, T, C), narrow));
}

/* x [B,T,C] -> [B,T,p p out] -> [B,out,h p,w p] */
static reel_var final_layer(reel_nn *nn, const reel_dit_config *config, reel_var x, reel_var cond,
                            int64_t H, int64_t W) {
    const int64_t p = config->patch_size, out = config->in_channels * (config->learn_sigma ? 2 : 1);
    reel_nn_linear_options options = reel_nn_linear_default(nn);
    options.init = zero;
    options.out_dtype = REEL_F32;
    reel_var m[2]; /* shift, scale */
    reel_nn_begin(nn, "final_layer");
    modulation(nn, cond, 2, m);
    x = norm_modulate(nn, x, m[0], m[1]);                            /* [B,T,C] */
    x = reel_nn_linear_with(nn, "linear", x, p * p * out, &options); /* [B,T,p p out] */
    reel_nn_end(nn);
    const int32_t patch[3] = {1, (int32_t)p, (int32_t)p}, grid[3] = {1, (int32_t)H, (int32_t)W};
    x = reel_unpatchify(nn->tape, x, patch, grid); /* [B,out,1,H,W] */
    const int64_t B = reel_tape_value(nn->tape, x)->shape.dim[0];
    return reel_reshape(nn->tape, x, REEL_SHAPE(B, out, H, W));
}

/* Fails the tape unless config and x [B,in_channels,H,W] fit. */
static bool fits(reel_tape *t, const reel_dit_config *config, reel_var x) {
    const reel_status status = reel_dit_config_check(reel_tape_env(t), config);
    const reel_shape s = reel_tape_value(t, x)->shape;
    if (status != REEL_OK)
        reel_tape_fail(t, status, "dit");
    else if (s.rank != 4 || s.dim[1] != config->in_channels || s.dim[2] % config->patch_size ||
             s.dim[3] % config->patch_size)
        reel_tape_fail(t, REEL_E_SHAPE, "dit: x must be [B,%lld,H,W] in multiples of %lld, got %s",
                       (long long)config->in_channels, (long long)config->patch_size,
                       REEL_SHAPE_STR(&s));
    return reel_tape_status(t) == REEL_OK;
}

reel_var reel_dit(reel_nn *nn, const reel_dit_config *config, const reel_dit_input *input) {
    reel_tape *t = nn->tape;
    if (!fits(t, config, input->x)) return 0;
    const reel_shape s = reel_tape_value(t, input->x)->shape;                 /* [B,in,H,W] */
    reel_var x = patch_embedding(nn, config, input->x);                       /* [B,T,C] */
    const reel_var time = time_embedding(nn, config->hidden_size, input->t);  /* [B,C] */
    const reel_var kind = class_embedding(nn, config, input->y);              /* [B,C] */
    reel_var cond = reel_activate(t, reel_add(t, time, kind), REEL_ACT_SILU); /* [B,C] */
    for (int64_t i = 0; i < config->depth; i++) {
        (config->recompute ? reel_nn_begin_recompute : reel_nn_begin)(nn, "blocks.%d", (int)i);
        x = block(nn, config, x, cond); /* [B,T,C] */
        reel_nn_end(nn);
    }
    return final_layer(nn, config, x, cond, s.dim[2], s.dim[3]); /* [B,out,H,W] */
}

/* ---- configuration ---- */

reel_dit_config reel_dit_config_default(void) {
    return (reel_dit_config){.patch_size = 2,
                             .in_channels = 4,
                             .hidden_size = 384,
                             .depth = 12,
                             .num_heads = 6,
                             .mlp_ratio = 4,
                             .num_classes = 1000,
                             .learn_sigma = true};
}

static reel_status in_range(reel_env *env, const char *field, int64_t value, int64_t most) {
    if (value >= 1 && value <= most) return REEL_OK;
    return reel_fail(env, REEL_E_ARG, "dit: %s must be in 1..%lld, got %lld", field,
                     (long long)most, (long long)value);
}

reel_status reel_dit_config_check(reel_env *env, const reel_dit_config *c) {
    const struct {
        const char *name;
        int64_t value, most;
    } field[] = {{"patch_size", c->patch_size, 64},       {"in_channels", c->in_channels, 4096},
                 {"hidden_size", c->hidden_size, 65536},  {"depth", c->depth, 1024},
                 {"num_heads", c->num_heads, 1024},       {"mlp_ratio", c->mlp_ratio, 64},
                 {"num_classes", c->num_classes, 1 << 24}};
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        const reel_status status = in_range(env, field[i].name, field[i].value, field[i].most);
        if (status != REEL_OK) return status;
    }
    if (c->hidden_size % c->num_heads)
        return reel_fail(env, REEL_E_ARG,
                         "dit: hidden_size %lld must be a multiple of num_heads %lld",
                         (long long)c->hidden_size, (long long)c->num_heads);
    return REEL_OK;
}
