/* What the parts of the renderer share: the picture's geometry, and the objects of one frame. */
#ifndef REEL_WORLD_STAGE_H
#define REEL_WORLD_STAGE_H

#include "world/palette.h"
#include "world/trace.h"
#include "world/world.h"

/* Constant over a clip. */
typedef struct reel_stage {
    const reel_scene *scene;
    reel_palette palette;
    reel_vec3 tone[REEL_WORLD_MAX_OBJECTS][REEL_PAINT_COUNT];
    int width, height;
    float pixel; /* of the picture, in half the shorter side */
} reel_stage;

/* One moment. */
typedef struct reel_moment {
    float time_s;
    reel_eye eye;
    reel_body body[REEL_WORLD_MAX_OBJECTS];
} reel_moment;

/* Pixels [x0,x1) x [y0,y1). */
typedef struct reel_rect {
    int x0, y0, x1, y1;
} reel_rect;

/* Directions have length 1 along the view axis, so that t of a hit is its depth. x, y in pixels. */
static inline reel_vec3 reel_stage_direction(const reel_stage *s, const reel_eye *eye, float x,
                                             float y) {
    const float k = s->pixel * eye->half_tan;
    const float sx = (x - 0.5f * (float)s->width) * k, sy = (0.5f * (float)s->height - y) * k;
    return reel_vec3_add(
        eye->forward, reel_vec3_add(reel_vec3_scale(eye->right, sx), reel_vec3_scale(eye->up, sy)));
}

/* Share of haze at a depth. */
static inline float reel_stage_haze(const reel_palette *p, float depth) {
    const float q = depth / p->haze_depth;
    return q * q / (1.0f + q * q);
}

void reel_moment_at(const reel_scene *scene, float time_s, float stereo_m, reel_moment *moment);

/* The pixels a sphere may cover, grown by one and cut to the picture. */
reel_rect reel_stage_sphere(const reel_stage *s, const reel_eye *eye, reel_vec3 centre,
                            float radius);

/* The sky's gradient at the sine of an elevation. */
reel_vec3 reel_sky_gradient(const reel_palette *p, float elevation);

/* Sky and ground of rows [from,to) into planes [3][H,W]. */
void reel_background_rows(const reel_stage *s, const reel_moment *m, int from, int to,
                          float *const plane[3]);
/* Stars, which are points: over the sky, once for a frame. */
void reel_background_stars(const reel_stage *s, const reel_eye *eye, float *const plane[3]);

/* The color of what a ray hit; blur: a pixel's width at the hit, metres. */
reel_vec3 reel_shade(const reel_stage *s, const reel_moment *m, int object, const reel_ray *ray,
                     const reel_hit *hit, float blur);

/* Rain or snowfall over a finished frame. */
void reel_weather_draw(const reel_stage *s, float time_s, float *const plane[3]);

/* ---- shadows on the ground ---- */

enum { REEL_SHADOW_CELLS = 40 };

/* The outline of an object in the light's direction, softened; it moves with the object. */
typedef struct reel_shadow {
    reel_vec3 axis[3]; /* the object's, when this was made */
    float half_u, half_v;
    float cell[REEL_SHADOW_CELLS * REEL_SHADOW_CELLS];
} reel_shadow;

void reel_shadow_make(const reel_stage *s, const reel_body *body, reel_shadow *shadow);
/* True when the shadow is still that of the body, wherever it has moved to. */
bool reel_shadow_fits(const reel_shadow *shadow, const reel_body *body);
/* Darkens the ground. */
void reel_shadow_draw(const reel_stage *s, const reel_moment *m, int object,
                      const reel_shadow *shadow, float *const plane[3]);
/* Objects upside down in the water. */
void reel_reflection_draw(const reel_stage *s, const reel_moment *m, int object,
                          float *const plane[3]);

#endif
