/* The procedural world: what a scene is made of, and how scenes come to be.
 *
 * An endless supply of small 3D scenes, each a pure function of (seed, index, split): one to three
 * objects that move by real mechanics on a ground under a sky, seen by a moving camera. A scene is
 * plain data; world/render.h draws it, world/caption.h says it in words, world/split.h keeps some
 * of it from training. Attributes are the truth a judge is trained on: every value can be seen.
 *
 * Axes: x to the right, y up, z away from the camera; metres, seconds, radians. The ground is y =
 * 0.
 */
#ifndef REEL_WORLD_WORLD_H
#define REEL_WORLD_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "world/vec3.h"

enum { REEL_WORLD_MAX_OBJECTS = 3 };

typedef enum reel_kind {
    REEL_KIND_BALL,
    REEL_KIND_CUBE,
    REEL_KIND_CONE,
    REEL_KIND_CYLINDER,
    REEL_KIND_RING,
    REEL_KIND_PYRAMID,
    REEL_KIND_TREE,
    REEL_KIND_HOUSE,
    REEL_KIND_CAR,
    REEL_KIND_BOAT,
    REEL_KIND_ROCKET,
    REEL_KIND_SNOWMAN,
    REEL_KIND_COUNT,
} reel_kind;

typedef enum reel_color {
    REEL_COLOR_RED,
    REEL_COLOR_ORANGE,
    REEL_COLOR_YELLOW,
    REEL_COLOR_GREEN,
    REEL_COLOR_BLUE,
    REEL_COLOR_PURPLE,
    REEL_COLOR_PINK,
    REEL_COLOR_BROWN,
    REEL_COLOR_BLACK,
    REEL_COLOR_WHITE,
    REEL_COLOR_COUNT,
} reel_color;

typedef enum reel_size {
    REEL_SIZE_SMALL,
    REEL_SIZE_MEDIUM,
    REEL_SIZE_LARGE,
    REEL_SIZE_COUNT
} reel_size;

typedef enum reel_material {
    REEL_MATERIAL_MATTE,
    REEL_MATERIAL_METAL,
    REEL_MATERIAL_COUNT
} reel_material;

typedef enum reel_motion {
    REEL_MOTION_STILL,
    REEL_MOTION_ROLL,
    REEL_MOTION_SLIDE,
    REEL_MOTION_BOUNCE,
    REEL_MOTION_FALL,
    REEL_MOTION_RISE,
    REEL_MOTION_SPIN,
    REEL_MOTION_ORBIT, /* circles around object 1 */
    REEL_MOTION_DRIVE,
    REEL_MOTION_SAIL,
    REEL_MOTION_TAKE_OFF,
    REEL_MOTION_COLLIDE,     /* runs into object 1 and pushes it */
    REEL_MOTION_PASS_BEHIND, /* goes behind object 1 and comes out on the other side */
    REEL_MOTION_PUSHED,      /* what object 1 does in a collision; never object 0 */
    REEL_MOTION_COUNT,
} reel_motion;

/* Where a motion along the ground goes, as the viewer sees it. */
typedef enum reel_heading {
    REEL_HEADING_NONE, /* the motion goes nowhere: still, spin, bounce, fall, ... */
    REEL_HEADING_LEFT,
    REEL_HEADING_RIGHT,
    REEL_HEADING_COUNT
} reel_heading;

/* Where object 0 is, seen from object 1: "0 is left of 1". */
typedef enum reel_relation {
    REEL_RELATION_NONE, /* one object, or one that moves past */
    REEL_RELATION_LEFT_OF,
    REEL_RELATION_BEHIND,
    REEL_RELATION_ON_TOP_OF,
    REEL_RELATION_COUNT
} reel_relation;

typedef enum reel_ground {
    REEL_GROUND_GRASS,
    REEL_GROUND_SAND,
    REEL_GROUND_SNOW,
    REEL_GROUND_WATER,
    REEL_GROUND_STONE,
    REEL_GROUND_CHECKERBOARD,
    REEL_GROUND_COUNT
} reel_ground;

typedef enum reel_sky {
    REEL_SKY_DAY,
    REEL_SKY_SUNSET,
    REEL_SKY_NIGHT,
    REEL_SKY_OVERCAST,
    REEL_SKY_COUNT
} reel_sky;

typedef enum reel_weather {
    REEL_WEATHER_CLEAR,
    REEL_WEATHER_RAIN,
    REEL_WEATHER_SNOWFALL,
    REEL_WEATHER_FOG,
    REEL_WEATHER_COUNT
} reel_weather;

typedef enum reel_camera_move {
    REEL_CAMERA_STILL,
    REEL_CAMERA_PAN_LEFT,
    REEL_CAMERA_PAN_RIGHT,
    REEL_CAMERA_TILT_UP,
    REEL_CAMERA_TILT_DOWN,
    REEL_CAMERA_ZOOM_IN, /* the lens: everything grows, the horizon moves */
    REEL_CAMERA_ZOOM_OUT,
    REEL_CAMERA_DOLLY_IN, /* the camera itself: near things grow, the horizon stays */
    REEL_CAMERA_DOLLY_OUT,
    REEL_CAMERA_ORBIT_LEFT, /* around the objects */
    REEL_CAMERA_ORBIT_RIGHT,
    REEL_CAMERA_COUNT
} reel_camera_move;

/* ---- attributes: what is true of a scene ---- */

/* An attribute's value is one of its enum, or REEL_ANY where a request leaves it open. */
enum { REEL_ANY = -1 };

typedef enum reel_attribute {
    REEL_ATTRIBUTE_KIND, /* of an object, as all up to heading */
    REEL_ATTRIBUTE_COLOR,
    REEL_ATTRIBUTE_SIZE,
    REEL_ATTRIBUTE_MATERIAL,
    REEL_ATTRIBUTE_MOTION,
    REEL_ATTRIBUTE_HEADING,
    REEL_ATTRIBUTE_RELATION, /* of the scene, as all from here */
    REEL_ATTRIBUTE_GROUND,
    REEL_ATTRIBUTE_SKY,
    REEL_ATTRIBUTE_WEATHER,
    REEL_ATTRIBUTE_CAMERA,
    REEL_ATTRIBUTE_COUNT,
    REEL_OBJECT_ATTRIBUTES = REEL_ATTRIBUTE_RELATION
} reel_attribute;

typedef struct reel_attributes {
    int n_objects;                                                 /* 1..3; 0 leaves it open */
    int8_t object[REEL_WORLD_MAX_OBJECTS][REEL_OBJECT_ATTRIBUTES]; /* by reel_attribute */
    int8_t relation, ground, sky, weather, camera;
} reel_attributes;

/* Everything open: n_objects 0, all others REEL_ANY. */
reel_attributes reel_attributes_any(void);

/* One attribute of object (ignored for attributes of the scene). set: value in range or REEL_ANY.
 */
int reel_attributes_get(const reel_attributes *attributes, reel_attribute attribute, int object);
void reel_attributes_set(reel_attributes *attributes, reel_attribute attribute, int object,
                         int value);

/* How many values an attribute has; its name ("color"), and a value's ("pink", "pan_left") as JSON
 * and tables show them. Static storage. */
int reel_attribute_values(reel_attribute attribute);
const char *reel_attribute_name(reel_attribute attribute);
const char *reel_attribute_value_name(reel_attribute attribute, int value);

/* True when objects and all open attributes can be completed to a scene that makes sense: boats on
 * water and nothing else, cars that drive and trees that do not, a partner where one is needed.
 * Otherwise why (if not NULL, why_bytes long) says in one phrase what cannot be. */
bool reel_attributes_possible(const reel_attributes *attributes, char *why, int why_bytes);

/* ---- scenes ---- */

typedef enum reel_split {
    REEL_SPLIT_TRAIN,         /* no held-out pair, no held-out combination; see world/split.h */
    REEL_SPLIT_VALIDATION,    /* held-out combinations of pairs that were trained on */
    REEL_SPLIT_HELDOUT_PAIRS, /* object 0 is a (kind, color) pair that was never trained on */
    REEL_SPLIT_COUNT
} reel_split;

/* One object with everything its motion needs; position() below is a closed form in time. */
typedef struct reel_scene_object {
    reel_kind kind;
    reel_color color;
    reel_size size;
    reel_material material;
    reel_motion motion;
    reel_heading heading;
    float scale;        /* metres per unit of the kind's shape */
    float yaw;          /* at time 0 */
    reel_vec3 start;    /* of the centre */
    reel_vec3 velocity; /* at time 0, m/s */
    float friction;     /* deceleration along the velocity, m/s^2 */
    float gravity;      /* m/s^2; also the thrust of a rocket */
    float restitution;  /* speed after an impact / before */
    float rest_y;       /* height of the centre when it stands on what is below */
    float spin;         /* turns per second */
    float event_s;      /* impact of a collision, ignition of a rocket; else 0 */
    reel_vec3 after;    /* velocity behind the event */
    bool lying;         /* a cylinder on its side */
} reel_scene_object;

typedef struct reel_scene_camera {
    reel_camera_move move;
    float distance, height; /* of the camera from the target along the ground, above the ground */
    float yaw;              /* around the target; 0 looks along +z */
    float target_y;
    float half_tan; /* tangent of half the field of view across the frame's shorter side */
    float
        amount; /* radians for pan, tilt, orbit; natural logarithm of the growth for zoom, dolly */
} reel_scene_camera;

/* A scene is plain data: it may be copied, kept and compared. */
typedef struct reel_scene {
    uint64_t seed, index;
    reel_split split;
    float duration_s; /* what the motions were laid out for; time may go past it */
    int n_objects;
    reel_scene_object object[REEL_WORLD_MAX_OBJECTS];
    reel_relation relation;
    reel_ground ground;
    reel_sky sky;
    reel_weather weather;
    reel_scene_camera camera;
    float sun_side; /* -1 or 1: light from the left or the right */
} reel_scene;

/* What a lesson may be about: a move of the camera, one way or the other; the way an object goes;
 * two objects, each with a kind and a color of its own; an object that falls; one that passes
 * behind another. */
typedef enum reel_drill {
    REEL_DRILL_PAN = 1,
    REEL_DRILL_TILT = 2,
    REEL_DRILL_ZOOM = 4,
    REEL_DRILL_DOLLY = 8,
    REEL_DRILL_ORBIT = 16,
    REEL_DRILL_HEADING = 32,
    REEL_DRILL_PAIR = 64,
    REEL_DRILL_FALL = 128,
    REEL_DRILL_BEHIND = 256,
    REEL_DRILL_ALL = 511
} reel_drill;

/* A set from names between commas or spaces: "pan,orbit,heading"; "" is all. False when a name is
 * none. */
bool reel_drills_parse(const char *names, unsigned *drills);

/* What to make a scene of. */
typedef struct reel_scene_options {
    uint64_t seed, index;
    reel_split split;
    float duration_s; /* of the clip, (frames - 1) / fps, in [0.1,60]; 2 */
    int n_objects;    /* 1..3; 0: one in two thirds of scenes, else two or three */
    unsigned drill;   /* a lesson about one of this set of reel_drill: one object, and the camera
                         moves, or is still and the object heads somewhere or falls; or two objects
                         under a still camera, in half of the lessons where the set has both.
                         n_objects is not looked at. 0: no lesson */
} reel_scene_options;

reel_scene_options reel_scene_options_default(void);

/* The scene of (seed, index, split, duration). Draws until every object can be seen well (see
 * reel_scene_visible), which is the same everywhere, as the draws are. REEL_E_ARG for options out
 * of range. Any thread. */
REEL_MUST_USE reel_status reel_scene_sample(reel_env *env, const reel_scene_options *options,
                                            reel_scene *scene);

/* The same with attributes given; open ones are drawn. options->split and n_objects are not looked
 * at. REEL_E_ARG with the reason when no such scene makes sense. */
REEL_MUST_USE reel_status reel_scene_from_attributes(reel_env *env,
                                                     const reel_scene_options *options,
                                                     const reel_attributes *attributes,
                                                     reel_scene *scene);

/* What is true of a scene. */
reel_attributes reel_scene_attributes(const reel_scene *scene);

/* Where an object is at a time: centre, the object's own axes, how far the flame is lit. */
typedef struct reel_pose {
    reel_vec3 position;
    reel_vec3 axis[3]; /* unit vectors: the object's x, y, z in the world */
    float flame;       /* 0..1, rockets */
} reel_pose;

reel_pose reel_scene_pose(const reel_scene *scene, int object, float time_s);

/* The camera at a time: where it is, its axes (right, up, forward), and its lens. */
typedef struct reel_eye {
    reel_vec3 position;
    reel_vec3 right, up, forward;
    float half_tan; /* across the shorter side */
} reel_eye;

reel_eye reel_scene_eye(const reel_scene *scene, float time_s);

/* A point in the picture: x, y in units of half the shorter side from the centre, x right, y down,
 * and depth along the view axis (points with depth <= 0 are behind the camera). */
reel_vec3 reel_eye_project(const reel_eye *eye, reel_vec3 point);

/* True when every object covers at least 0.7% of a square frame in most of the clip, and what the
 * motion promises shows: who passes behind is hidden in between and seen before and after. */
bool reel_scene_visible(const reel_scene *scene);

#endif
