/* The procedural world as files. */
#include "reel/reel.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/env.h"
#include "world/clip.h"
#include "world/split.h"

reel_world_options reel_world_options_default(void) {
    return (reel_world_options){
        .seed = 1,
        .count = 16,
        .split = "train",
        .width = 128,
        .height = 128,
        .frames = 33,
        .fps = 16,
    };
}

static reel_status find_split(reel_env *env, const char *name, reel_split *split) {
    for (int i = 0; i < REEL_SPLIT_COUNT; i++)
        if (name && strcmp(name, reel_split_name((reel_split)i)) == 0) {
            *split = (reel_split)i;
            return REEL_OK;
        }
    return reel_fail(env, REEL_E_ARG,
                     "world: split is '%s', wanted train, validation or heldout_pairs",
                     name ? name : "");
}

static reel_status make_folder(reel_env *env, const char *folder) {
    if (mkdir(folder, 0777) == 0) return REEL_OK;
    struct stat s;
    if (errno == EEXIST && stat(folder, &s) == 0 && S_ISDIR(s.st_mode)) return REEL_OK;
    return reel_fail(env, REEL_E_IO, "world: %s: cannot be made a folder: %s", folder,
                     strerror(errno));
}

reel_status reel_world_write(reel_env *env, const char *folder, const reel_world_options *options,
                             reel_world_progress *progress, void *context) {
    const reel_world_options *o = options;
    if (o->count < 1)
        return reel_fail(env, REEL_E_ARG, "world: got a count of %lld, wanted at least 1",
                         (long long)o->count);
    reel_scene_options scenes = reel_scene_options_default();
    reel_status status = find_split(env, o->split, &scenes.split);
    if (status != REEL_OK) return status;
    if (!(o->fps >= 0.01 && o->fps <= 1000.0) || o->frames < 1)
        return reel_fail(env, REEL_E_ARG,
                         "world: got %d frames at %g fps, wanted 1 or more at 0.01 to 1000",
                         o->frames, o->fps);
    scenes.seed = o->seed;
    scenes.n_objects = o->objects;
    /* A picture is a moment of a scene of two seconds. */
    if (o->frames > 1) scenes.duration_s = (float)((o->frames - 1) / o->fps);
    const reel_clip_request request = {
        .view = {o->width, o->height, o->frames, (float)o->fps, o->stereo ? 0.25f : 0.0f},
        .lossless = o->lossless,
        .stereo = o->stereo,
        .masks = o->masks,
        .depth = o->depth,
    };
    status = make_folder(env, folder);
    for (int64_t i = 0; i < o->count && status == REEL_OK; i++) {
        if (progress && progress(context, i, o->count))
            return reel_fail(env, REEL_E_CANCELLED, "world: stopped after %lld of %lld clips",
                             (long long)i, (long long)o->count);
        scenes.index = o->first + (uint64_t)i;
        reel_scene scene;
        status = reel_scene_sample(env, &scenes, &scene);
        if (status == REEL_OK) status = reel_clip_write(env, &scene, &request, folder);
    }
    if (status == REEL_OK && progress) progress(context, o->count, o->count);
    return status;
}
