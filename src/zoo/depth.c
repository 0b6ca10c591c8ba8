#include "zoo/depth.h"

#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "base/path.h"

enum { PATH_BYTES = 4096 };

/* FNV-1a over bytes. */
static uint64_t mix(uint64_t hash, const void *data, int64_t bytes) {
    const unsigned char *byte = data;
    for (int64_t i = 0; i < bytes; i++)
        hash = (hash ^ byte[i]) * 0x100000001b3u;
    return hash;
}

/* Diffusers' names of what stands before the latents. */
static bool is_encoder(const char *name) {
    return strncmp(name, "encoder.", 8) == 0 || strncmp(name, "quant_conv.", 11) == 0;
}

void reel_latents_key(const reel_component *vae, char key[REEL_DEPTH_KEY]) {
    const reel_wan_vae_config *c = &vae->config.vae;
    uint64_t hash = 0xcbf29ce484222325u;
    hash = mix(hash, c->latents_mean, c->z_dim * (int64_t)sizeof *c->latents_mean);
    hash = mix(hash, c->latents_std, c->z_dim * (int64_t)sizeof *c->latents_std);
    for (int i = 0; i < reel_params_count(vae->params); i++) {
        const reel_param *p = reel_params_at(vae->params, i);
        if (!is_encoder(p->name)) continue;
        hash = mix(hash, p->data, reel_dtype_size(p->dtype, reel_shape_count(&p->shape)));
    }
    snprintf(key, REEL_DEPTH_KEY, "%016llx", (unsigned long long)hash);
}

static void path_of(const reel_folder *folder, const char *below, char path[PATH_BYTES]) {
    snprintf(path, PATH_BYTES, "%s/depth%s", reel_folder_path(folder), below);
}

bool reel_folder_has_depth(const reel_folder *folder) {
    char path[PATH_BYTES];
    path_of(folder, "/config.json", path);
    return reel_path_look(path) == REEL_PATH_FILE;
}

static reel_status compare(reel_env *env, const reel_folder *folder, const reel_depth_config *c,
                           const char *path) {
    reel_component *vae;
    char key[REEL_DEPTH_KEY];
    const reel_status status =
        reel_folder_component(folder, REEL_COMPONENT_VAE, REEL_WEIGHTS_STORED, &vae);
    if (status != REEL_OK) return status;
    const reel_wan_vae_config *v = &vae->config.vae;
    reel_latents_key(vae, key);
    const bool fits = v->z_dim == c->z_dim && reel_wan_vae_factor_t(v) == c->factor_t &&
                      reel_wan_vae_factor_s(v) == c->factor_s && strcmp(key, c->latents) == 0;
    reel_component_close(&vae);
    if (fits) return REEL_OK;
    return reel_fail(env, REEL_E_FORMAT,
                     "%s: was trained on latents of another autoencoder (%s) than the folder's "
                     "vae (%s); `reel train depth` makes one that fits",
                     path, c->latents, key);
}

reel_status reel_folder_depth(reel_env *env, const reel_folder *folder,
                              const reel_kernel_table *table, reel_depth_model **model) {
    char path[PATH_BYTES];
    path_of(folder, "", path);
    if (!reel_folder_has_depth(folder))
        return reel_fail(env, REEL_E_UNSUPPORTED,
                         "%s: has no depth head, wanted depth/config.json in it; `reel train "
                         "depth` makes one",
                         reel_folder_path(folder));
    reel_depth_model *m;
    reel_status status = reel_depth_open(env, table, path, &m);
    if (status != REEL_OK) return status;
    status = compare(env, folder, reel_depth_config_of(m), path);
    if (status != REEL_OK) {
        reel_depth_close(&m);
        return status;
    }
    *model = m;
    return REEL_OK;
}
