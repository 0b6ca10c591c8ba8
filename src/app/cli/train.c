/* reel train: a model from a recipe, for as long as it takes. */
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "app/cli/command.h"
#include "base/json_out.h"

enum { MAX_SET = 64, MAX_WORDS = 256 };

typedef struct train_options {
    const char *config, *out, *isa, *set, *init;
    reel_option_list clips;
    int64_t steps, threads, lora;
    double minutes;
    bool json, profile;
} train_options;

static const reel_option options[] = {
    {.name = "config",
     .value = "FILE",
     .help = "the recipe, JSON; without one, the defaults",
     .offset = offsetof(train_options, config),
     .kind = REEL_OPTION_TEXT},
    {.name = "out",
     .value = "DIR",
     .help = "run folder; a run that is there goes on from its last checkpoint",
     .initial = "run",
     .offset = offsetof(train_options, out),
     .kind = REEL_OPTION_TEXT},
    {.name = "clips",
     .value = "DIR",
     .help =
         "train on these clips instead of reel's world: a folder, a .tar file or a video; may be "
         "repeated",
     .offset = offsetof(train_options, clips),
     .kind = REEL_OPTION_LIST},
    {.name = "init",
     .value = "DIR",
     .help = "dit, judge: go on from this model's folder; vae, decoder: from the vae/ in it",
     .offset = offsetof(train_options, init),
     .kind = REEL_OPTION_TEXT},
    {.name = "lora",
     .value = "RANK",
     .help = "dit: train low-rank paths of this rank and nothing else",
     .min = 1,
     .max = 4096,
     .offset = offsetof(train_options, lora),
     .kind = REEL_OPTION_COUNT},
    {.name = "set",
     .value = "SECTION.FIELD=VALUE",
     .help = "change one field of the recipe; may be given again and again",
     .offset = offsetof(train_options, set),
     .kind = REEL_OPTION_TEXT},
    {.name = "steps",
     .value = "N",
     .help = "length of the run and of its schedule; 0: the recipe's",
     .initial = "0",
     .max = 1e9,
     .offset = offsetof(train_options, steps),
     .kind = REEL_OPTION_COUNT},
    {.name = "minutes",
     .value = "X",
     .help = "stop after so much time, to go on later; 0: no limit",
     .initial = "0",
     .max = 1e6,
     .offset = offsetof(train_options, minutes),
     .kind = REEL_OPTION_NUMBER},
    {.name = "threads",
     .value = "N",
     .help = "threads; 0: one per core",
     .initial = "0",
     .max = 256,
     .offset = offsetof(train_options, threads),
     .kind = REEL_OPTION_COUNT},
    {.name = "isa",
     .value = "LEVEL",
     .help = "use nothing stronger than this",
     .choices = {"portable", "avx2", "avx512", "avx512_bf16", "amx"},
     .offset = offsetof(train_options, isa),
     .kind = REEL_OPTION_CHOICE},
    {.name = "profile",
     .help = "after three steps print where the time of one goes, and stop",
     .offset = offsetof(train_options, profile),
     .kind = REEL_OPTION_FLAG},
    {.name = "json",
     .help = "print events as JSON lines instead of progress",
     .offset = offsetof(train_options, json),
     .kind = REEL_OPTION_FLAG},
};

static const reel_usage usage = {
    .command = "train",
    .summary = "Train a model: vae, decoder, text, dit, judge, depth, tokenizer, or pocket for all",
    .operands = "WHAT",
    .min_operands = 1,
    .max_operands = 1,
    .option = options,
    .n_options = sizeof options / sizeof *options,
};

/* ---- telling ---- */

typedef struct teller {
    reel_env *env;
    bool json, terminal, line_open;
} teller;

/* Both signals are blocked and looked for here, so that a step is never cut in two and nothing
 * global is needed. */
static int asked_to_stop(void) {
    sigset_t pending;
    if (sigpending(&pending) != 0) return 0;
    return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1;
}

static void block_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void duration(double s, char text[32]) {
    if (s < 90)
        snprintf(text, 32, "%.0fs", s);
    else if (s < 5400)
        snprintf(text, 32, "%.0fmin", s / 60);
    else
        snprintf(text, 32, "%.1fh", s / 3600);
}

static void print_step(teller *t, const reel_train_event *e) {
    char spent[32], left[32], share[32] = "";
    duration(e->seconds, spent);
    duration(e->left_s, left);
    if (e->ceiling_flops_per_s > 0)
        snprintf(share, sizeof share, " (%.0f%%)", 100 * e->flops_per_s / e->ceiling_flops_per_s);
    const char *end = t->terminal ? "\033[K\r" : "\n";
    fprintf(stderr,
            "%s %lld/%lld  loss %.4f  norm %.3g  %.1f samples/s  %.0f GFLOP/s%s  %s, %s left%s",
            e->kind, (long long)e->step, (long long)e->steps, e->loss, e->norm, e->samples_per_s,
            e->flops_per_s * 1e-9, share, spent, left, end);
    t->line_open = t->terminal;
}

static void print_event(teller *t, const reel_train_event *e) {
    if (strcmp(e->phase, "step") == 0) {
        if (t->terminal || (e->step % 10) == 0 || e->step <= 3) print_step(t, e);
        return;
    }
    if (t->line_open) fprintf(stderr, "\n");
    t->line_open = false;
    fprintf(stderr, "%s %s%s%s", e->kind, e->phase, e->text ? ": " : "", e->text ? e->text : "");
    if (!e->text) fprintf(stderr, " at step %lld", (long long)e->step);
    fprintf(stderr, "\n");
}

static void put(reel_json_out *out, const char *key, double x) {
    reel_json_out_key(out, key);
    reel_json_out_real(out, x);
}

static void print_json(teller *t, const reel_train_event *e) {
    reel_json_out out;
    reel_json_out_init(&out, t->env);
    reel_json_out_object_begin(&out);
    reel_json_out_key(&out, "kind");
    reel_json_out_string(&out, e->kind);
    reel_json_out_key(&out, "phase");
    reel_json_out_string(&out, e->phase);
    reel_json_out_key(&out, "step");
    reel_json_out_int(&out, e->step);
    reel_json_out_key(&out, "steps");
    reel_json_out_int(&out, e->steps);
    put(&out, "loss", e->loss);
    put(&out, "norm", e->norm);
    put(&out, "seconds", e->seconds);
    put(&out, "left_s", e->left_s);
    put(&out, "samples_per_s", e->samples_per_s);
    put(&out, "flops_per_s", e->flops_per_s);
    if (e->text) {
        reel_json_out_key(&out, "text");
        reel_json_out_string(&out, e->text);
    }
    reel_json_out_end(&out);
    const char *text;
    int64_t bytes;
    if (reel_json_out_text(&out, &text, &bytes) == REEL_OK) printf("%s\n", text);
    fflush(stdout);
    reel_json_out_deinit(&out);
}

static int progress(void *context, const reel_train_event *event) {
    teller *t = context;
    if (t->json)
        print_json(t, event);
    else
        print_event(t, event);
    return asked_to_stop();
}

/* ---- the command ---- */

/* Takes every "--set X" and "--set=X" out of argv; returns how many words are left, or -1 with a
 * message when there are too many or one lacks its value. */
static int take_settings(int argc, const char *const *argv, const char **rest, const char **set,
                         int *n_set) {
    int n = 0;
    *n_set = 0;
    for (int i = 0; i < argc; i++) {
        const bool apart = strcmp(argv[i], "--set") == 0;
        const bool joined = strncmp(argv[i], "--set=", 6) == 0;
        if ((apart && i + 1 >= argc) || n >= MAX_WORDS || *n_set >= MAX_SET) {
            fprintf(stderr, "reel train: %s\n",
                    apart && i + 1 >= argc ? "--set needs SECTION.FIELD=VALUE behind it"
                                           : "too many words on the command line");
            return -1;
        }
        if (apart)
            set[(*n_set)++] = argv[++i];
        else if (joined)
            set[(*n_set)++] = argv[i] + 6;
        else
            rest[n++] = argv[i];
    }
    return n;
}

/* What options say as settings of the recipe, which go before those of --set. */
typedef struct own_settings {
    reel_json_out clips;
    char text[3][8192];
    const char *set[MAX_SET];
    int n;
} own_settings;

static bool put_clips(own_settings *s, const reel_option_list *clips) {
    const char *list;
    int64_t bytes;
    reel_json_out_array_begin(&s->clips);
    for (int i = 0; i < clips->n; i++)
        reel_json_out_string(&s->clips, clips->text[i]);
    reel_json_out_end(&s->clips);
    if (reel_json_out_text(&s->clips, &list, &bytes) != REEL_OK) return false;
    s->set[s->n] = s->text[0];
    return snprintf(s->text[0], sizeof s->text[0], "data.clips=%s", list) <
               (int)sizeof s->text[0] &&
           ++s->n;
}

/* False when it does not fit. */
static bool collect(own_settings *s, const train_options *o, const char *what,
                    const char *const *set, int n_set) {
    const bool own = strcmp(what, "dit") == 0 || strcmp(what, "judge") == 0;
    if (n_set > MAX_SET - 3) return false;
    if (o->clips.n && !put_clips(s, &o->clips)) return false;
    if (o->init) {
        snprintf(s->text[1], sizeof s->text[1], "%s.init=%s", own ? what : "vae", o->init);
        s->set[s->n++] = s->text[1];
    }
    if (o->lora) {
        snprintf(s->text[2], sizeof s->text[2], "dit.lora=%lld", (long long)o->lora);
        s->set[s->n++] = s->text[2];
    }
    for (int i = 0; i < n_set; i++)
        s->set[s->n++] = set[i];
    return true;
}

static int train(const train_options *o, const char *what, const char *const *set, int n_set) {
    reel_env *env;
    if (!reel_command_env_with(&usage, (int)o->threads, &env)) return REEL_EXIT_FAILURE;
    own_settings own = {.n = 0};
    reel_json_out_init(&own.clips, env);
    if (!collect(&own, o, what, set, n_set)) {
        fprintf(stderr, "reel train: more settings than fit; write them into a recipe\n");
        reel_json_out_deinit(&own.clips);
        reel_env_free(&env);
        return REEL_EXIT_USAGE;
    }
    teller t = {.env = env, .json = o->json, .terminal = isatty(STDERR_FILENO) == 1};
    reel_train_options train = reel_train_options_default();
    train.kind = what;
    train.recipe = o->config;
    train.out = o->out;
    train.set = own.set;
    train.n_set = own.n;
    train.steps = o->steps;
    train.minutes = o->minutes;
    train.isa = o->isa;
    train.profile = o->profile;
    train.progress = progress;
    train.context = &t;
    int stopped = 0;
    const reel_status status = reel_train(env, &train, &stopped);
    if (t.line_open) fprintf(stderr, "\n");
    if (status == REEL_OK && stopped && !o->profile && !o->json)
        fprintf(stderr, "stopped; the same command goes on\n");
    const int exit_code = status == REEL_OK ? REEL_EXIT_OK : reel_command_fail(&usage, env);
    reel_json_out_deinit(&own.clips);
    reel_env_free(&env);
    return exit_code;
}

static int run(int argc, const char *const *argv) {
    train_options o = {0};
    reel_parsed parsed;
    const char *rest[MAX_WORDS], *set[MAX_SET];
    int exit_code, n_set;
    const int n = take_settings(argc, argv, rest, set, &n_set);
    if (n < 0) return REEL_EXIT_USAGE;
    if (!reel_command_parse(&usage, n, rest, &o, &parsed, &exit_code)) return exit_code;
    block_signals();
    return train(&o, parsed.operand[0], set, n_set);
}

const reel_command reel_command_train = {.usage = &usage, .run = run};
