/* reel generate: a prompt into a video. */
#include "app/cli/make.h"

static const reel_usage usage = {
    .command = "generate",
    .summary = "Make a video, or a picture, from a prompt",
    .details = "A run that was stopped or killed goes on where it was when the same command is "
               "given again;\nuntil it is done OUTPUT.reel-state remembers how far it got.",
    .shared = reel_make_rows,
    .n_shared = REEL_MAKE_ROWS,
};

static int run(int argc, const char *const *argv) {
    reel_make_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    const reel_generate_request given = reel_generate_request_default();
    return reel_make(&usage, &parsed, &o, &given);
}

const reel_command reel_command_generate = {.usage = &usage, .run = run};
