/* CLIP's image encoder under the names of Wan's own repository, through the loader. */
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "replay/replay.h"
#include "zoo/component.h"

/* The fields Wan's VisionTransformer is made with. */
static reel_status read_config(replay *r, reel_clip_vision_config *c) {
    const struct {
        const char *name;
        int64_t *out;
    } field[] = {{"dim", &c->hidden_size},
                 {"num_layers", &c->num_hidden_layers},
                 {"num_heads", &c->num_attention_heads},
                 {"image_size", &c->image_size},
                 {"patch_size", &c->patch_size},
                 {"mlp_ratio", &c->intermediate_size}};
    *c = reel_clip_vision_config_default();
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        const reel_status status =
            reel_json_int(&r->config, field[i].name, 1, 1 << 16, field[i].out);
        if (status != REEL_OK) return status;
    }
    c->intermediate_size *= c->hidden_size;
    return reel_clip_vision_config_check(r->env, c);
}

/* block1 -> the scope that makes it */
static bool scope_of(const char *name, char scope[64]) {
    int block, used = 0;
    scope[0] = '\0';
    if (strcmp(name, "patch_embedding") == 0)
        snprintf(scope, 64, "vision_model.embeddings.patch_embedding");
    else if (strcmp(name, "pre_norm") == 0)
        snprintf(scope, 64, "vision_model.pre_layrnorm");
    else if (sscanf(name, "block%d%n", &block, &used) == 1 && !name[used])
        snprintf(scope, 64, "vision_model.encoder.layers.%d", block);
    return scope[0] != '\0';
}

static void compare_all(replay *r, replay_run *run, bool keep_only) {
    for (int64_t i = 0; i < reel_safetensors_count(r->outputs); i++) {
        char scope[64];
        const char *name = reel_safetensors_at(r->outputs, i)->name;
        if (!scope_of(name, scope)) continue;
        const reel_var var = replay_made_in(run, scope, NULL);
        const bool grid = strcmp(name, "patch_embedding") == 0;
        if (!keep_only) replay_compare_var(r, run, name, var, (replay_view){.channels_last = grid});
    }
}

/* pixels [B,3,S,S]; whole: with the intermediates and the rows behind the last block. */
static reel_status run_encoder(replay *r, const reel_component *c, reel_shape shape, void *pixels,
                               const char *name, bool whole) {
    const reel_clip_vision_config *config = &c->config.image_encoder;
    replay_run run = {0};
    reel_status status = replay_begin(r, c->params, &run);
    if (status == REEL_OK) {
        const reel_var x = reel_tape_input(run.tape, REEL_F32, shape, "pixels", pixels);
        const int64_t n = config->num_hidden_layers;
        char before_last[64];
        const reel_var out = reel_clip_vision(&run.nn, config, x, whole ? n : n - 1);
        snprintf(before_last, sizeof before_last, "vision_model.encoder.layers.%d", (int)n - 2);
        const reel_var tokens = whole ? replay_made_in(&run, before_last, NULL) : out;
        reel_tape_keep(run.tape, out);
        compare_all(r, &run, true);
        status = replay_finish(r, &run);
        if (status == REEL_OK) replay_compare_var(r, &run, name, tokens, (replay_view){0});
        if (status == REEL_OK && whole) {
            replay_compare_var(r, &run, "tokens_full", out, (replay_view){0});
            compare_all(r, &run, false);
        }
    }
    replay_end(&run);
    return status;
}

/* frame [3,1,H,W] in [-1,1] */
static reel_status run_frame(replay *r, const reel_component *c) {
    const int64_t S = c->config.image_encoder.image_size;
    reel_tensor frame;
    if (!replay_has_input(r, "frame")) return REEL_OK;
    reel_status status = replay_input(r, "frame", &frame);
    if (status != REEL_OK) return status;
    const reel_clip_picture picture = {
        .planes = frame.data, .H = frame.shape.dim[2], .W = frame.shape.dim[3]};
    float *pixels = reel_alloc(r->env, 3 * S * S * (int64_t)sizeof *pixels, "replay");
    if (!pixels) return REEL_E_NOMEM;
    reel_clip_preprocess(&picture, S, pixels);
    replay_compare(r, "preprocessed", pixels, 3 * S * S);
    status = run_encoder(r, c, REEL_SHAPE(1, 3, S, S), pixels, "tokens_from_frame", false);
    reel_free(r->env, pixels);
    return status;
}

reel_status replay_clip(replay *r) {
    reel_component_config config = {.kind = REEL_COMPONENT_IMAGE_ENCODER};
    reel_component *c = NULL;
    reel_tensor pixels;
    char path[4096];
    snprintf(path, sizeof path, "%s/weights.safetensors", r->folder);
    reel_status status = read_config(r, &config.image_encoder);
    if (status == REEL_OK)
        status =
            reel_component_open(r->env, &config, path,
                                r->compute == REEL_BF16 ? REEL_WEIGHTS_BF16 : REEL_WEIGHTS_F32, &c);
    if (status == REEL_OK) status = replay_input(r, "pixels", &pixels);
    if (status == REEL_OK) status = run_encoder(r, c, pixels.shape, pixels.data, "tokens", true);
    if (status == REEL_OK) status = run_frame(r, c);
    reel_component_close(&c);
    return status;
}
