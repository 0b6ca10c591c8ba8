/* reel stereo and reel depth: a clip for two eyes, and how far away everything in it is. */
#include <string.h>

#include "app/cli/make.h"
#include "app/cli/progress.h"

bool reel_make_depth_name(const char *output, char text[REEL_HUB_PATH]) {
    const char *slash = strrchr(output, '/'), *dot = strrchr(output, '.');
    if (!dot || (slash && dot < slash) || strchr(output, '%')) return false;
    const int n = snprintf(text, REEL_HUB_PATH, "%.*s.depth%s", (int)(dot - output), output, dot);
    return n < REEL_HUB_PATH;
}

static void on_event(void *context, const reel_event *event) {
    reel_progress_event(context, event);
}

static int make(const reel_usage *u, const reel_stereo_request *request, int n_threads, bool json,
                bool quiet) {
    reel_env *env;
    reel_progress progress;
    reel_make_hold_signals();
    if (!reel_command_env_with(u, n_threads, &env)) return REEL_EXIT_FAILURE;
    reel_progress_init(&progress, env, NULL, false);
    progress.command = u->command;
    progress.json = json;
    progress.quiet = quiet;
    const reel_status status =
        reel_stereo_make(env, request, on_event, reel_make_is_cancelled, &progress);
    reel_progress_deinit(&progress);
    const int code = status == REEL_OK ? REEL_EXIT_OK : reel_command_fail(u, env);
    reel_env_free(&env);
    return code;
}

static reel_stereo_request request_of(const reel_make_options *o, char cache[REEL_HUB_PATH]) {
    reel_stereo_request r = reel_stereo_request_default();
    r.model = o->model;
    r.cache_root = reel_hub_cache(cache);
    if (o->stereo && strcmp(o->stereo, "anaglyph") == 0) r.kind = REEL_STEREO_ANAGLYPH;
    r.eyes_m = o->eyes;
    r.screen = o->screen;
    r.isa = o->bit_exact ? "portable" : o->isa;
    return r;
}

int reel_make_check_stereo(const reel_usage *u, const reel_make_options *o) {
    char cache[REEL_HUB_PATH];
    reel_env *env;
    const reel_stereo_request r = request_of(o, cache);
    if (!reel_command_env(u, &env)) return REEL_EXIT_FAILURE;
    const reel_status status = reel_stereo_check(env, &r);
    const int code = status == REEL_OK ? REEL_EXIT_OK : reel_command_fail(u, env);
    reel_env_free(&env);
    return code;
}

int reel_make_stereo(const reel_usage *u, const reel_make_options *o, const char *clip,
                     const char *output, const char *depth_output) {
    char cache[REEL_HUB_PATH];
    reel_stereo_request r = request_of(o, cache);
    r.clip = clip;
    r.output = output;
    r.depth_output = depth_output;
    return make(u, &r, (int)o->threads, o->json, o->quiet);
}

/* ---- the commands ---- */

typedef struct stereo_options {
    const char *output, *model, *kind, *isa;
    double eyes, screen;
    int64_t threads;
    bool json, quiet;
} stereo_options;

#define FIELD(name) offsetof(stereo_options, name)

static const reel_option shared[] = {
    {.name = "output",
     .short_name = 'o',
     .value = "FILE",
     .help = "where to write: .mp4 .webm .gif .mkv (lossless) .png",
     .initial = "output.mp4",
     .offset = FIELD(output),
     .kind = REEL_OPTION_TEXT},
    {.name = "model",
     .value = "DIR",
     .help = "a model folder with depth/ (default: $REEL_MODEL, else models/pocket)",
     .offset = FIELD(model),
     .kind = REEL_OPTION_TEXT},
    REEL_MAKE_THREADS_ROW(FIELD(threads)),
    REEL_MAKE_ISA_ROW(FIELD(isa)),
    REEL_MAKE_JSON_ROW(FIELD(json)),
    REEL_MAKE_QUIET_ROW(FIELD(quiet)),
};

static const reel_option stereo_rows[] = {
    {.name = "as",
     .value = "HOW",
     .help = "both eyes side by side, or for red-cyan glasses",
     .initial = "sbs",
     .choices = {"sbs", "anaglyph"},
     .offset = FIELD(kind),
     .kind = REEL_OPTION_CHOICE},
    REEL_MAKE_EYES_ROW(FIELD(eyes)),
    REEL_MAKE_SCREEN_ROW(FIELD(screen)),
};

static const reel_usage stereo_usage = {
    .command = "stereo",
    .summary = "Make a video for two eyes of a clip",
    .details = "The clip is what the left eye sees; the right eye's view is drawn from the depth "
               "that the model's\ndepth head reads. Side by side is twice as wide as the clip.",
    .operands = "CLIP",
    .min_operands = 1,
    .max_operands = 1,
    .option = stereo_rows,
    .n_options = sizeof stereo_rows / sizeof *stereo_rows,
    .shared = shared,
    .n_shared = sizeof shared / sizeof *shared,
};

static const reel_usage depth_usage = {
    .command = "depth",
    .summary = "Make a video of how near everything in a clip is",
    .details = "Grey: black is the horizon, white is nearness 0.8 and above; nearness is one over "
               "the distance\nin metres times the tangent of half the angle of view across the "
               "shorter side.",
    .operands = "CLIP",
    .min_operands = 1,
    .max_operands = 1,
    .shared = shared,
    .n_shared = sizeof shared / sizeof *shared,
};

static int run(const reel_usage *u, int argc, const char *const *argv) {
    stereo_options o = {0};
    reel_parsed parsed;
    int exit_code;
    char pocket[REEL_HUB_PATH], cache[REEL_HUB_PATH];
    const bool is_depth = u == &depth_usage;
    if (!reel_command_parse(u, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    if (!reel_make_find_model(u, &o.model, pocket)) return REEL_EXIT_FAILURE;
    reel_stereo_request r = reel_stereo_request_default();
    r.model = o.model;
    r.cache_root = reel_hub_cache(cache);
    r.clip = parsed.operand[0];
    r.isa = o.isa;
    if (is_depth) {
        r.depth_output = o.output;
    } else {
        r.output = o.output;
        r.kind = strcmp(o.kind, "anaglyph") == 0 ? REEL_STEREO_ANAGLYPH : REEL_STEREO_SBS;
        r.eyes_m = o.eyes;
        r.screen = o.screen;
    }
    return make(u, &r, (int)o.threads, o.json, o.quiet);
}

static int run_stereo(int argc, const char *const *argv) {
    return run(&stereo_usage, argc, argv);
}
static int run_depth(int argc, const char *const *argv) {
    return run(&depth_usage, argc, argv);
}

const reel_command reel_command_stereo = {.usage = &stereo_usage, .run = run_stereo};
const reel_command reel_command_depth = {.usage = &depth_usage, .run = run_depth};
