/* Where the Hugging Face cache is, by the environment's variables, and models found in it. */
#ifndef REEL_APP_CLI_HUB_H
#define REEL_APP_CLI_HUB_H

#include "reel/reel.h"

enum { REEL_HUB_PATH = 4096 };

/* HF_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub or ~/.cache/huggingface/hub, the first
 * that is set; NULL when none is, or when it does not fit. Returns text. */
const char *reel_hub_cache(char text[REEL_HUB_PATH]);

/* reel_model_find with that cache: what a user gives --model becomes the path of a folder. */
REEL_MUST_USE reel_status reel_hub_find(reel_env *env, const char *given, char path[REEL_HUB_PATH]);

#endif
