#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "ops/modulate.h"
#include "ops/norm.h"
#include "ops/ops.h"
#include "ops/rope.h"
#include "replay/replay.h"
#include "zoo/config.h"

/* Where a named intermediate is made; blockN... is read apart. */
static const struct {
    const char *name, *scope;
    bool grid; /* [B,C,f,h,w] of tokens [B,T,C] */
} made[] = {
    {"patch_embedding", "patch_embedding", true},
    {"temb", "condition_embedder.time_embedder", false},
    {"timestep_proj", "condition_embedder.time_proj", false},
    {"text_emb", "condition_embedder.text_embedder", false},
    {"image_emb", "condition_embedder.image_embedder", false},
};
enum { N_MADE = sizeof made / sizeof *made };

/* "block3.attn1" -> "blocks.3.attn1"; false for another name. */
static bool block_scope(const char *name, char scope[64]) {
    int block, used = 0;
    if (sscanf(name, "block%d%n", &block, &used) != 1) return false;
    snprintf(scope, 64, "blocks.%d%.32s", block, name + used);
    return true;
}

/* Timesteps of any shape and type as [R] f32. */
static reel_status levels(replay *r, float **t, int64_t *R) {
    reel_tensor given;
    reel_status status = replay_input(r, "timestep", &given);
    if (status != REEL_OK) return status;
    *R = reel_tensor_count(&given);
    *t = reel_alloc(r->env, *R * 4, "replay");
    if (!*t) return REEL_E_NOMEM;
    reel_dtype_cast(REEL_F32, *t, given.dtype, given.data, *R);
    return REEL_OK;
}

typedef struct inputs {
    reel_tensor x, text, image;
    float *t;
    int32_t *position;
    int64_t R, T;
} inputs;

static reel_status read_inputs(replay *r, const reel_wan_dit_config *c, inputs *in) {
    reel_status status = replay_input(r, "hidden_states", &in->x);
    if (status == REEL_OK) status = replay_input(r, "encoder_hidden_states", &in->text);
    if (status == REEL_OK && c->image_dim)
        status = replay_input(r, "encoder_hidden_states_image", &in->image);
    if (status == REEL_OK && in->x.shape.rank != 5)
        status = reel_fail(r->env, REEL_E_SHAPE, "hidden_states: wanted [B,C,F,H,W], got %s",
                           REEL_SHAPE_STR(&in->x.shape));
    if (status == REEL_OK) status = levels(r, &in->t, &in->R);
    if (status != REEL_OK) return status;
    const int64_t *d = in->x.shape.dim, *p = c->patch_size;
    in->T = d[2] / p[0] * (d[3] / p[1]) * (d[4] / p[2]);
    in->position = reel_alloc(r->env, in->T * 12, "replay");
    if (!in->position) return REEL_E_NOMEM;
    reel_wan_dit_positions(d[2] / p[0], d[3] / p[1], d[4] / p[2], in->position);
    return REEL_OK;
}

static reel_var record(replay_run *run, const reel_wan_dit_config *c, const inputs *in) {
    reel_tape *t = run->tape;
    const reel_wan_dit_input input = {
        .positions = reel_tape_input(t, REEL_I32, REEL_SHAPE(in->T, 3), "positions", in->position),
        .t = reel_tape_input(t, REEL_F32, REEL_SHAPE(in->R), "t", in->t),
        .text = replay_var(run, "text", &in->text),
        .image = c->image_dim ? replay_var(run, "image", &in->image) : 0};
    return reel_wan_dit(&run->nn, c, replay_var(run, "x", &in->x), &input);
}

/* The norm before the output's modulation, which the model computes in one with it. */
static reel_var norm_out(replay_run *run, const reel_wan_dit_config *c, reel_var h) {
    if (!h) return 0;
    const reel_norm_attr attr = {REEL_NORM_LAYER, 0, REEL_F32, (float)c->eps};
    const reel_var y = reel_norm(run->tape, h, 0, 0, &attr);
    reel_tape_keep(run->tape, y);
    return y;
}

/* The table of rotations holds cos and sin of each pair of elements; the reference repeats both. */
static reel_status compare_rope(replay *r, replay_run *run, const reel_wan_dit_config *c, int64_t T,
                                reel_var table) {
    const int64_t n = T * c->attention_head_dim;
    const float *pair = reel_plan_data(run->plan, table);
    float *wave = reel_alloc(r->env, n * 4, "replay");
    if (!wave) return REEL_E_NOMEM;
    for (int sin = 0; pair && sin < 2; sin++) {
        for (int64_t i = 0; i < n; i++)
            wave[i] = pair[i / 2 * 2 + sin];
        replay_compare(r, sin ? "rope_sin" : "rope_cos", wave, n);
    }
    reel_free(r->env, wave);
    return REEL_OK;
}

static void compare_all(replay *r, replay_run *run, const reel_var *found, reel_var out,
                        reel_var norm) {
    const replay_view plain = {0}, grid = {.channels_last = true};
    replay_compare_var(r, run, "sample", out, plain);
    replay_compare_var(r, run, "sample_original_repo", out, plain);
    replay_compare_var(r, run, "norm_out", norm, plain);
    for (int i = 0; i < N_MADE; i++)
        replay_compare_var(r, run, made[i].name, found[i], made[i].grid ? grid : plain);
    for (int64_t i = 0; i < reel_safetensors_count(r->outputs); i++) {
        char scope[64];
        const char *name = reel_safetensors_at(r->outputs, i)->name;
        if (block_scope(name, scope))
            replay_compare_var(r, run, name, replay_made_in(run, scope, NULL), plain);
    }
}

/* Keeps what is looked for before the plan is made. */
static void find(replay *r, replay_run *run, reel_var *found) {
    char scope[64];
    for (int i = 0; i < N_MADE; i++)
        found[i] = replay_made_in(run, made[i].scope, NULL);
    for (int64_t i = 0; i < reel_safetensors_count(r->outputs); i++)
        if (block_scope(reel_safetensors_at(r->outputs, i)->name, scope))
            replay_made_in(run, scope, NULL);
}

reel_status replay_wan_dit(replay *r) {
    reel_component_config c;
    reel_params *params = NULL;
    replay_run run = {0};
    inputs in = {0};
    reel_status status = reel_component_config_read(&r->config, REEL_COMPONENT_TRANSFORMER, &c);
    if (status == REEL_OK) status = replay_params(r, "", &params);
    if (status == REEL_OK) status = read_inputs(r, &c.transformer, &in);
    if (status == REEL_OK) status = replay_begin(r, params, &run);
    if (status == REEL_OK) {
        reel_var found[N_MADE];
        char last[64];
        const reel_var out = record(&run, &c.transformer, &in);
        snprintf(last, sizeof last, "blocks.%d", (int)c.transformer.num_layers - 1);
        reel_tape_keep(run.tape, out);
        find(r, &run, found);
        const reel_var rope = replay_made_by(&run, &reel_op_rope_table);
        const reel_var norm = norm_out(&run, &c.transformer, replay_made_in(&run, last, NULL));
        status = replay_finish(r, &run);
        if (status == REEL_OK) status = replay_all_used(r, params);
        if (status == REEL_OK) compare_all(r, &run, found, out, norm);
        if (status == REEL_OK) status = compare_rope(r, &run, &c.transformer, in.T, rope);
    }
    replay_end(&run);
    reel_params_free(&params);
    reel_free(r->env, in.t);
    reel_free(r->env, in.position);
    return status;
}
