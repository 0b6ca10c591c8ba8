/* reel edit: a clip, made anew from its own noised self. */
#include "app/cli/make.h"

typedef struct edit_options {
    reel_make_options make;
    double strength;
    const char *mask, *fit;
} edit_options;

static const reel_option options[] = {
    REEL_MAKE_STRENGTH_ROW(offsetof(edit_options, strength), "0.5"),
    {.name = "mask",
     .value = "FILE",
     .help = "a picture, or a clip as long, white where it may change and black where it stays",
     .offset = offsetof(edit_options, mask),
     .kind = REEL_OPTION_TEXT},
    REEL_MAKE_FIT_ROW(offsetof(edit_options, fit)),
};

static const reel_usage usage = {
    .command = "edit",
    .summary = "Change a clip by a prompt",
    .details =
        "The clip is noised, and denoised to the prompt by the last steps: --strength is their "
        "share of all.\nLength, size and rate are the clip's; the size is rounded to what the "
        "model makes. A mask keeps what\nis black in it, in steps of the model's patches. The "
        "model must take a noise level for each token.",
    .operands = "CLIP",
    .min_operands = 1,
    .max_operands = 1,
    .option = options,
    .n_options = sizeof options / sizeof *options,
    .shared = reel_make_rows,
    .n_shared = REEL_MAKE_ROWS,
};

static int run(int argc, const char *const *argv) {
    edit_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    if (o.make.frames || o.make.seconds > 0) {
        fprintf(stderr, "reel edit: --frames and --seconds: an edited clip keeps its length\n");
        return REEL_EXIT_USAGE;
    }
    reel_generate_request given = reel_make_request(REEL_TASK_EDIT, &parsed, o.fit);
    given.strength = o.strength;
    given.mask = o.mask;
    return reel_make(&usage, &parsed, &o.make, &given);
}

const reel_command reel_command_edit = {.usage = &usage, .run = run};
