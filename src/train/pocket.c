#include "train/pocket.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "train/dit.h"
#include "train/save.h"
#include "train/text.h"
#include "train/vae.h"
#include "train/vocabulary.h"

enum { PATH_BYTES = 4096, MOST_RECIPE_BYTES = 1 << 20, MOST_STAGES = 16 };
typedef enum stage_kind { TOKENIZER, TEXT, VAE, WORDS, DIT, DECODER, N_KINDS } stage_kind;
static const char *const kinds[N_KINDS] = {"tokenizer", "text", "vae", "words", "dit", "decoder"};

typedef struct stage {
    stage_kind kind;
    char name[24]; /* of its folder */
    char recipe[PATH_BYTES];
} stage;

typedef struct pocket {
    reel_env *env;
    const reel_kernel_table *table;
    const reel_run_options *options;
    const reel_pocket_changes *changes;
    stage stage[MOST_STAGES];
    int n_stages;
    double began_s;
} pocket;

reel_status reel_recipe_load(reel_env *env, const char *path, const reel_pocket_changes *changes,
                             reel_recipe *recipe) {
    *recipe = reel_recipe_default();
    reel_status status = REEL_OK;
    if (path) {
        char *text;
        int64_t bytes;
        status = reel_file_read(env, path, MOST_RECIPE_BYTES, &text, &bytes);
        if (status != REEL_OK) return status;
        status = reel_recipe_parse(env, text, bytes, path, recipe);
        reel_free(env, text);
    }
    for (int i = 0; i < changes->n_set && status == REEL_OK; i++)
        status = reel_recipe_set(env, changes->set[i], recipe);
    if (changes->steps > 0) recipe->run.steps = changes->steps;
    return status;
}

/* ---- the recipe of recipes ---- */

/* A file named in `path`, looked for in the same folder. */
static void beside(const char *path, const char *name, char out[PATH_BYTES]) {
    const char *slash = strrchr(path, '/');
    const int n = slash && name[0] != '/' ? (int)(slash - path) + 1 : 0;
    snprintf(out, PATH_BYTES, "%.*s%s", n, path, name);
}

/* One more stage, of a recipe beside `path`; number 0: the only one of its kind. */
static void add_stage(pocket *p, stage_kind kind, int number, const char *path,
                      const char *recipe) {
    stage *s = &p->stage[p->n_stages++];
    s->kind = kind;
    snprintf(s->name, sizeof s->name, number ? "%s-%u" : "%s", kinds[kind], (unsigned)number % 100);
    beside(path, recipe, s->recipe);
}

/* "words" lists recipes, or is not there. */
static reel_status read_words(pocket *p, const reel_json *root, const char *path) {
    reel_json list;
    if (!reel_json_has(root, kinds[WORDS])) return REEL_OK;
    reel_status status = reel_json_array(root, kinds[WORDS], &list);
    const int64_t n = status == REEL_OK ? reel_json_count(&list) : 0, most = MOST_STAGES - N_KINDS;
    if (n > most)
        return reel_fail(p->env, REEL_E_FORMAT, "%s: words has %lld recipes, wanted at most %lld",
                         path, (long long)n, (long long)most);
    for (int i = 0; i < n && status == REEL_OK; i++) {
        char name[512];
        const reel_json item = reel_json_item(&list, i);
        status = reel_json_words(&item, name, sizeof name);
        if (status == REEL_OK) add_stage(p, WORDS, i + 1, path, name);
    }
    return status;
}

static reel_status read_stages(pocket *p, const char *path) {
    reel_json_doc *doc;
    if (!path)
        return reel_fail(p->env, REEL_E_ARG,
                         "the whole recipe is read from a file: none was given");
    reel_status status = reel_json_load(p->env, path, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    static const char *const known[] = {"about",   "tokenizer", "text", "vae",
                                        "decoder", "words",     "dit"};
    status = reel_json_only(&root, known, sizeof known / sizeof *known);
    for (int k = 0; k < N_KINDS && status == REEL_OK; k++) {
        const char *name;
        if (k == WORDS) {
            status = read_words(p, &root, path);
            continue;
        }
        if (k == TEXT && !reel_json_has(&root, kinds[k])) continue;
        status = reel_json_string(&root, kinds[k], &name);
        if (status == REEL_OK) add_stage(p, (stage_kind)k, 0, path, name);
    }
    reel_json_free(&doc);
    return status;
}

/* ---- the stages ---- */

/* What a stage takes from those before it. */
static reel_status connect(pocket *p, int number, reel_recipe *r) {
    const char *folder = p->options->folder;
    const stage *s = &p->stage[number], *before = number ? s - 1 : NULL;
    const bool transformer = s->kind == WORDS || s->kind == DIT;
    const bool has_text = p->n_stages > TEXT && p->stage[TEXT].kind == TEXT;
    char init[64] = "";
    if (before && before->kind == WORDS) snprintf(init, sizeof init, "%s/model", before->name);
    const struct {
        char *field;
        const char *name;
        bool used;
    } wire[] = {{r->vae.init, "vae", s->kind == DECODER},
                {r->vae.mistakes, "dit/model", s->kind == DECODER},
                {r->dit.vae, "vae", transformer},
                {r->dit.decoder, "vae", transformer}, /* the last stage gives it another */
                {r->dit.tokenizer, "tokenizer/spiece.model", transformer || s->kind == TEXT},
                {r->text.init, "text", transformer && has_text && !init[0]},
                {r->dit.init, init, init[0] != 0}};
    for (size_t i = 0; i < sizeof wire / sizeof *wire; i++) {
        if (!wire[i].used) continue;
        memset(wire[i].field, 0, REEL_RECIPE_TEXT);
        const int n = snprintf(wire[i].field, REEL_RECIPE_TEXT, "%s/%s", folder, wire[i].name);
        if (n >= REEL_RECIPE_TEXT)
            return reel_fail(p->env, REEL_E_ARG,
                             "the name of the run folder, %s, is longer than %d bytes", folder,
                             REEL_RECIPE_TEXT - 32);
    }
    return REEL_OK;
}

static reel_status train_tokenizer(pocket *p, const reel_run_options *options) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/spiece.model", options->folder);
    return reel_path_exists(path) ? REEL_OK : reel_train_vocabulary(p->env, options);
}

/* The model gets the decoder that forgives its transformer. */
static reel_status finish(const pocket *p) {
    char model[PATH_BYTES], decoder[PATH_BYTES];
    snprintf(model, sizeof model, "%s/dit/model", p->options->folder);
    snprintf(decoder, sizeof decoder, "%s/decoder", p->options->folder);
    return reel_save_vae(p->env, model, decoder);
}

static reel_status run_stage(pocket *p, int number, bool *stopped) {
    const stage *s = &p->stage[number];
    reel_recipe recipe;
    char folder[PATH_BYTES];
    reel_status status = reel_recipe_load(p->env, s->recipe, p->changes, &recipe);
    if (status == REEL_OK) status = connect(p, number, &recipe);
    if (status != REEL_OK) return status;
    snprintf(folder, sizeof folder, "%s/%s", p->options->folder, s->name);
    reel_run_options options = *p->options;
    options.folder = folder;
    options.recipe = &recipe;
    if (options.minutes > 0) { /* what is left of them */
        options.minutes -= (reel_clock_s() - p->began_s) / 60;
        *stopped = options.minutes <= 0;
        if (*stopped) return REEL_OK;
    }
    if (s->kind == TOKENIZER) return train_tokenizer(p, &options);
    if (s->kind == TEXT) return reel_train_text(p->env, p->table, &options, stopped);
    if (s->kind == WORDS || s->kind == DIT)
        return reel_train_dit(p->env, p->table, &options, stopped);
    status = reel_train_vae(p->env, p->table, &options, s->kind == DECODER, stopped);
    return status == REEL_OK && s->kind == DECODER && !*stopped ? finish(p) : status;
}

reel_status reel_train_pocket(reel_env *env, const reel_kernel_table *table,
                              const reel_run_options *options, const char *path,
                              const reel_pocket_changes *changes, bool *stopped) {
    pocket *p = reel_calloc(env, 1, sizeof *p, "pocket");
    if (!p) return REEL_E_NOMEM;
    p->env = env;
    p->table = table;
    p->options = options;
    p->changes = changes;
    p->began_s = reel_clock_s();
    reel_status status = read_stages(p, path);
    for (int i = 0; i < p->n_stages && status == REEL_OK && !*stopped; i++)
        status = run_stage(p, i, stopped);
    reel_free(env, p);
    return status;
}
