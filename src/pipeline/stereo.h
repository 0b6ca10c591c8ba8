/* 3D from a clip: its frames into latents, latents into depth, depth into a second view.
 *
 *     clip -> encoder -> latents -> depth head -> nearness --.
 *     clip (read a second time) ------------------ frames ---+-> second view -> file
 *
 * A stretch of latent frames is held at a time, and one frame: memory does not grow with the clip.
 */
#ifndef REEL_PIPELINE_STEREO_H
#define REEL_PIPELINE_STEREO_H

#include "pipeline/generate.h"

/* As reel_stereo_check and reel_stereo_make of reel.h. */
REEL_MUST_USE reel_status reel_stereo_look(reel_env *env, const reel_stereo_request *request,
                                           const reel_backend *backend);
REEL_MUST_USE reel_status reel_stereo_run(reel_env *env, const reel_stereo_request *request,
                                          const reel_backend *backend, reel_event_fn *on_event,
                                          reel_cancel_fn *cancel, void *context);

#endif
