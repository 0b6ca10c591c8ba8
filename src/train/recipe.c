#include "train/recipe.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/json_out.h"

typedef enum field_kind {
    FIELD_INT,
    FIELD_REAL,
    FIELD_TEXT,
    FIELD_LIST,    /* at least one number */
    FIELD_NUMBERS, /* or none */
    FIELD_DECAY,
    FIELD_PATHS,
    FIELD_RULES,   /* with n_rules in front */
    FIELD_BUCKETS, /* with n_buckets in front */
} field_kind;

typedef struct field {
    const char *section, *key;
    field_kind kind;
    size_t offset;
    double min, max;
    bool loose; /* may change when a run goes on */
} field;

#define AT(section, name) #section, #name
#define IN(section, name) offsetof(reel_recipe, section.name)
#define WHOLE(section, name, min, max)                                                             \
    { AT(section, name), FIELD_INT, IN(section, name), min, max, false }
#define REAL(section, name, min, max)                                                              \
    { AT(section, name), FIELD_REAL, IN(section, name), min, max, false }
#define TEXT(section, name)                                                                        \
    { AT(section, name), FIELD_TEXT, IN(section, name), 0, 0, false }
#define LIST(section, name, min, max)                                                              \
    { AT(section, name), FIELD_LIST, IN(section, name), min, max, false }

static const field fields[] = {
    WHOLE(run, seed, 0, 9e15),
    {"run", "steps", FIELD_INT, IN(run, steps), 1, 1e9, true},
    {"run", "checkpoint_minutes", FIELD_REAL, IN(run, checkpoint_minutes), 0, 1e6, true},
    {"run", "validate_minutes", FIELD_REAL, IN(run, validate_minutes), 0, 1e6, true},
    {"run", "validate_steps", FIELD_INT, IN(run, validate_steps), 0, 1e9, true},
    {"run", "log_steps", FIELD_INT, IN(run, log_steps), 1, 1e9, true},
    {"run", "samples", FIELD_INT, IN(run, samples), 0, 16, true},
    {"run", "sample_steps", FIELD_INT, IN(run, sample_steps), 1, 1000, true},
    REAL(optimiser, warmup, 0, 1e9),
    {"optimiser", "decay", FIELD_DECAY, IN(optimiser, decay), 0, 0, true},
    {"optimiser", "decay_fraction", FIELD_REAL, IN(optimiser, decay_fraction), 0, 1, true},
    {"optimiser", "final_lr", FIELD_REAL, IN(optimiser, final_lr), 0, 1, true},
    WHOLE(optimiser, batch, 1, 65536),
    WHOLE(optimiser, bf16, 0, 1),
    REAL(optimiser, beta1, 0, 1),
    REAL(optimiser, beta2, 0, 1),
    REAL(optimiser, eps, 0, 1),
    REAL(optimiser, momentum, 0, 1),
    REAL(optimiser, clip, 0, 1e9),
    REAL(optimiser, ema, 0, 1),
    WHOLE(optimiser, accumulate, 1, 65536),
    {"optimiser", "rules", FIELD_RULES, IN(optimiser, n_rules), 0, 0, true},
    WHOLE(data, seed, 0, 9e15),
    REAL(data, fps, 1, 240),
    {"data", "buckets", FIELD_BUCKETS, IN(data, n_buckets), 0, 0, false},
    WHOLE(data, pool, 1, 1e8),
    WHOLE(data, pool_start, 1, 1e8),
    REAL(data, fresh, 0, 1e6),
    REAL(data, drills, 0, 1),
    TEXT(data, drill_on),
    WHOLE(data, validation, 1, 4096),
    TEXT(data, cache),
    {"data", "clips", FIELD_PATHS, IN(data, clips), 0, 0, false},
    WHOLE(vae, base_dim, 4, 4096),
    WHOLE(vae, decoder_base_dim, 4, 4096),
    WHOLE(vae, z_dim, 1, 1024),
    WHOLE(vae, num_res_blocks, 1, 16),
    WHOLE(vae, patch_size, 1, 16),
    LIST(vae, dim_mult, 1, 64),
    LIST(vae, temperal_downsample, 0, 1),
    WHOLE(vae, crop, 8, 4096),
    WHOLE(vae, crop_frames, 1, 1024),
    WHOLE(vae, full_every, 0, 1e9),
    REAL(vae, kl, 0, 1e6),
    REAL(vae, l1, 0, 1e6),
    REAL(vae, mse, 0, 1e6),
    REAL(vae, delta, 0, 1e6),
    TEXT(vae, mistakes),
    REAL(vae, pca, 0, 1e6),
    REAL(vae, pca_final, 0, 1e6),
    WHOLE(vae, pca_steps, 1, 1e9),
    REAL(vae, noise, 0, 100),
    WHOLE(vae, linear_path, 0, 1),
    TEXT(vae, init),
    WHOLE(dit, num_attention_heads, 1, 1024),
    WHOLE(dit, attention_head_dim, 2, 4096),
    WHOLE(dit, ffn_dim, 1, 1 << 20),
    WHOLE(dit, num_layers, 1, 1024),
    WHOLE(dit, freq_dim, 2, 65536),
    {"dit", "patch_size", FIELD_NUMBERS, IN(dit, patch_size), 1, 64, false},
    TEXT(dit, vae),
    {"dit", "decoder", FIELD_TEXT, IN(dit, decoder), 0, 0, true},
    TEXT(dit, tokenizer),
    TEXT(dit, init),
    {"dit", "blend", FIELD_TEXT, IN(dit, blend), 0, 0, true},
    {"dit", "blend_share", FIELD_REAL, IN(dit, blend_share), 0, 1, true},
    WHOLE(dit, lora, 0, 4096),
    WHOLE(dit, row_tokens, 1, 1 << 24),
    WHOLE(dit, row_clips, 1, 65536),
    REAL(dit, short_fraction, 0, 1),
    REAL(dit, image_fraction, 0, 1),
    WHOLE(dit, planes, 0, 1),
    WHOLE(dit, pooled_text, 0, 1),
    WHOLE(dit, balance_text, 0, 1),
    REAL(dit, object_weight, 0.01, 1000),
    REAL(dit, layout, 0, 1000),
    REAL(dit, mask_fraction, 0, 1),
    REAL(dit, known_noise, 0, 1),
    REAL(dit, caption_dropout, 0, 1),
    REAL(dit, chinese_fraction, 0, 1),
    REAL(dit, t_mean, -20, 20),
    REAL(dit, t_std, 0, 20),
    REAL(dit, shift, 1e-3, 1000),
    WHOLE(dit, shift_tokens, 1, 1 << 24),
    TEXT(dit, objective),
    REAL(dit, vlb, 0, 1000),
    WHOLE(text, d_model, 1, 65536),
    WHOLE(text, d_kv, 1, 4096),
    WHOLE(text, d_ff, 1, 1 << 20),
    WHOLE(text, num_heads, 1, 1024),
    WHOLE(text, num_layers, 1, 1024),
    WHOLE(text, tokens, 0, 4096),
    TEXT(text, init),
    WHOLE(tokenizer, vocabulary, 32, 1 << 20),
    WHOLE(tokenizer, captions, 1, 1e8),
    LIST(judge, channels, 1, 4096),
    WHOLE(judge, features, 1, 65536),
    WHOLE(judge, looks, 0, 1024),
    REAL(judge, soften, 0, 1),
    REAL(judge, mirror, 0, 1),
    REAL(judge, pairs, 0, 1),
    REAL(judge, smoothing, 0, 0.9),
    TEXT(judge, init),
    WHOLE(depth, channels, 1, 4096),
    WHOLE(depth, blocks, 1, 16),
    WHOLE(depth, mid, 1, 1024),
    TEXT(depth, vae),
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

static const char *const decays[] = {"constant", "linear", "cosine"};
static const char *const methods[] = {"adamw", "muon", "frozen"};

reel_recipe reel_recipe_default(void) {
    return (reel_recipe){
        .run = {.seed = 1,
                .steps = 10000,
                .checkpoint_minutes = 10,
                .validate_minutes = 10,
                .log_steps = 10,
                .samples = 4,
                .sample_steps = 12},
        .optimiser = {.warmup = 100,
                      .decay = REEL_DECAY_LINEAR,
                      .decay_fraction = 0.3,
                      .final_lr = 0.02,
                      .batch = 8,
                      .bf16 = 1,
                      .beta1 = 0.9,
                      .beta2 = 0.95,
                      .eps = 1e-8,
                      .momentum = 0.95,
                      .clip = 1,
                      .ema = 0.999,
                      .accumulate = 1},
        .data = {.seed = 1,
                 .fps = 8,
                 .n_buckets = 1,
                 .bucket = {{128, 128, 33, 1}},
                 .pool = 256,
                 .pool_start = 64,
                 .fresh = 0.5,
                 .validation = 16},
        .vae = {.base_dim = 64,
                .decoder_base_dim = 64,
                .z_dim = 48,
                .num_res_blocks = 1,
                .patch_size = 4,
                .dim_mult = {3, {1, 2, 2}},
                .temperal_downsample = {2, {1, 1}},
                .crop = 64,
                .crop_frames = 9,
                .full_every = 0,
                .kl = 1e-4,
                .l1 = 0.1,
                .mse = 8,
                .pca = 1,
                .pca_final = 0.01,
                .pca_steps = 500,
                .noise = 0.1},
        .dit = {.num_attention_heads = 3,
                .attention_head_dim = 96,
                .ffn_dim = 1152,
                .num_layers = 8,
                .freq_dim = 256,
                .row_tokens = 4608,
                .row_clips = 64,
                .short_fraction = 0.3,
                .image_fraction = 0.1,
                .planes = 1,
                .object_weight = 1,
                .blend_share = 0.5,
                .mask_fraction = 0.3,
                .caption_dropout = 0.1,
                .chinese_fraction = 0.3,
                .t_mean = 0,
                .t_std = 1,
                .shift = 2,
                .shift_tokens = 144,
                .vlb = 1e-3},
        .text = {.d_model = 192, .d_kv = 48, .d_ff = 512, .num_heads = 4, .num_layers = 3},
        .tokenizer = {.vocabulary = 2048, .captions = 40000},
        .judge = {.channels = {4, {32, 96, 192, 256}},
                  .features = 256,
                  .looks = 16,
                  .soften = 0.25,
                  .mirror = 0.5,
                  .pairs = 0.1,
                  .smoothing = 0.02},
        .depth = {.channels = 144, .blocks = 2, .mid = 32},
    };
}

/* ---- reading ---- */

static void *place_of(const field *f, reel_recipe *r) {
    return (char *)r + f->offset;
}
static const void *const_place_of(const field *f, const reel_recipe *r) {
    return (const char *)r + f->offset;
}

static reel_status read_rule(const reel_json *at, reel_rule *rule) {
    static const char *const keys[] = {"match", "method", "lr", "weight_decay"};
    const char *pattern;
    int method;
    reel_rule made = {.weight_decay = 0};
    reel_status status = reel_json_only(at, keys, 4);
    if (status == REEL_OK) status = reel_json_string(at, "match", &pattern);
    if (status == REEL_OK) status = reel_json_choice(at, "method", methods, 3, &method);
    if (status == REEL_OK) status = reel_json_real_or(at, "lr", 0, 100, 1e-3, &made.lr);
    if (status == REEL_OK)
        status = reel_json_real_or(at, "weight_decay", 0, 100, 0, &made.weight_decay);
    if (status != REEL_OK) return status;
    if (strlen(pattern) >= sizeof made.pattern)
        return reel_json_fail(at, REEL_E_FORMAT, "match is longer than %d characters",
                              (int)sizeof made.pattern - 1);
    snprintf(made.pattern, sizeof made.pattern, "%s", pattern);
    made.method = method;
    *rule = made;
    return REEL_OK;
}

static reel_status read_rules(const reel_json *at, const char *key, reel_recipe *r) {
    reel_json list;
    reel_status status = reel_json_array(at, key, &list);
    if (status != REEL_OK) return status;
    const int64_t n = reel_json_count(&list);
    if (n > REEL_MAX_RULES)
        return reel_json_fail(&list, REEL_E_FORMAT, "wanted at most %d rules, got %lld",
                              REEL_MAX_RULES, (long long)n);
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        const reel_json item = reel_json_item(&list, i);
        status = read_rule(&item, &r->optimiser.rule[i]);
    }
    if (status == REEL_OK) r->optimiser.n_rules = n;
    return status;
}

static reel_status read_buckets(const reel_json *at, const char *key, reel_recipe *r) {
    static const char *const keys[] = {"width", "height", "frames", "weight"};
    reel_json list;
    reel_status status = reel_json_array(at, key, &list);
    if (status != REEL_OK) return status;
    const int64_t n = reel_json_count(&list);
    if (n < 1 || n > REEL_RECIPE_BUCKETS)
        return reel_json_fail(&list, REEL_E_FORMAT, "wanted 1 to %d sizes, got %lld",
                              REEL_RECIPE_BUCKETS, (long long)n);
    /* made apart: nothing of a longer list stays behind, and recipes are compared as bytes */
    reel_bucket made[REEL_RECIPE_BUCKETS] = {0};
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        const reel_json item = reel_json_item(&list, i);
        reel_bucket *b = &made[i];
        status = reel_json_only(&item, keys, 4);
        if (status == REEL_OK) status = reel_json_int(&item, "width", 8, 4096, &b->width);
        if (status == REEL_OK) status = reel_json_int(&item, "height", 8, 4096, &b->height);
        if (status == REEL_OK) status = reel_json_int(&item, "frames", 1, 1025, &b->frames);
        if (status == REEL_OK) status = reel_json_real_or(&item, "weight", 0, 1e6, 1, &b->weight);
    }
    if (status != REEL_OK) return status;
    memcpy(r->data.bucket, made, sizeof made);
    r->data.n_buckets = n;
    return REEL_OK;
}

static reel_status read_list(const reel_json *at, const field *f, reel_recipe_list *out) {
    reel_json list;
    reel_status status = reel_json_array(at, f->key, &list);
    if (status != REEL_OK) return status;
    reel_recipe_list made = {.n = reel_json_count(&list)};
    const int least = f->kind == FIELD_NUMBERS ? 0 : 1;
    if (made.n < least || made.n > REEL_RECIPE_LIST)
        return reel_json_fail(&list, REEL_E_FORMAT, "wanted %d to %d numbers, got %lld", least,
                              REEL_RECIPE_LIST, (long long)made.n);
    for (int64_t i = 0; i < made.n && status == REEL_OK; i++) {
        const reel_json item = reel_json_item(&list, i);
        status = reel_json_int(&item, NULL, (int64_t)f->min, (int64_t)f->max, &made.item[i]);
    }
    if (status == REEL_OK) *out = made;
    return status;
}

static reel_status read_text(const reel_json *at, const field *f, char *out) {
    const char *text;
    const reel_status status = reel_json_string(at, f->key, &text);
    if (status != REEL_OK) return status;
    if (strlen(text) >= REEL_RECIPE_TEXT)
        return reel_json_fail(at, REEL_E_FORMAT, "%s is longer than %d bytes",
                              f->key ? f->key : "it", REEL_RECIPE_TEXT - 1);
    memset(out, 0, REEL_RECIPE_TEXT);
    snprintf(out, REEL_RECIPE_TEXT, "%s", text);
    return REEL_OK;
}

/* A path, or a list of them. */
static reel_status read_paths(const reel_json *at, const field *f, reel_recipe_paths *out) {
    const char *one;
    reel_json list;
    reel_recipe_paths made = {0};
    field item = {.key = f->key};
    if (reel_json_string(at, f->key, &one) == REEL_OK) {
        made.n = one[0] ? 1 : 0;
        const reel_status status = read_text(at, &item, made.item[0]);
        if (status == REEL_OK) *out = made;
        return status;
    }
    reel_env_clear(reel_json_env(at)); /* then a list */
    reel_status status = reel_json_array(at, f->key, &list);
    if (status != REEL_OK) return status;
    made.n = reel_json_count(&list);
    if (made.n > REEL_RECIPE_PATHS)
        return reel_json_fail(&list, REEL_E_FORMAT, "wanted at most %d paths, got %lld",
                              REEL_RECIPE_PATHS, (long long)made.n);
    item.key = NULL;
    for (int64_t i = 0; i < made.n && status == REEL_OK; i++) {
        const reel_json path = reel_json_item(&list, i);
        status = read_text(&path, &item, made.item[i]);
    }
    if (status == REEL_OK) *out = made;
    return status;
}

static reel_status read_field(const reel_json *at, const field *f, reel_recipe *r) {
    void *out = place_of(f, r);
    int word;
    reel_status status;
    switch (f->kind) {
    case FIELD_INT:
        return reel_json_int(at, f->key, (int64_t)f->min, (int64_t)f->max, out);
    case FIELD_REAL:
        return reel_json_real(at, f->key, f->min, f->max, out);
    case FIELD_TEXT:
        return read_text(at, f, out);
    case FIELD_LIST:
    case FIELD_NUMBERS:
        return read_list(at, f, out);
    case FIELD_DECAY:
        status = reel_json_choice(at, f->key, decays, 3, &word);
        if (status == REEL_OK) *(int64_t *)out = word;
        return status;
    case FIELD_PATHS:
        return read_paths(at, f, out);
    case FIELD_RULES:
        return read_rules(at, f->key, r);
    default:
        return read_buckets(at, f->key, r);
    }
}

/* Names what is accepted where `key` stands: the fields of a section, or the sections (NULL). */
static reel_status fail_unknown(const reel_json *at, const char *section, const char *key) {
    char list[1024] = "";
    size_t n = 0;
    const char *last = "";
    for (int i = 0; i < N_FIELDS; i++) {
        const char *name = section ? fields[i].key : fields[i].section;
        if (section && strcmp(fields[i].section, section) != 0) continue;
        if (strcmp(last, name) == 0) continue;
        n += (size_t)snprintf(list + n, sizeof list - n, " %s", name);
        if (n >= sizeof list) break;
        last = name;
    }
    return reel_json_fail(at, REEL_E_FORMAT, "got the unknown %s \"%s\", wanted one of:%s",
                          section ? "field" : "section", key, list);
}

static reel_status read_section(const reel_json *at, const char *section, reel_recipe *r) {
    bool known = false;
    for (int i = 0; i < N_FIELDS; i++)
        known = known || strcmp(fields[i].section, section) == 0;
    if (!known) return fail_unknown(at->parent, NULL, section);
    for (reel_json_entry e = reel_json_first(at); e.key; e = reel_json_next(at, e)) {
        const field *f = NULL;
        for (int i = 0; i < N_FIELDS && !f; i++)
            if (strcmp(fields[i].section, section) == 0 && strcmp(fields[i].key, e.key) == 0)
                f = &fields[i];
        if (!f) return fail_unknown(at, section, e.key);
        const reel_status status = read_field(at, f, r);
        if (status != REEL_OK) return status;
    }
    return REEL_OK;
}

reel_status reel_recipe_parse(reel_env *env, const char *text, int64_t bytes, const char *name,
                              reel_recipe *recipe) {
    reel_json_doc *doc;
    reel_status status = reel_json_parse(env, text, bytes, name, &doc);
    if (status != REEL_OK) return status;
    reel_recipe made = *recipe;
    const reel_json top = reel_json_root(doc);
    reel_json root;
    status = reel_json_object(&top, NULL, &root);
    for (reel_json_entry e = reel_json_first(&top); status == REEL_OK && e.key;
         e = reel_json_next(&root, e)) {
        reel_json section;
        if (strcmp(e.key, "about") == 0) continue; /* a sentence for readers */
        status = reel_json_object(&root, e.key, &section);
        if (status == REEL_OK) status = read_section(&section, e.key, &made);
    }
    reel_json_free(&doc);
    if (status == REEL_OK) *recipe = made;
    return status;
}

reel_status reel_recipe_set(reel_env *env, const char *assignment, reel_recipe *recipe) {
    const char *equals = strchr(assignment, '='), *dot = strchr(assignment, '.');
    if (!equals || !dot || dot > equals)
        return reel_fail(env, REEL_E_ARG, "got '%s', wanted SECTION.FIELD=VALUE", assignment);
    char text[2048];
    const int n_section = (int)(dot - assignment), n_key = (int)(equals - dot - 1);
    bool is_text = false;
    for (int i = 0; i < N_FIELDS; i++)
        if (fields[i].kind == FIELD_TEXT || fields[i].kind == FIELD_DECAY ||
            (fields[i].kind == FIELD_PATHS && equals[1] != '['))
            is_text = is_text || ((int)strlen(fields[i].key) == n_key &&
                                  strncmp(fields[i].key, dot + 1, (size_t)n_key) == 0 &&
                                  strncmp(fields[i].section, assignment, (size_t)n_section) == 0);
    const char *quote = is_text && equals[1] != '"' ? "\"" : "";
    const int n = snprintf(text, sizeof text, "{\"%.*s\":{\"%.*s\":%s%s%s}}", n_section, assignment,
                           n_key, dot + 1, quote, equals + 1, quote);
    if (n >= (int)sizeof text)
        return reel_fail(env, REEL_E_ARG, "'%.40s...' is longer than %d bytes", assignment,
                         (int)sizeof text / 2);
    return reel_recipe_parse(env, text, n, assignment, recipe);
}

/* ---- writing ---- */

static void write_field(reel_json_out *out, const field *f, const reel_recipe *r) {
    const void *at = const_place_of(f, r);
    const reel_recipe_list *list = at;
    switch (f->kind) {
    case FIELD_INT:
        reel_json_out_int(out, *(const int64_t *)at);
        return;
    case FIELD_REAL:
        reel_json_out_real(out, *(const double *)at);
        return;
    case FIELD_TEXT:
        reel_json_out_string(out, at);
        return;
    case FIELD_DECAY:
        reel_json_out_string(out, decays[*(const int64_t *)at]);
        return;
    case FIELD_PATHS:
        reel_json_out_array_begin(out);
        for (int64_t i = 0; i < ((const reel_recipe_paths *)at)->n; i++)
            reel_json_out_string(out, ((const reel_recipe_paths *)at)->item[i]);
        reel_json_out_end(out);
        return;
    case FIELD_LIST:
    case FIELD_NUMBERS:
        reel_json_out_array_begin(out);
        for (int64_t i = 0; i < list->n; i++)
            reel_json_out_int(out, list->item[i]);
        reel_json_out_end(out);
        return;
    case FIELD_RULES:
        reel_json_out_array_begin(out);
        for (int64_t i = 0; i < r->optimiser.n_rules; i++) {
            const reel_rule *rule = &r->optimiser.rule[i];
            reel_json_out_object_begin(out);
            reel_json_out_key(out, "match");
            reel_json_out_string(out, rule->pattern);
            reel_json_out_key(out, "method");
            reel_json_out_string(out, methods[rule->method]);
            reel_json_out_key(out, "lr");
            reel_json_out_real(out, rule->lr);
            reel_json_out_key(out, "weight_decay");
            reel_json_out_real(out, rule->weight_decay);
            reel_json_out_end(out);
        }
        reel_json_out_end(out);
        return;
    case FIELD_BUCKETS:
        reel_json_out_array_begin(out);
        for (int64_t i = 0; i < r->data.n_buckets; i++) {
            const reel_bucket *b = &r->data.bucket[i];
            reel_json_out_object_begin(out);
            reel_json_out_key(out, "width");
            reel_json_out_int(out, b->width);
            reel_json_out_key(out, "height");
            reel_json_out_int(out, b->height);
            reel_json_out_key(out, "frames");
            reel_json_out_int(out, b->frames);
            reel_json_out_key(out, "weight");
            reel_json_out_real(out, b->weight);
            reel_json_out_end(out);
        }
        reel_json_out_end(out);
        return;
    }
}

reel_status reel_recipe_write(reel_env *env, const reel_recipe *recipe, char **text,
                              int64_t *bytes) {
    reel_json_out out;
    reel_json_out_init(&out, env);
    reel_json_out_object_begin(&out);
    for (int i = 0; i < N_FIELDS; i++) {
        if (i == 0 || strcmp(fields[i].section, fields[i - 1].section) != 0) {
            reel_json_out_key(&out, fields[i].section);
            reel_json_out_object_begin(&out);
        }
        reel_json_out_key(&out, fields[i].key);
        write_field(&out, &fields[i], recipe);
        if (i + 1 == N_FIELDS || strcmp(fields[i].section, fields[i + 1].section) != 0)
            reel_json_out_end(&out);
    }
    reel_json_out_end(&out);
    const char *made;
    int64_t n;
    reel_status status = reel_json_out_text(&out, &made, &n);
    if (status == REEL_OK) {
        char *copy = reel_strdup(env, made, "recipe");
        status = copy ? REEL_OK : REEL_E_NOMEM;
        if (copy) {
            *text = copy;
            *bytes = n;
        }
    }
    reel_json_out_deinit(&out);
    return status;
}

/* ---- using ---- */

static int64_t field_bytes(const field *f) {
    switch (f->kind) {
    case FIELD_REAL:
        return sizeof(double);
    case FIELD_TEXT:
        return REEL_RECIPE_TEXT;
    case FIELD_LIST:
    case FIELD_NUMBERS:
        return sizeof(reel_recipe_list);
    case FIELD_PATHS:
        return sizeof(reel_recipe_paths);
    case FIELD_BUCKETS:
        return sizeof(int64_t) + sizeof(reel_bucket) * REEL_RECIPE_BUCKETS;
    default:
        return sizeof(int64_t);
    }
}

reel_status reel_recipe_compatible(reel_env *env, const reel_recipe *old,
                                   const reel_recipe *recipe) {
    for (int i = 0; i < N_FIELDS; i++) {
        const field *f = &fields[i];
        if (f->loose) continue;
        if (memcmp(const_place_of(f, old), const_place_of(f, recipe), (size_t)field_bytes(f)) != 0)
            return reel_fail(env, REEL_E_ARG,
                             "%s.%s is not what this run began with; take another --out, or give "
                             "the recipe it has in recipe.json",
                             f->section, f->key);
    }
    return REEL_OK;
}

reel_learner_options reel_recipe_learner(const reel_recipe *r) {
    reel_learner_options o = {.compute = r->optimiser.bf16 ? REEL_BF16 : REEL_F32,
                              .n_rules = (int)r->optimiser.n_rules,
                              .beta1 = r->optimiser.beta1,
                              .beta2 = r->optimiser.beta2,
                              .eps = r->optimiser.eps,
                              .momentum = r->optimiser.momentum,
                              .clip = r->optimiser.clip,
                              .ema = r->optimiser.ema,
                              .accumulate = r->optimiser.accumulate};
    memcpy(o.rule, r->optimiser.rule, sizeof o.rule);
    return o;
}

double reel_recipe_rate(const reel_recipe *r, int64_t step) {
    const double s = (double)step, n = (double)r->run.steps;
    const double begin = n * (1 - r->optimiser.decay_fraction);
    double rate = 1;
    if (r->optimiser.decay != REEL_DECAY_CONSTANT && s > begin && n > begin) {
        const double done = fmin(1, (s - begin) / (n - begin));
        const double left = r->optimiser.decay == REEL_DECAY_LINEAR
                                ? 1 - done
                                : 0.5 * (1 + cos(3.14159265358979323846 * done));
        rate = r->optimiser.final_lr + (1 - r->optimiser.final_lr) * left;
    }
    if (s < r->optimiser.warmup) rate *= (s + 1) / r->optimiser.warmup;
    return rate;
}
