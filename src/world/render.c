#include "world/render.h"

#include <stdatomic.h>
#include <string.h>

#include "world/stage.h"

/* What one lane works in. */
typedef struct scratch {
    float *plane[3]; /* [H,W] */
    reel_hit *hit;   /* [H,W] */
    uint16_t *key;   /* [H,W]: 0, or what is seen: neighbours with another key have an edge */
    reel_shadow shadow;
} scratch;

typedef struct job {
    reel_env *env;
    const reel_scene *scene;
    const reel_view *view;
    reel_stage stage;
    float *still[3];     /* the background, when it is the same in every frame; else NULL */
    reel_shadow *shadow; /* [n_objects], of the first frame */
    scratch **lane;      /* [lanes]; made by the first frame each lane draws */
    uint8_t *rgb, *id;
    float *depth;
    atomic_int failed;
} job;

/* ---- geometry ---- */

void reel_moment_at(const reel_scene *scene, float time_s, float stereo_m, reel_moment *moment) {
    moment->time_s = time_s;
    moment->eye = reel_scene_eye(scene, time_s);
    moment->eye.position =
        reel_vec3_add(moment->eye.position, reel_vec3_scale(moment->eye.right, stereo_m));
    for (int i = 0; i < scene->n_objects; i++) {
        reel_body *b = &moment->body[i];
        b->shape = reel_kind_shape_of(scene->object[i].kind);
        b->scale = scene->object[i].scale;
        b->pose = reel_scene_pose(scene, i, time_s);
        /* The flame hangs far below the rocket. */
        b->radius = b->scale * (b->pose.flame > 0.0f ? 2.25f : b->shape->bound);
    }
}

/* The slopes under which a circle of radius r at (side, depth) is seen: its two tangents. */
static void tangents(float side, float depth, float r, float *low, float *high) {
    const float k = depth * depth - r * r;
    const float root = r * sqrtf(reel_f32_max(side * side + k, 0.0f));
    *low = (side * depth - root) / k;
    *high = (side * depth + root) / k;
}

static int clamped(float x, int high) {
    return x < 0.0f ? 0 : x > (float)high ? high : (int)x;
}

reel_rect reel_stage_sphere(const reel_stage *s, const reel_eye *eye, reel_vec3 centre,
                            float radius) {
    const reel_vec3 p = reel_vec3_sub(centre, eye->position);
    const float x = reel_vec3_dot(p, eye->right), y = reel_vec3_dot(p, eye->up);
    const float depth = reel_vec3_dot(p, eye->forward);
    if (depth < -radius) return (reel_rect){0, 0, 0, 0};
    if (depth < 1.05f * radius) return (reel_rect){0, 0, s->width, s->height};
    float left, right, low, high;
    tangents(x, depth, radius, &left, &right);
    tangents(y, depth, radius, &low, &high);
    const float k = 1.0f / (s->pixel * eye->half_tan);
    const float cx = 0.5f * (float)s->width, cy = 0.5f * (float)s->height;
    return (reel_rect){
        clamped(cx + left * k - 1.0f, s->width), clamped(cy - high * k - 1.0f, s->height),
        clamped(cx + right * k + 2.0f, s->width), clamped(cy - low * k + 2.0f, s->height)};
}

/* ---- objects ---- */

/* The nearest object on the ray through (x,y), of those whose rectangle holds the pixel. */
static int trace(const reel_stage *s, const reel_moment *m, const reel_rect *rect, float x, float y,
                 reel_ray *ray, reel_hit *hit) {
    *ray = (reel_ray){m->eye.position, reel_stage_direction(s, &m->eye, x, y)};
    const float d = ray->along.y;
    hit->t = d < -1e-6f ? -m->eye.position.y / d : 1e6f; /* the ground hides what is below it */
    int found = -1;
    for (int i = 0; i < s->scene->n_objects; i++) {
        if (x < (float)rect[i].x0 || x >= (float)rect[i].x1 || y < (float)rect[i].y0 ||
            y >= (float)rect[i].y1)
            continue;
        if (reel_body_trace(&m->body[i], ray, 0.05f, hit)) found = i;
    }
    return found;
}

static reel_rect all_of(const reel_rect *rect, int n) {
    reel_rect r = {0, 0, 0, 0};
    for (int i = 0; i < n; i++) {
        if (rect[i].x0 >= rect[i].x1 || rect[i].y0 >= rect[i].y1) continue;
        if (r.x1 == 0) r = rect[i];
        if (rect[i].x0 < r.x0) r.x0 = rect[i].x0;
        if (rect[i].y0 < r.y0) r.y0 = rect[i].y0;
        if (rect[i].x1 > r.x1) r.x1 = rect[i].x1;
        if (rect[i].y1 > r.y1) r.y1 = rect[i].y1;
    }
    return r;
}

static bool on_edge(const scratch *k, const reel_rect *r, int width, int x, int y) {
    const int64_t at = (int64_t)y * width + x;
    const uint16_t key = k->key[at];
    return (x > r->x0 && k->key[at - 1] != key) || (x + 1 < r->x1 && k->key[at + 1] != key) ||
           (y > r->y0 && k->key[at - width] != key) || (y + 1 < r->y1 && k->key[at + width] != key);
}

static void draw_pixel(const reel_stage *s, const reel_moment *m, const reel_rect *rect, scratch *k,
                       int x, int y) {
    /* A rotated grid: four different columns, four different rows. */
    static const float grid[4][2] = {
        {0.375f, 0.125f}, {0.875f, 0.375f}, {0.125f, 0.625f}, {0.625f, 0.875f}};
    const int64_t at = (int64_t)y * s->width + x;
    const reel_vec3 behind = {k->plane[0][at], k->plane[1][at], k->plane[2][at]};
    reel_vec3 sum = {0, 0, 0};
    for (int i = 0; i < 4; i++) {
        reel_ray ray;
        reel_hit hit;
        const int object =
            trace(s, m, rect, (float)x + grid[i][0], (float)y + grid[i][1], &ray, &hit);
        const float blur = 0.5f * hit.t * s->pixel * m->eye.half_tan;
        sum = reel_vec3_add(sum, object < 0 ? behind : reel_shade(s, m, object, &ray, &hit, blur));
    }
    k->plane[0][at] = 0.25f * sum.x;
    k->plane[1][at] = 0.25f * sum.y;
    k->plane[2][at] = 0.25f * sum.z;
}

static void draw_objects(const reel_stage *s, const reel_moment *m, const reel_rect *rect,
                         scratch *k) {
    const reel_rect r = all_of(rect, s->scene->n_objects);
    for (int y = r.y0; y < r.y1; y++)
        for (int x = r.x0; x < r.x1; x++) {
            const int64_t at = (int64_t)y * s->width + x;
            reel_ray ray;
            const int object =
                trace(s, m, rect, (float)x + 0.5f, (float)y + 0.5f, &ray, &k->hit[at]);
            const reel_hit *h = &k->hit[at];
            k->key[at] =
                object < 0 ? 0 : (uint16_t)((object + 1) << 8 | h->primitive << 4 | h->face);
        }
    for (int y = r.y0; y < r.y1; y++)
        for (int x = r.x0; x < r.x1; x++) {
            const int64_t at = (int64_t)y * s->width + x;
            if (on_edge(k, &r, s->width, x, y)) {
                draw_pixel(s, m, rect, k, x, y);
            } else if (k->key[at]) {
                const reel_ray ray = {
                    m->eye.position,
                    reel_stage_direction(s, &m->eye, (float)x + 0.5f, (float)y + 0.5f)};
                const float blur = k->hit[at].t * s->pixel * m->eye.half_tan;
                const reel_vec3 c =
                    reel_shade(s, m, (k->key[at] >> 8) - 1, &ray, &k->hit[at], blur);
                k->plane[0][at] = c.x;
                k->plane[1][at] = c.y;
                k->plane[2][at] = c.z;
            }
        }
}

/* ---- a frame ---- */

static void background(const job *j, const reel_moment *m, scratch *k) {
    const int h = j->view->height;
    const size_t bytes = (size_t)j->view->width * (size_t)h * sizeof(float);
    if (j->still[0]) {
        for (int c = 0; c < 3; c++)
            memcpy(k->plane[c], j->still[c], bytes);
        return;
    }
    reel_background_rows(&j->stage, m, 0, h, k->plane);
    reel_background_stars(&j->stage, &m->eye, k->plane);
}

static void write_rgb(const scratch *k, int64_t n, uint8_t *rgb) {
    for (int c = 0; c < 3; c++) {
        const float *restrict from = k->plane[c];
        for (int64_t i = 0; i < n; i++)
            rgb[3 * i + c] = (uint8_t)(int)(reel_clamp01(from[i]) * 255.0f + 0.5f);
    }
}

static void write_depth(const reel_stage *s, const reel_eye *eye, const scratch *k, float *depth) {
    for (int y = 0; y < s->height; y++) {
        const float d = reel_stage_direction(s, eye, 0.0f, (float)y + 0.5f).y;
        const float ground = d < 0.0f ? -eye->position.y / d : REEL_SKY_DEPTH;
        const float behind = reel_f32_min(ground, REEL_SKY_DEPTH);
        for (int x = 0; x < s->width; x++) {
            const int64_t at = (int64_t)y * s->width + x;
            depth[at] = k->key[at] ? k->hit[at].t : behind;
        }
    }
}

static scratch *scratch_new(reel_env *env, int64_t n) {
    scratch *k = reel_calloc(env, 1, sizeof *k, "world");
    if (!k) return NULL;
    for (int c = 0; c < 3; c++)
        k->plane[c] = reel_calloc(env, n, sizeof(float), "world");
    k->hit = reel_calloc(env, n, sizeof(reel_hit), "world");
    k->key = reel_calloc(env, n, sizeof(uint16_t), "world");
    return k;
}

static bool scratch_whole(const scratch *k) {
    return k && k->plane[0] && k->plane[1] && k->plane[2] && k->hit && k->key;
}

static void scratch_free(reel_env *env, scratch *k) {
    if (!k) return;
    for (int c = 0; c < 3; c++)
        reel_free(env, k->plane[c]);
    reel_free(env, k->hit);
    reel_free(env, k->key);
    reel_free(env, k);
}

static void draw_frame(void *context, int64_t frame, int lane) {
    job *j = context;
    const int64_t n = (int64_t)j->view->width * j->view->height;
    if (!j->lane[lane]) j->lane[lane] = scratch_new(j->env, n);
    scratch *k = j->lane[lane];
    if (!scratch_whole(k)) {
        atomic_store(&j->failed, 1);
        return;
    }
    const reel_stage *s = &j->stage;
    reel_moment m;
    reel_moment_at(j->scene, (float)frame / j->view->fps, j->view->stereo_m, &m);
    background(j, &m, k);
    const bool water = j->scene->ground == REEL_GROUND_WATER;
    reel_rect rect[REEL_WORLD_MAX_OBJECTS];
    for (int i = 0; i < j->scene->n_objects; i++) {
        rect[i] = reel_stage_sphere(s, &m.eye, m.body[i].pose.position, m.body[i].radius);
        if (water) {
            reel_reflection_draw(s, &m, i, k->plane);
            continue;
        }
        const reel_shadow *shadow = &j->shadow[i];
        if (!reel_shadow_fits(shadow, &m.body[i])) {
            reel_shadow_make(s, &m.body[i], &k->shadow);
            shadow = &k->shadow;
        }
        reel_shadow_draw(s, &m, i, shadow, k->plane);
    }
    memset(k->key, 0, (size_t)n * sizeof *k->key);
    draw_objects(s, &m, rect, k);
    reel_weather_draw(s, m.time_s, k->plane);
    if (j->rgb) write_rgb(k, n, j->rgb + 3 * n * frame);
    if (j->depth) write_depth(s, &m.eye, k, j->depth + n * frame);
    if (j->id)
        for (int64_t i = 0; i < n; i++)
            j->id[n * frame + i] = (uint8_t)(k->key[i] >> 8);
}

/* ---- a clip ---- */

static reel_status check_view(reel_env *env, const reel_view *v) {
    if (v->width < 8 || v->height < 8 || v->width > 4096 || v->height > 4096)
        return reel_fail(env, REEL_E_ARG, "world: view is %d x %d, wanted 8 to 4096 each", v->width,
                         v->height);
    if (v->frames < 1 || v->frames > 100000)
        return reel_fail(env, REEL_E_ARG, "world: got %d frames, wanted 1 to 100000", v->frames);
    if (!(v->fps > 0.0f && v->fps <= 1000.0f))
        return reel_fail(env, REEL_E_ARG, "world: got %g fps, wanted above 0, at most 1000",
                         (double)v->fps);
    return REEL_OK;
}

static reel_stage make_stage(const reel_scene *scene, const reel_view *v) {
    reel_stage s = {.scene = scene, .width = v->width, .height = v->height};
    s.pixel = 2.0f / (float)(v->width < v->height ? v->width : v->height);
    reel_palette_of(scene, &s.palette);
    for (int i = 0; i < scene->n_objects; i++)
        reel_palette_paints(scene->object[i].color, s.tone[i]);
    return s;
}

/* The background and the shadows that all frames share. */
static bool prepare(job *j) {
    const int64_t n = (int64_t)j->view->width * j->view->height;
    reel_moment m;
    reel_moment_at(j->scene, 0.0f, j->view->stereo_m, &m);
    const bool still = j->scene->camera.move == REEL_CAMERA_STILL &&
                       j->scene->ground != REEL_GROUND_WATER && j->view->frames > 1;
    for (int c = 0; c < 3 && still; c++) {
        j->still[c] = reel_alloc(j->env, n * (int64_t)sizeof(float), "world");
        if (!j->still[c]) return false;
    }
    if (still) {
        reel_background_rows(&j->stage, &m, 0, j->view->height, j->still);
        reel_background_stars(&j->stage, &m.eye, j->still);
    }
    j->shadow = reel_alloc(j->env, REEL_WORLD_MAX_OBJECTS * (int64_t)sizeof(reel_shadow), "world");
    j->lane = reel_calloc(j->env, reel_threads_count(j->env->threads), sizeof *j->lane, "world");
    if (!j->shadow || !j->lane) return false;
    for (int i = 0; i < j->scene->n_objects; i++)
        reel_shadow_make(&j->stage, &m.body[i], &j->shadow[i]);
    return true;
}

reel_status reel_scene_render(reel_env *env, const reel_scene *scene, const reel_view *view,
                              uint8_t *rgb, uint8_t *id, float *depth) {
    const reel_status status = check_view(env, view);
    if (status != REEL_OK) return status;
    job j = {.env = env, .scene = scene, .view = view, .rgb = rgb, .id = id, .depth = depth};
    j.stage = make_stage(scene, view);
    bool whole = prepare(&j);
    if (whole) {
        reel_parallel_for(env->threads, view->frames, draw_frame, &j);
        whole = !atomic_load(&j.failed);
    }
    const int lanes = reel_threads_count(env->threads);
    for (int i = 0; j.lane && i < lanes; i++)
        scratch_free(env, j.lane[i]);
    reel_free(env, j.lane);
    reel_free(env, j.shadow);
    for (int c = 0; c < 3; c++)
        reel_free(env, j.still[c]);
    return whole ? REEL_OK : REEL_E_NOMEM;
}

/* ---- can everything be seen? ---- */

enum { LOOKS = 8, LOOK_SIZE = 40 };

/* Pixels of each object in a small square picture at one moment. */
static void count_pixels(const reel_stage *s, float time_s, int *count) {
    reel_moment m;
    reel_moment_at(s->scene, time_s, 0.0f, &m);
    reel_rect rect[REEL_WORLD_MAX_OBJECTS];
    const int n = s->scene->n_objects;
    for (int i = 0; i < n; i++) {
        rect[i] = reel_stage_sphere(s, &m.eye, m.body[i].pose.position, m.body[i].radius);
        count[i] = 0;
    }
    const reel_rect r = all_of(rect, n);
    for (int y = r.y0; y < r.y1; y++)
        for (int x = r.x0; x < r.x1; x++) {
            reel_ray ray;
            reel_hit hit;
            const int object = trace(s, &m, rect, (float)x + 0.5f, (float)y + 0.5f, &ray, &hit);
            if (object >= 0) count[object]++;
        }
}

bool reel_scene_visible(const reel_scene *scene) {
    const reel_view view = {LOOK_SIZE, LOOK_SIZE, 1, 1.0f, 0.0f};
    const reel_stage s = make_stage(scene, &view);
    const int least = LOOK_SIZE * LOOK_SIZE * 7 / 1000;
    int count[LOOKS][REEL_WORLD_MAX_OBJECTS];
    for (int k = 0; k < LOOKS; k++)
        count_pixels(&s, scene->duration_s * (float)k / (LOOKS - 1), count[k]);
    const bool passing = scene->object[0].motion == REEL_MOTION_PASS_BEHIND;
    for (int i = 0; i < scene->n_objects; i++) {
        int seen = 0, most = 0, hidden = 0;
        for (int k = 0; k < LOOKS; k++) {
            seen += count[k][i] >= least;
            if (count[k][i] > most) most = count[k][i];
        }
        for (int k = 2; k < LOOKS - 2; k++)
            hidden += count[k][i] * 5 < most;
        if (passing && i == 0) {
            if (!hidden || count[0][0] * 2 < most || count[LOOKS - 1][0] * 2 < most) return false;
            if (seen < 4) return false;
        } else if (seen < LOOKS - 2) {
            return false;
        }
    }
    return true;
}
