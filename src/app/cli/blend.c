/* reel blend: two clips in one, along a curve. */
#include <stdlib.h>
#include <string.h>

#include "app/cli/make.h"

enum { MOST_POINTS = 64, SMOOTH_POINTS = 17 };

typedef struct blend_options {
    reel_make_options make;
    double strength;
    const char *curve, *fit;
} blend_options;

static const reel_option options[] = {
    {.name = "curve",
     .value = "CURVE",
     .help = "how much of B there is over time: linear, smooth, hold (A for a third, B for the "
             "last), or points TIME:SHARE,... of 0 to 1",
     .initial = "smooth",
     .offset = offsetof(blend_options, curve),
     .kind = REEL_OPTION_TEXT},
    {.name = "strength",
     .value = "X",
     .help = "how freely what lies between both is made",
     .initial = "0.7",
     .min = 0.01,
     .max = 1,
     .offset = offsetof(blend_options, strength),
     .kind = REEL_OPTION_NUMBER},
    REEL_MAKE_FIT_ROW(offsetof(blend_options, fit)),
};

static const reel_usage usage = {
    .command = "blend",
    .summary = "Let one clip turn into another",
    .details =
        "Both clips run from their first frames on, as far as the shorter one goes, and what "
        "is shown goes from\nA to B along the curve: where the curve is 0 or 1 the clip is "
        "kept, between them it is made from both to\nthe prompt. Size and rate are those of "
        "A. The model must take a noise level for each token.",
    .operands = "A B",
    .min_operands = 2,
    .max_operands = 2,
    .option = options,
    .n_options = sizeof options / sizeof *options,
    .shared = reel_make_rows,
    .n_shared = REEL_MAKE_ROWS,
};

/* Smoothstep from one time to another, as points. */
static int smooth(double from, double to, reel_curve_point *p) {
    int n = 0;
    if (from > 0) p[n++] = (reel_curve_point){0, 0};
    for (int i = 0; i < SMOOTH_POINTS; i++) {
        const double x = (double)i / (SMOOTH_POINTS - 1);
        p[n++] = (reel_curve_point){from + x * (to - from), x * x * (3 - 2 * x)};
    }
    if (to < 1) p[n++] = (reel_curve_point){1, 1};
    return n;
}

/* "0:0,0.5:0.2,1:1"; 0 when that is not what it is. */
static int points(const char *text, reel_curve_point *p) {
    int n = 0;
    for (;;) {
        char *end;
        if (n == MOST_POINTS) return 0;
        p[n].at = strtod(text, &end);
        if (end == text || *end != ':') return 0;
        text = end + 1;
        p[n].weight = strtod(text, &end);
        if (end == text || (*end && *end != ',')) return 0;
        n++;
        if (!*end) return n;
        text = end + 1;
    }
}

static int read_curve(const char *text, reel_curve_point *p) {
    if (strcmp(text, "smooth") == 0) return smooth(0, 1, p);
    if (strcmp(text, "hold") == 0) return smooth(1.0 / 3, 2.0 / 3, p);
    return points(strcmp(text, "linear") == 0 ? "0:0,1:1" : text, p);
}

/* Times from 0 to 1 that do not fall, shares within 0 and 1. */
static bool is_curve(const reel_curve_point *p, int n) {
    bool good = n >= 2 && p[0].at == 0 && p[n - 1].at == 1; /* NaN is neither */
    for (int i = 0; i < n && good; i++)
        good = p[i].weight >= 0 && p[i].weight <= 1 && (i == 0 || p[i].at >= p[i - 1].at);
    return good;
}

static int run(int argc, const char *const *argv) {
    blend_options o = {0};
    reel_parsed parsed;
    int exit_code;
    reel_curve_point curve[MOST_POINTS];
    if (!reel_command_parse(&usage, argc, argv, &o, &parsed, &exit_code)) return exit_code;
    reel_generate_request given = reel_make_request(REEL_TASK_BLEND, &parsed, o.fit);
    given.n_curve = read_curve(o.curve, curve);
    if (!is_curve(curve, given.n_curve)) {
        fprintf(stderr,
                "reel blend: --curve: got '%s', wanted linear, smooth, hold, or points such as "
                "0:0,0.5:0.2,1:1, from time 0 to 1, with shares from 0 to 1\n",
                o.curve);
        return REEL_EXIT_USAGE;
    }
    if (o.make.frames || o.make.seconds > 0) {
        fprintf(stderr, "reel blend: --frames and --seconds: a blend is as long as the shorter "
                        "clip\n");
        return REEL_EXIT_USAGE;
    }
    given.curve = curve;
    given.strength = o.strength;
    return reel_make(&usage, &parsed, &o.make, &given);
}

const reel_command reel_command_blend = {.usage = &usage, .run = run};
