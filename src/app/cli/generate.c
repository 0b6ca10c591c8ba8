/* reel generate: a prompt into a video, and what all commands that make one share. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "app/cli/hub.h"
#include "app/cli/make.h"
#include "app/cli/progress.h"
#include "base/alloc.h"
#include "base/file.h"

#define FIELD(name) offsetof(reel_make_options, name)

const reel_option reel_make_rows[] = {
    {.name = "prompt",
     .short_name = 'p',
     .value = "TEXT",
     .help = "what to show",
     .offset = FIELD(prompt),
     .kind = REEL_OPTION_TEXT},
    {.name = "prompt-file",
     .value = "FILE",
     .help = "read the prompt from a file, - for standard input",
     .offset = FIELD(prompt_file),
     .kind = REEL_OPTION_TEXT},
    {.name = "negative-prompt",
     .short_name = 'n',
     .value = "TEXT",
     .help = "what to keep away from",
     .offset = FIELD(negative_prompt),
     .kind = REEL_OPTION_TEXT},
    {.name = "output",
     .short_name = 'o',
     .value = "FILE",
     .help = "where to write: .mp4 .webm .gif .mkv (lossless) .png, or frames-%04d.png",
     .initial = "output.mp4",
     .offset = FIELD(output),
     .kind = REEL_OPTION_TEXT},
    {.name = "model",
     .value = "DIR",
     .help = "model folder, or Org/Name in the Hugging Face cache (default: $REEL_MODEL, else "
             "models/pocket)",
     .offset = FIELD(model),
     .kind = REEL_OPTION_TEXT},
    {.name = "lora",
     .value = "FILE[:SCALE]",
     .help = "add a low-rank adapter to the model, at a scale (default: 1); may be repeated",
     .offset = FIELD(lora),
     .kind = REEL_OPTION_LIST},
    {.name = "seed",
     .short_name = 's',
     .value = "N",
     .help = "where the noise comes from; drawn and printed when not given",
     .offset = FIELD(seed),
     .kind = REEL_OPTION_SEED},
    {.name = "steps",
     .value = "N",
     .help = "denoising steps (default: the model's)",
     .min = 1,
     .max = 1000,
     .offset = FIELD(steps),
     .kind = REEL_OPTION_COUNT},
    {.name = "cfg-scale",
     .value = "X",
     .help = "how closely to follow the prompt; 1 is without guidance, in half the time",
     .min = 0,
     .max = 100,
     .offset = FIELD(cfg_scale),
     .kind = REEL_OPTION_NUMBER},
    {.name = "cfg-rescale",
     .value = "X",
     .help = "how much of the contrast that guidance adds is taken back",
     .initial = "0",
     .min = 0,
     .max = 1,
     .offset = FIELD(cfg_rescale),
     .kind = REEL_OPTION_NUMBER},
    {.name = "cfg-from",
     .value = "X",
     .help = "the part of the steps that is guided begins here",
     .initial = "0",
     .min = 0,
     .max = 1,
     .offset = FIELD(cfg_from),
     .kind = REEL_OPTION_NUMBER},
    {.name = "cfg-to",
     .value = "X",
     .help = "and ends here",
     .initial = "1",
     .min = 0,
     .max = 1,
     .offset = FIELD(cfg_to),
     .kind = REEL_OPTION_NUMBER},
    {.name = "flow-shift",
     .value = "X",
     .help = "spend more steps on noise (default: the model's)",
     .min = 0.01,
     .max = 100,
     .offset = FIELD(flow_shift),
     .kind = REEL_OPTION_NUMBER},
    {.name = "sampler",
     .value = "NAME",
     .help = "(default: the model's)",
     .choices = {"unipc", "euler", "heun", "dpm++2m"},
     .offset = FIELD(sampler),
     .kind = REEL_OPTION_CHOICE},
    {.name = "width",
     .short_name = 'W',
     .value = "N",
     .help = "pixels (default: the model's)",
     .min = 16,
     .max = 8192,
     .offset = FIELD(width),
     .kind = REEL_OPTION_COUNT},
    {.name = "height",
     .short_name = 'H',
     .value = "N",
     .help = "pixels (default: the model's)",
     .min = 16,
     .max = 8192,
     .offset = FIELD(height),
     .kind = REEL_OPTION_COUNT},
    {.name = "size",
     .value = "WxH",
     .help = "width and height at once",
     .min = 16,
     .max = 8192,
     .offset = FIELD(size),
     .kind = REEL_OPTION_SIZE},
    {.name = "frames",
     .value = "N",
     .help = "length in frames; 1 makes a picture (default: the model's)",
     .min = 1,
     .max = 1000000,
     .offset = FIELD(frames),
     .kind = REEL_OPTION_COUNT},
    {.name = "seconds",
     .value = "X",
     .help = "length in seconds, instead of --frames",
     .min = 0.01,
     .max = 100000,
     .offset = FIELD(seconds),
     .kind = REEL_OPTION_NUMBER},
    {.name = "fps",
     .value = "X",
     .help = "frames a second (default: the model's)",
     .min = 1,
     .max = 1000,
     .offset = FIELD(fps),
     .kind = REEL_OPTION_NUMBER},
    {.name = "type",
     .value = "TYPE",
     .help = "of weights and arithmetic (default: as stored)",
     .choices = {"f32", "bf16", "q8_0"},
     .offset = FIELD(type),
     .kind = REEL_OPTION_CHOICE},
    {.name = "threads",
     .short_name = 't',
     .value = "N",
     .help = "(default: one for each core)",
     .min = 1,
     .max = 256,
     .offset = FIELD(threads),
     .kind = REEL_OPTION_COUNT},
    {.name = "max-memory",
     .value = "SIZE",
     .help = "keep the process below this; weights are streamed and frames decoded in tiles when "
             "they do not fit",
     .min = 64 << 20,
     .max = 0x1p50,
     .offset = FIELD(max_memory),
     .kind = REEL_OPTION_BYTES},
    {.name = "isa",
     .value = "LEVEL",
     .help = "use no stronger kernels than this",
     .choices = {"portable", "avx2", "avx512", "avx512_bf16", "amx"},
     .offset = FIELD(isa),
     .kind = REEL_OPTION_CHOICE},
    {.name = "bit-exact",
     .help = "portable kernels: the same bytes from any x86-64 machine",
     .offset = FIELD(bit_exact),
     .kind = REEL_OPTION_FLAG},
    {.name = "preview-path",
     .value = "FILE",
     .help = "rewrite this file with a preview after every step: .png, .gif, .mp4",
     .offset = FIELD(preview_path),
     .kind = REEL_OPTION_TEXT},
    {.name = "stereo",
     .value = "HOW",
     .help = "make it 3D: both eyes side by side, or for red-cyan glasses",
     .choices = {"sbs", "anaglyph"},
     .offset = FIELD(stereo),
     .kind = REEL_OPTION_CHOICE},
    REEL_MAKE_EYES_ROW(FIELD(eyes)),
    REEL_MAKE_SCREEN_ROW(FIELD(screen)),
    {.name = "depth",
     .help = "also write the depth video, NAME.depth.mp4 beside NAME.mp4: near is bright",
     .offset = FIELD(depth),
     .kind = REEL_OPTION_FLAG},
    {.name = "dry-run",
     .help = "print settings, predicted time and memory, and stop",
     .offset = FIELD(dry_run),
     .kind = REEL_OPTION_FLAG},
    {.name = "json",
     .help = "print events as JSON, one a line",
     .offset = FIELD(json),
     .kind = REEL_OPTION_FLAG},
    {.name = "quiet",
     .short_name = 'q',
     .help = "print errors only",
     .offset = FIELD(quiet),
     .kind = REEL_OPTION_FLAG},
    {.name = "verbose",
     .short_name = 'v',
     .help = "print more of what is done",
     .offset = FIELD(verbose),
     .kind = REEL_OPTION_FLAG},
};

_Static_assert(sizeof reel_make_rows / sizeof *reel_make_rows == REEL_MAKE_ROWS,
               "make.h says how many rows there are");

/* ---- the model ---- */

enum { PATH_BYTES = REEL_HUB_PATH };

static bool is_model(const char *folder) {
    char path[PATH_BYTES];
    return snprintf(path, sizeof path, "%s/model_index.json", folder) < (int)sizeof path &&
           access(path, R_OK) == 0;
}

/* The model that ships with reel: beside the program in its source tree or installed, or below the
 * current folder. */
static const char *find_pocket(char text[PATH_BYTES]) {
    static const char *const below[] = {"/../models/pocket", "/models/pocket",
                                        "/../share/reel/models/pocket"};
    char program[PATH_BYTES];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n > 0) {
        program[n] = '\0';
        char *slash = strrchr(program, '/');
        if (slash) *slash = '\0';
        for (size_t i = 0; i < sizeof below / sizeof *below; i++)
            if (snprintf(text, PATH_BYTES, "%s%s", program, below[i]) < PATH_BYTES &&
                is_model(text))
                return text;
    }
    snprintf(text, PATH_BYTES, "models/pocket");
    return is_model(text) ? text : NULL;
}

bool reel_make_find_model(const reel_usage *u, const char **model, char text[REEL_HUB_PATH]) {
    if (!*model) *model = getenv("REEL_MODEL");
    if (!*model || !(*model)[0]) *model = find_pocket(text);
    if (*model) return true;
    fprintf(stderr,
            "reel %s: no model: none is installed as models/pocket; give one with --model DIR (a "
            "folder with model_index.json) or --model Org/Name\n",
            u->command);
    return false;
}

/* ---- the prompt ---- */

enum { MAX_PROMPT = 1 << 20 };

/* All of standard input, at most MAX_PROMPT bytes; 0-terminated; NULL with a message. */
static char *read_input(const reel_usage *u) {
    char *text = malloc(MAX_PROMPT + 1);
    if (!text) return NULL;
    const size_t n = fread(text, 1, MAX_PROMPT + 1, stdin);
    if (ferror(stdin) || n > MAX_PROMPT) {
        fprintf(stderr, "reel %s: --prompt-file: %s\n", u->command,
                ferror(stdin) ? "standard input could not be read"
                              : "standard input has more than 1 MiB, which is no prompt");
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

/* The prompt's text: *owned is what is to be freed with reel_free, *input with free. */
static bool read_prompt(reel_env *env, const reel_usage *u, const reel_make_options *o,
                        const char **prompt, char **owned, char **input) {
    *prompt = o->prompt;
    if (!o->prompt_file) return true;
    if (strcmp(o->prompt_file, "-") == 0) {
        *prompt = *input = read_input(u);
        return *input != NULL;
    }
    int64_t bytes;
    if (reel_file_read(env, o->prompt_file, MAX_PROMPT, owned, &bytes) != REEL_OK) {
        reel_command_fail(u, env);
        return false;
    }
    *prompt = *owned;
    return true;
}

/* ---- the request ---- */

static bool refuse(const reel_usage *u, const char *text) {
    fprintf(stderr, "reel %s: %s\n", u->command, text);
    return false;
}

static const reel_usage usage;

/* Rules about several options at once. */
static bool check(const reel_usage *u, const reel_parsed *parsed, const reel_make_options *o) {
    if (o->prompt && o->prompt_file)
        return refuse(u, "--prompt and --prompt-file: give one of them");
    if (!o->prompt && !o->prompt_file)
        return refuse(u, u == &usage ? "no prompt: give PROMPT, or --prompt-file FILE"
                                     : "no prompt: give --prompt TEXT or --prompt-file FILE");
    if (o->size.width && (o->width || o->height))
        return refuse(u, "--size and --width, --height: give one or the others");
    if (o->frames && reel_option_given(u, parsed, "seconds"))
        return refuse(u, "--frames and --seconds: give one of them");
    if (o->cfg_from > o->cfg_to) return refuse(u, "--cfg-from lies behind --cfg-to");
    if (o->quiet && o->verbose) return refuse(u, "--quiet and --verbose: give one of them");
    return true;
}

/* A number below 2^32, so that it can be copied by hand. */
static int64_t draw_seed(void) {
    uint32_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) seed = (uint32_t)getpid();
    return seed;
}

/* "FILE:SCALE", or a file alone; a colon that no number follows is part of the name. text is copied
 * when it has to be cut: *owned then. */
static bool read_lora(const char *text, reel_lora *lora, char **owned) {
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    *lora = (reel_lora){.path = text, .scale = 1};
    const double scale = colon && colon > text ? strtod(colon + 1, &end) : 1;
    if (!end || end == colon + 1 || *end) return true;
    *owned = strndup(text, (size_t)(colon - text));
    lora->path = *owned;
    lora->scale = scale;
    return *owned != NULL;
}

static void free_loras(reel_make_options *o, char *const owned[REEL_MAX_LIST]) {
    for (int i = 0; i < o->lora.n; i++)
        free(owned[i]);
}

static bool read_loras(const reel_usage *u, reel_make_options *o, char *owned[REEL_MAX_LIST]) {
    for (int i = 0; i < o->lora.n; i++)
        if (!read_lora(o->lora.text[i], &o->loras[i], &owned[i]))
            return refuse(u, "--lora: out of memory");
    return true;
}

static reel_generate_request make_request(const reel_usage *u, const reel_parsed *parsed,
                                          const reel_make_options *o,
                                          const reel_generate_request *given) {
    reel_generate_request r = *given;
    r.lora = o->loras;
    r.n_loras = o->lora.n;
    r.output = o->output;
    r.negative_prompt = o->negative_prompt;
    r.seed_is_drawn = !reel_option_given(u, parsed, "seed");
    r.seed = r.seed_is_drawn ? draw_seed() : o->seed;
    r.width = o->size.width ? o->size.width : o->width;
    r.height = o->size.height ? o->size.height : o->height;
    r.frames = o->frames;
    r.seconds = o->seconds;
    r.fps = o->fps;
    r.steps = o->steps;
    if (reel_option_given(u, parsed, "cfg-scale")) r.cfg_scale = o->cfg_scale;
    r.cfg_rescale = o->cfg_rescale;
    r.cfg_from = o->cfg_from;
    r.cfg_to = o->cfg_to;
    r.flow_shift = o->flow_shift;
    r.sampler = o->sampler;
    r.type = o->type;
    r.isa = o->isa;
    r.max_memory = o->max_memory;
    r.preview_path = o->preview_path;
    r.bit_exact = o->bit_exact;
    return r;
}

/* ---- running ---- */

void reel_make_hold_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

bool reel_make_is_cancelled(void *context) {
    (void)context;
    sigset_t set;
    return sigpending(&set) == 0 && (sigismember(&set, SIGINT) || sigismember(&set, SIGTERM));
}

static void on_event(void *context, const reel_event *event) {
    reel_progress_event(context, event);
}

static reel_status generate(reel_env *env, const reel_usage *u, const reel_make_options *o,
                            const reel_generate_request *request) {
    reel_generation *g;
    reel_status status = reel_generation_open(env, request, &g);
    if (status != REEL_OK) return status;
    reel_progress progress;
    reel_progress_init(&progress, env, reel_generation_settings(g), request->seed_is_drawn);
    progress.command = u->command;
    progress.json = o->json;
    progress.quiet = o->quiet;
    progress.is_half = o->is_half;
    if (o->dry_run) {
        reel_generate_cost cost;
        status = reel_generation_predict(g, &cost);
        if (status == REEL_OK) reel_progress_prediction(&progress, &cost);
    } else {
        status = reel_generation_run(g, on_event, reel_make_is_cancelled, &progress);
    }
    reel_progress_deinit(&progress);
    reel_generation_close(&g);
    return status;
}

static int run_with(const reel_usage *u, const reel_parsed *parsed, reel_make_options *o,
                    const reel_generate_request *given) {
    char pocket[PATH_BYTES], cache[REEL_HUB_PATH];
    char *owned = NULL, *input = NULL;
    reel_generate_request r = make_request(u, parsed, o, given);
    if (!reel_make_find_model(u, &o->model, pocket)) return REEL_EXIT_FAILURE;
    reel_make_hold_signals();
    reel_env *env;
    const reel_log_level level = o->quiet     ? REEL_LOG_ERROR
                                 : o->verbose ? REEL_LOG_INFO
                                              : REEL_LOG_WARN;
    if (!reel_command_env_for(u, (int)o->threads, level, &env)) return REEL_EXIT_FAILURE;
    int exit_code = REEL_EXIT_FAILURE;
    if (read_prompt(env, u, o, &r.prompt, &owned, &input)) {
        r.model = o->model;
        r.cache_root = reel_hub_cache(cache);
        const reel_status status = generate(env, u, o, &r);
        exit_code = status == REEL_OK ? REEL_EXIT_OK : reel_command_fail(u, env);
    }
    reel_free(env, owned);
    free(input);
    reel_env_free(&env);
    return exit_code;
}

/* In 3D: first what the eyes are to see, lossless, then both eyes' views of it. */
static int run_stereo(const reel_usage *u, const reel_parsed *parsed, reel_make_options *o,
                      const reel_generate_request *given, const char *depth_output) {
    char flat[PATH_BYTES];
    if (snprintf(flat, sizeof flat, "%s.reel-flat.mkv", o->output) >= (int)sizeof flat) {
        refuse(u, "--output: the name is too long");
        return REEL_EXIT_USAGE;
    }
    reel_make_options before = *o;
    before.output = flat;
    before.is_half = true;
    int code = run_with(u, parsed, &before, given);
    if (code != REEL_EXIT_OK || o->dry_run) return code;
    code = reel_make_stereo(u, o, flat, o->output, depth_output);
    (void)unlink(flat);
    return code;
}

static int run_3d(const reel_usage *u, const reel_parsed *parsed, reel_make_options *o,
                  const reel_generate_request *given) {
    char pocket[PATH_BYTES], name[PATH_BYTES];
    const char *depth = o->depth ? name : NULL;
    if (depth && !reel_make_depth_name(o->output, name)) {
        refuse(u, "--depth: --output must be one video file with an extension, and not so long");
        return REEL_EXIT_USAGE;
    }
    if (!reel_make_find_model(u, &o->model, pocket)) return REEL_EXIT_FAILURE;
    int code = reel_make_check_stereo(u, o);
    if (code != REEL_EXIT_OK) return code;
    if (o->stereo) return run_stereo(u, parsed, o, given, depth);
    code = run_with(u, parsed, o, given);
    if (code != REEL_EXIT_OK || o->dry_run) return code;
    return reel_make_stereo(u, o, o->output, NULL, depth);
}

int reel_make(const reel_usage *u, const reel_parsed *parsed, reel_make_options *o,
              const reel_generate_request *given) {
    char *owned[REEL_MAX_LIST] = {NULL};
    if (!check(u, parsed, o)) return REEL_EXIT_USAGE;
    const bool in_3d = (o->stereo || o->depth) && !o->is_half;
    int code = REEL_EXIT_FAILURE;
    if (read_loras(u, o, owned))
        code = in_3d ? run_3d(u, parsed, o, given) : run_with(u, parsed, o, given);
    free_loras(o, owned);
    return code;
}

int reel_make_twice(const reel_usage *u, const reel_parsed *parsed, reel_make_options *o,
                    const reel_generate_request *first, const reel_generate_request *second) {
    char half[PATH_BYTES];
    if (snprintf(half, sizeof half, "%s.reel-half.mkv", o->output) >= (int)sizeof half) {
        fprintf(stderr, "reel %s: --output: the name has more than %d bytes\n", u->command,
                PATH_BYTES - 16);
        return REEL_EXIT_USAGE;
    }
    reel_make_options before = *o;
    reel_generate_request rest = *second;
    before.output = half;
    before.is_half = true;
    rest.clip[0] = half;
    int code = reel_make(u, parsed, &before, first);
    if (code != REEL_EXIT_OK || o->dry_run) return code;
    code = reel_make(u, parsed, o, &rest);
    (void)unlink(half);
    return code;
}

/* ---- reel generate ---- */

static const reel_usage usage = {
    .command = "generate",
    .summary = "Make a video, or a picture, from a prompt",
    .details = "PROMPT says what to show; --prompt is the same with a flag. A run that was stopped "
               "or killed goes\non where it was when the same command is given again; until it is "
               "done OUTPUT.reel-state\nremembers how far it got.",
    .operands = "PROMPT",
    .max_operands = 1,
    .shared = reel_make_rows,
    .n_shared = REEL_MAKE_ROWS,
};

/* PROMPT is --prompt without its flag. */
static bool take_operand(const reel_parsed *parsed, reel_make_options *o) {
    if (!parsed->n_operands) return true;
    if (o->prompt) return refuse(&usage, "PROMPT and --prompt: give one of them");
    if (!parsed->operand[0][0]) return refuse(&usage, "PROMPT: got nothing, wanted TEXT");
    o->prompt = parsed->operand[0];
    return true;
}

static int run(int argc, const char *const *argv) {
    reel_make_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    const reel_generate_request given = reel_generate_request_default();
    if (!take_operand(&parsed, &o)) return REEL_EXIT_USAGE;
    return reel_make(&usage, &parsed, &o, &given);
}

const reel_command reel_command_generate = {.usage = &usage, .run = run};
