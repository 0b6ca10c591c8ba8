#include "pipeline/experts.h"

#include <math.h>

#include "base/memory.h"
#include "pipeline/places.h"

/* Bytes of the weights as a generation has them once they are all in memory. */
static int64_t weights_bytes(const reel_generate *g, const reel_component *c) {
    if (!g->settings.q8) return c->bytes - c->converted_bytes;
    int64_t bytes = 0;
    for (int i = 0; i < reel_params_count(c->params); i++) {
        const reel_param *p = reel_params_at(c->params, i);
        const bool q8 = reel_places_is_linear(p);
        bytes += reel_dtype_size(q8 ? REEL_Q8_0 : p->dtype, reel_shape_count(&p->shape));
    }
    return bytes;
}

/* Whether the transformer's weights stay in memory, by what its plan needs. Fails when there is not
 * enough even for streaming them. */
static reel_status decide_streaming(reel_experts *x, bool *stream) {
    const reel_generate *g = x->g;
    reel_plan *plan;
    const reel_status status = reel_transformer_plan(x->model, x->n_rows, &plan);
    if (status != REEL_OK) return status;
    const int64_t limit = reel_generate_limit(g);
    const int64_t rest = reel_memory_resident() + reel_plan_get_stats(plan).planned_bytes;
    const int64_t whole = rest + weights_bytes(g, x->component);
    const int64_t least = rest + reel_streaming_window(x->component->params, plan);
    *stream = whole > limit;
    if (least <= limit) return REEL_OK;
    return reel_fail(g->env, REEL_E_NOMEM,
                     "the transformer needs %lld MiB at this size even with its weights streamed "
                     "(%lld MiB with all of them in memory), and %lld MiB are %s; make it smaller "
                     "or shorter",
                     (long long)(least >> 20), (long long)(whole >> 20), (long long)(limit >> 20),
                     g->request->max_memory ? "allowed" : "free");
}

/* q8: linear weights become blocks where they are used. */
static reel_status new_transformer(reel_experts *x, bool stream, bool q8) {
    const reel_generate *g = x->g;
    reel_component *c = x->component;
    const reel_settings *s = &g->settings;
    const reel_transformer_options options = {.config = &c->config.transformer,
                                              .params = c->params,
                                              .files = stream ? c->files : NULL,
                                              .table = g->backend.table,
                                              .compute = reel_generate_compute(c),
                                              .q8 = q8,
                                              .gives_sample = s->gives_sample,
                                              .F = x->F,
                                              .h = s->h,
                                              .w = s->w,
                                              .n_groups = x->n_groups,
                                              .text = x->text,
                                              .text_length = s->text_length,
                                              .condition = x->condition->channels,
                                              .image = x->condition->rows,
                                              .n_image_rows = x->condition->n_rows,
                                              .tick = x->tick,
                                              .tick_context = x->tick_context};
    return reel_transformer_new(g->env, &options, &x->model);
}

void reel_experts_close(reel_experts *x) {
    reel_transformer_free(&x->model);
    reel_component_close(&x->component);
}

/* 8-bit weights are kept in memory where there is room, else made anew from the file at each use:
 * the same blocks. */
static reel_status open_model(reel_experts *x) {
    const reel_generate *g = x->g;
    const bool q8 = g->settings.q8;
    bool stream = false;
    reel_status status =
        reel_folder_component(g->folder, x->kind, reel_generate_weights(g, x->kind), &x->component);
    if (status == REEL_OK && x->kind == REEL_COMPONENT_TRANSFORMER)
        status = reel_generate_adapt(g, x->component, NULL);
    if (status == REEL_OK) status = new_transformer(x, false, q8);
    if (status == REEL_OK) status = decide_streaming(x, &stream);
    if (status != REEL_OK || (!stream && !q8)) return status;
    reel_transformer_free(&x->model);
    if (stream)
        reel_log(g->env, REEL_LOG_INFO, "weights are read anew at each step to keep to the memory");
    else
        status = reel_places_quantise(g->env, x->component->files, x->component->params);
    return status == REEL_OK ? new_transformer(x, stream, stream && q8) : status;
}

/* Which of the two works at the highest level of the query. */
static reel_component_kind expert_for(const reel_generate *g, const reel_denoise_query *q) {
    const double all = g->settings.sampler.schedule.num_train_timesteps;
    double highest = 0;
    for (int i = 0; i < q->n_groups; i++)
        if (q->timestep[i] > highest) highest = q->timestep[i];
    return highest >= g->settings.boundary * all ? REEL_COMPONENT_TRANSFORMER
                                                 : REEL_COMPONENT_TRANSFORMER_2;
}

/* Damaged weights give NaN, and a video of nothing hours later. */
static reel_status check_finite(const reel_experts *x, const float *out, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(out[i]))
            return reel_fail(
                x->g->env, REEL_E_FORMAT,
                "%s: the %s gives numbers that are not finite: its weights are damaged",
                reel_folder_path(x->g->folder), reel_component_name(x->kind));
    return REEL_OK;
}

reel_status reel_experts_evaluate(void *context, const reel_denoise_query *q, float *cond,
                                  float *uncond) {
    reel_experts *x = context;
    const reel_component_kind kind = expert_for(x->g, q);
    if (!x->component || x->kind != kind) {
        reel_experts_close(x);
        x->kind = kind;
        const reel_status status = open_model(x);
        if (status != REEL_OK) {
            reel_experts_close(x);
            return status;
        }
    }
    reel_status status = reel_transformer_evaluate(x->model, q, cond, uncond);
    const reel_settings *s = &x->g->settings;
    const int64_t n = x->component->config.transformer.out_channels * x->F * s->h * s->w;
    if (status == REEL_OK) status = check_finite(x, cond, n);
    return status == REEL_OK && q->guided ? check_finite(x, uncond, n) : status;
}
