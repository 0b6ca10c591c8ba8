/* reel eval: what a model is worth, as a table and as JSON. */
#include <stdlib.h>
#include <unistd.h>

#include "app/cli/command.h"

typedef struct eval_options {
    const char *model, *judge, *only, *json, *isa, *clips;
    int64_t prompts, steps, seed, frames, threads, text_length, drift_clips;
    reel_option_size size;
    double cfg_scale, fps, drift_seconds;
    reel_option_list drift;
} eval_options;

static const reel_option options[] = {
    {.name = "model",
     .value = "DIR",
     .help = "the model folder; one with nothing but vae/ is measured as an autoencoder",
     .offset = offsetof(eval_options, model),
     .kind = REEL_OPTION_TEXT},
    {.name = "judge",
     .value = "DIR",
     .help = "folder of a judge; without one, MODEL/judge where that is there",
     .offset = offsetof(eval_options, judge),
     .kind = REEL_OPTION_TEXT},
    {.name = "only",
     .value = "PARTS",
     .help = "some of vae,judge,frechet,swap,physics,stereo,tasks; all but tasks when nothing is "
             "said",
     .offset = offsetof(eval_options, only),
     .kind = REEL_OPTION_TEXT},
    {.name = "prompts",
     .value = "N",
     .help =
         "held-out prompts, of which tasks make eight clips each; vae, swap, physics and stereo "
         "take an eighth, at least 8",
     .initial = "500",
     .min = 1,
     .max = 1e6,
     .offset = offsetof(eval_options, prompts),
     .kind = REEL_OPTION_COUNT},
    {.name = "steps",
     .value = "N",
     .help = "steps of the sampler",
     .initial = "20",
     .min = 1,
     .max = 1000,
     .offset = offsetof(eval_options, steps),
     .kind = REEL_OPTION_COUNT},
    {.name = "cfg-scale",
     .value = "X",
     .help = "guidance; 1: none; left out: the model's own",
     .max = 100,
     .offset = offsetof(eval_options, cfg_scale),
     .kind = REEL_OPTION_NUMBER},
    {.name = "seed",
     .value = "N",
     .help = "of prompts and noise",
     .initial = "1",
     .offset = offsetof(eval_options, seed),
     .kind = REEL_OPTION_SEED},
    {.name = "size",
     .value = "WxH",
     .help = "of clips, when there is no judge, which has its own",
     .initial = "128x128",
     .min = 16,
     .max = 4096,
     .offset = offsetof(eval_options, size),
     .kind = REEL_OPTION_SIZE},
    {.name = "frames",
     .value = "N",
     .help = "likewise",
     .initial = "33",
     .min = 2,
     .max = 1025,
     .offset = offsetof(eval_options, frames),
     .kind = REEL_OPTION_COUNT},
    {.name = "fps",
     .value = "X",
     .help = "frames a second of the world's clips",
     .initial = "8",
     .min = 1,
     .max = 240,
     .offset = offsetof(eval_options, fps),
     .kind = REEL_OPTION_NUMBER},
    {.name = "text-length",
     .value = "N",
     .help = "rows of text the transformer sees; 0: as the model folder says",
     .initial = "0",
     .max = 512,
     .offset = offsetof(eval_options, text_length),
     .kind = REEL_OPTION_COUNT},
    {.name = "drift",
     .value = "FILE",
     .help = "compare the last five seconds of a long video with its first, and nothing else; may "
             "be repeated",
     .offset = offsetof(eval_options, drift),
     .kind = REEL_OPTION_LIST},
    {.name = "clips",
     .value = "DIR",
     .help = "keep what judge, physics and tasks are of there, with judge.json: what was asked and "
             "seen",
     .offset = offsetof(eval_options, clips),
     .kind = REEL_OPTION_TEXT},
    {.name = "drift-clips",
     .value = "N",
     .help = "of tasks: long videos that are made from prompts; 0: none",
     .initial = "2",
     .max = 64,
     .offset = offsetof(eval_options, drift_clips),
     .kind = REEL_OPTION_COUNT},
    {.name = "drift-seconds",
     .value = "X",
     .help = "of each of them",
     .initial = "20",
     .min = 10,
     .max = 60,
     .offset = offsetof(eval_options, drift_seconds),
     .kind = REEL_OPTION_NUMBER},
    {.name = "json",
     .value = "FILE",
     .help = "write the figures there as well",
     .offset = offsetof(eval_options, json),
     .kind = REEL_OPTION_TEXT},
    {.name = "threads",
     .value = "N",
     .help = "threads; 0: one per core",
     .initial = "0",
     .max = 256,
     .offset = offsetof(eval_options, threads),
     .kind = REEL_OPTION_COUNT},
    {.name = "isa",
     .value = "LEVEL",
     .help = "use nothing stronger than this",
     .choices = {"portable", "avx2", "avx512", "avx512_bf16", "amx"},
     .offset = offsetof(eval_options, isa),
     .kind = REEL_OPTION_CHOICE},
};

static const reel_usage usage = {
    .command = "eval",
    .summary = "Measure a model on held-out clips and prompts of reel's world",
    .details = "Figures that depend on a judge or on following objects are shown beside those of "
               "real renders of the same prompts.",
    .option = options,
    .n_options = sizeof options / sizeof *options,
};

static int progress(void *context, const char *part, int64_t done, int64_t total) {
    const bool *terminal = context;
    if (*terminal) fprintf(stderr, "\r%s %lld/%lld\033[K", part, (long long)done, (long long)total);
    return 0;
}

static void print_line(void *context, const char *line) {
    (void)context;
    printf("%s\n", line);
}

static int evaluate(const eval_options *o, const reel_parsed *parsed) {
    reel_env *env;
    if (!reel_command_env_with(&usage, (int)o->threads, &env)) return REEL_EXIT_FAILURE;
    bool terminal = isatty(STDERR_FILENO) == 1;
    reel_evaluate_options e = reel_evaluate_options_default();
    e.model = o->model;
    e.judge = o->judge;
    e.only = o->only;
    e.json = o->json;
    e.drift = o->drift.text;
    e.n_drift = o->drift.n;
    e.isa = o->isa;
    e.prompts = o->prompts;
    e.steps = o->steps;
    if (reel_option_given(&usage, parsed, "cfg-scale")) e.cfg_scale = o->cfg_scale;
    e.seed = o->seed;
    e.frames = o->frames;
    e.width = o->size.width;
    e.height = o->size.height;
    e.fps = o->fps;
    e.text_length = o->text_length;
    e.scratch = getenv("TMPDIR");
    e.clips = o->clips;
    e.drift_clips = o->drift_clips;
    e.drift_seconds = o->drift_seconds;
    e.progress = progress;
    e.line = print_line;
    e.context = &terminal;
    const reel_status status = reel_evaluate(env, &e);
    if (terminal) fprintf(stderr, "\r\033[K");
    const int exit_code = status == REEL_OK ? REEL_EXIT_OK : reel_command_fail(&usage, env);
    reel_env_free(&env);
    return exit_code;
}

static int run(int argc, const char *const *argv) {
    eval_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    if (!o.model && !o.drift.n) {
        fprintf(stderr, "reel eval: wanted --model DIR: the folder to measure\n");
        return REEL_EXIT_USAGE;
    }
    return evaluate(&o, &parsed);
}

const reel_command reel_command_eval = {.usage = &usage, .run = run};
