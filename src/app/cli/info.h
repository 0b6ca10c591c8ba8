/* What the kinds of file that reel info shows have in common. */
#ifndef REEL_APP_CLI_INFO_H
#define REEL_APP_CLI_INFO_H

#include <stdbool.h>

#include "reel/reel.h"

/* Prints text out of a file with its control characters escaped: a terminal must not obey it. */
void reel_info_print_text(const char *text);

/* The model folder at path: its parts, their configurations, counts, dtypes and bytes. Nothing is
 * printed when a part is broken. */
REEL_MUST_USE reel_status reel_info_model(reel_env *env, const char *path, bool json);

/* A video or picture: a few lines and the stored recipe, indented; json: one object. */
REEL_MUST_USE reel_status reel_info_media(reel_env *env, const char *path, bool json);

#endif
