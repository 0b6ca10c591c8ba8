/* Laying out: complete attributes become places, speeds and a camera. */
#ifndef REEL_WORLD_LAYOUT_H
#define REEL_WORLD_LAYOUT_H

#include "world/rules.h"

/* attributes: complete and possible. attempt: the later, the gentler the camera moves. False when
 * two objects came to stand in each other. */
bool reel_scene_lay_out(const reel_attributes *attributes, float duration_s, int attempt,
                        reel_draw *draw, reel_scene *scene);

#endif
