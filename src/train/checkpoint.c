#include "train/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "tensor/safetensors.h"

static const char prefix[] = "checkpoint-", suffix[] = ".safetensors", tag[] = "checkpoint";

/* The buffers of a parameter that are saved. */
enum { N_BUFFERS = 4 };
static const char *const buffer_names[N_BUFFERS] = {"weight", "moment", "square", "average"};

static float *buffer(const reel_learned *p, int k) {
    float *const all[N_BUFFERS] = {p->master, p->moment[0], p->moment[1], p->average};
    return all[k];
}

/* ---- writing ---- */

static reel_status remove_old(reel_env *env, const char *folder) {
    reel_arena arena;
    reel_arena_init(&arena, env, 4096, tag);
    const char *const *name;
    int64_t n;
    reel_status status = reel_folder_list(env, &arena, folder, prefix, suffix, &name, &n);
    for (int64_t i = 0; status == REEL_OK && i < n - REEL_CHECKPOINTS_KEPT; i++) {
        const char *path = reel_arena_printf(&arena, "%s/%s", folder, name[i]);
        status = path ? reel_file_remove(env, path) : REEL_E_NOMEM;
    }
    reel_arena_deinit(&arena);
    return status;
}

static reel_status write_file(reel_env *env, reel_arena *arena, const char *path, const char *kind,
                              reel_learner *learner, const char *recipe,
                              const reel_run_state *state) {
    const int n = reel_learner_count(learner);
    reel_named_tensor *tensor = reel_arena_calloc(arena, (int64_t)n * N_BUFFERS, sizeof *tensor);
    if (!tensor) return REEL_E_NOMEM;
    int64_t count = 0;
    for (int i = 0; i < n; i++) {
        const reel_learned *p = reel_learner_at(learner, i);
        for (int k = 0; k < N_BUFFERS; k++) {
            if (!buffer(p, k)) continue;
            const char *name = reel_arena_printf(arena, "%s:%s", buffer_names[k], p->name);
            if (!name) return REEL_E_NOMEM;
            tensor[count++] = (reel_named_tensor){name, {REEL_F32, p->shape, buffer(p, k)}};
        }
    }
    char step[32], samples[32], seconds[40], learner_steps[32];
    snprintf(step, sizeof step, "%lld", (long long)state->step);
    snprintf(samples, sizeof samples, "%lld", (long long)state->samples);
    snprintf(seconds, sizeof seconds, "%.17g", state->seconds);
    snprintf(learner_steps, sizeof learner_steps, "%lld", (long long)reel_learner_steps(learner));
    const reel_metadata pair[] = {{"kind", kind},       {"learner_steps", learner_steps},
                                  {"recipe", recipe},   {"samples", samples},
                                  {"seconds", seconds}, {"step", step}};
    return reel_safetensors_write(env, path, tensor, count, pair, sizeof pair / sizeof *pair);
}

reel_status reel_checkpoint_write(reel_env *env, const char *folder, const char *kind,
                                  reel_learner *learner, const reel_recipe *recipe,
                                  const reel_run_state *state) {
    reel_arena arena;
    reel_arena_init(&arena, env, 65536, tag);
    char *text = NULL;
    int64_t bytes;
    reel_status status = reel_recipe_write(env, recipe, &text, &bytes);
    const char *path = NULL;
    if (status == REEL_OK) {
        path = reel_arena_printf(&arena, "%s/%s%010lld%s", folder, prefix, (long long)state->step,
                                 suffix);
        if (!path) status = REEL_E_NOMEM;
    }
    if (status == REEL_OK) status = write_file(env, &arena, path, kind, learner, text, state);
    reel_free(env, text);
    reel_arena_deinit(&arena);
    if (status == REEL_OK) status = remove_old(env, folder);
    return status;
}

/* ---- reading ---- */

static reel_status read_count(reel_env *env, const reel_safetensors *file, const char *key,
                              int64_t *out) {
    const char *text = reel_safetensors_metadata(file, key);
    char *end = NULL;
    const long long x = text ? strtoll(text, &end, 10) : -1;
    if (!text || end == text || *end || x < 0)
        return reel_fail(env, REEL_E_FORMAT, "%s: wanted a count as %s, got '%s'",
                         reel_safetensors_name(file), key, text ? text : "nothing");
    *out = x;
    return REEL_OK;
}

static reel_status check(reel_env *env, const reel_safetensors *file, const char *kind,
                         const reel_recipe *recipe) {
    const char *name = reel_safetensors_name(file);
    const char *its_kind = reel_safetensors_metadata(file, "kind"),
               *text = reel_safetensors_metadata(file, "recipe");
    if (!its_kind || !text)
        return reel_fail(env, REEL_E_FORMAT, "%s: no checkpoint of a training run", name);
    if (strcmp(its_kind, kind) != 0)
        return reel_fail(env, REEL_E_ARG, "%s: is of a %s run, not of a %s run", name, its_kind,
                         kind);
    reel_recipe its = reel_recipe_default();
    const reel_status status = reel_recipe_parse(env, text, (int64_t)strlen(text), name, &its);
    return status == REEL_OK ? reel_recipe_compatible(env, &its, recipe) : status;
}

/* All tensors are looked at before the first is taken over. */
static reel_status take(reel_env *env, reel_arena *arena, reel_safetensors *file,
                        reel_learner *learner, bool copy) {
    for (int i = 0; i < reel_learner_count(learner); i++) {
        const reel_learned *p = reel_learner_at(learner, i);
        for (int k = 0; k < N_BUFFERS; k++) {
            if (!buffer(p, k)) continue;
            const char *name = reel_arena_printf(arena, "%s:%s", buffer_names[k], p->name);
            reel_tensor tensor;
            reel_status status = name ? reel_safetensors_get(file, name, &tensor) : REEL_E_NOMEM;
            if (status != REEL_OK) return status == REEL_E_ARG ? REEL_E_FORMAT : status;
            if (tensor.dtype != REEL_F32 || !reel_shape_equal(&tensor.shape, &p->shape))
                return reel_fail(env, REEL_E_FORMAT, "%s: %s must be f32 %s, got %s %s",
                                 reel_safetensors_name(file), name, REEL_SHAPE_STR(&p->shape),
                                 reel_dtype_name(tensor.dtype), REEL_SHAPE_STR(&tensor.shape));
            if (copy) memcpy(buffer(p, k), tensor.data, (size_t)reel_tensor_bytes(&tensor));
        }
    }
    return REEL_OK;
}

static reel_status restore(reel_env *env, reel_arena *arena, reel_safetensors *file,
                           const char *kind, reel_learner *learner, const reel_recipe *recipe,
                           reel_run_state *state) {
    reel_run_state made = {0};
    int64_t steps = 0;
    reel_status status = check(env, file, kind, recipe);
    if (status == REEL_OK) status = read_count(env, file, "step", &made.step);
    if (status == REEL_OK) status = read_count(env, file, "samples", &made.samples);
    if (status == REEL_OK) status = read_count(env, file, "learner_steps", &steps);
    if (status == REEL_OK) status = take(env, arena, file, learner, false);
    if (status == REEL_OK) status = take(env, arena, file, learner, true);
    if (status != REEL_OK) return status;
    const char *seconds = reel_safetensors_metadata(file, "seconds");
    made.seconds = seconds ? strtod(seconds, NULL) : 0;
    reel_learner_restore(learner, steps);
    *state = made;
    return REEL_OK;
}

/* The newest file that is sound. */
static reel_status open_newest(reel_env *env, reel_arena *arena, const char *folder,
                               reel_safetensors **file) {
    const char *const *name;
    int64_t n;
    *file = NULL;
    reel_status status = reel_folder_list(env, arena, folder, prefix, suffix, &name, &n);
    for (int64_t i = n - 1; status == REEL_OK && i >= 0 && !*file; i--) {
        const char *path = reel_arena_printf(arena, "%s/%s", folder, name[i]);
        if (!path) return REEL_E_NOMEM;
        const reel_status opened = reel_safetensors_open(env, path, file);
        if (opened == REEL_OK) break;
        if (opened != REEL_E_FORMAT) return opened;
        reel_log(env, REEL_LOG_WARN, "passed over: %s", reel_env_message(env));
        reel_env_clear(env);
        *file = NULL;
    }
    return status;
}

reel_status reel_checkpoint_read(reel_env *env, const char *folder, const char *kind,
                                 reel_learner *learner, const reel_recipe *recipe,
                                 reel_run_state *state, bool *found) {
    reel_arena arena;
    reel_arena_init(&arena, env, 65536, tag);
    reel_safetensors *file;
    reel_status status = open_newest(env, &arena, folder, &file);
    const bool have = status == REEL_OK && file;
    if (have) status = restore(env, &arena, file, kind, learner, recipe, state);
    if (have) reel_safetensors_close(&file);
    reel_arena_deinit(&arena);
    if (status == REEL_OK) *found = have;
    return status;
}
