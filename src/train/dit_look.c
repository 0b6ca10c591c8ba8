/* What a run tells of itself: errors on held-out clips, whether captions are read, and samples. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/rng.h"
#include "media/video_writer.h"
#include "train/balance.h"
#include "train/dit_state.h"

static const char tag[] = "dit look";
enum { N_LEVELS = 5, SHOWN_FRAMES = 5, MOST_SWAPS = 32 /* the world has 11 */ };
static const double levels[N_LEVELS] = {0.2, 0.5, 0.85, 0.95, 0.98};
enum { BINDING_TOKENS = 576 };
static const double binding_level = 0.98; /* of a clip of that many tokens */

/* ---- errors ---- */

/* The held-out clips at a level, all frames noised by the same noise at every validation. */
static void place_held_out(reel_dit_trainer *r, double t) {
    reel_row *row = &r->look.row;
    reel_row_clear(row);
    for (int64_t i = 0; i < r->held_clips; i++) {
        const reel_latent_clip c = reel_latents_at(r->held_out, i);
        reel_row_add(row, &c, t, 0, (uint64_t)i << 32);
    }
}

/* errors[i] of every held-out clip with the captions that are in the row. */
static reel_status measure(reel_dit_trainer *r, double *errors) {
    reel_row *row = &r->look.row;
    reel_row_fill(row, 99);
    const reel_status status = reel_program_run(r->look.program);
    if (status != REEL_OK) return status;
    const float *y = reel_program_data(r->look.program, r->look.prediction);
    for (int64_t i = 0; i < row->n; i++)
        errors[i] = reel_row_error(row, y, i);
    return REEL_OK;
}

/* The caption of held-out clip i, the same at every validation. */
static reel_status held_caption(reel_dit_trainer *r, int64_t i, char *text) {
    const reel_latent_clip c = reel_latents_at(r->held_out, i);
    const reel_source *s = &r->material.held;
    return s->caption(r->env, s->context, c.index, c.size, false, (uint64_t)c.index, text);
}

static reel_status caption_held_out(reel_dit_trainer *r) {
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < r->look.row.n && status == REEL_OK; i++) {
        char text[REEL_SOURCE_CAPTION_BYTES];
        status = held_caption(r, i, text);
        if (status == REEL_OK) status = reel_dit_set_caption(r, &r->look.row, i, text);
    }
    return status;
}

static reel_status measure_levels(reel_dit_trainer *r, double *errors, reel_json_out *out) {
    double all = 0;
    for (int k = 0; k < N_LEVELS; k++) {
        place_held_out(r, levels[k]);
        reel_status status = caption_held_out(r);
        if (status == REEL_OK) status = measure(r, errors);
        if (status != REEL_OK) return status;
        double sum = 0;
        for (int64_t i = 0; i < r->look.row.n; i++)
            sum += errors[i] / (double)r->look.row.n;
        char key[32];
        snprintf(key, sizeof key, "error_at_%g", levels[k]);
        reel_json_out_key(out, key);
        reel_json_out_real(out, sum);
        all += sum / N_LEVELS;
    }
    reel_json_out_key(out, "error");
    reel_json_out_real(out, all);
    return REEL_OK;
}

/* ---- are captions read? ---- */

/* A pair of texts for held-out clip i: its own, and one that is wrong; *differs when there is one.
 * Both have REEL_SOURCE_CAPTION_BYTES. */
typedef reel_status swap_texts(reel_dit_trainer *r, int64_t i, int attribute, char *text,
                               char *wrong, bool *differs);

/* Of the world: one attribute is exchanged. */
static reel_status swap_attribute(reel_dit_trainer *r, int64_t i, int attribute, char *text,
                                  char *wrong, bool *differs) {
    const reel_latent_clip c = reel_latents_at(r->held_out, i);
    return reel_world_source_swap(r->env, &r->material.held_world, c.index, c.size, attribute, text,
                                  wrong, differs);
}

/* Of clips of one's own: the caption of some clip that is trained on. */
static reel_status swap_caption(reel_dit_trainer *r, int64_t i, int attribute, char *text,
                                char *wrong, bool *differs) {
    (void)attribute;
    const reel_source *s = &r->material.train;
    const reel_bucket *size = &r->recipe->data.bucket[0];
    const int64_t other =
        (int64_t)reel_rng_below((uint64_t)r->recipe->data.seed, reel_rng_stream("wrong caption"),
                                (uint64_t)i, (uint64_t)s->n_clips);
    reel_status status = held_caption(r, i, text);
    if (status == REEL_OK)
        status = s->caption(r->env, s->context, other, size, false, (uint64_t)other, wrong);
    *differs = status == REEL_OK && strcmp(text, wrong) != 0;
    return status;
}

/* Where text decides. A clip of n tokens says n (1 - t)^2 / t^2 about itself in all: at 0.98 of 576
 * tokens as much as at 0.96 of 144, which way a car drives not yet among it. */
static double level_of_binding(const reel_dit_trainer *r) {
    const reel_latent_clip c = reel_latents_at(r->held_out, 0);
    const double n = (double)reel_row_tokens(&r->look.row, &c);
    const double noise = binding_level / (1 - binding_level) * sqrt(n / BINDING_TOKENS);
    return noise / (1 + noise);
}

typedef struct swapped {
    double share; /* of clips whose true caption has the lower error */
    double apart; /* of both captions, the mean over clips (train/balance.h) */
    int64_t n;    /* clips it could be asked of */
} swapped;

static reel_balance_texts said(const reel_dit_trainer *r) {
    return (reel_balance_texts){reel_program_data(r->look.program, r->look.said), r->look.row.n,
                                r->look.row.X, r->t5.d_model};
}

/* How far apart text i is, pooled, when its rows are a and when they are b: [X,d] each. */
static reel_status add_apart(reel_dit_trainer *r, const float *a, const float *b, double *sum) {
    const int64_t X = r->look.row.X, d = r->t5.d_model, n = X * d;
    double apart;
    float *pair = reel_alloc(r->env, 2 * n * (int64_t)sizeof *pair, tag);
    if (!pair) return REEL_E_NOMEM;
    memcpy(pair, a, (size_t)n * sizeof *pair);
    memcpy(pair + n, b, (size_t)n * sizeof *pair);
    const reel_balance_texts texts = {pair, 2, X, d};
    const reel_status status = reel_balance_apart(r->env, &texts, &apart);
    if (status == REEL_OK) *sum += apart;
    reel_free(r->env, pair);
    return status;
}

/* room: errors [2,clips], rows [clips,X,d] of what the true captions said. */
static reel_status measure_swap(reel_dit_trainer *r, swap_texts *texts, int attribute,
                                double *errors, float *rows, swapped *result) {
    reel_row *row = &r->look.row;
    bool differs[REEL_DIT_HELD_OUT] = {false};
    double *wrongly = errors + r->held_clips;
    const int64_t X = row->X, d = r->t5.d_model;
    for (int round = 0; round < 2; round++) {
        place_held_out(r, level_of_binding(r));
        for (int64_t i = 0; i < row->n; i++) {
            char text[REEL_SOURCE_CAPTION_BYTES], wrong[REEL_SOURCE_CAPTION_BYTES];
            reel_status status = texts(r, i, attribute, text, wrong, &differs[i]);
            if (status == REEL_OK)
                status = reel_dit_set_caption(r, row, i, round && differs[i] ? wrong : text);
            if (status != REEL_OK) return status;
        }
        const reel_status status = measure(r, round ? wrongly : errors);
        if (status != REEL_OK) return status;
        if (!round) memcpy(rows, said(r).rows, (size_t)(row->n * X * d) * sizeof *rows);
    }
    *result = (swapped){0};
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < row->n && status == REEL_OK; i++) {
        if (!differs[i]) continue;
        result->n++;
        result->share += errors[i] < wrongly[i];
        status = add_apart(r, rows + i * X * d, said(r).rows + i * X * d, &result->apart);
    }
    if (result->n) result->share /= (double)result->n;
    if (result->n) result->apart /= (double)result->n;
    return status;
}

static void write_swaps(const reel_dit_trainer *r, const swapped *each, int n, reel_json_out *out) {
    for (int k = 0; k < 2; k++) {
        reel_json_out_key(out, k ? "words_apart" : "swap");
        reel_json_out_object_begin(out);
        for (int a = 0; a < n && a < MOST_SWAPS; a++) {
            if (each[a].n == 0) continue;
            reel_json_out_key(out, r->material.clips ? "caption" : reel_world_source_attribute(a));
            reel_json_out_real(out, k ? each[a].apart : each[a].share);
        }
        reel_json_out_end(out);
    }
}

static reel_status measure_swaps(reel_dit_trainer *r, double *errors, reel_json_out *out) {
    const bool own = r->material.clips != NULL;
    const int n_kinds = own ? 1 : reel_world_source_attributes();
    swapped each[MOST_SWAPS] = {{0}};
    const reel_balance_texts t = said(r);
    float *rows = reel_alloc(r->env, t.n * t.X * t.d * (int64_t)sizeof *rows, tag);
    reel_status status = rows ? REEL_OK : REEL_E_NOMEM;
    for (int a = 0; a < n_kinds && a < MOST_SWAPS && status == REEL_OK; a++)
        status = measure_swap(r, own ? swap_caption : swap_attribute, a, errors, rows, &each[a]);
    reel_free(r->env, rows);
    write_swaps(r, each, n_kinds, out);
    return status;
}

/* How far apart the captions of the last look were to the transformer. */
static reel_status measure_apart(reel_dit_trainer *r, reel_json_out *out) {
    const reel_balance_texts texts = said(r);
    double apart;
    const reel_status status = reel_balance_apart(r->env, &texts, &apart);
    if (status != REEL_OK || !isfinite(apart)) return status; /* too few texts */
    reel_json_out_key(out, "texts_apart");
    reel_json_out_real(out, apart);
    return REEL_OK;
}

reel_status reel_dit_validate(void *context, reel_json_out *out) {
    reel_dit_trainer *r = context;
    double *errors = reel_calloc(r->env, 2 * r->held_clips, sizeof *errors, tag);
    reel_status status = errors ? reel_learner_refresh_average(r->learner) : REEL_E_NOMEM;
    if (status == REEL_OK) status = measure_levels(r, errors, out);
    if (status == REEL_OK) status = measure_apart(r, out);
    if (status == REEL_OK) status = measure_swaps(r, errors, out);
    reel_json_out_key(out, "clips_cached");
    reel_json_out_int(out, reel_latents_count(r->latents));
    reel_free(r->env, errors);
    return status;
}

/* ---- samples ---- */

/* Where the pictures of a validation go. */
typedef struct gallery {
    reel_dit_trainer *r;
    const char *const *prompt;
    reel_bucket size;
} gallery;

/* Some frames of a clip side by side, and its prompt in a file beside it: what train/report.h
 * shows. */
static reel_status hang(void *context, int64_t i, const uint8_t *rgb) {
    const gallery *g = context;
    reel_dit_trainer *r = g->r;
    const int64_t W = g->size.width, H = g->size.height, F = g->size.frames;
    const int64_t n = F < SHOWN_FRAMES ? F : SHOWN_FRAMES;
    char path[REEL_DIT_PATH_BYTES];
    reel_picture strip;
    reel_status status = reel_picture_init(r->env, (int)(n * W), (int)H, &strip);
    if (status != REEL_OK) return status;
    for (int64_t k = 0; k < n; k++) {
        const int64_t frame = n > 1 ? k * (F - 1) / (n - 1) : 0;
        for (int64_t y = 0; y < H; y++)
            memcpy(strip.pixels + (y * n + k) * W * 3, rgb + (frame * H + y) * W * 3,
                   (size_t)(W * 3));
    }
    const long long step = (long long)reel_learner_steps(r->learner);
    snprintf(path, sizeof path, "%s/samples/step-%010lld-%02lld.png", r->options->folder, step,
             (long long)i);
    status = reel_picture_write(r->env, path, &strip, NULL);
    reel_picture_deinit(r->env, &strip);
    snprintf(path, sizeof path, "%s/samples/step-%010lld-%02lld.txt", r->options->folder, step,
             (long long)i);
    return status == REEL_OK
               ? reel_file_write(r->env, path, g->prompt[i], (int64_t)strlen(g->prompt[i]))
               : status;
}

/* Held-out captions that say something, as memory of the arena. */
static reel_status choose_prompts(reel_dit_trainer *r, reel_arena *arena, const char **prompt,
                                  int64_t *n) {
    *n = 0;
    for (int64_t i = 0; i < r->held_clips && *n < r->recipe->run.samples; i++) {
        char text[REEL_SOURCE_CAPTION_BYTES];
        const reel_status status = held_caption(r, i, text);
        if (status != REEL_OK) return status;
        if (!text[0]) continue;
        prompt[*n] = reel_arena_strdup(arena, text);
        if (!prompt[(*n)++]) return REEL_E_NOMEM;
    }
    return REEL_OK;
}

static reel_status make_samples(reel_dit_trainer *r, const char *const *prompt, int64_t n) {
    char model[REEL_DIT_PATH_BYTES], samples[REEL_DIT_PATH_BYTES];
    snprintf(model, sizeof model, "%s/model", r->options->folder);
    snprintf(samples, sizeof samples, "%s/samples", r->options->folder);
    const reel_sample_request request = {.model = model,
                                         .prompt = prompt,
                                         .n = n,
                                         .size = r->recipe->data.bucket[0],
                                         .steps = r->recipe->run.sample_steps,
                                         .fps = r->recipe->data.fps,
                                         .seed = 1};
    gallery g = {.r = r, .prompt = prompt, .size = request.size};
    const reel_status status = reel_folder_make(r->env, samples);
    return status == REEL_OK ? r->options->sample(r->env, r->table, &request, hang, &g) : status;
}

/* A model that cannot be sampled, or a build that writes no pictures, is no failure of training. */
reel_status reel_dit_show(void *context) {
    reel_dit_trainer *r = context;
    const char *prompt[16];
    int64_t n;
    reel_arena arena;
    if (!r->options->sample || r->recipe->run.samples == 0) return REEL_OK;
    reel_arena_init(&arena, r->env, 1 << 14, tag);
    reel_status status = choose_prompts(r, &arena, prompt, &n);
    if (status == REEL_OK && n > 0) status = make_samples(r, prompt, n);
    if (status == REEL_E_UNSUPPORTED) {
        reel_run_tell(r->options, "dit", "samples", "none: %s", reel_env_message(r->env));
        reel_env_clear(r->env);
        status = REEL_OK;
    }
    reel_arena_deinit(&arena);
    return status;
}
