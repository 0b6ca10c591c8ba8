/* Clips of the world as files: video, caption, truth, and the pictures behind them.
 *
 * NAME.mp4 (or NAME.mkv, lossless), NAME.txt (one caption), NAME.json (everything, written last:
 * where it is, the clip is whole), and on request NAME.right, NAME.masks, NAME.depth. NAME is the
 * scene's index in eight digits.
 */
#ifndef REEL_WORLD_CLIP_H
#define REEL_WORLD_CLIP_H

#include "world/render.h"

typedef struct reel_clip_request {
    reel_view view; /* stereo_m: the distance of the eyes, where stereo is asked for */
    bool lossless;  /* FFV1 instead of H.264 */
    bool stereo, masks, depth;
} reel_clip_request;

/* Renders scene and writes its files into folder, which is there. REEL_E_UNSUPPORTED in a build
 * without FFmpeg. */
REEL_MUST_USE reel_status reel_clip_write(reel_env *env, const reel_scene *scene,
                                          const reel_clip_request *request, const char *folder);

#endif
