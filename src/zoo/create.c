#include "zoo/create.h"

#include <stdio.h>
#include <string.h>

#include "zoo/save.h"

static reel_blueprint empty(void) {
    return (reel_blueprint){.scheduler = reel_scheduler_config_default(),
                            .index = {.pipeline = "WanPipeline"}};
}

reel_status reel_blueprint_folder(reel_env *env, const char *path, reel_blueprint *blueprint) {
    reel_folder *folder;
    const reel_status status = reel_folder_open(env, path, &folder);
    if (status != REEL_OK) return status;
    reel_blueprint b = empty();
    b.index = *reel_folder_index(folder);
    b.scheduler = *reel_folder_scheduler(folder);
    for (int kind = 0; kind < REEL_COMPONENT_COUNT; kind++) {
        const reel_component_config *c = reel_folder_config(folder, (reel_component_kind)kind);
        b.has[kind] = c != NULL;
        if (c) b.config[kind] = *c;
    }
    reel_folder_close(&folder);
    *blueprint = b;
    return REEL_OK;
}

/* ---- from a file ---- */

static reel_status read_part(const reel_json *root, reel_component_kind kind, reel_blueprint *b) {
    const char *name = reel_component_name(kind);
    if (!reel_json_has(root, name) || reel_json_is_null(root, name)) return REEL_OK;
    reel_json at;
    reel_status status = reel_json_object(root, name, &at);
    if (status == REEL_OK) status = reel_component_config_read(&at, kind, &b->config[kind]);
    b->has[kind] = status == REEL_OK;
    return status;
}

static reel_status read_scheduler(const reel_json *root, reel_blueprint *b) {
    if (!reel_json_has(root, "scheduler") || reel_json_is_null(root, "scheduler")) return REEL_OK;
    reel_json at;
    reel_status status = reel_json_object(root, "scheduler", &at);
    return status == REEL_OK ? reel_scheduler_config_read(&at, &b->scheduler) : status;
}

/* The kind of a lone config.json, by its class. */
static reel_status kind_of(const reel_json *root, reel_component_kind *kind) {
    const char *class = "", *type = "";
    if (reel_json_has(root, "model_type") && !reel_json_has(root, "_class_name")) {
        const reel_status status = reel_json_string(root, "model_type", &type);
        if (status != REEL_OK) return status;
        *kind = REEL_COMPONENT_TEXT_ENCODER;
        return REEL_OK;
    }
    const reel_status status = reel_json_string(root, "_class_name", &class);
    if (status != REEL_OK) return status;
    *kind =
        strcmp(class, "AutoencoderKLWan") == 0 ? REEL_COMPONENT_VAE : REEL_COMPONENT_TRANSFORMER;
    return REEL_OK;
}

static reel_status read_blueprint(const reel_json *root, reel_blueprint *b) {
    reel_status status = REEL_OK;
    bool any = false;
    for (int kind = 0; kind < REEL_COMPONENT_COUNT && status == REEL_OK; kind++) {
        status = read_part(root, (reel_component_kind)kind, b);
        any = any || b->has[kind];
    }
    if (status != REEL_OK) return status;
    if (any) return read_scheduler(root, b);
    reel_component_kind kind;
    status = kind_of(root, &kind);
    if (status == REEL_OK) status = reel_component_config_read(root, kind, &b->config[kind]);
    if (status == REEL_OK) b->has[kind] = true;
    return status;
}

reel_status reel_blueprint_file(reel_env *env, const char *path, reel_blueprint *blueprint) {
    reel_json_doc *doc;
    reel_status status = reel_json_load(env, path, &doc);
    if (status != REEL_OK) return status;
    reel_blueprint b = empty();
    const reel_json root = reel_json_root(doc);
    status = read_blueprint(&root, &b);
    reel_json_free(&doc);
    if (status == REEL_OK) *blueprint = b;
    return status;
}

/* ---- what of it ---- */

reel_status reel_blueprint_keep(reel_env *env, const char *parts, reel_blueprint *blueprint) {
    bool keep[REEL_COMPONENT_COUNT] = {false};
    for (const char *at = parts; *at;) {
        char name[32];
        const size_t n = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), at);
        const reel_component_kind kind = reel_component_parse(name);
        if (kind == REEL_COMPONENT_COUNT)
            return reel_fail(env, REEL_E_ARG,
                             "got the component '%s', wanted some of transformer, vae, "
                             "text_encoder, transformer_2 and image_encoder, joined by commas",
                             name);
        if (!blueprint->has[kind])
            return reel_fail(env, REEL_E_ARG, "the given configuration has no %s", name);
        keep[kind] = true;
        at += n + (at[n] == ',');
    }
    memcpy(blueprint->has, keep, sizeof keep);
    return REEL_OK;
}

static reel_status write_parts(reel_folder_writer *w, const reel_blueprint *b,
                               const reel_create_options *o) {
    reel_status status = REEL_OK;
    if (o->shard_bytes) reel_folder_writer_set_shard_bytes(w, o->shard_bytes);
    for (int kind = 0; kind < REEL_COMPONENT_COUNT && status == REEL_OK; kind++)
        if (b->has[kind]) /* two transformers have the same names, and are to differ */
            status = reel_folder_writer_random(w, &b->config[kind], o->dtype,
                                               o->seed + (kind == REEL_COMPONENT_TRANSFORMER_2));
    if (status == REEL_OK) status = reel_folder_writer_scheduler(w, &b->scheduler);
    if (status == REEL_OK && o->tokenizer) status = reel_folder_writer_tokenizer(w, o->tokenizer);
    return status;
}

reel_status reel_folder_create(reel_env *env, const char *path, const reel_blueprint *blueprint,
                               const reel_create_options *options) {
    bool any = false;
    for (int kind = 0; kind < REEL_COMPONENT_COUNT; kind++)
        any = any || blueprint->has[kind];
    if (!any) return reel_fail(env, REEL_E_ARG, "%s: no component is to be made", path);
    reel_folder_writer *w;
    reel_status status = reel_folder_writer_open(env, path, &w);
    if (status != REEL_OK) return status;
    status = write_parts(w, blueprint, options);
    if (status == REEL_OK) status = reel_folder_writer_commit(w, &blueprint->index);
    reel_folder_writer_close(&w);
    return status;
}
