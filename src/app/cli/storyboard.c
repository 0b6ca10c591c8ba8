/* reel storyboard: a film of several shots from a script. */
#include <string.h>
#include <unistd.h>

#include "app/cli/make.h"
#include "base/json_out.h"

typedef struct storyboard_options {
    const char *output, *model, *sheet, *shots, *type, *isa;
    int64_t steps, threads, max_memory;
    bool no_sheet, bit_exact, dry_run, json, quiet;
} storyboard_options;

#define FIELD(name) offsetof(storyboard_options, name)

static const reel_option options[] = {
    {.name = "output",
     .short_name = 'o',
     .value = "FILE",
     .help = "the film: .mp4 .webm .gif .mkv (lossless)",
     .initial = "film.mp4",
     .offset = FIELD(output),
     .kind = REEL_OPTION_TEXT},
    {.name = "sheet",
     .value = "FILE",
     .help = "the contact sheet (default: NAME.sheet.png beside NAME.mp4)",
     .offset = FIELD(sheet),
     .kind = REEL_OPTION_TEXT},
    {.name = "no-sheet",
     .help = "write no contact sheet",
     .offset = FIELD(no_sheet),
     .kind = REEL_OPTION_FLAG},
    {.name = "shots",
     .value = "DIR",
     .help = "where shots are kept, so that only what changed is made again (default: "
             "OUTPUT.reel-shots)",
     .offset = FIELD(shots),
     .kind = REEL_OPTION_TEXT},
    REEL_MAKE_MODEL_ROW(FIELD(model)),
    {.name = "steps",
     .value = "N",
     .help = "denoising steps (default: the script's, or the model's)",
     .min = 1,
     .max = 1000,
     .offset = FIELD(steps),
     .kind = REEL_OPTION_COUNT},
    REEL_MAKE_TYPE_ROW(FIELD(type)),
    REEL_MAKE_THREADS_ROW(FIELD(threads)),
    {.name = "max-memory",
     .value = "SIZE",
     .help = "keep the process below this",
     .min = 64 << 20,
     .max = 0x1p50,
     .offset = FIELD(max_memory),
     .kind = REEL_OPTION_BYTES},
    REEL_MAKE_ISA_ROW(FIELD(isa)),
    REEL_MAKE_BIT_EXACT_ROW(FIELD(bit_exact)),
    {.name = "dry-run",
     .help = "check the script, print what would be made, and stop",
     .offset = FIELD(dry_run),
     .kind = REEL_OPTION_FLAG},
    REEL_MAKE_JSON_ROW(FIELD(json)),
    REEL_MAKE_QUIET_ROW(FIELD(quiet)),
};

static const reel_usage usage = {
    .command = "storyboard",
    .summary = "Make a film of several shots from a script",
    .details = "The script is JSON or plain text, as docs/storyboard.md says: shots with prompts, "
               "pictures and clips at\ntimes, titles, fades, and names for who and what comes "
               "back. Shots are kept beside the film; the same\ncommand makes again only what "
               "changed, and goes on where it was stopped.",
    .operands = "SCRIPT",
    .min_operands = 1,
    .max_operands = 1,
    .option = options,
    .n_options = sizeof options / sizeof *options,
};

/* ---- telling ---- */

typedef struct teller {
    reel_env *env;
    const storyboard_options *o;
    bool terminal, line_open;
} teller;

static const char *const kinds[] = {
    [REEL_STORYBOARD_SHOT] = "shot", [REEL_STORYBOARD_RENDER] = "render",
    [REEL_STORYBOARD_STEP] = "step", [REEL_STORYBOARD_JOIN] = "join",
    [REEL_STORYBOARD_NOTE] = "note", [REEL_STORYBOARD_DONE] = "done"};

static void put_int(reel_json_out *out, const char *key, int64_t x) {
    reel_json_out_key(out, key);
    reel_json_out_int(out, x);
}

static void print_json(const teller *t, const reel_storyboard_event *e) {
    reel_json_out out;
    const char *text;
    int64_t bytes;
    reel_json_out_init(&out, t->env);
    reel_json_out_object_begin(&out);
    reel_json_out_key(&out, "event");
    reel_json_out_string(&out, kinds[e->kind]);
    if (e->kind != REEL_STORYBOARD_DONE && e->kind != REEL_STORYBOARD_NOTE) {
        put_int(&out, "shot", e->shot);
        put_int(&out, "shots", e->n_shots);
    }
    if (e->kind == REEL_STORYBOARD_SHOT) {
        reel_json_out_key(&out, "made");
        reel_json_out_bool(&out, e->made);
    }
    if (e->text) {
        reel_json_out_key(&out, e->kind == REEL_STORYBOARD_DONE ? "path" : "text");
        reel_json_out_string(&out, e->text);
    }
    if (e->event) {
        put_int(&out, "done", e->event->done);
        put_int(&out, "total", e->event->total);
    }
    reel_json_out_end(&out);
    if (reel_json_out_text(&out, &text, &bytes) == REEL_OK) printf("%s\n", text);
    fflush(stdout);
    reel_json_out_deinit(&out);
}

static void end_line(teller *t) {
    if (t->line_open) fprintf(stderr, "\n");
    t->line_open = false;
}

static void print_line(teller *t, const reel_storyboard_event *e) {
    const char *state = e->kind == REEL_STORYBOARD_RENDER ? "making" : e->made ? "kept" : "to make";
    if (e->kind == REEL_STORYBOARD_STEP) {
        if (!t->terminal) return;
        fprintf(stderr, "\r\033[K%lld/%lld  %lld of %lld", (long long)e->shot,
                (long long)e->n_shots, (long long)e->event->done, (long long)e->event->total);
        fflush(stderr);
        t->line_open = true;
        return;
    }
    end_line(t);
    if (e->kind == REEL_STORYBOARD_DONE)
        printf("%s\n", e->text);
    else if (e->kind == REEL_STORYBOARD_NOTE)
        fprintf(stderr, "reel storyboard: %s\n", e->text);
    else if (e->kind != REEL_STORYBOARD_JOIN)
        fprintf(t->o->dry_run ? stdout : stderr, "%lld/%lld  %g s  %-7s  %s\n", (long long)e->shot,
                (long long)e->n_shots, e->seconds, state, e->text);
}

static void on_event(void *context, const reel_storyboard_event *event) {
    teller *t = context;
    if (t->o->json)
        print_json(t, event);
    else if (!t->o->quiet)
        print_line(t, event);
}

/* "film.mp4" -> "film.sheet.png" */
static bool sheet_name(const char *output, char text[REEL_HUB_PATH]) {
    const char *slash = strrchr(output, '/'), *dot = strrchr(output, '.');
    if (!dot || (slash && dot < slash)) dot = output + strlen(output);
    return snprintf(text, REEL_HUB_PATH, "%.*s.sheet.png", (int)(dot - output), output) <
           REEL_HUB_PATH;
}

static int make(const storyboard_options *o, const char *script, const char *sheet) {
    char cache[REEL_HUB_PATH];
    reel_env *env;
    reel_make_hold_signals();
    if (!reel_command_env_with(&usage, (int)o->threads, &env)) return REEL_EXIT_FAILURE;
    const reel_storyboard_request r = {.script = script,
                                       .model = o->model,
                                       .cache_root = reel_hub_cache(cache),
                                       .output = o->output,
                                       .sheet = sheet,
                                       .shots = o->shots,
                                       .steps = o->steps,
                                       .type = o->type,
                                       .isa = o->isa,
                                       .max_memory = o->max_memory,
                                       .bit_exact = o->bit_exact,
                                       .plan_only = o->dry_run};
    teller t = {.env = env, .o = o, .terminal = isatty(STDERR_FILENO) == 1};
    const reel_status status = reel_storyboard_make(env, &r, on_event, reel_make_is_cancelled, &t);
    end_line(&t);
    const int code = status == REEL_OK ? REEL_EXIT_OK : reel_command_fail(&usage, env);
    reel_env_free(&env);
    return code;
}

static int run(int argc, const char *const *argv) {
    storyboard_options o = {0};
    reel_parsed parsed;
    int exit_code;
    char pocket[REEL_HUB_PATH], name[REEL_HUB_PATH];
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    if (o.sheet && o.no_sheet) {
        fprintf(stderr, "reel storyboard: --sheet and --no-sheet: give one of them\n");
        return REEL_EXIT_USAGE;
    }
    if (strchr(o.output, '%')) {
        fprintf(stderr, "reel storyboard: --output: got '%s', wanted one video file\n", o.output);
        return REEL_EXIT_USAGE;
    }
    if (!o.sheet && !o.no_sheet && !sheet_name(o.output, name)) {
        fprintf(stderr, "reel storyboard: --output: the name is too long\n");
        return REEL_EXIT_USAGE;
    }
    if (!reel_make_find_model(&usage, &o.model, pocket)) return REEL_EXIT_FAILURE;
    return make(&o, parsed.operand[0], o.no_sheet ? NULL : o.sheet ? o.sheet : name);
}

const reel_command reel_command_storyboard = {.usage = &usage, .run = run};
