#include "zoo/component.h"

#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "ops/ops.h"
#include "zoo/keys.h"

/* ---- what a configuration asks for ---- */

static reel_var wanted_transformer(reel_nn *nn, const reel_wan_dit_config *c) {
    reel_tape *t = nn->tape;
    const int64_t patch = c->patch_size[0] * c->patch_size[1] * c->patch_size[2];
    const reel_var tokens = reel_tape_input(t, REEL_F32, REEL_SHAPE(1, 1, c->in_channels * patch),
                                            "tokens", NULL); /* [1,1,in P] */
    reel_wan_dit_input input = {
        .positions = reel_tape_input(t, REEL_I32, REEL_SHAPE(1, 3), "positions", NULL),
        .t = reel_tape_input(t, REEL_F32, REEL_SHAPE(1), "t", NULL),
        .text = reel_tape_input(t, REEL_F32, REEL_SHAPE(1, 1, c->text_dim), "text", NULL)};
    if (c->image_dim)
        input.image = reel_tape_input(t, REEL_F32, REEL_SHAPE(1, 1, c->image_dim), "image", NULL);
    return reel_wan_dit_tokens(nn, c, tokens, &input);
}

static reel_var wanted_text_encoder(reel_nn *nn, const reel_t5_config *c) {
    const reel_t5_input input = {
        .ids = reel_tape_input(nn->tape, REEL_I32, REEL_SHAPE(1, 1), "ids", NULL),
        .buckets = reel_tape_input(nn->tape, REEL_I32, REEL_SHAPE(1, 1), "buckets", NULL)};
    return reel_t5(nn, c, &input);
}

static reel_var wanted_image_encoder(reel_nn *nn, const reel_clip_vision_config *c) {
    const reel_shape shape = REEL_SHAPE(1, 3, c->image_size, c->image_size);
    return reel_clip_vision_whole(nn, c,
                                  reel_tape_input(nn->tape, REEL_F32, shape, "picture", NULL));
}

/* Two latents: a first one alone has no use for what lies between frames. */
static void wanted_vae(reel_nn *nn, const reel_wan_vae_config *c) {
    reel_tape *t = nn->tape;
    const int64_t s = reel_wan_vae_factor_s(c), F = 1 + reel_wan_vae_factor_t(c);
    reel_var logvar;
    reel_wan_vae_encode(
        nn, c, reel_tape_input(t, REEL_F32, REEL_SHAPE(1, 3, F, s, s), "video", NULL), &logvar);
    reel_wan_vae_decode(
        nn, c, reel_tape_input(t, REEL_F32, REEL_SHAPE(1, c->z_dim, 2, 1, 1), "latent", NULL));
}

reel_status reel_component_declare(reel_env *env, const reel_component_config *config,
                                   reel_dtype weights, reel_params *params) {
    reel_tape *tape;
    reel_status status = reel_ops_tape_new(env, &tape);
    if (status != REEL_OK) return status;
    reel_nn nn = reel_nn_start(tape, params, REEL_F32);
    nn.weights = weights;
    if (reel_component_is_transformer(config->kind))
        wanted_transformer(&nn, &config->transformer);
    else if (config->kind == REEL_COMPONENT_VAE)
        wanted_vae(&nn, &config->vae);
    else if (config->kind == REEL_COMPONENT_IMAGE_ENCODER)
        wanted_image_encoder(&nn, &config->image_encoder);
    else
        wanted_text_encoder(&nn, &config->text_encoder);
    status = reel_tape_status(tape);
    reel_tape_free(&tape);
    return status;
}

/* ---- comparing ---- */

/* A list of names for a message: the first few, and how many there are. */
typedef struct name_list {
    const char *title;
    char text[560];
    int64_t n;
} name_list;

enum { MAX_LISTED = 10 };

static void list_name(name_list *list, const char *name, const char *detail) {
    const size_t used = strlen(list->text);
    if (list->n++ >= MAX_LISTED) return;
    if (used + strlen(name) + strlen(detail) + 4 > sizeof list->text) return;
    snprintf(list->text + used, sizeof list->text - used, "%s%s%s", used ? ", " : "", name, detail);
}

static void list_text(const name_list *list, char *text, size_t room) {
    const size_t used = strlen(text);
    if (list->n)
        snprintf(text + used, room - used, "%s%lld %s: %s%s", used ? "; " : "", (long long)list->n,
                 list->title, list->text, list->n > MAX_LISTED ? ", ..." : "");
}

typedef struct comparison {
    name_list missing, unexpected, misshapen;
} comparison;

static reel_status compared(reel_env *env, const char *path, const comparison *c) {
    char text[REEL_MESSAGE_BYTES - 256] = "";
    list_text(&c->missing, text, sizeof text);
    list_text(&c->unexpected, text, sizeof text);
    list_text(&c->misshapen, text, sizeof text);
    if (!text[0]) return REEL_OK;
    return reel_fail(env, REEL_E_FORMAT, "%s: the weights do not fit the config: %s", path, text);
}

/* ---- filling ---- */

static reel_dtype dtype_in_memory(reel_weights_as as, reel_dtype stored) {
    if (as == REEL_WEIGHTS_F32) return REEL_F32;
    if (as == REEL_WEIGHTS_BF16) return REEL_BF16;
    return stored;
}

typedef struct conversion {
    reel_param *param;
    const reel_tensor *from;
} conversion;

enum { PIECE = 1 << 18 }; /* elements converted at a time */

static void convert_piece(void *context, int64_t index, int lane) {
    (void)lane;
    const conversion *c = context;
    const int64_t first = index * PIECE, all = reel_tensor_count(c->from);
    const int64_t n = all - first < PIECE ? all - first : PIECE;
    const int64_t to_bytes = reel_dtype_bytes(c->param->dtype);
    const int64_t from_bytes = reel_dtype_bytes(c->from->dtype);
    reel_dtype_cast(c->param->dtype, (char *)c->param->data + first * to_bytes, c->from->dtype,
                    (const char *)c->from->data + first * from_bytes, n);
}

static reel_status convert(reel_component *c, reel_param *param, const reel_tensor *from,
                           const char *stored_name) {
    const int64_t bytes = reel_shape_count(&param->shape) * reel_dtype_bytes(param->dtype);
    param->data = reel_alloc(c->env, bytes, "weights");
    if (!param->data) return REEL_E_NOMEM;
    param->owned = true;
    conversion job = {.param = param, .from = from};
    reel_parallel_for(c->env->threads, (reel_tensor_count(from) + PIECE - 1) / PIECE, convert_piece,
                      &job);
    reel_safetensors_set_done(c->files, stored_name);
    c->converted_bytes += bytes;
    return REEL_OK;
}

static reel_status fill(reel_component *c, reel_param *param, const reel_stored *stored,
                        reel_weights_as as) {
    reel_tensor tensor;
    const reel_status status = reel_safetensors_set_get(c->files, stored->name, &tensor);
    if (status != REEL_OK) return status;
    param->dtype = dtype_in_memory(as, stored->dtype);
    c->bytes += reel_shape_count(&param->shape) * reel_dtype_bytes(param->dtype);
    if (param->dtype != stored->dtype) return convert(c, param, &tensor, stored->name);
    param->data = tensor.data;
    return REEL_OK;
}

/* Finds the parameter a stored tensor is for; NULL when there is none, or when the tensor is
 * another: then it is listed. */
static reel_param *meet(reel_component *c, const reel_stored *stored, comparison *lists) {
    char text[REEL_KEY_BYTES], detail[2 * REEL_SHAPE_TEXT + 32];
    const char *name = reel_key_canonical(&c->config, stored->name, text);
    reel_param *param = reel_params_find(c->params, name);
    if (!param) {
        if (!reel_key_ignored(&c->config, name)) list_name(&lists->unexpected, stored->name, "");
        return NULL;
    }
    if (!reel_shape_equal(&param->shape, &stored->shape)) {
        snprintf(detail, sizeof detail, " %s, wanted %s", REEL_SHAPE_STR(&stored->shape),
                 REEL_SHAPE_STR(&param->shape));
        list_name(&lists->misshapen, stored->name, detail);
        param->data = param; /* listed once; the component is refused before anybody reads it */
        return NULL;
    }
    if (!reel_dtype_is_float(stored->dtype)) {
        snprintf(detail, sizeof detail, " is %s", reel_dtype_name(stored->dtype));
        list_name(&lists->misshapen, stored->name, detail);
        param->data = param;
        return NULL;
    }
    if (param->data) {
        list_name(&lists->unexpected, stored->name, " (twice, in two styles of names)");
        return NULL;
    }
    return param;
}

static reel_status compare_and_fill(reel_component *c, const char *path, reel_weights_as as) {
    comparison lists = {.missing.title = "missing",
                        .unexpected.title = "unexpected",
                        .misshapen.title = "of another shape"};
    const int64_t n = reel_safetensors_set_count(c->files);
    for (int64_t i = 0; i < n; i++) {
        reel_param *param = meet(c, reel_safetensors_set_at(c->files, i), &lists);
        if (param) param->data = param; /* met; filled below, when all fit */
    }
    for (int i = 0; i < reel_params_count(c->params); i++) {
        reel_param *param = reel_params_at(c->params, i);
        if (!param->data) list_name(&lists.missing, param->name, "");
        param->data = NULL;
    }
    reel_status status = compared(c->env, path, &lists);
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        const reel_stored *stored = reel_safetensors_set_at(c->files, i);
        reel_param *param = meet(c, stored, &lists);
        if (param) status = fill(c, param, stored, as);
    }
    return status;
}

/* ---- opening ---- */

/* Wan's own config of an image-conditioned model does not say how wide CLIP's rows are. */
static void find_image_dim(reel_component *c) {
    const reel_stored *norm = reel_safetensors_set_find(c->files, "img_emb.proj.0.weight");
    if (!c->config.original || !norm || norm->shape.rank != 1) return;
    reel_wan_dit_config *wan = &c->config.transformer;
    wan->image_dim = norm->shape.dim[0];
    wan->added_kv_proj_dim = wan->num_attention_heads * wan->attention_head_dim;
}

/* OpenCLIP keeps queries, keys and values in one. */
static void find_joined_qkv(reel_component *c) {
    const char *const name = "visual.transformer.0.attn.to_qkv.weight";
    if (reel_safetensors_set_find(c->files, name)) c->config.image_encoder.open_clip = true;
}

static reel_status open_files(reel_component *c, const char *path, reel_weights_as as) {
    reel_status status = reel_safetensors_set_open(c->env, path, &c->files);
    if (status == REEL_OK) status = reel_params_new(c->env, &c->params);
    if (status != REEL_OK) return status;
    if (reel_component_is_transformer(c->config.kind)) find_image_dim(c);
    if (c->config.kind == REEL_COMPONENT_IMAGE_ENCODER) find_joined_qkv(c);
    status = reel_component_declare(c->env, &c->config, REEL_F32, c->params);
    if (status != REEL_OK) return status;
    reel_params_close(c->params);
    status = compare_and_fill(c, path, as);
    if (status == REEL_OK && c->converted_bytes)
        reel_log(c->env, REEL_LOG_INFO, "%s: %lld of %lld bytes of weights were converted", path,
                 (long long)c->converted_bytes, (long long)c->bytes);
    return status;
}

reel_status reel_component_open(reel_env *env, const reel_component_config *config,
                                const char *path, reel_weights_as as, reel_component **component) {
    reel_component *c = reel_calloc(env, 1, sizeof *c, "component");
    if (!c) return REEL_E_NOMEM;
    c->env = env;
    c->config = *config;
    const reel_status status = open_files(c, path, as);
    if (status != REEL_OK) {
        reel_component_close(&c);
        return status;
    }
    *component = c;
    return REEL_OK;
}

void reel_component_close(reel_component **component) {
    if (!component || !*component) return;
    reel_component *c = *component;
    *component = NULL;
    reel_params_free(&c->params);
    reel_safetensors_set_close(&c->files);
    reel_free(c->env, c);
}
