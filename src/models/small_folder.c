#include "models/small_folder.h"

#include <stdio.h>

#include "base/env.h"
#include "base/file.h"
#include "base/folder.h"

enum { PATH_BYTES = 4096 };

static reel_status write_config(reel_env *env, const char *folder, reel_json_out *config) {
    char path[PATH_BYTES];
    const char *text;
    int64_t bytes;
    snprintf(path, sizeof path, "%s/config.json", folder);
    const reel_status status = reel_json_out_text(config, &text, &bytes);
    return status == REEL_OK ? reel_file_write(env, path, text, bytes) : status;
}

reel_status reel_small_folder_save(reel_env *env, const char *folder, reel_json_out *config,
                                   reel_params *params) {
    char path[PATH_BYTES];
    const int n = reel_params_count(params);
    reel_status status = reel_folder_make(env, folder);
    if (status == REEL_OK) status = write_config(env, folder, config);
    if (status != REEL_OK) return status;
    reel_named_tensor *tensor = reel_calloc(env, n, sizeof *tensor, "small folder");
    if (!tensor) return REEL_E_NOMEM;
    for (int i = 0; i < n; i++) {
        const reel_param *p = reel_params_at(params, i);
        tensor[i] = (reel_named_tensor){p->name, {p->dtype, p->shape, p->data}};
    }
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    status = reel_safetensors_write(env, path, tensor, n, NULL, 0);
    reel_free(env, tensor);
    return status;
}

/* The mapping is read only, and so are a model's parameters without a gradient; the store's pointer
 * does not say so. */
reel_status reel_small_folder_weights(reel_env *env, const char *folder, reel_safetensors **file,
                                      reel_params **params) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    reel_status status = reel_safetensors_open(env, path, file);
    if (status == REEL_OK) status = reel_params_new(env, params);
    const int64_t n = status == REEL_OK ? reel_safetensors_count(*file) : 0;
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        const char *name = reel_safetensors_at(*file, i)->name;
        reel_tensor tensor;
        status = reel_safetensors_get(*file, name, &tensor);
        if (status == REEL_OK)
            status = reel_params_set(*params, name, tensor.dtype, tensor.shape, tensor.data);
        if (status == REEL_OK) reel_params_find(*params, name)->frozen = true;
    }
    if (status == REEL_OK) reel_params_close(*params);
    return status;
}
