/* Any bytes as each configuration of a model folder: a refusal with a message, or a configuration
 * whose model can be recorded, and which reads back as it was written.
 */
#include "fuzz.h"

#include <string.h>

#include "base/env.h"
#include "base/json.h"
#include "base/json_out.h"
#include "zoo/component.h"
#include "zoo/config.h"
#include "zoo/keys.h"

/* A model of many layers is as right as one of few, and takes longer than a fuzzer waits. */
static bool is_small(const reel_component_config *c) {
    switch (c->kind) {
    case REEL_COMPONENT_TRANSFORMER:
    case REEL_COMPONENT_TRANSFORMER_2:
        return c->transformer.num_layers <= 2;
    case REEL_COMPONENT_TEXT_ENCODER:
        return c->text_encoder.num_layers <= 2;
    case REEL_COMPONENT_IMAGE_ENCODER:
        return c->image_encoder.num_hidden_layers <= 2;
    default:
        return c->vae.num_res_blocks <= 2;
    }
}

/* What the reader takes, the model takes: its checks are the same ones. */
static void declare(reel_env *env, const reel_component_config *c) {
    reel_params *params = NULL;
    if (!is_small(c)) return;
    PROMISE(reel_params_new(env, &params) == REEL_OK);
    const reel_status status = reel_component_declare(env, c, REEL_F32, params);
    /* Shapes may be more than can be counted: that is refused, not computed with. */
    PROMISE(status == REEL_OK || status == REEL_E_SHAPE || status == REEL_E_ARG);
    PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
    reel_env_clear(env);
    reel_params_free(&params);
}

static void write_and_read(reel_env *env, const reel_component_config *c) {
    reel_json_out out;
    const char *text;
    int64_t bytes;
    reel_json_doc *doc = NULL;
    reel_component_config again;
    reel_json_out_init(&out, env);
    reel_component_config_write(&out, c, REEL_BF16);
    PROMISE(reel_json_out_text(&out, &text, &bytes) == REEL_OK);
    PROMISE(reel_json_parse(env, text, bytes, "written", &doc) == REEL_OK);
    const reel_json root = reel_json_root(doc);
    PROMISE(reel_component_config_read(&root, c->kind, &again) == REEL_OK);
    if (c->kind == REEL_COMPONENT_TRANSFORMER)
        PROMISE(again.transformer.num_layers == c->transformer.num_layers &&
                again.transformer.image_dim == c->transformer.image_dim);
    reel_json_free(&doc);
    reel_json_out_deinit(&out);
}

static void try_components(reel_env *env, const reel_json *root) {
    for (int kind = 0; kind < REEL_COMPONENT_COUNT; kind++) {
        reel_component_config c;
        const reel_status status = reel_component_config_read(root, (reel_component_kind)kind, &c);
        PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
        reel_env_clear(env);
        if (status != REEL_OK) continue;
        write_and_read(env, &c);
        declare(env, &c);
    }
}

static void try_rest(reel_env *env, const reel_json *root) {
    reel_scheduler_config scheduler;
    reel_model_index index;
    reel_status status = reel_scheduler_config_read(root, &scheduler);
    PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
    if (status == REEL_OK) PROMISE(scheduler.sampler && scheduler.prediction);
    reel_env_clear(env);
    status = reel_model_index_read(root, &index);
    PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
    if (status == REEL_OK) PROMISE(memchr(index.pipeline, '\0', sizeof index.pipeline));
    reel_env_clear(env);
}

/* Names out of files are renamed into room of our own. */
static void try_name(const uint8_t *data, size_t size) {
    char name[2 * REEL_KEY_BYTES], text[REEL_KEY_BYTES];
    const size_t n = size < sizeof name - 1 ? size : sizeof name - 1;
    memcpy(name, data, n);
    name[n] = '\0';
    for (int kind = 0; kind < REEL_COMPONENT_COUNT; kind++) {
        reel_component_config c = {.kind = (reel_component_kind)kind};
        const char *known = reel_key_canonical(&c, name, text);
        PROMISE(known == name || (known == text && memchr(text, '\0', sizeof text)));
        (void)reel_key_ignored(&c, known);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    reel_env *env = NULL;
    if (reel_env_new(&options, &env) != REEL_OK) return 0;
    reel_json_doc *doc = NULL;
    try_name(data, size);
    if (reel_json_parse(env, (const char *)data, (int64_t)size, "fuzz", &doc) == REEL_OK) {
        const reel_json root = reel_json_root(doc);
        try_components(env, &root);
        try_rest(env, &root);
    }
    reel_json_free(&doc);
    PROMISE(env->allocator.bytes == 0);
    reel_env_free(&env);
    return 0;
}
