/* Vectors of three floats, as the renderer uses them: by value, in registers. */
#ifndef REEL_WORLD_VEC3_H
#define REEL_WORLD_VEC3_H

#include <math.h>

typedef struct reel_vec3 {
    float x, y, z;
} reel_vec3;

static inline reel_vec3 reel_vec3_of(float x, float y, float z) {
    return (reel_vec3){x, y, z};
}
static inline reel_vec3 reel_vec3_add(reel_vec3 a, reel_vec3 b) {
    return reel_vec3_of(a.x + b.x, a.y + b.y, a.z + b.z);
}
static inline reel_vec3 reel_vec3_sub(reel_vec3 a, reel_vec3 b) {
    return reel_vec3_of(a.x - b.x, a.y - b.y, a.z - b.z);
}
static inline reel_vec3 reel_vec3_mul(reel_vec3 a, reel_vec3 b) {
    return reel_vec3_of(a.x * b.x, a.y * b.y, a.z * b.z);
}
static inline reel_vec3 reel_vec3_scale(reel_vec3 a, float k) {
    return reel_vec3_of(a.x * k, a.y * k, a.z * k);
}
static inline float reel_vec3_dot(reel_vec3 a, reel_vec3 b) {
    return a.x * b.x + a.y * b.y + a.z * b.z;
}
static inline reel_vec3 reel_vec3_unit(reel_vec3 a) {
    return reel_vec3_scale(a, 1.0f / sqrtf(reel_vec3_dot(a, a)));
}
/* a at k = 0, b at k = 1. */
static inline reel_vec3 reel_vec3_mix(reel_vec3 a, reel_vec3 b, float k) {
    return reel_vec3_add(a, reel_vec3_scale(reel_vec3_sub(b, a), k));
}

/* Written as comparisons, which compile to one instruction and vectorise; fminf minds NaN. */
static inline float reel_f32_min(float a, float b) {
    return a < b ? a : b;
}
static inline float reel_f32_max(float a, float b) {
    return a > b ? a : b;
}
static inline float reel_clamp01(float x) {
    return reel_f32_min(reel_f32_max(x, 0.0f), 1.0f);
}
/* 0 below a, 1 above b, smooth between; a < b. */
static inline float reel_smoothstep(float a, float b, float x) {
    const float t = reel_clamp01((x - a) / (b - a));
    return t * t * (3.0f - 2.0f * t);
}

/* sin(2 pi x), |error| < 1.1e-3, |x| < 2^20. Two parabolas, the second mends the first: enough for
 * pictures, the same on every machine, and it vectorises. */
static inline float reel_sine_turns(float x) {
    const float f = x - (float)(int)(x + (x < 0.0f ? -0.5f : 0.5f));
    const float p = 8.0f * f * (1.0f - 2.0f * (f < 0.0f ? -f : f));
    return p * (0.775f + 0.225f * (p < 0.0f ? -p : p));
}

#endif
