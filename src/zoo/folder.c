#include "zoo/folder.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/path.h"
#include "zoo/pickle.h"
#include "zoo/presets.h"

struct reel_folder {
    reel_env *env;
    reel_arena arena; /* holds the paths */
    const char *path;
    bool original;      /* Wan's own layout */
    bool pair;          /* of it, two transformers in folders of their own: Wan 2.2's 14B */
    const char *single; /* the transformer's weights, when a file was opened; else NULL */
    reel_model_index index;
    reel_component_config config[REEL_COMPONENT_COUNT];
    reel_scheduler_config scheduler;
    const char *tokenizer;
};

/* Where weights are looked for, in this order. %s is the part's folder; the names are diffusers'
 * and transformers', whole or cut into shards, plain or of a "variant". */
static const char *const weight_names[] = {
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.bf16.safetensors",
    "diffusion_pytorch_model.bf16.safetensors.index.json",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.fp16.safetensors.index.json",
    "model.bf16.safetensors",
    "model.fp16.safetensors",
    NULL,
};
static const char *const weight_pickles[] = {
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "diffusion_pytorch_model.pth",
    "model.pt",
    "model.pth",
    "model.ckpt",
    NULL,
};

/* The same in Wan's own layout, for each part. */
static const char *const original_weights[REEL_COMPONENT_COUNT][4] = {
    [REEL_COMPONENT_TRANSFORMER] = {"diffusion_pytorch_model.safetensors",
                                    "diffusion_pytorch_model.safetensors.index.json"},
    [REEL_COMPONENT_VAE] = {"Wan2.1_VAE.safetensors", "Wan2.2_VAE.safetensors"},
    [REEL_COMPONENT_TEXT_ENCODER] = {"models_t5_umt5-xxl-enc-bf16.safetensors",
                                     "models_t5_umt5-xxl-enc-bf16.safetensors.index.json"},
    [REEL_COMPONENT_TRANSFORMER_2] = {"diffusion_pytorch_model.safetensors",
                                      "diffusion_pytorch_model.safetensors.index.json"},
    [REEL_COMPONENT_IMAGE_ENCODER] =
        {"models_clip_open-clip-xlm-roberta-large-vit-huge-14.safetensors"},
};
static const char *const original_pickles[REEL_COMPONENT_COUNT][4] = {
    [REEL_COMPONENT_TRANSFORMER] = {"diffusion_pytorch_model.bin"},
    [REEL_COMPONENT_VAE] = {"Wan2.1_VAE.pth", "Wan2.2_VAE.pth"},
    [REEL_COMPONENT_TEXT_ENCODER] = {"models_t5_umt5-xxl-enc-bf16.pth"},
    [REEL_COMPONENT_TRANSFORMER_2] = {"diffusion_pytorch_model.bin"},
    [REEL_COMPONENT_IMAGE_ENCODER] = {"models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"},
};

/* The folder a part's files are in; "" is the model's own. */
static const char *part_folder(const reel_folder *f, reel_component_kind kind) {
    if (!f->original) return reel_component_name(kind);
    if (!f->pair || !reel_component_is_transformer(kind)) return "";
    return kind == REEL_COMPONENT_TRANSFORMER ? "high_noise_model" : "low_noise_model";
}

/* path/below, in the folder's arena; NULL without memory. */
static char *join(reel_folder *f, const char *below) {
    return reel_arena_printf(&f->arena, "%s/%s", f->path, below);
}

/* *found becomes folder/below when such a file is there, else NULL. */
static reel_status find_file(reel_folder *f, const char *below, const char **found) {
    char *path = join(f, below);
    *found = NULL;
    if (!path) return REEL_E_NOMEM;
    if (reel_path_look(path) == REEL_PATH_FILE) *found = path;
    return REEL_OK;
}

/* ---- configurations ---- */

static reel_status load_config(reel_folder *f, reel_component_kind kind) {
    const char *part = part_folder(f, kind);
    char *path =
        reel_arena_printf(&f->arena, "%s/%s%sconfig.json", f->path, part, part[0] ? "/" : "");
    if (!path) return REEL_E_NOMEM;
    reel_json_doc *doc = NULL;
    reel_status status = reel_json_load(f->env, path, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    status = reel_component_config_read(&root, kind, &f->config[kind]);
    reel_json_free(&doc);
    return status;
}

static reel_status load_scheduler(reel_folder *f) {
    char *path = join(f, "scheduler/scheduler_config.json");
    if (!path) return REEL_E_NOMEM;
    reel_json_doc *doc = NULL;
    reel_status status = reel_json_load(f->env, path, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    status = reel_scheduler_config_read(&root, &f->scheduler);
    reel_json_free(&doc);
    return status;
}

static reel_status load_index(reel_folder *f, const char *path) {
    reel_json_doc *doc = NULL;
    reel_status status = reel_json_load(f->env, path, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    status = reel_model_index_read(&root, &f->index);
    reel_json_free(&doc);
    return status;
}

static reel_status open_diffusers(reel_folder *f, const char *index) {
    reel_status status = load_index(f, index);
    for (int kind = 0; kind < REEL_COMPONENT_COUNT && status == REEL_OK; kind++)
        if (f->index.has[kind]) status = load_config(f, (reel_component_kind)kind);
    if (status == REEL_OK && f->index.scheduler) status = load_scheduler(f);
    if (status == REEL_OK) status = find_file(f, "tokenizer/spiece.model", &f->tokenizer);
    return status;
}

/* ---- Wan's own layout ---- */

/* The first of the names that is there, NULL when none is. */
static reel_status first_of(reel_folder *f, const char *part, const char *const *names, int n,
                            const char **found) {
    *found = NULL;
    for (int i = 0; i < n && names[i]; i++) {
        char below[160];
        snprintf(below, sizeof below, "%s%s%s", part, part[0] ? "/" : "", names[i]);
        const reel_status status = find_file(f, below, found);
        if (status != REEL_OK || *found) return status;
    }
    return REEL_OK;
}

/* Wan 2.2's 5B, whose 48 channels no other model has. */
static bool is_wan22_5b(const reel_folder *f) {
    const reel_wan_dit_config *c = &f->config[REEL_COMPONENT_TRANSFORMER].transformer;
    return c->out_channels == 48;
}

/* The parts beside the transformer have no configuration of their own: they are the ones Wan
 * ships. A part that is there as a pickle counts as there, so that opening it can say so. */
static reel_status find_original_part(reel_folder *f, reel_component_kind kind) {
    const char *safetensors, *pickle;
    reel_status status = first_of(f, "", original_weights[kind], 4, &safetensors);
    if (status == REEL_OK) status = first_of(f, "", original_pickles[kind], 4, &pickle);
    if (status != REEL_OK) return status;
    f->index.has[kind] = safetensors || pickle;
    f->config[kind] = (reel_component_config){.kind = kind, .original = true};
    if (kind == REEL_COMPONENT_TEXT_ENCODER)
        f->config[kind].text_encoder = reel_t5_config_default();
    else if (kind == REEL_COMPONENT_IMAGE_ENCODER)
        f->config[kind].image_encoder = reel_clip_vision_config_default();
    else
        f->config[kind].vae =
            is_wan22_5b(f) ? reel_wan22_vae_config() : reel_wan_vae_config_default();
    return REEL_OK;
}

/* How Wan's own code runs each of its models, which its files do not say: shift and, of pairs, the
 * level at which the second transformer takes over (wan/configs of the repositories). */
static void set_original_ways(reel_folder *f) {
    const reel_wan_dit_config *c = &f->config[REEL_COMPONENT_TRANSFORMER].transformer;
    const bool image = c->in_channels != c->out_channels;
    snprintf(f->index.pipeline, sizeof f->index.pipeline, "%s",
             image ? "WanImageToVideoPipeline" : "WanPipeline");
    f->index.expand_timesteps = is_wan22_5b(f);
    if (is_wan22_5b(f) || (f->pair && image)) f->scheduler.shift = 5;
    if (f->pair && !image) f->scheduler.shift = 12;
    if (f->pair) f->index.boundary_ratio = image ? 0.9 : 0.875;
}

static reel_status open_original(reel_folder *f, bool pair) {
    f->original = true;
    f->pair = pair;
    f->index.has[REEL_COMPONENT_TRANSFORMER] = true;
    f->index.has[REEL_COMPONENT_TRANSFORMER_2] = pair;
    reel_status status = load_config(f, REEL_COMPONENT_TRANSFORMER);
    if (status == REEL_OK && pair) status = load_config(f, REEL_COMPONENT_TRANSFORMER_2);
    if (status == REEL_OK) status = find_original_part(f, REEL_COMPONENT_VAE);
    if (status == REEL_OK) status = find_original_part(f, REEL_COMPONENT_TEXT_ENCODER);
    if (status == REEL_OK) status = find_original_part(f, REEL_COMPONENT_IMAGE_ENCODER);
    if (status == REEL_OK) set_original_ways(f);
    if (status == REEL_OK) status = find_file(f, "google/umt5-xxl/spiece.model", &f->tokenizer);
    return status;
}

/* ---- opening ---- */

/* A file of weights is a folder in Wan's own layout whose transformer is that file. */
static reel_status open_single(reel_folder *f) {
    if (reel_is_pickle(f->path)) return reel_pickle_refuse(f->env, f->path);
    const char *slash = strrchr(f->path, '/'), *config;
    f->single = f->path;
    f->path = slash ? reel_arena_printf(&f->arena, "%.*s", (int)(slash - f->path), f->path)
                    : reel_arena_strdup(&f->arena, ".");
    if (!f->path) return REEL_E_NOMEM;
    const reel_status status = find_file(f, "config.json", &config);
    if (status != REEL_OK) return status;
    if (!config)
        return reel_fail(f->env, REEL_E_FORMAT,
                         "%s: a file of weights needs the model's config.json beside it",
                         f->single);
    return open_original(f, false);
}

static reel_status open_layout(reel_folder *f) {
    const char *index, *config, *high;
    const reel_path_kind kind = reel_path_look(f->path);
    if (kind == REEL_PATH_NONE) return reel_fail(f->env, REEL_E_IO, "%s: no such folder", f->path);
    if (kind == REEL_PATH_FILE) return open_single(f);
    reel_status status = find_file(f, "model_index.json", &index);
    if (status == REEL_OK) status = find_file(f, "config.json", &config);
    if (status == REEL_OK) status = find_file(f, "high_noise_model/config.json", &high);
    if (status != REEL_OK) return status;
    if (index) return open_diffusers(f, index);
    if (config || high) return open_original(f, !config);
    return reel_fail(f->env, REEL_E_FORMAT,
                     "%s: not a model folder: it has neither model_index.json (diffusers' layout) "
                     "nor config.json or high_noise_model/config.json (Wan's own)",
                     f->path);
}

reel_status reel_folder_open(reel_env *env, const char *path, reel_folder **folder) {
    reel_folder *f = reel_calloc(env, 1, sizeof *f, "folder");
    if (!f) return REEL_E_NOMEM;
    f->env = env;
    f->scheduler = reel_scheduler_config_default();
    reel_arena_init(&f->arena, env, 1 << 12, "folder");
    f->path = reel_arena_strdup(&f->arena, path);
    const reel_status status = f->path ? open_layout(f) : REEL_E_NOMEM;
    if (status != REEL_OK) {
        reel_folder_close(&f);
        return status;
    }
    *folder = f;
    return REEL_OK;
}

void reel_folder_close(reel_folder **folder) {
    if (!folder || !*folder) return;
    reel_folder *f = *folder;
    *folder = NULL;
    reel_arena_deinit(&f->arena);
    reel_free(f->env, f);
}

const char *reel_folder_path(const reel_folder *f) {
    return f->path;
}
const reel_model_index *reel_folder_index(const reel_folder *f) {
    return &f->index;
}
const reel_component_config *reel_folder_config(const reel_folder *f, reel_component_kind kind) {
    return f->index.has[kind] ? &f->config[kind] : NULL;
}
const reel_scheduler_config *reel_folder_scheduler(const reel_folder *f) {
    return &f->scheduler;
}
const char *reel_folder_tokenizer(const reel_folder *f) {
    return f->tokenizer;
}

/* ---- a part ---- */

static reel_status find_weights(reel_folder *f, reel_component_kind kind, const char **path) {
    const char *part = part_folder(f, kind), *pickle;
    const char *const *names = f->original ? original_weights[kind] : weight_names;
    const char *const *pickles = f->original ? original_pickles[kind] : weight_pickles;
    const int most = f->original ? 4 : 16; /* the longer lists end with NULL */
    if (f->single && kind == REEL_COMPONENT_TRANSFORMER) {
        *path = f->single;
        return REEL_OK;
    }
    reel_status status = first_of(f, part, names, most, path);
    if (status != REEL_OK || *path) return status;
    status = first_of(f, part, pickles, most, &pickle);
    if (status != REEL_OK) return status;
    if (pickle) return reel_pickle_refuse(f->env, pickle);
    return reel_fail(f->env, REEL_E_IO, "%s%s%s: no weights: wanted %s or an index of its shards",
                     f->path, part[0] ? "/" : "", part, names[0]);
}

reel_status reel_folder_component(const reel_folder *folder, reel_component_kind kind,
                                  reel_weights_as as, reel_component **component) {
    if (!folder->index.has[kind])
        return reel_fail(folder->env, REEL_E_ARG, "%s: has no %s", folder->path,
                         reel_component_name(kind));
    reel_folder f = *folder; /* paths made on the way live in an arena of this call */
    reel_arena_init(&f.arena, f.env, 1 << 12, "folder");
    const char *path;
    reel_status status = find_weights(&f, kind, &path);
    if (status == REEL_OK)
        status = reel_component_open(f.env, &folder->config[kind], path, as, component);
    reel_arena_deinit(&f.arena);
    return status;
}
