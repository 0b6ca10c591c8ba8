/* What the commands that make a video share: `reel generate` and those that are given pictures or
 * clips besides the prompt. One table of options, one way to run.
 */
#ifndef REEL_APP_CLI_MAKE_H
#define REEL_APP_CLI_MAKE_H

#include "app/cli/command.h"
#include "app/cli/hub.h"

/* The first member of each command's own struct of options. */
typedef struct reel_make_options {
    const char *prompt, *prompt_file, *negative_prompt;
    int64_t seed, steps;
    double cfg_scale, cfg_rescale, cfg_from, cfg_to, flow_shift;
    const char *sampler;
    int64_t width, height;
    reel_option_size size;
    int64_t frames;
    double seconds, fps;
    int64_t window, context, anchor;
    double context_noise;
    const char *output, *model, *type, *isa, *preview_path;
    int64_t threads, max_memory, variations;
    const char *draft;  /* whose recipe stands for what is not said, but for its steps */
    const char *source; /* the same, with its steps; set by a command, not by an option */
    reel_option_list lora;
    reel_lora loras[REEL_MAX_LIST]; /* what the list says; filled in on the way */
    bool bit_exact, dry_run, json, quiet, verbose;
    const char *stereo;
    double eyes, screen;
    bool depth;
    bool is_half;       /* no option: the output is on the way to another file and is not told */
    bool keep_finished; /* no option: an output that an earlier run finished is kept */
} reel_make_options;

/* The rows of those options: a usage's `shared`. */
enum { REEL_MAKE_ROWS = 40 };
extern const reel_option reel_make_rows[];

/* Makes what the options say. given: the task and its files, and a number of frames where that is
 * not the options'; everything else is filled in here. Returns the exit code, with a message
 * printed. */
int reel_make(const reel_usage *usage, const reel_parsed *parsed, reel_make_options *options,
              const reel_generate_request *given);

/* The same in two runs, the second of which is given what the first one made as its clip[0]: a
 * lossless OUTPUT.reel-half.mkv, gone when both are done. When one of them stops and the seed was
 * given, the same command goes on from there; a first one with a drawn seed does, too. */
int reel_make_twice(const reel_usage *usage, const reel_parsed *parsed, reel_make_options *options,
                    const reel_generate_request *first, const reel_generate_request *second);

/* Makes o->variations files, each with a seed of its own that its name ends in, and a contact sheet
 * of them, OUTPUT-variations.png. make is called for each of them. A seed that is drawn lies in
 * OUTPUT-variations.reel-state until the sheet is there. A file that is there with the recipe it is
 * to get is kept; not so one that comes of two runs or is seen with two eyes, whose recipe is only
 * known when it is made. */
typedef int reel_make_one(const reel_usage *usage, const reel_parsed *parsed,
                          reel_make_options *options, const void *context);
int reel_make_variations(const reel_usage *usage, const reel_parsed *parsed,
                         const reel_make_options *options, reel_make_one *make,
                         const void *context);

/* A seed nobody asked for. */
int64_t reel_make_draw_seed(void);

/* A request for a task with the operands as its clips; fit: the value of --fit. */
reel_generate_request reel_make_request(reel_task_kind task, const reel_parsed *parsed,
                                        const char *fit);

/* The folder of the model: as given, else $REEL_MODEL, else the one that ships; false with a
 * message when there is none. text is room for the answer. */
bool reel_make_find_model(const reel_usage *usage, const char **model, char text[REEL_HUB_PATH]);

/* Ctrl-C and kill wait from now on until reel_make_is_cancelled (a reel_cancel_fn) is asked, so
 * that a run ends between two operations. */
void reel_make_hold_signals(void);
bool reel_make_is_cancelled(void *context);

/* Before a run that asks for 3D: whether the model can do it. Prints and returns as reel_make. */
int reel_make_check_stereo(const reel_usage *usage, const reel_make_options *options);

/* What comes behind it: clip is what was made, output where both eyes' video is to go (NULL: only
 * depth is wanted). Prints and returns as reel_make. */
int reel_make_stereo(const reel_usage *usage, const reel_make_options *options, const char *clip,
                     const char *output, const char *depth_output);

/* "film.mp4" -> "film.depth.mp4"; false when it does not fit. */
bool reel_make_depth_name(const char *output, char text[REEL_HUB_PATH]);

/* Rows for how 3D looks. */
#define REEL_MAKE_EYES_ROW(fieldoffset)                                                            \
    {                                                                                              \
        .name = "eyes", .value = "METRES", .initial = "0.1", .min = 0, .max = 10,                  \
        .help = "distance of the eyes: more makes more depth", .offset = (fieldoffset),            \
        .kind = REEL_OPTION_NUMBER                                                                 \
    }
#define REEL_MAKE_SCREEN_ROW(fieldoffset)                                                          \
    {                                                                                              \
        .name = "screen", .value = "NEARNESS", .initial = "0.3", .min = 0, .max = 10,              \
        .help = "what lies in the screen: 0 the horizon, 0.8 right in front",                      \
        .offset = (fieldoffset), .kind = REEL_OPTION_NUMBER                                        \
    }

/* Rows that commands with options of their own have too. */
#define REEL_MAKE_MODEL_ROW(fieldoffset)                                                           \
    {                                                                                              \
        .name = "model", .value = "DIR",                                                           \
        .help = "model folder, or Org/Name in the Hugging Face cache (default: $REEL_MODEL, else " \
                "models/pocket)",                                                                  \
        .offset = (fieldoffset), .kind = REEL_OPTION_TEXT                                          \
    }
#define REEL_MAKE_TYPE_ROW(fieldoffset)                                                            \
    {                                                                                              \
        .name = "type", .value = "TYPE", .choices = {"f32", "bf16", "q8_0"},                       \
        .help = "of weights and arithmetic (default: as stored)", .offset = (fieldoffset),         \
        .kind = REEL_OPTION_CHOICE                                                                 \
    }
#define REEL_MAKE_THREADS_ROW(fieldoffset)                                                         \
    {                                                                                              \
        .name = "threads", .short_name = 't', .value = "N", .min = 1, .max = 256,                  \
        .help = "(default: one for each core)", .offset = (fieldoffset), .kind = REEL_OPTION_COUNT \
    }
#define REEL_MAKE_ISA_ROW(fieldoffset)                                                             \
    {                                                                                              \
        .name = "isa", .value = "LEVEL",                                                           \
        .choices = {"portable", "avx2", "avx512", "avx512_bf16", "amx"},                           \
        .help = "use no stronger kernels than this", .offset = (fieldoffset),                      \
        .kind = REEL_OPTION_CHOICE                                                                 \
    }
#define REEL_MAKE_BIT_EXACT_ROW(fieldoffset)                                                       \
    {                                                                                              \
        .name = "bit-exact", .help = "portable kernels: the same bytes from any x86-64 machine",   \
        .offset = (fieldoffset), .kind = REEL_OPTION_FLAG                                          \
    }
#define REEL_MAKE_JSON_ROW(fieldoffset)                                                            \
    {                                                                                              \
        .name = "json", .help = "print events as JSON, one a line", .offset = (fieldoffset),       \
        .kind = REEL_OPTION_FLAG                                                                   \
    }
#define REEL_MAKE_QUIET_ROW(fieldoffset)                                                           \
    {                                                                                              \
        .name = "quiet", .short_name = 'q', .help = "print errors only", .offset = (fieldoffset),  \
        .kind = REEL_OPTION_FLAG                                                                   \
    }

/* A row for what begins from a clip that is noised: edit, remix. */
#define REEL_MAKE_STRENGTH_ROW(fieldoffset, usual)                                                 \
    {                                                                                              \
        .name = "strength", .value = "X", .initial = (usual), .min = 0.01, .max = 1,               \
        .help = "how much may change: at 1 nothing of the clip stays", .offset = (fieldoffset),    \
        .kind = REEL_OPTION_NUMBER                                                                 \
    }

/* A row for an option every task with pictures or clips has. */
#define REEL_MAKE_FIT_ROW(fieldoffset)                                                             \
    {                                                                                              \
        .name = "fit", .value = "HOW", .initial = "crop", .choices = {"crop", "letterbox"},        \
        .help = "how pictures and clips of another shape are fitted", .offset = (fieldoffset),     \
        .kind = REEL_OPTION_CHOICE                                                                 \
    }

#endif
