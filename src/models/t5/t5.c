#include "models/t5/t5.h"

#include <math.h>

#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/layout.h"
#include "ops/modulate.h"
#include "ops/norm.h"
#include "ops/permute.h"

static const reel_init one = {REEL_INIT_ONE, 0};
static const reel_init unit_normal = {REEL_INIT_NORMAL, 1};

/* T5 starts its products as if queries were scaled by 1/sqrt(D): attention itself has no scale. */
static reel_var product(reel_nn *nn, const char *name, reel_var x, int64_t O, double deviation,
                        reel_activation act) {
    reel_nn_linear_options options = reel_nn_linear_default(nn);
    options.bias = false;
    options.act = act;
    options.init = (reel_init){REEL_INIT_NORMAL, (float)deviation};
    return reel_nn_linear_with(nn, name, x, O, &options);
}

/* x / rms(x) * weight: [B,T,C] f32 -> [B,T,C] */
static reel_var layer_norm(reel_nn *nn, const reel_t5_config *config, const char *name, reel_var x,
                           reel_dtype out_dtype) {
    reel_nn_begin(nn, "%s", name);
    const reel_var w = reel_nn_param(nn, "weight", REEL_SHAPE(config->d_model), one);
    reel_nn_end(nn);
    return reel_rms_norm(nn->tape, x, w, (float)config->layer_norm_epsilon, out_dtype);
}

/* The table [buckets,N] read at every pair of positions: [N,T,T] f32, added to the products. */
static reel_var position_bias(reel_nn *nn, const reel_t5_config *config, reel_var buckets) {
    const reel_shape shape = REEL_SHAPE(config->relative_attention_num_buckets, config->num_heads);
    reel_nn_begin(nn, "relative_attention_bias");
    const reel_var table = reel_nn_param(nn, "weight", shape, unit_normal);   /* [buckets,N] */
    const reel_var bias = reel_embedding(nn->tape, table, buckets, REEL_F32); /* [T,T,N] */
    reel_nn_end(nn);
    return REEL_PERMUTE(nn->tape, bias, 2, 0, 1); /* [N,T,T] */
}

/* x [B,T,C] -> [B,T,C]; *bias is made where the layer has one, and kept for those that share it. */
static reel_var self_attention(reel_nn *nn, const reel_t5_config *config,
                               const reel_t5_input *input, reel_var x, bool has_bias,
                               reel_var *bias) {
    reel_tape *t = nn->tape;
    const reel_shape s = reel_tape_value(t, x)->shape;
    const int64_t B = s.dim[0], T = s.dim[1], C = s.dim[2], N = config->num_heads, D = config->d_kv;
    const double narrow = 1 / sqrt((double)C);
    reel_nn_begin(nn, "SelfAttention");
    reel_var q = product(nn, "q", x, N * D, narrow / sqrt((double)D), REEL_ACT_NONE); /* [B,T,ND] */
    reel_var k = product(nn, "k", x, N * D, narrow, REEL_ACT_NONE);                   /* [B,T,ND] */
    reel_var v = product(nn, "v", x, N * D, narrow, REEL_ACT_NONE);                   /* [B,T,ND] */
    if (has_bias) *bias = position_bias(nn, config, input->buckets);                  /* [N,T,T] */
    const reel_attention_in in = {.q = reel_reshape(t, q, REEL_SHAPE(B, T, N, D)),
                                  .k = reel_reshape(t, k, REEL_SHAPE(B, T, N, D)),
                                  .v = reel_reshape(t, v, REEL_SHAPE(B, T, N, D)),
                                  .key_mask = input->key_mask,
                                  .bias = *bias,
                                  .scale = 1};
    reel_var h = reel_attention(t, &in);                                  /* [B,T,N,D] */
    h = reel_reshape(t, h, REEL_SHAPE(B, T, N * D));                      /* [B,T,ND] */
    h = product(nn, "o", h, C, 1 / sqrt((double)(N * D)), REEL_ACT_NONE); /* [B,T,C] */
    reel_nn_end(nn);
    return h;
}

/* gelu(x wi_0) * (x wi_1), then wo: [B,T,C] -> [B,T,C] */
static reel_var gated_mlp(reel_nn *nn, const reel_t5_config *config, reel_var x) {
    const double narrow = 1 / sqrt((double)config->d_model);
    reel_nn_begin(nn, "DenseReluDense");
    const reel_var gate = product(nn, "wi_0", x, config->d_ff, narrow, REEL_ACT_GELU_TANH);
    const reel_var value = product(nn, "wi_1", x, config->d_ff, narrow, REEL_ACT_NONE);
    const reel_var h = reel_mul(nn->tape, gate, value); /* [B,T,d_ff] */
    x = product(nn, "wo", h, config->d_model, 1 / sqrt((double)config->d_ff), REEL_ACT_NONE);
    reel_nn_end(nn);
    return x;
}

/* x [B,T,C] f32 -> [B,T,C] f32 */
static reel_var block(reel_nn *nn, const reel_t5_config *config, const reel_t5_input *input,
                      reel_var x, bool has_bias, reel_var *bias) {
    reel_nn_begin(nn, "layer.0");
    reel_var h = layer_norm(nn, config, "layer_norm", x, nn->compute); /* [B,T,C] */
    h = self_attention(nn, config, input, h, has_bias, bias);          /* [B,T,C] */
    reel_nn_end(nn);
    x = reel_gate(nn->tape, x, h, 0, 0); /* [B,T,C] */
    reel_nn_begin(nn, "layer.1");
    h = layer_norm(nn, config, "layer_norm", x, nn->compute); /* [B,T,C] */
    h = gated_mlp(nn, config, h);                             /* [B,T,C] */
    reel_nn_end(nn);
    return reel_gate(nn->tape, x, h, 0, 0); /* [B,T,C] */
}

reel_var reel_t5(reel_nn *nn, const reel_t5_config *config, const reel_t5_input *input) {
    const reel_status status = reel_t5_config_check(reel_tape_env(nn->tape), config);
    if (status != REEL_OK) {
        reel_tape_fail(nn->tape, status, "t5");
        return 0;
    }
    const reel_shape shape = REEL_SHAPE(config->vocab_size, config->d_model);
    reel_nn_begin(nn, "shared");
    const reel_var table = reel_nn_param_stored(nn, "weight", shape, unit_normal); /* [V,C] */
    reel_nn_end(nn);
    reel_var x = reel_embedding(nn->tape, table, input->ids, REEL_F32); /* [B,T,C] */
    reel_var bias = 0;
    reel_nn_begin(nn, "encoder");
    for (int64_t i = 0; i < config->num_layers; i++) {
        reel_nn_begin(nn, "block.%d", (int)i);
        x = block(nn, config, input, x, i == 0 || !config->shared_bias, &bias); /* [B,T,C] */
        reel_nn_end(nn);
    }
    x = layer_norm(nn, config, "final_layer_norm", x, REEL_F32); /* [B,T,C] */
    reel_nn_end(nn);
    return x;
}

/* ---- relative positions ---- */

/* The logarithm is taken in f32 and truncated, as the reference does: an exact one could fall on
 * the other side of a boundary. */
static int32_t bucket_of(const reel_t5_config *config, int64_t distance) {
    const int64_t half = config->relative_attention_num_buckets / 2, exact = half / 2;
    const int32_t side = distance > 0 ? (int32_t)half : 0;
    const int64_t n = distance < 0 ? -distance : distance;
    if (n < exact) return side + (int32_t)n;
    const float far = logf((float)n / (float)exact) /
                      logf((float)config->relative_attention_max_distance / (float)exact) *
                      (float)(half - exact);
    const int64_t at = exact + (int64_t)far;
    return side + (int32_t)(at < half - 1 ? at : half - 1);
}

void reel_t5_buckets(const reel_t5_config *config, int64_t T, int32_t *bucket) {
    for (int64_t q = 0; q < T; q++)
        for (int64_t k = 0; k < T; k++)
            bucket[q * T + k] = bucket_of(config, k - q);
}

/* ---- configuration ---- */

reel_t5_config reel_t5_config_default(void) {
    return (reel_t5_config){.vocab_size = 256384,
                            .d_model = 4096,
                            .d_kv = 64,
                            .d_ff = 10240,
                            .num_heads = 64,
                            .num_layers = 24,
                            .relative_attention_num_buckets = 32,
                            .relative_attention_max_distance = 128,
                            .layer_norm_epsilon = 1e-6};
}

reel_status reel_t5_config_check(reel_env *env, const reel_t5_config *c) {
    const struct {
        const char *name;
        int64_t value, least, most;
    } field[] = {
        {"vocab_size", c->vocab_size, 1, 1 << 24},
        {"d_model", c->d_model, 1, 65536},
        {"d_kv", c->d_kv, 1, 4096},
        {"d_ff", c->d_ff, 1, 1 << 20},
        {"num_heads", c->num_heads, 1, 1024},
        {"num_layers", c->num_layers, 1, 1024},
        {"relative_attention_num_buckets", c->relative_attention_num_buckets, 4, 4096},
        {"relative_attention_max_distance", c->relative_attention_max_distance,
         c->relative_attention_num_buckets / 4 + 1, 1 << 20},
    };
    for (size_t i = 0; i < sizeof field / sizeof *field; i++)
        if (field[i].value < field[i].least || field[i].value > field[i].most)
            return reel_fail(env, REEL_E_ARG, "t5: %s must be in %lld..%lld, got %lld",
                             field[i].name, (long long)field[i].least, (long long)field[i].most,
                             (long long)field[i].value);
    if (!(c->layer_norm_epsilon > 0 && c->layer_norm_epsilon < 1))
        return reel_fail(env, REEL_E_ARG, "t5: layer_norm_epsilon must be in (0,1), got %g",
                         c->layer_norm_epsilon);
    return REEL_OK;
}
