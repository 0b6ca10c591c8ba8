/* reel extend: a clip made longer, behind its end, before its beginning or both. */
#include <string.h>

#include "app/cli/make.h"

typedef struct extend_options {
    reel_make_options make;
    const char *direction, *fit;
} extend_options;

static const reel_option options[] = {
    {.name = "direction",
     .value = "WAY",
     .help = "where to go on",
     .initial = "forward",
     .choices = {"forward", "backward", "both"},
     .offset = offsetof(extend_options, direction),
     .kind = REEL_OPTION_CHOICE},
    REEL_MAKE_FIT_ROW(offsetof(extend_options, fit)),
};

static const reel_usage usage = {
    .command = "extend",
    .summary = "Make a clip longer, in either direction",
    .details = "--seconds or --frames say how much is added, 2 seconds when neither is given; with "
               "--direction both\nat either end. The clip's own frames come through untouched: bit "
               "for bit in a lossless OUTPUT\n(.mkv). Size and rate are the clip's; --size fits it "
               "into another one first. The model must\ntake a noise level for each token.",
    .operands = "CLIP",
    .min_operands = 1,
    .max_operands = 1,
    .option = options,
    .n_options = sizeof options / sizeof *options,
    .shared = reel_make_rows,
    .n_shared = REEL_MAKE_ROWS,
};

static int run(int argc, const char *const *argv) {
    extend_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    reel_generate_request given = reel_make_request(REEL_TASK_EXTEND, &parsed, o.fit);
    given.backward = strcmp(o.direction, "backward") == 0;
    if (strcmp(o.direction, "both") != 0) return reel_make(&usage, &parsed, &o.make, &given);
    reel_generate_request second = given;
    second.backward = true;
    return reel_make_twice(&usage, &parsed, &o.make, &given, &second);
}

const reel_command reel_command_extend = {.usage = &usage, .run = run};
