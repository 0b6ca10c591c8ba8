#include "train/row.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "diffusion/schedule.h"
#include "models/wan/dit.h"

static const char tag[] = "row";

reel_objective reel_objective_parse(const char *name) {
    static const char *const names[] = {"flow", "sample", "epsilon", "v", "learned"};
    for (int i = 0; i < REEL_OBJECTIVE_COUNT; i++)
        if (strcmp(name, names[i]) == 0) return (reel_objective)i;
    return REEL_OBJECTIVE_COUNT;
}

/* What only a learned variance needs. */
static bool init_learned(reel_row *row) {
    float **const each[] = {&row->middle, &row->half, &row->shift, &row->least};
    for (int i = 0; i < 4; i++) {
        *each[i] = reel_calloc(row->env, row->T, sizeof(float), tag);
        if (!*each[i]) return false;
    }
    row->alphas = reel_calloc(row->env, REEL_ROW_TIMESTEPS, sizeof *row->alphas, tag);
    if (!row->alphas) return false;
    reel_schedule schedule = reel_schedule_default();
    schedule.num_train_timesteps = REEL_ROW_TIMESTEPS;
    schedule.beta_schedule = REEL_BETA_COSINE;
    reel_schedule_alphas_cumprod(&schedule, row->alphas);
    return true;
}

reel_status reel_row_init(reel_env *env, const reel_row_options *o, reel_row *row) {
    const int64_t T = o->T, N = o->N, X = o->X, P = o->patch * o->patch;
    const int64_t C = o->z + (o->planes ? REEL_WAN_DIT_PLANES : 0);
    *row = (reel_row){.env = env,
                      .T = T,
                      .N = N,
                      .X = X,
                      .z = o->z,
                      .C = C,
                      .patch = o->patch,
                      .objective = o->objective,
                      .object_weight = o->object_weight > 0 ? o->object_weight : 1,
                      .clip = reel_calloc(env, N, sizeof *row->clip, tag),
                      .tokens = reel_calloc(env, T * C * P, sizeof(float), tag),
                      .target = reel_calloc(env, T * o->z * P, sizeof(float), tag),
                      .weight = reel_calloc(env, T, sizeof(float), tag),
                      .objects = reel_calloc(env, T, 1, tag),
                      .layout = reel_calloc(env, 2 * T, sizeof(int32_t), tag),
                      .level = reel_calloc(env, 2 * N, sizeof(float), tag),
                      .map = reel_calloc(env, T, sizeof(int32_t), tag),
                      .positions = reel_calloc(env, 3 * T, sizeof(int32_t), tag),
                      .offsets = reel_calloc(env, N + 2, sizeof(int32_t), tag),
                      .text_offsets = reel_calloc(env, N + 2, sizeof(int32_t), tag),
                      .ids = reel_calloc(env, N * X, sizeof(int32_t), tag),
                      .key_mask = reel_calloc(env, N * X, 1, tag),
                      .text_mask = reel_calloc(env, N * X, sizeof(float), tag)};
    if (o->objective == REEL_OBJECTIVE_LEARNED && !init_learned(row)) return REEL_E_NOMEM;
    const void *all[] = {row->clip,     row->tokens,    row->target,  row->weight,       row->level,
                         row->map,      row->positions, row->offsets, row->text_offsets, row->ids,
                         row->key_mask, row->text_mask, row->objects, row->layout};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!all[i]) return REEL_E_NOMEM;
    return REEL_OK;
}

void reel_row_deinit(reel_row *row) {
    void *all[] = {row->clip,     row->tokens,    row->target,  row->weight,       row->level,
                   row->map,      row->positions, row->offsets, row->text_offsets, row->ids,
                   row->key_mask, row->text_mask, row->middle,  row->half,         row->shift,
                   row->least,    row->alphas,    row->objects, row->layout};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]) reel_free(row->env, all[i]);
    *row = (reel_row){0};
}

int64_t reel_row_tokens(const reel_row *row, const reel_latent_clip *c) {
    return c->f * (c->h / row->patch) * (c->w / row->patch);
}

static int64_t used(const reel_row *row) {
    if (!row->n) return 0;
    const reel_row_clip *last = &row->clip[row->n - 1];
    return last->first + reel_row_tokens(row, &last->latent);
}

void reel_row_clear(reel_row *row) {
    row->n = 0;
    memset(row->objects, 0, (size_t)row->T);
    memset(row->ids, 0, (size_t)(row->N * row->X) * sizeof *row->ids);
    memset(row->key_mask, 0, (size_t)(row->N * row->X));
    memset(row->text_mask, 0, (size_t)(row->N * row->X) * sizeof *row->text_mask);
}

bool reel_row_add(reel_row *row, const reel_latent_clip *latent, double t, uint64_t known,
                  uint64_t noise) {
    const int64_t first = used(row);
    if (row->n >= row->N || latent->f > REEL_ROW_FRAMES ||
        first + reel_row_tokens(row, latent) > row->T)
        return false;
    row->clip[row->n++] =
        (reel_row_clip){.latent = *latent, .first = first, .t = t, .known = known, .noise = noise};
    return true;
}

void reel_row_set_region(reel_row *row, int64_t i, const reel_row_box *region) {
    row->clip[i].region = *region;
}

void reel_row_set_known_noise(reel_row *row, int64_t i, double t) {
    row->clip[i].known_t = t;
}

void reel_row_set_gap(reel_row *row, int64_t i, int64_t gap) {
    row->clip[i].gap = gap;
}

void reel_row_set_text(reel_row *row, int64_t i, const int32_t *id, int64_t n) {
    for (int64_t k = 0; k < n && k < row->X; k++) {
        row->ids[i * row->X + k] = id[k];
        row->key_mask[i * row->X + k] = 1;
        row->text_mask[i * row->X + k] = 1;
    }
}

uint8_t *reel_row_objects(reel_row *row, int64_t i) {
    row->clip[i].placed = true;
    return row->objects + row->clip[i].first;
}

/* ---- filling ---- */

/* x = a x0 + b eps, target = c x0 + d eps. */
typedef struct mixture {
    float a, b, c, d;
} mixture;

/* The cumulative alpha of the cosine schedule, cos^2 scaled to 1 at 0 (Nichol & Dhariwal, eq. 17);
 * the end is cut where its betas are: a is never quite 0. */
static double cosine_alpha(double t) {
    const double s = 0.008, half_pi = 1.57079632679489661923;
    const double f = cos((t + s) / (1 + s) * half_pi), f0 = cos(s / (1 + s) * half_pi);
    return fmax(f * f / (f0 * f0), 1e-8);
}

/* The whole timestep of a level. */
static int64_t timestep_of(double t) {
    const int64_t k = (int64_t)floor(t * REEL_ROW_TIMESTEPS);
    return k < 0 ? 0 : k < REEL_ROW_TIMESTEPS ? k : REEL_ROW_TIMESTEPS - 1;
}

static mixture mixture_of(const reel_row *row, double t) {
    if (row->objective == REEL_OBJECTIVE_FLOW) return (mixture){(float)(1 - t), (float)t, -1, 1};
    if (row->objective == REEL_OBJECTIVE_SAMPLE) return (mixture){(float)(1 - t), (float)t, 1, 0};
    const double alpha =
        row->objective == REEL_OBJECTIVE_LEARNED ? row->alphas[timestep_of(t)] : cosine_alpha(t);
    const float signal = (float)sqrt(alpha), noise = (float)sqrt(1 - alpha);
    if (row->objective == REEL_OBJECTIVE_V) return (mixture){signal, noise, -noise, signal};
    return (mixture){signal, noise, 0, 1};
}

/* v = (x - x0) / t, so that an error of x0 is one of the velocity times t. Near the data the weight
 * is held: JiT clips t at 0.05, too. */
static float weight_of(const reel_row *row, double t) {
    const double held = fmax(t, 0.05);
    return row->objective == REEL_OBJECTIVE_SAMPLE ? (float)(1 / (held * held)) : 1;
}

/* Of the reverse step at timestep k: q(x_{k-1} | x_k, x_0) and the range of the learned variance
 * (DDPM eq. 7, Improved DDPM eq. 15). */
typedef struct reverse {
    double beta, small; /* the upper bound of the variance, and the posterior's, the lower */
    double shift;       /* mu_q - mu = sqrt(shift) (eps - prediction) */
} reverse;

static reverse reverse_at(const double *alphas, int64_t k) {
    const double a = alphas[k], before = k ? alphas[k - 1] : 1, alpha = a / before;
    const double beta = 1 - alpha;
    return (reverse){.beta = beta,
                     .small = (1 - before) / (1 - a) * beta,
                     .shift = beta * beta / (alpha * (1 - a))};
}

/* The last step has no posterior variance: its neighbour's bounds it from below, and what is
 * learned is the likelihood of x_0 itself. */
static void fill_variance(reel_row *row, int64_t token, int64_t n, double t) {
    const int64_t k = timestep_of(t);
    const reverse r = reverse_at(row->alphas, k);
    const double low = log(k ? r.small : reverse_at(row->alphas, 1).small), high = log(r.beta);
    for (int64_t i = token; i < token + n; i++) {
        row->middle[i] = (float)((high + low) / 2);
        row->half[i] = (float)((high - low) / 2);
        row->shift[i] = (float)r.shift;
        row->least[i] = (float)(k ? r.small : 0);
    }
}

typedef struct filling {
    reel_row *row;
    uint64_t seed, stream;
} filling;

/* One token: eps stands in target and is replaced. from: the patch's first position. */
static void fill_token(const reel_row *row, const reel_bf16 *from, int64_t w, mixture m,
                       float *token, float *target) {
    const int64_t p = row->patch, z = row->z;
    for (int64_t k = 0; k < p * p; k++) {
        const reel_bf16 *x0 = from + (k / p * w + k % p) * z;
        for (int64_t c = 0; c < z; c++) {
            const float x = reel_bf16_to_f32(x0[c]), eps = target[k * z + c];
            token[c * p * p + k] = m.a * x + m.b * eps;
            target[k * z + c] = m.c * x + m.d * eps;
        }
    }
}

/* The planes of the token at row y and column at of its clip. */
static void fill_planes(const reel_row *row, const reel_latent_clip *x, int64_t y, int64_t at,
                        float *token) {
    const int64_t p = row->patch;
    float *plane = token + row->z * p * p;
    if (row->C == row->z) return;
    for (int64_t k = 0; k < p * p; k++) {
        plane[k] = reel_wan_dit_plane(y * p + k / p, x->h);
        plane[p * p + k] = reel_wan_dit_plane(at * p + k % p, x->w);
    }
}

static bool is_known(const reel_row_clip *clip, int64_t frame, int64_t y, int64_t x) {
    const reel_row_box *b = &clip->region;
    const bool inside = y >= b->y && y < b->y + b->height && x >= b->x && x < b->x + b->width;
    return (clip->known >> frame & 1) != 0 || (b->height > 0 && inside != b->outside);
}

static void fill_clip(void *context, int64_t i, int lane) {
    (void)lane;
    const filling *f = context;
    reel_row *row = f->row;
    const reel_row_clip *clip = &row->clip[i];
    const reel_latent_clip *x = &clip->latent;
    const int64_t p = row->patch, width = row->z * p * p, h = x->h / p, w = x->w / p;
    const mixture noised = mixture_of(row, clip->t), clean = {1, 0, -1, 0};
    const mixture given = clip->known_t > 0 ? mixture_of(row, clip->known_t) : clean;
    const float weight = weight_of(row, clip->t);
    float *target = row->target + clip->first * width;
    reel_rng_fill_normal(f->seed, f->stream, clip->noise, x->f * h * w * width, target);
    if (row->alphas) fill_variance(row, clip->first, x->f * h * w, clip->t);
    for (int64_t k = 0; k < x->f * h * w; k++, target += width) {
        const int64_t frame = k / (h * w), y = k / w % h, at = k % w, token = clip->first + k;
        const bool known = is_known(clip, frame, y, at);
        const int64_t stored = frame ? frame + clip->gap : 0;
        const reel_bf16 *from = x->data + ((stored * x->h + y * p) * x->w + at * p) * row->z;
        float *into = row->tokens + token * row->C * p * p;
        fill_token(row, from, x->w, known ? given : noised, into, target);
        fill_planes(row, x, y, at, into);
        row->weight[token] = known ? 0 : row->objects[token] ? weight * row->object_weight : weight;
        row->map[token] = (int32_t)(2 * i + known);
        row->layout[2 * token] = clip->placed ? row->objects[token] / REEL_SOURCE_LABELS : -1;
        row->layout[2 * token + 1] = clip->placed ? row->objects[token] % REEL_SOURCE_LABELS : -1;
        row->positions[3 * token] = (int32_t)frame;
        row->positions[3 * token + 1] = (int32_t)y;
        row->positions[3 * token + 2] = (int32_t)at;
    }
}

/* What is behind the last clip. */
static void fill_rest(reel_row *row) {
    const int64_t P = row->patch * row->patch, width = row->z * P, end = used(row);
    const int64_t n = row->T - end;
    memset(row->tokens + end * row->C * P, 0, (size_t)(n * row->C * P) * sizeof(float));
    memset(row->target + end * width, 0, (size_t)(n * width) * sizeof(float));
    memset(row->weight + end, 0, (size_t)n * sizeof(float));
    memset(row->map + end, 0, (size_t)n * sizeof(int32_t));
    memset(row->layout + 2 * end, -1, (size_t)(2 * n) * sizeof(int32_t));
    memset(row->positions + 3 * end, 0, (size_t)(3 * n) * sizeof(int32_t));
    for (int64_t i = end; i < row->T && row->alphas; i++) /* anything finite: it weighs nothing */
        row->middle[i] = row->half[i] = row->shift[i] = row->least[i] = 0;
    for (int64_t i = 0; i <= row->N; i++) {
        row->offsets[i] = (int32_t)(i < row->n ? row->clip[i].first : end);
        row->text_offsets[i] = (int32_t)(i * row->X);
    }
    row->offsets[row->N + 1] = (int32_t)row->T;
    row->text_offsets[row->N + 1] = (int32_t)(row->N * row->X);
}

static float mean_weight(const reel_row *row) {
    double sum = 0, n = 0;
    for (int64_t i = 0; i < row->T; i++) {
        sum += (double)row->weight[i];
        n += row->weight[i] > 0;
    }
    return n > 0 ? (float)(sum / n) : 0;
}

static float level_of(const reel_row *row, double t) {
    return row->alphas ? (float)timestep_of(t) : (float)(1000 * t);
}

void reel_row_fill(reel_row *row, uint64_t seed) {
    filling f = {.row = row, .seed = seed, .stream = reel_rng_stream("row noise")};
    for (int64_t i = 0; i < row->N; i++) {
        row->level[2 * i] = level_of(row, i < row->n ? row->clip[i].t : 0);
        row->level[2 * i + 1] = level_of(row, i < row->n ? row->clip[i].known_t : 0);
    }
    reel_parallel_for(row->env->threads, row->n, fill_clip, &f);
    fill_rest(row);
    row->mean_weight = mean_weight(row);
}

double reel_row_error(const reel_row *row, const float *prediction, int64_t i) {
    const reel_row_clip *clip = &row->clip[i];
    const int64_t z = row->z, P = row->patch * row->patch;
    const int64_t outputs = row->objective == REEL_OBJECTIVE_LEARNED ? 2 * z : z;
    const int64_t n = reel_row_tokens(row, &clip->latent);
    double sum = 0, total = 0;
    for (int64_t k = clip->first * P; k < (clip->first + n) * P; k++) {
        if (row->weight[k / P] == 0) continue;
        total += (double)z;
        for (int64_t j = 0; j < z; j++) {
            const double d = (double)prediction[k * outputs + j] - (double)row->target[k * z + j];
            sum += (double)row->weight[k / P] * d * d;
        }
    }
    return total > 0 ? sum / total : 0;
}
