#include "data/latents.h"

#include <stdio.h>
#include <string.h>

#include "base/folder.h"
#include "tensor/safetensors.h"

static const char tag[] = "latents";
enum { PATH_BYTES = 4096, KEY_BYTES = 128 };

struct reel_latents {
    reel_env *env;
    char folder[PATH_BYTES - 64], key[KEY_BYTES];
    reel_world_source source;
    const reel_bucket *bucket;
    int64_t n_buckets;
    reel_latents_encoder encoder;
    reel_safetensors **file; /* [n_shards] */
    const reel_bf16 **data;  /* [n_shards]: [REEL_LATENTS_SHARD,f,h,w,z] */
    int64_t n_shards, room;
};

reel_status reel_latents_open(reel_env *env, const char *folder, const char *key,
                              const reel_world_source *source, const reel_bucket *bucket,
                              int64_t n_buckets, const reel_latents_encoder *encoder,
                              reel_latents **latents) {
    reel_latents *l = reel_calloc(env, 1, sizeof *l, tag);
    if (!l) return REEL_E_NOMEM;
    l->env = env;
    l->source = *source;
    l->bucket = bucket;
    l->n_buckets = n_buckets;
    l->encoder = *encoder;
    reel_status status = REEL_OK;
    if (strlen(folder) >= sizeof l->folder || strlen(key) >= sizeof l->key)
        status = reel_fail(env, REEL_E_ARG, "the name of the folder of latents is too long");
    snprintf(l->folder, sizeof l->folder, "%s", folder);
    snprintf(l->key, sizeof l->key, "%s", key);
    if (status == REEL_OK) status = reel_folder_make(env, folder);
    if (status != REEL_OK) {
        reel_latents_close(&l);
        return status;
    }
    *latents = l;
    return REEL_OK;
}

void reel_latents_close(reel_latents **latents) {
    reel_latents *l = *latents;
    if (!l) return;
    for (int64_t i = 0; i < l->n_shards; i++)
        reel_safetensors_close(&l->file[i]);
    reel_free(l->env, l->file);
    reel_free(l->env, l->data);
    reel_free(l->env, l);
    *latents = NULL;
}

/* ---- sizes ---- */

static const reel_bucket *bucket_of(const reel_latents *l, int64_t shard) {
    return &l->bucket[reel_bucket_of(l->bucket, l->n_buckets, l->source.seed, shard)];
}

static void grid_of(const reel_latents *l, const reel_bucket *b, int64_t grid[3]) {
    grid[0] = 1 + (b->frames - 1) / l->encoder.factor_t;
    grid[1] = b->height / l->encoder.factor_s;
    grid[2] = b->width / l->encoder.factor_s;
}

static int64_t clip_elements(const reel_latents *l, const reel_bucket *b) {
    int64_t g[3];
    grid_of(l, b, g);
    return g[0] * g[1] * g[2] * l->encoder.z;
}

static reel_shape shape_of(const reel_latents *l, const reel_bucket *b) {
    int64_t g[3];
    grid_of(l, b, g);
    return REEL_SHAPE(REEL_LATENTS_SHARD, g[0], g[1], g[2], l->encoder.z);
}

static void path_of(const reel_latents *l, int64_t shard, char path[PATH_BYTES]) {
    snprintf(path, PATH_BYTES, "%s/latents-%08lld.safetensors", l->folder, (long long)shard);
}

/* ---- a shard ---- */

static reel_status encode_clips(reel_latents *l, int64_t shard, uint8_t *rgb, reel_bf16 *data) {
    const reel_bucket *b = bucket_of(l, shard);
    for (int64_t i = 0; i < REEL_LATENTS_SHARD; i++) {
        const int64_t index = shard * REEL_LATENTS_SHARD + i;
        reel_status status = reel_world_source_clip(l->env, &l->source, index, b, rgb);
        if (status == REEL_OK)
            status = l->encoder.encode(l->encoder.context, rgb, b, data + i * clip_elements(l, b));
        if (status != REEL_OK) return status;
    }
    return REEL_OK;
}

static reel_status make_shard(reel_latents *l, int64_t shard) {
    const reel_bucket *b = bucket_of(l, shard);
    const int64_t n = clip_elements(l, b) * REEL_LATENTS_SHARD;
    uint8_t *rgb = reel_alloc(l->env, reel_bucket_bytes(b), tag);
    reel_bf16 *data = reel_alloc(l->env, n * (int64_t)sizeof *data, tag);
    reel_status status = rgb && data ? encode_clips(l, shard, rgb, data) : REEL_E_NOMEM;
    if (status == REEL_OK) {
        char path[PATH_BYTES];
        path_of(l, shard, path);
        const reel_named_tensor tensor = {"latents", {REEL_BF16, shape_of(l, b), data}};
        const reel_metadata key = {"key", l->key};
        status = reel_safetensors_write(l->env, path, &tensor, 1, &key, 1);
    }
    reel_free(l->env, rgb);
    reel_free(l->env, data);
    return status;
}

static reel_status check(const reel_latents *l, int64_t shard, const reel_safetensors *file) {
    const char *key = reel_safetensors_metadata(file, "key");
    const reel_stored *stored = reel_safetensors_find(file, "latents");
    const reel_shape wanted = shape_of(l, bucket_of(l, shard));
    if (!key || strcmp(key, l->key) != 0)
        return reel_fail(l->env, REEL_E_ARG,
                         "%s: was made by another encoder or from another world; remove the "
                         "folder %s, or name another as data.cache",
                         reel_safetensors_name(file), l->folder);
    if (!stored || stored->dtype != REEL_BF16 || !reel_shape_equal(&stored->shape, &wanted))
        return reel_fail(l->env, REEL_E_FORMAT, "%s: wanted latents bf16 %s, got %s",
                         reel_safetensors_name(file), REEL_SHAPE_STR(&wanted),
                         stored ? REEL_SHAPE_STR(&stored->shape) : "none");
    return REEL_OK;
}

static reel_status make_room(reel_latents *l) {
    if (l->n_shards < l->room) return REEL_OK;
    const int64_t room = l->room ? 2 * l->room : 64;
    reel_safetensors **file =
        reel_realloc(l->env, l->file, room * (int64_t)sizeof(reel_safetensors *), tag);
    if (!file) return REEL_E_NOMEM;
    l->file = file;
    const reel_bf16 **data =
        reel_realloc(l->env, l->data, room * (int64_t)sizeof(const reel_bf16 *), tag);
    if (!data) return REEL_E_NOMEM;
    l->data = data;
    l->room = room;
    return REEL_OK;
}

static reel_status open_shard(reel_latents *l, int64_t shard) {
    char path[PATH_BYTES];
    path_of(l, shard, path);
    reel_safetensors *file;
    reel_tensor tensor;
    reel_status status = make_room(l);
    if (status == REEL_OK) status = reel_safetensors_open(l->env, path, &file);
    if (status != REEL_OK) return status;
    status = check(l, shard, file);
    if (status == REEL_OK) status = reel_safetensors_get(file, "latents", &tensor);
    if (status != REEL_OK) {
        reel_safetensors_close(&file);
        return status;
    }
    l->file[l->n_shards] = file;
    l->data[l->n_shards++] = tensor.data;
    return REEL_OK;
}

reel_status reel_latents_advance(reel_latents *l, int64_t n_shards,
                                 bool (*told)(void *context, int64_t shard), void *context) {
    while (l->n_shards < n_shards) {
        char path[PATH_BYTES];
        path_of(l, l->n_shards, path);
        reel_status status = REEL_OK;
        if (!reel_path_exists(path)) {
            if (told && told(context, l->n_shards))
                return reel_fail(l->env, REEL_E_CANCELLED, "stopped while encoding clips");
            status = make_shard(l, l->n_shards);
        }
        if (status == REEL_OK) status = open_shard(l, l->n_shards);
        if (status != REEL_OK) return status;
    }
    return REEL_OK;
}

/* ---- clips ---- */

int64_t reel_latents_count(const reel_latents *l) {
    return l->n_shards * REEL_LATENTS_SHARD;
}

reel_latent_clip reel_latents_at(const reel_latents *l, int64_t i) {
    const int64_t shard = i / REEL_LATENTS_SHARD;
    const reel_bucket *b = bucket_of(l, shard);
    int64_t g[3];
    grid_of(l, b, g);
    return (reel_latent_clip){.index = i,
                              .size = b,
                              .f = g[0],
                              .h = g[1],
                              .w = g[2],
                              .data =
                                  l->data[shard] + i % REEL_LATENTS_SHARD * clip_elements(l, b)};
}
