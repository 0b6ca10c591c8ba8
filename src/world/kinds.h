/* Kinds: the shape of each kind of object, and what it may do where.
 *
 * A kind is a short list of analytic primitives around the object's centre, in units that its scale
 * turns into metres. Every body carries a two-tone pattern, so that a turn shows. The tables of
 * what goes with what are here too: cars drive, boats need water, a tree does not roll.
 */
#ifndef REEL_WORLD_KINDS_H
#define REEL_WORLD_KINDS_H

#include "world/world.h"

typedef enum reel_primitive_shape {
    REEL_ELLIPSOID, /* size: radii */
    REEL_BOX,       /* size: half extents */
    REEL_FRUSTUM,   /* along its axis: size.x radius at the low end, size.z at the high, size.y half
                       the height */
    REEL_CONVEX,    /* inside all planes */
    REEL_TORUS,     /* around z: size.x to the middle of the tube, size.y radius of the tube */
} reel_primitive_shape;

/* What a primitive is painted with; BODY to DARK follow the object's color. */
typedef enum reel_paint {
    REEL_PAINT_BODY,  /* the color, with the kind's pattern */
    REEL_PAINT_PLAIN, /* the color alone */
    REEL_PAINT_LIGHT, /* its second tone */
    REEL_PAINT_TRUNK,
    REEL_PAINT_ROOF,
    REEL_PAINT_GLASS,
    REEL_PAINT_TYRE,
    REEL_PAINT_CARROT,
    REEL_PAINT_COAL,
    REEL_PAINT_FLAME, /* there only while the engine burns */
    REEL_PAINT_COUNT
} reel_paint;

/* How the second tone lies on BODY primitives. */
typedef enum reel_pattern {
    REEL_PATTERN_PLAIN,
    REEL_PATTERN_BEACH,   /* six sectors around y, as on a beach ball */
    REEL_PATTERN_SECTORS, /* six sectors around y, the light ones narrow */
    REEL_PATTERN_TUBE,    /* eight sectors around z */
    REEL_PATTERN_BAND,    /* a band over the middle, |x| small */
    REEL_PATTERN_HALVES,  /* light where x z > 0 */
    REEL_PATTERN_STRIPE,  /* a stripe at half height, |y| small */
} reel_pattern;

enum { REEL_MAX_PLANES = 6 };

typedef struct reel_plane {
    float x, y, z, w; /* inside: x X + y Y + z Z <= w; (x,y,z) is a unit vector */
} reel_plane;

typedef struct reel_primitive {
    reel_primitive_shape shape;
    reel_paint paint;
    int axis; /* of a frustum: 0 x, 1 y, 2 z */
    reel_vec3 at, size;
    const reel_plane *plane; /* [n_planes], of a CONVEX */
    int n_planes;
} reel_primitive;

typedef struct reel_kind_shape {
    const reel_primitive *primitive; /* [n] */
    int n;
    reel_pattern pattern;
    float bound;      /* everything lies within this distance of the centre */
    float rest;       /* height of the centre above what it stands on */
    float half_width; /* along x */
    float half_depth; /* along z */
    float top;        /* height of a flat top above the centre; 0: nothing can stand on it */
    bool round_y;     /* turning it about y does not change its outline */
} reel_kind_shape;

/* Static storage. */
const reel_kind_shape *reel_kind_shape_of(reel_kind kind);

/* ---- what goes with what ---- */

/* Object 0 of this kind may move like that (on the right ground and with a partner). */
bool reel_kind_moves(reel_kind kind, reel_motion motion);
/* The kind may stand, float or move like that on the ground. */
bool reel_kind_on_ground(reel_kind kind, reel_ground ground);
bool reel_motion_on_ground(reel_motion motion, reel_ground ground);
/* True for the motions that need object 1, and what kinds that may be. */
bool reel_motion_needs_partner(reel_motion motion);
bool reel_kind_partners(reel_kind kind, reel_motion motion);
/* True when the motion has a direction, left or right. */
bool reel_motion_heads(reel_motion motion);
/* True when the color cannot be told from what is around it. */
bool reel_color_hidden(reel_color color, reel_ground ground, reel_sky sky);

#endif
