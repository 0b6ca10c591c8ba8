/* Opening a generation: the folder, the settings, the prompts' ids. */
#include "pipeline/generate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "pipeline/generate_state.h"
#include "pipeline/windows.h"
#include "text/prompt.h"
#include "zoo/adapter.h"
#include "zoo/cache.h"

/* ---- prompts ---- */

static reel_status tokenize(reel_generate *g, const reel_tokenizer *tokenizer, const char *text,
                            const char *name, reel_tokens *tokens) {
    char *clean;
    int64_t bytes;
    reel_status status =
        reel_prompt_clean(g->env, text, text ? (int64_t)strlen(text) : 0, &clean, &bytes);
    if (status != REEL_OK) return status;
    reel_encode_options options = reel_encode_options_default();
    options.max_tokens = g->settings.text_length;
    status = reel_tokenizer_encode(tokenizer, clean, bytes, &options, tokens);
    reel_free(g->env, clean);
    if (status == REEL_OK && tokens->n_cut)
        reel_settings_note(&g->settings, "%s cut to %lld tokens, %lld more did not fit", name,
                           (long long)tokens->n, (long long)tokens->n_cut);
    return status;
}

static reel_status tokenize_prompts(reel_generate *g) {
    const reel_generate_request *r = g->request;
    reel_tokenizer *tokenizer;
    reel_status status = reel_tokenizer_open(g->env, reel_folder_tokenizer(g->folder), &tokenizer);
    if (status != REEL_OK) return status;
    g->n_prompts = g->settings.guidance.scale != 1 ? 2 : 1;
    status = tokenize(g, tokenizer, r->prompt, "prompt", &g->tokens[0]);
    if (status == REEL_OK && g->n_prompts == 2)
        status = tokenize(g, tokenizer, r->negative_prompt, "negative prompt", &g->tokens[1]);
    reel_tokenizer_close(&tokenizer);
    if (g->n_prompts == 1 && r->negative_prompt && r->negative_prompt[0])
        reel_settings_note(&g->settings,
                           "the negative prompt has no effect: guidance is off (cfg scale 1)");
    return status;
}

/* ---- what is shown ---- */

static void show(reel_generate *g) {
    const reel_settings *s = &g->settings;
    const reel_wan_dit_config *dit =
        &reel_generate_config(g, REEL_COMPONENT_TRANSFORMER)->transformer;
    const int64_t *patch = dit->patch_size;
    for (int i = 0; i < s->n_notes; i++)
        g->note[i] = s->note[i];
    g->shown = (reel_generate_settings){
        .width = s->width,
        .height = s->height,
        .frames = g->task.n_segments ? g->task.frames : s->frames,
        .fps_num = s->fps_num,
        .fps_den = s->fps_den,
        .steps = s->sampler.n_steps,
        .cfg_scale = s->guidance.scale,
        .flow_shift = s->sampler.schedule.shift,
        .sampler = reel_sampler_name(s->sampler.kind),
        .type = s->type ? s->type : "as stored",
        .seed = g->request->seed,
        .tokens =
            reel_windows_length(&s->spans, s->F) * s->h * s->w / (patch[0] * patch[1] * patch[2]),
        .windows = g->task.n_steps ? g->task.n_steps : reel_windows_count(&s->spans, s->F),
        .prompt_tokens = g->tokens[0].n > g->tokens[1].n ? g->tokens[0].n : g->tokens[1].n,
        .n_notes = s->n_notes,
        .note = g->note};
}

/* ---- opening ---- */

static reel_status check_request(reel_env *env, const reel_generate_request *r) {
    if (!r->model || !r->model[0])
        return reel_fail(env, REEL_E_ARG, "no model was named: a folder or a repository is needed");
    if (!r->prompt) return reel_fail(env, REEL_E_ARG, "no prompt was given");
    return REEL_OK;
}

static reel_status open_all(reel_generate *g) {
    const reel_generate_request *r = &g->adjusted;
    reel_status status = check_request(g->env, g->request);
    reel_spans spans;
    const char *path;
    if (status == REEL_OK)
        status =
            reel_cache_find(g->env, g->request->cache_root, g->request->model, &g->arena, &path);
    if (status == REEL_OK) status = reel_folder_open(g->env, path, &g->folder);
    if (status == REEL_OK) status = reel_settings_spans(g->env, g->folder, g->request, &spans);
    if (status == REEL_OK)
        status = reel_task_open(g->env, g->folder, g->request, &spans, &g->adjusted, &g->task);
    g->request = r;
    if (status == REEL_OK) status = reel_settings_resolve(g->env, g->folder, r, &g->settings);
    if (status == REEL_OK && g->task.condition) /* the picture is shown to all of it */
        g->settings.spans.most = g->settings.F;
    if (status == REEL_OK) status = reel_task_place(g->env, r, &g->settings, &g->task);
    if (status == REEL_OK) status = tokenize_prompts(g);
    if (status != REEL_OK) return status;
    if (r->output) {
        g->state_path = reel_arena_printf(&g->arena, "%s.reel-state", r->output);
        g->parts_path = reel_arena_printf(&g->arena, "%s.reel-parts", r->output);
        if (!g->state_path || !g->parts_path) return REEL_E_NOMEM;
    }
    show(g);
    return REEL_OK;
}

reel_status reel_generate_open(reel_env *env, const reel_generate_request *request,
                               const reel_backend *backend, reel_generate **generate) {
    reel_generate *g = reel_calloc(env, 1, sizeof *g, "generate");
    if (!g) return REEL_E_NOMEM;
    g->env = env;
    g->request = request;
    g->backend = *backend;
    reel_arena_init(&g->arena, env, 4096, "generate");
    const reel_status status = open_all(g);
    if (status == REEL_OK)
        *generate = g;
    else
        reel_generate_close(&g);
    return status;
}

void reel_generate_close(reel_generate **generate) {
    reel_generate *g = *generate;
    if (!g) return;
    for (int i = 0; i < REEL_MAX_PROMPTS; i++)
        reel_tokens_deinit(g->env, &g->tokens[i]);
    reel_folder_close(&g->folder);
    reel_arena_deinit(&g->arena);
    reel_free(g->env, g);
    *generate = NULL;
}

const reel_generate_settings *reel_generate_get_settings(const reel_generate *g) {
    return &g->shown;
}

bool reel_generate_is_of_world(const reel_generate *g) {
    return g->settings.of_world;
}

void reel_generate_note(reel_generate *g, const char *format, ...) {
    char text[REEL_NOTE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reel_settings_note(&g->settings, "%s", text);
    show(g);
}

/* ---- what the phases ask ---- */

/* The decoder's arithmetic follows the transformer's, its weights are small enough to be converted:
 * bf16 convolutions are twice as fast and the pictures the same to the eye. */
reel_weights_as reel_generate_weights(const reel_generate *g, reel_component_kind kind) {
    if (kind == REEL_COMPONENT_VAE) return g->bf16 ? REEL_WEIGHTS_BF16 : REEL_WEIGHTS_F32;
    return g->settings.weights;
}

reel_dtype reel_generate_compute(const reel_component *component) {
    for (int i = 0; i < reel_params_count(component->params); i++)
        if (reel_params_at(component->params, i)->dtype == REEL_BF16) return REEL_BF16;
    return REEL_F32; /* of f16 too, which is exact */
}

/* What a part's weights are, but for a few small ones. */
static reel_dtype dtype_of(const reel_generate *g, const reel_component *c) {
    if (g->settings.weights == REEL_WEIGHTS_BF16) return REEL_BF16;
    if (g->settings.weights == REEL_WEIGHTS_F32) return REEL_F32;
    if (reel_generate_compute(c) == REEL_BF16) return REEL_BF16;
    for (int i = 0; i < reel_params_count(c->params); i++)
        if (reel_params_at(c->params, i)->dtype == REEL_F16) return REEL_F16;
    return REEL_F32;
}

int64_t reel_generate_limit(const reel_generate *g) {
    if (g->request->max_memory) return g->request->max_memory;
    const int64_t available = reel_memory_available();
    return available < 0 ? INT64_MAX : available + reel_memory_resident();
}

static reel_status adapt(const reel_generate *g, const reel_lora *lora, reel_component *c,
                         uint64_t *hash) {
    reel_adapter *adapter;
    if (!(lora->scale >= -100 && lora->scale <= 100))
        return reel_fail(g->env, REEL_E_ARG, "%s: the scale must be in -100..100, got %g",
                         lora->path, lora->scale);
    reel_status status = reel_adapter_open(g->env, lora->path, c, &adapter);
    if (status != REEL_OK) return status;
    const char *said = reel_adapter_prediction(adapter);
    const char *own = reel_folder_scheduler(g->folder)->prediction;
    if (said && strcmp(said, own) != 0) {
        status = reel_fail(g->env, REEL_E_ARG,
                           "%s: was trained with a model that predicts '%s', %s predicts '%s'",
                           lora->path, said, reel_folder_path(g->folder), own);
    } else if (hash) {
        *hash = (*hash ^ reel_adapter_hash(adapter)) * 0x100000001b3u; /* FNV's prime */
        *hash = (*hash ^ (uint64_t)(int64_t)rint(lora->scale * 1e9)) * 0x100000001b3u;
    } else {
        status = reel_adapter_apply(adapter, lora->scale, c);
    }
    reel_adapter_close(&adapter);
    return status;
}

reel_status reel_generate_adapt(const reel_generate *g, reel_component *c, uint64_t *hash) {
    reel_status status = REEL_OK;
    for (int i = 0; i < g->request->n_loras && status == REEL_OK; i++)
        status = adapt(g, &g->request->lora[i], c, hash);
    return status;
}

/* Hashes a part, and learns in what it computes. */
static reel_status identify(reel_generate *g, reel_component_kind kind, uint64_t *hash,
                            reel_dtype *dtype) {
    reel_component *c;
    reel_status status = reel_folder_component(g->folder, kind, REEL_WEIGHTS_STORED, &c);
    if (status != REEL_OK) return status;
    status = reel_identity_mix(c->files, hash);
    if (status == REEL_OK && kind == REEL_COMPONENT_TRANSFORMER)
        status = reel_generate_adapt(g, c, hash);
    *dtype = dtype_of(g, c);
    reel_component_close(&c);
    return status;
}

reel_status reel_generate_identify(reel_generate *g) {
    uint64_t hash = 0;
    reel_dtype other;
    if (g->hash[0]) return REEL_OK;
    reel_status status = identify(g, REEL_COMPONENT_TRANSFORMER, &hash, &g->dtype);
    if (status == REEL_OK) status = identify(g, REEL_COMPONENT_VAE, &hash, &other);
    if (status == REEL_OK) status = identify(g, REEL_COMPONENT_TEXT_ENCODER, &hash, &g->text_dtype);
    const reel_component_kind more[] = {REEL_COMPONENT_TRANSFORMER_2, REEL_COMPONENT_IMAGE_ENCODER};
    reel_dtype *const dtype[] = {&other, &g->image_dtype};
    for (int i = 0; i < 2; i++)
        if (status == REEL_OK && reel_folder_config(g->folder, more[i]))
            status = identify(g, more[i], &hash, dtype[i]);
    g->bf16 = g->dtype == REEL_BF16;
    if (status == REEL_OK) snprintf(g->hash, sizeof g->hash, "%016llx", (unsigned long long)hash);
    return status;
}

reel_status reel_generate_predict(reel_generate *g, reel_generate_cost *cost) {
    reel_status status = reel_generate_identify(g);
    if (status == REEL_OK) status = reel_predict_memory(g, cost);
    if (status == REEL_OK) status = reel_predict_time(g, cost);
    return status;
}
