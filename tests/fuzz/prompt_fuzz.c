/* Any bytes as a prompt: what comes out is sound UTF-8 on one line, without spaces at its ends or
 * two in a row.
 */
#include "fuzz.h"

#include <string.h>

#include "text/prompt.h"
#include "text/unicode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    reel_env *env = NULL;
    if (reel_env_new(&options, &env) != REEL_OK) return 0;
    char *clean = NULL;
    int64_t bytes = 0;
    if (reel_prompt_clean(env, (const char *)data, (int64_t)size, &clean, &bytes) == REEL_OK) {
        PROMISE(reel_utf8_sound(clean, bytes) && clean[bytes] == '\0');
        PROMISE(strlen(clean) == (size_t)bytes && !strpbrk(clean, "\n\r\t\v\f"));
        PROMISE(bytes == 0 || (clean[0] != ' ' && clean[bytes - 1] != ' '));
        PROMISE(!strstr(clean, "  "));
    }
    reel_free(env, clean);
    PROMISE(env->allocator.bytes == 0);
    reel_env_free(&env);
    return 0;
}
