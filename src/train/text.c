#include "train/text.h"

#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "data/source.h"
#include "models/t5/t5.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/loss.h"
#include "ops/norm.h"
#include "ops/reduce.h"
#include "text/tokenizer.h"
#include "train/save.h"
#include "world/understand.h"

static const char tag[] = "text trainer";
enum { UNTOLD = 0 }; /* answer of what a caption does not say; values follow */

/* What a caption may say. */
static const struct question {
    const char *name;
    reel_attribute attribute;
    int object;
} questions[] = {
    {"kind", REEL_ATTRIBUTE_KIND, 0},         {"color", REEL_ATTRIBUTE_COLOR, 0},
    {"size", REEL_ATTRIBUTE_SIZE, 0},         {"material", REEL_ATTRIBUTE_MATERIAL, 0},
    {"motion", REEL_ATTRIBUTE_MOTION, 0},     {"heading", REEL_ATTRIBUTE_HEADING, 0},
    {"kind_1", REEL_ATTRIBUTE_KIND, 1},       {"color_1", REEL_ATTRIBUTE_COLOR, 1},
    {"relation", REEL_ATTRIBUTE_RELATION, 0}, {"ground", REEL_ATTRIBUTE_GROUND, 0},
    {"sky", REEL_ATTRIBUTE_SKY, 0},           {"weather", REEL_ATTRIBUTE_WEATHER, 0},
    {"camera", REEL_ATTRIBUTE_CAMERA, 0},
};
enum { N_QUESTIONS = sizeof questions / sizeof *questions };

/* Captions and what they say. */
typedef struct batch {
    struct text_trainer *trainer;
    int64_t N;
    int32_t *ids;                 /* [N,X] */
    uint8_t *key_mask;            /* [N,X] */
    float *text_mask;             /* [N,X] */
    int32_t *answer[N_QUESTIONS]; /* [N] */
    reel_program *program;
    reel_var logits[N_QUESTIONS]; /* [N,answers] */
} batch;

typedef struct text_trainer {
    reel_env *env;
    const reel_kernel_table *table;
    const reel_run_options *options;
    const reel_recipe *recipe;
    reel_tokenizer *tokenizer;
    reel_t5_config t5;
    int64_t X; /* tokens of a caption */
    int32_t *buckets;
    reel_world_source train, held;
    reel_learner *learner;
    batch captions, look;
} text_trainer;

static int answers(int q) {
    return 1 + reel_attribute_values(questions[q].attribute);
}

/* ---- captions ---- */

static reel_status put(text_trainer *r, batch *a, int64_t i, const char *text) {
    const reel_encode_options cut = {.max_tokens = r->X, .add_end = true};
    reel_understood u;
    reel_tokens tokens;
    const reel_status status =
        reel_tokenizer_encode(r->tokenizer, text, (int64_t)strlen(text), &cut, &tokens);
    if (status != REEL_OK) return status;
    memset(a->ids + i * r->X, 0, (size_t)r->X * sizeof *a->ids);
    memcpy(a->ids + i * r->X, tokens.id, (size_t)tokens.n * sizeof *a->ids);
    for (int64_t k = 0; k < r->X; k++) {
        a->key_mask[i * r->X + k] = k < tokens.n;
        a->text_mask[i * r->X + k] = k < tokens.n;
    }
    reel_tokens_deinit(r->env, &tokens);
    reel_prompt_understand(text, (int64_t)strlen(text), &u);
    for (int q = 0; q < N_QUESTIONS; q++) {
        const int value =
            reel_attributes_get(&u.attributes, questions[q].attribute, questions[q].object);
        a->answer[q][i] = value == REEL_ANY ? UNTOLD : 1 + value;
    }
    return REEL_OK;
}

/* Caption `number` of a source at place i: of a scene of its own, in words of its own. */
static reel_status fill(text_trainer *r, batch *a, const reel_world_source *source, int64_t number,
                        bool chinese, int64_t i) {
    char text[REEL_SOURCE_CAPTION_BYTES];
    const uint64_t variant = reel_rng_below(source->seed, reel_rng_stream("text variant"),
                                            (uint64_t)number, (uint64_t)1 << 62);
    const reel_status status = reel_world_source_caption(
        r->env, source, number, &r->recipe->data.bucket[0], chinese, variant, text);
    return status == REEL_OK ? put(r, a, i, text) : status;
}

static bool is_chinese(const text_trainer *r, int64_t number) {
    return (double)reel_rng_uniform(r->train.seed, reel_rng_stream("text language"),
                                    (uint64_t)number) < r->recipe->dit.chinese_fraction;
}

/* ---- recording ---- */

/* What all of a caption says, as the transformer pools it: [N,d] */
static reel_var record_pooled(batch *a, reel_nn *nn) {
    const text_trainer *r = a->trainer;
    reel_tape *t = nn->tape;
    const int64_t N = a->N, X = r->X;
    const reel_t5_input in = {
        .ids = reel_tape_input(t, REEL_I32, REEL_SHAPE(N, X), "ids", a->ids),
        .buckets = reel_tape_input(t, REEL_I32, REEL_SHAPE(X, X), "buckets", r->buckets),
        .key_mask = reel_tape_input(t, REEL_U8, REEL_SHAPE(N, X), "key mask", a->key_mask)};
    reel_nn_begin(nn, "text_encoder");
    reel_var h = reel_t5(nn, &r->t5, &in); /* [N,X,d] */
    reel_nn_end(nn);
    h = reel_mul(t, h, reel_tape_input(t, REEL_F32, REEL_SHAPE(N, X, 1), "mask", a->text_mask));
    h = reel_sum(t, h, 1u << 1, REEL_DROP_AXES);       /* [N,d] f32 */
    return reel_rms_norm(t, h, 0, 1e-6f, nn->compute); /* [N,d] */
}

static reel_var record_look(void *context, reel_nn *nn) {
    batch *a = context;
    const reel_var h = record_pooled(a, nn);
    reel_nn_linear_options head = reel_nn_linear_default(nn);
    head.out_dtype = REEL_F32;
    reel_nn_begin(nn, "heads");
    for (int q = 0; q < N_QUESTIONS; q++) {
        a->logits[q] = reel_nn_linear_with(nn, questions[q].name, h, answers(q), &head);
        reel_tape_keep(nn->tape, a->logits[q]);
    }
    reel_nn_end(nn);
    return a->logits[0];
}

static reel_var record_loss(void *context, reel_nn *nn) {
    batch *a = context;
    reel_tape *t = nn->tape;
    reel_var all = 0;
    record_look(context, nn);
    for (int q = 0; q < N_QUESTIONS; q++) {
        const reel_var truth =
            reel_tape_input(t, REEL_I32, REEL_SHAPE(a->N), questions[q].name, a->answer[q]);
        const reel_var loss = reel_cross_entropy(t, a->logits[q], truth, -1, 0);
        all = all ? reel_add(t, all, loss) : loss;
    }
    return reel_scale(t, all, 1.0f / N_QUESTIONS, 0);
}

static reel_status open_batch(text_trainer *r, batch *a, reel_program_kind kind, int64_t N) {
    *a = (batch){.trainer = r, .N = N};
    a->ids = reel_calloc(r->env, N * r->X, sizeof *a->ids, tag);
    a->key_mask = reel_calloc(r->env, N * r->X, sizeof *a->key_mask, tag);
    a->text_mask = reel_calloc(r->env, N * r->X, sizeof *a->text_mask, tag);
    bool room = a->ids && a->key_mask && a->text_mask;
    for (int q = 0; q < N_QUESTIONS; q++) {
        a->answer[q] = reel_calloc(r->env, N, sizeof *a->answer[q], tag);
        room = room && a->answer[q];
    }
    if (!room) return REEL_E_NOMEM;
    return reel_program_new(r->learner, kind,
                            kind == REEL_PROGRAM_TRAIN ? record_loss : record_look, a, &a->program);
}

static void close_batch(text_trainer *r, batch *a) {
    reel_program_free(&a->program);
    reel_free(r->env, a->ids);
    reel_free(r->env, a->key_mask);
    reel_free(r->env, a->text_mask);
    for (int q = 0; q < N_QUESTIONS; q++)
        reel_free(r->env, a->answer[q]);
}

/* ---- the job ---- */

static reel_status step(void *context, int64_t index, double rate, reel_job_step *done) {
    text_trainer *r = context;
    batch *a = &r->captions;
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < a->N && status == REEL_OK; i++) {
        const int64_t number = index * a->N + i;
        status = fill(r, a, &r->train, number, is_chinese(r, number), i);
    }
    if (status == REEL_OK) status = reel_program_step(a->program, rate, NULL, &done->result);
    done->samples = a->N;
    return status;
}

static bool is_right(const batch *a, int q, int64_t i) {
    const int n = answers(q);
    const float *logit = (const float *)reel_program_data(a->program, a->logits[q]) + i * n;
    int best = 0;
    for (int k = 1; k < n; k++)
        if (logit[k] > logit[best]) best = k;
    return best == a->answer[q][i];
}

/* Adds a language's object: the share right of each attribute's mentions, and "everything". */
static void tell(const batch *a, reel_json_out *out) {
    int64_t whole = 0;
    for (int q = 0; q < N_QUESTIONS; q++) {
        int64_t n = 0, right = 0;
        for (int64_t i = 0; i < a->N; i++) {
            if (a->answer[q][i] == UNTOLD) continue;
            n++;
            right += is_right(a, q, i);
        }
        if (!n) continue;
        reel_json_out_key(out, questions[q].name);
        reel_json_out_real(out, (double)right / (double)n);
    }
    for (int64_t i = 0; i < a->N; i++) {
        bool all = true;
        for (int q = 0; q < N_QUESTIONS; q++)
            all = all && is_right(a, q, i);
        whole += all;
    }
    reel_json_out_key(out, "everything");
    reel_json_out_real(out, (double)whole / (double)a->N);
}

static reel_status validate(void *context, reel_json_out *out) {
    text_trainer *r = context;
    batch *a = &r->look;
    reel_status status = reel_learner_refresh_average(r->learner);
    for (int chinese = 0; chinese < 2 && status == REEL_OK; chinese++) {
        for (int64_t i = 0; i < a->N && status == REEL_OK; i++)
            status = fill(r, a, &r->held, i, chinese, i);
        if (status == REEL_OK) status = reel_program_run(a->program);
        if (status != REEL_OK) break;
        reel_json_out_key(out, chinese ? "chinese" : "english");
        reel_json_out_object_begin(out);
        tell(a, out);
        reel_json_out_end(out);
    }
    return status;
}

static reel_status save(void *context, bool at_end) {
    (void)at_end;
    text_trainer *r = context;
    reel_params *params;
    reel_status status = reel_learner_export(r->learner, "text_encoder.", true, REEL_BF16, &params);
    if (status != REEL_OK) return status;
    const reel_component_config config = {.kind = REEL_COMPONENT_TEXT_ENCODER,
                                          .text_encoder = r->t5};
    status = reel_save_part(r->env, r->options->folder, &config, params);
    reel_params_free(&params);
    return status;
}

static reel_program *program(void *context) {
    return ((text_trainer *)context)->captions.program;
}

/* ---- the start ---- */

reel_t5_config reel_text_config(const reel_recipe *recipe, int64_t pieces) {
    reel_t5_config c = reel_t5_config_default();
    c.vocab_size = pieces;
    c.d_model = recipe->text.d_model;
    c.d_kv = recipe->text.d_kv;
    c.d_ff = recipe->text.d_ff;
    c.num_heads = recipe->text.num_heads;
    c.num_layers = recipe->text.num_layers;
    return c;
}

reel_status reel_text_read_init(reel_env *env, const reel_recipe *recipe, int64_t pieces,
                                reel_t5_config *t5) {
    const char *folder = recipe->text.init;
    reel_component_config config;
    if (!folder[0]) return REEL_OK;
    const reel_status status =
        reel_read_part_config(env, folder, REEL_COMPONENT_TEXT_ENCODER, &config);
    if (status != REEL_OK) return status;
    *t5 = config.text_encoder;
    if (t5->vocab_size >= pieces) return REEL_OK;
    return reel_fail(env, REEL_E_ARG,
                     "text.init: %s knows %lld pieces of text, the tokenizer has %lld", folder,
                     (long long)t5->vocab_size, (long long)pieces);
}

static reel_status open_model(text_trainer *r) {
    const reel_recipe *o = r->recipe;
    const int64_t pieces = reel_tokenizer_size(r->tokenizer);
    r->t5 = reel_text_config(o, pieces);
    const reel_status status = reel_text_read_init(r->env, o, pieces, &r->t5);
    if (status != REEL_OK) return status;
    r->X = o->text.tokens ? o->text.tokens : 64;
    r->buckets = reel_calloc(r->env, r->X * r->X, sizeof *r->buckets, tag);
    if (!r->buckets) return REEL_E_NOMEM;
    reel_t5_buckets(&r->t5, r->X, r->buckets);
    return reel_t5_config_check(r->env, &r->t5);
}

static reel_status open_learner(text_trainer *r) {
    const reel_recipe *o = r->recipe;
    const reel_learner_options options = reel_recipe_learner(o);
    batch shape = {.trainer = r, .N = 1};
    reel_status status = reel_learner_new(r->env, r->table, &options, &r->learner);
    if (status == REEL_OK) status = reel_learner_declare(r->learner, record_look, &shape);
    if (status == REEL_OK && o->text.init[0])
        status = reel_load_part(r->env, o->text.init, REEL_COMPONENT_TEXT_ENCODER, "text_encoder.",
                                r->learner, NULL);
    if (status == REEL_OK) status = reel_learner_begin(r->learner, (uint64_t)o->run.seed);
    if (status == REEL_OK)
        status = open_batch(r, &r->captions, REEL_PROGRAM_TRAIN, o->optimiser.batch);
    return status == REEL_OK ? open_batch(r, &r->look, REEL_PROGRAM_AVERAGE, o->data.validation)
                             : status;
}

static reel_status open_source(text_trainer *r) {
    const reel_recipe *o = r->recipe;
    if (!o->dit.tokenizer[0])
        return reel_fail(r->env, REEL_E_ARG,
                         "training a text encoder needs dit.tokenizer, a spiece.model");
    if (o->data.clips.n > 0)
        return reel_fail(r->env, REEL_E_ARG,
                         "data.clips: a text encoder is trained on captions of the world alone");
    r->train = (reel_world_source){
        .seed = (uint64_t)o->data.seed, .split = REEL_SOURCE_TRAIN, .fps = (float)o->data.fps};
    r->held = r->train;
    r->held.split = REEL_SOURCE_VALIDATION;
    return reel_world_source_set_drills(r->env, o->data.drills, o->data.drill_on, &r->train);
}

static reel_status train(text_trainer *r, bool *stopped) {
    reel_job job = {.kind = "text",
                    .context = r,
                    .step = step,
                    .validate = validate,
                    .save = save,
                    .program = program};
    reel_status status = open_source(r);
    if (status == REEL_OK)
        status = reel_tokenizer_open(r->env, r->recipe->dit.tokenizer, &r->tokenizer);
    if (status == REEL_OK) status = open_model(r);
    if (status == REEL_OK) status = open_learner(r);
    job.learner = r->learner;
    return status == REEL_OK ? reel_run(r->env, &job, r->options, stopped) : status;
}

reel_status reel_train_text(reel_env *env, const reel_kernel_table *table,
                            const reel_run_options *options, bool *stopped) {
    text_trainer *r = reel_calloc(env, 1, sizeof *r, tag);
    if (!r) return REEL_E_NOMEM;
    r->env = env;
    r->table = table;
    r->options = options;
    r->recipe = options->recipe;
    const reel_status status = train(r, stopped);
    close_batch(r, &r->captions);
    close_batch(r, &r->look);
    reel_learner_free(&r->learner);
    reel_tokenizer_close(&r->tokenizer);
    reel_free(env, r->buckets);
    reel_free(env, r);
    return status;
}
