/* Sky and ground, a row at a time, in loops the compiler vectorises. */
#include "world/stage.h"

#include "base/rng.h"

/* What a row of the picture looks along: d = along + sx right, sx rising by step. */
typedef struct row {
    reel_vec3 along, right;
    float sx0, step, sy;
    int n;
} row;

static row make_row(const reel_stage *s, const reel_eye *eye, int y) {
    const float k = s->pixel * eye->half_tan;
    const float sy = (0.5f * (float)s->height - ((float)y + 0.5f)) * k;
    return (row){
        .along = reel_vec3_add(eye->forward, reel_vec3_scale(eye->up, sy)),
        .right = eye->right,
        .sx0 = (0.5f - 0.5f * (float)s->width) * k,
        .step = k,
        .sy = sy,
        .n = s->width,
    };
}

reel_vec3 reel_sky_gradient(const reel_palette *p, float elevation) {
    const float up = reel_smoothstep(0.0f, 0.36f, elevation);
    const float high = reel_clamp01((elevation - 0.28f) * (1.0f / 0.72f));
    return reel_vec3_mix(reel_vec3_mix(p->horizon, p->middle, up), p->zenith, high);
}

static inline float wave(float x) {
    return reel_sine_turns(x);
}

/* Cloud cover in [0,1] in a direction (unit) of elevation e > 0. */
static inline float cloud_cover(const reel_palette *p, float x, float z, float e) {
    const float k = 1.0f / (e + 0.25f);
    const float u = x * k, v = z * k;
    const float a = wave(0.21f * u + p->phase[0] + 0.22f * wave(0.23f * v + p->phase[1]));
    const float b = wave(0.47f * v + p->phase[2] + 0.25f * wave(0.31f * u + p->phase[3]));
    const float c = wave(0.83f * u + 0.55f * v + p->phase[4]);
    return reel_smoothstep(0.05f, 1.45f, a + 0.7f * b + 0.3f * c) *
           reel_smoothstep(0.02f, 0.22f, e);
}

static void sky_row(const reel_stage *s, const row *r, float *restrict red, float *restrict green,
                    float *restrict blue) {
    const reel_palette *p = &s->palette;
    const float dy = r->along.y, aa = 0.7f * r->step;
    const float edge = 1.5f * r->step * sqrtf(1.0f - p->disc_cosine * p->disc_cosine);
    const bool disc = p->disc.x > 0.0f;
    const float hills = p->hill_height > 0.0f ? 1.0f : 0.0f;
    for (int i = 0; i < r->n; i++) {
        const float sx = r->sx0 + r->step * (float)i;
        const float inv = 1.0f / sqrtf(1.0f + sx * sx + r->sy * r->sy);
        const float x = (r->along.x + sx * r->right.x) * inv;
        const float z = (r->along.z + sx * r->right.z) * inv;
        const float e = dy * inv;
        reel_vec3 c = reel_sky_gradient(p, e);
        c = reel_vec3_mix(c, p->cloud, p->clouds * cloud_cover(p, x, z, e));
        if (disc) {
            const float toward = x * p->disc_toward.x + e * p->disc_toward.y + z * p->disc_toward.z;
            const float near = reel_clamp01((toward - 0.78f) * (1.0f / 0.22f));
            c = reel_vec3_add(c, reel_vec3_scale(p->glow, near * near * near));
            c = reel_vec3_mix(
                c, p->disc, reel_smoothstep(p->disc_cosine - edge, p->disc_cosine + edge, toward));
        }
        /* Far hills: a wavy line around the horizon, misty at its foot. */
        const float flat = 1.0f / sqrtf(x * x + z * z), hx = x * flat, hz = z * flat;
        const float line = p->hill_height * (1.0f + 0.5f * wave(0.9f * hx + p->phase[5]) +
                                             0.3f * wave(1.7f * hz + 1.3f * hx + p->phase[6]) +
                                             0.15f * wave(4.1f * hx + p->phase[7]));
        const float cover = hills * reel_clamp01((line - e) / aa + 0.5f);
        const float foot = reel_clamp01(1.0f - e / (0.9f * p->hill_height + 1e-6f));
        c = reel_vec3_mix(c, reel_vec3_mix(p->hills, p->horizon, 0.75f * foot), cover);
        red[i] = c.x;
        green[i] = c.y;
        blue[i] = c.z;
    }
}

/* How much of a wave of length lambda is left where a pixel covers so many metres. */
static float kept(float footprint, float lambda) {
    const float q = 2.2f * footprint / lambda;
    return 1.0f / (1.0f + q * q * q * q);
}

/* A row of ground points: the same depth, x and z rise evenly. */
typedef struct strip {
    float depth, haze;
    float x0, dx, z0, dz;
    float footprint; /* metres of ground along z in a pixel */
    int n;
} strip;

static strip make_strip(const reel_stage *s, const row *r, const reel_eye *eye) {
    const float depth = reel_f32_min(-eye->position.y / reel_f32_min(r->along.y, -1e-6f), 4000.0f);
    strip g = {.depth = depth, .haze = reel_stage_haze(&s->palette, depth), .n = r->n};
    g.x0 = eye->position.x + depth * (r->along.x + r->sx0 * r->right.x);
    g.z0 = eye->position.z + depth * (r->along.z + r->sx0 * r->right.z);
    g.dx = depth * r->step * r->right.x;
    g.dz = depth * r->step * r->right.z;
    g.footprint = depth * depth * r->step / eye->position.y;
    return g;
}

/* Two waves that bend each other: clumps without a direction, in [-1,1]. */
static inline float clumps(float x, float z, float a, float b) {
    return wave(x + 0.24f * wave(0.9f * z + b) + a) * wave(z + 0.24f * wave(0.8f * x + a) + b);
}

/* Mixes of tone 0 and 1 (and 2) into one row. */
static inline void put(const reel_palette *p, float haze, reel_vec3 c, float *red, float *green,
                       float *blue) {
    const reel_vec3 h = reel_vec3_mix(c, p->haze, haze);
    *red = h.x;
    *green = h.y;
    *blue = h.z;
}

static void soft_row(const reel_stage *s, const strip *g, float *restrict red,
                     float *restrict green, float *restrict blue) {
    const reel_palette *p = &s->palette;
    const reel_ground ground = s->scene->ground;
    /* Length of the large and the small clumps, and how strong they are. */
    const float coarse = ground == REEL_GROUND_SAND   ? 4.5f
                         : ground == REEL_GROUND_SNOW ? 5.5f
                                                      : 3.2f;
    const float fine = ground == REEL_GROUND_SAND   ? 1.05f
                       : ground == REEL_GROUND_SNOW ? 2.2f
                                                    : 0.9f;
    const float strong = 0.42f * kept(g->footprint, coarse);
    const float weak = (ground == REEL_GROUND_SNOW ? 0.14f : 0.20f) * kept(g->footprint, fine);
    const float kc = 1.0f / coarse, kf = 1.0f / fine;
    const float lean = ground == REEL_GROUND_SAND ? 0.22f : 1.0f; /* sand lies in ripples */
    for (int i = 0; i < g->n; i++) {
        const float x = g->x0 + g->dx * (float)i, z = g->z0 + g->dz * (float)i;
        const float a = clumps(kc * x, kc * z, p->phase[0], p->phase[1]);
        const float b = clumps(kf * lean * x, kf * z, p->phase[2], p->phase[3]);
        const float k = 0.5f + strong * a + weak * b;
        put(p, g->haze, reel_vec3_mix(p->ground[0], p->ground[1], k), red + i, green + i, blue + i);
    }
}

/* Distance of x to the nearest whole number, in [0,0.5]. */
static inline float to_joint(float x) {
    const float f = x - (float)(int)(x + (x < 0.0f ? -0.5f : 0.5f));
    return f < 0.0f ? -f : f;
}

static void stone_row(const reel_stage *s, const strip *g, float *restrict red,
                      float *restrict green, float *restrict blue) {
    const reel_palette *p = &s->palette;
    const float wide = 2.1f, deep = 1.5f; /* of a slab, metres */
    const float soft = reel_f32_max(g->footprint, 0.03f);
    const float strength = 0.8f * kept(g->footprint, 1.2f);
    const float tones = kept(g->footprint, 2.0f);
    for (int i = 0; i < g->n; i++) {
        const float x = g->x0 + g->dx * (float)i, z = g->z0 + g->dz * (float)i;
        const float v = z / deep + 200.0f;
        const float line = (float)(int)v; /* which row of slabs */
        const float u = x / wide + 200.0f + 0.5f * (line - 2.0f * (float)(int)(0.5f * line));
        const float joint_u = to_joint(u) * wide, joint_v = to_joint(v) * deep;
        const float away = reel_f32_min(joint_u, joint_v);
        const float joint = strength * (1.0f - reel_smoothstep(0.02f, 0.05f + soft, away));
        const float tone = wave(0.381f * line + 0.237f * (float)(int)u + p->phase[0]);
        reel_vec3 c = reel_vec3_mix(p->ground[0], p->ground[1], 0.5f + 0.5f * tones * tone);
        c = reel_vec3_mix(c, p->ground[2], joint);
        put(p, g->haze, c, red + i, green + i, blue + i);
    }
}

static void checker_row(const reel_stage *s, const strip *g, float *restrict red,
                        float *restrict green, float *restrict blue) {
    const reel_palette *p = &s->palette;
    const float tile = 1.9f;
    /* A sine cut off at +-1: its flank is a pixel wide. */
    const float sharp_z = tile / (3.1415927f * reel_f32_max(0.55f * g->footprint, 0.012f));
    const float across = g->depth * s->pixel * 0.45f;
    const float sharp_x = tile / (3.1415927f * reel_f32_max(0.55f * across, 0.012f));
    const float strength = 0.5f * kept(g->footprint, 1.2f * tile);
    for (int i = 0; i < g->n; i++) {
        const float x = g->x0 + g->dx * (float)i, z = g->z0 + g->dz * (float)i;
        const float a = wave(x / (2.0f * tile) + p->phase[0]) * sharp_x;
        const float b = wave(z / (2.0f * tile) + p->phase[1]) * sharp_z;
        const float v =
            reel_f32_max(reel_f32_min(a, 1.0f), -1.0f) * reel_f32_max(reel_f32_min(b, 1.0f), -1.0f);
        const reel_vec3 c = reel_vec3_mix(p->ground[0], p->ground[1], 0.5f + strength * v);
        put(p, g->haze, c, red + i, green + i, blue + i);
    }
}

static void water_row(const reel_stage *s, const row *r, const strip *g, float time_s,
                      float *const out[3]) {
    const reel_palette *p = &s->palette;
    float *restrict red = out[0], *restrict green = out[1], *restrict blue = out[2];
    const float long_wave = kept(g->footprint, 2.6f), short_wave = 0.5f * kept(g->footprint, 1.1f);
    const float t = 0.22f * time_s;
    for (int i = 0; i < g->n; i++) {
        const float sx = r->sx0 + r->step * (float)i;
        const float inv = 1.0f / sqrtf(1.0f + sx * sx + r->sy * r->sy);
        const float x = g->x0 + g->dx * (float)i, z = g->z0 + g->dz * (float)i;
        const float a = wave(0.36f * z + 0.12f * wave(0.3f * x + p->phase[0] + t) + t);
        const float b = wave(0.9f * z + 0.35f * x + 0.2f * wave(0.5f * x + p->phase[1]) - 1.6f * t);
        const float ripple = long_wave * a + short_wave * b;
        const float e = -r->along.y * inv; /* elevation of the mirrored direction */
        const float seen = reel_f32_max(e + 0.05f * ripple, 0.0f);
        const float mirror = reel_clamp01(0.78f - 1.5f * e);
        const reel_vec3 depth = reel_vec3_mix(p->ground[1], p->ground[0], 0.5f + 0.3f * ripple);
        const reel_vec3 c = reel_vec3_mix(depth, reel_sky_gradient(p, seen), mirror);
        put(p, g->haze, c, red + i, green + i, blue + i);
    }
}

void reel_background_rows(const reel_stage *s, const reel_moment *m, int from, int to,
                          float *const plane[3]) {
    for (int y = from; y < to; y++) {
        const row r = make_row(s, &m->eye, y);
        const int64_t at = (int64_t)y * s->width;
        float *const out[3] = {plane[0] + at, plane[1] + at, plane[2] + at};
        if (r.along.y >= 0.0f) {
            sky_row(s, &r, out[0], out[1], out[2]);
            continue;
        }
        const strip g = make_strip(s, &r, &m->eye);
        switch (s->scene->ground) {
        case REEL_GROUND_STONE:
            stone_row(s, &g, out[0], out[1], out[2]);
            break;
        case REEL_GROUND_CHECKERBOARD:
            checker_row(s, &g, out[0], out[1], out[2]);
            break;
        case REEL_GROUND_WATER:
            water_row(s, &r, &g, m->time_s, out);
            break;
        default:
            soft_row(s, &g, out[0], out[1], out[2]);
            break;
        }
    }
}

/* A soft dot of a radius in pixels at (x,y). */
static void dot(const reel_stage *s, float x, float y, float radius, float strength,
                float *const plane[3]) {
    const int reach = (int)(2.0f * radius) + 1;
    for (int j = (int)y - reach; j <= (int)y + reach; j++)
        for (int i = (int)x - reach; i <= (int)x + reach; i++) {
            if (i < 0 || j < 0 || i >= s->width || j >= s->height) continue;
            const float dx = (float)i + 0.5f - x, dy = (float)j + 0.5f - y;
            const float q = 1.0f - (dx * dx + dy * dy) / (4.0f * radius * radius);
            if (q <= 0.0f) continue;
            const float k = strength * q * q;
            for (int c = 0; c < 3; c++) {
                float *at = plane[c] + (int64_t)j * s->width + i;
                *at += k * (0.95f - *at);
            }
        }
}

void reel_background_stars(const reel_stage *s, const reel_eye *eye, float *const plane[3]) {
    const float half = 0.5f * (float)(s->width < s->height ? s->width : s->height);
    for (int i = 0; i < s->palette.stars; i++) {
        float u[4];
        reel_rng_fill_uniform(s->scene->seed ^ 0x73746172u, s->scene->index, 4 * (uint64_t)i, 4, u);
        /* Over the part of the sky that cameras see. */
        const float angle = (u[0] - 0.5f) * 2.2f, e = 0.10f + 0.42f * u[1];
        const reel_vec3 far = {1000.0f * sinf(angle), 1000.0f * e, 1000.0f * cosf(angle)};
        const reel_vec3 d = reel_vec3_unit(far);
        if (reel_vec3_dot(d, s->palette.disc_toward) > 0.97f) continue; /* the moon is there */
        const reel_vec3 at = reel_eye_project(eye, reel_vec3_add(eye->position, far));
        if (at.z <= 0.0f) continue;
        const float radius = reel_f32_max(0.0085f * half * (0.8f + 0.5f * u[2]), 0.6f);
        const float x = at.x * half + 0.5f * (float)s->width;
        const float y = at.y * half + 0.5f * (float)s->height;
        dot(s, x, y, radius, 0.55f + 0.4f * u[3], plane);
    }
}
