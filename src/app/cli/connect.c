/* reel connect: a transition from one clip to another. */
#include "app/cli/make.h"

typedef struct connect_options {
    reel_make_options make;
    const char *fit;
} connect_options;

static const reel_option options[] = {REEL_MAKE_FIT_ROW(offsetof(connect_options, fit))};

static const reel_usage usage = {
    .command = "connect",
    .summary = "Make a transition from one clip to another",
    .details = "--seconds or --frames say how long it takes, 2 seconds when neither is given. Both "
               "clips\nkeep their frames, bit for "
               "bit in a lossless OUTPUT (.mkv). Size\nand rate are those of A; --size fits both "
               "into another. The model must take a noise level for\neach token.",
    .operands = "A B",
    .min_operands = 2,
    .max_operands = 2,
    .option = options,
    .n_options = sizeof options / sizeof *options,
    .shared = reel_make_rows,
    .n_shared = REEL_MAKE_ROWS,
};

static int run(int argc, const char *const *argv) {
    connect_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    const reel_generate_request given = reel_make_request(REEL_TASK_CONNECT, &parsed, o.fit);
    return reel_make(&usage, &parsed, &o.make, &given);
}

const reel_command reel_command_connect = {.usage = &usage, .run = run};
