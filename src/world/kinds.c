#include "world/kinds.h"

/* ---- shapes ---- */

#define AT(x, y, z) .at = {x, y, z}
#define SIZE(x, y, z) .size = {x, y, z}
#define PLANES(list) .plane = list, .n_planes = sizeof(list) / sizeof *(list)
#define DIAGONAL 0.70710678f

static const reel_primitive ball[] = {
    {REEL_ELLIPSOID, REEL_PAINT_BODY, SIZE(0.78f, 0.78f, 0.78f)},
};
static const reel_primitive cube[] = {
    {REEL_BOX, REEL_PAINT_BODY, SIZE(0.68f, 0.68f, 0.68f)},
};
static const reel_primitive cone[] = {
    {REEL_FRUSTUM, REEL_PAINT_BODY, 1, SIZE(0.82f, 0.85f, 0.0f)},
};
static const reel_primitive cylinder[] = {
    {REEL_FRUSTUM, REEL_PAINT_BODY, 1, SIZE(0.6f, 0.75f, 0.6f)},
};
static const reel_primitive ring[] = {
    {REEL_TORUS, REEL_PAINT_BODY, SIZE(0.68f, 0.23f, 0.0f)},
};

/* Base 1.7 wide, 1.5 high: the sides lean by 0.85 on 1.5, normal (1.5, 0.85) / 1.724. */
static const reel_plane pyramid_planes[] = {
    {0.870022f, 0.493013f, 0, 0.369760f},
    {-0.870022f, 0.493013f, 0, 0.369760f},
    {0, 0.493013f, 0.870022f, 0.369760f},
    {0, 0.493013f, -0.870022f, 0.369760f},
    {0, -1, 0, 0.75f},
};
static const reel_primitive pyramid[] = {
    {REEL_CONVEX, REEL_PAINT_BODY, PLANES(pyramid_planes)},
};

static const reel_primitive tree[] = {
    {REEL_FRUSTUM, REEL_PAINT_TRUNK, 1, AT(0, -0.8f, 0), SIZE(0.2f, 0.45f, 0.16f)},
    {REEL_ELLIPSOID, REEL_PAINT_PLAIN, AT(0, 0.12f, 0), SIZE(0.82f, 0.66f, 0.82f)},
    {REEL_ELLIPSOID, REEL_PAINT_PLAIN, AT(-0.34f, 0.42f, -0.38f), SIZE(0.36f, 0.32f, 0.36f)},
    {REEL_ELLIPSOID, REEL_PAINT_PLAIN, AT(0.12f, 0.7f, 0), SIZE(0.6f, 0.52f, 0.6f)},
};

/* A roof ridge along z over half width 0.95: leans by 0.62 on 0.95, normal (0.62, 0.95) / 1.1344.
 */
static const reel_plane roof_planes[] = {
    {0.546537f, 0.837435f, 0, 0.519210f},
    {-0.546537f, 0.837435f, 0, 0.519210f},
    {0, -1, 0, 0},
    {0, 0, 1, 0.85f},
    {0, 0, -1, 0.85f},
};
static const reel_primitive house[] = {
    {REEL_BOX, REEL_PAINT_PLAIN, AT(0, -0.3f, 0), SIZE(0.8f, 0.5f, 0.75f)},
    {REEL_CONVEX, REEL_PAINT_ROOF, AT(0, 0.2f, 0), PLANES(roof_planes)},
    {REEL_BOX, REEL_PAINT_TRUNK, AT(0.3f, -0.5f, -0.74f), SIZE(0.17f, 0.3f, 0.04f)},
    {REEL_BOX, REEL_PAINT_GLASS, AT(-0.33f, -0.22f, -0.74f), SIZE(0.2f, 0.18f, 0.04f)},
    {REEL_BOX, REEL_PAINT_ROOF, AT(0.45f, 0.6f, 0.2f), SIZE(0.12f, 0.3f, 0.12f)},
};

/* The cabin: 0.62 half length below, 0.36 above, 0.44 high; normal (0.44, 0.26) / 0.5111. */
static const reel_plane cabin_planes[] = {
    {0.860922f, 0.508727f, 0, 0.533772f},
    {-0.860922f, 0.508727f, 0, 0.533772f},
    {0, 1, 0, 0.44f},
    {0, -1, 0, 0},
    {0, 0, 1, 0.42f},
    {0, 0, -1, 0.42f},
};
static const reel_primitive car[] = {
    {REEL_BOX, REEL_PAINT_PLAIN, AT(0, -0.02f, 0), SIZE(1.15f, 0.25f, 0.52f)},
    {REEL_CONVEX, REEL_PAINT_PLAIN, AT(-0.08f, 0.22f, 0), PLANES(cabin_planes)},
    {REEL_BOX, REEL_PAINT_GLASS, AT(-0.08f, 0.42f, 0), SIZE(0.36f, 0.13f, 0.435f)},
    {REEL_FRUSTUM, REEL_PAINT_TYRE, 2, AT(0.66f, -0.26f, 0), SIZE(0.25f, 0.56f, 0.25f)},
    {REEL_FRUSTUM, REEL_PAINT_TYRE, 2, AT(-0.66f, -0.26f, 0), SIZE(0.25f, 0.56f, 0.25f)},
    {REEL_FRUSTUM, REEL_PAINT_LIGHT, 2, AT(0.66f, -0.26f, 0), SIZE(0.11f, 0.58f, 0.11f)},
    {REEL_FRUSTUM, REEL_PAINT_LIGHT, 2, AT(-0.66f, -0.26f, 0), SIZE(0.11f, 0.58f, 0.11f)},
};

/* The hull: 1.1 half length above, 0.65 below, 0.5 high; the sail: a triangle, thin along z. */
static const reel_plane hull_planes[] = {
    {0.743294f, -0.668965f, 0, 0.817623f},
    {-0.743294f, -0.668965f, 0, 0.817623f},
    {0, -0.371391f, 0.928477f, 0.464238f},
    {0, -0.371391f, -0.928477f, 0.464238f},
    {0, 1, 0, 0},
    {0, -1, 0, 0.5f},
};
static const reel_plane sail_planes[] = {
    {-1, 0, 0, 0},    {0, -1, 0, 0},     {0.832050f, 0.554700f, 0, 0.748845f},
    {0, 0, 1, 0.04f}, {0, 0, -1, 0.04f},
};
static const reel_plane jib_planes[] = {
    {1, 0, 0, 0},     {0, -1, 0, 0},     {-0.894427f, 0.447214f, 0, 0.536656f},
    {0, 0, 1, 0.03f}, {0, 0, -1, 0.03f},
};
static const reel_primitive boat[] = {
    {REEL_CONVEX, REEL_PAINT_PLAIN, AT(0, -0.35f, 0), PLANES(hull_planes)},
    {REEL_FRUSTUM, REEL_PAINT_TRUNK, 1, AT(0, 0.4f, 0), SIZE(0.06f, 0.8f, 0.05f)},
    {REEL_CONVEX, REEL_PAINT_LIGHT, AT(0.08f, -0.18f, 0), PLANES(sail_planes)},
    {REEL_CONVEX, REEL_PAINT_PLAIN, AT(-0.1f, -0.18f, 0), PLANES(jib_planes)},
};

/* Fins: triangles standing out to the left, right and front. Leans (0.8, 0.6). */
static const reel_plane fin_right_planes[] = {
    {-1, 0, 0, 0}, {0, -1, 0, 0}, {0.8f, 0.6f, 0, 0.44f}, {0, 0, 1, 0.06f}, {0, 0, -1, 0.06f},
};
static const reel_plane fin_left_planes[] = {
    {1, 0, 0, 0}, {0, -1, 0, 0}, {-0.8f, 0.6f, 0, 0.44f}, {0, 0, 1, 0.06f}, {0, 0, -1, 0.06f},
};
static const reel_plane fin_front_planes[] = {
    {0, 0, 1, 0}, {0, -1, 0, 0}, {0, 0.6f, -0.8f, 0.44f}, {1, 0, 0, 0.06f}, {-1, 0, 0, 0.06f},
};
static const reel_primitive rocket[] = {
    {REEL_FRUSTUM, REEL_PAINT_PLAIN, 1, AT(0, -0.2f, 0), SIZE(0.42f, 0.8f, 0.42f)},
    {REEL_FRUSTUM, REEL_PAINT_LIGHT, 1, AT(0, 0.95f, 0), SIZE(0.42f, 0.35f, 0.04f)},
    {REEL_CONVEX, REEL_PAINT_LIGHT, AT(0.4f, -1.15f, 0), PLANES(fin_right_planes)},
    {REEL_CONVEX, REEL_PAINT_LIGHT, AT(-0.4f, -1.15f, 0), PLANES(fin_left_planes)},
    {REEL_CONVEX, REEL_PAINT_LIGHT, AT(0, -1.15f, -0.4f), PLANES(fin_front_planes)},
    {REEL_ELLIPSOID, REEL_PAINT_GLASS, AT(0, 0.2f, -0.36f), SIZE(0.2f, 0.2f, 0.12f)},
    {REEL_FRUSTUM, REEL_PAINT_TYRE, 1, AT(0, -1.07f, 0), SIZE(0.3f, 0.1f, 0.24f)},
    {REEL_ELLIPSOID, REEL_PAINT_FLAME, AT(0, -1.6f, 0), SIZE(0.3f, 0.62f, 0.3f)},
};

static const reel_primitive snowman[] = {
    {REEL_ELLIPSOID, REEL_PAINT_PLAIN, AT(0, -0.62f, 0), SIZE(0.68f, 0.62f, 0.68f)},
    {REEL_ELLIPSOID, REEL_PAINT_PLAIN, AT(0, 0.2f, 0), SIZE(0.5f, 0.46f, 0.5f)},
    {REEL_ELLIPSOID, REEL_PAINT_PLAIN, AT(0, 0.82f, 0), SIZE(0.36f, 0.36f, 0.36f)},
    {REEL_ELLIPSOID, REEL_PAINT_LIGHT, AT(0, 0.56f, 0), SIZE(0.38f, 0.1f, 0.38f)},
    {REEL_FRUSTUM, REEL_PAINT_CARROT, 2, AT(0, 0.8f, -0.52f), SIZE(0.02f, 0.22f, 0.1f)},
    {REEL_ELLIPSOID, REEL_PAINT_COAL, AT(-0.14f, 0.94f, -0.29f), SIZE(0.07f, 0.07f, 0.07f)},
    {REEL_ELLIPSOID, REEL_PAINT_COAL, AT(0.14f, 0.94f, -0.29f), SIZE(0.07f, 0.07f, 0.07f)},
    {REEL_FRUSTUM, REEL_PAINT_COAL, 1, AT(0, 1.14f, 0), SIZE(0.44f, 0.04f, 0.44f)},
    {REEL_FRUSTUM, REEL_PAINT_COAL, 1, AT(0, 1.3f, 0), SIZE(0.28f, 0.16f, 0.26f)},
};

#define SHAPE(list, pattern_, bound_, rest_, width, depth, top_, round_)                           \
    { list, sizeof(list) / sizeof *(list), pattern_, bound_, rest_, width, depth, top_, round_ }
static const reel_kind_shape shapes[REEL_KIND_COUNT] = {
    [REEL_KIND_BALL] = SHAPE(ball, REEL_PATTERN_BEACH, 0.79f, 0.78f, 0.78f, 0.78f, 0, true),
    [REEL_KIND_CUBE] = SHAPE(cube, REEL_PATTERN_BAND, 1.2f, 0.68f, 0.68f, 0.68f, 0.68f, false),
    [REEL_KIND_CONE] = SHAPE(cone, REEL_PATTERN_SECTORS, 1.2f, 0.85f, 0.82f, 0.82f, 0, true),
    [REEL_KIND_CYLINDER] =
        SHAPE(cylinder, REEL_PATTERN_SECTORS, 0.97f, 0.75f, 0.6f, 0.6f, 0.75f, true),
    [REEL_KIND_RING] = SHAPE(ring, REEL_PATTERN_TUBE, 0.92f, 0.91f, 0.91f, 0.23f, 0, false),
    [REEL_KIND_PYRAMID] = SHAPE(pyramid, REEL_PATTERN_HALVES, 1.42f, 0.75f, 0.85f, 0.85f, 0, false),
    [REEL_KIND_TREE] = SHAPE(tree, REEL_PATTERN_PLAIN, 1.3f, 1.25f, 0.82f, 0.82f, 0, false),
    [REEL_KIND_HOUSE] = SHAPE(house, REEL_PATTERN_PLAIN, 1.5f, 0.8f, 0.95f, 0.85f, 0, false),
    [REEL_KIND_CAR] = SHAPE(car, REEL_PATTERN_PLAIN, 1.32f, 0.51f, 1.15f, 0.56f, 0, false),
    [REEL_KIND_BOAT] = SHAPE(boat, REEL_PATTERN_PLAIN, 1.35f, 0.68f, 1.1f, 0.5f, 0, false),
    [REEL_KIND_ROCKET] = SHAPE(rocket, REEL_PATTERN_PLAIN, 1.34f, 1.17f, 0.95f, 0.7f, 0, false),
    [REEL_KIND_SNOWMAN] = SHAPE(snowman, REEL_PATTERN_PLAIN, 1.5f, 1.24f, 0.68f, 0.74f, 0, false),
};

const reel_kind_shape *reel_kind_shape_of(reel_kind kind) {
    return &shapes[kind];
}

/* ---- what goes with what ---- */

#define BIT(x) (1u << (x))
enum {
    SOLIDS = BIT(REEL_KIND_BALL) | BIT(REEL_KIND_CUBE) | BIT(REEL_KIND_CONE) |
             BIT(REEL_KIND_CYLINDER) | BIT(REEL_KIND_RING) | BIT(REEL_KIND_PYRAMID),
    ALL_KINDS = BIT(REEL_KIND_COUNT) - 1,
};

/* Kinds that may be object 0 of a motion. */
static const unsigned movers[REEL_MOTION_COUNT] = {
    [REEL_MOTION_STILL] = ALL_KINDS,
    [REEL_MOTION_ROLL] = BIT(REEL_KIND_BALL) | BIT(REEL_KIND_CYLINDER) | BIT(REEL_KIND_RING),
    [REEL_MOTION_SLIDE] = BIT(REEL_KIND_CUBE) | BIT(REEL_KIND_CONE) | BIT(REEL_KIND_PYRAMID) |
                          BIT(REEL_KIND_CYLINDER) | BIT(REEL_KIND_SNOWMAN),
    [REEL_MOTION_BOUNCE] = SOLIDS,
    [REEL_MOTION_FALL] = SOLIDS | BIT(REEL_KIND_SNOWMAN),
    [REEL_MOTION_RISE] = SOLIDS | BIT(REEL_KIND_HOUSE),
    [REEL_MOTION_SPIN] = SOLIDS | BIT(REEL_KIND_CAR) | BIT(REEL_KIND_SNOWMAN) | BIT(REEL_KIND_BOAT),
    [REEL_MOTION_ORBIT] = BIT(REEL_KIND_BALL) | BIT(REEL_KIND_CUBE) | BIT(REEL_KIND_CONE) |
                          BIT(REEL_KIND_PYRAMID) | BIT(REEL_KIND_CAR) | BIT(REEL_KIND_BOAT),
    [REEL_MOTION_DRIVE] = BIT(REEL_KIND_CAR),
    [REEL_MOTION_SAIL] = BIT(REEL_KIND_BOAT),
    [REEL_MOTION_TAKE_OFF] = BIT(REEL_KIND_ROCKET),
    [REEL_MOTION_COLLIDE] = BIT(REEL_KIND_BALL) | BIT(REEL_KIND_CUBE) | BIT(REEL_KIND_CAR),
    [REEL_MOTION_PASS_BEHIND] = BIT(REEL_KIND_BALL) | BIT(REEL_KIND_CUBE) | BIT(REEL_KIND_RING) |
                                BIT(REEL_KIND_CAR) | BIT(REEL_KIND_BOAT),
};

/* Kinds that may be object 1 of a motion; 0: the motion needs none. */
static const unsigned partners[REEL_MOTION_COUNT] = {
    [REEL_MOTION_ORBIT] = ALL_KINDS & ~BIT(REEL_KIND_RING),
    [REEL_MOTION_COLLIDE] = BIT(REEL_KIND_BALL) | BIT(REEL_KIND_CUBE) | BIT(REEL_KIND_CYLINDER) |
                            BIT(REEL_KIND_CONE) | BIT(REEL_KIND_PYRAMID) | BIT(REEL_KIND_SNOWMAN),
    [REEL_MOTION_PASS_BEHIND] = ALL_KINDS & ~BIT(REEL_KIND_RING),
};

/* What floats: a boat, and toys. */
static const unsigned floating = SOLIDS | BIT(REEL_KIND_BOAT);

bool reel_kind_moves(reel_kind kind, reel_motion motion) {
    return movers[motion] & BIT(kind);
}

bool reel_kind_on_ground(reel_kind kind, reel_ground ground) {
    if (ground == REEL_GROUND_WATER) return floating & BIT(kind);
    return kind != REEL_KIND_BOAT;
}

bool reel_motion_on_ground(reel_motion motion, reel_ground ground) {
    static const unsigned on_water = BIT(REEL_MOTION_STILL) | BIT(REEL_MOTION_RISE) |
                                     BIT(REEL_MOTION_SPIN) | BIT(REEL_MOTION_ORBIT) |
                                     BIT(REEL_MOTION_SAIL) | BIT(REEL_MOTION_PASS_BEHIND);
    if (ground == REEL_GROUND_WATER) return on_water & BIT(motion);
    return motion != REEL_MOTION_SAIL;
}

bool reel_motion_needs_partner(reel_motion motion) {
    return partners[motion] != 0;
}

bool reel_kind_partners(reel_kind kind, reel_motion motion) {
    return partners[motion] & BIT(kind);
}

bool reel_motion_heads(reel_motion motion) {
    static const unsigned heading = BIT(REEL_MOTION_ROLL) | BIT(REEL_MOTION_SLIDE) |
                                    BIT(REEL_MOTION_DRIVE) | BIT(REEL_MOTION_SAIL) |
                                    BIT(REEL_MOTION_COLLIDE) | BIT(REEL_MOTION_PASS_BEHIND);
    return heading & BIT(motion);
}

bool reel_color_hidden(reel_color color, reel_ground ground, reel_sky sky) {
    if (color == REEL_COLOR_WHITE) return ground == REEL_GROUND_SNOW;
    return color == REEL_COLOR_BLACK && sky == REEL_SKY_NIGHT;
}
