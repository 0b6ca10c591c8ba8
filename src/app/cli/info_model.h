/* The half of `reel info` that shows a model folder. */
#ifndef REEL_APP_CLI_INFO_MODEL_H
#define REEL_APP_CLI_INFO_MODEL_H

#include <stdbool.h>

#include "reel/reel.h"

/* Prints the folder at path: its parts, their configurations, counts, dtypes and bytes. Nothing is
 * printed when a part is broken. */
REEL_MUST_USE reel_status reel_info_model(reel_env *env, const char *path, bool json);

/* Text from a file for the terminal, which must not obey what it holds. */
void reel_info_print_text(const char *text);

#endif
