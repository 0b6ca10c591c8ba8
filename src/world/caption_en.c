/* Captions in English. */
#include "world/caption_writer.h"

#include <string.h>

#include "world/kinds.h"

typedef const char *const phrases[4];

static phrases kinds[REEL_KIND_COUNT] = {
    [REEL_KIND_BALL] = {"ball", "ball", "sphere"},
    [REEL_KIND_CUBE] = {"cube", "cube", "box"},
    [REEL_KIND_CONE] = {"cone"},
    [REEL_KIND_CYLINDER] = {"cylinder"},
    [REEL_KIND_RING] = {"ring", "ring", "hoop"},
    [REEL_KIND_PYRAMID] = {"pyramid"},
    [REEL_KIND_TREE] = {"tree"},
    [REEL_KIND_HOUSE] = {"house", "house", "cottage"},
    [REEL_KIND_CAR] = {"car"},
    [REEL_KIND_BOAT] = {"boat", "boat", "sailboat"},
    [REEL_KIND_ROCKET] = {"rocket"},
    [REEL_KIND_SNOWMAN] = {"snowman"},
};
static phrases sizes[REEL_SIZE_COUNT] = {{"small", "small", "little", "tiny"},
                                         {"medium-sized", "medium"},
                                         {"large", "big", "big", "huge"}};
static phrases materials[REEL_MATERIAL_COUNT] = {{"matte"}, {"metal", "metallic", "shiny metal"}};

/* Verbs; ORBIT, COLLIDE and PASS_BEHIND take an object. */
static phrases motions[REEL_MOTION_COUNT] = {
    [REEL_MOTION_STILL] = {"stands still", "stays still", "rests", "does not move"},
    [REEL_MOTION_ROLL] = {"rolls", "rolls", "is rolling"},
    [REEL_MOTION_SLIDE] = {"slides", "slides", "is sliding"},
    [REEL_MOTION_BOUNCE] = {"bounces", "bounces up and down", "is bouncing"},
    [REEL_MOTION_FALL] = {"falls", "drops", "falls down", "is falling"},
    [REEL_MOTION_RISE] = {"rises", "rises into the air", "floats up"},
    [REEL_MOTION_SPIN] = {"spins", "rotates", "spins around", "is spinning"},
    [REEL_MOTION_ORBIT] = {"circles", "circles around", "moves around", "orbits"},
    [REEL_MOTION_DRIVE] = {"drives", "drives along", "is driving"},
    [REEL_MOTION_SAIL] = {"sails", "sails along", "is sailing"},
    [REEL_MOTION_TAKE_OFF] = {"takes off", "lifts off", "blasts off", "is taking off"},
    [REEL_MOTION_COLLIDE] = {"runs into", "collides with", "hits", "crashes into"},
    [REEL_MOTION_PASS_BEHIND] = {"passes behind", "goes behind", "moves behind",
                                 "disappears behind"},
    [REEL_MOTION_PUSHED] = {"is pushed away", "gets pushed"},
};
/* What follows the partner's name. */
static phrases partner_tails[REEL_MOTION_COUNT] = {
    [REEL_MOTION_ORBIT] = {"", ""},
    [REEL_MOTION_COLLIDE] = {" and pushes it", " and pushes it away", " and pushes it along"},
    [REEL_MOTION_PASS_BEHIND] = {" and comes out again", " and comes back out", " and reappears"},
};
static phrases headings[REEL_HEADING_COUNT] = {
    {""},
    {" to the left", " to the left", " from right to left", " leftwards"},
    {" to the right", " to the right", " from left to right", " rightwards"}};
static phrases relations[REEL_RELATION_COUNT] = {
    [REEL_RELATION_NONE] = {""},
    [REEL_RELATION_LEFT_OF] = {"to the left of", "left of", "on the left of"},
    [REEL_RELATION_BEHIND] = {"behind", "in back of", "behind"},
    [REEL_RELATION_ON_TOP_OF] = {"on top of", "on", "atop"},
};
static phrases grounds[REEL_GROUND_COUNT] = {
    [REEL_GROUND_GRASS] = {"the grass", "green grass", "a meadow", "a lawn"},
    [REEL_GROUND_SAND] = {"the sand", "sand", "a sandy beach", "yellow sand"},
    [REEL_GROUND_SNOW] = {"the snow", "snow", "snowy ground", "a snow field"},
    [REEL_GROUND_WATER] = {"the water", "water", "a lake", "the sea"},
    [REEL_GROUND_STONE] = {"stone", "a stone floor", "stone slabs", "paving stones"},
    [REEL_GROUND_CHECKERBOARD] = {"a checkerboard", "a checkered floor", "a checkerboard floor",
                                  "a chessboard floor"},
};
static phrases skies[REEL_SKY_COUNT] = {
    [REEL_SKY_DAY] = {"under a blue sky", "by day", "in daylight", "during the day"},
    [REEL_SKY_SUNSET] = {"at sunset", "at sunset", "as the sun sets", "at dusk"},
    [REEL_SKY_NIGHT] = {"at night", "at night", "under a night sky", "in the moonlight"},
    [REEL_SKY_OVERCAST] = {"under an overcast sky", "under a grey sky", "under a cloudy sky",
                           "on a cloudy day"},
};
static phrases weathers[REEL_WEATHER_COUNT] = {
    [REEL_WEATHER_CLEAR] = {"in clear weather", "in clear air"},
    [REEL_WEATHER_RAIN] = {"in the rain", "while it rains", "in rainy weather"},
    [REEL_WEATHER_SNOWFALL] = {"while it snows", "as snow falls", "in falling snow",
                               "in a snowfall"},
    [REEL_WEATHER_FOG] = {"in the fog", "in fog", "in foggy weather", "in the mist"},
};
static phrases cameras[REEL_CAMERA_COUNT] = {
    [REEL_CAMERA_STILL] = {"the camera stays still", "the camera does not move", "static camera",
                           "the camera is fixed"},
    [REEL_CAMERA_PAN_LEFT] = {"the camera pans left", "the camera pans to the left",
                              "camera pan to the left", "the camera turns left"},
    [REEL_CAMERA_PAN_RIGHT] = {"the camera pans right", "the camera pans to the right",
                               "camera pan to the right", "the camera turns right"},
    [REEL_CAMERA_TILT_UP] = {"the camera tilts up", "camera tilt up", "the camera looks up"},
    [REEL_CAMERA_TILT_DOWN] = {"the camera tilts down", "camera tilt down",
                               "the camera looks down"},
    [REEL_CAMERA_ZOOM_IN] = {"the camera zooms in", "zooming in", "slow zoom in", "zoom in"},
    [REEL_CAMERA_ZOOM_OUT] = {"the camera zooms out", "zooming out", "slow zoom out", "zoom out"},
    [REEL_CAMERA_DOLLY_IN] = {"the camera moves closer", "dolly in", "the camera moves forward",
                              "the camera dollies in"},
    [REEL_CAMERA_DOLLY_OUT] = {"the camera moves away", "dolly out", "the camera moves backward",
                               "the camera dollies out"},
    [REEL_CAMERA_ORBIT_LEFT] = {"the camera orbits to the left", "the camera circles to the left",
                                "camera orbit to the left"},
    [REEL_CAMERA_ORBIT_RIGHT] = {"the camera orbits to the right",
                                 "the camera circles to the right", "camera orbit to the right"},
};

static const char *say(reel_caption_writer *w, phrases list[], reel_attribute attribute,
                       int object) {
    return reel_caption_pick(w, list[reel_caption_value(w, attribute, object)]);
}

/* "a small red metal ball"; upper: begins a sentence. */
static void name_object(reel_caption_writer *w, int i, bool upper) {
    const char *word[4] = {0};
    int n = 0;
    const char *size = say(w, sizes, REEL_ATTRIBUTE_SIZE, i);
    const char *color = reel_attribute_value_name(REEL_ATTRIBUTE_COLOR,
                                                  reel_caption_value(w, REEL_ATTRIBUTE_COLOR, i));
    const char *material = say(w, materials, REEL_ATTRIBUTE_MATERIAL, i);
    const char *kind = say(w, kinds, REEL_ATTRIBUTE_KIND, i);
    if (reel_caption_names(w, REEL_ATTRIBUTE_SIZE, i)) word[n++] = size;
    if (reel_caption_names(w, REEL_ATTRIBUTE_COLOR, i)) word[n++] = color;
    if (reel_caption_names(w, REEL_ATTRIBUTE_MATERIAL, i)) word[n++] = material;
    word[n++] = kind;
    const bool vowel = strchr("aeiou", word[0][0]) != NULL;
    reel_caption_put(w, upper ? (vowel ? "An" : "A") : (vowel ? "an" : "a"));
    for (int k = 0; k < n; k++) {
        reel_caption_put(w, " ");
        reel_caption_put(w, word[k]);
    }
}

static void put_ground(reel_caption_writer *w) {
    const int motion = reel_caption_value(w, REEL_ATTRIBUTE_MOTION, 0);
    const bool named = reel_caption_names(w, REEL_ATTRIBUTE_MOTION, 0);
    const int lot = reel_caption_lot(w, 3);
    const char *way = " on ";
    if (named && motion == REEL_MOTION_FALL) way = lot ? " onto " : " on ";
    if (named && (motion == REEL_MOTION_RISE || motion == REEL_MOTION_TAKE_OFF)) way = " from ";
    if (named &&
        (motion == REEL_MOTION_ROLL || motion == REEL_MOTION_SLIDE || motion == REEL_MOTION_DRIVE ||
         motion == REEL_MOTION_SAIL) &&
        lot)
        way = lot == 1 ? " over " : " across ";
    const char *ground = say(w, grounds, REEL_ATTRIBUTE_GROUND, 0);
    if (!reel_caption_names(w, REEL_ATTRIBUTE_GROUND, 0)) return;
    reel_caption_put(w, way);
    reel_caption_put(w, ground);
}

/* The first object, what it does, and with whom. */
static void put_action(reel_caption_writer *w, bool upper) {
    const int motion = reel_caption_value(w, REEL_ATTRIBUTE_MOTION, 0);
    const bool moves = reel_caption_names(w, REEL_ATTRIBUTE_MOTION, 0);
    const bool partner = reel_motion_needs_partner((reel_motion)motion);
    const char *verb = say(w, motions, REEL_ATTRIBUTE_MOTION, 0);
    const char *way = say(w, headings, REEL_ATTRIBUTE_HEADING, 0);
    const char *relation = say(w, relations, REEL_ATTRIBUTE_RELATION, 0);
    const bool heads = reel_caption_names(w, REEL_ATTRIBUTE_HEADING, 0);
    name_object(w, 0, upper);
    if (moves) {
        reel_caption_put(w, " ");
        reel_caption_put(w, verb);
    }
    if (partner && moves) {
        const char *tail = reel_caption_pick(w, partner_tails[motion]);
        reel_caption_put(w, " ");
        name_object(w, 1, false);
        reel_caption_put(w, tail);
        if (heads) {
            reel_caption_put(w, ", moving");
            reel_caption_put(w, way);
        }
        return;
    }
    if (heads) reel_caption_put(w, way);
    if (!reel_caption_names(w, REEL_ATTRIBUTE_RELATION, 0)) return;
    reel_caption_put(w, moves ? " " : " is ");
    reel_caption_put(w, relation);
    reel_caption_put(w, " ");
    name_object(w, 1, false);
}

/* A second or third object that the sentence has not named yet. */
static void put_others(reel_caption_writer *w) {
    const int motion = reel_caption_value(w, REEL_ATTRIBUTE_MOTION, 0);
    const bool named_1 = reel_caption_names(w, REEL_ATTRIBUTE_RELATION, 0) ||
                         reel_motion_needs_partner((reel_motion)motion);
    static phrases near = {"is nearby", "stands nearby", "is there too", "can also be seen"};
    for (int i = 1; i < w->attributes->n_objects; i++) {
        if (!w->mentions.object[i]) continue;
        const bool moves = reel_caption_names(w, REEL_ATTRIBUTE_MOTION, i) &&
                           reel_caption_value(w, REEL_ATTRIBUTE_MOTION, i) != REEL_MOTION_PUSHED;
        const bool acts =
            moves && reel_caption_value(w, REEL_ATTRIBUTE_MOTION, i) != REEL_MOTION_STILL;
        const char *verb = say(w, motions, REEL_ATTRIBUTE_MOTION, i);
        const char *there = reel_caption_pick(w, near);
        /* What stands still is not said of others: "nearby" is enough. */
        if (!acts && reel_caption_value(w, REEL_ATTRIBUTE_MOTION, i) != REEL_MOTION_PUSHED)
            w->mentions.object[i] &= ~(1u << REEL_ATTRIBUTE_MOTION);
        if (i == 1 && named_1) {
            if (!acts) continue;
            reel_caption_put(w, ", and the ");
            reel_caption_put(w, say(w, kinds, REEL_ATTRIBUTE_KIND, 1));
            reel_caption_put(w, " ");
            reel_caption_put(w, verb);
            continue;
        }
        reel_caption_put(w, ". ");
        name_object(w, i, true);
        reel_caption_put(w, " ");
        reel_caption_put(w, acts ? verb : there);
    }
}

static void put_upper(reel_caption_writer *w, const char *text) {
    const char first[2] = {(char)(text[0] >= 'a' && text[0] <= 'z' ? text[0] - 'a' + 'A' : text[0]),
                           0};
    reel_caption_put(w, first);
    reel_caption_put(w, text + 1);
}

void reel_caption_english(reel_caption_writer *w) {
    const int order = reel_caption_lot(w, 3), style = reel_caption_lot(w, 4);
    const char *sky = say(w, skies, REEL_ATTRIBUTE_SKY, 0);
    const char *weather = say(w, weathers, REEL_ATTRIBUTE_WEATHER, 0);
    const char *camera = say(w, cameras, REEL_ATTRIBUTE_CAMERA, 0);
    const bool has_sky = reel_caption_names(w, REEL_ATTRIBUTE_SKY, 0);
    const bool has_weather = reel_caption_names(w, REEL_ATTRIBUTE_WEATHER, 0);
    const bool sky_first = has_sky && order == 0;
    const bool stop = style != 0; /* a quarter of captions ends without a full stop */
    if (sky_first) {
        put_upper(w, sky);
        reel_caption_put(w, ", ");
    }
    put_action(w, !sky_first && style != 1); /* some begin in lower case, as prompts do */
    put_ground(w);
    if (has_sky && !sky_first) {
        reel_caption_put(w, " ");
        reel_caption_put(w, sky);
    }
    if (has_weather) {
        reel_caption_put(w, has_sky && !sky_first ? ", " : " ");
        reel_caption_put(w, weather);
    }
    put_others(w);
    if (reel_caption_names(w, REEL_ATTRIBUTE_CAMERA, 0)) {
        if (order == 2) {
            reel_caption_put(w, ", ");
            reel_caption_put(w, camera);
        } else {
            reel_caption_put(w, ". ");
            put_upper(w, camera);
        }
    }
    if (stop) reel_caption_put(w, ".");
}
