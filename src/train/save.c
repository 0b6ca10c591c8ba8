#include "train/save.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/json_out.h"
#include "tensor/safetensors.h"
#include "zoo/adapter.h"

enum { PATH_BYTES = 4096, MOST_SMALL_BYTES = 1 << 28 };

static const char *weights_name(reel_component_kind kind) {
    return kind == REEL_COMPONENT_TEXT_ENCODER ? "model.safetensors"
                                               : "diffusion_pytorch_model.safetensors";
}

/* ---- writing ---- */

static reel_status write_json(reel_env *env, const char *path, const reel_json_out *out) {
    const char *text;
    int64_t bytes;
    const reel_status status = reel_json_out_text(out, &text, &bytes);
    return status == REEL_OK ? reel_file_write(env, path, text, bytes) : status;
}

static reel_status write_weights(reel_env *env, const char *path, reel_params *params) {
    const int n = reel_params_count(params);
    reel_named_tensor *tensor = reel_calloc(env, n, sizeof *tensor, "save");
    if (!tensor) return REEL_E_NOMEM;
    for (int i = 0; i < n; i++) {
        const reel_param *p = reel_params_at(params, i);
        tensor[i] = (reel_named_tensor){p->name, {p->dtype, p->shape, p->data}};
    }
    const reel_metadata format = {"format", "pt"}; /* transformers refuses files without it */
    const reel_status status = reel_safetensors_write(env, path, tensor, n, &format, 1);
    reel_free(env, tensor);
    return status;
}

reel_status reel_save_part(reel_env *env, const char *folder, const reel_component_config *config,
                           reel_params *params) {
    char path[PATH_BYTES];
    const char *part = reel_component_name(config->kind);
    snprintf(path, sizeof path, "%s/%s", folder, part);
    reel_status status = reel_folder_make(env, path);
    if (status != REEL_OK) return status;
    reel_json_out out;
    reel_json_out_init(&out, env);
    reel_component_config_write(&out, config, REEL_BF16);
    snprintf(path, sizeof path, "%s/%s/config.json", folder, part);
    status = write_json(env, path, &out);
    reel_json_out_deinit(&out);
    snprintf(path, sizeof path, "%s/%s/%s", folder, part, weights_name(config->kind));
    return status == REEL_OK ? write_weights(env, path, params) : status;
}

static reel_status copy_file(reel_env *env, const char *from, const char *folder,
                             const char *name) {
    char path[PATH_BYTES + 64], *data;
    int64_t bytes;
    reel_status status = reel_folder_make(env, folder);
    if (status == REEL_OK) status = reel_file_read(env, from, MOST_SMALL_BYTES, &data, &bytes);
    if (status != REEL_OK) return status;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    status = reel_file_write(env, path, data, bytes);
    reel_free(env, data);
    return status;
}

reel_status reel_save_vae(reel_env *env, const char *folder, const char *from) {
    const char *const names[] = {"config.json", weights_name(REEL_COMPONENT_VAE)};
    char source[PATH_BYTES], target[PATH_BYTES];
    snprintf(target, sizeof target, "%s/vae", folder);
    reel_status status = REEL_OK;
    for (int i = 0; i < 2 && status == REEL_OK; i++) {
        snprintf(source, sizeof source, "%s/vae/%s", from, names[i]);
        status = copy_file(env, source, target, names[i]);
    }
    return status;
}

static reel_status write_scheduler(reel_env *env, const char *folder,
                                   const reel_scheduler_config *scheduler) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/scheduler", folder);
    reel_status status = reel_folder_make(env, path);
    if (status != REEL_OK) return status;
    reel_json_out out;
    reel_json_out_init(&out, env);
    reel_scheduler_config_write(&out, scheduler);
    snprintf(path, sizeof path, "%s/scheduler/scheduler_config.json", folder);
    status = write_json(env, path, &out);
    reel_json_out_deinit(&out);
    return status;
}

/* The index with that object put behind its last field. */
static reel_status join(reel_env *env, const char *path, const reel_json_out *index,
                        const reel_json_out *own) {
    const char *a, *b;
    int64_t n_a, n_b;
    reel_status status = reel_json_out_text(index, &a, &n_a);
    if (status == REEL_OK) status = reel_json_out_text(own, &b, &n_b);
    if (status != REEL_OK) return status;
    char *text = reel_alloc(env, n_a + n_b + 16, "save");
    if (!text) return REEL_E_NOMEM;
    const int n =
        snprintf(text, (size_t)(n_a + n_b + 16), "%.*s,\"_reel\":%s}", (int)n_a - 1, a, b);
    status = reel_file_write(env, path, text, n);
    reel_free(env, text);
    return status;
}

static reel_status write_index(reel_env *env, const char *folder, const reel_saved_model *m,
                               const reel_component_config *vae) {
    char path[PATH_BYTES];
    reel_model_index index = {.pipeline = "WanPipeline",
                              .has = {true, true, true},
                              .scheduler = true,
                              .tokenizer = true,
                              .expand_timesteps = m->expand_timesteps};
    const reel_component_config *const config[REEL_COMPONENT_COUNT] = {
        [REEL_COMPONENT_TRANSFORMER] = &m->transformer,
        [REEL_COMPONENT_VAE] = vae,
        [REEL_COMPONENT_TEXT_ENCODER] = &m->text_encoder};
    reel_json_out out, own;
    reel_json_out_init(&out, env);
    reel_json_out_init(&own, env);
    reel_model_index_write(&out, &index, config, reel_scheduler_class(&m->scheduler));
    reel_usual_write(&own, &m->usual);
    snprintf(path, sizeof path, "%s/model_index.json", folder);
    const reel_status status = join(env, path, &out, &own);
    reel_json_out_deinit(&out);
    reel_json_out_deinit(&own);
    return status;
}

reel_status reel_save_model(reel_env *env, const char *folder, const reel_saved_model *m) {
    char path[PATH_BYTES];
    reel_component_config vae;
    reel_status status = reel_read_part_config(env, m->vae, REEL_COMPONENT_VAE, &vae);
    if (status == REEL_OK) status = reel_save_vae(env, folder, m->vae);
    snprintf(path, sizeof path, "%s/tokenizer", folder);
    if (status == REEL_OK) status = copy_file(env, m->tokenizer, path, "spiece.model");
    if (status == REEL_OK)
        status = reel_save_part(env, folder, &m->text_encoder, m->text_encoder_weights);
    if (status == REEL_OK)
        status = reel_save_part(env, folder, &m->transformer, m->transformer_weights);
    if (status == REEL_OK) status = write_scheduler(env, folder, &m->scheduler);
    return status == REEL_OK ? write_index(env, folder, m, &vae) : status;
}

/* ---- adapters ---- */

static reel_tensor average_of(const reel_learned *p) {
    return (reel_tensor){REEL_F32, p->shape, p->average ? p->average : p->master};
}

/* The other half of a pair, by the name of its first. */
static const reel_learned *find_learned(reel_learner *learner, const char *module) {
    char name[REEL_NN_NAME_BYTES + 64];
    snprintf(name, sizeof name, "%s.lora_B.weight", module);
    for (int i = 0; i < reel_learner_count(learner); i++)
        if (strcmp(reel_learner_at(learner, i)->name, name) == 0)
            return reel_learner_at(learner, i);
    return NULL;
}

reel_status reel_save_adapter(reel_env *env, const char *path, reel_learner *learner,
                              const char *prefix, int64_t rank, const char *prediction) {
    static const char end[] = ".lora_A.weight";
    reel_arena arena;
    reel_arena_init(&arena, env, 1 << 14, "save");
    reel_adapter_pair *pair = reel_arena_calloc(&arena, reel_learner_count(learner), sizeof *pair);
    reel_status status = pair ? REEL_OK : REEL_E_NOMEM;
    int64_t n = 0;
    for (int i = 0; i < reel_learner_count(learner) && status == REEL_OK; i++) {
        const reel_learned *a = reel_learner_at(learner, i);
        const size_t length = strlen(a->name), skip = strlen(prefix);
        if (length < skip + sizeof end || strncmp(a->name, prefix, skip) != 0 ||
            strcmp(a->name + length - (sizeof end - 1), end) != 0)
            continue;
        char *module = reel_arena_printf(&arena, "%.*s", (int)(length - (sizeof end - 1)), a->name);
        const reel_learned *b = module ? find_learned(learner, module) : NULL;
        if (!b) status = REEL_E_NOMEM;
        if (b) pair[n++] = (reel_adapter_pair){module + skip, average_of(a), average_of(b)};
    }
    const reel_adapter_about about = {rank, (double)rank, prediction};
    if (status == REEL_OK) status = reel_adapter_write(env, path, pair, n, &about);
    reel_arena_deinit(&arena);
    return status;
}

/* ---- reading ---- */

reel_status reel_read_part_config(reel_env *env, const char *folder, reel_component_kind kind,
                                  reel_component_config *config) {
    char path[PATH_BYTES];
    reel_json_doc *doc;
    snprintf(path, sizeof path, "%s/%s/config.json", folder, reel_component_name(kind));
    reel_status status = reel_json_load(env, path, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    status = reel_component_config_read(&root, kind, config);
    reel_json_free(&doc);
    return status;
}

reel_status reel_load_component(const reel_component *part, const char *path, const char *prefix,
                                reel_learner *learner) {
    reel_params *declared = reel_learner_declared(learner);
    const size_t skip = strlen(prefix);
    reel_status status = REEL_OK;
    for (int i = 0; i < reel_params_count(declared) && status == REEL_OK; i++) {
        const char *name = reel_params_at(declared, i)->name;
        if (strncmp(name, prefix, skip) != 0 || strstr(name, ".lora_")) continue;
        const reel_param *from = reel_params_find(part->params, name + skip);
        if (!from && part->config.kind == REEL_COMPONENT_VAE && !part->config.vae.linear_path &&
            strncmp(name + skip, "linear_", 7) == 0)
            continue; /* a model that had none may be given one */
        if (!from && part->config.kind == REEL_COMPONENT_TRANSFORMER &&
            !part->config.transformer.pooled_text && strstr(name, ".pooled_embedder."))
            continue; /* likewise: it says nothing at first */
        if (!from)
            status = reel_fail(part->env, REEL_E_FORMAT, "%s: has no %s", path, name + skip);
        else
            status = reel_learner_set(learner, name,
                                      &(reel_tensor){from->dtype, from->shape, from->data});
    }
    return status;
}

static reel_status open_part(reel_env *env, const char *folder, reel_component_kind kind,
                             reel_weights_as weights, reel_component **part) {
    char path[PATH_BYTES];
    reel_component_config read;
    reel_status status = reel_read_part_config(env, folder, kind, &read);
    snprintf(path, sizeof path, "%s/%s/%s", folder, reel_component_name(kind), weights_name(kind));
    return status == REEL_OK ? reel_component_open(env, &read, path, weights, part) : status;
}

reel_status reel_load_part(reel_env *env, const char *folder, reel_component_kind kind,
                           const char *prefix, reel_learner *learner,
                           reel_component_config *config) {
    reel_component *part;
    reel_status status = open_part(env, folder, kind, REEL_WEIGHTS_STORED, &part);
    if (status != REEL_OK) return status;
    status = reel_load_component(part, folder, prefix, learner);
    if (status == REEL_OK && config) *config = part->config;
    reel_component_close(&part);
    return status;
}

static reel_status blend(reel_env *env, const char *folder, double share, const reel_param *theirs,
                         reel_param *p) {
    if (!theirs || theirs->dtype != REEL_F32)
        return reel_fail(env, REEL_E_FORMAT, "%s: has no weights %s to blend with", folder,
                         p->name);
    if (!reel_shape_equal(&theirs->shape, &p->shape))
        return reel_fail(env, REEL_E_SHAPE, "%s: its %s is %s, wanted %s to blend with", folder,
                         p->name, REEL_SHAPE_STR(&theirs->shape), REEL_SHAPE_STR(&p->shape));
    const float *from = theirs->data, s = (float)share;
    reel_bf16 *to = p->data;
    for (int64_t i = 0; i < reel_shape_count(&p->shape); i++)
        to[i] = reel_f32_to_bf16((1 - s) * reel_bf16_to_f32(to[i]) + s * from[i]);
    return REEL_OK;
}

reel_status reel_blend_part(reel_env *env, const char *folder, reel_component_kind kind,
                            double share, reel_params *params) {
    reel_component *part;
    reel_status status = open_part(env, folder, kind, REEL_WEIGHTS_F32, &part);
    if (status != REEL_OK) return status;
    for (int i = 0; i < reel_params_count(params) && status == REEL_OK; i++) {
        reel_param *p = reel_params_at(params, i);
        status = blend(env, folder, share, reel_params_find(part->params, p->name), p);
    }
    reel_component_close(&part);
    return status;
}
