#include "models/wan/dit.h"

#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/grid.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/modulate.h"
#include "ops/norm.h"
#include "ops/reduce.h"
#include "ops/rope.h"
#include "ops/timestep.h"

static const reel_init one = {REEL_INIT_ONE, 0};
static const reel_init zero = {REEL_INIT_ZERO, 0};
static const reel_init xavier = {REEL_INIT_XAVIER, 1};
static const reel_init narrow = {REEL_INIT_NORMAL, 0.02f};

static int64_t width(const reel_wan_dit_config *c) {
    return c->num_attention_heads * c->attention_head_dim;
}
static int64_t patch_elements(const reel_wan_dit_config *c) {
    return c->patch_size[0] * c->patch_size[1] * c->patch_size[2];
}

static reel_var linear(reel_nn *nn, const char *name, reel_var x, int64_t O, reel_activation act,
                       reel_init init, reel_dtype out_dtype) {
    const reel_nn_linear_options options = {act, init, out_dtype, true};
    return reel_nn_linear_with(nn, name, x, O, &options);
}

/* What every block gets. */
typedef struct context {
    const reel_wan_dit_config *config;
    const reel_wan_dit_input *input;
    reel_var rope;       /* [T,D] */
    reel_var modulation; /* [R,6,C] f32 */
    reel_var text;       /* [B,X,C] */
    reel_var image;      /* [B,Y,C], or 0 */
} context;

/* ---- modulation ---- */

/* table [1,n,C] + m [R,n,C] or [R,1,C], as n rows of modulation [R,C]. */
static void modulation(reel_nn *nn, reel_var m, int n, reel_var *part) {
    reel_tape *t = nn->tape;
    const reel_shape s = reel_tape_value(t, m)->shape;
    const int64_t R = s.dim[0], C = s.dim[2];
    reel_var table = reel_nn_param(nn, "scale_shift_table", REEL_SHAPE(1, n, C), narrow);
    m = reel_add(t, m, reel_cast(t, table, REEL_F32)); /* [R,n,C] */
    reel_split_evenly(t, m, 1, n, part);               /* n x [R,1,C] */
    for (int i = 0; i < n; i++)
        part[i] = reel_reshape(t, part[i], REEL_SHAPE(R, C));
}

/* layer norm without weights, then * (1 + scale) + shift: [B,T,C] f32 -> [B,T,C] */
static reel_var norm_modulate(reel_nn *nn, const context *x, reel_var h, reel_var shift,
                              reel_var scale) {
    const reel_modulate_attr attr = {REEL_NORM_LAYER, nn->compute, (float)x->config->eps};
    return reel_norm_modulate(nn->tape, h, shift, scale, x->input->map, &attr);
}

/* ---- attention ---- */

/* RMS norm over all heads of a token: h [B,T,C] -> [B,T,C] */
static reel_var head_norm(reel_nn *nn, const context *x, const char *name, reel_var h) {
    if (!x->config->qk_norm) return h;
    reel_nn_begin(nn, "%s", name);
    const reel_var w = reel_nn_param(nn, "weight", REEL_SHAPE(width(x->config)), one);
    reel_nn_end(nn);
    return reel_rms_norm(nn->tape, h, w, (float)x->config->eps, nn->compute);
}

/* [B,T,C] -> [B,T,N,D] */
static reel_var heads(reel_nn *nn, const context *x, reel_var h) {
    const reel_shape s = reel_tape_value(nn->tape, h)->shape;
    return reel_reshape(nn->tape, h,
                        REEL_SHAPE(s.dim[0], s.dim[1], x->config->num_attention_heads,
                                   x->config->attention_head_dim));
}

/* [B,T,N,D] -> [B,T,C] */
static reel_var joined(reel_nn *nn, const context *x, reel_var h) {
    const reel_shape s = reel_tape_value(nn->tape, h)->shape;
    return reel_reshape(nn->tape, h, REEL_SHAPE(s.dim[0], s.dim[1], width(x->config)));
}

/* The norm of head_norm and the rotation in one record: h [B,T,C] -> [B,T,N,D] */
static reel_var norm_rope(reel_nn *nn, const context *x, const char *name, reel_var h) {
    const bool norm = x->config->qk_norm;
    const reel_qk_attr attr = {.norm = norm ? REEL_QK_NORM_TOKEN : REEL_QK_NORM_NONE,
                               .out_dtype = nn->compute,
                               .eps = (float)x->config->eps};
    reel_nn_begin(nn, "%s", name);
    const reel_var w =
        norm ? reel_nn_param(nn, "weight", REEL_SHAPE(width(x->config)), one) : 0; /* [C] */
    reel_nn_end(nn);
    return reel_qk_norm_rope(nn->tape, heads(nn, x, h), w, x->rope, &attr);
}

static reel_var self_attention(reel_nn *nn, const context *x, reel_var h) {
    const int64_t C = width(x->config);
    reel_nn_begin(nn, "attn1");
    reel_var q = linear(nn, "to_q", h, C, REEL_ACT_NONE, xavier, nn->compute); /* [B,T,C] */
    reel_var k = linear(nn, "to_k", h, C, REEL_ACT_NONE, xavier, nn->compute); /* [B,T,C] */
    reel_var v = linear(nn, "to_v", h, C, REEL_ACT_NONE, xavier, nn->compute); /* [B,T,C] */
    const reel_attention_in in = {.q = norm_rope(nn, x, "norm_q", q),          /* [B,T,N,D] */
                                  .k = norm_rope(nn, x, "norm_k", k),          /* [B,T,N,D] */
                                  .v = heads(nn, x, v),                        /* [B,T,N,D] */
                                  .q_offsets = x->input->offsets};
    h = joined(nn, x, reel_attention(nn->tape, &in));                     /* [B,T,C] */
    h = linear(nn, "to_out.0", h, C, REEL_ACT_NONE, xavier, nn->compute); /* [B,T,C] */
    reel_nn_end(nn);
    return h;
}

/* q [B,T,N,D] on a condition of its own keys and values: source [B,X,C] -> [B,T,C] */
static reel_var attend(reel_nn *nn, const context *x, reel_var q, reel_var source, const char *to_k,
                       const char *to_v, const char *norm_k, bool packed) {
    const int64_t C = width(x->config);
    reel_var k = linear(nn, to_k, source, C, REEL_ACT_NONE, xavier, nn->compute); /* [B,X,C] */
    reel_var v = linear(nn, to_v, source, C, REEL_ACT_NONE, xavier, nn->compute); /* [B,X,C] */
    const reel_attention_in in = {.q = q,
                                  .k = heads(nn, x, head_norm(nn, x, norm_k, k)),
                                  .v = heads(nn, x, v),
                                  .q_offsets = packed ? x->input->offsets : 0,
                                  .k_offsets = packed ? x->input->text_offsets : 0};
    return joined(nn, x, reel_attention(nn->tape, &in)); /* [B,T,C] */
}

/* Text and image are attended to apart and added, so that neither's softmax sees the other. */
static reel_var cross_attention(reel_nn *nn, const context *x, reel_var h) {
    const int64_t C = width(x->config);
    reel_nn_begin(nn, "attn2");
    reel_var q = linear(nn, "to_q", h, C, REEL_ACT_NONE, xavier, nn->compute); /* [B,T,C] */
    q = heads(nn, x, head_norm(nn, x, "norm_q", q));                           /* [B,T,N,D] */
    h = attend(nn, x, q, x->text, "to_k", "to_v", "norm_k", x->input->offsets != 0);
    if (x->image) {
        const reel_var image = attend(nn, x, q, x->image, "add_k_proj", "add_v_proj",
                                      "norm_added_k", false); /* [B,T,C] */
        h = reel_add(nn->tape, h, image);                     /* [B,T,C] */
    }
    h = linear(nn, "to_out.0", h, C, REEL_ACT_NONE, xavier, nn->compute); /* [B,T,C] */
    reel_nn_end(nn);
    return h;
}

/* ---- a block ---- */

static reel_var mlp(reel_nn *nn, const context *x, reel_var h) {
    reel_nn_begin(nn, "ffn.net");
    h = linear(nn, "0.proj", h, x->config->ffn_dim, REEL_ACT_GELU_TANH, xavier, nn->compute);
    h = linear(nn, "2", h, width(x->config), REEL_ACT_NONE, xavier, nn->compute); /* [B,T,C] */
    reel_nn_end(nn);
    return h;
}

/* The layer norm before cross-attention: h [B,T,C] f32 -> [B,T,C] */
static reel_var cross_norm(reel_nn *nn, const context *x, reel_var h) {
    if (!x->config->cross_attn_norm) return reel_cast(nn->tape, h, nn->compute);
    reel_nn_begin(nn, "norm2");
    const reel_var w = reel_nn_param(nn, "weight", REEL_SHAPE(width(x->config)), one); /* [C] */
    const reel_var b = reel_nn_param(nn, "bias", REEL_SHAPE(width(x->config)), zero);  /* [C] */
    reel_nn_end(nn);
    return reel_layer_norm(nn->tape, h, w, b, (float)x->config->eps, nn->compute);
}

/* h [B,T,C] f32 -> [B,T,C] f32 */
static reel_var block(reel_nn *nn, const context *x, reel_var h) {
    reel_tape *t = nn->tape;
    const reel_var map = x->input->map;
    reel_var m[6]; /* shift, scale, gate of self-attention, then of the mlp: [R,C] each */
    modulation(nn, x->modulation, 6, m);
    reel_var y = norm_modulate(nn, x, h, m[0], m[1]); /* [B,T,C] */
    y = self_attention(nn, x, y);                     /* [B,T,C] */
    h = reel_gate(t, h, y, m[2], map);                /* [B,T,C] */
    y = cross_norm(nn, x, h);                         /* [B,T,C] */
    y = cross_attention(nn, x, y);                    /* [B,T,C] */
    h = reel_gate(t, h, y, 0, 0);                     /* [B,T,C] */
    y = norm_modulate(nn, x, h, m[3], m[4]);          /* [B,T,C] */
    y = mlp(nn, x, y);                                /* [B,T,C] */
    return reel_gate(t, h, y, m[5], map);             /* [B,T,C] */
}

/* ---- conditions ---- */

static int64_t texts(reel_tape *t, const reel_wan_dit_input *input) {
    return input->n_texts ? input->n_texts : reel_tape_value(t, input->text)->shape.dim[0];
}

/* Rows of G texts [B,X,text_dim] -> what each says in all [G,1,C] f32 */
static reel_var pooled_condition(reel_nn *nn, const context *x) {
    reel_tape *t = nn->tape;
    const reel_shape s = reel_tape_value(t, x->input->text)->shape;
    const int64_t C = width(x->config), G = texts(t, x->input);
    reel_var h = reel_reshape(t, x->input->text, REEL_SHAPE(G, s.dim[0] * s.dim[1] / G, s.dim[2]));
    h = reel_sum(t, h, 1u << 1, REEL_DROP_AXES);    /* [G,text_dim] f32 */
    h = reel_rms_norm(t, h, 0, 1e-6f, nn->compute); /* [G,text_dim] */
    reel_nn_begin(nn, "pooled_embedder");
    h = linear(nn, "linear_1", h, C, REEL_ACT_SILU, narrow, nn->compute); /* [G,C] */
    h = linear(nn, "linear_2", h, C, REEL_ACT_NONE, zero, REEL_F32);      /* [G,C] */
    reel_nn_end(nn);
    return reel_reshape(t, h, REEL_SHAPE(G, 1, C));
}

/* Embeddings of levels [R,C] f32 and those of their texts: [R,C] f32 */
static reel_var add_pooled(reel_nn *nn, const context *x, reel_var h) {
    reel_tape *t = nn->tape;
    const reel_shape s = reel_tape_value(t, h)->shape;
    const int64_t G = texts(t, x->input);
    if (!x->config->pooled_text) return h;
    h = reel_reshape(t, h, REEL_SHAPE(G, s.dim[0] / G, s.dim[1]));
    h = reel_add(t, h, pooled_condition(nn, x)); /* [G,R/G,C] */
    return reel_reshape(t, h, s);
}

/* Noise levels t [R] -> *temb [R,1,C], and what the blocks are modulated with [R,6,C]; both f32. */
static reel_var time_condition(reel_nn *nn, const context *x, reel_var *temb) {
    reel_tape *t = nn->tape;
    const int64_t C = width(x->config);
    reel_timestep_attr wave = reel_timestep_attr_default();
    wave.dim = (int32_t)x->config->freq_dim;
    reel_var h = reel_timestep(t, x->input->t, wave); /* [R,freq_dim] */
    const int64_t R = reel_tape_value(t, h)->shape.dim[0];
    reel_nn_begin(nn, "time_embedder");
    h = linear(nn, "linear_1", h, C, REEL_ACT_SILU, narrow, REEL_F32); /* [R,C] */
    h = linear(nn, "linear_2", h, C, REEL_ACT_NONE, narrow, REEL_F32); /* [R,C] */
    reel_nn_end(nn);
    h = add_pooled(nn, x, h); /* [R,C] */
    *temb = reel_reshape(t, h, REEL_SHAPE(R, 1, C));
    h = reel_activate(t, h, REEL_ACT_SILU);                                 /* [R,C] */
    h = linear(nn, "time_proj", h, 6 * C, REEL_ACT_NONE, xavier, REEL_F32); /* [R,6C] */
    return reel_reshape(t, h, REEL_SHAPE(R, 6, C));
}

/* Rows of the text encoder [B,X,text_dim] -> [B,X,C] */
static reel_var text_condition(reel_nn *nn, const context *x) {
    const int64_t C = width(x->config);
    reel_nn_begin(nn, "text_embedder");
    reel_var h = linear(nn, "linear_1", x->input->text, C, REEL_ACT_GELU_TANH, narrow, nn->compute);
    h = linear(nn, "linear_2", h, C, REEL_ACT_NONE, narrow, nn->compute);
    reel_nn_end(nn);
    return h;
}

static reel_var image_norm(reel_nn *nn, const char *name, reel_var h) {
    const int64_t I = reel_shape_last(&reel_tape_value(nn->tape, h)->shape);
    reel_nn_begin(nn, "%s", name);
    const reel_var w = reel_nn_param(nn, "weight", REEL_SHAPE(I), one);
    const reel_var b = reel_nn_param(nn, "bias", REEL_SHAPE(I), zero);
    reel_nn_end(nn);
    return reel_layer_norm(nn->tape, h, w, b, 1e-5f, nn->compute); /* torch's default eps */
}

/* Rows of CLIP [B,Y,image_dim] -> [B,Y,C] */
static reel_var image_condition(reel_nn *nn, const context *x) {
    if (!x->config->image_dim) return 0;
    reel_nn_begin(nn, "image_embedder");
    reel_var h = image_norm(nn, "norm1", x->input->image); /* [B,Y,image_dim] */
    reel_nn_begin(nn, "ff.net");
    h = linear(nn, "0.proj", h, x->config->image_dim, REEL_ACT_GELU_ERF, xavier, nn->compute);
    h = linear(nn, "2", h, width(x->config), REEL_ACT_NONE, xavier, nn->compute); /* [B,Y,C] */
    reel_nn_end(nn);
    h = image_norm(nn, "norm2", h); /* [B,Y,C] */
    reel_nn_end(nn);
    return h;
}

/* ---- the model ---- */

/* Patches through a linear layer, stored as the convolution it equals: [B,T,in P] -> [B,T,C] f32 */
static reel_var patch_embedding(reel_nn *nn, const reel_wan_dit_config *c, reel_var tokens) {
    const int64_t C = width(c), *p = c->patch_size;
    reel_nn_begin(nn, "patch_embedding");
    reel_var w =
        reel_nn_param(nn, "weight", REEL_SHAPE(C, c->in_channels, p[0], p[1], p[2]), xavier);
    const reel_var b = reel_nn_param(nn, "bias", REEL_SHAPE(C), zero);
    w = reel_reshape(nn->tape, w, REEL_SHAPE(C, c->in_channels * patch_elements(c)));
    tokens = reel_cast(nn->tape, tokens, reel_tape_value(nn->tape, w)->dtype);
    const reel_var h = reel_linear(nn->tape, tokens, w, b, REEL_ACT_NONE, REEL_F32);
    reel_nn_end(nn);
    return h;
}

static bool levels_fit_texts(reel_tape *t, const reel_wan_dit_input *input) {
    const int64_t G = texts(t, input), R = reel_tape_value(t, input->t)->shape.dim[0];
    const reel_shape s = reel_tape_value(t, input->text)->shape;
    return R % G == 0 && s.dim[0] * s.dim[1] % G == 0;
}

/* Fails the tape unless the configuration is sound and what it asks for was given. */
static bool fits(reel_tape *t, const reel_wan_dit_config *c, const reel_wan_dit_input *input) {
    const reel_status status = reel_wan_dit_config_check(reel_tape_env(t), c);
    if (status != REEL_OK)
        reel_tape_fail(t, status, "wan dit");
    else if ((c->image_dim > 0) != (input->image != 0))
        reel_tape_fail(t, REEL_E_ARG, "wan dit: %s",
                       c->image_dim ? "needs image embeddings, got none"
                                    : "takes no image embeddings");
    else if ((input->offsets != 0) != (input->text_offsets != 0))
        reel_tape_fail(t, REEL_E_ARG, "wan dit: offsets and text_offsets go together");
    else if (input->offsets && input->image)
        reel_tape_fail(t, REEL_E_UNSUPPORTED, "wan dit: packed clips with image embeddings");
    else if (c->pooled_text && !levels_fit_texts(t, input))
        reel_tape_fail(t, REEL_E_SHAPE,
                       "wan dit: levels and rows of text must fall into %lld texts",
                       (long long)texts(t, input));
    return reel_tape_status(t) == REEL_OK;
}

reel_var reel_wan_dit_tokens(reel_nn *nn, const reel_wan_dit_config *config, reel_var tokens,
                             const reel_wan_dit_input *input) {
    reel_tape *t = nn->tape;
    if (!fits(t, config, input)) return 0;
    context x = {.config = config, .input = input};
    reel_var temb, m[2];
    x.rope = reel_rope_table(t, input->positions, config->attention_head_dim, 10000); /* [T,D] */
    reel_var h = patch_embedding(nn, config, tokens);                                 /* [B,T,C] */
    reel_nn_begin(nn, "condition_embedder");
    x.modulation = time_condition(nn, &x, &temb); /* [R,6,C] */
    x.text = text_condition(nn, &x);              /* [B,X,C] */
    x.image = image_condition(nn, &x);            /* [B,Y,C] */
    reel_nn_end(nn);
    for (int64_t i = 0; i < config->num_layers; i++) {
        reel_nn_begin(nn, "blocks.%d", (int)i);
        h = block(nn, &x, h); /* [B,T,C] */
        reel_nn_end(nn);
        if (input->middle && i == (config->num_layers - 1) / 2) *input->middle = h;
    }
    modulation(nn, temb, 2, m);               /* shift, scale: [R,C] */
    h = norm_modulate(nn, &x, h, m[0], m[1]); /* [B,T,C] */
    return linear(nn, "proj_out", h, patch_elements(config) * config->out_channels, REEL_ACT_NONE,
                  zero, REEL_F32); /* [B,T,P out] */
}

reel_var reel_wan_dit(reel_nn *nn, const reel_wan_dit_config *config, reel_var x,
                      const reel_wan_dit_input *input) {
    const reel_shape s = reel_tape_value(nn->tape, x)->shape; /* [B,in,F,H,W] */
    const int32_t grid[3] = {(int32_t)s.dim[2], (int32_t)s.dim[3], (int32_t)s.dim[4]};
    int32_t patch[3];
    for (int i = 0; i < 3; i++)
        patch[i] = (int32_t)config->patch_size[i];
    const reel_var tokens = reel_patchify(nn->tape, x, patch); /* [B,T,in P] */
    const reel_var rows = reel_wan_dit_tokens(nn, config, tokens, input);
    return reel_unpatchify(nn->tape, rows, patch, grid); /* [B,out,F,H,W] */
}

void reel_wan_dit_positions(int64_t f, int64_t h, int64_t w, int32_t *position) {
    for (int64_t i = 0; i < f * h * w; i++) {
        position[3 * i] = (int32_t)(i / (h * w));
        position[3 * i + 1] = (int32_t)(i / w % h);
        position[3 * i + 2] = (int32_t)(i % w);
    }
}

/* ---- configuration ---- */

reel_wan_dit_config reel_wan_dit_config_default(void) {
    return (reel_wan_dit_config){.patch_size = {1, 2, 2},
                                 .num_attention_heads = 12,
                                 .attention_head_dim = 128,
                                 .in_channels = 16,
                                 .out_channels = 16,
                                 .text_dim = 4096,
                                 .freq_dim = 256,
                                 .ffn_dim = 8960,
                                 .num_layers = 30,
                                 .cross_attn_norm = true,
                                 .qk_norm = true,
                                 .eps = 1e-6};
}

bool reel_wan_dit_has_planes(const reel_wan_dit_config *c) {
    return !c->image_dim && c->in_channels == c->out_channels + REEL_WAN_DIT_PLANES;
}

bool reel_wan_dit_takes_picture(const reel_wan_dit_config *c) {
    return c->image_dim || (c->in_channels != c->out_channels && !reel_wan_dit_has_planes(c));
}

float reel_wan_dit_plane(int64_t i, int64_t n) {
    return (float)(2 * i + 1) / (float)n - 1;
}

reel_status reel_wan_dit_config_check(reel_env *env, const reel_wan_dit_config *c) {
    const struct {
        const char *name;
        int64_t value, least, most;
    } field[] = {
        {"patch_size[0]", c->patch_size[0], 1, 64},
        {"patch_size[1]", c->patch_size[1], 1, 64},
        {"patch_size[2]", c->patch_size[2], 1, 64},
        {"num_attention_heads", c->num_attention_heads, 1, 1024},
        {"attention_head_dim", c->attention_head_dim, 2, 4096},
        {"in_channels", c->in_channels, 1, 65536},
        {"out_channels", c->out_channels, 1, 65536},
        {"text_dim", c->text_dim, 1, 65536},
        {"freq_dim", c->freq_dim, 2, 65536},
        {"ffn_dim", c->ffn_dim, 1, 1 << 20},
        {"num_layers", c->num_layers, 1, 1024},
        {"image_dim", c->image_dim, 0, 65536},
        {"added_kv_proj_dim", c->added_kv_proj_dim, 0, 1 << 20},
    };
    for (size_t i = 0; i < sizeof field / sizeof *field; i++)
        if (field[i].value < field[i].least || field[i].value > field[i].most)
            return reel_fail(env, REEL_E_ARG, "wan dit: %s must be in %lld..%lld, got %lld",
                             field[i].name, (long long)field[i].least, (long long)field[i].most,
                             (long long)field[i].value);
    if (c->attention_head_dim % 2)
        return reel_fail(env, REEL_E_ARG, "wan dit: attention_head_dim must be even, got %lld",
                         (long long)c->attention_head_dim);
    if (c->image_dim && c->added_kv_proj_dim != width(c))
        return reel_fail(env, REEL_E_ARG, "wan dit: added_kv_proj_dim must be %lld, got %lld",
                         (long long)width(c), (long long)c->added_kv_proj_dim);
    if (!(c->eps > 0 && c->eps < 1))
        return reel_fail(env, REEL_E_ARG, "wan dit: eps must be in (0,1), got %g", c->eps);
    return REEL_OK;
}
