#include "zoo/adapter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/json_out.h"
#include "tensor/safetensors.h"
#include "zoo/keys.h"

static const char tag[] = "adapter";
static const char metadata_key[] = "lora_adapter_metadata", prediction_key[] = "reel_prediction";

/* A matrix and what changes it. */
typedef struct pair {
    const char *weight; /* "blocks.0.attn1.to_q.weight" */
    reel_tensor a, b;
    double alpha; /* NaN: not said */
} pair;

struct reel_adapter {
    reel_env *env;
    reel_arena arena;
    reel_safetensors *file;
    pair *pair; /* [n] */
    int64_t n;
    double alpha; /* of the metadata; NaN: not said */
    uint64_t hash;
};

/* ---- names ---- */

typedef enum tensor_role { ROLE_A, ROLE_B, ROLE_ALPHA, ROLE_COUNT } tensor_role;

/* The module that a stored name is about, without prefix, in text; ROLE_COUNT when it is no part of
 * a pair. */
static tensor_role split_name(const char *name, char text[REEL_KEY_BYTES]) {
    static const char *const fronts[] = {"transformer.", "diffusion_model.", "base_model.model."};
    static const struct {
        const char *end;
        tensor_role role;
    } ends[] = {{".lora_A.weight", ROLE_A},
                {".lora_B.weight", ROLE_B},
                {".lora_A.default.weight", ROLE_A},
                {".lora_B.default.weight", ROLE_B},
                {".lora_down.weight", ROLE_A},
                {".lora_up.weight", ROLE_B},
                {".alpha", ROLE_ALPHA}};
    for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++)
        if (strncmp(name, fronts[i], strlen(fronts[i])) == 0) {
            name += strlen(fronts[i]);
            break;
        }
    const size_t n = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const size_t m = strlen(ends[i].end);
        if (n <= m || n - m + 8 > REEL_KEY_BYTES || strcmp(name + n - m, ends[i].end) != 0)
            continue;
        snprintf(text, REEL_KEY_BYTES, "%.*s", (int)(n - m), name);
        return ends[i].role;
    }
    return ROLE_COUNT;
}

/* ---- reading ---- */

static reel_status fail(const reel_adapter *a, reel_status status, const char *name,
                        const char *what) {
    return reel_fail(a->env, status, "%s: %s: %s", reel_safetensors_name(a->file), name, what);
}

/* The pair of a weight, made when there is none yet. */
static pair *pair_of(reel_adapter *a, const char *weight) {
    for (int64_t i = a->n - 1; i >= 0;
         i--) /* names come sorted: it is the last one, nearly always */
        if (strcmp(a->pair[i].weight, weight) == 0) return &a->pair[i];
    const char *copy = reel_arena_strdup(&a->arena, weight);
    if (!copy) return NULL;
    a->pair[a->n] = (pair){.weight = copy, .alpha = (double)NAN};
    return &a->pair[a->n++];
}

static reel_status take(reel_adapter *a, const reel_component *part, const reel_stored *stored) {
    char module[REEL_KEY_BYTES], full[REEL_KEY_BYTES + 8], text[REEL_KEY_BYTES];
    const tensor_role role = split_name(stored->name, module);
    if (role == ROLE_COUNT)
        return fail(a, REEL_E_UNSUPPORTED, stored->name,
                    "is no part of a low-rank pair, wanted names that end in lora_A.weight, "
                    "lora_B.weight or alpha");
    if (!reel_dtype_is_float(stored->dtype))
        return fail(a, REEL_E_FORMAT, stored->name, "is not of a float type");
    snprintf(full, sizeof full, "%s.weight", module);
    const char *weight = reel_key_canonical(&part->config, full, text);
    reel_tensor tensor;
    pair *p = pair_of(a, weight);
    reel_status status = p ? reel_safetensors_get(a->file, stored->name, &tensor) : REEL_E_NOMEM;
    if (status != REEL_OK) return status;
    reel_tensor *to = role == ROLE_A ? &p->a : &p->b;
    if (role == ROLE_ALPHA) {
        float alpha = 0;
        if (reel_tensor_count(&tensor) != 1)
            return fail(a, REEL_E_FORMAT, stored->name, "is not one number");
        reel_dtype_cast(REEL_F32, &alpha, tensor.dtype, tensor.data, 1);
        p->alpha = (double)alpha;
        return REEL_OK;
    }
    if (to->data) return fail(a, REEL_E_FORMAT, stored->name, "is there twice, in two names");
    if (tensor.shape.rank != 2)
        return fail(a, REEL_E_UNSUPPORTED, stored->name, "is not of a linear layer");
    *to = tensor;
    return REEL_OK;
}

static reel_status check_pair(const reel_adapter *a, const reel_component *part, const pair *p) {
    const reel_param *w = reel_params_find(part->params, p->weight);
    if (!w) return fail(a, REEL_E_FORMAT, p->weight, "this model has no such weight");
    if (!p->a.data || !p->b.data)
        return fail(a, REEL_E_FORMAT, p->weight, p->a.data ? "has A and no B" : "has B and no A");
    const int64_t r = p->a.shape.dim[0];
    if (w->shape.rank != 2 || r < 1 || p->b.shape.dim[1] != r ||
        p->b.shape.dim[0] != w->shape.dim[0] || p->a.shape.dim[1] != w->shape.dim[1])
        return reel_fail(a->env, REEL_E_SHAPE,
                         "%s: %s: A %s and B %s do not make a change of a weight %s",
                         reel_safetensors_name(a->file), p->weight, REEL_SHAPE_STR(&p->a.shape),
                         REEL_SHAPE_STR(&p->b.shape), REEL_SHAPE_STR(&w->shape));
    return REEL_OK;
}

/* alpha of the metadata. PEFT's own has it under its plain name. */
static reel_status read_metadata(reel_adapter *a) {
    const char *text = reel_safetensors_metadata(a->file, metadata_key);
    static const char *const keys[] = {"transformer.lora_alpha", "lora_alpha"};
    reel_json_doc *doc;
    a->alpha = (double)NAN;
    if (!text) return REEL_OK;
    reel_status status =
        reel_json_parse(a->env, text, (int64_t)strlen(text), reel_safetensors_name(a->file), &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    for (int i = 0; i < 2 && status == REEL_OK; i++)
        if (isnan(a->alpha) && reel_json_has(&root, keys[i]))
            status = reel_json_real(&root, keys[i], -1e6, 1e6, &a->alpha);
    reel_json_free(&doc);
    return status;
}

/* FNV-1a over names and data. */
static uint64_t hash_bytes(uint64_t h, const void *data, int64_t bytes) {
    const unsigned char *at = data;
    for (int64_t i = 0; i < bytes; i++)
        h = (h ^ at[i]) * 0x100000001b3u;
    return h;
}

static reel_status hash_file(reel_adapter *a) {
    a->hash = hash_bytes(0xcbf29ce484222325u, &a->alpha, sizeof a->alpha);
    for (int64_t i = 0; i < reel_safetensors_count(a->file); i++) {
        const reel_stored *stored = reel_safetensors_at(a->file, i);
        reel_tensor t;
        const reel_status status = reel_safetensors_get(a->file, stored->name, &t);
        if (status != REEL_OK) return status;
        a->hash = hash_bytes(a->hash, stored->name, (int64_t)strlen(stored->name));
        a->hash = hash_bytes(a->hash, t.data, stored->bytes);
    }
    return REEL_OK;
}

static reel_status read_file(reel_adapter *a, const char *path, const reel_component *part) {
    reel_status status = reel_safetensors_open(a->env, path, &a->file);
    if (status != REEL_OK) return status;
    const int64_t n = reel_safetensors_count(a->file);
    a->pair = reel_arena_calloc(&a->arena, n, sizeof *a->pair);
    status = a->pair ? read_metadata(a) : REEL_E_NOMEM;
    for (int64_t i = 0; i < n && status == REEL_OK; i++)
        status = take(a, part, reel_safetensors_at(a->file, i));
    for (int64_t i = 0; i < a->n && status == REEL_OK; i++)
        status = check_pair(a, part, &a->pair[i]);
    if (status == REEL_OK && a->n == 0)
        status = reel_fail(a->env, REEL_E_FORMAT, "%s: holds nothing", path);
    return status == REEL_OK ? hash_file(a) : status;
}

reel_status reel_adapter_open(reel_env *env, const char *path, const reel_component *part,
                              reel_adapter **adapter) {
    reel_adapter *a = reel_calloc(env, 1, sizeof *a, tag);
    if (!a) return REEL_E_NOMEM;
    a->env = env;
    reel_arena_init(&a->arena, env, 1 << 14, tag);
    const reel_status status = read_file(a, path, part);
    if (status != REEL_OK) {
        reel_adapter_close(&a);
        return status;
    }
    *adapter = a;
    return REEL_OK;
}

void reel_adapter_close(reel_adapter **adapter) {
    reel_adapter *a = *adapter;
    if (!a) return;
    reel_safetensors_close(&a->file);
    reel_arena_deinit(&a->arena);
    reel_free(a->env, a);
    *adapter = NULL;
}

int64_t reel_adapter_count(const reel_adapter *a) {
    return a->n;
}
uint64_t reel_adapter_hash(const reel_adapter *a) {
    return a->hash;
}

/* ---- applying ---- */

/* Rows of a matrix: to = from + B A. */
typedef struct change {
    const reel_param *param; /* what is written */
    const void *from;        /* in the same dtype */
    const float *a, *b;      /* [r,I], [O,r], scaled */
    int64_t I, r;
    float *row; /* [lanes,I] */
} change;

static void change_row(void *context, int64_t o, int lane) {
    const change *c = context;
    const int64_t I = c->I, bytes = reel_dtype_bytes(c->param->dtype);
    float *row = c->row + lane * I;
    reel_dtype_cast(REEL_F32, row, c->param->dtype, (const char *)c->from + o * I * bytes, I);
    for (int64_t k = 0; k < c->r; k++) {
        const float b = c->b[o * c->r + k];
        for (int64_t i = 0; i < I; i++)
            row[i] += b * c->a[k * I + i];
    }
    reel_dtype_cast(c->param->dtype, (char *)c->param->data + o * I * bytes, REEL_F32, row, I);
}

/* Memory of our own for a weight that lies in a file. */
static reel_status own(reel_component *part, reel_param *w) {
    if (w->owned) return REEL_OK;
    const int64_t bytes = reel_shape_count(&w->shape) * reel_dtype_bytes(w->dtype);
    void *data = reel_alloc(part->env, bytes, "weights");
    if (!data) return REEL_E_NOMEM;
    w->data = data;
    w->owned = true;
    part->converted_bytes += bytes;
    return REEL_OK;
}

static reel_status apply_pair(const reel_adapter *a, const pair *p, double scale,
                              reel_component *part) {
    reel_param *w = reel_params_find(part->params, p->weight);
    const int64_t O = w->shape.dim[0], I = w->shape.dim[1], r = p->a.shape.dim[0];
    const int lanes = reel_threads_count(a->env->threads);
    if (w->dtype == REEL_Q8_0)
        return fail(a, REEL_E_ARG, p->weight, "is in 8-bit blocks: adapters go in before");
    const double alpha = !isnan(p->alpha) ? p->alpha : !isnan(a->alpha) ? a->alpha : (double)r;
    const float factor = (float)(scale * alpha / (double)r);
    float *memory = reel_alloc(a->env, (r * I + O * r + lanes * I) * (int64_t)sizeof *memory, tag);
    const void *from = w->data;
    const reel_status status = memory ? own(part, w) : REEL_E_NOMEM;
    if (status == REEL_OK) {
        const change c = {.param = w,
                          .from = from,
                          .a = memory,
                          .b = memory + r * I,
                          .I = I,
                          .r = r,
                          .row = memory + r * I + O * r};
        change job = c;
        reel_dtype_cast(REEL_F32, memory, p->a.dtype, p->a.data, r * I);
        reel_dtype_cast(REEL_F32, memory + r * I, p->b.dtype, p->b.data, O * r);
        for (int64_t i = 0; i < O * r; i++)
            memory[r * I + i] *= factor;
        reel_parallel_for(a->env->threads, O, change_row, &job);
    }
    reel_free(a->env, memory);
    return status;
}

reel_status reel_adapter_apply(const reel_adapter *a, double scale, reel_component *part) {
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < a->n && status == REEL_OK; i++)
        status = apply_pair(a, &a->pair[i], scale, part);
    return status;
}

const char *reel_adapter_prediction(const reel_adapter *a) {
    return reel_safetensors_metadata(a->file, prediction_key);
}

/* ---- writing ---- */

/* The configuration that PEFT makes its layers from, each key with the part's name in front. */
static reel_status write_metadata(reel_json_out *out, const reel_adapter_pair *pairs, int64_t n,
                                  const reel_adapter_about *about, const char **text) {
    int64_t bytes;
    reel_json_out_object_begin(out);
    reel_json_out_key(out, "transformer.peft_type");
    reel_json_out_string(out, "LORA");
    reel_json_out_key(out, "transformer.r");
    reel_json_out_int(out, about->rank);
    reel_json_out_key(out, "transformer.lora_alpha");
    reel_json_out_real(out, about->alpha);
    reel_json_out_key(out, "transformer.target_modules");
    reel_json_out_array_begin(out);
    for (int64_t i = 0; i < n; i++)
        reel_json_out_string(out, pairs[i].module);
    reel_json_out_end(out);
    reel_json_out_end(out);
    return reel_json_out_text(out, text, &bytes);
}

reel_status reel_adapter_write(reel_env *env, const char *path, const reel_adapter_pair *pairs,
                               int64_t n, const reel_adapter_about *about) {
    reel_arena arena;
    reel_json_out out;
    const char *text = NULL;
    reel_arena_init(&arena, env, 1 << 14, tag);
    reel_json_out_init(&out, env);
    reel_named_tensor *tensor = reel_arena_calloc(&arena, 2 * n, sizeof *tensor);
    reel_status status = tensor ? write_metadata(&out, pairs, n, about, &text) : REEL_E_NOMEM;
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        const char *a = reel_arena_printf(&arena, "transformer.%s.lora_A.weight", pairs[i].module);
        const char *b = reel_arena_printf(&arena, "transformer.%s.lora_B.weight", pairs[i].module);
        if (!a || !b) status = REEL_E_NOMEM;
        tensor[2 * i] = (reel_named_tensor){a, pairs[i].a};
        tensor[2 * i + 1] = (reel_named_tensor){b, pairs[i].b};
    }
    if (status == REEL_OK) {
        const reel_metadata data[] = {
            {"format", "pt"}, {metadata_key, text}, {prediction_key, about->prediction}};
        status = reel_safetensors_write(env, path, tensor, 2 * n, data, about->prediction ? 3 : 2);
    }
    reel_json_out_deinit(&out);
    reel_arena_deinit(&arena);
    return status;
}
