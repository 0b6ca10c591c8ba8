#include "zoo/pickle.h"

#include <string.h>

bool reel_is_pickle(const char *path) {
    static const char *const end[] = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".bin.index.json"};
    const size_t n = strlen(path);
    for (size_t i = 0; i < sizeof end / sizeof *end; i++) {
        const size_t m = strlen(end[i]);
        if (n > m && strcmp(path + n - m, end[i]) == 0) return true;
    }
    return false;
}

reel_status reel_pickle_refuse(reel_env *env, const char *path) {
    return reel_fail(env, REEL_E_UNSUPPORTED,
                     "%s: a pickle, which is a program and not data, is not read; use the "
                     "safetensors files of the model's -Diffusers repository, or save the same "
                     "tensors once with safetensors.torch.save_file(torch.load(path, "
                     "weights_only=True), ...) under the same name ending in .safetensors",
                     path);
}
