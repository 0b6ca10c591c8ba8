#include "app/cli/recipe.h"

#include <string.h>

static bool fail(const reel_usage *u, const char *path, const char *why) {
    fprintf(stderr, "reel %s: %s: %s\n", u->command, path, why);
    return false;
}

static bool read_recipe(const reel_usage *u, const char *path, reel_recipe *r) {
    reel_media_info *info = NULL;
    if (reel_media_probe(r->env, path, &info) != REEL_OK) {
        reel_command_fail(u, r->env);
        return false;
    }
    const char *text = info->comment;
    const bool good =
        text && reel_json_parse(r->env, text, (int64_t)strlen(text), "recipe", &r->doc) == REEL_OK;
    reel_media_info_free(r->env, &info);
    if (!good) return fail(u, path, "does not say how it was made: no recipe of reel's is in it");
    const reel_json root = reel_json_root(r->doc);
    const char *generator;
    if (reel_json_string(&root, "generator", &generator) == REEL_OK &&
        strcmp(generator, "reel") == 0)
        return true;
    return fail(u, path, "its recipe is not one of reel's");
}

bool reel_recipe_open(const reel_usage *u, const char *path, reel_recipe *r) {
    *r = (reel_recipe){0};
    if (!reel_command_env(u, &r->env)) return false;
    if (read_recipe(u, path, r)) return true;
    reel_recipe_close(r);
    return false;
}

void reel_recipe_close(reel_recipe *r) {
    reel_json_free(&r->doc);
    reel_env_free(&r->env);
}

/* ---- filling in ---- */

typedef struct filling {
    const reel_usage *usage;
    const reel_json *root;
    reel_parsed *parsed;
    reel_status status;
} filling;

/* Whether a field is wanted and there. */
static bool wanted(const filling *f, const char *option, const char *key) {
    return f->status == REEL_OK && !reel_option_given(f->usage, f->parsed, option) &&
           reel_json_has(f->root, key);
}

static void take_text(filling *f, const char *option, const char *key, const char **to) {
    const char *text;
    if (!wanted(f, option, key)) return;
    f->status = reel_json_string(f->root, key, &text);
    if (f->status == REEL_OK && text[0]) *to = text;
}

static void take_int(filling *f, const char *option, const char *key, int64_t most, int64_t *to) {
    if (!wanted(f, option, key)) return;
    f->status = reel_json_int(f->root, key, 0, most, to);
    if (f->status == REEL_OK) reel_option_mark(f->usage, f->parsed, option);
}

static void take_real(filling *f, const char *option, const char *key, double *to) {
    if (!wanted(f, option, key)) return;
    f->status = reel_json_real(f->root, key, 0, 1e6, to);
    if (f->status == REEL_OK) reel_option_mark(f->usage, f->parsed, option);
}

static void take_size(filling *f, reel_make_options *o) {
    if (o->size.width || o->width || o->height) return;
    take_int(f, "width", "width", 8192, &o->width);
    take_int(f, "height", "height", 8192, &o->height);
    reel_json fps;
    if (!wanted(f, "fps", "fps")) return;
    int64_t num = 0, den = 1;
    f->status = reel_json_array(f->root, "fps", &fps);
    if (f->status == REEL_OK && reel_json_count(&fps) != 2)
        f->status = reel_json_fail(&fps, REEL_E_FORMAT, "wanted two integers");
    int64_t *const part[] = {&num, &den};
    for (int i = 0; i < 2 && f->status == REEL_OK; i++) {
        const reel_json item = reel_json_item(&fps, i);
        f->status = reel_json_int(&item, NULL, 1, INT32_MAX, part[i]);
    }
    if (f->status == REEL_OK) o->fps = (double)num / (double)den;
}

bool reel_recipe_fill(const reel_usage *u, const reel_recipe *recipe, reel_recipe_use use,
                      reel_parsed *parsed, reel_make_options *o) {
    const reel_json root = reel_json_root(recipe->doc);
    filling f = {.usage = u, .root = &root, .parsed = parsed};
    const char *type = NULL;
    if (!o->prompt_file) take_text(&f, "prompt", "prompt", &o->prompt);
    take_text(&f, "negative-prompt", "negative_prompt", &o->negative_prompt);
    take_text(&f, "model", "model", &o->model);
    take_text(&f, "sampler", "sampler", &o->sampler);
    take_text(&f, "type", "type", &type);
    if (type && strcmp(type, "stored") != 0) o->type = type;
    take_int(&f, "seed", "seed", INT64_MAX, &o->seed);
    take_real(&f, "cfg-scale", "cfg_scale", &o->cfg_scale);
    take_real(&f, "cfg-rescale", "cfg_rescale", &o->cfg_rescale);
    take_real(&f, "cfg-from", "cfg_from", &o->cfg_from);
    take_real(&f, "cfg-to", "cfg_to", &o->cfg_to);
    take_real(&f, "flow-shift", "flow_shift", &o->flow_shift);
    take_int(&f, "window", "window", 1000000, &o->window);
    take_int(&f, "context", "context", 1000000, &o->context);
    take_int(&f, "anchor", "anchor", 1000000, &o->anchor);
    take_real(&f, "context-noise", "context_noise", &o->context_noise);
    if (use.steps) take_int(&f, "steps", "steps", 1000, &o->steps);
    if (use.size) take_size(&f, o);
    if (use.length && !(o->seconds > 0)) take_int(&f, "frames", "frames", 1000000, &o->frames);
    if (f.status == REEL_OK) return true;
    reel_command_fail(u, recipe->env);
    return false;
}
