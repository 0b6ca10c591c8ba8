/* scheduler_config.json, and model_index.json, which names the parts of a pipeline. */
#include <string.h>

#include "base/env.h"
#include "zoo/config.h"
#include "zoo/fields.h"

/* diffusers' classes; family: flow by itself, by its config (use_flow_sigmas), or never. */
enum { ALWAYS, BY_CONFIG, NEVER };
static const struct {
    const char *class, *sampler;
    int flow;
} class_table[] = {
    {"UniPCMultistepScheduler", "unipc", BY_CONFIG},
    {"FlowUniPCMultistepScheduler", "unipc", ALWAYS},
    {"FlowMatchEulerDiscreteScheduler", "euler", ALWAYS},
    {"FlowMatchHeunDiscreteScheduler", "heun", ALWAYS},
    {"DPMSolverMultistepScheduler", "dpm++2m", BY_CONFIG},
    {"FlowDPMSolverMultistepScheduler", "dpm++2m", ALWAYS},
    {"EulerDiscreteScheduler", "euler", NEVER},
    {"DDPMScheduler", "ddpm", NEVER},
    {"DDIMScheduler", "ddim", NEVER},
};
enum { N_CLASSES = sizeof class_table / sizeof *class_table };

reel_scheduler_config reel_scheduler_config_default(void) {
    return (reel_scheduler_config){.sampler = "unipc",
                                   .flow = true,
                                   .shift = 3,
                                   .num_train_timesteps = 1000,
                                   .solver_order = 2,
                                   .solver_type = "bh2",
                                   .prediction = "flow",
                                   .beta_schedule = "linear",
                                   .beta_start = 0.0001,
                                   .beta_end = 0.02,
                                   .spacing = "linspace",
                                   .final_sigma_zero = true};
}

const char *reel_scheduler_class(const reel_scheduler_config *config) {
    for (int i = 0; i < N_CLASSES; i++)
        if (strcmp(class_table[i].sampler, config->sampler) == 0 &&
            class_table[i].flow != (config->flow ? NEVER : ALWAYS))
            return class_table[i].class;
    return "UniPCMultistepScheduler";
}

bool reel_scheduler_is_multistep(const reel_scheduler_config *config) {
    return strcmp(config->sampler, "unipc") == 0 || strcmp(config->sampler, "dpm++2m") == 0;
}

/* The word that stands for a word of diffusers': the same index in another list. */
static void word(reel_fields *f, const char *key, const char *const *theirs,
                 const char *const *ours, int n, const char **out) {
    int i = -1;
    reel_field_word(f, key, theirs, n, &i);
    if (i >= 0) *out = ours[i];
}

static void read_words(reel_fields *f, reel_scheduler_config *c) {
    static const char *const predictions[] = {"flow_prediction", "epsilon", "v_prediction",
                                              "sample"};
    static const char *const our_predictions[] = {"flow", "epsilon", "v", "sample"};
    static const char *const betas[] = {"linear", "scaled_linear", "squaredcos_cap_v2"};
    static const char *const our_betas[] = {"linear", "scaled_linear", "cosine"};
    static const char *const spacings[] = {"linspace", "leading", "trailing"};
    static const char *const solvers[] = {"bh1", "bh2", "midpoint", "heun"};
    static const char *const finals[] = {"zero", "sigma_min"};
    word(f, "prediction_type", predictions, our_predictions, 4, &c->prediction);
    word(f, "beta_schedule", betas, our_betas, 3, &c->beta_schedule);
    word(f, "timestep_spacing", spacings, spacings, 3, &c->spacing);
    word(f, "solver_type", solvers, solvers, 4, &c->solver_type);
    int final = c->final_sigma_zero ? 0 : 1;
    reel_field_word(f, "final_sigmas_type", finals, 2, &final);
    c->final_sigma_zero = final == 0;
}

/* DDPM's; whether a fixed one is large or small is for the sampler to say. */
static void read_variance(reel_fields *f, reel_scheduler_config *c) {
    static const char *const types[] = {"fixed_small",     "fixed_small_log", "fixed_large",
                                        "fixed_large_log", "learned",         "learned_range"};
    int type = -1;
    reel_field_word(f, "variance_type", types, 6, &type);
    c->learned_variance = type == 5;
    if (f->status == REEL_OK && type == 4)
        f->status = reel_json_fail(f->at, REEL_E_UNSUPPORTED,
                                   "variance_type: reel computes learned_range, not learned");
}

static void refuse(reel_fields *f) {
    static const struct {
        const char *key, *why;
    } absent[] = {
        {"trained_betas", "schedules of listed betas"},
        {"use_beta_sigmas", "sigmas drawn from a beta distribution"},
        {"use_exponential_sigmas", "exponential sigmas"},
        {"thresholding", "dynamic thresholding"},
        {"use_lu_lambdas", "Lu's lambdas"},
        {"euler_at_final", "an Euler step at the end of DPM-Solver++"},
        {"invert_sigmas", "inverted sigmas"},
        {"stochastic_sampling", "stochastic flow sampling"},
        {"use_dynamic_shifting", "a shift that depends on the size"},
        {"shift_terminal", "a stretched schedule from a scheduler's config"},
    };
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        reel_field_absent(f, absent[i].key, absent[i].why);
}

/* What is fixed in the solvers of diffusion/. */
static void require(reel_fields *f) {
    static const char *const algorithm[] = {"dpmsolver++"};
    int unused = 0;
    bool x0 = true, lower = true;
    reel_field_word(f, "algorithm_type", algorithm, 1, &unused);
    reel_field_bool(f, "predict_x0", &x0);
    reel_field_bool(f, "lower_order_final", &lower);
    reel_field_absent(f, "disable_corrector", "UniPC without its corrector at some steps");
    if (f->status == REEL_OK && !(x0 && lower))
        f->status = reel_json_fail(f->at, REEL_E_UNSUPPORTED,
                                   "%s: reel computes the form where it is true only",
                                   x0 ? "lower_order_final" : "predict_x0");
}

reel_status reel_scheduler_config_read(const reel_json *at, reel_scheduler_config *config) {
    static const char *const harmless[] = {"base_image_seq_len",
                                           "base_shift",
                                           "clip_sample",
                                           "clip_sample_range",
                                           "max_image_seq_len",
                                           "max_shift",
                                           "sample_max_value",
                                           "set_alpha_to_one",
                                           "solver_p",
                                           "time_shift_type",
                                           "dynamic_thresholding_ratio",
                                           "lambda_min_clipped",
                                           "interpolation_type",
                                           "timestep_type",
                                           "sigma_min",
                                           "sigma_max",
                                           "skip_prk_steps",
                                           NULL};
    const char *classes[N_CLASSES];
    for (int i = 0; i < N_CLASSES; i++)
        classes[i] = class_table[i].class;
    int class = 0;
    const reel_status status = reel_json_choice(at, "_class_name", classes, N_CLASSES, &class);
    if (status != REEL_OK) return status;
    reel_scheduler_config c = reel_scheduler_config_default();
    bool flow_sigmas = false;
    c.sampler = class_table[class].sampler;
    c.shift = 1;
    c.solver_type = NULL;
    c.prediction = class_table[class].flow == ALWAYS ? "flow" : "epsilon";
    reel_fields f = reel_fields_begin(at);
    read_words(&f, &c);
    reel_field_int(&f, "num_train_timesteps", 1, 100000, &c.num_train_timesteps);
    reel_field_int(&f, "solver_order", 1, 3, &c.solver_order);
    reel_field_int(&f, "steps_offset", 0, 100000, &c.steps_offset);
    reel_field_real(&f, "beta_start", 0, 1, &c.beta_start);
    reel_field_real(&f, "beta_end", 0, 1, &c.beta_end);
    reel_field_real(&f, "flow_shift", 1e-3, 1e3, &c.shift);
    reel_field_real(&f, "shift", 1e-3, 1e3, &c.shift);
    reel_field_bool(&f, "use_flow_sigmas", &flow_sigmas);
    reel_field_bool(&f, "use_karras_sigmas", &c.karras_sigmas);
    reel_field_bool(&f, "rescale_betas_zero_snr", &c.rescale_betas_zero_snr);
    read_variance(&f, &c);
    refuse(&f);
    require(&f);
    reel_fields_harmless(&f, harmless);
    c.flow =
        class_table[class].flow == ALWAYS || (class_table[class].flow == BY_CONFIG && flow_sigmas);
    const bool either = strcmp(c.prediction, "sample") == 0;
    if (f.status == REEL_OK && !either && c.flow != (strcmp(c.prediction, "flow") == 0))
        f.status = reel_json_fail(at, REEL_E_UNSUPPORTED,
                                  "prediction_type: a %s schedule cannot predict \"%s\"",
                                  c.flow ? "flow" : "diffusion", c.prediction);
    if (reel_fields_end(&f) != REEL_OK) return f.status;
    *config = c;
    return REEL_OK;
}

static void put_text(reel_json_out *out, const char *key, const char *text) {
    reel_json_out_key(out, key);
    reel_json_out_string(out, text);
}

static void put_flow(reel_json_out *out, const reel_scheduler_config *c) {
    const bool multistep = reel_scheduler_is_multistep(c);
    reel_json_out_key(out, multistep ? "flow_shift" : "shift");
    reel_json_out_real(out, c->shift);
    if (!multistep) return;
    put_text(out, "prediction_type",
             strcmp(c->prediction, "sample") == 0 ? "sample" : "flow_prediction");
    reel_json_out_key(out, "use_flow_sigmas");
    reel_json_out_bool(out, true);
    reel_json_out_key(out, "solver_order");
    reel_json_out_int(out, c->solver_order);
    if (c->solver_type) put_text(out, "solver_type", c->solver_type);
    put_text(out, "final_sigmas_type", c->final_sigma_zero ? "zero" : "sigma_min");
}

static void put_diffusion(reel_json_out *out, const reel_scheduler_config *c) {
    const bool v = strcmp(c->prediction, "v") == 0, sample = strcmp(c->prediction, "sample") == 0;
    const bool cosine = strcmp(c->beta_schedule, "cosine") == 0;
    put_text(out, "prediction_type", v ? "v_prediction" : sample ? "sample" : "epsilon");
    put_text(out, "beta_schedule", cosine ? "squaredcos_cap_v2" : c->beta_schedule);
    reel_json_out_key(out, "beta_start");
    reel_json_out_real(out, c->beta_start);
    reel_json_out_key(out, "beta_end");
    reel_json_out_real(out, c->beta_end);
    put_text(out, "timestep_spacing", c->spacing);
    if (strcmp(c->sampler, "ddpm") == 0)
        put_text(out, "variance_type", c->learned_variance ? "learned_range" : "fixed_small");
    reel_json_out_key(out, "clip_sample");
    reel_json_out_bool(out, false);
}

void reel_scheduler_config_write(reel_json_out *out, const reel_scheduler_config *c) {
    reel_json_out_object_begin(out);
    put_text(out, "_class_name", reel_scheduler_class(c));
    reel_json_out_key(out, "num_train_timesteps");
    reel_json_out_int(out, c->num_train_timesteps);
    if (c->flow)
        put_flow(out, c);
    else
        put_diffusion(out, c);
    reel_json_out_end(out);
}

/* ---- the index ---- */

/* An entry is ["library", "Class"], or [null, null] for a part that is left out. */
static reel_status entry_class(const reel_json *at, const char *key, const char **class) {
    *class = NULL;
    if (!reel_json_has(at, key)) return REEL_OK;
    reel_json pair;
    const reel_status status = reel_json_array(at, key, &pair);
    if (status != REEL_OK) return status;
    if (reel_json_count(&pair) != 2)
        return reel_json_fail(&pair, REEL_E_FORMAT, "wanted [library, class], got %lld entries",
                              (long long)reel_json_count(&pair));
    const reel_json second = reel_json_item(&pair, 1);
    return reel_json_is_nothing(&second) ? REEL_OK : reel_json_string(&second, NULL, class);
}

static reel_status read_parts(const reel_json *at, reel_model_index *index) {
    const struct {
        const char *key;
        bool *has;
    } part[] = {
        {"transformer", &index->has[REEL_COMPONENT_TRANSFORMER]},
        {"vae", &index->has[REEL_COMPONENT_VAE]},
        {"text_encoder", &index->has[REEL_COMPONENT_TEXT_ENCODER]},
        {"scheduler", &index->scheduler},
        {"tokenizer", &index->tokenizer},
        {"transformer_2", &index->has[REEL_COMPONENT_TRANSFORMER_2]},
        {"image_encoder", &index->has[REEL_COMPONENT_IMAGE_ENCODER]},
    };
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        const char *class;
        const reel_status status = entry_class(at, part[i].key, &class);
        if (status != REEL_OK) return status;
        *part[i].has = class != NULL;
    }
    return REEL_OK;
}

reel_status reel_model_index_read(const reel_json *at, reel_model_index *index) {
    static const char *const pipelines[] = {"WanPipeline", "WanImageToVideoPipeline",
                                            "WanVideoToVideoPipeline"};
    static const char *const harmless[] = {"transformer",     "vae",           "text_encoder",
                                           "scheduler",       "tokenizer",     "image_encoder",
                                           "image_processor", "transformer_2", NULL};
    reel_model_index made = {0};
    int pipeline = 0;
    reel_status status = reel_json_choice(at, "_class_name", pipelines, 3, &pipeline);
    if (status == REEL_OK) status = read_parts(at, &made);
    if (status != REEL_OK) return status;
    memcpy(made.pipeline, pipelines[pipeline], strlen(pipelines[pipeline]) + 1);
    reel_fields f = reel_fields_begin(at);
    reel_field_bool(&f, "expand_timesteps", &made.expand_timesteps);
    if (reel_json_is_null(at, "boundary_ratio"))
        reel_fields_harmless(&f, (const char *const[]){"boundary_ratio", NULL});
    else
        reel_field_real(&f, "boundary_ratio", 0, 1, &made.boundary_ratio);
    reel_fields_harmless(&f, harmless);
    status = reel_fields_end(&f);
    if (status == REEL_OK && made.has[REEL_COMPONENT_TRANSFORMER_2] && !(made.boundary_ratio > 0))
        status = reel_json_fail(at, REEL_E_FORMAT,
                                "boundary_ratio: a pipeline of two transformers must say at which "
                                "noise level the second one takes over, above 0 and at most 1");
    if (status == REEL_OK) *index = made;
    return status;
}

static void put_pair(reel_json_out *out, const char *key, const char *library, const char *class) {
    reel_json_out_key(out, key);
    reel_json_out_array_begin(out);
    reel_json_out_string(out, library);
    reel_json_out_string(out, class);
    reel_json_out_end(out);
}

void reel_model_index_write(reel_json_out *out, const reel_model_index *index,
                            const reel_component_config *const config[REEL_COMPONENT_COUNT],
                            const char *scheduler_class) {
    reel_json_out_object_begin(out);
    put_text(out, "_class_name", index->pipeline[0] ? index->pipeline : "WanPipeline");
    for (int i = 0; i < REEL_COMPONENT_COUNT; i++)
        if (config[i])
            put_pair(out, reel_component_name((reel_component_kind)i),
                     i == REEL_COMPONENT_TEXT_ENCODER || i == REEL_COMPONENT_IMAGE_ENCODER
                         ? "transformers"
                         : "diffusers",
                     reel_component_class(config[i]));
    if (index->scheduler) put_pair(out, "scheduler", "diffusers", scheduler_class);
    if (index->tokenizer) put_pair(out, "tokenizer", "transformers", "T5Tokenizer");
    if (config[REEL_COMPONENT_IMAGE_ENCODER])
        put_pair(out, "image_processor", "transformers", "CLIPImageProcessor");
    if (index->expand_timesteps) {
        reel_json_out_key(out, "expand_timesteps");
        reel_json_out_bool(out, true);
    }
    if (config[REEL_COMPONENT_TRANSFORMER_2]) {
        reel_json_out_key(out, "boundary_ratio");
        reel_json_out_real(out, index->boundary_ratio);
    }
    reel_json_out_end(out);
}
