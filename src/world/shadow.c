/* Shadows on the ground and reflections in the water. */
#include "world/stage.h"

enum { CELLS = REEL_SHADOW_CELLS };

/* The light's way over the ground: u along it, v across. */
static reel_vec3 light_way(const reel_palette *p) {
    return reel_vec3_unit(reel_vec3_of(p->toward.x, 0, p->toward.z));
}

static void soften(float *cell) {
    float other[CELLS * CELLS];
    for (int j = 0; j < CELLS; j++)
        for (int i = 0; i < CELLS; i++) {
            const float *c = cell + j * CELLS + i;
            other[j * CELLS + i] =
                0.5f * c[0] + 0.25f * ((i > 0 ? c[-1] : 0.0f) + (i + 1 < CELLS ? c[1] : 0.0f));
        }
    for (int j = 0; j < CELLS; j++)
        for (int i = 0; i < CELLS; i++) {
            const float *c = other + j * CELLS + i;
            cell[j * CELLS + i] = 0.5f * c[0] + 0.25f * ((j > 0 ? c[-CELLS] : 0.0f) +
                                                         (j + 1 < CELLS ? c[CELLS] : 0.0f));
        }
}

void reel_shadow_make(const reel_stage *s, const reel_body *body, reel_shadow *shadow) {
    const reel_vec3 l = s->palette.toward, way = light_way(&s->palette);
    const float margin = 1.15f;
    shadow->half_u = body->radius / l.y * margin;
    shadow->half_v = body->radius * margin;
    for (int i = 0; i < 3; i++)
        shadow->axis[i] = body->pose.axis[i];
    for (int j = 0; j < CELLS; j++)
        for (int i = 0; i < CELLS; i++) {
            const float u = (((float)i + 0.5f) * (2.0f / CELLS) - 1.0f) * shadow->half_u;
            const float v = (((float)j + 0.5f) * (2.0f / CELLS) - 1.0f) * shadow->half_v;
            /* A ray along the light, offset from the one through the centre, from outside. */
            const reel_vec3 offset = {u * way.x - v * way.z, 0, u * way.z + v * way.x};
            const reel_vec3 from = reel_vec3_sub(reel_vec3_add(body->pose.position, offset),
                                                 reel_vec3_scale(l, 3.0f * shadow->half_u));
            const reel_ray ray = {from, l};
            shadow->cell[j * CELLS + i] = reel_body_blocks(body, &ray) ? 1.0f : 0.0f;
        }
    soften(shadow->cell);
    soften(shadow->cell);
}

static bool same(reel_vec3 a, reel_vec3 b) {
    const reel_vec3 d = reel_vec3_sub(a, b);
    return reel_vec3_dot(d, d) < 1e-9f;
}

bool reel_shadow_fits(const reel_shadow *shadow, const reel_body *body) {
    const reel_vec3 *axis = body->pose.axis;
    const reel_kind_shape *shape = body->shape;
    if (shape->round_y && shape->rest == shape->half_width) return true; /* a ball */
    if (!same(shadow->axis[1], axis[1])) return false;
    return shape->round_y || same(shadow->axis[0], axis[0]);
}

static float sample(const reel_shadow *m, float u, float v) {
    const float x = (u / m->half_u + 1.0f) * (0.5f * CELLS) - 0.5f;
    const float y = (v / m->half_v + 1.0f) * (0.5f * CELLS) - 0.5f;
    if (x < 0.0f || y < 0.0f || x >= CELLS - 1 || y >= CELLS - 1) return 0.0f;
    const int i = (int)x, j = (int)y;
    const float a = x - (float)i, b = y - (float)j;
    const float *c = m->cell + j * CELLS + i;
    const float low = c[0] + a * (c[1] - c[0]), high = c[CELLS] + a * (c[CELLS + 1] - c[CELLS]);
    return low + b * (high - low);
}

void reel_shadow_draw(const reel_stage *s, const reel_moment *m, int object,
                      const reel_shadow *shadow, float *const plane[3]) {
    const reel_palette *p = &s->palette;
    const reel_body *body = &m->body[object];
    const reel_vec3 at = body->pose.position, l = p->toward, way = light_way(p);
    /* Where the ray through the centre meets the ground. */
    const float cx = at.x - l.x * at.y / l.y, cz = at.z - l.z * at.y / l.y;
    const float above = reel_f32_max(at.y - body->shape->rest * body->scale, 0.0f);
    const float reach =
        1.2f * reel_f32_max(body->shape->half_width, body->shape->half_depth) * body->scale;
    const float touch = 0.30f * reel_clamp01(1.0f - above / 0.9f);
    const reel_vec3 middle = {0.5f * (cx + at.x), 0, 0.5f * (cz + at.z)};
    const float dx = 0.5f * (cx - at.x), dz = 0.5f * (cz - at.z);
    const float radius = sqrtf(dx * dx + dz * dz) + reel_f32_max(reach, shadow->half_u);
    const reel_rect r = reel_stage_sphere(s, &m->eye, middle, radius);
    /* Higher up the shadow is fainter, as its edge is wider. */
    const float strength = p->shadow / (1.0f + 0.25f * above);
    for (int y = r.y0; y < r.y1; y++) {
        const reel_vec3 first =
            reel_stage_direction(s, &m->eye, (float)r.x0 + 0.5f, (float)y + 0.5f);
        if (first.y >= -1e-4f) continue; /* constant over a row: the camera does not lean */
        const float t = -m->eye.position.y / first.y, clear = 1.0f - reel_stage_haze(p, t);
        const reel_vec3 step = reel_vec3_scale(m->eye.right, s->pixel * m->eye.half_tan * t);
        const reel_vec3 from = reel_vec3_add(m->eye.position, reel_vec3_scale(first, t));
        for (int x = r.x0; x < r.x1; x++) {
            const float k = (float)(x - r.x0);
            const float gx = from.x + step.x * k, gz = from.z + step.z * k;
            const float ex = gx - cx, ez = gz - cz, ox = gx - at.x, oz = gz - at.z;
            const float cast =
                strength * sample(shadow, ex * way.x + ez * way.z, ez * way.x - ex * way.z);
            const float near = reel_f32_max(1.0f - (ox * ox + oz * oz) / (reach * reach), 0.0f);
            const float dark = clear * reel_f32_max(cast, touch * near * near + 0.6f * cast);
            if (dark <= 0.0f) continue;
            const int64_t i = (int64_t)y * s->width + x;
            for (int c = 0; c < 3; c++)
                plane[c][i] *= 1.0f - dark;
        }
    }
}

void reel_reflection_draw(const reel_stage *s, const reel_moment *m, int object,
                          float *const plane[3]) {
    const reel_palette *p = &s->palette;
    const reel_body *body = &m->body[object];
    reel_vec3 mirrored = body->pose.position;
    mirrored.y = -mirrored.y;
    const reel_rect r = reel_stage_sphere(s, &m->eye, mirrored, 1.1f * body->radius);
    for (int y = r.y0; y < r.y1; y++)
        for (int x = r.x0; x < r.x1; x++) {
            const int64_t at = (int64_t)y * s->width + x;
            for (int k = 0; k < 2; k++) { /* two rays a pixel */
                const reel_vec3 d =
                    reel_stage_direction(s, &m->eye, (float)x + 0.25f + 0.5f * (float)k,
                                         (float)y + 0.25f + 0.5f * (float)k);
                if (d.y >= -1e-4f) continue;
                const float t = -m->eye.position.y / d.y;
                const reel_vec3 g = reel_vec3_add(m->eye.position, reel_vec3_scale(d, t));
                /* Ripples lean the mirror sideways. */
                const float ripple =
                    0.05f * reel_sine_turns(0.9f * g.z + 0.3f * g.x - 0.35f * m->time_s);
                const reel_ray ray = {g, {d.x + ripple, -d.y, d.z}};
                reel_hit hit = {.t = 1e6f};
                if (!reel_body_trace(body, &ray, 1e-3f, &hit)) continue;
                const reel_vec3 c = reel_shade(s, m, object, &ray, &hit, 2.0f * t * s->pixel);
                const float k_mix = 0.5f * 0.55f * (1.0f - reel_stage_haze(p, t));
                plane[0][at] += k_mix * (c.x - plane[0][at]);
                plane[1][at] += k_mix * (c.y - plane[1][at]);
                plane[2][at] += k_mix * (c.z - plane[2][at]);
            }
        }
}
