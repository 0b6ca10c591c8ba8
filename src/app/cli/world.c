/* reel world: clips of the procedural world as files. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli/command.h"
#include "base/clock.h"

typedef struct world_options {
    const char *out, *size, *split;
    int64_t count, seed, first, frames, objects, threads;
    double fps;
    bool lossless, stereo, depth, masks;
} world_options;

#define FIELD(field) .offset = offsetof(world_options, field)
static const reel_option options[] = {
    {.name = "out",
     .value = "DIR",
     .help = "folder to write to",
     FIELD(out),
     .kind = REEL_OPTION_TEXT},
    {.name = "count",
     .value = "N",
     .help = "clips",
     .initial = "16",
     .min = 1,
     .max = 1e9,
     FIELD(count),
     .kind = REEL_OPTION_COUNT},
    {.name = "seed",
     .value = "N",
     .help = "which world",
     .initial = "1",
     .min = 0,
     .max = 9007199254740992.0,
     FIELD(seed),
     .kind = REEL_OPTION_COUNT},
    {.name = "first",
     .value = "N",
     .help = "index of the first scene",
     .initial = "0",
     .min = 0,
     .max = 9007199254740992.0,
     FIELD(first),
     .kind = REEL_OPTION_COUNT},
    {.name = "size",
     .value = "WxH",
     .help = "width and height, 8 to 4096",
     .initial = "128x128",
     FIELD(size),
     .kind = REEL_OPTION_TEXT},
    {.name = "frames",
     .value = "N",
     .help = "frames of each clip",
     .initial = "33",
     .min = 1,
     .max = 100000,
     FIELD(frames),
     .kind = REEL_OPTION_COUNT},
    {.name = "fps",
     .value = "X",
     .help = "frames a second",
     .initial = "16",
     .min = 0.01,
     .max = 1000,
     FIELD(fps),
     .kind = REEL_OPTION_NUMBER},
    {.name = "objects",
     .value = "N",
     .help = "objects of each scene; 0: drawn",
     .initial = "0",
     .min = 0,
     .max = 3,
     FIELD(objects),
     .kind = REEL_OPTION_COUNT},
    {.name = "split",
     .value = "SPLIT",
     .help = "which part of the world",
     .initial = "train",
     .choices = {"train", "validation", "heldout_pairs"},
     FIELD(split),
     .kind = REEL_OPTION_CHOICE},
    {.name = "lossless",
     .help = "FFV1 in .mkv instead of H.264 in .mp4",
     FIELD(lossless),
     .kind = REEL_OPTION_FLAG},
    {.name = "stereo",
     .help = "also what a second eye sees (.right)",
     FIELD(stereo),
     .kind = REEL_OPTION_FLAG},
    {.name = "masks",
     .help = "also which object is where (.masks.mkv)",
     FIELD(masks),
     .kind = REEL_OPTION_FLAG},
    {.name = "depth",
     .help = "also how far away everything is (.depth.mkv)",
     FIELD(depth),
     .kind = REEL_OPTION_FLAG},
    {.name = "threads",
     .value = "N",
     .help = "threads; 0: one per core",
     .initial = "0",
     .min = 0,
     .max = 256,
     FIELD(threads),
     .kind = REEL_OPTION_COUNT},
};
#undef FIELD

static const reel_usage usage = {
    .command = "world",
    .summary = "Render clips of the procedural world, with captions and truth",
    .option = options,
    .n_options = sizeof options / sizeof *options,
};

/* "128x96", or "128" for a square. */
static bool parse_size(const char *text, int *width, int *height) {
    char *end;
    const long w = strtol(text, &end, 10);
    long h = w;
    if (end == text) return false;
    if (*end == 'x') {
        const char *second = end + 1;
        h = strtol(second, &end, 10);
        if (end == second) return false;
    }
    if (*end || w < 8 || w > 4096 || h < 8 || h > 4096) return false;
    *width = (int)w;
    *height = (int)h;
    return true;
}

static int show_progress(void *context, int64_t done, int64_t count) {
    const double spent = reel_clock_s() - *(const double *)context;
    if (done == 0) return 0;
    const double left = spent / (double)done * (double)(count - done);
    fprintf(stderr, "\rworld: %lld of %lld clips, %.1f a second, %.0f s left ", (long long)done,
            (long long)count, (double)done / spent, left);
    if (done == count) fprintf(stderr, "\n");
    return 0;
}

static int write_clips(const world_options *o, const reel_world_options *request) {
    reel_env_options e = reel_env_options_default();
    e.n_threads = (int)o->threads;
    reel_env *env = NULL;
    if (reel_env_new(&e, &env) != REEL_OK) {
        fprintf(stderr, "reel world: no environment: no memory\n");
        return REEL_EXIT_FAILURE;
    }
    double begun = reel_clock_s();
    const reel_status status = reel_world_write(
        env, o->out, request, isatty(STDERR_FILENO) ? show_progress : NULL, &begun);
    int code = REEL_EXIT_OK;
    if (status == REEL_OK) {
        printf("wrote %lld clip%s to %s: %d frames of %dx%d at %g fps, seed %lld, from %lld, %s\n",
               (long long)o->count, o->count == 1 ? "" : "s", o->out, request->frames,
               request->width, request->height, request->fps, (long long)o->seed,
               (long long)o->first, o->split);
    } else {
        code = reel_command_fail(&usage, env);
    }
    reel_env_free(&env);
    return code;
}

static int run(int argc, const char *const *argv) {
    world_options o = {0};
    reel_parsed parsed;
    int exit_code;
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    reel_world_options request = reel_world_options_default();
    if (!o.out) {
        fprintf(stderr, "reel world: --out is missing, wanted a folder to write to\n");
        return REEL_EXIT_USAGE;
    }
    if (!parse_size(o.size, &request.width, &request.height)) {
        fprintf(stderr, "reel world: --size: got '%s', wanted WxH, each from 8 to 4096\n", o.size);
        return REEL_EXIT_USAGE;
    }
    request.seed = (uint64_t)o.seed;
    request.first = (uint64_t)o.first;
    request.count = o.count;
    request.split = o.split;
    request.frames = (int)o.frames;
    request.fps = o.fps;
    request.objects = (int)o.objects;
    request.lossless = o.lossless;
    request.stereo = o.stereo;
    request.masks = o.masks;
    request.depth = o.depth;
    return write_clips(&o, &request);
}

const reel_command reel_command_world = {.usage = &usage, .run = run};
