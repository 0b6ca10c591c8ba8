#include "pipeline/resume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "tensor/safetensors.h"

static const char format_name[] = "reel state 2";

struct reel_resume_file {
    reel_env *env;
    reel_safetensors *file;
    int64_t seed, window, done;
};

/* ---- saving ---- */

static reel_named_tensor floats(const char *name, int64_t rows, int64_t n, const float *data) {
    reel_named_tensor t = {.name = name,
                           .tensor = {.dtype = REEL_F32, .shape = REEL_SHAPE(rows, n)}};
    memcpy(&t.tensor.data, &data, sizeof data); /* the writer reads only */
    return t;
}

reel_status reel_resume_save(reel_env *env, const char *path, const reel_resume *resume,
                             const reel_denoise_memory *memory) {
    static const char *const text_name[REEL_MAX_PROMPTS] = {"text.0", "text.1"};
    reel_named_tensor tensor[3 + REEL_MAX_PROMPTS];
    int n = 0;
    tensor[n++] = floats("latents", 1, memory->n, memory->x);
    tensor[n++] = (reel_named_tensor){.name = "sampler",
                                      .tensor = {.dtype = REEL_U8,
                                                 .shape = REEL_SHAPE(memory->sampler_bytes),
                                                 .data = memory->sampler}};
    for (int i = 0; i < resume->text->n_prompts; i++)
        tensor[n++] =
            floats(text_name[i], resume->text->n[i], resume->text->dim, resume->text->row[i]);
    if (resume->preview)
        tensor[n++] =
            floats("preview", 3, resume->preview->n_channels + 1, resume->preview->weight);
    char seed[32], window[32], done[32];
    snprintf(seed, sizeof seed, "%lld", (long long)resume->seed);
    snprintf(window, sizeof window, "%lld", (long long)resume->window);
    snprintf(done, sizeof done, "%lld", (long long)resume->done);
    const reel_metadata metadata[] = {{"format", format_name},
                                      {"settings", resume->settings},
                                      {"seed", seed},
                                      {"window", window},
                                      {"done", done}};
    return reel_safetensors_write(env, path, tensor, n, metadata,
                                  sizeof metadata / sizeof *metadata);
}

/* ---- opening ---- */

static reel_status bad(const reel_resume_file *f, const char *what) {
    return reel_fail(f->env, REEL_E_FORMAT,
                     "%s: not the state of a run: %s; remove it to begin anew",
                     reel_safetensors_name(f->file), what);
}

/* A whole number in [0, 2^63), all of text. */
static bool read_number(const char *text, int64_t *out) {
    if (!text || !*text || strspn(text, "0123456789") != strlen(text)) return false;
    errno = 0;
    *out = strtoll(text, NULL, 10);
    return errno == 0;
}

static reel_status read_head(reel_resume_file *f, const char **settings) {
    const char *format = reel_safetensors_metadata(f->file, "format");
    *settings = reel_safetensors_metadata(f->file, "settings");
    if (!format || strcmp(format, format_name) != 0) return bad(f, "it does not say so");
    if (!*settings || !read_number(reel_safetensors_metadata(f->file, "seed"), &f->seed))
        return bad(f, "its settings or seed are missing");
    if (!read_number(reel_safetensors_metadata(f->file, "done"), &f->done) ||
        !read_number(reel_safetensors_metadata(f->file, "window"), &f->window))
        return bad(f, "it does not say how far it is");
    return REEL_OK;
}

/* Whether the file continues this run; says in the log why it does not. */
static bool continues(const reel_resume_file *f, const char *saved, const char *settings,
                      int64_t seed) {
    const bool same = strcmp(saved, settings) == 0;
    if (same && (seed < 0 || seed == f->seed)) return true;
    reel_log(f->env, REEL_LOG_WARN, "%s: holds %lld steps of a run with %s; beginning anew",
             reel_safetensors_name(f->file), (long long)f->done,
             same ? "another seed" : "other settings");
    return false;
}

/* Takes the open file over, also when it fails. */
static reel_status take(reel_env *env, reel_safetensors *opened, const char *settings, int64_t seed,
                        reel_resume_file **file) {
    reel_resume_file *f = reel_calloc(env, 1, sizeof *f, "resume");
    if (!f) {
        reel_safetensors_close(&opened);
        return REEL_E_NOMEM;
    }
    f->env = env;
    f->file = opened;
    const char *saved = NULL;
    const reel_status status = read_head(f, &saved);
    if (status == REEL_OK && continues(f, saved, settings, seed))
        *file = f;
    else
        reel_resume_close(&f);
    return status;
}

reel_status reel_resume_open(reel_env *env, const char *path, const char *settings, int64_t seed,
                             reel_resume_file **file) {
    *file = NULL;
    if (reel_path_look(path) == REEL_PATH_NONE) return REEL_OK;
    reel_safetensors *opened = NULL;
    const reel_status status = reel_safetensors_open(env, path, &opened);
    return status == REEL_OK ? take(env, opened, settings, seed, file) : status;
}

reel_status reel_resume_parse(reel_env *env, const void *data, int64_t bytes, const char *settings,
                              int64_t seed, reel_resume_file **file) {
    *file = NULL;
    reel_safetensors *opened = NULL;
    const reel_status status = reel_safetensors_parse(env, data, bytes, "state", &opened);
    return status == REEL_OK ? take(env, opened, settings, seed, file) : status;
}

void reel_resume_close(reel_resume_file **file) {
    reel_resume_file *f = *file;
    if (!f) return;
    reel_safetensors_close(&f->file);
    reel_free(f->env, f);
    *file = NULL;
}

int64_t reel_resume_seed(const reel_resume_file *f) {
    return f->seed;
}
int64_t reel_resume_window(const reel_resume_file *f) {
    return f->window;
}
int64_t reel_resume_done(const reel_resume_file *f) {
    return f->done;
}

/* ---- reading ---- */

/* The f32 matrix of that name, or false. */
static bool find_floats(const reel_resume_file *f, const char *name, reel_tensor *tensor) {
    const reel_stored *stored = reel_safetensors_find(f->file, name);
    return stored && stored->dtype == REEL_F32 && stored->shape.rank == 2 &&
           reel_safetensors_get(f->file, name, tensor) == REEL_OK;
}

reel_status reel_resume_text(const reel_resume_file *f, reel_text_rows *text) {
    static const char *const name[REEL_MAX_PROMPTS] = {"text.0", "text.1"};
    reel_text_rows made = {0};
    for (int i = 0; i < REEL_MAX_PROMPTS; i++) {
        reel_tensor rows;
        if (!find_floats(f, name[i], &rows)) break;
        if (i > 0 && rows.shape.dim[1] != made.dim) break;
        if (!reel_tensor_count(&rows)) break;
        made.dim = rows.shape.dim[1];
        made.n[i] = rows.shape.dim[0];
        made.row[i] = reel_alloc(f->env, reel_tensor_bytes(&rows), "resume");
        if (!made.row[i]) {
            reel_text_rows_deinit(f->env, &made);
            return REEL_E_NOMEM;
        }
        memcpy(made.row[i], rows.data, (size_t)reel_tensor_bytes(&rows));
        made.n_prompts++;
    }
    if (!made.n_prompts) return bad(f, "it has no rows of text");
    *text = made;
    return REEL_OK;
}

bool reel_resume_preview(const reel_resume_file *f, int64_t n_channels, reel_preview_map *map) {
    reel_tensor t;
    if (n_channels > REEL_PREVIEW_MAX_CHANNELS || !find_floats(f, "preview", &t)) return false;
    if (t.shape.dim[0] != 3 || t.shape.dim[1] != n_channels + 1) return false;
    map->n_channels = n_channels;
    memcpy(map->weight, t.data, (size_t)reel_tensor_bytes(&t));
    return true;
}

reel_status reel_resume_restore(const reel_resume_file *f, reel_denoise *run) {
    const reel_denoise_memory memory = reel_denoise_get_memory(run);
    reel_tensor latents, sampler;
    if (!find_floats(f, "latents", &latents) || reel_tensor_count(&latents) != memory.n)
        return bad(f, "its latents have another size");
    const reel_stored *stored = reel_safetensors_find(f->file, "sampler");
    if (!stored || stored->dtype != REEL_U8 || stored->bytes != memory.sampler_bytes)
        return bad(f, "its sampler's memory has another size");
    reel_status status = reel_safetensors_get(f->file, "sampler", &sampler);
    if (status != REEL_OK) return status;
    if (f->done > reel_denoise_n(run)) return bad(f, "it is further than the run is long");
    memcpy(memory.x, latents.data, (size_t)memory.n * sizeof *memory.x);
    memcpy(memory.sampler, sampler.data, (size_t)memory.sampler_bytes);
    if (reel_denoise_restore(run, (int)f->done) == REEL_OK) return REEL_OK;
    reel_env_clear(f->env);
    return bad(f, "its sampler's memory is that of another run");
}
