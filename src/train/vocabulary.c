#include "train/vocabulary.h"

#include <stdio.h>
#include <string.h>

#include "base/folder.h"
#include "base/rng.h"
#include "data/source.h"
#include "text/tokenizer.h"

typedef struct captions {
    reel_env *env;
    const reel_recipe *recipe;
    reel_world_source source;
    int64_t next;
    reel_status status;
    char text[REEL_SOURCE_CAPTION_BYTES];
} captions;

/* Caption `next`: clips in order, the languages in turn, phrasings at random. */
static const char *next_caption(void *context, int64_t *bytes) {
    captions *c = context;
    if (c->next >= c->recipe->tokenizer.captions || c->status != REEL_OK) return NULL;
    const int64_t i = c->next++;
    const uint64_t variant = reel_rng_below(c->source.seed, reel_rng_stream("vocabulary"),
                                            (uint64_t)i, (uint64_t)1 << 62);
    c->status = reel_world_source_caption(c->env, &c->source, i / 2, &c->recipe->data.bucket[0],
                                          i % 2 != 0, variant, c->text);
    *bytes = (int64_t)strlen(c->text);
    return c->status == REEL_OK ? c->text : NULL;
}

reel_status reel_train_vocabulary(reel_env *env, const reel_run_options *options) {
    const reel_recipe *o = options->recipe;
    captions c = {.env = env,
                  .recipe = o,
                  .source = {(uint64_t)o->data.seed, REEL_SOURCE_TRAIN, (float)o->data.fps}};
    reel_vocabulary_options vocabulary = reel_vocabulary_options_default();
    vocabulary.size = (int32_t)o->tokenizer.vocabulary;
    vocabulary.coverage = 1;
    char path[4096];
    int32_t size = 0;
    snprintf(path, sizeof path, "%s/spiece.model", options->folder);
    reel_run_tell(options, "tokenizer", "prepare", "%lld captions",
                  (long long)o->tokenizer.captions);
    reel_status status = reel_folder_make(env, options->folder);
    if (status == REEL_OK)
        status = reel_tokenizer_train(env, path, &vocabulary, next_caption, &c, &size);
    if (c.status != REEL_OK) return c.status;
    if (status == REEL_OK)
        reel_run_tell(options, "tokenizer", "done", "%d pieces in %s", (int)size, path);
    return status;
}
