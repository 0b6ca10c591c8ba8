/* Any bytes as a tokenizer's model: a refusal with a message, or a model that tokenizes any text,
 * the beginning of the model itself among it. Without sentencepiece the check in front of it stands
 * alone.
 */
#include "fuzz.h"

#include "text/spm_check.h"
#include "text/tokenizer.h"

static void use(reel_env *env, const reel_tokenizer *t, const char *text, int64_t bytes) {
    reel_tokens tokens = {0};
    char *decoded = NULL;
    PROMISE(reel_tokenizer_encode(t, text, bytes, NULL, &tokens) == REEL_OK);
    PROMISE(tokens.n >= 1 && tokens.n <= REEL_MAX_TOKENS);
    for (int64_t i = 0; i < tokens.n; i++)
        PROMISE(tokens.id[i] >= 0 && tokens.id[i] < reel_tokenizer_size(t));
    PROMISE(reel_tokenizer_decode(t, tokens.id, tokens.n, &decoded, NULL) == REEL_OK);
    reel_free(env, decoded);
    reel_tokens_deinit(env, &tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char sample[] = "aA ab <x> \xff\xc3\xa9 a\0A";
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    reel_env *env = NULL;
    if (reel_env_new(&options, &env) != REEL_OK) return 0;
    reel_tokenizer *t = NULL;
    reel_status status = reel_spm_check(env, data, (int64_t)size, "fuzz");
    PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
    reel_env_clear(env);
    if (REEL_SENTENCEPIECE) {
        const reel_status opened = reel_tokenizer_parse(env, data, (int64_t)size, "fuzz", &t);
        PROMISE((opened == REEL_OK) == (t != NULL));
        PROMISE((opened == REEL_OK) == (reel_env_message(env)[0] == '\0'));
        PROMISE(status == REEL_OK || opened == status);
    }
    if (t) use(env, t, sample, sizeof sample - 1);
    if (t) use(env, t, (const char *)data, size < 256 ? (int64_t)size : 256);
    reel_tokenizer_close(&t);
    PROMISE(env->allocator.bytes == 0);
    reel_env_free(&env);
    return 0;
}
