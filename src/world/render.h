/* Drawing a scene: rays on the CPU, to pixels, masks and depth.
 *
 * The background (sky and ground) has no hard edges at all: whatever would alias fades before it
 * does, so one sample a pixel is enough, and when neither camera nor water moves it is drawn once.
 * Objects are traced at pixel centres inside the rectangles that hold them, and with four rays
 * where neighbours differ. Frames are independent and run over the threads of env: the same bytes
 * at any number.
 */
#ifndef REEL_WORLD_RENDER_H
#define REEL_WORLD_RENDER_H

#include "world/world.h"

typedef struct reel_view {
    int width, height; /* 8..4096 */
    int frames;        /* 1..100000 */
    float fps;         /* (0,1000]; frame f is at f / fps seconds */
    float stereo_m;    /* the camera moved so far to its right: 0, or the second eye of a pair */
} reel_view;

enum { REEL_SKY_DEPTH = 1000 }; /* metres; what the depth of the sky is written as */

/* rgb u8 [F,H,W,3], sRGB. id u8 [F,H,W], or NULL: which object is at the pixel's centre, counted
 * from 1, 0 for none. depth f32 [F,H,W], or NULL: metres along the view axis, at most
 * REEL_SKY_DEPTH. REEL_E_ARG for a view out of range. */
REEL_MUST_USE reel_status reel_scene_render(reel_env *env, const reel_scene *scene,
                                            const reel_view *view, uint8_t *rgb, uint8_t *id,
                                            float *depth);

#endif
