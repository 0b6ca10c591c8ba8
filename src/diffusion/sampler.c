#include "diffusion/sampler.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "diffusion/state.h"

/* ---- options ---- */

static const char *const names[REEL_SAMPLER_COUNT] = {"euler",   "heun", "unipc",
                                                      "dpm++2m", "ddpm", "ddim"};

const char *reel_sampler_name(reel_sampler_kind kind) {
    return names[kind];
}

reel_sampler_kind reel_sampler_parse(const char *name) {
    int i = 0;
    while (i < REEL_SAMPLER_COUNT && strcmp(names[i], name) != 0)
        i++;
    return (reel_sampler_kind)i;
}

static bool is_diffusion_only(reel_sampler_kind kind) {
    return kind == REEL_SAMPLER_DDPM || kind == REEL_SAMPLER_DDIM;
}

reel_sampler_options reel_sampler_options_default(reel_sampler_kind kind) {
    reel_sampler_options o = {.kind = kind,
                              .schedule = reel_schedule_default(),
                              .prediction = REEL_PREDICT_FLOW,
                              .n_steps = 50,
                              .spacing = REEL_SPACING_LINSPACE,
                              .final_sigma_zero = true,
                              .order = 2,
                              .clip_sample_range = 1,
                              .set_alpha_to_one = true};
    o.schedule.flow = !is_diffusion_only(kind);
    o.integer_timesteps = kind == REEL_SAMPLER_UNIPC || kind == REEL_SAMPLER_DPMPP;
    if (o.schedule.flow) return o;
    o.prediction = REEL_PREDICT_EPSILON;
    o.spacing = REEL_SPACING_LEADING;
    return o;
}

static reel_status check_sigmas(reel_env *env, const reel_sampler_options *o) {
    for (int i = 0; o->sigmas && i < o->n_steps; i++) {
        const double s = o->sigmas[i];
        if (!(s > 0 && s <= 1) || (i > 0 && s >= o->sigmas[i - 1]))
            return reel_fail(env, REEL_E_ARG, "sigmas must fall within (0,1], got %g at step %d", s,
                             i);
    }
    return REEL_OK;
}

static reel_status check(reel_env *env, const reel_sampler_options *o) {
    const char *name = o->kind < REEL_SAMPLER_COUNT ? names[o->kind] : "?";
    const int most = o->schedule.flow ? REEL_MAX_STEPS : o->schedule.num_train_timesteps;
    const int most_order = o->kind == REEL_SAMPLER_UNIPC ? 3 : 2;
    reel_status status = reel_schedule_check(env, &o->schedule);
    if (status != REEL_OK) return status;
    if (o->kind >= REEL_SAMPLER_COUNT)
        return reel_fail(env, REEL_E_ARG, "sampler kind %d does not exist", (int)o->kind);
    if (o->n_steps < 1 || o->n_steps > most || o->n_steps > REEL_MAX_STEPS)
        return reel_fail(env, REEL_E_ARG, "steps must be in 1..%d, got %d",
                         most < REEL_MAX_STEPS ? most : REEL_MAX_STEPS, o->n_steps);
    if (o->schedule.flow != (o->prediction == REEL_PREDICT_FLOW))
        return reel_fail(env, REEL_E_ARG, "flow prediction and a flow schedule need each other");
    if (o->schedule.flow && is_diffusion_only(o->kind))
        return reel_fail(env, REEL_E_ARG, "sampler %s needs a diffusion schedule, got flow", name);
    if (!o->schedule.flow && o->kind == REEL_SAMPLER_HEUN)
        return reel_fail(env, REEL_E_ARG, "sampler heun needs a flow schedule, got diffusion");
    if (o->order < 1 || o->order > most_order)
        return reel_fail(env, REEL_E_ARG, "order of %s must be in 1..%d, got %d", name, most_order,
                         o->order);
    if (!(o->eta >= 0 && o->eta <= 1))
        return reel_fail(env, REEL_E_ARG, "eta must be in 0..1, got %g", o->eta);
    if (o->clip_sample && !(o->clip_sample_range > 0))
        return reel_fail(env, REEL_E_ARG, "clip_sample_range must be above 0, got %g",
                         o->clip_sample_range);
    return check_sigmas(env, o);
}

/* ---- tables: flow ---- */

/* Sigmas before the shift. Euler's run from sigma_max to sigma_min of the shifted training table
 * and are shifted again, as diffusers does; the solvers' and Wan's end just above 0. */
static double unshifted_sigma(const reel_sampler_options *o, int i) {
    if (o->sigmas) return o->sigmas[i];
    const int n = o->n_steps, n_train = o->schedule.num_train_timesteps;
    if (o->kind == REEL_SAMPLER_EULER || o->kind == REEL_SAMPLER_HEUN) {
        const double least =
            o->dynamic_shift ? 1.0 / n_train : reel_flow_shift(1.0 / n_train, o->schedule.shift);
        return n > 1 ? 1 + (least - 1) * i / (n - 1) : 1;
    }
    return (1 - 1.0 / n_train) * (n - i) / n;
}

static void flow_table(reel_sampler *s) {
    const reel_sampler_options *o = &s->options;
    const int n = o->n_steps;
    for (int i = 0; i < n; i++) {
        const double u = unshifted_sigma(o, i);
        s->sigma[i] = o->dynamic_shift ? reel_flow_shift_exponential(u, o->mu)
                                       : reel_flow_shift(u, o->schedule.shift);
    }
    if (o->shift_terminal > 0) {
        const double scale = (1 - s->sigma[n - 1]) / (1 - o->shift_terminal);
        for (int i = 0; i < n; i++)
            s->sigma[i] = 1 - (1 - s->sigma[i]) / scale;
    }
    s->sigma[n] = o->final_sigma_zero ? 0 : s->sigma[n - 1];
    for (int i = 0; i < n; i++)
        s->timestep[i] = s->sigma[i] * o->schedule.num_train_timesteps;
}

/* ---- tables: diffusion ---- */

/* sigma of the variance-exploding form at a (fractional) training timestep, linear in between. */
static double sigma_at(const reel_sampler *s, double t) {
    const int last = s->options.schedule.num_train_timesteps - 1;
    const int lo = (int)floor(t), hi = lo < last ? lo + 1 : last;
    const double a = sqrt((1 - s->ac[lo]) / s->ac[lo]), b = sqrt((1 - s->ac[hi]) / s->ac[hi]);
    return a + (b - a) * (t - lo);
}

/* The timestep whose log sigma is log sigma, linear in between. */
static double timestep_of(const reel_sampler *s, double sigma) {
    const int last = s->options.schedule.num_train_timesteps - 1;
    int lo = 0;
    while (lo < last - 1 && sigma_at(s, lo + 1) <= sigma)
        lo++;
    const double a = log(sigma_at(s, lo)), b = log(sigma_at(s, lo + 1));
    const double w = (a - log(sigma)) / (a - b);
    return lo + fmin(fmax(w, 0), 1);
}

/* Karras et al. 2022, "Elucidating the design space", eq. 5, with rho = 7. */
static void karras_table(reel_sampler *s) {
    const int n = s->options.n_steps, last = s->options.schedule.num_train_timesteps - 1;
    const double most = pow(sigma_at(s, last), 1.0 / 7), least = pow(sigma_at(s, 0), 1.0 / 7);
    for (int i = 0; i < n; i++) {
        s->sigma[i] = pow(most + (n > 1 ? (double)i / (n - 1) : 0) * (least - most), 7);
        s->timestep[i] = timestep_of(s, s->sigma[i]);
        if (s->options.schedule.beta_schedule != REEL_BETA_COSINE)
            s->timestep[i] = rint(s->timestep[i]);
    }
}

/* The multistep solvers lay n + 1 points and leave out the last, which is clean already. */
static void solver_timesteps(const reel_sampler_options *o, double *timestep) {
    const int n = o->n_steps, n_train = o->schedule.num_train_timesteps;
    for (int i = 0; i < n; i++) {
        if (o->spacing == REEL_SPACING_LINSPACE)
            timestep[i] = rint((double)(n_train - 1) * (n - i) / n);
        else if (o->spacing == REEL_SPACING_LEADING)
            timestep[i] = (n - i) * (n_train / (n + 1)) + o->steps_offset;
        else
            timestep[i] = rint(n_train - i * ((double)n_train / n)) - 1;
        timestep[i] = fmin(fmax(timestep[i], 0), n_train - 1);
    }
}

static void diffusion_table(reel_sampler *s) {
    const reel_sampler_options *o = &s->options;
    const int n = o->n_steps;
    reel_schedule_alphas_cumprod(&o->schedule, s->ac);
    if (is_diffusion_only(o->kind) || o->kind == REEL_SAMPLER_EULER)
        reel_schedule_timesteps(o->schedule.num_train_timesteps, o->spacing, o->steps_offset, n,
                                s->timestep);
    else
        solver_timesteps(o, s->timestep);
    if (is_diffusion_only(o->kind)) {
        for (int i = 0; i < n; i++)
            s->sigma[i] = sqrt(1 - s->ac[(int)s->timestep[i]]);
        s->sigma[n] = 0;
        return;
    }
    for (int i = 0; i < n; i++)
        s->sigma[i] = sigma_at(s, s->timestep[i]);
    if (o->karras_sigmas) karras_table(s);
    s->sigma[n] = o->final_sigma_zero ? 0 : sigma_at(s, 0);
}

/* Heun looks twice at every level but the last: sigma 0, 1, 1, 2, 2, ... */
static void spread_heun_timesteps(reel_sampler *s) {
    const int n = s->options.n_steps;
    for (int i = 2 * n - 2; i > 0; i--)
        s->timestep[i] = s->timestep[(i + 1) / 2];
}

/* ---- life ---- */

static reel_status allocate(reel_sampler *s) {
    const int64_t n_steps = s->options.n_steps, n_train = s->options.schedule.num_train_timesteps;
    const int64_t array = (s->n * (int64_t)sizeof(float) + 63) / 64 * 64;
    s->memory_bytes = 64 + REEL_SAMPLER_MAX_HISTORY * array;
    s->timestep = reel_calloc(s->env, 2 * n_steps, sizeof *s->timestep, "sampler");
    s->sigma = reel_calloc(s->env, n_steps + 1, sizeof *s->sigma, "sampler");
    s->ac = reel_calloc(s->env, n_train, sizeof *s->ac, "sampler");
    s->memory = reel_calloc(s->env, s->memory_bytes, 1, "sampler");
    if (!s->timestep || !s->sigma || !s->ac || !s->memory) return REEL_E_NOMEM;
    s->progress = (void *)s->memory;
    for (int k = 0; k < REEL_SAMPLER_MAX_HISTORY; k++)
        s->history[k] = (void *)(s->memory + 64 + k * array);
    return REEL_OK;
}

reel_status reel_sampler_new(reel_env *env, const reel_sampler_options *options, int64_t n,
                             reel_sampler **sampler) {
    reel_status status = check(env, options);
    if (status != REEL_OK) return status;
    reel_sampler *s = reel_calloc(env, 1, sizeof *s, "sampler");
    if (!s) return REEL_E_NOMEM;
    *s = (reel_sampler){.env = env, .options = *options, .n = n, .n_evaluations = options->n_steps};
    status = allocate(s);
    if (status != REEL_OK) {
        reel_sampler_free(&s);
        return status;
    }
    (options->schedule.flow ? flow_table : diffusion_table)(s);
    s->options.sigmas = NULL; /* read; it was the caller's */
    for (int i = 0; i < options->n_steps && options->integer_timesteps; i++)
        s->timestep[i] = trunc(s->timestep[i]);
    if (options->kind == REEL_SAMPLER_HEUN) {
        s->n_evaluations = 2 * options->n_steps - 1;
        spread_heun_timesteps(s);
    }
    *sampler = s;
    return REEL_OK;
}

void reel_sampler_free(reel_sampler **sampler) {
    reel_sampler *s = *sampler;
    if (!s) return;
    reel_free(s->env, s->timestep);
    reel_free(s->env, s->sigma);
    reel_free(s->env, s->ac);
    reel_free(s->env, s->memory);
    reel_free(s->env, s);
    *sampler = NULL;
}

/* ---- what the caller asks ---- */

int reel_sampler_n_evaluations(const reel_sampler *s) {
    return s->n_evaluations;
}
double reel_sampler_timestep(const reel_sampler *s, int i) {
    return s->timestep[i];
}

double reel_sampler_sigma(const reel_sampler *s, int i) {
    return s->sigma[s->options.kind == REEL_SAMPLER_HEUN ? (i + 1) / 2 : i];
}

static bool explodes(const reel_sampler *s) {
    return s->options.kind == REEL_SAMPLER_EULER && !s->options.schedule.flow;
}

/* diffusers' EulerDiscrete: the largest sigma, or, with leading spacing, sqrt(sigma^2 + 1). */
double reel_sampler_initial_scale(const reel_sampler *s) {
    if (!explodes(s)) return 1;
    const double most = s->sigma[0];
    return s->options.spacing == REEL_SPACING_LEADING ? sqrt(most * most + 1) : most;
}

void reel_sampler_scale_input(const reel_sampler *s, int i, const float *x, float *scaled) {
    const double scale = explodes(s) ? 1 / sqrt(s->sigma[i] * s->sigma[i] + 1) : 1;
    for (int64_t k = 0; k < s->n; k++)
        scaled[k] = (float)((double)x[k] * scale);
}

bool reel_sampler_wants_noise(const reel_sampler *s, int i) {
    switch (s->options.kind) {
    case REEL_SAMPLER_DDPM:
        return s->timestep[i] > 0;
    case REEL_SAMPLER_DDIM:
        return s->options.eta > 0;
    default:
        return s->options.kind == REEL_SAMPLER_DPMPP && s->options.sde;
    }
}

void *reel_sampler_memory(reel_sampler *s, int64_t *bytes) {
    *bytes = s->memory_bytes;
    return s->memory;
}

/* A step of order k looks back at k - 1 levels and outputs. Negative counts fail the last line. */
bool reel_sampler_can_continue(const reel_sampler *s, int i) {
    const reel_sampler_progress *p = s->progress;
    const int most = s->options.order < i ? s->options.order : i;
    if (i > s->n_evaluations || p->n_outputs > most) return false;
    const bool looks_back = s->options.kind == REEL_SAMPLER_UNIPC && p->n_outputs > 0;
    return p->last_order >= looks_back && p->last_order <= p->n_outputs;
}

void reel_sampler_step(reel_sampler *s, int i, const float *out, const float *variance,
                       const float *noise, float *x) {
    assert(i >= 0 && i < s->n_evaluations);
    switch (s->options.kind) {
    case REEL_SAMPLER_EULER:
        reel_euler_step(s, i, out, x);
        return;
    case REEL_SAMPLER_HEUN:
        reel_heun_step(s, i, out, x);
        return;
    case REEL_SAMPLER_UNIPC:
        reel_unipc_step(s, i, out, x);
        return;
    case REEL_SAMPLER_DPMPP:
        reel_dpmpp_step(s, i, out, noise, x);
        return;
    case REEL_SAMPLER_DDPM:
        reel_ddpm_step(s, i, out, variance, noise, x);
        return;
    default:
        reel_ddim_step(s, i, out, noise, x);
    }
}

/* ---- shared by the solvers ---- */

reel_level reel_sampler_level(const reel_sampler *s, int i) {
    const double sigma = s->sigma[i];
    reel_level level = {.alpha = 1 - sigma, .sigma = sigma};
    if (!s->options.schedule.flow) {
        level.alpha = 1 / sqrt(sigma * sigma + 1);
        level.sigma = sigma * level.alpha;
    }
    level.lambda = log(level.alpha) - log(level.sigma);
    return level;
}

double reel_predicted_x0(reel_prediction prediction, reel_level level, double x, double out) {
    switch (prediction) {
    case REEL_PREDICT_EPSILON:
        return (x - level.sigma * out) / level.alpha;
    case REEL_PREDICT_V:
        return level.alpha * x - level.sigma * out;
    case REEL_PREDICT_FLOW:
        return x - level.sigma * out;
    default:
        return out;
    }
}
