/* Colors and light of a scene: everything that is the same for all frames and pixels. */
#ifndef REEL_WORLD_PALETTE_H
#define REEL_WORLD_PALETTE_H

#include "world/kinds.h"

/* Colors are display values in [0,1]; lights multiply them. */
typedef struct reel_palette {
    reel_vec3 horizon, middle, zenith; /* the sky at elevation 0, about 20 degrees, and up */
    reel_vec3 hills;                   /* the far silhouette */
    float hill_height;                 /* sine of its mean elevation; 0: none */
    float clouds;                      /* 0..1 */
    reel_vec3 cloud;
    reel_vec3 disc, disc_toward; /* sun or moon; black: none */
    float disc_cosine;           /* of its radius */
    reel_vec3 glow;              /* around the sun */
    int stars;

    reel_vec3 haze;   /* what far things fade to */
    float haze_depth; /* half faded at this depth, metres */

    reel_vec3 ambient, light, toward; /* on objects; toward is a unit vector to the light */
    reel_vec3 ground[3];              /* lit already: two tones and a third for joints or depths */
    float shadow;                     /* how much of the ground's brightness a shadow takes */
    float phase[8];                   /* of the ground's and clouds' waves, from the scene's seed */
} reel_palette;

void reel_palette_of(const reel_scene *scene, reel_palette *palette);

/* The paints of an object: tone[REEL_PAINT_BODY] its color, [REEL_PAINT_LIGHT] the second tone. */
void reel_palette_paints(reel_color color, reel_vec3 tone[REEL_PAINT_COUNT]);

#endif
