/* Attributes: names of values, access by number, and what goes with what. */
#include "world/kinds.h"
#include "world/world.h"

#include <stdio.h>
#include <string.h>

typedef struct attribute_row {
    const char *name;
    int n;
    const char *const *value;
} attribute_row;

static const char *const kinds[] = {"ball", "cube",  "cone", "cylinder", "ring",   "pyramid",
                                    "tree", "house", "car",  "boat",     "rocket", "snowman"};
static const char *const colors[] = {"red",    "orange", "yellow", "green", "blue",
                                     "purple", "pink",   "brown",  "black", "white"};
static const char *const sizes[] = {"small", "medium", "large"};
static const char *const materials[] = {"matte", "metal"};
static const char *const motions[] = {"still",    "roll",    "slide",       "bounce", "fall",
                                      "rise",     "spin",    "orbit",       "drive",  "sail",
                                      "take_off", "collide", "pass_behind", "pushed"};
static const char *const headings[] = {"none", "left", "right"};
static const char *const relations[] = {"none", "left_of", "behind", "on_top_of"};
static const char *const grounds[] = {"grass", "sand", "snow", "water", "stone", "checkerboard"};
static const char *const skies[] = {"day", "sunset", "night", "overcast"};
static const char *const weathers[] = {"clear", "rain", "snowfall", "fog"};
static const char *const cameras[] = {"still",     "pan_left",   "pan_right",  "tilt_up",
                                      "tilt_down", "zoom_in",    "zoom_out",   "dolly_in",
                                      "dolly_out", "orbit_left", "orbit_right"};

#define ROW(name, list)                                                                            \
    { name, sizeof(list) / sizeof *(list), list }
static const attribute_row rows[REEL_ATTRIBUTE_COUNT] = {
    [REEL_ATTRIBUTE_KIND] = ROW("kind", kinds),
    [REEL_ATTRIBUTE_COLOR] = ROW("color", colors),
    [REEL_ATTRIBUTE_SIZE] = ROW("size", sizes),
    [REEL_ATTRIBUTE_MATERIAL] = ROW("material", materials),
    [REEL_ATTRIBUTE_MOTION] = ROW("motion", motions),
    [REEL_ATTRIBUTE_HEADING] = ROW("heading", headings),
    [REEL_ATTRIBUTE_RELATION] = ROW("relation", relations),
    [REEL_ATTRIBUTE_GROUND] = ROW("ground", grounds),
    [REEL_ATTRIBUTE_SKY] = ROW("sky", skies),
    [REEL_ATTRIBUTE_WEATHER] = ROW("weather", weathers),
    [REEL_ATTRIBUTE_CAMERA] = ROW("camera", cameras),
};
#undef ROW

_Static_assert(sizeof kinds / sizeof *kinds == REEL_KIND_COUNT, "a name for each kind");
_Static_assert(sizeof colors / sizeof *colors == REEL_COLOR_COUNT, "a name for each color");
_Static_assert(sizeof motions / sizeof *motions == REEL_MOTION_COUNT, "a name for each motion");
_Static_assert(sizeof grounds / sizeof *grounds == REEL_GROUND_COUNT, "a name for each ground");
_Static_assert(sizeof cameras / sizeof *cameras == REEL_CAMERA_COUNT, "a name for each camera");

reel_attributes reel_attributes_any(void) {
    reel_attributes a;
    memset(&a, 0, sizeof a);
    memset(a.object, REEL_ANY, sizeof a.object);
    a.relation = a.ground = a.sky = a.weather = a.camera = REEL_ANY;
    return a;
}

/* The field of an attribute. */
static int8_t *field(reel_attributes *a, reel_attribute attribute, int object) {
    switch (attribute) {
    case REEL_ATTRIBUTE_RELATION:
        return &a->relation;
    case REEL_ATTRIBUTE_GROUND:
        return &a->ground;
    case REEL_ATTRIBUTE_SKY:
        return &a->sky;
    case REEL_ATTRIBUTE_WEATHER:
        return &a->weather;
    case REEL_ATTRIBUTE_CAMERA:
        return &a->camera;
    default:
        return &a->object[object][attribute];
    }
}

int reel_attributes_get(const reel_attributes *attributes, reel_attribute attribute, int object) {
    reel_attributes copy = *attributes;
    return *field(&copy, attribute, object);
}

void reel_attributes_set(reel_attributes *attributes, reel_attribute attribute, int object,
                         int value) {
    *field(attributes, attribute, object) = (int8_t)value;
}

int reel_attribute_values(reel_attribute attribute) {
    return rows[attribute].n;
}

const char *reel_attribute_name(reel_attribute attribute) {
    return rows[attribute].name;
}

const char *reel_attribute_value_name(reel_attribute attribute, int value) {
    return value < 0 || value >= rows[attribute].n ? "any" : rows[attribute].value[value];
}
