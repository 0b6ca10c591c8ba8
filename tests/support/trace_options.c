#include "support/trace_options.h"

#include <string.h>

#include "base/env.h"

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

/* The value of a key, or what stands for it when it is missing or of another type. */
static const char *text_or(const reel_json *at, const char *key, const char *fallback) {
    const char *text = fallback;
    return reel_json_string_or(at, key, fallback, &text) == REEL_OK ? text : fallback;
}
static double real_or(const reel_json *at, const char *key, double fallback) {
    double x = fallback;
    return reel_json_real_or(at, key, -1e300, 1e300, fallback, &x) == REEL_OK ? x : fallback;
}
static bool bool_or(const reel_json *at, const char *key, bool fallback) {
    bool x = fallback;
    return reel_json_bool_or(at, key, fallback, &x) == REEL_OK ? x : fallback;
}

reel_status trace_reals(const reel_json *at, const char *key, double *out, int most, int *n) {
    reel_json array;
    *n = 0;
    if (key && (!reel_json_has(at, key) || reel_json_is_null(at, key))) return REEL_OK;
    reel_status status = reel_json_array(at, key, &array);
    if (status != REEL_OK) return status;
    if (reel_json_count(&array) > most)
        return reel_json_fail(&array, REEL_E_FORMAT, "wanted at most %d numbers", most);
    for (int i = 0; i < (int)reel_json_count(&array) && status == REEL_OK; i++) {
        const reel_json item = reel_json_item(&array, i);
        status = reel_json_real(&item, NULL, -1e300, 1e300, &out[i]);
        *n = i + 1;
    }
    return status;
}

static reel_sampler_kind kind_of(const char *class) {
    static const struct {
        const char *part;
        reel_sampler_kind kind;
    } kind[] = {
        {"FlowMatchEuler", REEL_SAMPLER_EULER},
        {"EulerDiscrete", REEL_SAMPLER_EULER},
        {"UniPC", REEL_SAMPLER_UNIPC},
        {"DPMSolver", REEL_SAMPLER_DPMPP},
        {"DDIM", REEL_SAMPLER_DDIM},
        {"DDPM", REEL_SAMPLER_DDPM},
    };
    for (size_t i = 0; i < sizeof kind / sizeof *kind; i++)
        if (strstr(class, kind[i].part)) return kind[i].kind;
    return REEL_SAMPLER_COUNT;
}

static void read_schedule(const reel_json *config, reel_schedule *s) {
    const char *betas = text_or(config, "beta_schedule", "linear");
    s->beta_schedule = is(betas, "scaled_linear")       ? REEL_BETA_SCALED_LINEAR
                       : is(betas, "squaredcos_cap_v2") ? REEL_BETA_COSINE
                                                        : REEL_BETA_LINEAR;
    s->beta_start = real_or(config, "beta_start", 0.0001);
    s->beta_end = real_or(config, "beta_end", 0.02);
    s->rescale_betas_zero_snr = bool_or(config, "rescale_betas_zero_snr", false);
    s->shift = real_or(config, "flow_shift", real_or(config, "shift", 1));
}

static void read_diffusion(const reel_json *config, reel_sampler_options *o) {
    const char *prediction = text_or(config, "prediction_type", "flow_prediction");
    const char *spacing = text_or(config, "timestep_spacing", "linspace");
    o->prediction = is(prediction, "epsilon")        ? REEL_PREDICT_EPSILON
                    : is(prediction, "v_prediction") ? REEL_PREDICT_V
                    : is(prediction, "sample")       ? REEL_PREDICT_SAMPLE
                                                     : REEL_PREDICT_FLOW;
    o->schedule.flow = o->prediction == REEL_PREDICT_FLOW;
    o->spacing = is(spacing, "leading")    ? REEL_SPACING_LEADING
                 : is(spacing, "trailing") ? REEL_SPACING_TRAILING
                                           : REEL_SPACING_LINSPACE;
    o->steps_offset = (int)real_or(config, "steps_offset", 0);
    o->karras_sigmas = bool_or(config, "use_karras_sigmas", false);
    o->clip_sample = bool_or(config, "clip_sample", false);
    o->set_alpha_to_one = bool_or(config, "set_alpha_to_one", true);
    if (is(text_or(config, "variance_type", ""), "fixed_large")) o->variance = REEL_VARIANCE_LARGE;
}

static reel_status read_solver(const reel_json *config, reel_sampler_options *o) {
    const char *solver = text_or(config, "solver_type", "");
    double disabled[8];
    int n;
    o->order = (int)real_or(config, "solver_order", 2);
    o->final_sigma_zero = is(text_or(config, "final_sigmas_type", "zero"), "zero");
    o->solver_type = is(solver, "bh1")    ? REEL_SOLVER_BH1
                     : is(solver, "heun") ? REEL_SOLVER_HEUN
                                          : REEL_SOLVER_DEFAULT;
    o->sde = is(text_or(config, "algorithm_type", ""), "sde-dpmsolver++");
    const reel_status status = trace_reals(config, "disable_corrector", disabled, 8, &n);
    for (int i = 0; i < n; i++)
        if (disabled[i] >= 0 && disabled[i] < 64) o->disable_corrector |= 1ull << (int)disabled[i];
    return status;
}

static reel_status read_steps(const reel_json *steps, reel_sampler_options *o, double *sigmas) {
    int n = 0;
    o->n_steps = (int)real_or(steps, "num_inference_steps", 0);
    o->schedule.shift = real_or(steps, "shift", o->schedule.shift);
    reel_status status = trace_reals(steps, "sigmas", sigmas, TRACE_MAX_SIGMAS, &n);
    if (status == REEL_OK && !n) {
        status = trace_reals(steps, "__retrieve", sigmas, TRACE_MAX_SIGMAS, &n);
        if (n) o->schedule.shift = 1; /* Wan hands over sigmas that are shifted already */
    }
    if (n) {
        o->sigmas = sigmas;
        o->n_steps = n;
    }
    o->mu = real_or(steps, "mu", 0);
    return status;
}

reel_status trace_options_read(const reel_json *trace, reel_sampler_options *o, double *sigmas) {
    reel_json config, steps, more;
    const char *class = text_or(trace, "class", "");
    const reel_sampler_kind kind = kind_of(class);
    if (kind == REEL_SAMPLER_COUNT)
        return reel_json_fail(trace, REEL_E_UNSUPPORTED, "no sampler reproduces '%.64s'", class);
    reel_status status = reel_json_object(trace, "config", &config);
    if (status == REEL_OK) status = reel_json_object(trace, "set_timesteps", &steps);
    if (status == REEL_OK) status = reel_json_object(trace, "step_kwargs", &more);
    if (status != REEL_OK) return status;
    *o = reel_sampler_options_default(kind);
    read_schedule(&config, &o->schedule);
    read_diffusion(&config, o);
    status = read_solver(&config, o);
    o->integer_timesteps = !strstr(class, "Euler") && o->schedule.flow;
    if (status == REEL_OK) status = read_steps(&steps, o, sigmas);
    o->dynamic_shift = bool_or(&config, "use_dynamic_shifting", false);
    o->shift_terminal = real_or(&config, "shift_terminal", 0);
    o->eta = real_or(&more, "eta", 0);
    return status;
}
