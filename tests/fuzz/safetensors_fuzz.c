/* Any bytes as a safetensors file: either a refusal with a message, or a file every tensor of which
 * can be read to its last byte. Nothing may be held afterwards.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "tensor/safetensors.h"

static void check_tensors(reel_safetensors *file, int64_t bytes) {
    int64_t total = 0;
    for (int64_t i = 0; i < reel_safetensors_count(file); i++) {
        const reel_stored *s = reel_safetensors_at(file, i);
        PROMISE(reel_safetensors_find(file, s->name) == s);
        PROMISE(i == 0 || strcmp(reel_safetensors_at(file, i - 1)->name, s->name) < 0);
        PROMISE(s->offset >= 0 && s->bytes >= 0 && s->bytes <= bytes);
        reel_tensor t;
        PROMISE(reel_safetensors_get(file, s->name, &t) == REEL_OK);
        PROMISE(reel_tensor_bytes(&t) == s->bytes);
        PROMISE((uintptr_t)t.data % (uintptr_t)reel_dtype_bytes(t.dtype) == 0);
        volatile unsigned char sum = 0; /* so that every byte is read */
        for (int64_t b = 0; b < s->bytes; b++)
            sum = (unsigned char)(sum + ((const unsigned char *)t.data)[b]);
        total += s->bytes;
    }
    for (int64_t i = 0; i < reel_safetensors_metadata_count(file); i++) {
        const reel_metadata *pair = reel_safetensors_metadata_at(file, i);
        PROMISE(strcmp(reel_safetensors_metadata(file, pair->key), pair->value) == 0);
    }
    PROMISE(total <= bytes);
}

static void try_file(reel_env *env, const uint8_t *data, int64_t bytes) {
    reel_safetensors *file = NULL;
    const reel_status status = reel_safetensors_parse(env, data, bytes, "fuzz", &file);
    PROMISE((status == REEL_OK) == (file != NULL));
    PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
    if (file) check_tensors(file, bytes);
    reel_safetensors_close(&file);
    PROMISE(env->allocator.bytes == 0);
    reel_env_clear(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    reel_env *env = NULL;
    if (reel_env_new(&options, &env) != REEL_OK) return 0;
    try_file(env, data, (int64_t)size);
    /* What looks like a header gets the right length in front and some data behind: a fuzzer would
     * otherwise spend its life on the length. */
    enum { N_DATA = 64 };
    if (size > 0 && data[0] == '{') {
        const uint64_t length = size;
        uint8_t *framed = calloc(1, 8 + size + N_DATA);
        if (framed) {
            memcpy(framed, &length, 8);
            memcpy(framed + 8, data, size);
            for (int64_t n = 0; n <= N_DATA; n += 16)
                try_file(env, framed, 8 + (int64_t)size + n);
        }
        free(framed);
    }
    reel_env_free(&env);
    return 0;
}
