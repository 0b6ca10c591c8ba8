/* Making a video: what all commands that do share. */
#include "app/cli/make.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "app/cli/hub.h"
#include "app/cli/progress.h"
#include "app/cli/recipe.h"
#include "base/alloc.h"
#include "base/file.h"

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

/* The prompt's text: *owned is what is to be freed with reel_free. */
static bool read_prompt(reel_env *env, const reel_usage *u, const reel_make_options *o,
                        const char **prompt, char **owned) {
    *prompt = o->prompt;
    if (!o->prompt_file) return true;
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

/* Rules about several options at once. */
static bool check(const reel_usage *u, const reel_parsed *parsed, const reel_make_options *o) {
    if (o->prompt && o->prompt_file)
        return refuse(u, "--prompt and --prompt-file: give one of them");
    if (!o->prompt && !o->prompt_file)
        return refuse(u, strcmp(u->command, "generate") == 0
                             ? "no prompt: give PROMPT, or --prompt-file FILE"
                             : "no prompt: give --prompt TEXT or --prompt-file FILE");
    if (o->size.width && (o->width || o->height))
        return refuse(u, "--size and --width, --height: give one or the others");
    if (o->frames && reel_option_given(u, parsed, "seconds"))
        return refuse(u, "--frames and --seconds: give one of them");
    if (reel_option_given(u, parsed, "cfg-to") && o->cfg_from > o->cfg_to)
        return refuse(u, "--cfg-from lies behind --cfg-to");
    if (o->quiet && o->verbose) return refuse(u, "--quiet and --verbose: give one of them");
    return true;
}

/* A number below 2^32, so that it can be copied by hand. */
int64_t reel_make_draw_seed(void) {
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
    r.seed = r.seed_is_drawn ? reel_make_draw_seed() : o->seed;
    r.width = o->size.width ? o->size.width : o->width;
    r.height = o->size.height ? o->size.height : o->height;
    r.frames = given->frames ? given->frames : o->frames;
    r.seconds = given->frames ? 0 : o->seconds;
    r.fps = o->fps;
    r.window = o->window;
    r.context = o->context;
    if (reel_option_given(u, parsed, "context-noise")) r.context_noise = o->context_noise;
    if (reel_option_given(u, parsed, "anchor")) r.anchor = o->anchor;
    r.steps = o->steps;
    if (reel_option_given(u, parsed, "cfg-scale")) r.cfg_scale = o->cfg_scale;
    r.cfg_rescale = o->cfg_rescale;
    r.cfg_from = o->cfg_from;
    if (reel_option_given(u, parsed, "cfg-to")) r.cfg_to = o->cfg_to;
    r.flow_shift = o->flow_shift;
    r.sampler = o->sampler;
    r.type = o->type;
    r.isa = o->isa;
    r.max_memory = o->max_memory;
    r.preview_path = o->preview_path;
    r.bit_exact = o->bit_exact;
    r.keep_finished = o->keep_finished;
    return r;
}

/* ---- running ---- */

static sigset_t signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

void reel_make_hold_signals(void) {
    const sigset_t set = signals();
    sigprocmask(SIG_BLOCK, &set, NULL);
}

bool reel_make_is_cancelled(void *context) {
    (void)context;
    sigset_t set;
    return sigpending(&set) == 0 && (sigismember(&set, SIGINT) || sigismember(&set, SIGTERM));
}

/* A run that is watched. */
typedef struct watch {
    reel_progress progress;
    bool is_cancelled;
} watch;

/* The first signal asks to stop; a second one ends the program at once, as it does without us: what
 * a run needs to go on is on disk at any moment. */
static bool is_cancelled(void *context) {
    watch *w = context;
    const sigset_t set = signals();
    static const struct timespec now = {0, 0};
    if (!w->is_cancelled && sigtimedwait(&set, NULL, &now) > 0) {
        w->is_cancelled = true;
        reel_progress_stop(&w->progress);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
    }
    return w->is_cancelled;
}

static void on_event(void *context, const reel_event *event) {
    watch *w = context;
    reel_progress_event(&w->progress, event);
}

static reel_status generate(reel_env *env, const reel_usage *u, const reel_make_options *o,
                            const reel_generate_request *request) {
    reel_generation *g;
    reel_status status = reel_generation_open(env, request, &g);
    if (status != REEL_OK) return status;
    watch w = {0};
    reel_progress_init(&w.progress, env, reel_generation_settings(g), request->seed_is_drawn);
    w.progress.command = u->command;
    w.progress.json = o->json;
    w.progress.quiet = o->quiet;
    w.progress.is_half = o->is_half;
    if (o->dry_run) {
        reel_generate_cost cost;
        status = reel_generation_predict(g, &cost);
        if (status == REEL_OK) reel_progress_prediction(&w.progress, &cost);
    } else {
        status = reel_generation_run(g, on_event, is_cancelled, &w);
    }
    reel_progress_deinit(&w.progress);
    reel_generation_close(&g);
    return status;
}

static int run_with(const reel_usage *u, const reel_parsed *parsed, reel_make_options *o,
                    const reel_generate_request *given) {
    char pocket[PATH_BYTES], cache[REEL_HUB_PATH];
    char *owned = NULL;
    reel_generate_request r = make_request(u, parsed, o, given);
    if (!reel_make_find_model(u, &o->model, pocket)) return REEL_EXIT_FAILURE;
    reel_make_hold_signals();
    reel_env *env;
    const reel_log_level level = o->quiet     ? REEL_LOG_ERROR
                                 : o->verbose ? REEL_LOG_INFO
                                              : REEL_LOG_WARN;
    if (!reel_command_env_for(u, (int)o->threads, level, &env)) return REEL_EXIT_FAILURE;
    int exit_code = REEL_EXIT_FAILURE;
    if (read_prompt(env, u, o, &r.prompt, &owned)) {
        r.model = o->model;
        r.cache_root = reel_hub_cache(cache);
        const reel_status status = generate(env, u, o, &r);
        exit_code = status == REEL_OK ? REEL_EXIT_OK : reel_command_fail(u, env);
    }
    reel_free(env, owned);
    reel_env_free(&env);
    return exit_code;
}

/* ---- in 3D ---- */

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
    before.is_half = before.keep_finished = true;
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

static int run(const reel_usage *u, const reel_parsed *parsed, reel_make_options *o,
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

/* ---- what was made before ---- */

static bool takes_a_length(reel_task_kind task) {
    return task == REEL_TASK_GENERATE || task == REEL_TASK_ANIMATE;
}

/* Makes it once: with what a recipe says, where one is named. */
static int make_once(const reel_usage *u, const reel_parsed *parsed, reel_make_options *o,
                     const reel_generate_request *given) {
    reel_make_options filled = *o;
    reel_parsed marked = *parsed;
    reel_recipe recipe = {0};
    const char *source = o->draft ? o->draft : o->source;
    const reel_recipe_use use = {.steps = !o->draft,
                                 .size = takes_a_length(given->task),
                                 .length = takes_a_length(given->task)};
    bool good = !source || (reel_recipe_open(u, source, &recipe) &&
                            reel_recipe_fill(u, &recipe, use, &marked, &filled));
    int code = REEL_EXIT_FAILURE;
    if (good) code = run(u, &marked, &filled, given);
    reel_recipe_close(&recipe);
    return code;
}

static int make_one(const reel_usage *u, const reel_parsed *parsed, reel_make_options *o,
                    const void *context) {
    return make_once(u, parsed, o, context);
}

/* All files that are asked for. Standard input is read here: it can be read only once, and stands
 * for --prompt then. */
static int make_all(const reel_usage *u, const reel_parsed *parsed, const reel_make_options *o,
                    reel_make_one *make, const void *context) {
    reel_make_options filled = *o;
    reel_parsed marked = *parsed;
    char *input = NULL;
    if (o->prompt_file && strcmp(o->prompt_file, "-") == 0 && !o->prompt) {
        filled.prompt = input = read_input(u);
        if (!input) return REEL_EXIT_FAILURE;
        filled.prompt_file = NULL;
        reel_option_mark(u, &marked, "prompt");
    }
    const int code = o->variations > 1 ? reel_make_variations(u, &marked, &filled, make, context)
                                       : make(u, &marked, &filled, context);
    free(input);
    return code;
}

int reel_make(const reel_usage *u, const reel_parsed *parsed, reel_make_options *o,
              const reel_generate_request *given) {
    return make_all(u, parsed, o, make_one, given);
}

/* ---- in two runs ---- */

static int make_pair(const reel_usage *u, const reel_parsed *parsed, reel_make_options *o,
                     const void *context) {
    const reel_generate_request *const *pair = context;
    char half[PATH_BYTES];
    if (snprintf(half, sizeof half, "%s.reel-half.mkv", o->output) >= (int)sizeof half) {
        fprintf(stderr, "reel %s: --output: the name has more than %d bytes\n", u->command,
                PATH_BYTES - 16);
        return REEL_EXIT_USAGE;
    }
    reel_make_options before = *o;
    reel_generate_request rest = *pair[1];
    before.output = half;
    before.is_half = before.keep_finished = true;
    rest.clip[0] = half;
    int code = make_once(u, parsed, &before, pair[0]);
    if (code != REEL_EXIT_OK || o->dry_run) return code;
    code = make_once(u, parsed, o, &rest);
    (void)unlink(half);
    return code;
}

int reel_make_twice(const reel_usage *u, const reel_parsed *parsed, reel_make_options *o,
                    const reel_generate_request *first, const reel_generate_request *second) {
    const reel_generate_request *const pair[] = {first, second};
    return make_all(u, parsed, o, make_pair, pair);
}

/* ---- for the commands ---- */

reel_generate_request reel_make_request(reel_task_kind task, const reel_parsed *parsed,
                                        const char *fit) {
    reel_generate_request r = reel_generate_request_default();
    r.task = task;
    for (int i = 0; i < parsed->n_operands && i < 2; i++)
        r.clip[i] = parsed->operand[i];
    r.letterbox = strcmp(fit, "letterbox") == 0;
    return r;
}
