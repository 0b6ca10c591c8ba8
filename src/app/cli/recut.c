/* reel recut: the best part of a clip, kept, and grown to a new one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli/make.h"

typedef struct recut_options {
    reel_make_options make;
    const char *keep, *direction, *fit;
} recut_options;

static const reel_option options[] = {
    {.name = "keep",
     .value = "FROM-TO",
     .help = "the part that is kept, in seconds: 1.2s-2.5s",
     .offset = offsetof(recut_options, keep),
     .kind = REEL_OPTION_TEXT},
    {.name = "direction",
     .value = "WAY",
     .help = "where it grows",
     .initial = "both",
     .choices = {"forward", "backward", "both"},
     .offset = offsetof(recut_options, direction),
     .kind = REEL_OPTION_CHOICE},
    REEL_MAKE_FIT_ROW(offsetof(recut_options, fit)),
};

static const reel_usage usage = {
    .command = "recut",
    .summary = "Keep the best part of a clip and make the rest anew",
    .details =
        "--seconds or --frames say how long the whole is to be; what is missing is made "
        "before and behind the\npart that is kept, which comes through untouched: bit for "
        "bit in a lossless OUTPUT (.mkv). The model\nmust take a noise level for each token.",
    .operands = "CLIP",
    .min_operands = 1,
    .max_operands = 1,
    .option = options,
    .n_options = sizeof options / sizeof *options,
    .shared = reel_make_rows,
    .n_shared = REEL_MAKE_ROWS,
};

/* A number of seconds, with an s behind it or not; NULL when it is none. */
static const char *read_seconds(const char *text, double *seconds) {
    char *end;
    *seconds = strtod(text, &end);
    if (end == text || !(*seconds >= 0) || !isfinite(*seconds)) return NULL;
    return *end == 's' ? end + 1 : end;
}

static bool read_keep(const char *text, reel_generate_request *given) {
    const char *rest = text ? read_seconds(text, &given->keep_from_s) : NULL;
    if (rest && *rest == '-') {
        rest = read_seconds(rest + 1, &given->keep_to_s);
        if (rest && !*rest && given->keep_to_s > given->keep_from_s) return true;
    }
    fprintf(stderr, "reel recut: --keep: got '%s', wanted FROM-TO in seconds, such as 1.2s-2.5s\n",
            text ? text : "nothing");
    return false;
}

/* Frames that are to be made; 0, with a message printed, when there is none. */
static int64_t count_fresh(const recut_options *o, const char *path,
                           const reel_generate_request *given, int *exit_code) {
    reel_env *env;
    reel_media_info *info = NULL;
    int64_t fresh = 0;
    *exit_code = REEL_EXIT_FAILURE;
    if (!reel_command_env(&usage, &env)) return 0;
    if (reel_media_probe(env, path, &info) != REEL_OK) {
        reel_command_fail(&usage, env);
    } else {
        const double fps = info->is_picture ? 0 : (double)info->fps_num / info->fps_den;
        const int64_t kept =
            (int64_t)rint(given->keep_to_s * fps) - (int64_t)rint(given->keep_from_s * fps);
        const int64_t all = o->make.frames ? o->make.frames : (int64_t)rint(o->make.seconds * fps);
        fresh = all - kept;
        if (fresh < 1)
            fprintf(stderr,
                    "reel recut: %s: of the %lld frames asked for %lld are kept, so there is "
                    "nothing to be made\n",
                    path, (long long)all, (long long)kept);
    }
    reel_media_info_free(env, &info);
    reel_env_free(&env);
    return fresh > 0 ? fresh : 0;
}

static int run(int argc, const char *const *argv) {
    recut_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    reel_generate_request first = reel_make_request(REEL_TASK_EXTEND, &parsed, o.fit);
    if (!read_keep(o.keep, &first)) return REEL_EXIT_USAGE;
    if (!o.make.frames && !(o.make.seconds > 0)) {
        fprintf(stderr, "reel recut: how long? give --seconds or --frames, of the whole\n");
        return REEL_EXIT_USAGE;
    }
    const int64_t fresh = count_fresh(&o, parsed.operand[0], &first, &exit_code);
    if (!fresh) return exit_code;
    const bool both = strcmp(o.direction, "both") == 0 && fresh > 1;
    first.backward = strcmp(o.direction, "backward") == 0;
    first.frames = both ? fresh - fresh / 2 : fresh;
    if (!both) return reel_make(&usage, &parsed, &o.make, &first);
    reel_generate_request second = reel_make_request(REEL_TASK_EXTEND, &parsed, o.fit);
    second.backward = true;
    second.frames = fresh / 2;
    return reel_make_twice(&usage, &parsed, &o.make, &first, &second);
}

const reel_command reel_command_recut = {.usage = &usage, .run = run};
