/* reel generate: a prompt into a video. */
#include "app/cli/make.h"

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

static bool refuse(const char *text) {
    fprintf(stderr, "reel generate: %s\n", text);
    return false;
}

/* PROMPT is --prompt without its flag. */
static bool take_operand(const reel_parsed *parsed, reel_make_options *o) {
    if (!parsed->n_operands) return true;
    if (o->prompt) return refuse("PROMPT and --prompt: give one of them");
    if (!parsed->operand[0][0]) return refuse("PROMPT: got nothing, wanted TEXT");
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
