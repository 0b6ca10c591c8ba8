/* Any bytes as a file of captions, as text and as JSON: a refusal with a message, or captions that
 * are whole UTF-8 without line breaks, however they are cut.
 */
#include "fuzz.h"

#include <string.h>

#include "base/env.h"
#include "base/json_out.h"
#include "data/words.h"

static void check(const char *text, int64_t most) {
    PROMISE((int64_t)strlen(text) < most);
    PROMISE(reel_utf8_valid(text));
    PROMISE(!strchr(text, '\n'));
}

static void try_words(reel_env *env, const uint8_t *data, size_t size, bool json) {
    reel_arena arena;
    reel_words words = {0};
    char text[32];
    reel_arena_init(&arena, env, 4096, "fuzz");
    const reel_status status =
        reel_words_read(env, &arena, "fuzz", (const char *)data, (int64_t)size, json, &words);
    PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
    for (int64_t i = 0; i < words.n_english; i++)
        check(words.english[i], 4 * (int64_t)size + 1);
    for (int64_t i = 0; i < words.n_chinese; i++)
        check(words.chinese[i], 4 * (int64_t)size + 1);
    for (uint64_t variant = 0; variant < 3; variant++) {
        reel_words_pick(&words, variant == 1, variant, text, sizeof text);
        check(text, sizeof text);
    }
    reel_arena_deinit(&arena);
    reel_env_clear(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    reel_env *env = NULL;
    if (reel_env_new(&options, &env) != REEL_OK) return 0;
    try_words(env, data, size, false);
    try_words(env, data, size, true);
    PROMISE(env->allocator.bytes == 0);
    reel_env_free(&env);
    return 0;
}
