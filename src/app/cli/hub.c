#include "app/cli/hub.h"

#include <stdio.h>
#include <stdlib.h>

const char *reel_hub_cache(char text[REEL_HUB_PATH]) {
    static const struct {
        const char *variable, *below;
    } place[] = {
        {"HF_HUB_CACHE", ""},
        {"HF_HOME", "/hub"},
        {"XDG_CACHE_HOME", "/huggingface/hub"},
        {"HOME", "/.cache/huggingface/hub"},
    };
    for (size_t i = 0; i < sizeof place / sizeof *place; i++) {
        const char *value = getenv(place[i].variable);
        if (!value || !value[0]) continue;
        const int n = snprintf(text, REEL_HUB_PATH, "%s%s", value, place[i].below);
        return n < REEL_HUB_PATH ? text : NULL;
    }
    return NULL;
}

reel_status reel_hub_find(reel_env *env, const char *given, char path[REEL_HUB_PATH]) {
    char cache[REEL_HUB_PATH];
    return reel_model_find(env, given, reel_hub_cache(cache), path, REEL_HUB_PATH);
}
