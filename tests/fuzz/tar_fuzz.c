/* Any bytes as a tar file: a refusal with a message, or members that lie within them under names
 * that stay within a folder. Our own walk is instrumented; libarchive is the system's.
 */
#include "fuzz.h"

#include <string.h>

#include "base/env.h"
#include "data/tar.h"

static void skipped(void *context, const char *member, const char *reason) {
    int *n = context;
    PROMISE(member && reason[0]);
    ++*n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    reel_env *env = NULL;
    reel_tar *tar = NULL;
    int n_skipped = 0;
    if (reel_env_new(&options, &env) != REEL_OK) return 0;
    const reel_status status =
        reel_tar_parse(env, data, (int64_t)size, "fuzz", skipped, &n_skipped, &tar);
    PROMISE((status == REEL_OK) == (tar != NULL));
    PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
    unsigned sum = 0;
    for (int64_t i = 0; tar && i < reel_tar_count(tar); i++) {
        const reel_tar_member m = reel_tar_at(tar, i);
        PROMISE(reel_tar_name_is_safe(m.name));
        PROMISE(m.data >= data && m.bytes >= 0 && m.data + m.bytes <= data + size);
        for (int64_t k = 0; k < m.bytes; k++)
            sum += m.data[k];
    }
    PROMISE(sum <= 255 * (uint64_t)size * 64);
    reel_tar_close(&tar);
    PROMISE(env->allocator.bytes == 0);
    reel_env_free(&env);
    return 0;
}
