/* Variations: one command with several seeds, and a contact sheet to choose by. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli/make.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/path.h"

enum { NAME_BYTES = 4096 };

/* "clip.mp4" and a seed as "clip-SEED.mp4". */
static bool name_of(const char *output, const char *what, const char *extension, char *text) {
    const char *slash = strrchr(output, '/'), *dot = strrchr(slash ? slash : output, '.');
    const int stem = (int)(dot ? dot - output : (long)strlen(output));
    return snprintf(text, NAME_BYTES, "%.*s-%s%s", stem, output, what,
                    extension ? extension
                    : dot     ? dot
                              : "") < NAME_BYTES;
}

static int make_sheet(const reel_usage *u, const reel_make_options *o, const char *const *names,
                      int n) {
    char path[NAME_BYTES];
    reel_env *env;
    if (!name_of(o->output, "variations", ".png", path)) return REEL_EXIT_FAILURE;
    if (!reel_command_env(u, &env)) return REEL_EXIT_FAILURE;
    reel_sheet_request request = reel_sheet_request_default();
    request.clip = names;
    request.n_clips = n;
    request.output = path;
    const reel_status status = reel_sheet_make(env, &request);
    const int code = status == REEL_OK ? REEL_EXIT_OK : reel_command_fail(u, env);
    if (status == REEL_OK && !o->quiet && !o->json) printf("%s\n", path);
    reel_env_free(&env);
    return code;
}

/* ---- a drawn seed ---- */

/* What a run that was stopped drew: the number in its file, or -1 for a file that holds none. */
static int64_t stored_seed(reel_env *env, const char *path) {
    char *text, *end;
    int64_t bytes;
    if (reel_file_read(env, path, 64, &text, &bytes) != REEL_OK) return -1;
    const long long seed = strtoll(text, &end, 10);
    const bool good = end > text && *end == '\n' && seed >= 0 && seed <= UINT32_MAX;
    reel_free(env, text);
    return good ? seed : -1;
}

/* Nobody asked for a seed, and files are named by theirs: it is kept until all of them are there,
 * so that the same command goes on with it. */
static int keep_seed(const reel_usage *u, const reel_make_options *o, const char *path,
                     int64_t *seed) {
    reel_env *env;
    char text[32];
    if (!reel_command_env(u, &env)) return REEL_EXIT_FAILURE;
    const int64_t old =
        reel_path_look(path) == REEL_PATH_FILE ? stored_seed(env, path) : (int64_t)-1;
    reel_env_clear(env);
    *seed = old >= 0 ? old : reel_make_draw_seed();
    const int n = snprintf(text, sizeof text, "%lld\n", (long long)*seed);
    const reel_status status = reel_file_write(env, path, text, n);
    const int code = status == REEL_OK ? REEL_EXIT_OK : reel_command_fail(u, env);
    if (old >= 0 && !o->quiet && !o->json)
        fprintf(stderr, "reel %s: going on with seed %lld of %s\n", u->command, (long long)old,
                path);
    reel_env_free(&env);
    return code;
}

static bool refuse(const reel_usage *u, const char *why) {
    fprintf(stderr, "reel %s: --variations: %s\n", u->command, why);
    return false;
}

static bool check(const reel_usage *u, const reel_make_options *o) {
    if (strchr(o->output, '%'))
        return refuse(u, "numbered pictures make no contact sheet; wanted a video file");
    if (o->seed > INT64_MAX - o->variations) return refuse(u, "the seeds would be too large");
    return strlen(o->output) < NAME_BYTES - 64 || refuse(u, "the name of the output is too long");
}

int reel_make_variations(const reel_usage *u, const reel_parsed *parsed, const reel_make_options *o,
                         reel_make_one *make, const void *context) {
    reel_make_options copy = *o;
    reel_parsed marked = *parsed;
    if (!check(u, o)) return REEL_EXIT_USAGE;
    char state[NAME_BYTES];
    const bool drawn = !reel_option_given(u, parsed, "seed"), keeps = drawn && !o->dry_run;
    if (drawn) copy.seed = reel_make_draw_seed();
    if (!name_of(o->output, "variations", ".reel-state", state)) return REEL_EXIT_FAILURE;
    if (keeps && keep_seed(u, o, state, &copy.seed) != REEL_EXIT_OK) return REEL_EXIT_FAILURE;
    reel_option_mark(u, &marked, "seed");
    const int n = (int)o->variations;
    char(*name)[NAME_BYTES] = calloc((size_t)n, sizeof *name);
    const char **list = calloc((size_t)n, sizeof *list);
    int code = name && list ? REEL_EXIT_OK : REEL_EXIT_FAILURE;
    for (int i = 0; i < n && code == REEL_EXIT_OK; i++) {
        reel_make_options one = copy;
        char seed[32];
        one.seed = copy.seed + i;
        one.variations = 1;
        one.keep_finished = true; /* by a run that was stopped, or that made fewer */
        snprintf(seed, sizeof seed, "%lld", (long long)one.seed);
        if (!name_of(o->output, seed, NULL, name[i])) code = REEL_EXIT_FAILURE;
        one.output = list[i] = name[i];
        if (code == REEL_EXIT_OK) code = make(u, &marked, &one, context);
    }
    if (code == REEL_EXIT_OK && !o->dry_run) code = make_sheet(u, o, list, n);
    if (code == REEL_EXIT_OK && keeps) (void)unlink(state);
    free(name);
    free(list);
    return code;
}
