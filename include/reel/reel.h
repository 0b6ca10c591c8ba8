/* reel: the public interface of libreel.
 *
 * The only header that is installed. Handles are opaque, requests are structs with a _default()
 * initialiser, every fallible call returns a reel_status and leaves a message in the environment.
 * One environment and what hangs off it are used by one thread at a time.
 */
#ifndef REEL_REEL_H
#define REEL_REEL_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define REEL_API __attribute__((visibility("default")))
#define REEL_MUST_USE __attribute__((warn_unused_result))
#else
#define REEL_API
#define REEL_MUST_USE
#endif

/* What became of a call. The message (reel_env_message) says what, where, got and wanted. */
typedef enum reel_status {
    REEL_OK = 0,
    REEL_E_ARG,         /* an argument is outside its range */
    REEL_E_SHAPE,       /* shapes or dtypes do not fit together */
    REEL_E_NOMEM,       /* an allocation failed */
    REEL_E_IO,          /* the operating system refused to read or write */
    REEL_E_FORMAT,      /* a file is not what it says it is */
    REEL_E_UNSUPPORTED, /* valid, but not something this build or machine does */
    REEL_E_CANCELLED,   /* the caller asked to stop */
} reel_status;

typedef enum reel_log_level {
    REEL_LOG_ERROR,
    REEL_LOG_WARN,
    REEL_LOG_INFO,
    REEL_LOG_DEBUG,
} reel_log_level;

/* Receives one line without a newline. text is borrowed for the call. May come from any thread. */
typedef void reel_log_fn(void *context, reel_log_level level, const char *text);

typedef struct reel_env reel_env;

/* How an environment is made. */
typedef struct reel_env_options {
    int n_threads;          /* 1..256; 0: one per usable core */
    reel_log_fn *log;       /* NULL: silent */
    void *log_context;      /* handed to log */
    reel_log_level log_max; /* lines above this level are dropped */
} reel_env_options;

/* Options with every field at its default. */
REEL_API reel_env_options reel_env_options_default(void);

/* Makes an environment: allocator, log, threads and the message of the first failure.
 * options may be NULL. The caller owns *env and frees it with reel_env_free. */
REEL_MUST_USE REEL_API reel_status reel_env_new(const reel_env_options *options, reel_env **env);

/* Frees *env and nulls it; NULL-safe. Everything made from it must be gone before. */
REEL_API void reel_env_free(reel_env **env);

/* The message of the first failure since the last reel_env_clear; "" when there is none.
 * Borrowed, valid until the next call that fails or clears. */
REEL_API const char *reel_env_message(const reel_env *env);

/* Forgets the message, so that the next failure is the first one. */
REEL_API void reel_env_clear(reel_env *env);

/* A status as a word: "ok", "argument", "shape", "memory", "io", "format", "unsupported",
 * "cancelled". Static storage. */
REEL_API const char *reel_status_name(reel_status status);

/* The library's version, "MAJOR.MINOR.PATCH". Static storage. */
REEL_API const char *reel_version(void);

/* ---- kernels: what computes each operation on this machine ---- */

/* The strongest instruction set level this machine has, one of reel_machine_levels. Static. */
REEL_API const char *reel_machine_level(void);

/* All levels, weakest first, ended by NULL: "portable", "avx2", ... Static storage. */
REEL_API const char *const *reel_machine_levels(void);

/* Told of one operation: its n kernels in the order in which they are asked; the first that takes
 * the types and shapes of a call computes it. n is 0 for an operation that only renames memory.
 * Everything is borrowed for the call. */
typedef void reel_kernel_visit(void *context, const char *operation, int n,
                               const char *const *kernel);

/* Calls visit for every operation with its kernels up to a level (NULL: the machine's own; a
 * stronger one than the machine has is cut to it). Fails with REEL_E_ARG for an unknown level. */
REEL_MUST_USE REEL_API reel_status reel_kernels_list(reel_env *env, const char *level,
                                                     reel_kernel_visit *visit, void *context);

/* ---- weight files ---- */

/* An open safetensors file, or the files an x.safetensors.index.json names. */
typedef struct reel_weights reel_weights;

enum { REEL_WEIGHT_MAX_RANK = 6 };

/* What the file says of one tensor. */
typedef struct reel_weight {
    const char *name;                  /* UTF-8; borrowed from the open file */
    const char *dtype;                 /* "f32", "bf16", "f16", "i32", "i64", "u8"; static */
    int rank;                          /* 0 (a scalar) to REEL_WEIGHT_MAX_RANK */
    int64_t dim[REEL_WEIGHT_MAX_RANK]; /* entries from rank on are 0 */
    int64_t n_elements;
    int64_t n_bytes;
} reel_weight;

/* Opens and checks path against every rule of the format: a .safetensors file, or a .json index and
 * all its files. REEL_E_IO, REEL_E_FORMAT or REEL_E_UNSUPPORTED with what was wrong and where. The
 * caller closes *weights, before env is freed. */
REEL_MUST_USE REEL_API reel_status reel_weights_open(reel_env *env, const char *path,
                                                     reel_weights **weights);
/* Closes *weights and nulls it; NULL-safe. Names got from it are gone. */
REEL_API void reel_weights_close(reel_weights **weights);

/* Tensors, and the i-th of them, i in [0, count), by name in byte order. */
REEL_API int64_t reel_weights_count(const reel_weights *weights);
REEL_API reel_weight reel_weights_at(const reel_weights *weights, int64_t i);

/* Files, and the path of the i-th, i in [0, files). Borrowed. */
REEL_API int reel_weights_files(const reel_weights *weights);
REEL_API const char *reel_weights_file(const reel_weights *weights, int i);

/* Pairs of text in the "__metadata__" of file i, and the k-th of them. Borrowed. */
REEL_API int64_t reel_weights_metadata_count(const reel_weights *weights, int i);
REEL_API void reel_weights_metadata_at(const reel_weights *weights, int i, int64_t k,
                                       const char **key, const char **value);

/* ---- model folders ---- */

/* What a folder says of one of its parts, and what the part's files hold. */
typedef struct reel_model_part {
    const char *name;       /* "transformer", "vae", "text_encoder"; static */
    const char *class_name; /* "WanTransformer3DModel"; static */
    const char *config;     /* its configuration as JSON; borrowed for the call */
    const char *dtype;      /* of most of its weights: "f32", "bf16", "f16"; static */
    int64_t n_tensors;
    int64_t n_elements;
    int64_t n_bytes; /* in the files */
    int n_files;
} reel_model_part;

/* What a folder says of the model as a whole. Borrowed for the call. */
typedef struct reel_model_about {
    const char *pipeline;  /* "WanPipeline" */
    const char *sampler;   /* "unipc" */
    double flow_shift;     /* of its schedule */
    const char *tokenizer; /* path of its spiece.model; NULL: none */
} reel_model_about;

typedef void reel_model_about_visit(void *context, const reel_model_about *about);
typedef void reel_model_part_visit(void *context, const reel_model_part *part);

/* Opens the model folder at path (diffusers' layout or Wan's own), calls about once, and part for
 * each part, whose weights are opened, compared with its configuration and dropped. Either may be
 * NULL. REEL_E_IO, REEL_E_FORMAT or REEL_E_UNSUPPORTED with the file and the reason. */
REEL_MUST_USE REEL_API reel_status reel_model_describe(reel_env *env, const char *path,
                                                       reel_model_about_visit *about,
                                                       reel_model_part_visit *part, void *context);

/* Finds a model by what a user gives: a path, or "Org/Name" in the Hugging Face cache at
 * cache_root, the folder that holds models--Org--Name (NULL: there is none). Nothing is downloaded:
 * the message says which command would. path receives the folder, room bytes with its end. */
REEL_MUST_USE REEL_API reel_status reel_model_find(reel_env *env, const char *given,
                                                   const char *cache_root, char *path,
                                                   int64_t room);

/* A model to be made with random weights. */
typedef struct reel_model_request {
    const char *like;   /* a preset (reel_model_presets) or a model folder to be like; or NULL */
    const char *config; /* a JSON file: a config.json, or one object of several; or NULL */
    const char *components; /* "transformer,vae": only these; NULL: all there are */
    const char *tokenizer;  /* a sentencepiece model to be copied in; or NULL */
    const char *dtype;      /* "f32" or "bf16" */
    uint64_t seed;
} reel_model_request;

/* bf16, seed 0, everything else NULL; like or config has to be set. */
REEL_API reel_model_request reel_model_request_default(void);

/* Names of the presets, ended by NULL. Static storage. */
REEL_API const char *const *reel_model_presets(void);

/* Writes a complete model folder at path, where nothing may be yet (REEL_E_ARG): it appears whole,
 * or not at all. Memory does not grow with the model. */
REEL_MUST_USE REEL_API reel_status reel_model_create(reel_env *env, const char *path,
                                                     const reel_model_request *request);
/* ---- training ---- */

/* What a training run says while it goes on. Everything is borrowed for the call. */
typedef struct reel_train_event {
    const char *kind;  /* "vae", "text", "dit", "judge", "depth", "tokenizer" */
    const char *phase; /* "prepare", "skipped" (a clip), "step", "validate", "samples",
                          "checkpoint", "profile", "done", "stopped" */
    int64_t step, steps;
    double loss, norm;          /* of the last steps' mean; of the gradient */
    double seconds, left_s;     /* spent so far in all sittings; what is left, about */
    double samples_per_s;       /* clips, crops or packed samples */
    double flops_per_s;         /* arithmetic of the plans over wall time, loaders included */
    double ceiling_flops_per_s; /* what a large matrix product reaches here; 0: not measured */
    const char *text;           /* a sentence of its own, or JSON of a validation; or NULL */
} reel_train_event;

/* Called for each event; returning nonzero asks the run to finish its step, write a checkpoint and
 * stop. */
typedef int reel_train_progress(void *context, const reel_train_event *event);

/* What to train. */
typedef struct reel_train_options {
    const char *kind; /* "vae", "decoder", "text", "dit", "judge", "depth", "tokenizer", "pocket" */
    const char *recipe;     /* path of the recipe; NULL: defaults */
    const char *out;        /* run folder: made, or gone on with when it holds a checkpoint */
    const char *const *set; /* [n_set] overrides of the recipe, "section.field=value" */
    int n_set;
    int64_t steps;   /* 0: the recipe's */
    double minutes;  /* stop after so much wall time, to be gone on with later; 0: no limit */
    const char *isa; /* use no kernels above this level; NULL: the machine's own */
    int profile;     /* nonzero: after a few steps, tell a table of kernels as events and stop */
    reel_train_progress *progress; /* may be NULL */
    void *context;
} reel_train_options;

/* Every field at its default. */
REEL_API reel_train_options reel_train_options_default(void);

/* Trains. The run folder gets recipe.json, metrics.jsonl, checkpoints and the trained part of a
 * model folder. A run that was stopped, or killed, goes on from its last checkpoint to the same
 * bytes. *stopped (may be NULL) is 1 when it was asked to stop before the end. REEL_E_ARG for a
 * wrong option, REEL_E_FORMAT for a wrong recipe or when a step is not finite. */
REEL_MUST_USE REEL_API reel_status reel_train(reel_env *env, const reel_train_options *options,
                                              int *stopped);
/* ---- generation: prompts into video ---- */

/* What a generation is given besides its prompt. All but GENERATE need a model that takes a noise
 * level for each token; the others are REEL_E_UNSUPPORTED. */
typedef enum reel_task_kind {
    REEL_TASK_GENERATE, /* nothing */
    REEL_TASK_ANIMATE,  /* pictures at some of its frames */
    REEL_TASK_EXTEND,   /* clip[0], which comes through untouched; length is what is added */
    REEL_TASK_CONNECT,  /* clip[0] and clip[1], untouched; length is what comes between them */
    REEL_TASK_LOOP,     /* clip[0], untouched; length is the way from its end to its beginning */
    REEL_TASK_EDIT,     /* clip[0], noised up to `strength` and made anew from there */
    REEL_TASK_BLEND,    /* clip[0] turning into clip[1] along `curve`, as long as the shorter one */
} reel_task_kind;

/* How much of a blend is clip[1] at a time: a point of a line. */
typedef struct reel_curve_point {
    double at;     /* 0, the first frame, to 1, the last */
    double weight; /* 0, all of clip[0], to 1, all of clip[1] */
} reel_curve_point;

/* A picture a frame of the result is to look like. */
/* A picture a frame of the result is to look like, or a part of a clip for as many frames. */
typedef struct reel_keyframe {
    int64_t frame; /* from 0; negative: from the end, -1 is the last */
    const char *path;
    int64_t from, n; /* of a clip: its frames [from, from + n), one by one; n 0: a picture */
} reel_keyframe;

/* A low-rank adapter (a LoRA in diffusers' or PEFT's names) added to the model's weights. */
typedef struct reel_lora {
    const char *path;
    double scale; /* [-100,100]; 1: as it was trained */
} reel_lora;

/* What is to be made. Text is UTF-8 and borrowed while the generation is open. */
typedef struct reel_generate_request {
    const char *model;      /* a folder, or a repository's name ("Org/Name") in the cache; needed */
    const char *cache_root; /* the Hugging Face cache to look in ("~/.cache/huggingface/hub"), or
                               NULL */
    const char *output;     /* the file to write; its extension says the format; needed to run */
    const char *prompt;     /* needed */
    const char *negative_prompt; /* what to keep away from, with guidance; NULL: "" */
    int64_t seed;                /* 0 to 2^63 - 1 */
    bool seed_is_drawn;       /* nobody asked for this seed: a run that is resumed keeps its own */
    int64_t width, height;    /* pixels, 16..8192; 0: the model's own */
    int64_t frames;           /* 1..1000000; 0: by seconds, or the model's own */
    double seconds;           /* 0.01..100000; 0: by frames */
    double fps;               /* 1..1000; 0: the model's own */
    int64_t steps;            /* 1..1000; 0: the model's own */
    double cfg_scale;         /* 0..100, 1: no guidance; negative: the model's own */
    double cfg_rescale;       /* 0..1 */
    double cfg_from, cfg_to;  /* the share of the steps that is guided, within 0..1; cfg_to
                                 negative: the model's own */
    double flow_shift;        /* 0.01..100; 0: the model's own */
    const char *sampler;      /* "unipc", "euler", "heun", "dpm++2m"; NULL: the model's own */
    const char *type;         /* weights and arithmetic: "f32", "bf16", "q8_0"; NULL: as stored */
    const char *isa;          /* the strongest kernels to use; NULL: the machine's */
    int64_t max_memory;       /* bytes the process may hold; 0: what the machine has free */
    const char *preview_path; /* rewritten with a preview after every step; NULL: none */
    bool bit_exact;           /* portable kernels: the same bytes from any x86-64 machine */
    bool
        keep_finished; /* an output that is there, whole and with this very recipe, is left alone */
    const reel_lora *lora; /* [n_loras], of the transformer, one after another */
    int n_loras;

    /* What is longer than a model makes at once is made in windows, in memory that does not depend
     * on the length: each is given the end of the one before. Lengths in frames. */
    int64_t window;       /* made at once; 0: the model's own length, for what is too long */
    int64_t context;      /* of it, taken from the window before; 0: a third */
    int64_t anchor;       /* of it, taken from the first window, before those; 0: none; negative:
                             as the model has it */
    double context_noise; /* 0..1: the noise level up to which both are shown to the model;
                             negative: the model's own */

    reel_task_kind task;
    bool letterbox; /* what has another shape gets black bars; false: it is cropped */
    const reel_keyframe *keyframe; /* [n_keyframes], of ANIMATE */
    int n_keyframes;
    const char *clip[2]; /* files; frames that stay untouched do so when width and height are 0, or
                            those of the clip */
    bool backward;       /* EXTEND goes on before the clip's beginning; false: behind its end */
    double keep_from_s, keep_to_s; /* of EXTEND: only this part of the clip is kept, when the second
                                      is above the first */
    const reel_curve_point *curve; /* [n_curve] of BLEND, at rising from 0 to 1 */
    int n_curve;
    double strength;  /* of EDIT and BLEND: the share of steps they take, above 0 to 1 */
    const char *mask; /* of EDIT: a picture or a clip, white where the clip changes; NULL:
                         everywhere */
} reel_generate_request;

/* Every field at its default; model, prompt and output are NULL. */
REEL_API reel_generate_request reel_generate_request_default(void);

/* What a request comes to with its model. */
typedef struct reel_generate_settings {
    int64_t width, height, frames; /* as made: rounded to what the model can make */
    int fps_num, fps_den;
    int64_t steps;
    double cfg_scale, flow_shift;
    const char *sampler;
    const char *type; /* of the transformer's weights: "bf16" */
    int64_t seed;
    int64_t tokens;        /* the transformer's, of one pass */
    int64_t windows;       /* it is made in; 1: at once */
    int64_t windows_done;  /* of an interrupted run */
    int64_t prompt_tokens; /* of the longer prompt */
    int64_t steps_done;    /* of an interrupted run that will be continued */
    int n_notes;           /* what was changed or should be known, a sentence each */
    const char *const *note;
} reel_generate_settings;

/* What it will take, predicted from a measurement of this machine. */
typedef struct reel_generate_cost {
    double text_s, encode_s, denoise_s, decode_s; /* encode: of pictures and clips; 0: none */
    /* the process's memory in each phase */
    int64_t text_bytes, encode_bytes, denoise_bytes, decode_bytes;
    int64_t peak_bytes;  /* the largest of them */
    int64_t free_bytes;  /* what the machine has */
    int64_t limit_bytes; /* max_memory, or free_bytes */
    bool streamed;       /* the transformer's weights are read anew at each step, to fit */
} reel_generate_cost;

typedef enum reel_event_kind {
    REEL_EVENT_BEGIN,  /* all checks are passed; the settings are final, a resumed run's seed too */
    REEL_EVENT_PHASE,  /* text says which one begins: "encode", "text", "denoise", "decode" */
    REEL_EVENT_STEP,   /* done of total steps of the denoising, those of all windows */
    REEL_EVENT_FRAMES, /* done of total frames are made; they may come to the file at the end */
    REEL_EVENT_PREVIEW, /* the preview was written; text is its path */
    REEL_EVENT_DONE,    /* the file is there; text is its path */
    REEL_EVENT_SEAM,    /* text says how large the steps are where made and given frames meet */
    REEL_EVENT_PARTIAL, /* the run was stopped; text is the path of a video of what there was */
} reel_event_kind;

typedef struct reel_event {
    reel_event_kind kind;
    const char *text; /* or NULL; borrowed for the call */
    int64_t done, total;
    double elapsed_s; /* since the run began */
    double left_s;    /* to the end of the phase, negative: not known */
} reel_event;

typedef void reel_event_fn(void *context, const reel_event *event);
/* Asked many times a second: true ends the run with REEL_E_CANCELLED. It can be resumed. */
typedef bool reel_cancel_fn(void *context);

typedef struct reel_generation reel_generation;

/* Looks at the model's configuration, resolves the request and refuses what cannot be made. No
 * weights are read. REEL_E_ARG, REEL_E_IO, REEL_E_FORMAT, REEL_E_UNSUPPORTED. The caller closes
 * *generation; request and what it points to must outlive it. */
REEL_MUST_USE REEL_API reel_status reel_generation_open(reel_env *env,
                                                        const reel_generate_request *request,
                                                        reel_generation **generation);
/* NULL-safe. */
REEL_API void reel_generation_close(reel_generation **generation);

/* Borrowed while the generation is open. */
REEL_API const reel_generate_settings *reel_generation_settings(const reel_generation *generation);

/* Measures this machine for about a second and predicts. REEL_E_NOMEM, with figures, when the
 * limit cannot be kept. */
REEL_MUST_USE REEL_API reel_status reel_generation_predict(reel_generation *generation,
                                                           reel_generate_cost *cost);

/* Makes it: the file appears whole under its name, or not at all. While it runs, OUTPUT.reel-state
 * holds what a killed or cancelled run needs to go on to the same bytes; the same request continues
 * it. A file that keep_finished keeps is told as any other, with a note. on_event and cancel may be
 * NULL. */
REEL_MUST_USE REEL_API reel_status reel_generation_run(reel_generation *generation,
                                                       reel_event_fn *on_event,
                                                       reel_cancel_fn *cancel, void *context);

/* ---- 3D: depth, and what a second eye sees ---- */

typedef enum reel_stereo_kind {
    REEL_STEREO_SBS,      /* the left eye's picture and, to its right, the right eye's */
    REEL_STEREO_ANAGLYPH, /* one picture for red-cyan glasses (Dubois' matrices) */
} reel_stereo_kind;

/* A clip to be seen with two eyes. Its frames are the left eye's; the right eye's are drawn from
 * them and from their depth, which the depth head of a model folder reads from their latents. How
 * near a point is is told as nearness: 1 / (z tan a), z metres away in a picture of which half the
 * shorter side is seen at the angle a. 0 is the horizon, 0.3 the middle of a usual scene. */
typedef struct reel_stereo_request {
    const char *model;        /* a folder with depth/, or a repository's name in the cache */
    const char *cache_root;   /* as in reel_generate_request */
    const char *clip;         /* any video; frames whose sides are no multiples of the model's are
                                 looked at with their borders repeated */
    const char *output;       /* the video for two eyes; NULL: none */
    const char *depth_output; /* the depth as grey: black at nearness 0, white at 0.8 and above;
                                 NULL: none */
    reel_stereo_kind kind;
    double eyes_m; /* between the eyes, 0..10 */
    double screen; /* the nearness of what lies in the plane of the screen, 0..10 */
    const char *isa;
} reel_stereo_request;

/* Side by side, eyes 0.1 m apart, the screen at nearness 0.3; everything else NULL. */
REEL_API reel_stereo_request reel_stereo_request_default(void);

/* Whether the request's model can do it; the clip and the files need not be there yet. Fails as
 * reel_stereo_make would. */
REEL_MUST_USE REEL_API reel_status reel_stereo_check(reel_env *env,
                                                     const reel_stereo_request *request);

/* Makes it, in memory that does not grow with the clip: phase "depth", frames, and a DONE for each
 * file, which appears whole or not at all. on_event and cancel may be NULL. REEL_E_UNSUPPORTED when
 * the folder has no depth head, REEL_E_FORMAT when the head belongs to another autoencoder. */
REEL_MUST_USE REEL_API reel_status reel_stereo_make(reel_env *env,
                                                    const reel_stereo_request *request,
                                                    reel_event_fn *on_event, reel_cancel_fn *cancel,
                                                    void *context);

/* ---- storyboards: films of several shots ---- */

/* A script (docs/storyboard.md) to be made into a film. */
typedef struct reel_storyboard_request {
    const char *script; /* JSON when it begins with {, else plain text */
    const char *model;  /* as in reel_generate_request, as the fields that have its names */
    const char *cache_root;
    const char *output; /* the film */
    const char *sheet;  /* a contact sheet, .png; NULL: none */
    const char *shots;  /* folder that keeps the shots; NULL: OUTPUT.reel-shots */
    int64_t steps;      /* 0: the script's, or the model's own */
    const char *type, *isa;
    int64_t max_memory;
    bool bit_exact;
    bool plan_only; /* tell what would be made, and make nothing */
} reel_storyboard_request;

REEL_API reel_storyboard_request reel_storyboard_request_default(void);

typedef enum reel_storyboard_event_kind {
    REEL_STORYBOARD_SHOT,   /* one that was made before, or (plan_only) is to be made; see made */
    REEL_STORYBOARD_RENDER, /* one begins to be made */
    REEL_STORYBOARD_STEP,   /* event says how far its generation is */
    REEL_STORYBOARD_JOIN,   /* shots become the film: shot of n_shots are in it */
    REEL_STORYBOARD_NOTE,   /* text is something the script's author should know */
    REEL_STORYBOARD_DONE,   /* a file is there; text is its path */
} reel_storyboard_event_kind;

typedef struct reel_storyboard_event {
    reel_storyboard_event_kind kind;
    int64_t shot, n_shots; /* from 1, titles counted */
    double seconds;        /* of the shot */
    const char *text;      /* the shot's prompt, or as above; borrowed for the call */
    bool made;             /* the shot needs no work */
    const reel_event *event;
} reel_storyboard_event;

typedef void reel_storyboard_fn(void *context, const reel_storyboard_event *event);

/* Reads the script, makes the shots that are not in the folder of shots as the script now has them,
 * and joins them. The folder then holds the shots of this film and no others. Mistakes in the
 * script are REEL_E_FORMAT or REEL_E_ARG with file and line, before anything is made. A run that
 * was stopped goes on with the shot it was at. on_event and cancel may be NULL. */
REEL_MUST_USE REEL_API reel_status reel_storyboard_make(reel_env *env,
                                                        const reel_storyboard_request *request,
                                                        reel_storyboard_fn *on_event,
                                                        reel_cancel_fn *cancel, void *context);

/* ---- the procedural world: clips with captions and the whole truth about them ---- */

/* What to write. The same options give the same files. */
typedef struct reel_world_options {
    uint64_t seed;     /* 1 */
    uint64_t first;    /* index of the first scene; 0 */
    int64_t count;     /* clips, at least 1; 16 */
    const char *split; /* "train", "validation" or "heldout_pairs"; borrowed */
    int width, height; /* 8..4096; 128 */
    int frames;        /* 1..100000; 33 */
    double fps;        /* [0.01,1000]; 16 */
    int objects;       /* in each scene, 1..3; 0: drawn */
    int lossless;      /* not 0: FFV1 in Matroska instead of H.264 in MP4 */
    int stereo;        /* not 0: also what a second eye sees, 0.25 m to the right */
    int masks, depth;  /* not 0: also which object is where, and how far away, lossless */
} reel_world_options;

REEL_API reel_world_options reel_world_options_default(void);

/* Told how many clips are done; anything but 0 stops. */
typedef int reel_world_progress(void *context, int64_t done, int64_t count);

/* Writes count clips into folder, made when it is missing: video, one caption (.txt) and the truth
 * (.json: attributes, captions in English and Chinese, positions, camera). progress may be NULL.
 * REEL_E_ARG for options out of range, REEL_E_IO, REEL_E_UNSUPPORTED without FFmpeg,
 * REEL_E_CANCELLED when progress stopped it. Clips written before a failure stay, whole. */
REEL_MUST_USE REEL_API reel_status reel_world_write(reel_env *env, const char *folder,
                                                    const reel_world_options *options,
                                                    reel_world_progress *progress, void *context);

/* ---- video and pictures ---- */

/* What is in a video or picture file. One block of memory: the texts go with it. */
typedef struct reel_media_info {
    const char *format;       /* "mp4", "matroska", "gif", "png", "apng", "jpeg", "webp" */
    const char *codec;        /* "h264", ... */
    const char *pixel_format; /* "yuv420p", ... */
    const char *comment;      /* how it was made: reel writes JSON; NULL: the file does not say */
    int width, height;        /* as shown: upright, with square pixels */
    int fps_num, fps_den;     /* frames a second; 0/1 for a picture */
    int64_t n_frames;         /* counted; 1 for a picture */
    double seconds;           /* 0 for a picture */
    int is_picture;
} reel_media_info;

/* Looks into path: MP4, MOV, WebM, Matroska, GIF, PNG, JPEG, WebP, told by their content.
 * REEL_E_IO, REEL_E_FORMAT (none of these, or damaged) or REEL_E_UNSUPPORTED (a codec that is not
 * read, more than 64 megapixels or ten minutes). The caller frees *info before env. */
REEL_MUST_USE REEL_API reel_status reel_media_probe(reel_env *env, const char *path,
                                                    reel_media_info **info);
/* Frees *info and nulls it; NULL-safe. */
REEL_API void reel_media_info_free(reel_env *env, reel_media_info **info);

/* A contact sheet: for each clip a row of frames, spread from its first to its last. */
typedef struct reel_sheet_request {
    const char *const *clip; /* [n_clips] paths of videos or pictures */
    int n_clips;
    const char *output; /* a .png */
    int columns;        /* frames of each clip, [1,64]; 6 */
    int cell_width; /* of each frame in pixels, [16,4096]; 192. The height follows the first clip */
} reel_sheet_request;

REEL_API reel_sheet_request reel_sheet_request_default(void);
/* Makes and writes it. REEL_E_ARG for fields outside their range, otherwise as reel_media_probe. */
REEL_MUST_USE REEL_API reel_status reel_sheet_make(reel_env *env,
                                                   const reel_sheet_request *request);

/* ---- evaluation ---- */

/* Told where an evaluation stands; returning nonzero stops it. part is borrowed. */
typedef int reel_evaluate_progress(void *context, const char *part, int64_t done, int64_t total);
/* Given a line of the table, without newline; borrowed for the call. */
typedef void reel_evaluate_line(void *context, const char *line);

/* What is to be measured. */
typedef struct reel_evaluate_options {
    const char *model; /* folder; one with nothing but vae/ is enough for the autoencoder */
    const char *judge; /* folder of a judge; NULL: model/judge where there is one */
    const char *only;  /* some of "vae,judge,frechet,swap,physics,stereo,tasks"; NULL: all that can
                          be done but tasks, which make eight clips of each prompt */
    const char *json;  /* file to write; NULL: none */
    const char *isa;   /* use no kernels above this level; NULL: the machine's own */
    int64_t prompts;   /* held-out prompts; vae, swap, physics and stereo take an eighth, at
                          least 8 */
    int64_t steps;     /* of the sampler */
    double cfg_scale;  /* 1: no guidance; negative: the model's own */
    int64_t seed;
    int64_t frames, height, width; /* of clips when there is no judge, which has its own size */
    double fps;
    int64_t text_length; /* rows of text the transformer sees; 0: as the folder says, or 512 */
    /* [n_drift] long videos: nothing but how their last five seconds differ from their first is
     * measured; model may be NULL, and a judge has to be named */
    const char *const *drift;
    int n_drift;
    const char *scratch;  /* where a folder for temporary clips may be made; NULL: /tmp */
    const char *clips;    /* folder to keep the clips of judge, physics and tasks in, and
                             judge.json, what was asked and what was seen; NULL: they are not kept */
    int64_t drift_clips;  /* of tasks: long videos made from prompts; 0: none */
    double drift_seconds; /* of each of them, at least 10 */
    reel_evaluate_progress *progress; /* may be NULL */
    reel_evaluate_line *line;         /* may be NULL */
    void *context;
} reel_evaluate_options;

/* 500 prompts, 20 steps, the model's own guidance, seed 1, 33 frames of 128 x 128 at 8 fps, 2 long
 * videos of 20 seconds. */
REEL_API reel_evaluate_options reel_evaluate_options_default(void);

/* Measures a model on the held-out part of reel's own world; what can be is measured on real
 * renders of the same prompts as well and shown beside it. The JSON file is written whole or not at
 * all. REEL_E_ARG, REEL_E_IO, REEL_E_FORMAT, REEL_E_UNSUPPORTED; REEL_E_CANCELLED when stopped. */
REEL_MUST_USE REEL_API reel_status reel_evaluate(reel_env *env,
                                                 const reel_evaluate_options *options);

#ifdef __cplusplus
}
#endif
#endif
