/* How scenes come to be: attributes are drawn so that they fit together, then laid out. */
#include "world/layout.h"
#include "world/rules.h"
#include "world/split.h"
#include "world/world.h"

#include <string.h>

enum {
    TRIES_LAYOUT = 6,      /* layouts of one set of attributes */
    TRIES_ATTRIBUTES = 40, /* sets of attributes */
};

reel_scene_options reel_scene_options_default(void) {
    return (reel_scene_options){.seed = 1, .duration_s = 2.0f};
}

static reel_status check_options(reel_env *env, const reel_scene_options *o) {
    if (!(o->duration_s >= 0.1f && o->duration_s <= 60.0f))
        return reel_fail(env, REEL_E_ARG, "world: duration is %g s, wanted 0.1 to 60",
                         (double)o->duration_s);
    if (o->n_objects < 0 || o->n_objects > REEL_WORLD_MAX_OBJECTS)
        return reel_fail(env, REEL_E_ARG, "world: got %d objects, wanted 0 to %d", o->n_objects,
                         REEL_WORLD_MAX_OBJECTS);
    if (o->drill > REEL_DRILL_ALL)
        return reel_fail(env, REEL_E_ARG, "world: got drills %u, wanted a set within %u", o->drill,
                         (unsigned)REEL_DRILL_ALL);
    if ((int)o->split < 0 || o->split >= REEL_SPLIT_COUNT)
        return reel_fail(env, REEL_E_ARG, "world: got split %d, wanted 0 to %d", (int)o->split,
                         REEL_SPLIT_COUNT - 1);
    return REEL_OK;
}

/* Draws number attempt of a scene: a stream for each (index, split), a range for each attempt. */
static reel_draw begin(const reel_scene_options *o, int attempt) {
    return (reel_draw){.seed = o->seed,
                       .stream = reel_rng_stream("world.scene") ^
                                 (o->index * 0x9e3779b97f4a7c15u + (uint64_t)o->split),
                       .next = (uint64_t)attempt << 12};
}

static void name_scene(const reel_scene_options *o, reel_scene *scene) {
    scene->seed = o->seed;
    scene->index = o->index;
    scene->split = o->split;
}

reel_status reel_scene_sample(reel_env *env, const reel_scene_options *options, reel_scene *scene) {
    const reel_status status = check_options(env, options);
    if (status != REEL_OK) return status;
    reel_scene made;
    bool visible = false, some = false;
    for (int i = 0; i < TRIES_ATTRIBUTES && !visible; i++) {
        reel_draw draw = begin(options, i);
        reel_attributes attributes = reel_attributes_any();
        attributes.n_objects = options->n_objects;
        if (options->drill) reel_rules_drill(&attributes, options->drill, &draw);
        if (!reel_rules_complete(&attributes, &draw)) continue;
        if (!reel_split_admits(options->split, &attributes)) {
            if (options->split == REEL_SPLIT_TRAIN) continue;
            reel_rules_hold_out(&attributes, options->split, &draw);
            if (!reel_split_admits(options->split, &attributes)) continue;
        }
        for (int k = 0; k < TRIES_LAYOUT && !visible; k++) {
            if (!reel_scene_lay_out(&attributes, options->duration_s, k, &draw, &made)) continue;
            some = true;
            visible = reel_scene_visible(&made);
        }
    }
    if (!some) return reel_fail(env, REEL_E_UNSUPPORTED, "world: no scene came out of the draws");
    name_scene(options, &made);
    *scene = made;
    return REEL_OK;
}

reel_status reel_scene_from_attributes(reel_env *env, const reel_scene_options *options,
                                       const reel_attributes *attributes, reel_scene *scene) {
    const reel_status status = check_options(env, options);
    if (status != REEL_OK) return status;
    char why[160];
    if (!reel_attributes_possible(attributes, why, sizeof why))
        return reel_fail(env, REEL_E_ARG, "world: no such scene: %s", why);
    reel_scene made;
    bool visible = false, some = false;
    for (int i = 0; i < TRIES_ATTRIBUTES && !visible; i++) {
        reel_draw draw = begin(options, i);
        reel_attributes all = *attributes;
        if (!reel_rules_complete(&all, &draw)) continue;
        for (int k = 0; k < TRIES_LAYOUT && !visible; k++) {
            if (!reel_scene_lay_out(&all, options->duration_s, i + k, &draw, &made)) continue;
            some = true;
            visible = reel_scene_visible(&made);
        }
    }
    if (!some) return reel_fail(env, REEL_E_ARG, "world: these attributes could not be laid out");
    name_scene(options, &made);
    *scene = made;
    return REEL_OK;
}

reel_attributes reel_scene_attributes(const reel_scene *scene) {
    reel_attributes a = reel_attributes_any();
    a.n_objects = scene->n_objects;
    for (int i = 0; i < scene->n_objects; i++) {
        const reel_scene_object *o = &scene->object[i];
        const int value[REEL_OBJECT_ATTRIBUTES] = {o->kind,     o->color,  o->size,
                                                   o->material, o->motion, o->heading};
        for (int k = 0; k < REEL_OBJECT_ATTRIBUTES; k++)
            a.object[i][k] = (int8_t)value[k];
    }
    a.relation = (int8_t)scene->relation;
    a.ground = (int8_t)scene->ground;
    a.sky = (int8_t)scene->sky;
    a.weather = (int8_t)scene->weather;
    a.camera = (int8_t)scene->camera.move;
    return a;
}
