#include "train/dit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "models/t5/t5.h"
#include "models/wan/dit.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/loss.h"
#include "text/tokenizer.h"
#include "train/encoder.h"
#include "train/row.h"
#include "train/save.h"

static const char tag[] = "dit trainer";
enum { PATH_BYTES = 4096, N_LEVELS = 4, CLIPS_A_STEP = 65536 };
static const double levels[N_LEVELS] = {0.2, 0.5, 0.85, 0.95};
enum { BINDING_LEVEL = 2 }; /* where text decides: the prototype's swap metric is taken at 0.85 */

/* The rows of a program and what it leaves. */
typedef struct row_program {
    struct dit_trainer *trainer;
    reel_row row;
    reel_program *program;
    reel_var prediction;
} row_program;

typedef struct dit_trainer {
    reel_env *env;
    const reel_kernel_table *table;
    const reel_run_options *options;
    const reel_recipe *recipe;
    reel_wan_dit_config dit;
    reel_t5_config t5;
    reel_objective objective;
    int32_t *buckets; /* [X,X] of the text encoder */
    reel_tokenizer *tokenizer;
    reel_clip_encoder *encoder;
    reel_world_source source, held_source;
    reel_latents *latents, *held_out;
    reel_learner *learner;
    row_program train, look;
    int64_t step; /* under way, for filling */
    int64_t held_clips;
} dit_trainer;

/* ---- recording ---- */

/* What the text encoder makes of a row's ids, zero where there is no token: [1,N X,d]. */
static reel_var record_text(const dit_trainer *r, const reel_row *row, reel_nn *nn) {
    reel_tape *t = nn->tape;
    const int64_t N = row->N, X = row->X;
    const reel_t5_input in = {
        .ids = reel_tape_input(t, REEL_I32, REEL_SHAPE(N, X), "ids", row->ids),
        .buckets = reel_tape_input(t, REEL_I32, REEL_SHAPE(X, X), "buckets", r->buckets),
        .key_mask = reel_tape_input(t, REEL_U8, REEL_SHAPE(N, X), "key mask", row->key_mask)};
    reel_nn_begin(nn, "text_encoder");
    const reel_var rows = reel_t5(nn, &r->t5, &in); /* [N,X,d] */
    reel_nn_end(nn);
    const reel_var mask =
        reel_tape_input(t, REEL_F32, REEL_SHAPE(N, X, 1), "text mask", row->text_mask);
    return reel_reshape(t, reel_mul(t, rows, mask), REEL_SHAPE(1, N * X, r->t5.d_model));
}

static reel_var record_prediction(row_program *p, reel_nn *nn) {
    const dit_trainer *r = p->trainer;
    const reel_row *row = &p->row;
    reel_tape *t = nn->tape;
    const int64_t T = row->T, width = row->C * row->patch * row->patch;
    const reel_wan_dit_input in = {
        .positions = reel_tape_input(t, REEL_I32, REEL_SHAPE(T, 3), "positions", row->positions),
        .t = reel_tape_input(t, REEL_F32, REEL_SHAPE(2 * row->N), "levels", row->level),
        .map = reel_tape_input(t, REEL_I32, REEL_SHAPE(T), "level of token", row->map),
        .text = record_text(r, row, nn),
        .offsets = reel_tape_input(t, REEL_I32, REEL_SHAPE(row->N + 2), "offsets", row->offsets),
        .text_offsets = reel_tape_input(t, REEL_I32, REEL_SHAPE(row->N + 2), "text offsets",
                                        row->text_offsets)};
    const reel_var tokens =
        reel_tape_input(t, REEL_F32, REEL_SHAPE(1, T, width), "tokens", row->tokens);
    nn->lora_rank = r->recipe->dit.lora;
    reel_nn_begin(nn, "transformer");
    const reel_var y = reel_wan_dit_tokens(nn, &r->dit, tokens, &in); /* [1,T,P z] f32 */
    reel_nn_end(nn);
    nn->lora_rank = 0;
    return y;
}

static reel_var record_loss(void *context, reel_nn *nn) {
    row_program *p = context;
    const reel_row *row = &p->row;
    const reel_shape s = REEL_SHAPE(1, row->T, row->z * row->patch * row->patch);
    const reel_var y = record_prediction(p, nn);
    const reel_var target = reel_tape_input(nn->tape, REEL_F32, s, "target", row->target);
    const reel_var weight =
        reel_tape_input(nn->tape, REEL_F32, REEL_SHAPE(1, row->T, 1), "weight", row->weight);
    return reel_mse(nn->tape, y, target, weight);
}

static reel_var record_look(void *context, reel_nn *nn) {
    row_program *p = context;
    p->prediction = record_prediction(p, nn);
    return p->prediction;
}

/* ---- a row of the training set ---- */

static double uniform(const dit_trainer *r, const char *what, uint64_t i) {
    return (double)reel_rng_uniform((uint64_t)r->recipe->run.seed, reel_rng_stream(what), i);
}
static uint64_t below(const dit_trainer *r, const char *what, uint64_t i, uint64_t n) {
    return reel_rng_below((uint64_t)r->recipe->run.seed, reel_rng_stream(what), i, n);
}

/* t = sigmoid(N(mean, std)), then shifted as the samplers do it: more tokens say more about one
 * another, so the same t hides less of a larger clip; the shift grows as the root of their number.
 */
static double draw_level(const dit_trainer *r, uint64_t i, int64_t n_tokens) {
    const double normal =
        (double)reel_rng_normal((uint64_t)r->recipe->run.seed, reel_rng_stream("dit level"), i);
    const double t = 1 / (1 + exp(-(r->recipe->dit.t_mean + r->recipe->dit.t_std * normal)));
    const double s =
        r->recipe->dit.shift * sqrt((double)n_tokens / (double)r->recipe->dit.shift_tokens);
    return s * t / (1 + (s - 1) * t);
}

/* Which frames of f are known: none, or the first, the last, a random half, the head, the tail. */
static uint64_t draw_known(const dit_trainer *r, uint64_t i, int64_t f) {
    if (f < 2 || uniform(r, "dit mask", i) >= r->recipe->dit.mask_fraction) return 0;
    const uint64_t all = f < 64 ? ((uint64_t)1 << f) - 1 : ~(uint64_t)0;
    const int64_t n = 1 + (int64_t)below(r, "dit mask length", i, (uint64_t)(f - 1));
    const uint64_t head = ((uint64_t)1 << n) - 1;
    switch (below(r, "dit mask kind", i, 5)) {
    case 0:
        return 1;
    case 1:
        return (uint64_t)1 << (f - 1);
    case 2: {
        const reel_rng_block bits =
            reel_rng((uint64_t)r->recipe->run.seed, reel_rng_stream("dit mask frames"), i);
        const uint64_t some = (bits.word[0] | (uint64_t)bits.word[1] << 32) & all;
        return some == all ? 1 : some;
    }
    case 3:
        return head;
    default:
        return head << (f - n);
    }
}

/* A stored clip, perhaps cut to its first frames, so that at most `room` tokens are needed. */
static reel_latent_clip draw_clip(const dit_trainer *r, const reel_row *row, uint64_t i,
                                  int64_t room) {
    const int64_t n = reel_latents_count(r->latents);
    reel_latent_clip c = reel_latents_at(r->latents, (int64_t)below(r, "dit clip", i, (uint64_t)n));
    const double kind = uniform(r, "dit length", i);
    const int64_t plane = (c.h / row->patch) * (c.w / row->patch);
    if (kind < r->recipe->dit.image_fraction)
        c.f = 1;
    else if (kind < r->recipe->dit.image_fraction + r->recipe->dit.short_fraction)
        c.f = 1 + (int64_t)below(r, "dit frames", i, (uint64_t)c.f);
    if (c.f * plane > room) c.f = room / plane;
    return c;
}

static reel_status set_caption(dit_trainer *r, reel_row *row, int64_t i, const char *text) {
    const reel_encode_options cut = {.max_tokens = row->X, .add_end = true};
    reel_tokens tokens;
    const reel_status status =
        reel_tokenizer_encode(r->tokenizer, text, (int64_t)strlen(text), &cut, &tokens);
    if (status != REEL_OK) return status;
    reel_row_set_text(row, i, tokens.id, tokens.n);
    reel_tokens_deinit(r->env, &tokens);
    return REEL_OK;
}

static reel_status draw_caption(dit_trainer *r, reel_row *row, int64_t k, uint64_t i) {
    char text[REEL_SOURCE_CAPTION_BYTES] = "";
    const reel_latent_clip *c = &row->clip[k].latent;
    reel_status status = REEL_OK;
    if (uniform(r, "dit caption", i) >= r->recipe->dit.caption_dropout)
        status = reel_world_source_caption(r->env, &r->source, c->index, c->size,
                                           uniform(r, "dit language", i) <
                                               r->recipe->dit.chinese_fraction,
                                           below(r, "dit variant", i, (uint64_t)1 << 62), text);
    return status == REEL_OK ? set_caption(r, row, k, text) : status;
}

/* Micro-step k of the step under way. */
static reel_status fill_row(void *context, int64_t k) {
    row_program *p = context;
    dit_trainer *r = p->trainer;
    reel_row *row = &p->row;
    const int64_t micro = r->step * r->recipe->optimiser.accumulate + k;
    const uint64_t base = (uint64_t)micro * CLIPS_A_STEP;
    const int64_t width = row->z * row->patch * row->patch;
    int64_t room = row->T;
    reel_status status = REEL_OK;
    reel_row_clear(row);
    for (int64_t i = 0; i < row->N && status == REEL_OK; i++) {
        const uint64_t at = base + (uint64_t)i;
        const reel_latent_clip c = draw_clip(r, row, at, room);
        if (c.f < 1) break;
        const int64_t n = reel_row_tokens(row, &c);
        const uint64_t noise = ((uint64_t)micro * (uint64_t)row->T + (uint64_t)(row->T - room)) *
                               (uint64_t)((width + 3) / 4 * 4);
        reel_row_add(row, &c, draw_level(r, at, n), draw_known(r, at, c.f), noise);
        room -= n;
        status = draw_caption(r, row, i, at);
    }
    if (status == REEL_OK) reel_row_fill(row, (uint64_t)r->recipe->run.seed);
    return status;
}

/* ---- the job ---- */

static bool tell_shard(void *context, int64_t shard) {
    const dit_trainer *r = context;
    return reel_run_tell(r->options, "dit", "prepare", "rendering and encoding clips %lld to %lld",
                         (long long)shard * REEL_LATENTS_SHARD,
                         (long long)(shard + 1) * REEL_LATENTS_SHARD - 1);
}

static int64_t shards_at(const reel_recipe *r, int64_t step) {
    const double n = (double)r->data.pool_start + r->data.fresh * (double)step;
    const double most = fmin(n, (double)r->data.pool);
    return (int64_t)ceil(most / REEL_LATENTS_SHARD);
}

static reel_status step(void *context, int64_t index, double rate, reel_job_step *done) {
    dit_trainer *r = context;
    reel_status status = reel_latents_advance(r->latents, shards_at(r->recipe, index), NULL, NULL);
    if (status != REEL_OK) return status;
    r->step = index;
    status = reel_program_step(r->train.program, rate, fill_row, &done->result);
    done->samples = r->train.row.n * r->recipe->optimiser.accumulate;
    return status;
}

/* The held-out clips at a level, all frames noised by the same noise at every validation. */
static void place_held_out(dit_trainer *r, double t) {
    reel_row *row = &r->look.row;
    reel_row_clear(row);
    for (int64_t i = 0; i < r->held_clips; i++) {
        const reel_latent_clip c = reel_latents_at(r->held_out, i);
        reel_row_add(row, &c, t, 0, (uint64_t)i << 32);
    }
}

/* errors[i] of every held-out clip with the captions that are in the row. */
static reel_status measure(dit_trainer *r, double *errors) {
    reel_row *row = &r->look.row;
    reel_row_fill(row, 99);
    const reel_status status = reel_program_run(r->look.program);
    if (status != REEL_OK) return status;
    const float *y = reel_program_data(r->look.program, r->look.prediction);
    for (int64_t i = 0; i < row->n; i++)
        errors[i] = reel_row_error(row, y, i);
    return REEL_OK;
}

static reel_status measure_levels(dit_trainer *r, double *errors, reel_json_out *out) {
    double all = 0;
    for (int k = 0; k < N_LEVELS; k++) {
        place_held_out(r, levels[k]);
        reel_status status = REEL_OK;
        for (int64_t i = 0; i < r->look.row.n && status == REEL_OK; i++) {
            char text[REEL_SOURCE_CAPTION_BYTES];
            const reel_latent_clip *c = &r->look.row.clip[i].latent;
            status = reel_world_source_caption(r->env, &r->held_source, c->index, c->size, false,
                                               (uint64_t)c->index, text);
            if (status == REEL_OK) status = set_caption(r, &r->look.row, i, text);
        }
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

/* One attribute: the share of clips whose true caption has the lower error. *n: clips it could be
 * asked of. */
static reel_status measure_swap(dit_trainer *r, int attribute, double *errors, double *share,
                                int64_t *n) {
    reel_row *row = &r->look.row;
    bool differs[REEL_LATENTS_SHARD * 64] = {false};
    double *swapped = errors + r->held_clips;
    for (int round = 0; round < 2; round++) {
        place_held_out(r, levels[BINDING_LEVEL]);
        for (int64_t i = 0; i < row->n; i++) {
            char text[REEL_SOURCE_CAPTION_BYTES], other[REEL_SOURCE_CAPTION_BYTES];
            const reel_latent_clip *c = &row->clip[i].latent;
            reel_status status = reel_world_source_swap(r->env, &r->held_source, c->index, c->size,
                                                        attribute, text, other, &differs[i]);
            if (status == REEL_OK)
                status = set_caption(r, row, i, round && differs[i] ? other : text);
            if (status != REEL_OK) return status;
        }
        const reel_status status = measure(r, round ? swapped : errors);
        if (status != REEL_OK) return status;
    }
    int64_t right = 0;
    *n = 0;
    for (int64_t i = 0; i < row->n; i++) {
        *n += differs[i];
        right += differs[i] && errors[i] < swapped[i];
    }
    *share = *n ? (double)right / (double)*n : 0;
    return REEL_OK;
}

static reel_status validate(void *context, reel_json_out *out) {
    dit_trainer *r = context;
    double *errors = reel_calloc(r->env, 2 * r->held_clips, sizeof *errors, tag);
    reel_status status = errors ? reel_learner_refresh_average(r->learner) : REEL_E_NOMEM;
    if (status == REEL_OK) status = measure_levels(r, errors, out);
    reel_json_out_key(out, "swap");
    reel_json_out_object_begin(out);
    for (int a = 0; a < reel_world_source_attributes() && status == REEL_OK; a++) {
        double share;
        int64_t n;
        status = measure_swap(r, a, errors, &share, &n);
        if (status != REEL_OK || n == 0) continue;
        reel_json_out_key(out, reel_world_source_attribute(a));
        reel_json_out_real(out, share);
    }
    reel_json_out_end(out);
    reel_json_out_key(out, "clips_cached");
    reel_json_out_int(out, reel_latents_count(r->latents));
    reel_free(r->env, errors);
    return status;
}

static reel_status save(void *context, bool at_end) {
    (void)at_end;
    dit_trainer *r = context;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/model", r->options->folder);
    reel_params *transformer = NULL, *text = NULL;
    reel_status status =
        reel_learner_export(r->learner, "transformer.", true, REEL_BF16, &transformer);
    if (status == REEL_OK)
        status = reel_learner_export(r->learner, "text_encoder.", true, REEL_BF16, &text);
    if (status == REEL_OK)
        status = reel_save_model(
            r->env, path,
            &(reel_saved_model){
                .transformer = {.kind = REEL_COMPONENT_TRANSFORMER, .transformer = r->dit},
                .text_encoder = {.kind = REEL_COMPONENT_TEXT_ENCODER, .text_encoder = r->t5},
                .transformer_weights = transformer,
                .text_encoder_weights = text,
                .vae = r->recipe->dit.decoder[0] ? r->recipe->dit.decoder : r->recipe->dit.vae,
                .tokenizer = r->recipe->dit.tokenizer,
                .shift = r->recipe->dit.shift,
                .width = r->recipe->data.bucket[0].width,
                .height = r->recipe->data.bucket[0].height,
                .frames = r->recipe->data.bucket[0].frames,
                .fps = r->recipe->data.fps,
                .text_length = r->recipe->text.tokens,
                .of_world = !r->recipe->dit.init[0]});
    reel_params_free(&transformer);
    reel_params_free(&text);
    return status;
}

static reel_program *program(void *context) {
    dit_trainer *r = context;
    return r->train.program;
}

/* ---- the start ---- */

/* The sizes of the recipe. */
static void set_models(dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    const int64_t z = reel_clip_encoder_config(r->encoder)->z_dim;
    r->dit = reel_wan_dit_config_default();
    r->dit.num_attention_heads = o->dit.num_attention_heads;
    r->dit.attention_head_dim = o->dit.attention_head_dim;
    r->dit.ffn_dim = o->dit.ffn_dim;
    r->dit.num_layers = o->dit.num_layers;
    r->dit.freq_dim = o->dit.freq_dim;
    r->dit.out_channels = z;
    r->dit.in_channels = z + (o->dit.planes ? REEL_WAN_DIT_PLANES : 0);
    r->dit.text_dim = o->text.d_model;
    r->t5 = reel_t5_config_default();
    r->t5.vocab_size = reel_tokenizer_size(r->tokenizer);
    r->t5.d_model = o->text.d_model;
    r->t5.d_kv = o->text.d_kv;
    r->t5.d_ff = o->text.d_ff;
    r->t5.num_heads = o->text.num_heads;
    r->t5.num_layers = o->text.num_layers;
    for (int i = 0; i < 3; i++)
        r->dit.patch_size[i] = o->dit.patch_size.item[i];
}

/* Those of the folder training goes on from. */
static reel_status read_models(dit_trainer *r) {
    reel_component_config c;
    reel_status status =
        reel_read_part_config(r->env, r->recipe->dit.init, REEL_COMPONENT_TRANSFORMER, &c);
    if (status != REEL_OK) return status;
    r->dit = c.transformer;
    status = reel_read_part_config(r->env, r->recipe->dit.init, REEL_COMPONENT_TEXT_ENCODER, &c);
    if (status == REEL_OK) r->t5 = c.text_encoder;
    return status;
}

static reel_status open_models(dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    reel_status status = REEL_OK;
    if (o->dit.init[0])
        status = read_models(r);
    else
        set_models(r);
    if (status != REEL_OK) return status;
    if (r->dit.patch_size[0] != 1 || r->dit.patch_size[1] != r->dit.patch_size[2])
        return reel_fail(r->env, REEL_E_UNSUPPORTED,
                         "dit.patch_size must be [1,p,p]: rows of tokens are cut that way");
    r->objective = reel_objective_parse(o->dit.objective);
    if (r->objective == REEL_OBJECTIVE_COUNT)
        return reel_fail(r->env, REEL_E_ARG, "dit.objective: got '%s', wanted flow, epsilon or v",
                         o->dit.objective);
    r->buckets = reel_calloc(r->env, o->text.tokens * o->text.tokens, sizeof *r->buckets, tag);
    if (!r->buckets) return REEL_E_NOMEM;
    reel_t5_buckets(&r->t5, o->text.tokens, r->buckets);
    status = reel_wan_dit_config_check(r->env, &r->dit);
    return status == REEL_OK ? reel_t5_config_check(r->env, &r->t5) : status;
}

/* Latents that the model takes, and clips whose latents fall into whole patches. */
static reel_status check_sizes(const dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    const reel_latents_encoder e = reel_clip_encoder_latents(r->encoder);
    const int64_t side = e.factor_s * r->dit.patch_size[1];
    const int64_t most = 1 + (REEL_ROW_FRAMES - 1) * e.factor_t;
    if ((r->dit.in_channels != e.z && !reel_wan_dit_has_planes(&r->dit)) ||
        r->dit.out_channels != e.z)
        return reel_fail(r->env, REEL_E_ARG,
                         "the transformer takes %lld channels and gives %lld, the vae has %lld",
                         (long long)r->dit.in_channels, (long long)r->dit.out_channels,
                         (long long)e.z);
    for (int64_t i = 0; i < o->data.n_buckets; i++) {
        const reel_bucket *b = &o->data.bucket[i];
        if (b->width % side || b->height % side || (b->frames - 1) % e.factor_t || b->frames > most)
            return reel_fail(r->env, REEL_E_ARG,
                             "data.buckets[%lld]: %lldx%lldx%lld: sides must be multiples of %lld, "
                             "frames 1 more than one of %lld and at most %lld",
                             (long long)i, (long long)b->width, (long long)b->height,
                             (long long)b->frames, (long long)side, (long long)e.factor_t,
                             (long long)most);
    }
    return REEL_OK;
}

static reel_status open_rows(dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    const int64_t p = r->dit.patch_size[1];
    r->train.trainer = r->look.trainer = r;
    reel_status status = check_sizes(r);
    if (status != REEL_OK) return status;
    reel_row_options row = {.T = o->dit.row_tokens,
                            .N = o->dit.row_clips,
                            .X = o->text.tokens,
                            .z = r->dit.out_channels,
                            .patch = p,
                            .planes = reel_wan_dit_has_planes(&r->dit),
                            .objective = r->objective};
    status = reel_row_init(r->env, &row, &r->train.row);
    const reel_bucket *b = &o->data.bucket[0];
    const reel_latents_encoder e = reel_clip_encoder_latents(r->encoder);
    const int64_t f = 1 + (b->frames - 1) / e.factor_t;
    const int64_t n = f * (b->height / e.factor_s / p) * (b->width / e.factor_s / p);
    row.T = n * r->held_clips;
    row.N = r->held_clips;
    if (status == REEL_OK) status = reel_row_init(r->env, &row, &r->look.row);
    return status;
}

static reel_status load(dit_trainer *r) {
    const char *folder = r->recipe->dit.init;
    const reel_status status = reel_load_part(r->env, folder, REEL_COMPONENT_TRANSFORMER,
                                              "transformer.", r->learner, NULL);
    return status == REEL_OK ? reel_load_part(r->env, folder, REEL_COMPONENT_TEXT_ENCODER,
                                              "text_encoder.", r->learner, NULL)
                             : status;
}

/* Only the low-rank paths are trained, unless the recipe has rules for them. */
static void low_rank_rules(reel_learner_options *o) {
    for (int i = 0; i < o->n_rules; i++)
        if (strstr(o->rule[i].pattern, "lora")) return;
    o->rule[0] = (reel_rule){"*.lora_*", REEL_METHOD_ADAMW, 1e-3, 0};
    o->rule[1] = (reel_rule){"*", REEL_METHOD_FROZEN, 0, 0};
    o->n_rules = 2;
}

static reel_status open_learner(dit_trainer *r) {
    reel_learner_options o = reel_recipe_learner(r->recipe);
    if (r->recipe->dit.lora > 0) low_rank_rules(&o);
    reel_status status = reel_learner_new(r->env, r->table, &o, &r->learner);
    if (status == REEL_OK) status = reel_learner_declare(r->learner, record_look, &r->look);
    if (status == REEL_OK && r->recipe->dit.init[0]) status = load(r);
    if (status == REEL_OK) status = reel_learner_begin(r->learner, (uint64_t)r->recipe->run.seed);
    if (status == REEL_OK)
        status = reel_program_new(r->learner, REEL_PROGRAM_TRAIN, record_loss, &r->train,
                                  &r->train.program);
    if (status == REEL_OK)
        status = reel_program_new(r->learner, REEL_PROGRAM_AVERAGE, record_look, &r->look,
                                  &r->look.program);
    return status;
}

static reel_status open_data(dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    char folder[PATH_BYTES - 16], held[PATH_BYTES], key[128];
    snprintf(folder, sizeof folder, "%s%s", o->data.cache[0] ? o->data.cache : r->options->folder,
             o->data.cache[0] ? "" : "/latents");
    snprintf(held, sizeof held, "%s/held-out", folder);
    snprintf(key, sizeof key, "%s seed %lld fps %g", reel_clip_encoder_key(r->encoder),
             (long long)o->data.seed, o->data.fps);
    r->source = (reel_world_source){(uint64_t)o->data.seed, REEL_SOURCE_TRAIN, (float)o->data.fps};
    r->held_source = r->source;
    r->held_source.split = REEL_SOURCE_VALIDATION;
    const reel_latents_encoder e = reel_clip_encoder_latents(r->encoder);
    reel_status status = reel_latents_open(r->env, folder, key, &r->source, o->data.bucket,
                                           o->data.n_buckets, &e, &r->latents);
    if (status == REEL_OK)
        status = reel_latents_open(r->env, held, key, &r->held_source, o->data.bucket, 1, &e,
                                   &r->held_out);
    if (status == REEL_OK)
        status = reel_latents_advance(r->held_out,
                                      (r->held_clips + REEL_LATENTS_SHARD - 1) / REEL_LATENTS_SHARD,
                                      tell_shard, r);
    if (status == REEL_OK)
        status = reel_latents_advance(r->latents, shards_at(o, 0), tell_shard, r);
    return status;
}

static void close_all(dit_trainer *r) {
    reel_program_free(&r->train.program);
    reel_program_free(&r->look.program);
    reel_row_deinit(&r->train.row);
    reel_row_deinit(&r->look.row);
    reel_learner_free(&r->learner);
    reel_latents_close(&r->latents);
    reel_latents_close(&r->held_out);
    reel_clip_encoder_close(&r->encoder);
    reel_tokenizer_close(&r->tokenizer);
    reel_free(r->env, r->buckets);
}

reel_status reel_train_dit(reel_env *env, const reel_kernel_table *table,
                           const reel_run_options *options, bool *stopped) {
    const reel_recipe *o = options->recipe;
    dit_trainer r = {.env = env,
                     .table = table,
                     .options = options,
                     .recipe = o,
                     .held_clips = o->data.validation};
    reel_status status = REEL_OK;
    if (!o->dit.vae[0] || !o->dit.tokenizer[0])
        status = reel_fail(env, REEL_E_ARG,
                           "training a dit needs dit.vae, the folder of a trained vae, and "
                           "dit.tokenizer, a spiece.model");
    else if (o->dit.lora > 0 && !o->dit.init[0])
        status =
            reel_fail(env, REEL_E_ARG, "dit.lora needs dit.init, the folder of a trained model");
    if (status == REEL_OK) status = reel_tokenizer_open(env, o->dit.tokenizer, &r.tokenizer);
    if (status == REEL_OK)
        status = reel_clip_encoder_open(env, table, o->dit.vae,
                                        o->optimiser.bf16 ? REEL_BF16 : REEL_F32, &r.encoder);
    if (status == REEL_OK) status = open_models(&r);
    if (status == REEL_OK) status = open_rows(&r);
    if (status == REEL_OK) status = open_learner(&r);
    if (status == REEL_OK) status = open_data(&r);
    if (status == REEL_OK) {
        const reel_job job = {.kind = "dit",
                              .context = &r,
                              .learner = r.learner,
                              .step = step,
                              .validate = validate,
                              .save = save,
                              .program = program};
        status = reel_run(env, &job, options, stopped);
    } else if (status == REEL_E_CANCELLED) {
        reel_env_clear(env);
        *stopped = true;
        status = REEL_OK;
    }
    close_all(&r);
    return status;
}
