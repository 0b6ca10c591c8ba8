#include "world/clip.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "media/video_writer.h"
#include "world/caption.h"
#include "world/truth.h"

/* What one clip is made in. */
typedef struct canvas {
    reel_env *env;
    const reel_clip_request *request;
    const char *folder;
    reel_arena arena; /* of names and pixels */
    uint8_t *rgb, *id;
    float *depth;
    char *stem;
} canvas;

static int64_t pixels_of(const reel_view *v) {
    return (int64_t)v->frames * v->width * v->height;
}

/* "STEM.suffix", and the same in the folder. */
static char *name_of(canvas *c, const char *suffix, bool in_folder) {
    if (in_folder) return reel_arena_printf(&c->arena, "%s/%s%s", c->folder, c->stem, suffix);
    return reel_arena_printf(&c->arena, "%s%s", c->stem, suffix);
}

static reel_status write_video(canvas *c, const char *suffix, bool lossless) {
    const reel_view *v = &c->request->view;
    reel_video_options options = reel_video_options_default();
    options.width = v->width;
    options.height = v->height;
    options.fps = (reel_rational){(int)(v->fps * 1000.0f + 0.5f), 1000};
    options.format = lossless ? REEL_VIDEO_FFV1 : REEL_VIDEO_MP4;
    const char *path = name_of(c, suffix, true);
    if (!path) return REEL_E_NOMEM;
    reel_video_writer *writer = NULL;
    reel_status status = reel_video_writer_open(c->env, path, &options, &writer);
    const int64_t frame = 3 * (int64_t)v->width * v->height;
    for (int f = 0; f < v->frames && status == REEL_OK; f++)
        status = reel_video_writer_push(writer, c->rgb + f * frame);
    if (status == REEL_OK) status = reel_video_writer_finish(writer);
    reel_video_writer_close(&writer);
    return status;
}

/* Ids and depths become pixels that a lossless video keeps. */
static void paint_masks(canvas *c) {
    const int64_t n = pixels_of(&c->request->view);
    for (int64_t i = 0; i < n; i++)
        memset(c->rgb + 3 * i, 80 * c->id[i], 3);
}

static void paint_depth(canvas *c) {
    const int64_t n = pixels_of(&c->request->view);
    for (int64_t i = 0; i < n; i++) {
        const int mm = (int)(c->depth[i] * 1000.0f + 0.5f);
        c->rgb[3 * i] = (uint8_t)(mm >> 16);
        c->rgb[3 * i + 1] = (uint8_t)(mm >> 8 & 255);
        c->rgb[3 * i + 2] = (uint8_t)(mm & 255);
    }
}

static reel_status write_truth(canvas *c, const reel_scene *scene, const reel_truth_files *files) {
    char text[REEL_CAPTION_BYTES];
    const reel_caption_request request = {REEL_ENGLISH, REEL_CAPTION_ANY, scene->index};
    reel_scene_caption(scene, &request, text, sizeof text - 1, NULL);
    strcat(text, "\n");
    const char *txt = name_of(c, ".txt", true), *json = name_of(c, ".json", true);
    if (!txt || !json) return REEL_E_NOMEM;
    reel_status status = reel_file_write(c->env, txt, text, (int64_t)strlen(text));
    if (status != REEL_OK) return status;
    reel_json_out out;
    reel_json_out_init(&out, c->env);
    reel_truth_write(&out, scene, &c->request->view, c->id, files);
    const char *truth;
    int64_t bytes;
    status = reel_json_out_text(&out, &truth, &bytes);
    if (status == REEL_OK) status = reel_file_write(c->env, json, truth, bytes);
    reel_json_out_deinit(&out);
    return status;
}

static reel_status make(canvas *c, const reel_scene *scene) {
    const reel_clip_request *r = c->request;
    const int64_t n = pixels_of(&r->view);
    c->rgb = reel_arena_alloc(&c->arena, 3 * n);
    c->id = reel_arena_alloc(&c->arena, n);
    c->depth = r->depth ? reel_arena_alloc(&c->arena, n * (int64_t)sizeof(float)) : NULL;
    c->stem = reel_arena_printf(&c->arena, "%08llu", (unsigned long long)scene->index);
    if (!c->rgb || !c->id || !c->stem || (r->depth && !c->depth)) return REEL_E_NOMEM;
    const char *ending = r->lossless ? ".mkv" : ".mp4";
    const char *right_ending = r->lossless ? ".right.mkv" : ".right.mp4";
    const reel_truth_files files = {
        .video = name_of(c, ending, false),
        .right = r->stereo ? name_of(c, right_ending, false) : NULL,
        .masks = r->masks ? name_of(c, ".masks.mkv", false) : NULL,
        .depth = r->depth ? name_of(c, ".depth.mkv", false) : NULL,
    };
    reel_view view = r->view;
    reel_status status = REEL_OK;
    if (r->stereo) { /* first, so that the left eye's ids and depths are what remains */
        status = reel_scene_render(c->env, scene, &view, c->rgb, NULL, NULL);
        if (status == REEL_OK) status = write_video(c, right_ending, r->lossless);
    }
    view.stereo_m = 0.0f;
    if (status == REEL_OK)
        status = reel_scene_render(c->env, scene, &view, c->rgb, c->id, c->depth);
    if (status == REEL_OK) status = write_video(c, ending, r->lossless);
    if (status == REEL_OK && r->masks) {
        paint_masks(c);
        status = write_video(c, ".masks.mkv", true);
    }
    if (status == REEL_OK && r->depth) {
        paint_depth(c);
        status = write_video(c, ".depth.mkv", true);
    }
    return status == REEL_OK ? write_truth(c, scene, &files) : status;
}

reel_status reel_clip_write(reel_env *env, const reel_scene *scene,
                            const reel_clip_request *request, const char *folder) {
    canvas c = {.env = env, .request = request, .folder = folder};
    reel_arena_init(&c.arena, env, 1 << 16, "world");
    const reel_status status = make(&c, scene);
    reel_arena_deinit(&c.arena);
    return status;
}
