#include "train/judge.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "data/pool.h"
#include "data/questions.h"
#include "models/judge/judge.h"
#include "models/small_folder.h"

_Static_assert((int)REEL_QUESTION_ALL <= (int)REEL_JUDGE_QUESTIONS, "room for all questions");

static const char tag[] = "judge trainer";
enum { CLIPS_A_STEP = 65536 }; /* of the counter that draws are made with; above any batch */

/* A batch of clips and a program on it. */
typedef struct batch {
    struct judge_trainer *trainer;
    int64_t B;
    float *x;                           /* [B,F,H,W,3] */
    int32_t *answer[REEL_QUESTION_ALL]; /* [B]: true ones */
    reel_program *program;
    reel_judge_output output;
} batch;

typedef struct judge_trainer {
    reel_env *env;
    const reel_kernel_table *table;
    const reel_run_options *options;
    const reel_recipe *recipe;
    reel_judge_config config;
    reel_bucket size;
    reel_world_source train, pairs, held;
    reel_learner *learner;
    reel_pool *pool, *held_out;
    batch clips, look;
} judge_trainer;

static reel_judge_config config_of(const reel_recipe *o) {
    reel_judge_config c = reel_judge_config_default();
    c.frames = o->data.bucket[0].frames;
    c.height = o->data.bucket[0].height;
    c.width = o->data.bucket[0].width;
    for (int i = 0; i < REEL_JUDGE_STAGES; i++)
        c.channels[i] = i < o->judge.channels.n ? o->judge.channels.item[i] : 0;
    c.features = o->judge.features;
    c.looks = o->judge.looks;
    c.n_questions = REEL_QUESTION_ALL;
    for (int q = 0; q < REEL_QUESTION_ALL; q++) {
        snprintf(c.question[q].name, sizeof c.question[q].name, "%s", reel_question_name(q));
        c.question[q].n_answers = reel_question_answers(q);
        c.question[q].sought = q >= REEL_QUESTION_KIND_OF;
    }
    return c;
}

/* ---- recording ---- */

static reel_var record_look(void *context, reel_nn *nn) {
    batch *a = context;
    const reel_judge_config *c = &a->trainer->config;
    const reel_shape shape = REEL_SHAPE(a->B, c->frames, c->height, c->width, 3);
    const reel_var x = reel_tape_input(nn->tape, REEL_F32, shape, "clips", a->x);
    a->output = reel_judge(nn, c, x);
    for (int q = 0; q < REEL_QUESTION_ALL; q++)
        reel_tape_keep(nn->tape, a->output.answer[q]);
    return a->output.answer[0];
}

static reel_var record_loss(void *context, reel_nn *nn) {
    batch *a = context;
    const judge_trainer *r = a->trainer;
    reel_var truth[REEL_QUESTION_ALL];
    record_look(context, nn);
    for (int q = 0; q < REEL_QUESTION_ALL; q++)
        truth[q] = reel_tape_input(nn->tape, REEL_I32, REEL_SHAPE(a->B), reel_question_name(q),
                                   a->answer[q]);
    return reel_judge_loss(nn, &r->config, &a->output, truth, (float)r->recipe->judge.smoothing);
}

/* ---- batches ---- */

static reel_status open_batch(judge_trainer *r, batch *a, reel_program_kind kind, int64_t B) {
    *a = (batch){.trainer = r, .B = B};
    a->x = reel_calloc(r->env, B * reel_bucket_bytes(&r->size), sizeof *a->x, tag);
    if (!a->x) return REEL_E_NOMEM;
    for (int q = 0; q < REEL_QUESTION_ALL; q++) {
        a->answer[q] = reel_calloc(r->env, B, sizeof *a->answer[q], tag);
        if (!a->answer[q]) return REEL_E_NOMEM;
    }
    return reel_program_new(r->learner, kind,
                            kind == REEL_PROGRAM_TRAIN ? record_loss : record_look, a, &a->program);
}

static void close_batch(judge_trainer *r, batch *a) {
    reel_program_free(&a->program);
    reel_free(r->env, a->x);
    for (int q = 0; q < REEL_QUESTION_ALL; q++)
        reel_free(r->env, a->answer[q]);
}

static uint64_t draw(const judge_trainer *r, const char *what, int64_t i, uint64_t n) {
    return reel_rng_below((uint64_t)r->recipe->run.seed, reel_rng_stream(what), (uint64_t)i, n);
}

/* Each square of 2 x 2 pixels becomes its mean: what a weak decoder makes of a picture. */
static void soften(float *x, int64_t F, int64_t H, int64_t W) {
    for (int64_t y = 0; y + 1 < F * H; y += 2) /* H is even: pairs of rows stay within a frame */
        for (int64_t i = 0; i + 1 < W; i += 2)
            for (int k = 0; k < 3; k++) {
                float *p = x + (y * W + i) * 3 + k, *q = p + W * 3;
                p[0] = p[3] = q[0] = q[3] = 0.25f * (p[0] + p[3] + q[0] + q[3]);
            }
}

typedef struct filling {
    judge_trainer *r;
    int64_t step;
    reel_status status[256]; /* of the lanes: sampling a scene again may fail */
} filling;

/* Clip b of the batch from clip `from`, with its answers; in a mirror where that can be. */
static reel_status fill(judge_trainer *r, batch *a, const reel_world_source *source,
                        const reel_pool_clip *from, int64_t b, bool mirror) {
    const reel_bucket *s = &r->size;
    reel_crop all = {.frames = s->frames, .height = s->height, .width = s->width};
    reel_attributes truth;
    const reel_status status = reel_world_source_truth(r->env, source, from->index, s, &truth);
    if (status != REEL_OK) return status;
    all.mirror = mirror && reel_question_mirrors(&truth);
    reel_pool_crop(from, &all, a->x + b * reel_bucket_bytes(s));
    for (int q = 0; q < REEL_QUESTION_ALL; q++) {
        const int answer = reel_question_answer(&truth, q);
        a->answer[q][b] = all.mirror ? reel_question_mirrored(q, answer) : answer;
    }
    return REEL_OK;
}

static bool by_lot(const judge_trainer *r, const char *what, int64_t i, double share) {
    return (double)draw(r, what, i, 1 << 20) < share * (1 << 20);
}

/* ---- what it is trained on ---- */

/* Clips of the training split; a share of them are of its held-out pairs. A judge that never saw a
 * red snowman takes what is red for anything else: 66 % of kinds right in held-out pairs, 89 % in
 * others. It is no generator; nothing is measured by what it has not seen. */
static const reel_world_source *source_of(const judge_trainer *r, int64_t index) {
    return by_lot(r, "pairs", index, r->recipe->judge.pairs) ? &r->pairs : &r->train;
}

static reel_status pixels(reel_env *env, void *context, int64_t index, const reel_bucket *size,
                          uint8_t *rgb) {
    return reel_world_source_clip(env, source_of(context, index), index, size, rgb);
}

static int64_t only_bucket(void *context, const reel_bucket *bucket, int64_t n, int64_t group,
                           int64_t index) {
    (void)context, (void)bucket, (void)n, (void)group, (void)index;
    return 0;
}

static void fill_at_random(void *context, int64_t b, int lane) {
    filling *f = context;
    judge_trainer *r = f->r;
    const reel_bucket *s = &r->size;
    const int64_t i = f->step * CLIPS_A_STEP + b;
    const int64_t n = reel_pool_count(r->pool);
    const reel_pool_clip clip = reel_pool_at(r->pool, (int64_t)draw(r, "judged", i, (uint64_t)n));
    const reel_status status = fill(r, &r->clips, source_of(r, clip.index), &clip, b,
                                    by_lot(r, "mirrored", i, r->recipe->judge.mirror));
    if (status != REEL_OK) f->status[lane] = status;
    if (by_lot(r, "softened", i, r->recipe->judge.soften))
        soften(r->clips.x + b * reel_bucket_bytes(s), s->frames, s->height, s->width);
}

/* ---- the job ---- */

static reel_status step(void *context, int64_t index, double rate, reel_job_step *done) {
    judge_trainer *r = context;
    const reel_recipe *o = r->recipe;
    const int64_t made = o->data.pool_start + (int64_t)floor(o->data.fresh * (double)index);
    reel_status status = reel_pool_advance(r->pool, made);
    if (status != REEL_OK) return status;
    filling f = {.r = r, .step = index};
    reel_parallel_for(r->env->threads, r->clips.B, fill_at_random, &f);
    for (int i = 0; i < (int)(sizeof f.status / sizeof *f.status); i++)
        if (f.status[i] != REEL_OK) return f.status[i];
    status = reel_program_step(r->clips.program, rate, NULL, &done->result);
    done->samples = r->clips.B;
    return status;
}

/* Scores behind those of the questions. */
enum {
    EVERYTHING = REEL_QUESTION_COUNT, /* kind, color, motion, camera, ground and sky at once */
    FOUND,                            /* the kinds of all colors: every object, and no other */
    N_SCORES
};
enum { ANY_NUMBER, ONE_OBJECT, TWO_OBJECTS, N_GROUPS };

/* Answers that could be given, and those that were right. */
typedef struct scores {
    int64_t n[N_GROUPS][N_SCORES], right[N_GROUPS][N_SCORES];
} scores;

static bool is_right(const batch *a, int q, int64_t b) {
    const int64_t n = a->trainer->config.question[q].n_answers;
    const float *x = (const float *)reel_program_data(a->program, a->output.answer[q]) + b * n;
    for (int64_t i = 0; i < n; i++)
        if (x[i] > x[a->answer[q][b]]) return false;
    return true;
}

/* *asked is false when objects of two kinds share a color. */
static bool all_found(const batch *a, int64_t b, bool *asked) {
    bool right = true;
    *asked = true;
    for (int q = REEL_QUESTION_KIND_OF; q < REEL_QUESTION_ALL; q++) {
        *asked = *asked && a->answer[q][b] != REEL_NO_ANSWER;
        right = right && a->answer[q][b] != REEL_NO_ANSWER && is_right(a, q, b);
    }
    return right;
}

static void count(const batch *a, int64_t b, scores *s) {
    static const int main_ones[] = {REEL_ATTRIBUTE_KIND,   REEL_ATTRIBUTE_COLOR,
                                    REEL_ATTRIBUTE_MOTION, REEL_ATTRIBUTE_CAMERA,
                                    REEL_ATTRIBUTE_GROUND, REEL_ATTRIBUTE_SKY};
    const int n_objects = a->answer[REEL_QUESTION_OBJECTS][b] + 1;
    bool right[N_SCORES] = {0}, asked[N_SCORES];
    for (int q = 0; q < REEL_QUESTION_COUNT; q++) {
        asked[q] = a->answer[q][b] != REEL_NO_ANSWER;
        right[q] = asked[q] && is_right(a, q, b);
    }
    asked[EVERYTHING] = right[EVERYTHING] = true;
    for (size_t i = 0; i < sizeof main_ones / sizeof *main_ones; i++)
        right[EVERYTHING] = right[EVERYTHING] && right[main_ones[i]];
    right[FOUND] = all_found(a, b, &asked[FOUND]);
    for (int k = 0; k < N_GROUPS; k++) {
        if (k != ANY_NUMBER && k != n_objects) continue;
        for (int q = 0; q < N_SCORES; q++) {
            s->n[k][q] += asked[q];
            s->right[k][q] += asked[q] && right[q];
        }
    }
}

static void write_scores(const scores *s, int k, reel_json_out *out) {
    static const char *const names[] = {"everything", "found"};
    for (int q = 0; q < N_SCORES; q++) {
        if (!s->n[k][q]) continue;
        reel_json_out_key(out, q >= EVERYTHING ? names[q - EVERYTHING] : reel_question_name(q));
        reel_json_out_real(out, (double)s->right[k][q] / (double)s->n[k][q]);
    }
}

static reel_status validate(void *context, reel_json_out *out) {
    judge_trainer *r = context;
    batch *a = &r->look;
    const int64_t n = reel_pool_count(r->held_out);
    scores s = {0};
    reel_status status = reel_learner_refresh_average(r->learner);
    for (int64_t first = 0; first < n && status == REEL_OK; first += a->B) {
        const int64_t m = n - first < a->B ? n - first : a->B; /* the rest keeps old clips */
        for (int64_t b = 0; b < m && status == REEL_OK; b++) {
            const reel_pool_clip clip = reel_pool_at(r->held_out, first + b);
            status = fill(r, a, &r->held, &clip, b, false);
        }
        if (status == REEL_OK) status = reel_program_run(a->program);
        for (int64_t b = 0; b < m && status == REEL_OK; b++)
            count(a, b, &s);
    }
    if (status != REEL_OK) return status;
    write_scores(&s, ANY_NUMBER, out);
    for (int k = ONE_OBJECT; k < N_GROUPS; k++) {
        reel_json_out_key(out, k == ONE_OBJECT ? "one_object" : "two_objects");
        reel_json_out_object_begin(out);
        write_scores(&s, k, out);
        reel_json_out_end(out);
    }
    return REEL_OK;
}

static reel_status save(void *context, bool at_end) {
    (void)at_end;
    judge_trainer *r = context;
    char path[4096];
    reel_params *params;
    reel_status status = reel_learner_export(r->learner, "", true, REEL_BF16, &params);
    if (status != REEL_OK) return status;
    snprintf(path, sizeof path, "%s/judge", r->options->folder);
    status = reel_judge_save(r->env, path, &r->config, params);
    reel_params_free(&params);
    return status;
}

static reel_program *program(void *context) {
    judge_trainer *r = context;
    return r->clips.program;
}

/* ---- the start ---- */

/* Weights of another judge, where name and shape are the same: the rest starts from its
 * initialiser, so that a judge of other questions or sizes may follow. */
static reel_status take_weights(judge_trainer *r) {
    const char *folder = r->recipe->judge.init;
    reel_safetensors *file = NULL;
    reel_params *from = NULL, *to = reel_learner_declared(r->learner);
    int taken = 0;
    reel_status status = reel_small_folder_weights(r->env, folder, &file, &from);
    for (int i = 0; status == REEL_OK && i < reel_params_count(from); i++) {
        const reel_param *p = reel_params_at(from, i), *own = reel_params_find(to, p->name);
        if (!own || !reel_shape_equal(&own->shape, &p->shape)) continue;
        const reel_tensor value = {p->dtype, p->shape, p->data};
        status = reel_learner_set(r->learner, p->name, &value);
        taken++;
    }
    if (status == REEL_OK && taken == 0)
        status = reel_fail(r->env, REEL_E_ARG, "%s: no weight fits this judge", folder);
    if (status == REEL_OK)
        reel_run_tell(r->options, "judge", "prepare", "%d of %d weights are those of %s", taken,
                      reel_params_count(to), folder);
    reel_params_free(&from);
    reel_safetensors_close(&file);
    return status;
}

static reel_status open_learner(judge_trainer *r) {
    const reel_learner_options o = reel_recipe_learner(r->recipe);
    batch shape = {.trainer = r, .B = 1};
    reel_status status = reel_learner_new(r->env, r->table, &o, &r->learner);
    if (status == REEL_OK) status = reel_learner_declare(r->learner, record_look, &shape);
    if (status == REEL_OK && r->recipe->judge.init[0]) status = take_weights(r);
    if (status == REEL_OK) status = reel_learner_begin(r->learner, (uint64_t)r->recipe->run.seed);
    return status;
}

static reel_status open_data(judge_trainer *r) {
    const reel_recipe *o = r->recipe;
    const reel_source held = reel_source_of_world(&r->held);
    reel_source train = held;
    train.context = r;
    train.pixels = pixels;
    train.bucket = only_bucket;
    reel_status status = reel_pool_new(r->env, &train, &r->size, 1, o->data.pool, &r->pool);
    if (status == REEL_OK)
        status = reel_pool_new(r->env, &held, &r->size, 1, o->data.validation, &r->held_out);
    if (status != REEL_OK) return status;
    reel_run_tell(r->options, "judge", "prepare", "rendering %lld held-out clips",
                  (long long)o->data.validation);
    status = reel_pool_advance(r->held_out, o->data.validation);
    if (status == REEL_OK) status = reel_pool_advance(r->pool, o->data.pool_start);
    return status;
}

static reel_status train(judge_trainer *r, bool *stopped) {
    const int64_t B = r->recipe->optimiser.batch;
    reel_status status = open_learner(r);
    if (status == REEL_OK) status = open_data(r);
    if (status == REEL_OK) status = open_batch(r, &r->clips, REEL_PROGRAM_TRAIN, B);
    if (status == REEL_OK) status = open_batch(r, &r->look, REEL_PROGRAM_AVERAGE, B);
    if (status != REEL_OK) return status;
    const reel_job job = {.kind = "judge",
                          .context = r,
                          .learner = r->learner,
                          .step = step,
                          .validate = validate,
                          .save = save,
                          .program = program};
    return reel_run(r->env, &job, r->options, stopped);
}

reel_status reel_train_judge(reel_env *env, const reel_kernel_table *table,
                             const reel_run_options *options, bool *stopped) {
    const reel_recipe *o = options->recipe;
    const float fps = (float)o->data.fps;
    judge_trainer r = {
        .env = env,
        .table = table,
        .options = options,
        .recipe = o,
        .config = config_of(o),
        .size = o->data.bucket[0],
        .train = {.seed = (uint64_t)o->data.seed, .split = REEL_SOURCE_TRAIN, .fps = fps},
        .pairs = {.seed = (uint64_t)o->data.seed, .split = REEL_SOURCE_HELDOUT_PAIRS, .fps = fps},
        .held = {.seed = (uint64_t)o->data.seed, .split = REEL_SOURCE_VALIDATION, .fps = fps}};
    reel_status status = reel_judge_config_check(env, &r.config);
    if (status == REEL_OK && o->optimiser.batch >= CLIPS_A_STEP)
        status = reel_fail(env, REEL_E_ARG, "optimiser.batch must be below %d", CLIPS_A_STEP);
    if (status == REEL_OK) status = train(&r, stopped);
    close_batch(&r, &r.clips);
    close_batch(&r, &r.look);
    reel_pool_free(&r.pool);
    reel_pool_free(&r.held_out);
    reel_learner_free(&r.learner);
    return status;
}
