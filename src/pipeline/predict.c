/* Predicting what a generation takes: memory from plans that are made but not run, time from one
 * layer of each model run on a sample of its work. No weights are read: models that are only to be
 * measured are given made-up ones. */
#include <string.h>

#include "base/memory.h"
#include "pipeline/condition.h"
#include "pipeline/places.h"
#include "pipeline/predict_state.h"
#include "pipeline/rates.h"
#include "pipeline/windows.h"

int64_t reel_predict_length(const reel_settings *s) {
    return reel_windows_length(&s->spans, s->F);
}

/* ---- made-up models ---- */

/* Weights of one repeated byte: small numbers of either type, and in memory, which untouched zeros
 * would not be. */
static reel_status fill(reel_env *env, reel_params *params) {
    for (int i = 0; i < reel_params_count(params); i++) {
        reel_param *p = reel_params_at(params, i);
        const int64_t bytes = reel_dtype_size(p->dtype, reel_shape_count(&p->shape));
        p->data = reel_alloc(env, bytes, "sample");
        if (!p->data) return REEL_E_NOMEM;
        p->owned = true;
        memset(p->data, 0x3c, (size_t)bytes);
    }
    return REEL_OK;
}

/* What reel_places_quantise would turn into 8-bit blocks, without memory. */
static void declare_q8(reel_params *params) {
    for (int i = 0; i < reel_params_count(params); i++) {
        reel_param *p = reel_params_at(params, i);
        if (!reel_places_is_linear(p)) continue;
        p->dtype = REEL_Q8_0;
        p->frozen = true;
    }
}

reel_status reel_predict_make(reel_env *env, const reel_component_config *config, reel_make how,
                              reel_params **params) {
    reel_status status = reel_params_new(env, params);
    if (status == REEL_OK) status = reel_component_declare(env, config, how.dtype, *params);
    if (status == REEL_OK && how.q8) declare_q8(*params);
    if (status == REEL_OK && how.filled) status = fill(env, *params);
    if (status == REEL_OK)
        reel_params_close(*params);
    else
        reel_params_free(params);
    return status;
}

static int64_t param_bytes(reel_params *params) {
    int64_t bytes = 0;
    for (int i = 0; i < reel_params_count(params); i++) {
        const reel_param *p = reel_params_at(params, i);
        bytes += reel_dtype_size(p->dtype, reel_shape_count(&p->shape));
    }
    return bytes;
}

/* Evaluations with and without guidance: the step function of denoise.c asks the same. */
static void count_evaluations(const reel_settings *s, int *guided, int *plain) {
    const int n =
        s->sampler.kind == REEL_SAMPLER_HEUN ? 2 * s->sampler.n_steps - 1 : s->sampler.n_steps;
    *guided = 0;
    for (int i = 0; i < n; i++)
        *guided += reel_guidance_acts(&s->guidance, i, n);
    *plain = n - *guided;
}

/* ---- text ---- */

static int64_t longest_prompt(const reel_generate *g) {
    return g->tokens[0].n > g->tokens[1].n ? g->tokens[0].n : g->tokens[1].n;
}

static reel_text_encoder text_encoder(const reel_generate *g, const reel_t5_config *config,
                                      reel_params *params) {
    return (reel_text_encoder){.config = config,
                               .params = params,
                               .table = g->backend.table,
                               .compute = g->text_dtype == REEL_BF16 ? REEL_BF16 : REEL_F32};
}

/* The encoder without its weights; the caller frees all three. */
static reel_status plan_text(const reel_generate *g, reel_params **params, reel_text_batch **batch,
                             reel_plan **plan) {
    const reel_component_config *config = reel_generate_config(g, REEL_COMPONENT_TEXT_ENCODER);
    reel_status status =
        reel_predict_make(g->env, config, (reel_make){.dtype = g->text_dtype}, params);
    if (status != REEL_OK) return status;
    const reel_text_encoder encoder = text_encoder(g, &config->text_encoder, *params);
    status =
        reel_text_rows_plan(g->env, &encoder, g->n_prompts, longest_prompt(g), true, batch, plan);
    if (status != REEL_OK) reel_params_free(params);
    return status;
}

/* One layer on the same tokens. */
static reel_status measure_text(const reel_generate *g, reel_rates *rates) {
    reel_component_config config = *reel_generate_config(g, REEL_COMPONENT_TEXT_ENCODER);
    config.text_encoder.num_layers = 1;
    config.text_encoder.vocab_size = 64;
    reel_params *params = NULL;
    reel_text_batch *batch = NULL;
    reel_plan *plan = NULL;
    reel_status status = reel_predict_make(
        g->env, &config, (reel_make){.dtype = g->text_dtype, .filled = true}, &params);
    if (status != REEL_OK) return status;
    const reel_text_encoder encoder = text_encoder(g, &config.text_encoder, params);
    status = reel_text_rows_plan(g->env, &encoder, g->n_prompts, longest_prompt(g), false, &batch,
                                 &plan);
    if (status == REEL_OK) status = reel_rates_measure(g->env, plan, rates);
    reel_text_rows_unplan(g->env, &batch, &plan);
    reel_params_free(&params);
    return status;
}

/* ---- pictures ---- */

/* The image encoder's look at a picture, of one block, measured, or of all, only planned. */
static reel_status look_at_picture(const reel_generate *g, bool measured, reel_rates *rates,
                                   double *seconds) {
    reel_component_config config = *reel_generate_config(g, REEL_COMPONENT_IMAGE_ENCODER);
    const int64_t S = config.image_encoder.image_size;
    const reel_make how = {.dtype = g->image_dtype, .filled = measured};
    if (measured && config.image_encoder.num_hidden_layers > 2)
        config.image_encoder.num_hidden_layers = 2; /* all but the last are run */
    reel_params *params = NULL;
    reel_look look = {0};
    float *pixels = measured ? reel_calloc(g->env, 3 * S * S, sizeof *pixels, "sample") : NULL;
    if (measured && !pixels) return REEL_E_NOMEM;
    reel_status status = reel_predict_make(g->env, &config, how, &params);
    if (status == REEL_OK) {
        const reel_image_encoder encoder = {.config = &config.image_encoder,
                                            .params = params,
                                            .table = g->backend.table,
                                            .compute =
                                                g->image_dtype == REEL_BF16 ? REEL_BF16 : REEL_F32};
        status = reel_condition_plan_look(g->env, &encoder, pixels, &look);
    }
    if (status == REEL_OK && measured) status = reel_rates_measure(g->env, look.plan, rates);
    if (status == REEL_OK && !measured) *seconds = reel_rates_predict(rates, look.plan);
    reel_condition_unplan_look(&look);
    reel_params_free(&params);
    reel_free(g->env, pixels);
    return status;
}

/* Adds what looking at the picture takes to what encoding it does. */
static reel_status predict_look_s(const reel_generate *g, reel_generate_cost *cost) {
    reel_rates rates = {0};
    double seconds = 0;
    if (!g->task.condition ||
        !reel_generate_config(g, REEL_COMPONENT_TRANSFORMER)->transformer.image_dim)
        return REEL_OK;
    reel_status status = look_at_picture(g, true, &rates, &seconds);
    if (status == REEL_OK) status = look_at_picture(g, false, &rates, &seconds);
    cost->encode_s += seconds;
    return status;
}

/* ---- transformer ---- */

/* Rows of text of the right width, for a transformer that will not look at them. */
static reel_status blank_rows(const reel_generate *g, int64_t dim, reel_text_rows *rows) {
    *rows = (reel_text_rows){.n_prompts = g->n_prompts, .dim = dim};
    for (int i = 0; i < g->n_prompts; i++) {
        rows->n[i] = 1;
        rows->row[i] = reel_calloc(g->env, dim, sizeof(float), "sample");
        if (!rows->row[i]) {
            reel_text_rows_deinit(g->env, rows);
            return REEL_E_NOMEM;
        }
    }
    return REEL_OK;
}

/* Whether declare_q8 was at work. */
static bool holds_q8(reel_params *params) {
    for (int i = 0; i < reel_params_count(params); i++)
        if (reel_params_at(params, i)->dtype == REEL_Q8_0) return true;
    return false;
}

static reel_status new_transformer(const reel_generate *g, const reel_wan_dit_config *config,
                                   reel_params *params, const int64_t grid[3], bool dry,
                                   reel_transformer **m) {
    reel_text_rows rows;
    reel_status status = blank_rows(g, config->text_dim, &rows);
    if (status != REEL_OK) return status;
    const reel_component_config *clip = reel_generate_config(g, REEL_COMPONENT_IMAGE_ENCODER);
    const reel_transformer_options options = {
        .config = config,
        .params = params,
        .table = g->backend.table,
        .compute = g->bf16 ? REEL_BF16 : REEL_F32,
        .q8 = g->settings.q8 && !holds_q8(params),
        .F = grid[0],
        .h = grid[1],
        .w = grid[2],
        .n_groups = 1,
        .text = &rows,
        .text_length = g->settings.text_length,
        .n_image_rows = config->image_dim ? reel_clip_vision_rows(&clip->image_encoder) : 0,
        .dry = dry};
    status = reel_transformer_new(g->env, &options, m);
    reel_text_rows_deinit(g->env, &rows);
    return status;
}

/* A part of the latents that takes a fraction of a second: frames are left out first, then rows. */
static void sample_grid(const reel_generate *g, int64_t grid[3]) {
    enum { TOKENS = 1536 };
    const reel_settings *s = &g->settings;
    const int64_t *patch =
        reel_generate_config(g, REEL_COMPONENT_TRANSFORMER)->transformer.patch_size;
    const int64_t per_row = s->w / patch[2], per_frame = per_row * (s->h / patch[1]);
    grid[0] = reel_predict_length(s);
    grid[1] = s->h;
    grid[2] = s->w;
    int64_t frames = TOKENS / per_frame;
    if (frames < 1) frames = 1;
    if (frames * patch[0] < grid[0]) grid[0] = frames * patch[0];
    int64_t rows = TOKENS / per_row;
    if (rows < 1) rows = 1;
    if (grid[0] == patch[0] && rows * patch[1] < s->h) grid[1] = rows * patch[1];
}

static reel_status measure_transformer(const reel_generate *g, int n_rows, reel_rates *rates) {
    reel_component_config config = *reel_generate_config(g, REEL_COMPONENT_TRANSFORMER);
    config.transformer.num_layers = 1;
    int64_t grid[3];
    sample_grid(g, grid);
    reel_params *params = NULL;
    reel_transformer *m = NULL;
    reel_plan *plan;
    reel_status status = reel_predict_make(
        g->env, &config, (reel_make){.dtype = g->dtype, .q8 = g->settings.q8, .filled = true},
        &params);
    if (status == REEL_OK)
        status = new_transformer(g, &config.transformer, params, grid, false, &m);
    if (status == REEL_OK) status = reel_transformer_plan(m, n_rows, &plan);
    if (status == REEL_OK) status = reel_rates_measure(g->env, plan, rates);
    reel_transformer_free(&m);
    reel_params_free(&params);
    return status;
}

/* The whole model on the whole grid, dry; q8: with linear weights kept in blocks. The caller frees
 * both. */
static reel_status whole_transformer(const reel_generate *g, bool q8, reel_params **params,
                                     reel_transformer **m) {
    const reel_component_config *config = reel_generate_config(g, REEL_COMPONENT_TRANSFORMER);
    const int64_t grid[3] = {reel_predict_length(&g->settings), g->settings.h, g->settings.w};
    reel_status status =
        reel_predict_make(g->env, config, (reel_make){.dtype = g->dtype, .q8 = q8}, params);
    if (status == REEL_OK)
        status = new_transformer(g, &config->transformer, *params, grid, true, m);
    if (status != REEL_OK) reel_params_free(params);
    return status;
}

/* ---- memory ---- */

/* What is in memory of the encoder's weights at a time. Of its table, a fifth of all, only the rows
 * of the prompts' tokens are ever read. */
static int64_t text_window(reel_params *params, const reel_plan *plan) {
    reel_param *table = reel_params_find(params, "shared.weight");
    if (table) table->used = false;
    const int64_t bytes = reel_streaming_window(params, plan);
    if (table) table->used = true;
    return bytes;
}

static reel_status predict_text_bytes(const reel_generate *g, int64_t base,
                                      reel_generate_cost *cost) {
    reel_params *params = NULL;
    reel_text_batch *batch = NULL;
    reel_plan *plan = NULL;
    const reel_status status = plan_text(g, &params, &batch, &plan);
    if (status != REEL_OK) return status;
    cost->text_bytes = base + reel_plan_get_stats(plan).planned_bytes + text_window(params, plan);
    reel_text_rows_unplan(g->env, &batch, &plan);
    reel_params_free(&params);
    return REEL_OK;
}

/* Bytes of the phase with all weights in memory, or with streamed ones. */
static reel_status denoise_bytes(const reel_generate *g, int64_t base, bool streamed,
                                 int64_t *bytes) {
    enum { COPIES = 5 + 4 + 2 }; /* of the latents: the driver's, the sampler's, the model's */
    reel_params *params = NULL;
    reel_transformer *m = NULL;
    reel_plan *plan;
    int guided, plain;
    const reel_settings *s = &g->settings;
    count_evaluations(s, &guided, &plain);
    reel_status status = whole_transformer(g, s->q8 && !streamed, &params, &m);
    if (status == REEL_OK) status = reel_transformer_plan(m, guided ? 2 : 1, &plan);
    if (status == REEL_OK) {
        const int64_t latents =
            reel_generate_config(g, REEL_COMPONENT_TRANSFORMER)->transformer.in_channels *
            reel_predict_length(s) * s->h * s->w * (int64_t)sizeof(float);
        *bytes = base + reel_plan_get_stats(plan).planned_bytes + COPIES * latents +
                 (streamed ? reel_streaming_window(params, plan) : param_bytes(params));
    }
    reel_transformer_free(&m);
    reel_params_free(&params);
    return status;
}

static reel_status predict_denoise_bytes(const reel_generate *g, int64_t base,
                                         reel_generate_cost *cost) {
    const reel_status status = denoise_bytes(g, base, false, &cost->denoise_bytes);
    cost->streamed = cost->denoise_bytes > cost->limit_bytes;
    return status == REEL_OK && cost->streamed ? denoise_bytes(g, base, true, &cost->denoise_bytes)
                                               : status;
}

static reel_status check_limit(const reel_generate *g, const reel_generate_cost *cost) {
    if (cost->peak_bytes <= cost->limit_bytes) return REEL_OK;
    return reel_fail(g->env, REEL_E_NOMEM,
                     "needs %lld MiB (encoding %lld, text %lld, denoising %lld%s, decoding %lld) "
                     "and %lld MiB are %s; make it smaller or shorter%s",
                     (long long)(cost->peak_bytes >> 20), (long long)(cost->encode_bytes >> 20),
                     (long long)(cost->text_bytes >> 20), (long long)(cost->denoise_bytes >> 20),
                     cost->streamed ? " with streamed weights" : "",
                     (long long)(cost->decode_bytes >> 20), (long long)(cost->limit_bytes >> 20),
                     g->request->max_memory ? "allowed" : "free",
                     g->request->max_memory
                         ? ""
                         : ", or set max_memory: frames are then decoded in parts to keep to it");
}

reel_status reel_predict_memory(reel_generate *g, reel_generate_cost *cost) {
    *cost = (reel_generate_cost){.free_bytes = reel_memory_available(),
                                 .limit_bytes = reel_generate_limit(g)};
    const int64_t resident = reel_memory_resident(), base = resident > 0 ? resident : 0;
    reel_status status = predict_text_bytes(g, base, cost);
    if (status == REEL_OK) status = predict_denoise_bytes(g, base, cost);
    if (status == REEL_OK) status = reel_predict_vae_bytes(g, base, cost);
    if (status != REEL_OK) return status;
    const int64_t phase[] = {cost->encode_bytes, cost->text_bytes, cost->denoise_bytes,
                             cost->decode_bytes};
    for (size_t i = 0; i < sizeof phase / sizeof *phase; i++)
        if (phase[i] > cost->peak_bytes) cost->peak_bytes = phase[i];
    return check_limit(g, cost);
}

/* ---- time ---- */

static reel_status predict_text_s(const reel_generate *g, reel_generate_cost *cost) {
    reel_rates rates = {0};
    reel_params *params = NULL;
    reel_text_batch *batch = NULL;
    reel_plan *plan = NULL;
    reel_status status = measure_text(g, &rates);
    if (status == REEL_OK) status = plan_text(g, &params, &batch, &plan);
    if (status != REEL_OK) return status;
    cost->text_s = reel_rates_predict(&rates, plan);
    reel_text_rows_unplan(g->env, &batch, &plan);
    reel_params_free(&params);
    return REEL_OK;
}

static reel_status predict_denoise_s(const reel_generate *g, reel_generate_cost *cost) {
    int count[3]; /* of evaluations with one row, with two */
    count_evaluations(&g->settings, &count[2], &count[1]);
    reel_params *params = NULL;
    reel_transformer *m = NULL;
    reel_status status = whole_transformer(g, g->settings.q8, &params, &m);
    for (int rows = 1; rows <= 2 && status == REEL_OK; rows++) {
        reel_rates rates = {0};
        reel_plan *plan;
        if (!count[rows]) continue;
        status = measure_transformer(g, rows, &rates);
        if (status == REEL_OK) status = reel_transformer_plan(m, rows, &plan);
        if (status == REEL_OK) cost->denoise_s += count[rows] * reel_rates_predict(&rates, plan);
    }
    cost->denoise_s *= (double)g->shown.windows;
    reel_transformer_free(&m);
    reel_params_free(&params);
    return status;
}

reel_status reel_predict_time(reel_generate *g, reel_generate_cost *cost) {
    reel_status status = predict_text_s(g, cost);
    if (status == REEL_OK) status = predict_denoise_s(g, cost);
    if (status == REEL_OK) status = reel_predict_vae_s(g, cost);
    if (status == REEL_OK) status = predict_look_s(g, cost);
    return status;
}
