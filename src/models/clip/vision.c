#include "models/clip/vision.h"

#include <math.h>

#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/grid.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/norm.h"

enum { MOST_PICTURES = REEL_MAX_PARTS };

static const reel_init one = {REEL_INIT_ONE, 0};
static const reel_init zero = {REEL_INIT_ZERO, 0};
static const reel_init narrow = {REEL_INIT_NORMAL, 0.02f};

/* ---- parts ---- */

/* h [B,T,C] f32 -> [B,T,C] of a dtype */
static reel_var norm(reel_nn *nn, const reel_clip_vision_config *c, const char *name, reel_var h,
                     reel_dtype dtype) {
    reel_nn_begin(nn, "%s", name);
    const reel_var w = reel_nn_param(nn, "weight", REEL_SHAPE(c->hidden_size), one);
    const reel_var b = reel_nn_param(nn, "bias", REEL_SHAPE(c->hidden_size), zero);
    h = reel_layer_norm(nn->tape, h, w, b, (float)c->layer_norm_eps, dtype);
    reel_nn_end(nn);
    return h;
}

static reel_var linear(reel_nn *nn, const char *name, reel_var x, int64_t O, reel_activation act,
                       reel_dtype dtype) {
    const reel_nn_linear_options options = {act, narrow, dtype, true};
    return reel_nn_linear_with(nn, name, x, O, &options);
}

/* [B,T,n C] -> [B,T,n,N,D], or [B,T,N,D] when n is 1 */
static reel_var heads(reel_nn *nn, const reel_clip_vision_config *c, reel_var h, int64_t n) {
    const reel_shape s = reel_tape_value(nn->tape, h)->shape;
    const int64_t B = s.dim[0], T = s.dim[1], N = c->num_attention_heads, D = c->hidden_size / N;
    return reel_reshape(nn->tape, h, n == 1 ? REEL_SHAPE(B, T, N, D) : REEL_SHAPE(B, T, n, N, D));
}

static reel_var attention(reel_nn *nn, const reel_clip_vision_config *c, reel_var h) {
    const int64_t C = c->hidden_size;
    const reel_shape s = reel_tape_value(nn->tape, h)->shape; /* [B,T,C] */
    reel_attention_in in = {0};
    reel_nn_begin(nn, "self_attn");
    if (c->open_clip) {
        in.qkv = heads(nn, c, linear(nn, "to_qkv", h, 3 * C, REEL_ACT_NONE, nn->compute), 3);
    } else {
        in.q = heads(nn, c, linear(nn, "q_proj", h, C, REEL_ACT_NONE, nn->compute), 1);
        in.k = heads(nn, c, linear(nn, "k_proj", h, C, REEL_ACT_NONE, nn->compute), 1);
        in.v = heads(nn, c, linear(nn, "v_proj", h, C, REEL_ACT_NONE, nn->compute), 1);
    }
    h = reel_reshape(nn->tape, reel_attention(nn->tape, &in), s); /* [B,T,C] */
    h = linear(nn, "out_proj", h, C, REEL_ACT_NONE, REEL_F32);    /* [B,T,C] */
    reel_nn_end(nn);
    return h;
}

/* h [B,T,C] f32 -> [B,T,C] f32 */
static reel_var block(reel_nn *nn, const reel_clip_vision_config *c, reel_var h) {
    reel_var y = norm(nn, c, "layer_norm1", h, nn->compute); /* [B,T,C] */
    h = reel_add(nn->tape, h, attention(nn, c, y));
    y = norm(nn, c, "layer_norm2", h, nn->compute); /* [B,T,C] */
    reel_nn_begin(nn, "mlp");
    y = linear(nn, "fc1", y, c->intermediate_size, REEL_ACT_GELU_ERF, nn->compute);
    y = linear(nn, "fc2", y, c->hidden_size, REEL_ACT_NONE, REEL_F32); /* [B,T,C] */
    reel_nn_end(nn);
    return reel_add(nn->tape, h, y);
}

/* Patches of x [B,3,S,S] -> [B,T-1,C] f32 */
static reel_var embed_patches(reel_nn *nn, const reel_clip_vision_config *c, reel_var x) {
    reel_tape *t = nn->tape;
    const int64_t P = c->patch_size, S = c->image_size;
    const int64_t B = reel_tape_value(t, x)->shape.dim[0];
    reel_nn_begin(nn, "patch_embedding");
    reel_var w = reel_nn_param(nn, "weight", REEL_SHAPE(c->hidden_size, 3, P, P), narrow);
    w = reel_reshape(t, w, REEL_SHAPE(c->hidden_size, 3 * P * P));
    const int32_t patch[3] = {1, (int32_t)P, (int32_t)P};
    x = reel_patchify(t, reel_reshape(t, x, REEL_SHAPE(B, 3, 1, S, S)), patch); /* [B,T-1,3PP] */
    x = reel_cast(t, x, reel_tape_value(t, w)->dtype);
    x = reel_linear(t, x, w, 0, REEL_ACT_NONE, REEL_F32);
    reel_nn_end(nn);
    return x;
}

/* x [B,3,S,S] -> [B,T,C] f32, with positions */
static reel_var embed(reel_nn *nn, const reel_clip_vision_config *c, reel_var x) {
    reel_tape *t = nn->tape;
    const int64_t T = reel_clip_vision_rows(c), C = c->hidden_size;
    const int64_t B = reel_tape_value(t, x)->shape.dim[0];
    reel_nn_begin(nn, "embeddings");
    reel_var class = reel_nn_param(nn, "class_embedding",
                                   c->open_clip ? REEL_SHAPE(1, 1, C) : REEL_SHAPE(C), narrow);
    class = reel_reshape(t, reel_cast(t, class, REEL_F32), REEL_SHAPE(1, 1, C));
    const reel_var copies[MOST_PICTURES] = {class, class, class, class, class, class, class, class};
    const reel_var part[] = {reel_concat(t, copies, (int)B, 0), embed_patches(nn, c, x)};
    reel_var h = reel_concat(t, part, 2, 1); /* [B,T,C] */
    reel_nn_begin(nn, "position_embedding");
    reel_var at =
        reel_nn_param(nn, "weight", c->open_clip ? REEL_SHAPE(1, T, C) : REEL_SHAPE(T, C), narrow);
    reel_nn_end(nn);
    at = reel_reshape(t, reel_cast(t, at, REEL_F32), REEL_SHAPE(1, T, C));
    h = reel_add(t, h, at);
    reel_nn_end(nn);
    return h;
}

/* ---- the model ---- */

/* Names have "vision_model." in front, within which this records. */
static reel_var record(reel_nn *nn, const reel_clip_vision_config *c, reel_var x,
                       int64_t n_blocks) {
    const reel_shape s = reel_tape_value(nn->tape, x)->shape;
    if (s.rank != 4 || s.dim[0] < 1 || s.dim[0] > MOST_PICTURES || s.dim[1] != 3 ||
        s.dim[2] != c->image_size || s.dim[3] != c->image_size) {
        reel_tape_fail(nn->tape, REEL_E_SHAPE, "clip: needs pictures [1..8,3,%lld,%lld], got %s",
                       (long long)c->image_size, (long long)c->image_size, REEL_SHAPE_STR(&s));
        return 0;
    }
    reel_var h = embed(nn, c, x);
    h = norm(nn, c, "pre_layrnorm", h, REEL_F32); /* transformers' spelling */
    for (int64_t i = 0; i < n_blocks; i++) {
        reel_nn_begin(nn, "encoder.layers.%lld", (long long)i);
        h = block(nn, c, h);
        reel_nn_end(nn);
    }
    return h;
}

reel_var reel_clip_vision(reel_nn *nn, const reel_clip_vision_config *c, reel_var x,
                          int64_t n_blocks) {
    reel_nn_begin(nn, "vision_model");
    const reel_var h = record(nn, c, x, n_blocks);
    reel_nn_end(nn);
    return h;
}

reel_var reel_clip_vision_whole(reel_nn *nn, const reel_clip_vision_config *c, reel_var x) {
    reel_nn_begin(nn, "vision_model");
    reel_var h = record(nn, c, x, c->num_hidden_layers);
    h = norm(nn, c, "post_layernorm", h, REEL_F32);
    reel_nn_end(nn);
    return h;
}

/* ---- pictures ---- */

/* Keys' kernel at distance x from a sample, a = -0.75. */
static double cubic(double x) {
    const double a = -0.75;
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
    return 0;
}

/* The four samples around the middle of output i of S, and their weights; edges are repeated. */
static void taps(int64_t i, int64_t n, int64_t S, int64_t at[4], double weight[4]) {
    const double x = ((double)i + 0.5) * (double)n / (double)S - 0.5;
    const int64_t first = (int64_t)floor(x) - 1;
    for (int k = 0; k < 4; k++) {
        weight[k] = cubic(x - (double)(first + k));
        at[k] = first + k < 0 ? 0 : first + k >= n ? n - 1 : first + k;
    }
}

/* In [0,1], or beyond where planes are. */
static double sample(const reel_clip_picture *p, int64_t c, int64_t y, int64_t x) {
    if (p->pixels) return p->pixels[(y * p->W + x) * 3 + c] / 255.0;
    return (double)p->planes[(c * p->H + y) * p->W + x] * 0.5 + 0.5;
}

void reel_clip_preprocess(const reel_clip_picture *picture, int64_t S, float *out) {
    static const double mean[] = {0.48145466, 0.4578275, 0.40821073}; /* of CLIP's pictures */
    static const double deviation[] = {0.26862954, 0.26130258, 0.27577711};
    for (int64_t i = 0; i < 3 * S * S; i++) {
        const int64_t c = i / (S * S);
        int64_t y[4], x[4];
        double wy[4], wx[4], sum = 0;
        taps(i / S % S, picture->H, S, y, wy);
        taps(i % S, picture->W, S, x, wx);
        for (int k = 0; k < 16; k++)
            sum += wy[k / 4] * wx[k % 4] * sample(picture, c, y[k / 4], x[k % 4]);
        out[i] = (float)((sum - mean[c]) / deviation[c]);
    }
}

/* ---- configuration ---- */

reel_clip_vision_config reel_clip_vision_config_default(void) {
    return (reel_clip_vision_config){.hidden_size = 1280,
                                     .intermediate_size = 5120,
                                     .num_hidden_layers = 32,
                                     .num_attention_heads = 16,
                                     .image_size = 224,
                                     .patch_size = 14,
                                     .layer_norm_eps = 1e-5};
}

int64_t reel_clip_vision_rows(const reel_clip_vision_config *c) {
    const int64_t n = c->image_size / c->patch_size;
    return 1 + n * n;
}

reel_status reel_clip_vision_config_check(reel_env *env, const reel_clip_vision_config *c) {
    const struct {
        const char *name;
        int64_t value, least, most;
    } field[] = {
        {"hidden_size", c->hidden_size, 1, 65536},
        {"intermediate_size", c->intermediate_size, 1, 1 << 20},
        {"num_hidden_layers", c->num_hidden_layers, 1, 1024},
        {"num_attention_heads", c->num_attention_heads, 1, 1024},
        {"image_size", c->image_size, 1, 4096},
        {"patch_size", c->patch_size, 1, 1024},
    };
    for (size_t i = 0; i < sizeof field / sizeof *field; i++)
        if (field[i].value < field[i].least || field[i].value > field[i].most)
            return reel_fail(env, REEL_E_ARG, "clip: %s must be in %lld..%lld, got %lld",
                             field[i].name, (long long)field[i].least, (long long)field[i].most,
                             (long long)field[i].value);
    if (c->hidden_size % c->num_attention_heads)
        return reel_fail(env, REEL_E_ARG,
                         "clip: hidden_size %lld is no multiple of num_attention_heads %lld",
                         (long long)c->hidden_size, (long long)c->num_attention_heads);
    if (c->image_size % c->patch_size)
        return reel_fail(env, REEL_E_ARG, "clip: image_size %lld is no multiple of patch_size %lld",
                         (long long)c->image_size, (long long)c->patch_size);
    if (!(c->layer_norm_eps > 0 && c->layer_norm_eps < 1))
        return reel_fail(env, REEL_E_ARG, "clip: layer_norm_eps must be in (0,1), got %g",
                         c->layer_norm_eps);
    return REEL_OK;
}
