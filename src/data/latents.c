#include "data/latents.h"

#include <stdio.h>
#include <string.h>

#include "base/folder.h"
#include "tensor/safetensors.h"

static const char tag[] = "latents";
enum { PATH_BYTES = 4096, KEY_BYTES = 128, NAME_BYTES = 32, AHEAD = 4 };

struct reel_latents {
    reel_env *env;
    char folder[PATH_BYTES - REEL_SOURCE_NAME_BYTES - 32], key[KEY_BYTES];
    reel_source source;
    const reel_bucket *bucket;
    int64_t n_buckets;
    reel_latents_encoder encoder;
    reel_safetensors **file; /* [n_groups] */
    int64_t n_groups, room;
    reel_latent_clip *clip; /* [n_clips] */
    int64_t n_clips, clip_room;
    int64_t expected; /* groups whose clips the source has been told of */
};

reel_status reel_latents_open(reel_env *env, const char *folder, const char *key,
                              const reel_source *source, const reel_bucket *bucket,
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
    for (int64_t i = 0; i < l->n_groups; i++)
        reel_safetensors_close(&l->file[i]);
    reel_free(l->env, l->file);
    reel_free(l->env, l->clip);
    reel_free(l->env, l);
    *latents = NULL;
}

/* ---- sizes ---- */

static reel_source_group group_at(const reel_latents *l, int64_t i) {
    reel_source_group g = {0};
    l->source.group(l->source.context, i, &g);
    return g;
}

static const reel_bucket *bucket_of(const reel_latents *l, int64_t group, int64_t clip) {
    return &l->bucket[l->source.bucket(l->source.context, l->bucket, l->n_buckets, group, clip)];
}

/* The latents of a clip, without their place. */
static reel_latent_clip shape_of(const reel_latents *l, int64_t group, int64_t clip) {
    const reel_bucket *b = bucket_of(l, group, clip);
    return (reel_latent_clip){.index = clip,
                              .size = b,
                              .f = 1 + (b->frames - 1) / l->encoder.factor_t,
                              .h = b->height / l->encoder.factor_s,
                              .w = b->width / l->encoder.factor_s};
}

static int64_t elements(const reel_latents *l, const reel_latent_clip *c) {
    return c->f * c->h * c->w * l->encoder.z;
}

static bool same_size(const reel_latent_clip *a, const reel_latent_clip *b) {
    return a->f == b->f && a->h == b->h && a->w == b->w;
}

static void path_of(const reel_latents *l, const reel_source_group *g, char path[PATH_BYTES]) {
    snprintf(path, PATH_BYTES, "%s/%s.safetensors", l->folder, g->name);
}

/* ---- tensors: runs of clips of one size ---- */

/* A run of a group's clips that is one tensor [n,f,h,w,z]: "latents", then "latents.1", ... */
typedef struct tensor_run {
    char name[NAME_BYTES];
    int64_t first, n; /* clips of the source */
    reel_latent_clip shape;
    reel_shape dims;
} tensor_run;

/* The run that begins at clip `first` of a group; k is its place among them. */
static tensor_run run_at(const reel_latents *l, int64_t group, const reel_source_group *g,
                         int64_t first, int64_t k) {
    tensor_run run = {.first = first, .n = 1, .shape = shape_of(l, group, first)};
    for (; first + run.n < g->first + g->n; run.n++) {
        const reel_latent_clip next = shape_of(l, group, first + run.n);
        if (!same_size(&next, &run.shape)) break;
    }
    if (k)
        snprintf(run.name, sizeof run.name, "latents.%lld", (long long)k);
    else
        snprintf(run.name, sizeof run.name, "latents");
    run.dims = REEL_SHAPE(run.n, run.shape.f, run.shape.h, run.shape.w, l->encoder.z);
    return run;
}

/* ---- making a file ---- */

static reel_status encode_run(reel_latents *l, const tensor_run *run, reel_bf16 *data) {
    const reel_bucket *b = run->shape.size;
    uint8_t *rgb = reel_alloc(l->env, reel_bucket_bytes(b), tag);
    reel_status status = rgb ? REEL_OK : REEL_E_NOMEM;
    for (int64_t i = 0; i < run->n && status == REEL_OK; i++) {
        const reel_source *s = &l->source;
        for (int64_t k = i + 1; s->expect && k < run->n && k <= i + AHEAD; k++)
            s->expect(s->context, run->first + k, b);
        status = s->pixels(l->env, s->context, run->first + i, b, rgb);
        if (status == REEL_OK)
            status =
                l->encoder.encode(l->encoder.context, rgb, b, data + i * elements(l, &run->shape));
    }
    reel_free(l->env, rgb);
    return status;
}

static reel_status write_runs(reel_latents *l, const reel_source_group *g,
                              const reel_named_tensor *tensor, int64_t n) {
    char path[PATH_BYTES];
    path_of(l, g, path);
    const reel_metadata key = {"key", l->key};
    return reel_safetensors_write(l->env, path, tensor, n, &key, 1);
}

static reel_status make_group(reel_latents *l, int64_t group, const reel_source_group *g) {
    reel_arena arena;
    reel_arena_init(&arena, l->env, 1 << 16, tag);
    reel_named_tensor *tensor = reel_arena_calloc(&arena, g->n, sizeof *tensor);
    reel_status status = tensor ? REEL_OK : REEL_E_NOMEM;
    int64_t n = 0;
    for (int64_t i = g->first; i < g->first + g->n && status == REEL_OK;) {
        const tensor_run run = run_at(l, group, g, i, n);
        reel_bf16 *data =
            reel_arena_alloc(&arena, run.n * elements(l, &run.shape) * (int64_t)sizeof(reel_bf16));
        char *name = reel_arena_strdup(&arena, run.name);
        status = data && name ? encode_run(l, &run, data) : REEL_E_NOMEM;
        if (status != REEL_OK) break;
        tensor[n++] = (reel_named_tensor){name, {REEL_BF16, run.dims, data}};
        i += run.n;
    }
    if (status == REEL_OK) status = write_runs(l, g, tensor, n);
    reel_arena_deinit(&arena);
    return status;
}

/* ---- opening one ---- */

static reel_status check_key(const reel_latents *l, const reel_safetensors *file) {
    const char *key = reel_safetensors_metadata(file, "key");
    if (key && strcmp(key, l->key) == 0) return REEL_OK;
    return reel_fail(l->env, REEL_E_ARG,
                     "%s: was made by another encoder or from another world; remove the "
                     "folder %s, or name another as data.cache",
                     reel_safetensors_name(file), l->folder);
}

static reel_status check_run(const reel_latents *l, const tensor_run *run,
                             const reel_safetensors *file) {
    const reel_stored *stored = reel_safetensors_find(file, run->name);
    if (stored && stored->dtype == REEL_BF16 && reel_shape_equal(&stored->shape, &run->dims))
        return REEL_OK;
    return reel_fail(l->env, REEL_E_FORMAT, "%s: wanted %s bf16 %s, got %s",
                     reel_safetensors_name(file), run->name, REEL_SHAPE_STR(&run->dims),
                     stored ? REEL_SHAPE_STR(&stored->shape) : "none");
}

/* Room for one more file of n clips. */
static reel_status make_room(reel_latents *l, int64_t n) {
    if (l->n_groups >= l->room) {
        const int64_t room = l->room ? 2 * l->room : 64;
        reel_safetensors **file =
            reel_realloc(l->env, l->file, room * (int64_t)sizeof(reel_safetensors *), tag);
        if (!file) return REEL_E_NOMEM;
        l->file = file;
        l->room = room;
    }
    if (l->n_clips + n > l->clip_room) {
        const int64_t room = 2 * l->clip_room + n;
        reel_latent_clip *clip = reel_realloc(l->env, l->clip, room * (int64_t)sizeof *clip, tag);
        if (!clip) return REEL_E_NOMEM;
        l->clip = clip;
        l->clip_room = room;
    }
    return REEL_OK;
}

/* Fills clip [g->n] from a file. */
static reel_status read_runs(reel_latents *l, int64_t group, const reel_source_group *g,
                             reel_safetensors *file, reel_latent_clip *clip) {
    reel_status status = check_key(l, file);
    int64_t k = 0;
    for (int64_t i = g->first; i < g->first + g->n && status == REEL_OK; k++) {
        const tensor_run run = run_at(l, group, g, i, k);
        reel_tensor tensor;
        status = check_run(l, &run, file);
        if (status == REEL_OK) status = reel_safetensors_get(file, run.name, &tensor);
        for (int64_t j = 0; j < run.n && status == REEL_OK; j++, i++) {
            const reel_bf16 *data = tensor.data;
            reel_latent_clip *to = &clip[i - g->first];
            *to = run.shape;
            to->index = i;
            to->data = data + j * elements(l, &run.shape);
        }
    }
    return status;
}

static reel_status open_group(reel_latents *l, int64_t group, const reel_source_group *g) {
    char path[PATH_BYTES];
    path_of(l, g, path);
    reel_safetensors *file;
    reel_status status = make_room(l, g->n);
    if (status == REEL_OK) status = reel_safetensors_open(l->env, path, &file);
    if (status != REEL_OK) return status;
    status = read_runs(l, group, g, file, l->clip + l->n_clips);
    if (status != REEL_OK) {
        reel_safetensors_close(&file);
        return status;
    }
    l->file[l->n_groups++] = file;
    l->n_clips += g->n;
    return REEL_OK;
}

/* ---- advancing ---- */

static bool has_next(const reel_latents *l) {
    return l->source.n_groups == 0 || l->n_groups < l->source.n_groups;
}

/* Tells the source of the first clips of the next group, once, unless it is on disk. */
static void expect_next(reel_latents *l) {
    const reel_source *s = &l->source;
    if (!s->expect || !has_next(l) || l->expected > l->n_groups) return;
    l->expected = l->n_groups + 1;
    char path[PATH_BYTES];
    const reel_source_group g = group_at(l, l->n_groups);
    path_of(l, &g, path);
    if (reel_path_exists(path)) return;
    for (int64_t i = 0; i < g.n && i < AHEAD; i++)
        s->expect(s->context, g.first + i, bucket_of(l, l->n_groups, g.first + i));
}

reel_status reel_latents_advance(reel_latents *l, int64_t n,
                                 bool (*told)(void *context, int64_t first, int64_t n_clips),
                                 void *context) {
    while (l->n_clips < n && has_next(l)) {
        char path[PATH_BYTES];
        const reel_source_group g = group_at(l, l->n_groups);
        path_of(l, &g, path);
        reel_status status = REEL_OK;
        if (!reel_path_exists(path)) {
            if (told && told(context, g.first, g.n))
                return reel_fail(l->env, REEL_E_CANCELLED, "stopped while encoding clips");
            status = make_group(l, l->n_groups, &g);
        }
        if (status == REEL_OK) status = open_group(l, l->n_groups, &g);
        if (status != REEL_OK) return status;
    }
    expect_next(l);
    return REEL_OK;
}

/* ---- clips ---- */

int64_t reel_latents_count(const reel_latents *l) {
    return l->n_clips;
}

reel_latent_clip reel_latents_at(const reel_latents *l, int64_t i) {
    return l->clip[i];
}
