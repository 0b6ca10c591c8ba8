#include "train/vocabulary.h"

#include <stdio.h>
#include <string.h>

#include "base/folder.h"
#include "base/rng.h"
#include "text/tokenizer.h"
#include "train/material.h"

typedef struct captions {
    reel_env *env;
    const reel_recipe *recipe;
    const reel_source *source;
    int64_t next;
    reel_status status;
    char text[REEL_SOURCE_CAPTION_BYTES];
} captions;

/* Caption `next`: clips in order, the languages in turn, phrasings at random. */
static const char *next_caption(void *context, int64_t *bytes) {
    captions *c = context;
    if (c->next >= c->recipe->tokenizer.captions || c->status != REEL_OK) return NULL;
    const int64_t i = c->next++;
    const reel_source *s = c->source;
    const uint64_t variant =
        reel_rng_below((uint64_t)c->recipe->data.seed, reel_rng_stream("vocabulary"), (uint64_t)i,
                       (uint64_t)1 << 62);
    const int64_t clip = s->n_clips > 0 ? i / 2 % s->n_clips : i / 2;
    c->status = s->caption(c->env, s->context, clip, &c->recipe->data.bucket[0], i % 2 != 0,
                           variant, c->text);
    *bytes = (int64_t)strlen(c->text);
    return c->status == REEL_OK ? c->text : NULL;
}

reel_status reel_train_vocabulary(reel_env *env, const reel_run_options *options) {
    const reel_recipe *o = options->recipe;
    reel_material material = {0};
    captions c = {.env = env, .recipe = o, .source = &material.train};
    reel_vocabulary_options vocabulary = reel_vocabulary_options_default();
    vocabulary.size = (int32_t)o->tokenizer.vocabulary;
    vocabulary.coverage = 1;
    char path[4096];
    int32_t size = 0;
    snprintf(path, sizeof path, "%s/spiece.model", options->folder);
    reel_run_tell(options, "tokenizer", "prepare", "%lld captions",
                  (long long)o->tokenizer.captions);
    reel_status status = reel_folder_make(env, options->folder);
    if (status == REEL_OK) status = reel_material_open(env, options, "tokenizer", -1, &material);
    if (status == REEL_OK)
        status = reel_tokenizer_train(env, path, &vocabulary, next_caption, &c, &size);
    reel_material_close(&material);
    if (c.status != REEL_OK) return c.status;
    if (status == REEL_OK)
        reel_run_tell(options, "tokenizer", "done", "%d pieces in %s", (int)size, path);
    return status;
}
