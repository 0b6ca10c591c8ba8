#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "ops/embedding.h"
#include "ops/ops.h"
#include "ops/permute.h"
#include "replay/replay.h"
#include "zoo/config.h"

/* What a recording of the encoder needs to stay alive. */
typedef struct inputs {
    reel_tensor ids;
    int32_t *buckets; /* [T,T] */
    uint8_t *keys;    /* [B,T]; NULL without a mask */
    int64_t B, T;
} inputs;

static reel_status read_inputs(replay *r, const reel_t5_config *c, inputs *in) {
    reel_tensor mask;
    reel_status status = replay_input(r, "input_ids", &in->ids);
    if (status != REEL_OK) return status;
    if (in->ids.shape.rank != 2)
        return reel_fail(r->env, REEL_E_SHAPE, "input_ids: wanted [B,T], got %s",
                         REEL_SHAPE_STR(&in->ids.shape));
    in->B = in->ids.shape.dim[0];
    in->T = in->ids.shape.dim[1];
    in->buckets = reel_alloc(r->env, in->T * in->T * 4, "replay");
    in->keys = reel_alloc(r->env, in->B * in->T, "replay");
    if (!in->buckets || !in->keys) return REEL_E_NOMEM;
    reel_t5_buckets(c, in->T, in->buckets);
    memset(in->keys, 1, (size_t)(in->B * in->T));
    if (!replay_has_input(r, "attention_mask")) return REEL_OK;
    status = replay_input(r, "attention_mask", &mask);
    if (status == REEL_OK && !reel_shape_equal(&mask.shape, &in->ids.shape))
        status = reel_fail(r->env, REEL_E_SHAPE, "attention_mask: wanted the shape of input_ids");
    for (int64_t i = 0; status == REEL_OK && i < in->B * in->T; i++)
        in->keys[i] = reel_dtype_load(mask.dtype, mask.data, i) != 0;
    return status;
}

static void free_inputs(replay *r, inputs *in) {
    reel_free(r->env, in->buckets);
    reel_free(r->env, in->keys);
}

static reel_var record(replay_run *run, const reel_t5_config *c, const inputs *in, bool masked) {
    reel_tape *t = run->tape;
    const reel_t5_input input = {
        .ids = replay_var(run, "ids", &in->ids),
        .buckets = reel_tape_input(t, REEL_I32, REEL_SHAPE(in->T, in->T), "buckets", in->buckets),
        .key_mask =
            masked ? reel_tape_input(t, REEL_U8, REEL_SHAPE(in->B, in->T), "mask", in->keys) : 0};
    const reel_var out = reel_t5(&run->nn, c, &input);
    reel_tape_keep(t, out);
    return out;
}

/* "block2", "block2.attn", "block2.ffn" -> the scope that makes it. */
static bool block_scope(const char *name, char scope[96]) {
    int block, used = 0;
    if (sscanf(name, "block%d%n", &block, &used) != 1) return false;
    const char *part = name + used;
    const char *below = strcmp(part, ".attn") == 0  ? ".layer.0.SelfAttention"
                        : strcmp(part, ".ffn") == 0 ? ".layer.1.DenseReluDense"
                                                    : part;
    snprintf(scope, 96, "encoder.block.%d%.40s", block, below);
    return true;
}

/* The intermediate an output is of, kept; 0 when it is none. */
static reel_var intermediate(replay_run *run, const reel_t5_config *c, const char *name) {
    char scope[96];
    if (block_scope(name, scope)) return replay_made_in(run, scope, NULL);
    if (strcmp(name, "token_embedding") == 0) return replay_made_by(run, &reel_op_embedding);
    const bool last = strcmp(name, "pos_bias_last_layer") == 0;
    if (!last && strcmp(name, "pos_bias") != 0) return 0;
    snprintf(scope, sizeof scope, "encoder.block.%d", last ? (int)c->num_layers - 1 : 0);
    return replay_made_in(run, scope, &reel_op_permute);
}

/* Rows of padding mean nothing, in the reference as here: they are left out where there is a mask.
 */
static void compare_all(replay *r, replay_run *run, const reel_t5_config *c, const inputs *in,
                        reel_var out) {
    const replay_view rows = {.rows = in->keys}, all = {0};
    replay_compare_var(r, run, "last_hidden_state", out, rows);
    for (int64_t i = 0; i < reel_safetensors_count(r->outputs); i++) {
        const char *name = reel_safetensors_at(r->outputs, i)->name;
        const reel_var var = intermediate(run, c, name);
        const bool bias = strncmp(name, "pos_bias", 8) == 0;
        if (var) replay_compare_var(r, run, name, var, bias ? all : rows);
    }
}

static reel_status compare_trimmed(replay *r, replay_run *run, const reel_t5_config *c,
                                   const inputs *in, reel_var out) {
    const int64_t C = c->d_model, n = in->B * in->T;
    float *rows = reel_alloc(r->env, n * C * 4, "replay");
    if (!rows) return REEL_E_NOMEM;
    memcpy(rows, reel_plan_data(run->plan, out), (size_t)(n * C) * 4);
    for (int64_t i = 0; i < n; i++)
        if (!in->keys[i]) memset(rows + i * C, 0, (size_t)C * 4);
    replay_compare(r, "last_hidden_state_trimmed", rows, n * C);
    reel_free(r->env, rows);
    return REEL_OK;
}

/* Buckets of the distances -n..n. */
static reel_status compare_buckets(replay *r, const reel_t5_config *c) {
    const reel_stored *stored = replay_output(r, "relative_position_bucket");
    if (!stored || stored->shape.rank != 1) return REEL_OK;
    const int64_t count = stored->shape.dim[0], n = count / 2, T = n + 1;
    int32_t *bucket = reel_alloc(r->env, T * T * 4, "replay");
    float *got = reel_alloc(r->env, (2 * n + 1) * 4, "replay");
    for (int64_t d = -n; bucket && got && d <= n; d++) {
        if (d == -n) reel_t5_buckets(c, T, bucket);
        got[d + n] = (float)bucket[d < 0 ? -d * T : d]; /* query -d, key 0; or query 0, key d */
    }
    if (bucket && got) replay_compare(r, "relative_position_bucket", got, 2 * n + 1);
    reel_free(r->env, got);
    reel_free(r->env, bucket);
    return bucket && got ? REEL_OK : REEL_E_NOMEM;
}

static reel_status run_encoder(replay *r, reel_params *params, const reel_t5_config *c,
                               const inputs *in, bool masked) {
    replay_run run = {0};
    reel_status status = replay_begin(r, params, &run);
    if (status == REEL_OK) {
        const reel_var out = record(&run, c, in, masked);
        for (int64_t i = 0; masked && i < reel_safetensors_count(r->outputs); i++)
            intermediate(&run, c, reel_safetensors_at(r->outputs, i)->name); /* to be kept */
        status = replay_finish(r, &run);
        if (status == REEL_OK && !masked)
            replay_compare_var(r, &run, "last_hidden_state_nomask", out, (replay_view){0});
        if (status == REEL_OK && masked) compare_all(r, &run, c, in, out);
        if (status == REEL_OK && masked) status = compare_trimmed(r, &run, c, in, out);
        if (status == REEL_OK) status = replay_all_used(r, params);
    }
    replay_end(&run);
    return status;
}

reel_status replay_t5(replay *r) {
    reel_component_config c;
    reel_params *params = NULL;
    inputs in = {0};
    reel_status status = reel_component_config_read(&r->config, REEL_COMPONENT_TEXT_ENCODER, &c);
    if (status == REEL_OK) status = replay_params(r, "", &params);
    if (status == REEL_OK) status = read_inputs(r, &c.text_encoder, &in);
    for (int masked = 0; masked < 2 && status == REEL_OK; masked++)
        status = run_encoder(r, params, &c.text_encoder, &in, masked);
    if (status == REEL_OK) status = compare_buckets(r, &c.text_encoder);
    free_inputs(r, &in);
    reel_params_free(&params);
    return status;
}
