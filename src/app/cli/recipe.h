/* Recipes: what a file says of how it was made, used again.
 *
 * Everything `reel generate` and the commands beside it write has its recipe as JSON in the
 * comment. Filled into options, it takes the place of what the command line leaves unsaid.
 */
#ifndef REEL_APP_CLI_RECIPE_H
#define REEL_APP_CLI_RECIPE_H

#include "app/cli/make.h"
#include "base/json.h"

typedef struct reel_recipe {
    reel_env *env;
    reel_json_doc *doc;
} reel_recipe;

typedef struct reel_recipe_use {
    bool steps;  /* the number of steps too */
    bool size;   /* width, height and rate */
    bool length; /* the number of frames */
} reel_recipe_use;

/* Reads a file's recipe; false with a message printed when there is none. Closed with
 * reel_recipe_close, after which texts that were filled in are gone. */
bool reel_recipe_open(const reel_usage *usage, const char *path, reel_recipe *recipe);
/* Safe on a zeroed struct. */
void reel_recipe_close(reel_recipe *recipe);

/* Fills in what was not given; parsed is marked where that counts. False with a message printed
 * when the recipe is not one of ours. */
bool reel_recipe_fill(const reel_usage *usage, const reel_recipe *recipe, reel_recipe_use use,
                      reel_parsed *parsed, reel_make_options *options);

#endif
