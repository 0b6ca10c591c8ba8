/* Text encoder, guided denoising and decoder on one set of weights. */
#include <math.h>
#include <string.h>

#include "base/env.h"
#include "diffusion/sampler.h"
#include "replay/replay.h"
#include "zoo/config.h"

typedef struct whole {
    replay *r;
    reel_wan_dit_config dit;
    reel_wan_vae_config vae;
    reel_t5_config t5;
    int64_t n_steps;
    double guidance, shift;
    reel_tensor ids, mask, noise; /* [2,X] twice, [1,C,f,h,w] */
    float *text;                  /* [2,X,C], zero behind each prompt */
    float *x;                     /* [C,f,h,w] */
} whole;

static reel_status read_part(const reel_json *root, reel_component_kind kind,
                             reel_component_config *config) {
    reel_json at;
    const reel_status status = reel_json_object(root, reel_component_name(kind), &at);
    return status == REEL_OK ? reel_component_config_read(&at, kind, config) : status;
}

static reel_status read_config(whole *w) {
    const reel_json *root = &w->r->config;
    reel_component_config c;
    reel_json scheduler;
    reel_status status = read_part(root, REEL_COMPONENT_TRANSFORMER, &c);
    w->dit = c.transformer;
    if (status == REEL_OK) status = read_part(root, REEL_COMPONENT_VAE, &c);
    w->vae = c.vae;
    if (status == REEL_OK) status = read_part(root, REEL_COMPONENT_TEXT_ENCODER, &c);
    w->t5 = c.text_encoder;
    if (status == REEL_OK)
        status = reel_json_int(root, "num_inference_steps", 1, REEL_MAX_STEPS, &w->n_steps);
    if (status == REEL_OK) status = reel_json_real(root, "guidance_scale", 0, 1000, &w->guidance);
    if (status == REEL_OK) status = reel_json_object(root, "scheduler", &scheduler);
    if (status == REEL_OK) status = reel_json_real(&scheduler, "shift", 1e-3, 1000, &w->shift);
    if (status == REEL_OK) status = replay_input(w->r, "input_ids", &w->ids);
    if (status == REEL_OK) status = replay_input(w->r, "attention_mask", &w->mask);
    if (status == REEL_OK) status = replay_input(w->r, "noise", &w->noise);
    if (status == REEL_OK && (w->ids.shape.rank != 2 || w->ids.shape.dim[0] != 2 ||
                              !reel_shape_equal(&w->ids.shape, &w->mask.shape) ||
                              w->noise.shape.rank != 5 || w->noise.shape.dim[0] != 1))
        status = reel_fail(w->r->env, REEL_E_SHAPE,
                           "wanted input_ids and attention_mask [2,X] and noise [1,C,f,h,w]");
    return status;
}

/* ---- text ---- */

static reel_status encode(whole *w, reel_params *params, int32_t *bucket, uint8_t *keys) {
    const int64_t X = w->ids.shape.dim[1], C = w->t5.d_model;
    for (int64_t i = 0; i < 2 * X; i++)
        keys[i] = reel_dtype_load(w->mask.dtype, w->mask.data, i) != 0;
    reel_t5_buckets(&w->t5, X, bucket);
    replay_run run = {0};
    reel_status status = replay_begin(w->r, params, &run);
    if (status == REEL_OK) {
        const reel_t5_input input = {
            .ids = replay_var(&run, "ids", &w->ids),
            .buckets = reel_tape_input(run.tape, REEL_I32, REEL_SHAPE(X, X), "buckets", bucket),
            .key_mask = reel_tape_input(run.tape, REEL_U8, REEL_SHAPE(2, X), "mask", keys)};
        const reel_var out = reel_t5(&run.nn, &w->t5, &input);
        reel_tape_keep(run.tape, out);
        status = replay_finish(w->r, &run);
        if (status == REEL_OK) {
            memcpy(w->text, reel_plan_data(run.plan, out), (size_t)(2 * X * C) * 4);
            for (int64_t i = 0; i < 2 * X; i++)
                if (!keys[i]) memset(w->text + i * C, 0, (size_t)C * 4);
            replay_compare(w->r, "prompt_embeds", w->text, 2 * X * C);
        }
    }
    replay_end(&run);
    return status;
}

static reel_status run_text(whole *w) {
    const int64_t X = w->ids.shape.dim[1];
    reel_env *env = w->r->env;
    reel_params *params = NULL;
    int32_t *bucket = reel_alloc(env, X * X * 4, "replay");
    uint8_t *keys = reel_alloc(env, 2 * X, "replay");
    w->text = reel_alloc(env, 2 * X * w->t5.d_model * 4, "replay");
    reel_status status = bucket && keys && w->text ? REEL_OK : REEL_E_NOMEM;
    if (status == REEL_OK) status = replay_params(w->r, "text_encoder.", &params);
    if (status == REEL_OK) status = encode(w, params, bucket, keys);
    reel_params_free(&params);
    reel_free(env, keys);
    reel_free(env, bucket);
    return status;
}

/* ---- denoising ---- */

/* Both passes as a batch of two, planned once: row 0 is the prompt's, row 1 the negative one's. */
static reel_status record(whole *w, replay_run *run, float *x, float *t, int32_t *position,
                          reel_var *out) {
    const int64_t *d = w->noise.shape.dim, *p = w->dit.patch_size;
    const int64_t f = d[2] / p[0], h = d[3] / p[1], v = d[4] / p[2];
    reel_wan_dit_positions(f, h, v, position);
    reel_tape *tape = run->tape;
    const reel_wan_dit_input input = {
        .positions =
            reel_tape_input(tape, REEL_I32, REEL_SHAPE(f * h * v, 3), "positions", position),
        .t = reel_tape_input(tape, REEL_F32, REEL_SHAPE(2), "t", t),
        .text = reel_tape_input(tape, REEL_F32, REEL_SHAPE(2, w->ids.shape.dim[1], w->t5.d_model),
                                "text", w->text)};
    const reel_shape shape = REEL_SHAPE(2, d[1], d[2], d[3], d[4]);
    *out = reel_wan_dit(&run->nn, &w->dit, reel_tape_input(tape, REEL_F32, shape, "x", x), &input);
    reel_tape_keep(tape, *out);
    return replay_finish(w->r, run);
}

static reel_status denoise(whole *w, replay_run *run, reel_sampler *sampler, float *memory,
                           float *t, int32_t *position) {
    const int64_t n = reel_tensor_count(&w->noise);
    float *both = memory, *velocity = memory + 2 * n, *states = memory + 3 * n;
    reel_var out;
    memcpy(w->x, w->noise.data, (size_t)n * 4);
    reel_status status = record(w, run, both, t, position, &out);
    for (int i = 0; i < w->n_steps && status == REEL_OK; i++) {
        t[0] = t[1] = (float)reel_sampler_timestep(sampler, i);
        memcpy(both, w->x, (size_t)n * 4);
        memcpy(both + n, w->x, (size_t)n * 4);
        status = reel_plan_run(run->plan, NULL);
        if (status != REEL_OK) return status;
        const float *c = reel_plan_data(run->plan, out), *u = c + n;
        for (int64_t k = 0; k < n; k++)
            velocity[k] = u[k] + (float)w->guidance * (c[k] - u[k]);
        reel_sampler_step(sampler, i, velocity, NULL, NULL, w->x);
        memcpy(states + i * n, w->x, (size_t)n * 4);
    }
    if (status != REEL_OK) return status;
    replay_compare(w->r, "latents_steps", states, w->n_steps * n);
    replay_compare(w->r, "latents_steps_diffusers_unipc", states, w->n_steps * n);
    return REEL_OK;
}

static void compare_schedule(whole *w, reel_sampler *sampler, float *table) {
    for (int i = 0; i < w->n_steps; i++)
        table[i] = (float)reel_sampler_timestep(sampler, i);
    replay_compare(w->r, "timesteps", table, w->n_steps);
    for (int i = 0; i <= w->n_steps; i++)
        table[i] = (float)reel_sampler_sigma(sampler, i);
    replay_compare(w->r, "sigmas", table, w->n_steps + 1);
}

static reel_status run_denoising(whole *w) {
    reel_env *env = w->r->env;
    const int64_t n = reel_tensor_count(&w->noise);
    reel_params *params = NULL;
    reel_sampler *sampler = NULL;
    replay_run run = {0};
    float t[2];
    reel_sampler_options o = reel_sampler_options_default(REEL_SAMPLER_UNIPC);
    o.n_steps = (int)w->n_steps;
    o.schedule.shift = w->shift;
    o.integer_timesteps = true;
    float *memory = reel_alloc(env, ((3 + w->n_steps) * n + w->n_steps + 1) * 4, "replay");
    int32_t *position = reel_alloc(env, n * 12, "replay");
    w->x = reel_alloc(env, n * 4, "replay");
    reel_status status = memory && position && w->x ? REEL_OK : REEL_E_NOMEM;
    if (status == REEL_OK) status = replay_params(w->r, "transformer.", &params);
    if (status == REEL_OK) status = reel_sampler_new(env, &o, n, &sampler);
    if (status == REEL_OK) status = replay_begin(w->r, params, &run);
    if (status == REEL_OK) compare_schedule(w, sampler, memory);
    if (status == REEL_OK) status = denoise(w, &run, sampler, memory, t, position);
    replay_end(&run);
    reel_sampler_free(&sampler);
    reel_params_free(&params);
    reel_free(env, position);
    reel_free(env, memory);
    return status;
}

/* ---- decoding ---- */

static reel_status run_decoding(whole *w) {
    reel_params *params = NULL;
    replay_run run = {0};
    reel_wan_vae_denormalise(&w->vae, w->x, reel_shape_span(&w->noise.shape, 2, 5));
    reel_status status = replay_params(w->r, "vae.", &params);
    if (status == REEL_OK) status = replay_begin(w->r, params, &run);
    if (status == REEL_OK) {
        const reel_tensor z = {REEL_F32, w->noise.shape, w->x};
        const reel_var video = reel_wan_vae_decode(&run.nn, &w->vae, replay_var(&run, "z", &z));
        reel_tape_keep(run.tape, video);
        status = replay_finish(w->r, &run);
        if (status == REEL_OK) {
            float *x = reel_plan_data(run.plan, video);
            const int64_t n = reel_shape_count(&reel_tape_value(run.tape, video)->shape);
            for (int64_t i = 0; i < n; i++)
                x[i] = fminf(fmaxf(x[i], -1), 1);
            replay_compare(w->r, "video", x, n);
        }
    }
    replay_end(&run);
    reel_params_free(&params);
    return status;
}

reel_status replay_wan_pipeline(replay *r) {
    whole w = {.r = r};
    reel_status status = read_config(&w);
    r->tolerance *= 10; /* errors of the steps add up; so the reference's own description */
    if (status == REEL_OK) status = run_text(&w);
    if (status == REEL_OK) status = run_denoising(&w);
    if (status == REEL_OK) status = run_decoding(&w);
    reel_free(r->env, w.text);
    reel_free(r->env, w.x);
    return status;
}
