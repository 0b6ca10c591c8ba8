/* reel animate: a picture, or several, into a video. */
#include <stdlib.h>

#include "app/cli/make.h"

typedef struct animate_options {
    reel_make_options make;
    const char *end_image, *fit;
    reel_option_list keyframes;
} animate_options;

static const reel_option options[] = {
    {.name = "end-image",
     .value = "FILE",
     .help = "a picture to end with",
     .offset = offsetof(animate_options, end_image),
     .kind = REEL_OPTION_TEXT},
    {.name = "keyframe",
     .value = "FRAME=FILE",
     .help = "a picture for a frame, from 0, or from -1 backwards from the end; may be repeated",
     .offset = offsetof(animate_options, keyframes),
     .kind = REEL_OPTION_LIST},
    REEL_MAKE_FIT_ROW(offsetof(animate_options, fit)),
};

static const reel_usage usage = {
    .command = "animate",
    .summary = "Make a video that begins with a picture",
    .details = "The picture, PNG, JPEG or WebP of any size, becomes the first frame. With "
               "--end-image and --keyframe\nother frames are given too; IMAGE may be left out "
               "then. The model must take a noise level for\neach token.",
    .operands = "IMAGE",
    .max_operands = 1,
    .option = options,
    .n_options = sizeof options / sizeof *options,
    .shared = reel_make_rows,
    .n_shared = REEL_MAKE_ROWS,
};

static bool refuse(const char *given, const char *wanted) {
    fprintf(stderr, "reel animate: got '%s', wanted %s\n", given, wanted);
    return false;
}

/* "12=picture.png" */
static bool read_keyframe(const char *text, reel_keyframe *k) {
    char *end;
    *k = (reel_keyframe){.frame = strtoll(text, &end, 10)};
    k->path = end + 1;
    if (end == text || *end != '=' || !end[1] || k->frame > 1000000 || k->frame < -1000000)
        return refuse(text, "--keyframe FRAME=FILE, FRAME from -1000000 to 1000000");
    return true;
}

static bool collect(const reel_parsed *parsed, const animate_options *o, reel_keyframe *list,
                    int *n) {
    if (parsed->n_operands) list[(*n)++] = (reel_keyframe){.frame = 0, .path = parsed->operand[0]};
    if (o->end_image) list[(*n)++] = (reel_keyframe){.frame = -1, .path = o->end_image};
    for (int i = 0; i < o->keyframes.n; i++)
        if (!read_keyframe(o->keyframes.text[i], &list[(*n)++])) return false;
    return *n > 0 || refuse("no picture", "IMAGE, --end-image FILE or --keyframe FRAME=FILE");
}

static int run(int argc, const char *const *argv) {
    animate_options o = {0};
    reel_parsed parsed;
    int exit_code;
    reel_keyframe list[REEL_MAX_LIST + 2];
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    reel_generate_request given = reel_make_request(REEL_TASK_ANIMATE, &parsed, o.fit);
    given.clip[0] = NULL; /* the operand is a picture */
    if (!collect(&parsed, &o, list, &given.n_keyframes)) return REEL_EXIT_USAGE;
    given.keyframe = list;
    return reel_make(&usage, &parsed, &o.make, &given);
}

const reel_command reel_command_animate = {.usage = &usage, .run = run};
