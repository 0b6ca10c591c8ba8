/* Storyboards: a script (text/storyboard.h) made into a film, shot by shot.
 *
 * A shot is one generation, or several where its words change: each piece behind the first is
 * given the end of the one before as known frames, and so is the first one of a shot that
 * continues the shot before. Pictures and clips of cards are known frames at their times. What is
 * made is kept, lossless, under a name that is the hash of all it depends on, so that only pieces
 * that changed are made again.
 */
#ifndef REEL_PIPELINE_STORYBOARD_H
#define REEL_PIPELINE_STORYBOARD_H

#include "pipeline/generate.h"

/* As reel_storyboard_make of reel.h. */
REEL_MUST_USE reel_status reel_storyboard_run(reel_env *env, const reel_storyboard_request *request,
                                              const reel_backend *backend,
                                              reel_storyboard_fn *on_event, reel_cancel_fn *cancel,
                                              void *context);

#endif
