#include "models/dit/dit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "diffusion/sampler.h"
#include "ops/embedding.h"
#include "ops/linear.h"
#include "ops/ops.h"
#include "replay/replay.h"

static reel_status read_config(const reel_json *at, reel_dit_config *c) {
    double ratio = 4;
    *c = reel_dit_config_default();
    reel_status status = reel_json_int(at, "patch_size", 1, 64, &c->patch_size);
    if (status == REEL_OK) status = reel_json_int(at, "in_channels", 1, 65536, &c->in_channels);
    if (status == REEL_OK) status = reel_json_int(at, "hidden_size", 1, 65536, &c->hidden_size);
    if (status == REEL_OK) status = reel_json_int(at, "depth", 1, 1024, &c->depth);
    if (status == REEL_OK) status = reel_json_int(at, "num_heads", 1, 1024, &c->num_heads);
    if (status == REEL_OK) status = reel_json_int(at, "num_classes", 1, 1 << 20, &c->num_classes);
    if (status == REEL_OK) status = reel_json_real(at, "mlp_ratio", 1, 64, &ratio);
    if (status == REEL_OK) status = reel_json_bool(at, "learn_sigma", &c->learn_sigma);
    c->mlp_ratio = (int64_t)ratio;
    return status == REEL_OK ? reel_dit_config_check(reel_json_env(at), c) : status;
}

/* The model on a batch, planned once and run on whatever is in x, t and y. */
typedef struct batch {
    replay *r;
    replay_run run;
    int64_t B, n; /* samples, and elements of one */
    float *x, *t; /* [B,n], [B] */
    int64_t *y;   /* [B] */
    reel_var out;
} batch;

static void batch_end(batch *b) {
    replay_end(&b->run);
    reel_free(b->r->env, b->x);
    reel_free(b->r->env, b->t);
    reel_free(b->r->env, b->y);
}

/* one: the shape of a sample, [C,H,W]. Ended by batch_end in any case. */
static reel_status batch_begin(replay *r, const reel_dit_config *c, reel_params *params, int64_t B,
                               const int64_t *one, batch *b) {
    *b = (batch){.r = r, .B = B, .n = one[0] * one[1] * one[2]};
    b->x = reel_calloc(r->env, B * b->n, 4, "replay");
    b->t = reel_calloc(r->env, B, 4, "replay");
    b->y = reel_calloc(r->env, B, 8, "replay");
    if (!b->x || !b->t || !b->y) return REEL_E_NOMEM;
    const reel_status status = replay_begin(r, params, &b->run);
    if (status != REEL_OK) return status;
    reel_tape *t = b->run.tape;
    const reel_dit_input input = {
        .x = reel_tape_input(t, REEL_F32, REEL_SHAPE(B, one[0], one[1], one[2]), "x", b->x),
        .t = reel_tape_input(t, REEL_F32, REEL_SHAPE(B), "t", b->t),
        .y = reel_tape_input(t, REEL_I64, REEL_SHAPE(B), "y", b->y)};
    b->out = reel_dit(&b->run.nn, c, &input);
    reel_tape_keep(t, b->out);
    return reel_tape_status(t);
}

static const float *batch_out(const batch *b) {
    return reel_plan_data(b->run.plan, b->out);
}

/* ---- one pass, and its intermediates ---- */

static reel_var intermediate(replay_run *run, const char *name) {
    char scope[64];
    int block, used = 0;
    if (strcmp(name, "x_embedder") == 0) return replay_made_by(run, &reel_op_linear);
    if (strcmp(name, "y_embedder") == 0) return replay_made_by(run, &reel_op_embedding);
    if (strcmp(name, "t_embedder") == 0 || strcmp(name, "final_layer") == 0)
        return replay_made_in(run, name[0] == 't' ? "t_embedder.mlp" : name, NULL);
    if (sscanf(name, "block%d%n", &block, &used) != 1) return 0;
    snprintf(scope, sizeof scope, "blocks.%d%.32s", block, name + used);
    return replay_made_in(run, scope, NULL);
}

static void visit_outputs(replay *r, replay_run *run, bool compare) {
    for (int64_t i = 0; i < reel_safetensors_count(r->outputs); i++) {
        const char *name = reel_safetensors_at(r->outputs, i)->name;
        const reel_var var = intermediate(run, name);
        if (compare && var) replay_compare_var(r, run, name, var, (replay_view){0});
    }
}

/* The inputs of a case. */
typedef struct inputs {
    reel_tensor x, t, y;
} inputs;

static reel_status run_sample(replay *r, const reel_dit_config *c, reel_params *params,
                              const inputs *in) {
    batch b;
    const int64_t B = in->x.shape.dim[0];
    reel_status status = batch_begin(r, c, params, B, in->x.shape.dim + 1, &b);
    if (status == REEL_OK) {
        reel_dtype_cast(REEL_F32, b.x, in->x.dtype, in->x.data, B * b.n);
        reel_dtype_cast(REEL_F32, b.t, in->t.dtype, in->t.data, B);
        for (int64_t i = 0; i < B; i++)
            b.y[i] = (int64_t)reel_dtype_load(in->y.dtype, in->y.data, i);
        visit_outputs(r, &b.run, false); /* to be kept */
        status = replay_finish(r, &b.run);
    }
    if (status == REEL_OK) status = replay_all_used(r, params);
    if (status == REEL_OK) {
        replay_compare_var(r, &b.run, "sample", b.out, (replay_view){0});
        visit_outputs(r, &b.run, true);
    }
    batch_end(&b);
    return status;
}

/* ---- guidance and sampling ---- */

/* The original guides the first three channels only and hands both halves the same result. out
 * [2B,channels,plane] in place, the second half without a class. */
static void guide(float *out, int64_t B, int64_t channels, int64_t plane, float scale) {
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = 0; i < 3 * plane; i++) {
            float *with = out + b * channels * plane + i;
            float *without = out + (B + b) * channels * plane + i;
            *with = *without = *without + scale * (*with - *without);
        }
}

/* Which sampling an output is of. */
typedef struct sampling {
    const char *name;
    const char *noise; /* input: noise of each step; NULL: the sampler draws none */
    bool guided, clip, ddim;
} sampling;

static const sampling samplings[] = {
    {"p_sample_cfg", "p_noise_cfg", true, false, false},
    {"p_sample_clip", "p_noise_clip", false, true, false},
    {"ddim", NULL, false, false, true},
};

static reel_status sampler_of(replay *r, const sampling *s, int n_steps, int64_t n,
                              reel_sampler **sampler) {
    reel_sampler_options o =
        reel_sampler_options_default(s->ddim ? REEL_SAMPLER_DDIM : REEL_SAMPLER_DDPM);
    o.n_steps = n_steps;
    /* The original's two respacings: 0 and 999 are among them; or, for DDIM, a fixed stride. */
    o.spacing = s->ddim ? REEL_SPACING_LEADING : REEL_SPACING_LINSPACE;
    o.clip_sample = s->clip;
    o.clip_sample_range = 1;
    o.variance = REEL_VARIANCE_LEARNED;
    return reel_sampler_new(r->env, &o, n, sampler);
}

/* Evaluates the batch at the sampler's step and cuts the output in two: what is predicted and the
 * variance, [B,n] each. */
static reel_status evaluate(batch *b, const sampling *s, float scale, float t, const float *x,
                            float *prediction, float *variance) {
    const int64_t C = reel_tape_value(b->run.tape, b->out)->shape.dim[1];
    const int64_t half = b->B / 2, plane = 2 * b->n / C;
    memcpy(b->x, x, (size_t)(b->B * b->n) * 4);
    if (s->guided) memcpy(b->x + half * b->n, x, (size_t)(half * b->n) * 4);
    for (int64_t i = 0; i < b->B; i++)
        b->t[i] = t;
    const reel_status status = reel_plan_run(b->run.plan, NULL);
    if (status != REEL_OK) return status;
    float *out = reel_plan_data(b->run.plan, b->out);
    if (s->guided) guide(out, half, C, plane, scale);
    for (int64_t i = 0; i < b->B; i++) {
        memcpy(prediction + i * b->n, out + 2 * i * b->n, (size_t)b->n * 4);
        memcpy(variance + i * b->n, out + (2 * i + 1) * b->n, (size_t)b->n * 4);
    }
    return REEL_OK;
}

static reel_status run_steps(replay *r, batch *b, const sampling *s, float scale, int n_steps,
                             const reel_tensor *noise) {
    const int64_t n = b->B * b->n;
    float *memory = reel_alloc(r->env, (3 + n_steps) * n * 4, "replay");
    reel_sampler *sampler = NULL;
    reel_status status = memory ? sampler_of(r, s, n_steps, n, &sampler) : REEL_E_NOMEM;
    float *x = memory, *prediction = memory + n, *variance = memory + 2 * n;
    float *states = memory + 3 * n;
    if (status == REEL_OK) memcpy(x, b->x, (size_t)n * 4);
    for (int i = 0; i < n_steps && status == REEL_OK; i++) {
        const float t = (float)reel_sampler_timestep(sampler, i);
        status = evaluate(b, s, scale, t, x, prediction, variance);
        if (status != REEL_OK) break;
        reel_sampler_step(sampler, i, prediction, s->ddim ? NULL : variance,
                          noise ? (const float *)noise->data + i * n : NULL, x);
        memcpy(states + i * n, x, (size_t)n * 4);
    }
    if (status == REEL_OK) replay_compare(r, s->name, states, n_steps * n);
    reel_sampler_free(&sampler);
    reel_free(r->env, memory);
    return status;
}

static reel_status run_sampling(replay *r, const reel_dit_config *c, reel_params *params,
                                const inputs *in, const sampling *s, float scale) {
    const reel_stored *wanted = replay_output(r, s->name);
    reel_tensor noise = {0};
    if (!wanted || !c->learn_sigma || c->in_channels < 3) return REEL_OK;
    const int64_t B = wanted->shape.dim[1], given = in->x.shape.dim[0];
    reel_status status = s->noise ? replay_input(r, s->noise, &noise) : REEL_OK;
    if (status != REEL_OK) return status;
    if (B != (s->guided ? 2 * given : given))
        return reel_fail(r->env, REEL_E_SHAPE, "%s: wanted a batch like x's", s->name);
    batch b;
    status = batch_begin(r, c, params, B, in->x.shape.dim + 1, &b);
    if (status == REEL_OK) status = replay_finish(r, &b.run);
    if (status == REEL_OK) {
        for (int64_t i = 0; i < B; i++) {
            const bool with = i < given;
            b.y[i] = with ? (int64_t)reel_dtype_load(in->y.dtype, in->y.data, i) : c->num_classes;
            reel_dtype_cast(REEL_F32, b.x + i * b.n, in->x.dtype,
                            (const float *)in->x.data + i % given * b.n, b.n);
        }
        const double tolerance = r->tolerance;
        r->tolerance *= 10; /* errors of the steps add up; so the reference's own description */
        status = run_steps(r, &b, s, scale, (int)wanted->shape.dim[0], s->noise ? &noise : NULL);
        r->tolerance = tolerance;
    }
    batch_end(&b);
    return status;
}

/* One guided pass. */
static reel_status run_guided(replay *r, const reel_dit_config *c, reel_params *params,
                              const inputs *in, float scale) {
    const int64_t B = in->x.shape.dim[0];
    if (!replay_output(r, "sample_cfg") || c->in_channels < 3) return REEL_OK;
    batch b;
    reel_status status = batch_begin(r, c, params, 2 * B, in->x.shape.dim + 1, &b);
    if (status == REEL_OK) {
        for (int64_t i = 0; i < 2 * B; i++) {
            b.t[i] = reel_dtype_load(in->t.dtype, in->t.data, i % B);
            b.y[i] = i < B ? (int64_t)reel_dtype_load(in->y.dtype, in->y.data, i) : c->num_classes;
        }
        reel_dtype_cast(REEL_F32, b.x, in->x.dtype, in->x.data, B * b.n);
        memcpy(b.x + B * b.n, b.x, (size_t)(B * b.n) * 4);
        status = replay_finish(r, &b.run);
    }
    if (status == REEL_OK) {
        const reel_shape *s = &reel_tape_value(b.run.tape, b.out)->shape;
        float *out = reel_plan_data(b.run.plan, b.out);
        guide(out, B, s->dim[1], s->dim[2] * s->dim[3], scale);
        replay_compare(r, "sample_cfg", batch_out(&b), reel_shape_count(s));
    }
    batch_end(&b);
    return status;
}

reel_status replay_dit(replay *r) {
    reel_dit_config c;
    reel_params *params = NULL;
    inputs in;
    reel_tensor scale = {0};
    reel_status status = read_config(&r->config, &c);
    if (status == REEL_OK) status = replay_params(r, "", &params);
    if (status == REEL_OK) status = replay_input(r, "x", &in.x);
    if (status == REEL_OK) status = replay_input(r, "t", &in.t);
    if (status == REEL_OK) status = replay_input(r, "y", &in.y);
    if (status == REEL_OK && (in.x.dtype != REEL_F32 || in.x.shape.rank != 4))
        status = reel_fail(r->env, REEL_E_SHAPE, "x: wanted f32 [B,C,H,W], got %s %s",
                           reel_dtype_name(in.x.dtype), REEL_SHAPE_STR(&in.x.shape));
    if (status == REEL_OK) status = run_sample(r, &c, params, &in);
    if (status == REEL_OK && replay_has_input(r, "cfg_scale")) {
        status = replay_input(r, "cfg_scale", &scale);
        const float w = status == REEL_OK ? reel_dtype_load(scale.dtype, scale.data, 0) : 0;
        if (status == REEL_OK) status = run_guided(r, &c, params, &in, w);
        for (size_t i = 0; i < sizeof samplings / sizeof *samplings && status == REEL_OK; i++)
            status = run_sampling(r, &c, params, &in, &samplings[i], w);
    }
    reel_params_free(&params);
    return status;
}
