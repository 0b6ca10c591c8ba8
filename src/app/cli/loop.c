/* reel loop: a video whose end leads to its beginning. */
#include "app/cli/make.h"

typedef struct loop_options {
    reel_make_options make;
    const char *fit;
} loop_options;

static const reel_option options[] = {REEL_MAKE_FIT_ROW(offsetof(loop_options, fit))};

static const reel_usage usage = {
    .command = "loop",
    .summary = "Make a video that repeats without a seam",
    .details = "With CLIP the way from its end back to its beginning is made, as long as --seconds "
               "or --frames say\n(2 seconds when neither is given); the clip keeps its frames. "
               "Without, a clip of that length (the\nmodel's own when neither is given) is made "
               "from the prompt first. Prints how large the step at\nthe seams is. The model must "
               "take a noise level for each token.",
    .operands = "CLIP",
    .max_operands = 1,
    .option = options,
    .n_options = sizeof options / sizeof *options,
    .shared = reel_make_rows,
    .n_shared = REEL_MAKE_ROWS,
};

static int run(int argc, const char *const *argv) {
    loop_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    const reel_generate_request given = reel_make_request(REEL_TASK_LOOP, &parsed, o.fit);
    if (parsed.n_operands) return reel_make(&usage, &parsed, &o.make, &given);
    const reel_generate_request first = reel_generate_request_default();
    return reel_make_twice(&usage, &parsed, &o.make, &first, &given);
}

const reel_command reel_command_loop = {.usage = &usage, .run = run};
