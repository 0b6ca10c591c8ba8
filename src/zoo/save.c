#include "zoo/save.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/env.h"
#include "base/file.h"
#include "base/tree.h"
#include "tensor/safetensors.h"
#include "zoo/component.h"

struct reel_folder_writer {
    reel_env *env;
    reel_tree *tree;
    reel_arena arena; /* paths and lists of the call under way */
    int64_t shard_bytes;
    bool has[REEL_COMPONENT_COUNT];
    reel_component_config config[REEL_COMPONENT_COUNT];
    const char *scheduler_class; /* NULL while there is none */
    bool tokenizer;
};

reel_status reel_folder_writer_open(reel_env *env, const char *path, reel_folder_writer **writer) {
    reel_folder_writer *w = reel_calloc(env, 1, sizeof *w, "folder");
    if (!w) return REEL_E_NOMEM;
    w->env = env;
    w->shard_bytes = 5000000000;
    reel_arena_init(&w->arena, env, 1 << 14, "folder");
    const reel_status status = reel_tree_open(env, path, &w->tree);
    if (status != REEL_OK) {
        reel_folder_writer_close(&w);
        return status;
    }
    *writer = w;
    return REEL_OK;
}

void reel_folder_writer_set_shard_bytes(reel_folder_writer *w, int64_t bytes) {
    w->shard_bytes = bytes;
}

void reel_folder_writer_close(reel_folder_writer **writer) {
    if (!writer || !*writer) return;
    reel_folder_writer *w = *writer;
    *writer = NULL;
    reel_tree_close(&w->tree);
    reel_arena_deinit(&w->arena);
    reel_free(w->env, w);
}

/* tree/folder/name in the arena; folder "" is the top. */
static char *place(reel_folder_writer *w, const char *folder, const char *name) {
    return reel_arena_printf(&w->arena, "%s/%s%s%s", reel_tree_path(w->tree), folder,
                             folder[0] ? "/" : "", name);
}

static reel_status write_json(reel_folder_writer *w, const char *folder, const char *name,
                              const reel_json_out *out) {
    const char *text;
    int64_t bytes;
    reel_status status = reel_json_out_text(out, &text, &bytes);
    if (status != REEL_OK) return status;
    const char *path = place(w, folder, name);
    return path ? reel_file_write(w->env, path, text, bytes) : REEL_E_NOMEM;
}

/* ---- weights ---- */

/* Where the elements of a part come from. */
typedef struct source {
    reel_env *env;
    reel_params *params;
    const int *param; /* the parameter each tensor of the shard is */
    bool random;
    uint64_t seed;
    /* of the piece under way */
    const reel_param *from;
    reel_dtype dtype;
    int64_t first, n;
    char *out;
} source;

enum { PIECE = 1 << 14 }; /* elements: the f32 draft fits on a stack */

static void produce_piece(void *context, int64_t index, int lane) {
    (void)lane;
    const source *s = context;
    const int64_t at = index * PIECE;
    const int64_t n = s->n - at < PIECE ? s->n - at : PIECE;
    char *out = s->out + at * reel_dtype_bytes(s->dtype);
    if (s->random) {
        float draft[PIECE];
        reel_param_values(s->from, s->seed, s->first + at, n, draft);
        reel_dtype_cast(s->dtype, out, REEL_F32, draft, n);
    } else {
        const int64_t size = reel_dtype_bytes(s->from->dtype);
        reel_dtype_cast(s->dtype, out, s->from->dtype,
                        (const char *)s->from->data + (s->first + at) * size, n);
    }
}

static reel_status produce(void *context, int64_t i, int64_t first, int64_t n, void *out) {
    source *s = context;
    s->from = reel_params_at(s->params, s->param[i]);
    s->first = first;
    s->n = n;
    s->out = out;
    reel_parallel_for(s->env->threads, (n + PIECE - 1) / PIECE, produce_piece, s);
    return REEL_OK;
}

/* Which shard each parameter goes into: filled in order, as diffusers does. */
static reel_status cut(reel_folder_writer *w, reel_params *params, reel_dtype dtype, int *shard,
                       int *n_shards, int64_t *total) {
    int64_t held = 0;
    *n_shards = 1;
    *total = 0;
    for (int i = 0; i < reel_params_count(params); i++) {
        const int64_t bytes =
            reel_shape_count(&reel_params_at(params, i)->shape) * reel_dtype_bytes(dtype);
        if (held && held + bytes > w->shard_bytes) {
            held = 0;
            ++*n_shards;
        }
        held += bytes;
        *total += bytes;
        shard[i] = *n_shards - 1;
    }
    if (*n_shards > 99999)
        return reel_fail(w->env, REEL_E_ARG, "%d shards are more than names can count", *n_shards);
    return REEL_OK;
}

/* "model.safetensors", or "model-00001-of-00003.safetensors". */
static char *shard_name(reel_folder_writer *w, const char *stem, int shard, int n_shards) {
    if (n_shards == 1) return reel_arena_printf(&w->arena, "%s.safetensors", stem);
    return reel_arena_printf(&w->arena, "%s-%05d-of-%05d.safetensors", stem, shard + 1, n_shards);
}

static reel_status write_shard(reel_folder_writer *w, source *s, const char *path, const int *shard,
                               int which) {
    static const reel_metadata metadata[] = {{"format", "pt"}};
    const int all = reel_params_count(s->params);
    reel_named_tensor *tensor = reel_arena_calloc(&w->arena, all, sizeof *tensor);
    int *param = reel_arena_calloc(&w->arena, all, sizeof *param);
    if (!tensor || !param) return REEL_E_NOMEM;
    int64_t n = 0;
    for (int i = 0; i < all; i++) {
        const reel_param *p = reel_params_at(s->params, i);
        if (shard[i] != which) continue;
        tensor[n] = (reel_named_tensor){p->name, {.dtype = s->dtype, .shape = p->shape}};
        param[n++] = i;
    }
    s->param = param;
    return reel_safetensors_write_from(w->env, path, tensor, n, metadata, 1, produce, s);
}

static reel_status write_shard_index(reel_folder_writer *w, const char *part, const char *stem,
                                     reel_params *params, const int *shard, int n_shards,
                                     int64_t total) {
    reel_json_out out;
    reel_json_out_init(&out, w->env);
    reel_json_out_object_begin(&out);
    reel_json_out_key(&out, "metadata");
    reel_json_out_object_begin(&out);
    reel_json_out_key(&out, "total_size");
    reel_json_out_int(&out, total);
    reel_json_out_end(&out);
    reel_json_out_key(&out, "weight_map");
    reel_json_out_object_begin(&out);
    reel_status status = REEL_OK;
    for (int i = 0; i < reel_params_count(params) && status == REEL_OK; i++) {
        const char *name = shard_name(w, stem, shard[i], n_shards);
        if (!name) status = REEL_E_NOMEM;
        reel_json_out_key(&out, reel_params_at(params, i)->name);
        reel_json_out_string(&out, name ? name : "");
    }
    reel_json_out_end(&out);
    reel_json_out_end(&out);
    const char *name = reel_arena_printf(&w->arena, "%s.safetensors.index.json", stem);
    if (status == REEL_OK) status = name ? write_json(w, part, name, &out) : REEL_E_NOMEM;
    reel_json_out_deinit(&out);
    return status;
}

static reel_status write_weights(reel_folder_writer *w, reel_component_kind kind, source *s) {
    const char *part = reel_component_name(kind);
    const bool transformers =
        kind == REEL_COMPONENT_TEXT_ENCODER || kind == REEL_COMPONENT_IMAGE_ENCODER;
    const char *stem = transformers ? "model" : "diffusion_pytorch_model";
    int *shard = reel_arena_calloc(&w->arena, reel_params_count(s->params), sizeof *shard);
    int n_shards = 0;
    int64_t total = 0;
    if (!shard) return REEL_E_NOMEM;
    reel_status status = cut(w, s->params, s->dtype, shard, &n_shards, &total);
    for (int i = 0; i < n_shards && status == REEL_OK; i++) {
        const char *name = shard_name(w, stem, i, n_shards);
        const char *path = name ? place(w, part, name) : NULL;
        status = path ? write_shard(w, s, path, shard, i) : REEL_E_NOMEM;
    }
    if (status == REEL_OK && n_shards > 1)
        status = write_shard_index(w, part, stem, s->params, shard, n_shards, total);
    return status;
}

/* ---- parts ---- */

static reel_status write_part(reel_folder_writer *w, const reel_component_config *config,
                              source *s) {
    const reel_component_kind kind = config->kind;
    if (w->has[kind])
        return reel_fail(w->env, REEL_E_ARG, "the folder has a %s already",
                         reel_component_name(kind));
    if (s->dtype != REEL_F32 && s->dtype != REEL_BF16)
        return reel_fail(w->env, REEL_E_ARG, "weights are written as f32 or bf16, not %s",
                         reel_dtype_name(s->dtype));
    reel_json_out out;
    reel_json_out_init(&out, w->env);
    reel_component_config_write(&out, config, s->dtype);
    reel_status status = reel_tree_add_folder(w->tree, reel_component_name(kind));
    if (status == REEL_OK) status = write_json(w, reel_component_name(kind), "config.json", &out);
    reel_json_out_deinit(&out);
    if (status == REEL_OK) status = write_weights(w, kind, s);
    reel_arena_reset(&w->arena);
    w->has[kind] = status == REEL_OK;
    w->config[kind] = *config;
    return status;
}

reel_status reel_folder_writer_component(reel_folder_writer *w, const reel_component_config *config,
                                         reel_params *params, reel_dtype dtype) {
    for (int i = 0; i < reel_params_count(params); i++)
        if (!reel_params_at(params, i)->data)
            return reel_fail(w->env, REEL_E_ARG, "parameter %s has no values to be written",
                             reel_params_at(params, i)->name);
    source s = {.env = w->env, .params = params, .dtype = dtype};
    return write_part(w, config, &s);
}

reel_status reel_folder_writer_random(reel_folder_writer *w, const reel_component_config *config,
                                      reel_dtype dtype, uint64_t seed) {
    source s = {.env = w->env, .dtype = dtype, .random = true, .seed = seed};
    reel_status status = reel_params_new(w->env, &s.params);
    if (status == REEL_OK) status = reel_component_declare(w->env, config, dtype, s.params);
    if (status == REEL_OK) status = write_part(w, config, &s);
    reel_params_free(&s.params);
    return status;
}

/* ---- the rest ---- */

/* How transformers prepares pictures for the image encoder: what it calls CLIPImageProcessor. */
static reel_status write_image_processor(reel_folder_writer *w) {
    const reel_clip_vision_config *c = &w->config[REEL_COMPONENT_IMAGE_ENCODER].image_encoder;
    static const char format[] =
        "{\"crop_size\": {\"height\": %lld, \"width\": %lld}, \"do_center_crop\": true, "
        "\"do_convert_rgb\": true, \"do_normalize\": true, \"do_rescale\": true, "
        "\"do_resize\": true, \"image_mean\": [0.48145466, 0.4578275, 0.40821073], "
        "\"image_processor_type\": \"CLIPImageProcessor\", "
        "\"image_std\": [0.26862954, 0.26130258, 0.27577711], \"resample\": 3, "
        "\"rescale_factor\": 0.00392156862745098, \"size\": {\"shortest_edge\": %lld}}";
    const long long S = c->image_size;
    if (!w->has[REEL_COMPONENT_IMAGE_ENCODER]) return REEL_OK;
    const char *text = reel_arena_printf(&w->arena, format, S, S, S);
    const char *path = place(w, "image_processor", "preprocessor_config.json");
    if (!text || !path) return REEL_E_NOMEM;
    const reel_status status = reel_tree_add_folder(w->tree, "image_processor");
    return status == REEL_OK ? reel_file_write(w->env, path, text, (int64_t)strlen(text)) : status;
}

reel_status reel_folder_writer_tokenizer(reel_folder_writer *w, const char *file) {
    enum { MOST = 256 << 20 };
    char *data = NULL;
    int64_t bytes = 0;
    reel_status status = reel_file_read(w->env, file, MOST, &data, &bytes);
    if (status != REEL_OK) return status;
    status = reel_tree_add_folder(w->tree, "tokenizer");
    const char *path = place(w, "tokenizer", "spiece.model");
    if (status == REEL_OK)
        status = path ? reel_file_write(w->env, path, data, bytes) : REEL_E_NOMEM;
    reel_free(w->env, data);
    w->tokenizer = status == REEL_OK;
    return status;
}

reel_status reel_folder_writer_scheduler(reel_folder_writer *w,
                                         const reel_scheduler_config *config) {
    reel_json_out out;
    reel_json_out_init(&out, w->env);
    reel_scheduler_config_write(&out, config);
    reel_status status = reel_tree_add_folder(w->tree, "scheduler");
    if (status == REEL_OK) status = write_json(w, "scheduler", "scheduler_config.json", &out);
    reel_json_out_deinit(&out);
    if (status == REEL_OK) w->scheduler_class = reel_scheduler_class(config);
    return status;
}

reel_status reel_folder_writer_commit(reel_folder_writer *w, const reel_model_index *like) {
    reel_model_index index = {.pipeline = "WanPipeline"};
    if (like) index = *like;
    index.scheduler = w->scheduler_class != NULL;
    index.tokenizer = w->tokenizer;
    const reel_component_config *config[REEL_COMPONENT_COUNT];
    for (int i = 0; i < REEL_COMPONENT_COUNT; i++)
        config[i] = w->has[i] ? &w->config[i] : NULL;
    reel_json_out out;
    reel_json_out_init(&out, w->env);
    reel_model_index_write(&out, &index, config, w->scheduler_class);
    reel_status status = write_json(w, "", "model_index.json", &out);
    reel_json_out_deinit(&out);
    if (status == REEL_OK) status = write_image_processor(w);
    return status == REEL_OK ? reel_tree_commit(w->tree) : status;
}
