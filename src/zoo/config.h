/* Configurations of a model folder: config.json of each part, scheduler_config.json,
 * model_index.json.
 *
 * Field names are diffusers' (WanTransformer3DModel, AutoencoderKLWan, its schedulers) and
 * transformers' (UMT5EncoderModel, T5EncoderModel); the original Wan repository's config.json is
 * understood too. A field left out has the class's default. A field that would change the maths in
 * a way reel does not compute, and one that is not known and not null or false, is refused by name.
 */
#ifndef REEL_ZOO_CONFIG_H
#define REEL_ZOO_CONFIG_H

#include "base/json.h"
#include "base/json_out.h"
#include "models/clip/vision.h"
#include "models/t5/t5.h"
#include "models/wan/dit.h"
#include "models/wan/vae.h"

/* The parts of a pipeline that have weights. */
typedef enum reel_component_kind {
    REEL_COMPONENT_TRANSFORMER,  /* WanTransformer3DModel */
    REEL_COMPONENT_VAE,          /* AutoencoderKLWan */
    REEL_COMPONENT_TEXT_ENCODER, /* UMT5EncoderModel, T5EncoderModel */
    /* A second WanTransformer3DModel, for low noise: Wan 2.2's pairs of 14B. */
    REEL_COMPONENT_TRANSFORMER_2,
    REEL_COMPONENT_IMAGE_ENCODER, /* CLIPVisionModel */
    REEL_COMPONENT_COUNT,
} reel_component_kind;

/* "transformer", "vae", "text_encoder", "transformer_2", "image_encoder": the names of the
 * subfolders. Static storage. */
const char *reel_component_name(reel_component_kind kind);
/* The kind with that name, REEL_COMPONENT_COUNT when there is none. */
reel_component_kind reel_component_parse(const char *name);

typedef struct reel_component_config {
    reel_component_kind kind;
    bool original; /* read from the original repository's config.json */
    union {
        reel_wan_dit_config transformer; /* of both */
        reel_wan_vae_config vae;
        reel_t5_config text_encoder;
        reel_clip_vision_config image_encoder;
    };
} reel_component_config;

/* Whether it is one of the two transformers. */
bool reel_component_is_transformer(reel_component_kind kind);

/* The class's name in model_index.json and in the component's own config. Static storage. */
const char *reel_component_class(const reel_component_config *config);

/* Reads a component's config.json. REEL_E_FORMAT for a wrong type or range, REEL_E_UNSUPPORTED for
 * another class or maths; file, field, got and wanted are in the message. */
REEL_MUST_USE reel_status reel_component_config_read(const reel_json *at, reel_component_kind kind,
                                                     reel_component_config *config);
/* Writes one JSON object that the reader above, diffusers and transformers read back.
 * weights: transformers' torch_dtype of the text encoder. */
void reel_component_config_write(reel_json_out *out, const reel_component_config *config,
                                 reel_dtype weights);

/* ---- the scheduler ---- */

/* What a scheduler_config.json says. Words are static storage and those of diffusion/sampler.h. */
typedef struct reel_scheduler_config {
    const char *sampler; /* "unipc", "euler", "heun", "dpm++2m", "ddpm", "ddim" */
    bool flow;           /* rectified flow; else diffusion with betas */
    double shift;        /* of flow: flow_shift, or shift; 1 when not given */
    int64_t num_train_timesteps;
    int64_t solver_order;
    const char *solver_type;   /* "bh1", "bh2", "midpoint", "heun"; NULL: the sampler's own */
    const char *prediction;    /* "flow", "epsilon", "v", "sample" */
    const char *beta_schedule; /* "linear", "scaled_linear", "cosine" */
    double beta_start, beta_end;
    bool rescale_betas_zero_snr;
    const char *spacing; /* "linspace", "leading", "trailing" */
    int64_t steps_offset;
    bool final_sigma_zero;
    bool karras_sigmas;
    bool learned_variance; /* of DDPM: the model's second half of channels */
} reel_scheduler_config;

/* What Wan 2.1 ships: UniPC of order 2 on flow with shift 3. */
reel_scheduler_config reel_scheduler_config_default(void);
/* As reel_component_config_read. */
REEL_MUST_USE reel_status reel_scheduler_config_read(const reel_json *at,
                                                     reel_scheduler_config *config);
/* Writes the class of config->sampler: a flow scheduler (UniPC, Euler, Heun or DPM-Solver++), or
 * one of diffusion (DDPM, DDIM). */
void reel_scheduler_config_write(reel_json_out *out, const reel_scheduler_config *config);

/* ---- the index ---- */

typedef struct reel_model_index {
    char pipeline[64];              /* "WanPipeline", "WanImageToVideoPipeline" */
    bool has[REEL_COMPONENT_COUNT]; /* listed, and not as [null, null] */
    bool scheduler, tokenizer;      /* likewise */
    bool expand_timesteps;          /* Wan 2.2 5B: one noise level for each token */
    double boundary_ratio;          /* the noise level below which transformer_2 works, in (0,1] */
} reel_model_index;

/* Reads model_index.json. Pipelines other than Wan's are REEL_E_UNSUPPORTED, a second transformer
 * without a boundary_ratio is REEL_E_FORMAT. */
REEL_MUST_USE reel_status reel_model_index_read(const reel_json *at, reel_model_index *index);
/* config[kind] is NULL for a component that is not there. */
void reel_model_index_write(reel_json_out *out, const reel_model_index *index,
                            const reel_component_config *const config[REEL_COMPONENT_COUNT],
                            const char *scheduler_class);
/* diffusers' class for config->sampler: "UniPCMultistepScheduler". Static storage. */
const char *reel_scheduler_class(const reel_scheduler_config *config);
/* Whether its sampler is UniPC or DPM-Solver++, whose configs say what the model predicts. */
bool reel_scheduler_is_multistep(const reel_scheduler_config *config);

#endif
