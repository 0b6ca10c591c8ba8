/* reel sheet: frames of clips side by side in one picture. */
#include "app/cli/command.h"

typedef struct sheet_options {
    const char *output;
    int64_t columns, width;
} sheet_options;

static const reel_option options[] = {
    {.name = "output",
     .short_name = 'o',
     .value = "FILE",
     .help = "the picture to write",
     .initial = "sheet.png",
     .offset = offsetof(sheet_options, output),
     .kind = REEL_OPTION_TEXT},
    {.name = "columns",
     .value = "N",
     .help = "frames of each clip",
     .initial = "6",
     .min = 1,
     .max = 64,
     .offset = offsetof(sheet_options, columns),
     .kind = REEL_OPTION_COUNT},
    {.name = "width",
     .value = "PIXELS",
     .help = "width of each frame",
     .initial = "192",
     .min = 16,
     .max = 4096,
     .offset = offsetof(sheet_options, width),
     .kind = REEL_OPTION_COUNT},
};

static const reel_usage usage = {
    .command = "sheet",
    .summary = "Make a contact sheet: a row of frames for each video or picture",
    .operands = "CLIP...",
    .min_operands = 1,
    .max_operands = REEL_MAX_OPERANDS,
    .option = options,
    .n_options = sizeof options / sizeof *options,
};

static int run(int argc, const char *const *argv) {
    sheet_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    reel_env *env;
    if (!reel_command_env(&usage, &env)) return REEL_EXIT_FAILURE;
    reel_sheet_request request = reel_sheet_request_default();
    request.clip = parsed.operand;
    request.n_clips = parsed.n_operands;
    request.output = o.output;
    request.columns = (int)o.columns;
    request.cell_width = (int)o.width;
    const reel_status status = reel_sheet_make(env, &request);
    exit_code = status == REEL_OK ? REEL_EXIT_OK : reel_command_fail(&usage, env);
    reel_env_free(&env);
    return exit_code;
}

const reel_command reel_command_sheet = {.usage = &usage, .run = run};
