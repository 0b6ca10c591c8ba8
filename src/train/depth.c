#include "train/depth.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "data/depth.h"
#include "models/depth/depth.h"
#include "ops/loss.h"
#include "train/encoder.h"
#include "zoo/depth.h"

static const char tag[] = "depth trainer";
enum {
    CLIPS_A_STEP = 65536, /* of the counter that draws are made with; above any batch */
    RUN_OF_CLIPS = 32,    /* clips of one size that follow one another: the encoder replans less */
};

typedef struct depth_trainer depth_trainer;

/* A clip as it is kept: what the head is shown and what it is to say. */
typedef struct kept {
    int64_t bucket;
    reel_bf16 *latent;   /* [f,h,w,z] */
    reel_bf16 *nearness; /* [F,H,W] */
} kept;

/* The newest `room` clips of a source; clip i lies at i % room. */
typedef struct store {
    reel_world_source source;
    kept *clip; /* [room] */
    int64_t room, first, end;
} store;

/* A batch of clips of one bucket and a program on it. */
typedef struct batch {
    depth_trainer *trainer;
    int64_t B, bucket;
    float *x; /* [B,f,h,w,z] */
    float *y; /* [B,f factor_t,H,W,1] */
    reel_program *program;
    reel_var nearness;
} batch;

struct depth_trainer {
    reel_env *env;
    const reel_kernel_table *table;
    const reel_run_options *options;
    const reel_recipe *recipe;
    reel_clip_encoder *encoder;
    reel_latents_encoder latents;
    reel_depth_config config;
    reel_learner *learner;
    store train, held;
    batch clips[REEL_RECIPE_BUCKETS], look[REEL_RECIPE_BUCKETS]; /* by bucket */
    uint8_t *rgb;                                                /* of the largest bucket */
    float *nearness;
    int64_t last; /* bucket of the last step */
};

/* ---- sizes ---- */

static const reel_bucket *bucket_at(const depth_trainer *r, int64_t bucket) {
    return &r->recipe->data.bucket[bucket];
}
static int64_t latent_frames(const depth_trainer *r, int64_t bucket) {
    return 1 + (bucket_at(r, bucket)->frames - 1) / r->config.factor_t;
}
static int64_t frame_pixels(const depth_trainer *r, int64_t bucket) {
    return bucket_at(r, bucket)->width * bucket_at(r, bucket)->height;
}
static int64_t latent_elements(const depth_trainer *r, int64_t bucket) {
    const int64_t fs = r->config.factor_s;
    return latent_frames(r, bucket) * (frame_pixels(r, bucket) / (fs * fs)) * r->config.z_dim;
}
/* Of what the head says: the first latent frame's factor_t frames too. */
static int64_t said_elements(const depth_trainer *r, int64_t bucket) {
    return latent_frames(r, bucket) * r->config.factor_t * frame_pixels(r, bucket);
}

/* ---- clips ---- */

static reel_status fill(depth_trainer *r, store *s, int64_t index) {
    const reel_recipe *o = r->recipe;
    kept *k = &s->clip[index % s->room];
    k->bucket =
        reel_bucket_of(o->data.bucket, o->data.n_buckets, s->source.seed, index / RUN_OF_CLIPS);
    const reel_bucket *size = bucket_at(r, k->bucket);
    const int64_t n = size->frames * frame_pixels(r, k->bucket);
    reel_free(r->env, k->latent);
    reel_free(r->env, k->nearness);
    k->latent = reel_calloc(r->env, latent_elements(r, k->bucket), sizeof *k->latent, tag);
    k->nearness = reel_calloc(r->env, n, sizeof *k->nearness, tag);
    if (!k->latent || !k->nearness) return REEL_E_NOMEM;
    reel_status status =
        reel_world_source_eye(r->env, &s->source, index, size, 0, r->rgb, r->nearness);
    if (status != REEL_OK) return status;
    reel_dtype_cast(REEL_BF16, k->nearness, REEL_F32, r->nearness, n);
    return r->latents.encode(r->latents.context, r->rgb, size, k->latent);
}

/* Makes the clips up to index n_made - 1 that are to be held. */
static reel_status advance(depth_trainer *r, store *s, int64_t n_made) {
    const int64_t first = n_made > s->room ? n_made - s->room : 0;
    if (s->end < first || n_made < s->end) s->first = s->end = first; /* begins anew */
    while (s->end < n_made) {
        const reel_status status = fill(r, s, s->end);
        if (status != REEL_OK) return status;
        s->end++;
        if (s->end - s->first > s->room) s->first = s->end - s->room;
    }
    return REEL_OK;
}

static const kept *kept_at(const store *s, int64_t index) {
    return &s->clip[index % s->room];
}

static uint64_t draw(const depth_trainer *r, const char *what, int64_t i, uint64_t n) {
    return reel_rng_below((uint64_t)r->recipe->run.seed, reel_rng_stream(what), (uint64_t)i, n);
}

/* Puts a clip at place b of a batch. The frames of the first latent all are the clip's first. */
static void put(const depth_trainer *r, batch *a, const kept *k, int64_t b) {
    const int64_t n_x = latent_elements(r, a->bucket), n_y = said_elements(r, a->bucket);
    const int64_t frame = frame_pixels(r, a->bucket), lead = r->config.factor_t - 1;
    reel_dtype_cast(REEL_F32, a->x + b * n_x, REEL_BF16, k->latent, n_x);
    float *y = a->y + b * n_y;
    for (int64_t i = 0; i < lead; i++)
        reel_dtype_cast(REEL_F32, y + i * frame, REEL_BF16, k->nearness, frame);
    reel_dtype_cast(REEL_F32, y + lead * frame, REEL_BF16, k->nearness, n_y - lead * frame);
}

typedef struct filling {
    depth_trainer *r;
    batch *a;
    int64_t step;
} filling;

/* A clip of the batch's bucket: the next one from a place drawn at random on. */
static void fill_at_random(void *context, int64_t b, int lane) {
    (void)lane;
    const filling *f = context;
    const store *s = &f->r->train;
    const int64_t n = s->end - s->first;
    int64_t at = (int64_t)draw(f->r, "shown", f->step * CLIPS_A_STEP + b, (uint64_t)n);
    while (kept_at(s, s->first + at)->bucket != f->a->bucket)
        at = (at + 1) % n;
    put(f->r, f->a, kept_at(s, s->first + at), b);
}

/* ---- recording ---- */

static reel_var record_look(void *context, reel_nn *nn) {
    batch *a = context;
    const depth_trainer *r = a->trainer;
    const reel_bucket *s = bucket_at(r, a->bucket);
    const int64_t fs = r->config.factor_s;
    const reel_shape shape = REEL_SHAPE(a->B, latent_frames(r, a->bucket), s->height / fs,
                                        s->width / fs, r->config.z_dim);
    const reel_var x = reel_tape_input(nn->tape, REEL_F32, shape, "latents", a->x);
    a->nearness = reel_depth(nn, &r->config, x);
    reel_tape_keep(nn->tape, a->nearness);
    return a->nearness;
}

static reel_var record_loss(void *context, reel_nn *nn) {
    batch *a = context;
    const depth_trainer *r = a->trainer;
    const reel_bucket *s = bucket_at(r, a->bucket);
    const reel_shape shape =
        REEL_SHAPE(a->B, latent_frames(r, a->bucket) * r->config.factor_t, s->height, s->width, 1);
    const reel_var truth = reel_tape_input(nn->tape, REEL_F32, shape, "nearness", a->y);
    return reel_l1(nn->tape, record_look(context, nn), truth, 0);
}

static reel_status open_batch(depth_trainer *r, batch *a, reel_program_kind kind, int64_t B,
                              int64_t bucket) {
    *a = (batch){.trainer = r, .B = B, .bucket = bucket};
    a->x = reel_calloc(r->env, B * latent_elements(r, bucket), sizeof *a->x, tag);
    a->y = reel_calloc(r->env, B * said_elements(r, bucket), sizeof *a->y, tag);
    if (!a->x || !a->y) return REEL_E_NOMEM;
    return reel_program_new(r->learner, kind,
                            kind == REEL_PROGRAM_TRAIN ? record_loss : record_look, a, &a->program);
}

static void close_batch(depth_trainer *r, batch *a) {
    reel_program_free(&a->program);
    reel_free(r->env, a->x);
    reel_free(r->env, a->y);
}

/* ---- the job ---- */

static reel_status step(void *context, int64_t index, double rate, reel_job_step *done) {
    depth_trainer *r = context;
    const reel_recipe *o = r->recipe;
    const int64_t made = o->data.pool_start + (int64_t)floor(o->data.fresh * (double)index);
    reel_status status = advance(r, &r->train, made);
    if (status != REEL_OK) return status;
    const int64_t n = r->train.end - r->train.first;
    const int64_t any = r->train.first + (int64_t)draw(r, "size", index, (uint64_t)n);
    r->last = kept_at(&r->train, any)->bucket;
    batch *a = &r->clips[r->last];
    filling f = {.r = r, .a = a, .step = index};
    reel_parallel_for(r->env->threads, a->B, fill_at_random, &f);
    status = reel_program_step(a->program, rate, NULL, &done->result);
    done->samples = a->B;
    return status;
}

static reel_status validate(void *context, reel_json_out *out) {
    depth_trainer *r = context;
    const float eye_m = 0.25f;
    double error = 0, near = 0, pixels = 0;
    reel_status status = reel_learner_refresh_average(r->learner);
    for (int64_t i = r->held.first; i < r->held.end && status == REEL_OK; i++) {
        const kept *k = kept_at(&r->held, i);
        const reel_bucket *s = bucket_at(r, k->bucket);
        batch *a = &r->look[k->bucket];
        put(r, a, k, 0);
        status = reel_program_run(a->program);
        if (status != REEL_OK) break;
        const float *said = reel_program_data(a->program, a->nearness);
        const int64_t n = said_elements(r, k->bucket);
        double e = 0, t = 0;
        for (int64_t j = 0; j < n; j++) {
            e += (double)fabsf(said[j] - a->y[j]);
            t += (double)a->y[j];
        }
        const double half = 0.5 * (double)(s->width < s->height ? s->width : s->height);
        error += e / (double)n;
        near += t / (double)n;
        pixels += e / (double)n * half * (double)eye_m;
    }
    if (status != REEL_OK) return status;
    const double n = (double)(r->held.end - r->held.first);
    const struct {
        const char *name;
        double value;
    } row[] = {{"error", error / n}, {"nearness", near / n}, {"error_px", pixels / n}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        reel_json_out_key(out, row[i].name);
        reel_json_out_real(out, row[i].value);
    }
    return REEL_OK;
}

static reel_status save(void *context, bool at_end) {
    (void)at_end;
    depth_trainer *r = context;
    char path[4096];
    reel_params *params;
    reel_status status = reel_learner_export(r->learner, "", true, REEL_BF16, &params);
    if (status != REEL_OK) return status;
    snprintf(path, sizeof path, "%s/depth", r->options->folder);
    status = reel_depth_save(r->env, path, &r->config, params);
    reel_params_free(&params);
    return status;
}

static reel_program *program(void *context) {
    depth_trainer *r = context;
    return r->clips[r->last].program;
}

/* ---- the start ---- */

static reel_status open_encoder(depth_trainer *r) {
    const reel_recipe *o = r->recipe;
    reel_status status = reel_clip_encoder_open(
        r->env, r->table, o->depth.vae, o->optimiser.bf16 ? REEL_BF16 : REEL_F32, &r->encoder);
    if (status != REEL_OK) return status;
    r->latents = reel_clip_encoder_latents(r->encoder);
    r->config = (reel_depth_config){.z_dim = r->latents.z,
                                    .factor_t = r->latents.factor_t,
                                    .factor_s = r->latents.factor_s,
                                    .channels = o->depth.channels,
                                    .blocks = o->depth.blocks,
                                    .mid = o->depth.mid};
    reel_latents_key(reel_clip_encoder_component(r->encoder), r->config.latents);
    return reel_depth_config_check(r->env, &r->config);
}

static reel_status check_sizes(depth_trainer *r, int64_t *largest) {
    const reel_recipe *o = r->recipe;
    *largest = 0;
    for (int64_t i = 0; i < o->data.n_buckets; i++) {
        const reel_bucket *b = bucket_at(r, i);
        if ((b->frames - 1) % r->config.factor_t || b->width % r->config.factor_s ||
            b->height % r->config.factor_s)
            return reel_fail(r->env, REEL_E_ARG,
                             "data.buckets[%lld]: sides must be multiples of %lld and frames 1 "
                             "more than one of %lld, got %lld x %lld x %lld",
                             (long long)i, (long long)r->config.factor_s,
                             (long long)r->config.factor_t, (long long)b->width,
                             (long long)b->height, (long long)b->frames);
        const int64_t n = b->frames * frame_pixels(r, i);
        if (n > *largest) *largest = n;
    }
    return REEL_OK;
}

static reel_status open_store(depth_trainer *r, store *s, reel_source_split split, int64_t room) {
    const reel_recipe *o = r->recipe;
    *s = (store){
        .source = {.seed = (uint64_t)o->data.seed, .split = split, .fps = (float)o->data.fps},
        .room = room};
    s->clip = reel_calloc(r->env, room, sizeof *s->clip, tag);
    return s->clip ? REEL_OK : REEL_E_NOMEM;
}

static void close_store(depth_trainer *r, store *s) {
    for (int64_t i = 0; s->clip && i < s->room; i++) {
        reel_free(r->env, s->clip[i].latent);
        reel_free(r->env, s->clip[i].nearness);
    }
    reel_free(r->env, s->clip);
}

static reel_status open_data(depth_trainer *r) {
    const reel_recipe *o = r->recipe;
    int64_t largest;
    reel_status status = check_sizes(r, &largest);
    if (status != REEL_OK) return status;
    r->rgb = reel_calloc(r->env, largest, 3, tag);
    r->nearness = reel_calloc(r->env, largest, sizeof *r->nearness, tag);
    if (!r->rgb || !r->nearness) return REEL_E_NOMEM;
    status = open_store(r, &r->train, REEL_SOURCE_TRAIN, o->data.pool);
    if (status == REEL_OK)
        status = open_store(r, &r->held, REEL_SOURCE_VALIDATION, o->data.validation);
    if (status != REEL_OK) return status;
    reel_run_tell(r->options, "depth", "prepare", "rendering and encoding %lld held-out clips",
                  (long long)o->data.validation);
    return advance(r, &r->held, o->data.validation);
}

static reel_status open_learner(depth_trainer *r) {
    const reel_learner_options o = reel_recipe_learner(r->recipe);
    batch shape = {.trainer = r, .B = 1};
    reel_status status = reel_learner_new(r->env, r->table, &o, &r->learner);
    if (status == REEL_OK) status = reel_learner_declare(r->learner, record_look, &shape);
    if (status == REEL_OK) status = reel_learner_begin(r->learner, (uint64_t)r->recipe->run.seed);
    for (int64_t i = 0; i < r->recipe->data.n_buckets && status == REEL_OK; i++) {
        status = open_batch(r, &r->clips[i], REEL_PROGRAM_TRAIN, r->recipe->optimiser.batch, i);
        if (status == REEL_OK) status = open_batch(r, &r->look[i], REEL_PROGRAM_AVERAGE, 1, i);
    }
    return status;
}

static reel_status train(depth_trainer *r, bool *stopped) {
    reel_status status = open_encoder(r);
    if (status == REEL_OK) status = open_data(r);
    if (status == REEL_OK) status = open_learner(r);
    if (status != REEL_OK) return status;
    const reel_job job = {.kind = "depth",
                          .context = r,
                          .learner = r->learner,
                          .step = step,
                          .validate = validate,
                          .save = save,
                          .program = program};
    return reel_run(r->env, &job, r->options, stopped);
}

reel_status reel_train_depth(reel_env *env, const reel_kernel_table *table,
                             const reel_run_options *options, bool *stopped) {
    if (options->recipe->optimiser.batch >= CLIPS_A_STEP)
        return reel_fail(env, REEL_E_ARG, "optimiser.batch must be below %d", CLIPS_A_STEP);
    depth_trainer *r = reel_calloc(env, 1, sizeof *r, tag);
    if (!r) return REEL_E_NOMEM;
    r->env = env;
    r->table = table;
    r->options = options;
    r->recipe = options->recipe;
    const reel_status status = train(r, stopped);
    for (int i = 0; i < REEL_RECIPE_BUCKETS; i++) {
        close_batch(r, &r->clips[i]);
        close_batch(r, &r->look[i]);
    }
    close_store(r, &r->train);
    close_store(r, &r->held);
    reel_learner_free(&r->learner);
    reel_clip_encoder_close(&r->encoder);
    reel_free(env, r->rgb);
    reel_free(env, r->nearness);
    reel_free(env, r);
    return status;
}
