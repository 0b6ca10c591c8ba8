#include "data/source.h"

#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "data/depth.h"
#include "data/questions.h"
#include "world/caption.h"
#include "world/cells.h"
#include "world/render.h"

_Static_assert((int)REEL_SOURCE_TRAIN == (int)REEL_SPLIT_TRAIN &&
                   (int)REEL_SOURCE_VALIDATION == (int)REEL_SPLIT_VALIDATION &&
                   (int)REEL_SOURCE_HELDOUT_PAIRS == (int)REEL_SPLIT_HELDOUT_PAIRS &&
                   (int)REEL_SOURCE_CAPTION_BYTES >= (int)REEL_CAPTION_BYTES,
               "data/source.h repeats world's values");
_Static_assert((int)REEL_KIND_COUNT < REEL_SOURCE_LABELS &&
                   (int)REEL_COLOR_COUNT < REEL_SOURCE_LABELS,
               "labels fit into four bits");

reel_status reel_world_source_set_drills(reel_env *env, double drills, const char *names,
                                         reel_world_source *source) {
    source->drills = drills;
    if (reel_drills_parse(names, &source->drill_on)) return REEL_OK;
    return reel_fail(env, REEL_E_ARG,
                     "data.drill_on: got '%s', wanted some of pan, tilt, zoom, dolly, orbit, "
                     "heading, pair, fall, behind",
                     names);
}

static bool is_drill(const reel_world_source *source, int64_t index) {
    return source->drills > 0 && (double)reel_rng_uniform(source->seed, reel_rng_stream("drill"),
                                                          (uint64_t)index) < source->drills;
}

static reel_status scene_of(reel_env *env, const reel_world_source *source, int64_t index,
                            const reel_bucket *size, reel_scene *scene) {
    reel_scene_options options = reel_scene_options_default();
    options.seed = source->seed;
    options.index = (uint64_t)index;
    options.split = (reel_split)source->split;
    if (is_drill(source, index))
        options.drill = source->drill_on ? source->drill_on : (unsigned)REEL_DRILL_ALL;
    /* an image shows a moment of a clip of the default length */
    if (size->frames > 1) options.duration_s = (float)(size->frames - 1) / source->fps;
    return reel_scene_sample(env, &options, scene);
}

static reel_view view_of(const reel_world_source *source, const reel_bucket *size) {
    return (reel_view){.width = (int)size->width,
                       .height = (int)size->height,
                       .frames = (int)size->frames,
                       .fps = source->fps};
}

reel_status reel_world_source_eye(reel_env *env, const reel_world_source *source, int64_t index,
                                  const reel_bucket *size, float eye_m, uint8_t *rgb,
                                  float *nearness) {
    reel_scene scene;
    reel_status status = scene_of(env, source, index, size, &scene);
    if (status != REEL_OK) return status;
    reel_view view = view_of(source, size);
    view.stereo_m = eye_m;
    status = reel_scene_render(env, &scene, &view, rgb, NULL, nearness);
    const int64_t frame = size->width * size->height;
    for (int64_t f = 0; nearness && status == REEL_OK && f < size->frames; f++) {
        const float half_tan = reel_scene_eye(&scene, (float)f / source->fps).half_tan;
        for (int64_t i = f * frame; i < (f + 1) * frame; i++) /* the depth becomes nearness */
            nearness[i] = 1.0f / (nearness[i] * half_tan);
    }
    return status;
}

reel_status reel_world_source_clip(reel_env *env, const reel_world_source *source, int64_t index,
                                   const reel_bucket *size, uint8_t *rgb) {
    return reel_world_source_eye(env, source, index, size, 0, rgb, NULL);
}

reel_status reel_world_source_truth(reel_env *env, const reel_world_source *source, int64_t index,
                                    const reel_bucket *size, reel_attributes *attributes) {
    reel_scene scene;
    const reel_status status = scene_of(env, source, index, size, &scene);
    if (status == REEL_OK) *attributes = reel_scene_attributes(&scene);
    return status;
}

reel_status reel_world_source_caption(reel_env *env, const reel_world_source *source, int64_t index,
                                      const reel_bucket *size, bool chinese, uint64_t variant,
                                      char *text) {
    reel_scene scene;
    const reel_status status = scene_of(env, source, index, size, &scene);
    if (status != REEL_OK) return status;
    reel_caption_request request = reel_caption_request_default();
    request.language = chinese ? REEL_CHINESE : REEL_ENGLISH;
    request.variant = variant;
    if (is_drill(source, index)) request.length = REEL_CAPTION_LONG;
    reel_scene_caption(&scene, &request, text, REEL_CAPTION_BYTES, NULL);
    return REEL_OK;
}

int reel_world_source_attributes(void) {
    return REEL_ATTRIBUTE_COUNT;
}

const char *reel_world_source_attribute(int attribute) {
    return reel_attribute_name((reel_attribute)attribute);
}

reel_status reel_world_source_swap(reel_env *env, const reel_world_source *source, int64_t index,
                                   const reel_bucket *size, int attribute, char *text,
                                   char *swapped, bool *differs) {
    reel_scene scene;
    const reel_status status = scene_of(env, source, index, size, &scene);
    if (status != REEL_OK) return status;
    const reel_attribute which = (reel_attribute)attribute;
    const reel_caption_request request = {REEL_ENGLISH, REEL_CAPTION_LONG, (uint64_t)index};
    const reel_attributes truth = reel_scene_attributes(&scene);
    reel_caption_write(&truth, &request, text, REEL_CAPTION_BYTES, NULL);
    const uint64_t n = (uint64_t)reel_attribute_values(which);
    const int from = (int)reel_rng_below(source->seed, reel_rng_stream("swap"), (uint64_t)index, n);
    reel_attributes other;
    *differs = reel_caption_swap(&truth, which, from, &request, swapped, &other);
    return REEL_OK;
}

/* ---- as any source ---- */

static reel_status pixels(reel_env *env, void *context, int64_t index, const reel_bucket *size,
                          uint8_t *rgb) {
    return reel_world_source_clip(env, context, index, size, rgb);
}

static reel_status caption(reel_env *env, void *context, int64_t index, const reel_bucket *size,
                           bool chinese, uint64_t variant, char *text) {
    return reel_world_source_caption(env, context, index, size, chinese, variant, text);
}

static reel_status objects(reel_env *env, void *context, int64_t index, const reel_bucket *size,
                           const reel_source_cells *wanted, uint8_t *out) {
    const reel_world_source *world = context;
    const reel_view view = view_of(world, size);
    const reel_cells cells = {
        .frames = (int)wanted->frames, .size = (int)wanted->size, .layers = (int)wanted->layers};
    reel_scene scene;
    const reel_status status = scene_of(env, world, index, size, &scene);
    if (status != REEL_OK) return status;
    reel_scene_cells(&scene, &view, &cells, out);
    const int64_t n = wanted->layers * (size->height / wanted->size) * (size->width / wanted->size);
    for (int64_t i = 0; i < n; i++) {
        if (!out[i]) continue;
        const reel_scene_object *o = &scene.object[out[i] - 1];
        out[i] = (uint8_t)((1 + (int)o->kind) << 4 | (1 + (int)o->color));
    }
    return REEL_OK;
}

/* A group has one size, so that a plan serves all of it. */
static int64_t bucket(void *context, const reel_bucket *buckets, int64_t n, int64_t group,
                      int64_t index) {
    const reel_world_source *world = context;
    return reel_bucket_of(buckets, n, world->seed, group < 0 ? index : group);
}

static void group_at(void *context, int64_t i, reel_source_group *group) {
    (void)context;
    group->first = i * REEL_SOURCE_GROUP;
    group->n = REEL_SOURCE_GROUP;
    snprintf(group->name, sizeof group->name, "latents-%08lld", (long long)i);
}

reel_source reel_source_of_world(const reel_world_source *world) {
    void *context;
    memcpy(&context, &world, sizeof context); /* only ever read; const is for the caller */
    return (reel_source){.context = context,
                         .has_chinese = true,
                         .noun = "rendered",
                         .pixels = pixels,
                         .caption = caption,
                         .objects = objects,
                         .bucket = bucket,
                         .group = group_at};
}
