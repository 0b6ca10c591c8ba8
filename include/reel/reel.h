/* reel: the public interface of libreel.
 *
 * The only header that is installed. Handles are opaque, requests are structs with a _default()
 * initialiser, every fallible call returns a reel_status and leaves a message in the environment.
 * One environment and what hangs off it are used by one thread at a time.
 */
#ifndef REEL_REEL_H
#define REEL_REEL_H

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

#ifdef __cplusplus
}
#endif
#endif
