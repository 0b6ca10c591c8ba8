/* reel remix: a clip reel has made, made anew with another prompt. */
#include "app/cli/make.h"

typedef struct remix_options {
    reel_make_options make;
    double strength;
    const char *fit;
} remix_options;

static const reel_option options[] = {
    REEL_MAKE_STRENGTH_ROW(offsetof(remix_options, strength), "0.6"),
    REEL_MAKE_FIT_ROW(offsetof(remix_options, fit)),
};

static const reel_usage usage = {
    .command = "remix",
    .summary = "Make a clip of reel's anew with another prompt",
    .details =
        "As `reel edit`, but everything that is not said, the model, the seed and the number "
        "of steps too, is\nas in the recipe the clip has in it. The model must take a noise "
        "level for each token.",
    .operands = "CLIP",
    .min_operands = 1,
    .max_operands = 1,
    .option = options,
    .n_options = sizeof options / sizeof *options,
    .shared = reel_make_rows,
    .n_shared = REEL_MAKE_ROWS,
};

static int run(int argc, const char *const *argv) {
    remix_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    if (o.make.frames || o.make.seconds > 0) {
        fprintf(stderr, "reel remix: --frames and --seconds: a remixed clip keeps its length\n");
        return REEL_EXIT_USAGE;
    }
    if (!o.make.prompt && !o.make.prompt_file) {
        fprintf(stderr, "reel remix: no prompt: say with --prompt TEXT what is to be another\n");
        return REEL_EXIT_USAGE;
    }
    reel_generate_request given = reel_make_request(REEL_TASK_EDIT, &parsed, o.fit);
    given.strength = o.strength;
    o.make.source = parsed.operand[0];
    return reel_make(&usage, &parsed, &o.make, &given);
}

const reel_command reel_command_remix = {.usage = &usage, .run = run};
