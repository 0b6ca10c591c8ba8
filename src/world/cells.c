#include "world/cells.h"

#include <string.h>

#include "world/kinds.h"

/* A circle in pixels, and how far behind the picture its object is. */
typedef struct circle {
    float x, y, radius, depth;
} circle;

/* The picture of the sphere around an object; false when it is behind the camera. */
static bool outline(const reel_scene *scene, const reel_view *view, int object, float time_s,
                    circle *c) {
    const reel_scene_object *o = &scene->object[object];
    const reel_eye eye = reel_scene_eye(scene, time_s);
    const reel_vec3 p = reel_eye_project(&eye, reel_scene_pose(scene, object, time_s).position);
    const float half = (float)(view->width < view->height ? view->width : view->height) / 2;
    if (p.z <= 0) return false;
    c->depth = p.z;
    c->x = (float)view->width / 2 + p.x * half;
    c->y = (float)view->height / 2 + p.y * half;
    c->radius = reel_kind_shape_of(o->kind)->bound * o->scale / (p.z * eye.half_tan) * half;
    return true;
}

/* How far x is outside of [from, from + size]. */
static float outside(float x, float from, float size) {
    return x < from ? from - x : x > from + size ? x - from - size : 0;
}

/* Gives what a circle touches of a layer [h,w] a value. */
static void mark(const circle *c, uint8_t value, float size, int h, int w, uint8_t *layer) {
    for (int y = 0; y < h; y++) {
        const float dy = outside(c->y, (float)y * size, size);
        if (dy > c->radius) continue;
        for (int x = 0; x < w; x++) {
            const float dx = outside(c->x, (float)x * size, size);
            if (dx * dx + dy * dy <= c->radius * c->radius) layer[y * w + x] = value;
        }
    }
}

/* The objects in front of the camera, the farthest first; returns how many. */
static int outlines(const reel_scene *scene, const reel_view *view, float time_s, circle *circle_of,
                    int *order) {
    int n = 0;
    for (int i = 0; i < scene->n_objects; i++) {
        if (!outline(scene, view, i, time_s, &circle_of[i])) continue;
        int k = n++;
        for (; k > 0 && circle_of[order[k - 1]].depth < circle_of[i].depth; k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    return n;
}

void reel_scene_cells(const reel_scene *scene, const reel_view *view, const reel_cells *cells,
                      uint8_t *out) {
    const int h = view->height / cells->size, w = view->width / cells->size;
    memset(out, 0, (size_t)cells->layers * (size_t)(h * w));
    for (int f = 0; f < 1 + (cells->layers - 1) * cells->frames; f++) {
        uint8_t *layer = out + (size_t)((f + cells->frames - 1) / cells->frames) * (size_t)(h * w);
        circle c[REEL_WORLD_MAX_OBJECTS];
        int order[REEL_WORLD_MAX_OBJECTS];
        const int n = outlines(scene, view, (float)f / view->fps, c, order);
        for (int k = 0; k < n; k++)
            mark(&c[order[k]], (uint8_t)(1 + order[k]), (float)cells->size, h, w, layer);
    }
}
