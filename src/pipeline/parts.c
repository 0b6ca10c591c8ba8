#include "pipeline/parts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/path.h"
#include "base/sweep.h"
#include "tensor/safetensors.h"

static const char latents_name[] = "latents";

static reel_status path_of(const reel_parts *p, int64_t i, const char *extension,
                           char text[REEL_PARTS_PATH]) {
    const int n =
        snprintf(text, REEL_PARTS_PATH, "%s/%06lld%s", p->folder, (long long)i, extension);
    if (n < REEL_PARTS_PATH) return REEL_OK;
    return reel_fail(p->env, REEL_E_ARG, "%s: the name has more than %d bytes", p->folder,
                     REEL_PARTS_PATH - 64);
}

reel_status reel_parts_frames(const reel_parts *p, int64_t i, char text[REEL_PARTS_PATH]) {
    return path_of(p, i, ".mkv", text);
}

static reel_status path_of_latents(const reel_parts *p, int64_t i, char text[REEL_PARTS_PATH]) {
    return path_of(p, i, ".latents", text);
}

/* Removes the files whose names end in suffix. */
static reel_status remove_all(const reel_parts *p, const char *suffix) {
    reel_arena arena;
    reel_arena_init(&arena, p->env, 4096, "parts");
    const char *const *name;
    int64_t n = 0;
    char path[REEL_PARTS_PATH];
    reel_status status = reel_folder_list(p->env, &arena, p->folder, "", suffix, &name, &n);
    for (int64_t i = 0; i < n && status == REEL_OK; i++)
        if (snprintf(path, sizeof path, "%s/%s", p->folder, name[i]) < (int)sizeof path)
            status = reel_file_remove(p->env, path);
    reel_arena_deinit(&arena);
    return status;
}

reel_status reel_parts_begin(const reel_parts *p, int64_t i) {
    char frames[REEL_PARTS_PATH], latents[REEL_PARTS_PATH];
    reel_status status = reel_folder_make(p->env, p->folder);
    if (status == REEL_OK) status = reel_parts_frames(p, i, frames);
    if (status == REEL_OK) status = path_of_latents(p, i, latents);
    if (status != REEL_OK) return status;
    reel_sweep(frames);
    reel_sweep(latents);
    return REEL_OK;
}

bool reel_parts_has_latents(const reel_parts *p, int64_t i) {
    char path[REEL_PARTS_PATH];
    return path_of_latents(p, i, path) == REEL_OK && reel_path_look(path) == REEL_PATH_FILE;
}

int64_t reel_parts_done(const reel_parts *p) {
    char path[REEL_PARTS_PATH];
    int64_t i = 0;
    while (reel_parts_frames(p, i, path) == REEL_OK && reel_path_look(path) == REEL_PATH_FILE)
        i++;
    return i;
}

reel_status reel_parts_remove(const reel_parts *p) {
    static const char *const suffix[] = {".tmp", ".latents", ".mkv"}; /* nothing of anybody else */
    if (reel_path_look(p->folder) != REEL_PATH_FOLDER) return REEL_OK;
    for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++) {
        const reel_status status = remove_all(p, suffix[i]);
        if (status != REEL_OK) return status;
    }
    (void)rmdir(p->folder); /* stays when there is something in it that is not ours */
    return REEL_OK;
}

reel_status reel_parts_save(const reel_parts *p, int64_t i, const float *latents) {
    char path[REEL_PARTS_PATH];
    reel_named_tensor t = {
        .name = latents_name,
        .tensor = {.dtype = REEL_F32, .shape = REEL_SHAPE(p->C, p->window, p->h, p->w)}};
    memcpy(&t.tensor.data, &latents, sizeof latents); /* the writer reads only */
    reel_status status = path_of_latents(p, i, path);
    if (status == REEL_OK) status = reel_safetensors_write(p->env, path, &t, 1, NULL, 0);
    if (status != REEL_OK || i < 3) return status;
    status = path_of_latents(p, i - 2, path); /* window i - 1 may be gone back to, with its own */
    return status == REEL_OK ? reel_file_remove(p->env, path) : status;
}

static reel_status take(const reel_parts *p, reel_safetensors *file, const char *path, int64_t from,
                        int64_t n, float *latents) {
    const reel_stored *stored = reel_safetensors_find(file, latents_name);
    const reel_shape wanted = REEL_SHAPE(p->C, p->window, p->h, p->w);
    reel_tensor t;
    if (!stored || stored->dtype != REEL_F32 || !reel_shape_equal(&stored->shape, &wanted))
        return reel_fail(p->env, REEL_E_FORMAT,
                         "%s: not the latents of this run; remove %s to begin anew", path,
                         p->folder);
    const reel_status status = reel_safetensors_get(file, latents_name, &t);
    if (status != REEL_OK) return status;
    const int64_t frame = p->h * p->w;
    const float *data = t.data;
    for (int64_t c = 0; c < p->C; c++)
        memcpy(latents + c * n * frame, data + (c * p->window + from) * frame,
               (size_t)(n * frame) * sizeof *latents);
    return REEL_OK;
}

reel_status reel_parts_load(const reel_parts *p, int64_t i, int64_t from, int64_t n,
                            float *latents) {
    char path[REEL_PARTS_PATH];
    reel_safetensors *file = NULL;
    reel_status status = path_of_latents(p, i, path);
    if (status == REEL_OK) status = reel_safetensors_open(p->env, path, &file);
    if (status == REEL_OK) status = take(p, file, path, from, n, latents);
    reel_safetensors_close(&file);
    return status;
}
