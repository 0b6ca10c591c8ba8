/* reel init: a model folder with random weights, to train or to measure. */
#include "app/cli/command.h"

typedef struct init_options {
    const char *like, *config, *components, *tokenizer, *dtype;
    int64_t seed, threads;
} init_options;

static const reel_option options[] = {
    {.name = "like",
     .value = "MODEL",
     .help = "a preset (wan2.1-t2v-1.3b, wan2.1-t2v-14b, wan2.1-i2v-14b, wan2.2-t2v-a14b, "
             "wan2.2-i2v-a14b, wan2.2-ti2v-5b, wan-tiny, wan-tiny-ti2v, wan-tiny-i2v, "
             "wan-tiny-pair, wan-tiny-i2v-pair) or a model folder",
     .offset = offsetof(init_options, like),
     .kind = REEL_OPTION_TEXT},
    {.name = "config",
     .value = "FILE",
     .help = "a component's config.json, or one JSON object of several components",
     .offset = offsetof(init_options, config),
     .kind = REEL_OPTION_TEXT},
    {.name = "components",
     .value = "LIST",
     .help = "only these of transformer,vae,text_encoder,transformer_2,image_encoder",
     .offset = offsetof(init_options, components),
     .kind = REEL_OPTION_TEXT},
    {.name = "tokenizer",
     .value = "FILE",
     .help = "a sentencepiece model to copy into the folder",
     .offset = offsetof(init_options, tokenizer),
     .kind = REEL_OPTION_TEXT},
    {.name = "dtype",
     .value = "TYPE",
     .help = "of the weights",
     .initial = "bf16",
     .choices = {"bf16", "f32"},
     .offset = offsetof(init_options, dtype),
     .kind = REEL_OPTION_CHOICE},
    {.name = "seed",
     .short_name = 's',
     .value = "N",
     .help = "equal seeds give equal weights",
     .initial = "0",
     .offset = offsetof(init_options, seed),
     .kind = REEL_OPTION_SEED},
    {.name = "threads",
     .short_name = 't',
     .value = "N",
     .help = "threads that draw the weights; 0: one per core",
     .initial = "0",
     .min = 0,
     .max = 256,
     .offset = offsetof(init_options, threads),
     .kind = REEL_OPTION_COUNT},
};

static const reel_usage usage = {
    .command = "init",
    .summary = "Make a model folder with random weights",
    .operands = "DIR",
    .min_operands = 1,
    .max_operands = 1,
    .option = options,
    .n_options = sizeof options / sizeof *options,
};

typedef struct sum {
    int64_t n_elements, n_bytes;
} sum;

static void add(void *context, const reel_model_part *part) {
    sum *s = context;
    s->n_elements += part->n_elements;
    s->n_bytes += part->n_bytes;
}

static reel_status make(reel_env *env, const char *path, const init_options *o) {
    reel_model_request request = reel_model_request_default();
    request.like = o->like;
    request.config = o->config;
    request.components = o->components;
    request.tokenizer = o->tokenizer;
    request.dtype = o->dtype;
    request.seed = (uint64_t)o->seed;
    sum all = {0};
    reel_status status = reel_model_create(env, path, &request);
    if (status == REEL_OK) status = reel_model_describe(env, path, NULL, add, &all);
    if (status == REEL_OK)
        printf("%s: %lld parameters, %lld bytes\n", path, (long long)all.n_elements,
               (long long)all.n_bytes);
    return status;
}

static int run(int argc, const char *const *argv) {
    init_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    if (!o.like == !o.config) {
        fprintf(stderr, "reel init: got %s --like and --config, wanted one of them\n",
                o.like ? "both" : "neither");
        return REEL_EXIT_USAGE;
    }
    reel_env *env;
    if (!reel_command_env_with(&usage, (int)o.threads, &env)) return REEL_EXIT_FAILURE;
    const reel_status status = make(env, parsed.operand[0], &o);
    exit_code = status == REEL_OK ? REEL_EXIT_OK : reel_command_fail(&usage, env);
    reel_env_free(&env);
    return exit_code;
}

const reel_command reel_command_init = {.usage = &usage, .run = run};
