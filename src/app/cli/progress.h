/* What a long run says while it runs: a line on the terminal, or JSON, one event a line.
 *
 * Results and JSON go to stdout, everything for human eyes to stderr. The line is drawn only when
 * stderr is a terminal.
 */
#ifndef REEL_APP_CLI_PROGRESS_H
#define REEL_APP_CLI_PROGRESS_H

#include "reel/reel.h"

typedef struct reel_progress {
    reel_env *env;
    const reel_generate_settings *settings;
    bool seed_is_drawn;
    const char *command; /* which speaks; to be set by the caller, as: */
    bool json, quiet;
    bool is_half; /* the file is on the way to another one and is not told */
    bool terminal;
    char phase[32];
} reel_progress;

/* settings: borrowed; they may change until the run begins. seed_is_drawn: the seed is printed. */
void reel_progress_init(reel_progress *progress, reel_env *env,
                        const reel_generate_settings *settings, bool seed_is_drawn);
/* Ends the line that is being drawn. */
void reel_progress_deinit(reel_progress *progress);

/* Says that the run is about to stop. */
void reel_progress_stop(reel_progress *progress);

/* A dry run's answer. */
void reel_progress_prediction(const reel_progress *progress, const reel_generate_cost *cost);
void reel_progress_event(reel_progress *progress, const reel_event *event);

#endif
