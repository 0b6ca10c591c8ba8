/* Model folders: the public view of zoo/. */
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "base/json.h"
#include "base/path.h"
#include "models/depth/depth.h"
#include "models/judge/judge.h"
#include "reel/reel.h"
#include "zoo/cache.h"
#include "zoo/create.h"

/* ---- describing ---- */

/* The dtype most bytes of a part are stored in. */
static const char *main_dtype(const reel_component *c) {
    int64_t bytes[REEL_DTYPE_COUNT] = {0};
    int most = 0;
    for (int64_t i = 0; i < reel_safetensors_set_count(c->files); i++) {
        const reel_stored *stored = reel_safetensors_set_at(c->files, i);
        bytes[stored->dtype] += stored->bytes;
        if (bytes[stored->dtype] > bytes[most]) most = stored->dtype;
    }
    return reel_dtype_name((reel_dtype)most);
}

static int64_t stored_bytes(const reel_component *c) {
    int64_t bytes = 0;
    for (int64_t i = 0; i < reel_safetensors_set_count(c->files); i++)
        bytes += reel_safetensors_set_at(c->files, i)->bytes;
    return bytes;
}

static reel_status tell(const reel_component *c, reel_model_part_visit *visit, void *context) {
    reel_json_out out;
    reel_json_out_init(&out, c->env);
    reel_component_config_write(&out, &c->config, REEL_BF16);
    const char *text;
    int64_t bytes;
    const reel_status status = reel_json_out_text(&out, &text, &bytes);
    if (status == REEL_OK) {
        const reel_model_part part = {.name = reel_component_name(c->config.kind),
                                      .class_name = reel_component_class(&c->config),
                                      .config = text,
                                      .dtype = main_dtype(c),
                                      .n_tensors = reel_safetensors_set_count(c->files),
                                      .n_elements = reel_params_elements(c->params),
                                      .n_bytes = stored_bytes(c),
                                      .n_files = reel_safetensors_set_shards(c->files)};
        visit(context, &part);
    }
    reel_json_out_deinit(&out);
    return status;
}

static reel_status tell_part(const reel_folder *folder, reel_component_kind kind,
                             reel_model_part_visit *visit, void *context) {
    reel_component *c;
    reel_status status = reel_folder_component(folder, kind, REEL_WEIGHTS_STORED, &c);
    if (status != REEL_OK) return status;
    status = tell(c, visit, context);
    reel_component_close(&c);
    return status;
}

/* What is stored of a small part; its configuration is what its file says, once it was read. */
static reel_status tell_weights(reel_env *env, const char *path, reel_model_part *part) {
    reel_safetensors *file;
    int64_t bytes[REEL_DTYPE_COUNT] = {0};
    int most = 0;
    const reel_status status = reel_safetensors_open(env, path, &file);
    if (status != REEL_OK) return status;
    part->n_tensors = reel_safetensors_count(file);
    part->n_files = 1;
    for (int64_t i = 0; i < part->n_tensors; i++) {
        const reel_stored *stored = reel_safetensors_at(file, i);
        part->n_elements += reel_shape_count(&stored->shape);
        part->n_bytes += stored->bytes;
        bytes[stored->dtype] += stored->bytes;
        if (bytes[stored->dtype] > bytes[most]) most = stored->dtype;
    }
    part->dtype = reel_dtype_name((reel_dtype)most);
    reel_safetensors_close(&file);
    return REEL_OK;
}

/* Reads a small part's configuration strictly and writes it again. */
typedef reel_status pass_config(const reel_json *root, reel_json_out *out);

static reel_status pass_depth(const reel_json *root, reel_json_out *out) {
    reel_depth_config config;
    const reel_status status = reel_depth_config_read(root, &config);
    if (status == REEL_OK) reel_depth_config_write(out, &config);
    return status;
}

static reel_status pass_judge(const reel_json *root, reel_json_out *out) {
    reel_judge_config config;
    const reel_status status = reel_judge_config_read(root, &config);
    if (status == REEL_OK) reel_judge_config_write(out, &config);
    return status;
}

/* Parts that no pipeline of diffusers has: folders of reel's own beside the others. */
static const struct {
    const char *name;
    pass_config *pass;
} small_parts[] = {{"depth", pass_depth}, {"judge", pass_judge}};

static reel_status tell_small(reel_env *env, const char *folder, const char *name,
                              pass_config *pass, reel_model_part_visit *visit, void *context) {
    char path[4096];
    reel_json_doc *doc;
    reel_json_out out;
    int64_t bytes;
    reel_model_part part = {.name = name};
    snprintf(path, sizeof path, "%s/%s/config.json", folder, name);
    if (reel_path_look(path) != REEL_PATH_FILE) return REEL_OK;
    reel_status status = reel_json_load(env, path, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    reel_json_out_init(&out, env);
    status = pass(&root, &out);
    if (status == REEL_OK) status = reel_json_string(&root, "_class_name", &part.class_name);
    if (status == REEL_OK) status = reel_json_out_text(&out, &part.config, &bytes);
    snprintf(path, sizeof path, "%s/%s/model.safetensors", folder, name);
    if (status == REEL_OK) status = tell_weights(env, path, &part);
    if (status == REEL_OK) visit(context, &part);
    reel_json_out_deinit(&out);
    reel_json_free(&doc);
    return status;
}

reel_status reel_model_describe(reel_env *env, const char *path, reel_model_about_visit *about,
                                reel_model_part_visit *part, void *context) {
    reel_folder *folder;
    reel_status status = reel_folder_open(env, path, &folder);
    if (status != REEL_OK) return status;
    const reel_model_about all = {.pipeline = reel_folder_index(folder)->pipeline,
                                  .sampler = reel_folder_scheduler(folder)->sampler,
                                  .flow_shift = reel_folder_scheduler(folder)->shift,
                                  .tokenizer = reel_folder_tokenizer(folder)};
    if (about) about(context, &all);
    for (int kind = 0; part && kind < REEL_COMPONENT_COUNT && status == REEL_OK; kind++)
        if (reel_folder_config(folder, (reel_component_kind)kind))
            status = tell_part(folder, (reel_component_kind)kind, part, context);
    for (size_t i = 0; part && i < sizeof small_parts / sizeof *small_parts; i++)
        if (status == REEL_OK)
            status = tell_small(env, reel_folder_path(folder), small_parts[i].name,
                                small_parts[i].pass, part, context);
    reel_folder_close(&folder);
    return status;
}

/* ---- finding ---- */

reel_status reel_model_find(reel_env *env, const char *given, const char *cache_root, char *path,
                            int64_t room) {
    reel_arena arena;
    reel_arena_init(&arena, env, 1 << 12, "cache");
    const char *found;
    reel_status status = reel_cache_find(env, cache_root, given, &arena, &found);
    if (status == REEL_OK && (int64_t)strlen(found) >= room)
        status = reel_fail(env, REEL_E_ARG, "%.80s: the path is longer than %lld bytes", given,
                           (long long)room - 1);
    if (status == REEL_OK) memcpy(path, found, strlen(found) + 1);
    reel_arena_deinit(&arena);
    return status;
}

/* ---- making ---- */

reel_model_request reel_model_request_default(void) {
    return (reel_model_request){.dtype = "bf16"};
}

const char *const *reel_model_presets(void) {
    return reel_presets();
}

static reel_status blueprint_of(reel_env *env, const reel_model_request *r, reel_blueprint *b) {
    if (!r->like == !r->config)
        return reel_fail(env, REEL_E_ARG, "wanted either a model to be like, or a config file%s",
                         r->like ? ", got both" : "");
    if (r->config) return reel_blueprint_file(env, r->config, b);
    if (reel_path_look(r->like) != REEL_PATH_NONE) return reel_blueprint_folder(env, r->like, b);
    return reel_blueprint_preset(env, r->like, b);
}

reel_status reel_model_create(reel_env *env, const char *path, const reel_model_request *request) {
    reel_blueprint blueprint;
    reel_create_options options = {.tokenizer = request->tokenizer, .seed = request->seed};
    if (strcmp(request->dtype, "bf16") == 0)
        options.dtype = REEL_BF16;
    else if (strcmp(request->dtype, "f32") == 0)
        options.dtype = REEL_F32;
    else
        return reel_fail(env, REEL_E_ARG, "got the dtype '%s', wanted f32 or bf16", request->dtype);
    reel_status status = blueprint_of(env, request, &blueprint);
    if (status == REEL_OK && request->components)
        status = reel_blueprint_keep(env, request->components, &blueprint);
    return status == REEL_OK ? reel_folder_create(env, path, &blueprint, &options) : status;
}
