#include "pipeline/denoise.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

static const char tag_denoise[] = "denoise";

struct reel_denoise {
    reel_env *env;
    reel_sampler *sampler;
    reel_guidance guidance;
    uint64_t seed;
    double known_noise;
    bool flow, integer_timesteps, has_estimate;
    int num_train_timesteps;
    int64_t n, positions; /* elements of x, positions of the canvas */
    int n_evaluations, done;
    int stride; /* evaluations of a whole step: 2 for Heun */

    int n_groups;
    int32_t *group;   /* [positions] */
    int32_t *release; /* [n_groups]: the evaluation at which a group is let go; n: never */
    double *timestep; /* [n_groups] */
    double *sigma;    /* [n_groups] */

    float *x, *shown, *cond, *uncond, *x0; /* [n] each */
    float *known, *noise;                  /* [n], or NULL when nothing is known */
};

/* ---- groups ---- */

/* The first evaluation whose level is not above the one a position starts from. A position that
 * starts from noise is let go at once, whatever the first sigma is; a clean one never. */
static int release_of(const reel_denoise *d, double level) {
    if (level >= 1) return 0;
    if (level <= 0) return d->n_evaluations;
    int i = 0;
    while (i < d->n_evaluations && reel_sampler_sigma(d->sampler, i) > level)
        i += d->stride;
    return i < d->n_evaluations ? i : d->n_evaluations;
}

/* Gives every position its group: one for each evaluation at which some position is let go, in
 * rising order. slot [n_evaluations + 1] is working memory. */
static void number_groups(reel_denoise *d, const reel_canvas *canvas, int32_t *slot) {
    for (int64_t i = 0; i < d->positions; i++) {
        d->group[i] = release_of(d, canvas->level ? (double)canvas->level[i] : 1);
        slot[d->group[i]] = 1;
    }
    for (int r = 0; r <= d->n_evaluations; r++) {
        if (!slot[r]) continue;
        d->release[d->n_groups] = r;
        slot[r] = d->n_groups++;
    }
    for (int64_t i = 0; i < d->positions; i++)
        d->group[i] = slot[d->group[i]];
}

static reel_status make_groups(reel_denoise *d, const reel_canvas *canvas) {
    const int64_t most = d->n_evaluations + 1;
    d->group = reel_calloc(d->env, d->positions, sizeof *d->group, tag_denoise);
    d->release = reel_calloc(d->env, most, sizeof *d->release, tag_denoise);
    d->timestep = reel_calloc(d->env, most, sizeof *d->timestep, tag_denoise);
    d->sigma = reel_calloc(d->env, most, sizeof *d->sigma, tag_denoise);
    int32_t *slot = reel_calloc(d->env, most, sizeof *slot, tag_denoise);
    const bool ok = d->group && d->release && d->timestep && d->sigma && slot;
    if (ok) number_groups(d, canvas, slot);
    reel_free(d->env, slot);
    return ok ? REEL_OK : REEL_E_NOMEM;
}

/* ---- life ---- */

static float *floats(reel_denoise *d) {
    return reel_alloc(d->env, d->n * (int64_t)sizeof(float), tag_denoise);
}

static reel_status make_arrays(reel_denoise *d, bool something_known) {
    float **const array[] = {&d->x, &d->cond, &d->uncond, &d->x0, &d->shown, &d->known, &d->noise};
    const int n_arrays = something_known ? 7 : 5;
    for (int i = 0; i < n_arrays; i++) {
        *array[i] = floats(d);
        if (!*array[i]) return REEL_E_NOMEM;
    }
    return REEL_OK;
}

/* x at the level of the first evaluation that is computed. */
static void begin(reel_denoise *d, const reel_canvas *canvas, const float *noise) {
    const size_t bytes = (size_t)d->n * sizeof *d->x;
    if (noise)
        memcpy(d->x, noise, bytes);
    else
        reel_rng_fill_normal(d->seed, reel_rng_stream("noise"), 0, d->n, d->x);
    const double scale = reel_sampler_initial_scale(d->sampler);
    if (d->known) {
        memcpy(d->known, canvas->known, bytes);
        memcpy(d->noise, d->x, bytes);
        d->done = d->release[0];
    }
    const double sigma = d->done < d->n_evaluations ? reel_sampler_sigma(d->sampler, d->done) : 0;
    for (int64_t i = 0; i < d->n; i++) {
        if (d->known && d->release[d->group[i % d->positions]] > 0)
            d->x[i] = (float)((1 - sigma) * (double)d->known[i] + sigma * (double)d->noise[i]);
        else if (scale != 1)
            d->x[i] = (float)((double)d->x[i] * scale);
    }
}

static reel_status make(reel_denoise *d, const reel_canvas *canvas,
                        const reel_denoise_options *options) {
    const bool something_known = !reel_canvas_is_noise(canvas);
    if (something_known && !d->flow)
        return reel_fail(d->env, REEL_E_UNSUPPORTED,
                         "denoise: a canvas with known latents needs a flow schedule");
    reel_status status = reel_sampler_new(d->env, &options->sampler, d->n, &d->sampler);
    if (status != REEL_OK) return status;
    d->n_evaluations = reel_sampler_n_evaluations(d->sampler);
    status = make_groups(d, canvas);
    if (status == REEL_OK) status = make_arrays(d, something_known);
    if (status == REEL_OK) begin(d, canvas, options->noise);
    return status;
}

reel_status reel_denoise_new(reel_env *env, const reel_canvas *canvas,
                             const reel_denoise_options *options, reel_denoise **run) {
    reel_status status = reel_guidance_check(env, &options->guidance);
    if (status != REEL_OK) return status;
    if (!(options->known_noise >= 0 && options->known_noise <= 1))
        return reel_fail(env, REEL_E_ARG, "denoise: noise of what is known must be in 0..1, got %g",
                         options->known_noise);
    reel_denoise *d = reel_calloc(env, 1, sizeof *d, tag_denoise);
    if (!d) return REEL_E_NOMEM;
    *d = (reel_denoise){.env = env,
                        .guidance = options->guidance,
                        .seed = options->seed,
                        .known_noise = options->known_noise,
                        .flow = options->sampler.schedule.flow,
                        .stride = options->sampler.kind == REEL_SAMPLER_HEUN ? 2 : 1,
                        .integer_timesteps = options->sampler.integer_timesteps,
                        .num_train_timesteps = options->sampler.schedule.num_train_timesteps,
                        .n = reel_canvas_elements(canvas),
                        .positions = reel_canvas_positions(canvas)};
    status = make(d, canvas, options);
    if (status == REEL_OK)
        *run = d;
    else
        reel_denoise_free(&d);
    return status;
}

void reel_denoise_free(reel_denoise **run) {
    reel_denoise *d = *run;
    if (!d) return;
    void *const owned[] = {d->group, d->release, d->timestep, d->sigma, d->x,    d->shown,
                           d->cond,  d->uncond,  d->x0,       d->known, d->noise};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        reel_free(d->env, owned[i]);
    reel_sampler_free(&d->sampler);
    reel_free(d->env, d);
    *run = NULL;
}

int reel_denoise_n_groups(const reel_denoise *d) {
    return d->n_groups;
}
int reel_denoise_n(const reel_denoise *d) {
    return d->n_evaluations;
}
int reel_denoise_done(const reel_denoise *d) {
    return d->done;
}
const float *reel_denoise_latents(const reel_denoise *d) {
    return d->x;
}
const float *reel_denoise_estimate(const reel_denoise *d) {
    return d->has_estimate ? d->x0 : NULL;
}

bool reel_denoise_is_guided(const reel_denoise *d) {
    for (int i = 0; i < d->n_evaluations; i++)
        if (reel_guidance_acts(&d->guidance, i, d->n_evaluations)) return true;
    return false;
}

reel_denoise_memory reel_denoise_get_memory(reel_denoise *d) {
    reel_denoise_memory memory = {.x = d->x, .n = d->n};
    memory.sampler = reel_sampler_memory(d->sampler, &memory.sampler_bytes);
    return memory;
}

reel_status reel_denoise_restore(reel_denoise *d, int done) {
    if (done < 0 || done > d->n_evaluations)
        return reel_fail(d->env, REEL_E_ARG, "denoise: %d evaluations done of %d", done,
                         d->n_evaluations);
    if (!reel_sampler_can_continue(d->sampler, done))
        return reel_fail(d->env, REEL_E_FORMAT,
                         "denoise: the sampler's memory is not what %d evaluations leave", done);
    d->done = done;
    return REEL_OK;
}

/* ---- one evaluation ---- */

static bool waits(const reel_denoise *d, int64_t position, int i) {
    return d->release[d->group[position]] > i;
}

/* The level a waiting group is shown at: the one it will be let go at; of one that never is, its
 * own noise or what is left of it. */
static double own_level(const reel_denoise *d, int group, int i) {
    const int r = d->release[group];
    if (r < d->n_evaluations) return reel_sampler_sigma(d->sampler, r);
    return fmin(d->known_noise, reel_sampler_sigma(d->sampler, i));
}

static void set_timesteps(reel_denoise *d, int i) {
    for (int g = 0; g < d->n_groups; g++) {
        double t = reel_sampler_timestep(d->sampler, i);
        d->sigma[g] = reel_sampler_sigma(d->sampler, i);
        if (d->release[g] > i) {
            d->sigma[g] = own_level(d, g, i);
            t = d->sigma[g] * d->num_train_timesteps;
            if (d->integer_timesteps) t = trunc(t);
        }
        d->timestep[g] = t;
    }
}

/* What the model is shown: x, but waiting positions at their own level. */
static void show(reel_denoise *d, int i) {
    reel_sampler_scale_input(d->sampler, i, d->x, d->shown);
    for (int64_t k = 0; d->known && k < d->n; k++) {
        const int64_t position = k % d->positions;
        if (!waits(d, position, i)) continue;
        const double s = own_level(d, d->group[position], i);
        d->shown[k] = (float)((1 - s) * (double)d->known[k] + s * (double)d->noise[k]);
    }
}

/* The output of waiting positions is the velocity of their line: what keeps them on it. */
static void hold(reel_denoise *d, int i) {
    for (int64_t k = 0; d->known && k < d->n; k++)
        if (waits(d, k % d->positions, i)) d->cond[k] = d->noise[k] - d->known[k];
}

/* The clean latents as the output implies them, for who watches. */
static void predict_x0(reel_denoise *d, int i) {
    const double sigma = reel_sampler_sigma(d->sampler, i);
    for (int64_t k = 0; k < d->n; k++)
        d->x0[k] = d->flow ? (float)((double)d->x[k] - sigma * (double)d->cond[k]) : d->x[k];
    d->has_estimate = true;
}

/* What never was let go is exactly what was known, without the rounding of the steps. */
static void restore_known(reel_denoise *d) {
    for (int64_t k = 0; d->known && k < d->n; k++)
        if (d->release[d->group[k % d->positions]] == d->n_evaluations) d->x[k] = d->known[k];
}

static reel_status evaluate(reel_denoise *d, reel_denoise_model *model, void *context) {
    const int i = d->done;
    set_timesteps(d, i);
    show(d, i);
    const reel_denoise_query query = {.x = d->shown,
                                      .group = d->group,
                                      .n_groups = d->n_groups,
                                      .timestep = d->timestep,
                                      .sigma = d->sigma,
                                      .guided =
                                          reel_guidance_acts(&d->guidance, i, d->n_evaluations)};
    const reel_status status = model(context, &query, d->cond, d->uncond);
    if (status != REEL_OK) return status;
    if (query.guided) reel_guidance_apply(&d->guidance, d->n, d->cond, d->uncond, d->cond);
    hold(d, i);
    predict_x0(d, i);
    float *noise = NULL;
    if (reel_sampler_wants_noise(d->sampler, i)) {
        noise = d->uncond; /* not needed any more */
        reel_rng_fill_normal(d->seed, reel_rng_stream("step noise"), (uint64_t)i * (uint64_t)d->n,
                             d->n, noise);
    }
    reel_sampler_step(d->sampler, i, d->cond, NULL, noise, d->x);
    d->done++;
    if (d->done == d->n_evaluations) restore_known(d);
    return REEL_OK;
}

reel_status reel_denoise_run(reel_denoise *d, reel_denoise_model *model, void *model_context,
                             reel_denoise_watch *watch, void *watch_context) {
    while (d->done < d->n_evaluations) {
        reel_status status = evaluate(d, model, model_context);
        if (status != REEL_OK) return status;
        const reel_denoise_step step = {
            .done = d->done,
            .n = d->n_evaluations,
            .sigma = d->done < d->n_evaluations ? reel_sampler_sigma(d->sampler, d->done) : 0,
            .x = d->x,
            .x0 = d->x0};
        if (watch) status = watch(watch_context, &step);
        if (status != REEL_OK) return status;
    }
    restore_known(d);
    return REEL_OK;
}
