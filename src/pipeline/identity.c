#include "pipeline/identity.h"

#include <string.h>

static uint64_t mix(uint64_t hash, const void *data, int64_t bytes) {
    const unsigned char *byte = data;
    for (int64_t i = 0; i < bytes; i++)
        hash = (hash ^ byte[i]) * 0x100000001b3u; /* FNV's prime */
    return hash;
}

reel_status reel_identity_mix(reel_safetensors_set *set, uint64_t *hash) {
    uint64_t h = *hash ? *hash : 0xcbf29ce484222325u; /* FNV's basis */
    for (int64_t i = 0; i < reel_safetensors_set_count(set); i++) {
        const reel_stored *stored = reel_safetensors_set_at(set, i);
        reel_tensor t;
        const reel_status status = reel_safetensors_set_get(set, stored->name, &t);
        if (status != REEL_OK) return status;
        h = mix(h, stored->name, (int64_t)strlen(stored->name) + 1);
        const int32_t dtype = (int32_t)t.dtype;
        h = mix(h, &dtype, sizeof dtype);
        h = mix(h, t.shape.dim, t.shape.rank * (int64_t)sizeof *t.shape.dim);
        const int64_t bytes = reel_tensor_bytes(&t);
        h = mix(h, t.data, bytes < REEL_IDENTITY_BYTES ? bytes : REEL_IDENTITY_BYTES);
    }
    *hash = h;
    return REEL_OK;
}
