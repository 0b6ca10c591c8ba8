/* Recipes: what is trained, on what, how; one JSON file, read strictly.
 *
 * A recipe is an object of sections ("run", "optimiser", "data", "vae", ...), each an object of
 * fields. A section or field that is not known is an error that names it and what is accepted; what
 * is left out keeps its default. Overrides ("optimiser.lr=0.001") are read by the same table.
 */
#ifndef REEL_TRAIN_RECIPE_H
#define REEL_TRAIN_RECIPE_H

#include "data/buckets.h"
#include "train/learner.h"

enum {
    REEL_RECIPE_LIST = 8,
    REEL_RECIPE_TEXT = 256,
    REEL_RECIPE_BUCKETS = 12,
    REEL_RECIPE_PATHS = 8,
};

/* A list of whole numbers. */
typedef struct reel_recipe_list {
    int64_t n;
    int64_t item[REEL_RECIPE_LIST];
} reel_recipe_list;

/* Paths; what is behind the last one is zero. */
typedef struct reel_recipe_paths {
    int64_t n;
    char item[REEL_RECIPE_PATHS][REEL_RECIPE_TEXT];
} reel_recipe_paths;

typedef enum reel_decay { REEL_DECAY_CONSTANT, REEL_DECAY_LINEAR, REEL_DECAY_COSINE } reel_decay;

/* Every field has its section's name and its own in the JSON. */
typedef struct reel_recipe {
    struct {
        int64_t seed;
        int64_t steps;             /* the schedule's length, and where the run ends */
        double checkpoint_minutes; /* between checkpoints; also one at the end */
        double validate_minutes;   /* between validations; 0: by steps alone */
        int64_t validate_steps;    /* 0: by time alone */
        int64_t log_steps;         /* a line of metrics every so many steps */
        int64_t samples;           /* clips a dit shows at each validation; 0: none */
        int64_t sample_steps;      /* of the sampler that makes them */
    } run;
    struct {
        double warmup;         /* steps */
        int64_t decay;         /* reel_decay */
        double decay_fraction; /* of the steps, at the end */
        double final_lr;       /* of the peak, where the decay ends */
        int64_t batch;         /* clips or crops of a micro-step; DiT: tokens are run.. see data */
        int64_t bf16;          /* 0: everything in f32 */
        double beta1, beta2, eps, momentum, clip, ema;
        int64_t accumulate;
        int64_t n_rules;
        reel_rule rule[REEL_MAX_RULES];
    } optimiser;
    struct {
        int64_t seed; /* of the world; held-out clips have another split, not another seed. Of
                         clips of one's own: of their order */
        double fps;
        int64_t n_buckets;
        reel_bucket bucket[REEL_RECIPE_BUCKETS];
        int64_t pool;       /* clips held (vae) or latents cached (dit) at most */
        int64_t pool_start; /* of them, before the first step */
        double fresh;       /* new clips for each step, on the average, until the pool is full
                               (dit) or for ever, replacing the oldest (vae) */
        double drills;      /* share of the world's clips that teach directions (data/source.h) */
        char drill_on[REEL_RECIPE_TEXT]; /* which; "": all (reel_drills_parse) */
        int64_t validation;              /* held-out clips that are measured */
        char cache[REEL_RECIPE_TEXT];    /* folder of cached latents; "": inside the run folder */
        reel_recipe_paths clips; /* folders, .tar files, videos; none: the world (data/clips.h) */
    } data;
    struct {
        int64_t base_dim, decoder_base_dim, z_dim, num_res_blocks, patch_size;
        reel_recipe_list dim_mult, temperal_downsample;
        int64_t crop, crop_frames; /* pixels a side and frames of a training crop */
        int64_t full_every;        /* every n-th step takes whole clips; 0: never */
        double kl, l1, mse;        /* weights of the terms */
        double delta;              /* of errors of steps from frame to frame (train/vae_loss.h) */
        double pca, pca_final;     /* weight of staying near the linear code: first, last */
        int64_t pca_steps;         /* over which it falls */
        int64_t linear_path;       /* whether the linear code stands beside the networks */
        double noise;              /* decoder stage: sigma of the noise on latents */
        char mistakes[REEL_RECIPE_TEXT]; /* decoder stage: a model whose errors it is to forgive */
        char init[REEL_RECIPE_TEXT];     /* folder whose vae/ the weights start from; "": none */
    } vae;
    struct {
        int64_t num_attention_heads, attention_head_dim, ffn_dim, num_layers, freq_dim;
        reel_recipe_list patch_size;    /* none: that of init, or [1,2,2] */
        char vae[REEL_RECIPE_TEXT];     /* folder of the trained VAE */
        char decoder[REEL_RECIPE_TEXT]; /* folder whose vae/ is saved with the model; "": dit.vae */
        char tokenizer[REEL_RECIPE_TEXT]; /* the tokenizer's file */
        char init[REEL_RECIPE_TEXT];      /* folder of a model to go on from; "": none */
        char blend[REEL_RECIPE_TEXT]; /* folder whose transformer is blended into what is saved */
        double blend_share;           /* of the mean that is its own */
        int64_t lora;                 /* rank; 0: full training */
        int64_t row_tokens;           /* tokens of a packed row */
        int64_t row_clips;            /* most clips of a row */
        double short_fraction;        /* of samples that are cut to their first frames */
        double image_fraction;        /* of samples that are their first frame alone */
        int64_t planes;               /* 1: tokens are shown where they stand */
        int64_t pooled_text;          /* 1: all of a text modulates, too */
        int64_t balance_text;         /* 1: begins with init's text encoder balanced */
        double object_weight;         /* of tokens that show an object, others having 1 */
        double layout;                /* weight of what stands where, as blocks half-way see it */
        double mask_fraction;         /* of samples some of whose frames are known */
        double known_noise;           /* level up to which half of them have these noised */
        double caption_dropout;
        double chinese_fraction; /* of captions */
        double t_mean, t_std;    /* of the logit-normal t */
        double shift;            /* of t, at shift_tokens tokens; grows as the root */
        int64_t shift_tokens;
        char objective[REEL_RECIPE_TEXT]; /* "flow", "sample", "epsilon", "v", "learned" */
        double vlb; /* learned: the weight of the variational bound, Improved DDPM's lambda */
    } dit;
    struct {
        int64_t d_model, d_kv, d_ff, num_heads, num_layers;
        int64_t tokens; /* of a text that the transformer sees; 0: as init says, or 64 */
        char init[REEL_RECIPE_TEXT]; /* folder whose text_encoder/ the weights start from; "": none
                                      */
    } text;
    struct {
        int64_t vocabulary, captions;
    } tokenizer;
    struct {
        reel_recipe_list channels; /* of the four stages */
        int64_t features, looks;
        double soften;    /* share of clips at half their sharpness */
        double mirror;    /* of clips whose left and right are exchanged, with their answers */
        double pairs;     /* of clips whose first object is a kind in a color held out elsewhere */
        double smoothing; /* of the true answers */
        char init[REEL_RECIPE_TEXT]; /* folder of a judge whose weights are taken where they fit */
    } judge;
    struct {
        int64_t channels, blocks, mid; /* as of models/depth/depth.h */
        char vae[REEL_RECIPE_TEXT];    /* folder of the trained VAE */
    } depth;
} reel_recipe;

reel_recipe reel_recipe_default(void);

/* Reads a recipe from text (name says in messages what it is) into *recipe, over what it holds.
 * REEL_E_FORMAT naming section and field. */
REEL_MUST_USE reel_status reel_recipe_parse(reel_env *env, const char *text, int64_t bytes,
                                            const char *name, reel_recipe *recipe);
/* "section.field=value": value as JSON, or as bare text for a field of text. REEL_E_ARG. */
REEL_MUST_USE reel_status reel_recipe_set(reel_env *env, const char *assignment,
                                          reel_recipe *recipe);
/* The whole recipe as JSON; the parser reads it back to the same recipe. The caller frees *text. */
REEL_MUST_USE reel_status reel_recipe_write(reel_env *env, const reel_recipe *recipe, char **text,
                                            int64_t *bytes);
/* Fails with REEL_E_ARG, naming the field, when a run of `old` cannot go on with `recipe`: all
 * fields but those that say how long and how often must agree. */
REEL_MUST_USE reel_status reel_recipe_compatible(reel_env *env, const reel_recipe *old,
                                                 const reel_recipe *recipe);

/* The options of a learner. */
reel_learner_options reel_recipe_learner(const reel_recipe *recipe);
/* What multiplies the peak rates at step (from 0): warmup, then constant, then the decay. */
double reel_recipe_rate(const reel_recipe *recipe, int64_t step);

#endif
