#include "world/truth.h"

#include "world/caption.h"
#include "world/split.h"

static void put_vector(reel_json_out *out, const char *key, reel_vec3 v) {
    reel_json_out_key(out, key);
    reel_json_out_array_begin(out);
    reel_json_out_real(out, (double)v.x);
    reel_json_out_real(out, (double)v.y);
    reel_json_out_real(out, (double)v.z);
    reel_json_out_end(out);
}

/* Names of the attributes whose bits are set. */
static void put_names(reel_json_out *out, uint32_t bits) {
    reel_json_out_array_begin(out);
    for (int k = 0; k < REEL_ATTRIBUTE_COUNT; k++)
        if (bits >> k & 1u) reel_json_out_string(out, reel_attribute_name((reel_attribute)k));
    reel_json_out_end(out);
}

static void put_caption(reel_json_out *out, const reel_scene *scene, reel_language language,
                        reel_caption_length length) {
    static const char *const lengths[] = {"any", "short", "medium", "long"};
    const reel_caption_request request = {language, length, scene->index};
    char text[REEL_CAPTION_BYTES];
    reel_mentions said;
    reel_scene_caption(scene, &request, text, sizeof text, &said);
    reel_json_out_object_begin(out);
    reel_json_out_put_string(out, "language", language == REEL_CHINESE ? "zh" : "en");
    reel_json_out_put_string(out, "length", lengths[length]);
    reel_json_out_put_string(out, "text", text);
    reel_json_out_key(out, "names");
    put_names(out, said.scene);
    reel_json_out_key(out, "names_of_objects");
    reel_json_out_array_begin(out);
    for (int i = 0; i < scene->n_objects; i++)
        put_names(out, said.object[i]);
    reel_json_out_end(out);
    reel_json_out_end(out);
}

static int64_t count_pixels(const reel_view *view, const uint8_t *id, int frame, int object) {
    const int64_t n = (int64_t)view->width * view->height;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += id[n * frame + i] == object + 1;
    return count;
}

static void put_track(reel_json_out *out, const reel_scene *scene, const reel_view *view,
                      const uint8_t *id, int object) {
    const float half = 0.5f * (float)(view->width < view->height ? view->width : view->height);
    reel_json_out_key(out, "frames");
    reel_json_out_array_begin(out);
    for (int f = 0; f < view->frames; f++) {
        const float t = (float)f / view->fps;
        const reel_eye eye = reel_scene_eye(scene, t);
        const reel_pose pose = reel_scene_pose(scene, object, t);
        const reel_vec3 at = reel_eye_project(&eye, pose.position);
        reel_json_out_object_begin(out);
        put_vector(out, "position", pose.position);
        reel_json_out_key(out, "pixel");
        if (at.z > 0.0f) {
            reel_json_out_array_begin(out);
            reel_json_out_real(out, (double)(at.x * half + 0.5f * (float)view->width));
            reel_json_out_real(out, (double)(at.y * half + 0.5f * (float)view->height));
            reel_json_out_end(out);
        } else { /* behind the camera */
            reel_json_out_null(out);
        }
        reel_json_out_put_real(out, "depth", (double)at.z);
        reel_json_out_put_int(out, "pixels", count_pixels(view, id, f, object));
        reel_json_out_end(out);
    }
    reel_json_out_end(out);
}

static void put_object(reel_json_out *out, const reel_scene *scene, const reel_view *view,
                       const uint8_t *id, int object) {
    const reel_scene_object *o = &scene->object[object];
    const reel_attributes a = reel_scene_attributes(scene);
    reel_json_out_object_begin(out);
    reel_json_out_put_int(out, "id", object + 1);
    for (int k = 0; k < REEL_OBJECT_ATTRIBUTES; k++)
        reel_json_out_put_string(out, reel_attribute_name((reel_attribute)k),
                                 reel_attribute_value_name((reel_attribute)k, a.object[object][k]));
    reel_json_out_put_real(out, "scale", (double)o->scale);
    reel_json_out_put_real(out, "gravity", (double)o->gravity);
    reel_json_out_put_real(out, "restitution", (double)o->restitution);
    reel_json_out_put_real(out, "rest_height", (double)o->rest_y);
    reel_json_out_put_real(out, "event_s", (double)o->event_s);
    put_track(out, scene, view, id, object);
    reel_json_out_end(out);
}

static void put_camera(reel_json_out *out, const reel_scene *scene, const reel_view *view) {
    reel_json_out_key(out, "camera_frames");
    reel_json_out_array_begin(out);
    for (int f = 0; f < view->frames; f++) {
        const reel_eye eye = reel_scene_eye(scene, (float)f / view->fps);
        reel_json_out_object_begin(out);
        put_vector(out, "position", eye.position);
        put_vector(out, "right", eye.right);
        put_vector(out, "up", eye.up);
        put_vector(out, "forward", eye.forward);
        reel_json_out_put_real(out, "half_tan", (double)eye.half_tan);
        reel_json_out_end(out);
    }
    reel_json_out_end(out);
}

static void put_files(reel_json_out *out, const reel_view *view, const reel_truth_files *files) {
    reel_json_out_key(out, "files");
    reel_json_out_object_begin(out);
    reel_json_out_put_string(out, "video", files->video);
    if (files->right) reel_json_out_put_string(out, "right", files->right);
    if (files->masks) reel_json_out_put_string(out, "masks", files->masks);
    if (files->depth) reel_json_out_put_string(out, "depth", files->depth);
    reel_json_out_end(out);
    if (files->right) reel_json_out_put_real(out, "stereo_m", (double)view->stereo_m);
    /* How to read the numbers back out of the pixels of lossless RGB video. */
    if (files->masks)
        reel_json_out_put_string(out, "masks_are", "80 * id of the object, 0 for none");
    if (files->depth)
        reel_json_out_put_string(out, "depth_is",
                                 "(65536 R + 256 G + B) mm along the view axis, 1000 m the sky");
}

void reel_truth_write(reel_json_out *out, const reel_scene *scene, const reel_view *view,
                      const uint8_t *id, const reel_truth_files *files) {
    const reel_attributes a = reel_scene_attributes(scene);
    reel_json_out_object_begin(out);
    reel_json_out_put_int(out, "seed", (int64_t)scene->seed);
    reel_json_out_put_int(out, "index", (int64_t)scene->index);
    reel_json_out_put_string(out, "split", reel_split_name(scene->split));
    reel_json_out_put_int(out, "width", view->width);
    reel_json_out_put_int(out, "height", view->height);
    reel_json_out_put_int(out, "n_frames", view->frames);
    reel_json_out_put_real(out, "fps", (double)view->fps);
    put_files(out, view, files);
    for (int k = REEL_OBJECT_ATTRIBUTES; k < REEL_ATTRIBUTE_COUNT; k++)
        reel_json_out_put_string(
            out, reel_attribute_name((reel_attribute)k),
            reel_attribute_value_name((reel_attribute)k,
                                      reel_attributes_get(&a, (reel_attribute)k, 0)));
    reel_json_out_key(out, "captions");
    reel_json_out_array_begin(out);
    for (int language = 0; language < REEL_LANGUAGE_COUNT; language++)
        for (int length = REEL_CAPTION_SHORT; length <= REEL_CAPTION_LONG; length++)
            put_caption(out, scene, (reel_language)language, (reel_caption_length)length);
    reel_json_out_end(out);
    reel_json_out_key(out, "objects");
    reel_json_out_array_begin(out);
    for (int i = 0; i < scene->n_objects; i++)
        put_object(out, scene, view, id, i);
    reel_json_out_end(out);
    put_camera(out, scene, view);
    reel_json_out_end(out);
}
