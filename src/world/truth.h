/* The truth of a clip as JSON: attributes, captions and what they name, and for every frame where
 * each object and the camera is and how much of it can be seen.
 */
#ifndef REEL_WORLD_TRUTH_H
#define REEL_WORLD_TRUTH_H

#include "base/json_out.h"
#include "world/render.h"

/* Names of the files beside it, which go into the JSON; NULL: there is none. */
typedef struct reel_truth_files {
    const char *video, *right, *masks, *depth;
} reel_truth_files;

/* Writes one object. id u8 [F,H,W] as reel_scene_render fills it. Failures stick to out. */
void reel_truth_write(reel_json_out *out, const reel_scene *scene, const reel_view *view,
                      const uint8_t *id, const reel_truth_files *files);

#endif
