/* Rays against objects: the nearest hit with a point, a normal and what it is painted with. */
#ifndef REEL_WORLD_TRACE_H
#define REEL_WORLD_TRACE_H

#include "world/kinds.h"

/* An object placed for one moment, ready to be traced. */
typedef struct reel_body {
    const reel_kind_shape *shape;
    reel_pose pose;
    float scale;
    float radius; /* of the sphere around everything, metres */
} reel_body;

typedef struct reel_ray {
    reel_vec3 from, along; /* along need not be a unit vector: hits are in its lengths */
} reel_ray;

typedef struct reel_hit {
    float t; /* point = from + t along */
    int16_t primitive;
    int16_t face;     /* of the primitive: two hits with another face have an edge between them */
    reel_vec3 local;  /* the point in the object's own units */
    reel_vec3 normal; /* unit, in the world */
} reel_hit;

/* The nearest hit with t in (near, hit->t); hit is untouched and false returned when there is none.
 * The ray begins outside the object. */
bool reel_body_trace(const reel_body *body, const reel_ray *ray, float near, reel_hit *hit);

/* True when anything of the object but its flame lies on the ray, at any t > 0. */
bool reel_body_blocks(const reel_body *body, const reel_ray *ray);

#endif
