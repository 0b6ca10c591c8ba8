#include "world/rules.h"

#include <stdio.h>
#include <string.h>

#include "world/kinds.h"
#include "world/split.h"

static int get(const reel_attributes *a, reel_attribute attribute, int object) {
    return a->object[object][attribute];
}

static bool known(int value) {
    return value != REEL_ANY;
}

/* ---- rules: each says why not, or NULL ---- */

static const char *kind_rule(const reel_attributes *a, int i) {
    const int kind = get(a, REEL_ATTRIBUTE_KIND, i), motion = get(a, REEL_ATTRIBUTE_MOTION, i);
    if (known(motion) && known(a->ground) && motion != REEL_MOTION_PUSHED &&
        !reel_motion_on_ground((reel_motion)motion, (reel_ground)a->ground))
        return "the motion does not go with the ground";
    if (!known(kind)) return NULL;
    if (known(a->ground) && !reel_kind_on_ground((reel_kind)kind, (reel_ground)a->ground))
        return "the object does not go with the ground";
    if (i == 0 && known(motion) && !reel_kind_moves((reel_kind)kind, (reel_motion)motion))
        return "the object does not move like that";
    /* What needs water or land by its kind alone. */
    if (known(motion) && motion != REEL_MOTION_PUSHED) {
        bool somewhere = false;
        for (int g = 0; g < REEL_GROUND_COUNT; g++)
            somewhere |= (!known(a->ground) || a->ground == g) &&
                         reel_kind_on_ground((reel_kind)kind, (reel_ground)g) &&
                         reel_motion_on_ground((reel_motion)motion, (reel_ground)g);
        if (!somewhere) return "the object cannot move like that anywhere";
    }
    return NULL;
}

static const char *color_rule(const reel_attributes *a, int i) {
    const int color = get(a, REEL_ATTRIBUTE_COLOR, i);
    if (!known(color)) return NULL;
    if (known(a->ground) &&
        reel_color_hidden((reel_color)color, (reel_ground)a->ground, REEL_SKY_DAY))
        return "the color cannot be seen on the ground";
    if (known(a->sky) && reel_color_hidden((reel_color)color, REEL_GROUND_STONE, (reel_sky)a->sky))
        return "the color cannot be seen under the sky";
    return NULL;
}

/* Object 1 and 2 stand, spin or bounce, or are pushed by object 0. */
static const char *other_rule(const reel_attributes *a, int i) {
    const int motion = get(a, REEL_ATTRIBUTE_MOTION, i), kind = get(a, REEL_ATTRIBUTE_KIND, i);
    const int first = get(a, REEL_ATTRIBUTE_MOTION, 0);
    if (known(get(a, REEL_ATTRIBUTE_HEADING, i)) &&
        get(a, REEL_ATTRIBUTE_HEADING, i) != REEL_HEADING_NONE)
        return "only the first object has a heading";
    if (known(motion)) {
        const bool pushed = motion == REEL_MOTION_PUSHED;
        if (known(first) && pushed != (first == REEL_MOTION_COLLIDE && i == 1))
            return "what is pushed and what pushes go together";
        if (!pushed && motion != REEL_MOTION_STILL && motion != REEL_MOTION_SPIN &&
            motion != REEL_MOTION_BOUNCE)
            return "only the first object moves about";
        if (known(first) && motion != REEL_MOTION_STILL && !pushed &&
            reel_motion_needs_partner((reel_motion)first))
            return "the partner of a motion stands still";
        if (known(kind) && !pushed && !reel_kind_moves((reel_kind)kind, (reel_motion)motion))
            return "the second object does not move like that";
    }
    if (i == 1 && known(first) && known(kind) && reel_motion_needs_partner((reel_motion)first) &&
        !reel_kind_partners((reel_kind)kind, (reel_motion)first))
        return "the second object cannot take part in that motion";
    return NULL;
}

static const char *heading_rule(const reel_attributes *a) {
    const int motion = get(a, REEL_ATTRIBUTE_MOTION, 0), way = get(a, REEL_ATTRIBUTE_HEADING, 0);
    if (!known(motion) || !known(way)) return NULL;
    if (reel_motion_heads((reel_motion)motion) != (way != REEL_HEADING_NONE))
        return "the heading does not go with the motion";
    return NULL;
}

/* Relations are between objects that keep their places. */
static bool keeps_place(int motion) {
    return motion == REEL_MOTION_STILL || motion == REEL_MOTION_SPIN ||
           motion == REEL_MOTION_BOUNCE;
}

static const char *relation_rule(const reel_attributes *a) {
    const int motion = get(a, REEL_ATTRIBUTE_MOTION, 0), relation = a->relation;
    if (a->n_objects == 1 && known(motion) && reel_motion_needs_partner((reel_motion)motion))
        return "the motion needs a second object";
    if (!known(relation)) return NULL;
    if (relation != REEL_RELATION_NONE) {
        if (a->n_objects == 1) return "a relation needs two objects";
        if (known(motion) && !keeps_place(motion))
            return "the relation does not go with the motion";
    } else if (a->n_objects > 1 && known(motion) && keeps_place(motion)) {
        return "objects that keep their places are in a relation";
    }
    if (relation != REEL_RELATION_ON_TOP_OF) return NULL;
    const int below = get(a, REEL_ATTRIBUTE_KIND, 1), above = get(a, REEL_ATTRIBUTE_KIND, 0);
    if (known(below) && reel_kind_shape_of((reel_kind)below)->top <= 0.0f)
        return "nothing can stand on the second object";
    if (known(above) && above >= REEL_KIND_TREE) return "the first object cannot stand up there";
    if (known(motion) && motion == REEL_MOTION_BOUNCE)
        return "the relation does not go with the motion";
    if (known(get(a, REEL_ATTRIBUTE_MOTION, 1)) &&
        get(a, REEL_ATTRIBUTE_MOTION, 1) != REEL_MOTION_STILL)
        return "what carries another stands still";
    if (known(get(a, REEL_ATTRIBUTE_SIZE, 0)) && known(get(a, REEL_ATTRIBUTE_SIZE, 1)) &&
        get(a, REEL_ATTRIBUTE_SIZE, 0) > get(a, REEL_ATTRIBUTE_SIZE, 1))
        return "the first object is too large to stand up there";
    return NULL;
}

static const char *weather_rule(const reel_attributes *a) {
    if (!known(a->weather)) return NULL;
    const bool rain = a->weather == REEL_WEATHER_RAIN, snow = a->weather == REEL_WEATHER_SNOWFALL;
    if (rain && (a->sky == REEL_SKY_DAY || a->sky == REEL_SKY_SUNSET))
        return "rain does not fall out of a clear sky";
    if (snow && a->sky == REEL_SKY_SUNSET) return "snow does not fall out of a sunset";
    if (rain && a->ground == REEL_GROUND_SNOW) return "rain does not fall on snow";
    if (snow && (a->ground == REEL_GROUND_SAND || a->ground == REEL_GROUND_WATER))
        return "snow does not fall there";
    return NULL;
}

/* What hides must not be larger than what it hides behind. */
static const char *size_rule(const reel_attributes *a) {
    if (get(a, REEL_ATTRIBUTE_MOTION, 0) != REEL_MOTION_PASS_BEHIND) return NULL;
    const int size = get(a, REEL_ATTRIBUTE_SIZE, 0), other = get(a, REEL_ATTRIBUTE_SIZE, 1);
    if (size == REEL_SIZE_LARGE || other == REEL_SIZE_SMALL ||
        (known(size) && known(other) && size >= other))
        return "the first object is too large to pass behind the second";
    return NULL;
}

static const char *first_broken_rule(const reel_attributes *a) {
    const char *why = heading_rule(a);
    if (get(a, REEL_ATTRIBUTE_MOTION, 0) == REEL_MOTION_PUSHED)
        why = "the first object is not the one that is pushed";
    const int n = a->n_objects ? a->n_objects : REEL_WORLD_MAX_OBJECTS;
    for (int i = 0; i < n && !why; i++) {
        why = kind_rule(a, i);
        if (!why) why = color_rule(a, i);
        if (!why && i > 0) why = other_rule(a, i);
    }
    if (!why) why = relation_rule(a);
    if (!why) why = size_rule(a);
    return why ? why : weather_rule(a);
}

/* ---- drawing ---- */

/* How likely each value is before the rules; 1 where nothing is said. */
static float weight(reel_attribute attribute, int object, int value) {
    static const float motion[REEL_MOTION_COUNT] = {
        [REEL_MOTION_STILL] = 0.9f,       [REEL_MOTION_ROLL] = 1.3f,  [REEL_MOTION_SLIDE] = 1.1f,
        [REEL_MOTION_BOUNCE] = 1,         [REEL_MOTION_FALL] = 1,     [REEL_MOTION_RISE] = 1,
        [REEL_MOTION_SPIN] = 1,           [REEL_MOTION_ORBIT] = 0.7f, [REEL_MOTION_DRIVE] = 2,
        [REEL_MOTION_SAIL] = 2,           [REEL_MOTION_TAKE_OFF] = 2, [REEL_MOTION_COLLIDE] = 0.8f,
        [REEL_MOTION_PASS_BEHIND] = 0.8f, [REEL_MOTION_PUSHED] = 1,
    };
    if (attribute == REEL_ATTRIBUTE_MOTION)
        return object && value == REEL_MOTION_STILL ? 3.0f : motion[value];
    if (attribute == REEL_ATTRIBUTE_WEATHER && value == REEL_WEATHER_CLEAR) return 4.0f;
    if (attribute == REEL_ATTRIBUTE_CAMERA && value == REEL_CAMERA_STILL) return 7.0f;
    if (attribute == REEL_ATTRIBUTE_MATERIAL && value == REEL_MATERIAL_MATTE) return 2.0f;
    return 1.0f;
}

/* Gives an open attribute one of the values that break no rule. */
static bool complete_one(reel_attributes *a, reel_attribute attribute, int object,
                         reel_draw *draw) {
    const float u = reel_draw_uniform(draw); /* drawn in any case: the rest stays as it is */
    if (known(reel_attributes_get(a, attribute, object))) return true;
    float share[16], sum = 0.0f;
    const int n = reel_attribute_values(attribute);
    for (int v = 0; v < n; v++) {
        reel_attributes_set(a, attribute, object, v);
        share[v] = first_broken_rule(a) ? 0.0f : weight(attribute, object, v);
        sum += share[v];
    }
    reel_attributes_set(a, attribute, object, REEL_ANY);
    float left = u * sum;
    for (int v = 0; v < n; v++) {
        if (share[v] <= 0.0f) continue;
        reel_attributes_set(a, attribute, object, v);
        left -= share[v];
        if (left < 0.0f) break;
    }
    return sum > 0.0f;
}

/* How many objects there are: as many as are named, or as the motion needs, or by lot. */
static void complete_count(reel_attributes *a, reel_draw *draw) {
    const float u = reel_draw_uniform(draw);
    if (a->n_objects) return;
    const int motion = get(a, REEL_ATTRIBUTE_MOTION, 0);
    int least = 1;
    for (int i = 1; i < REEL_WORLD_MAX_OBJECTS; i++)
        for (int k = 0; k < REEL_OBJECT_ATTRIBUTES; k++)
            if (known(a->object[i][k])) least = i + 1;
    if (known(a->relation) && a->relation != REEL_RELATION_NONE && least < 2) least = 2;
    if (known(motion) && reel_motion_needs_partner((reel_motion)motion) && least < 2) least = 2;
    const int drawn = u < 0.66f ? 1 : u < 0.9f ? 2 : 3;
    a->n_objects = drawn < least ? least : drawn;
}

enum { SOME_WAY = -2 /* any motion that heads somewhere */ };

static const struct drill {
    const char *name;
    int n_objects;
    int camera; /* the first of two moves, or REEL_CAMERA_STILL */
    int motion; /* of the first object; SOME_WAY or REEL_ANY */
} drills[] = {{"pan", 1, REEL_CAMERA_PAN_LEFT, REEL_ANY},
              {"tilt", 1, REEL_CAMERA_TILT_UP, REEL_ANY},
              {"zoom", 1, REEL_CAMERA_ZOOM_IN, REEL_ANY},
              {"dolly", 1, REEL_CAMERA_DOLLY_IN, REEL_ANY},
              {"orbit", 1, REEL_CAMERA_ORBIT_LEFT, REEL_ANY},
              {"heading", 1, REEL_CAMERA_STILL, SOME_WAY},
              {"pair", 2, REEL_CAMERA_STILL, REEL_ANY},
              {"fall", 1, REEL_CAMERA_STILL, REEL_MOTION_FALL},
              {"behind", 2, REEL_CAMERA_STILL, REEL_MOTION_PASS_BEHIND}};
enum { N_DRILLS = sizeof drills / sizeof *drills };

bool reel_drills_parse(const char *names, unsigned *set) {
    static const char between[] = ", ";
    *set = 0;
    while (*(names += strspn(names, between))) {
        const size_t n = strcspn(names, between);
        int i = 0;
        while (i < N_DRILLS &&
               (strlen(drills[i].name) != n || memcmp(names, drills[i].name, n) != 0))
            i++;
        if (i == N_DRILLS) return false;
        *set |= 1u << i;
        names += n;
    }
    if (!*set) *set = REEL_DRILL_ALL;
    return true;
}

/* Two objects have more to tell than one: where the set has lessons of both, half are theirs. */
static const struct drill *draw_drill(unsigned set, reel_draw *draw) {
    int about[2][N_DRILLS], n[2] = {0, 0};
    for (int i = 0; i < N_DRILLS; i++)
        if (set >> i & 1u) {
            const int two = drills[i].n_objects == 2;
            about[two][n[two]++] = i;
        }
    const int two = n[0] && n[1] ? reel_draw_below(draw, 2) : n[1] > 0;
    return &drills[about[two][reel_draw_below(draw, n[two])]];
}

static int draw_motion_that_heads(reel_draw *draw) {
    int heads[REEL_MOTION_COUNT], n = 0;
    for (int m = 0; m < REEL_MOTION_COUNT; m++)
        if (reel_motion_heads((reel_motion)m)) heads[n++] = m;
    return heads[reel_draw_below(draw, n)];
}

void reel_rules_drill(reel_attributes *a, unsigned set, reel_draw *draw) {
    const struct drill *d = draw_drill(set, draw);
    const bool moves = d->camera != REEL_CAMERA_STILL;
    a->n_objects = d->n_objects;
    reel_attributes_set(a, REEL_ATTRIBUTE_CAMERA, 0,
                        moves ? d->camera + reel_draw_below(draw, 2) : d->camera);
    reel_attributes_set(a, REEL_ATTRIBUTE_MOTION, 0,
                        d->motion == SOME_WAY ? draw_motion_that_heads(draw) : d->motion);
}

bool reel_rules_complete(reel_attributes *a, reel_draw *draw) {
    static const reel_attribute then[] = {REEL_ATTRIBUTE_MOTION,   REEL_ATTRIBUTE_KIND,
                                          REEL_ATTRIBUTE_SIZE,     REEL_ATTRIBUTE_COLOR,
                                          REEL_ATTRIBUTE_MATERIAL, REEL_ATTRIBUTE_HEADING};
    /* Kinds would be as uneven as the motions they can do, or motions as their kinds: half each. */
    const bool kind_first = reel_draw_below(draw, 2);
    if (a->n_objects || kind_first) complete_count(a, draw);
    if (kind_first && !complete_one(a, REEL_ATTRIBUTE_KIND, 0, draw)) return false;
    if (!complete_one(a, REEL_ATTRIBUTE_MOTION, 0, draw)) return false;
    complete_count(a, draw);
    if (!complete_one(a, REEL_ATTRIBUTE_KIND, 0, draw)) return false;
    if (!complete_one(a, REEL_ATTRIBUTE_GROUND, 0, draw)) return false;
    if (!complete_one(a, REEL_ATTRIBUTE_SKY, 0, draw)) return false;
    if (!complete_one(a, REEL_ATTRIBUTE_WEATHER, 0, draw)) return false;
    if (!complete_one(a, REEL_ATTRIBUTE_CAMERA, 0, draw)) return false;
    if (!complete_one(a, REEL_ATTRIBUTE_RELATION, 0, draw)) return false;
    for (int i = 0; i < a->n_objects; i++)
        for (size_t k = 0; k < sizeof then / sizeof *then; k++)
            if (!complete_one(a, then[k], i, draw)) return false;
    return !first_broken_rule(a);
}

void reel_rules_hold_out(reel_attributes *a, reel_split split, reel_draw *draw) {
    int order[REEL_COLOR_COUNT];
    for (int i = 0; i < REEL_COLOR_COUNT; i++) {
        const int k = reel_draw_below(draw, i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    const int before = get(a, REEL_ATTRIBUTE_COLOR, 0);
    for (int i = 0; i < REEL_COLOR_COUNT; i++) {
        reel_attributes_set(a, REEL_ATTRIBUTE_COLOR, 0, order[i]);
        if (!first_broken_rule(a) && reel_split_admits(split, a)) return;
    }
    reel_attributes_set(a, REEL_ATTRIBUTE_COLOR, 0, before);
}

bool reel_attributes_possible(const reel_attributes *attributes, char *why, int why_bytes) {
    const char *broken = first_broken_rule(attributes);
    for (uint64_t i = 0; !broken; i++) { /* no rule is broken: can it be completed? */
        reel_attributes all = *attributes;
        reel_draw draw = {.seed = i, .stream = 1};
        if (reel_rules_complete(&all, &draw)) return true;
        if (i == 64) broken = "nothing that fits is left for what was not said";
    }
    if (why) snprintf(why, (size_t)why_bytes, "%s", broken);
    return false;
}
