/* Rain and snowfall: few, soft, and where they are is a function of time alone. */
#include "world/stage.h"

#include "base/rng.h"

enum { DROPS = 26, FLAKES = 32 };

static float wrap(float x) {
    return x - floorf(x);
}

/* Blends towards a grey by k. */
static void blend(const reel_stage *s, int x, int y, float k, float grey, float *const plane[3]) {
    if (x < 0 || y < 0 || x >= s->width || y >= s->height) return;
    const int64_t at = (int64_t)y * s->width + x;
    for (int c = 0; c < 3; c++)
        plane[c][at] += k * (grey - plane[c][at]);
}

/* A vertical streak, soft at both ends and at its sides. */
static void streak(const reel_stage *s, float x, float y, float length, float strength,
                   float *const plane[3]) {
    const float half = 0.5f * length, wide = reel_f32_max(0.006f * (float)s->height, 0.7f);
    for (int j = (int)(y - half); j <= (int)(y + half); j++) {
        const float v = ((float)j + 0.5f - y) / half;
        const float fade = reel_f32_max(1.0f - v * v, 0.0f);
        const float centre = x - 0.12f * ((float)j - y); /* the wind */
        for (int i = (int)(centre - 2 * wide); i <= (int)(centre + 2 * wide); i++) {
            const float u = ((float)i + 0.5f - centre) / (2.0f * wide);
            blend(s, i, j, strength * fade * reel_f32_max(1.0f - u * u, 0.0f), 0.92f, plane);
        }
    }
}

static void flake(const reel_stage *s, float x, float y, float radius, float strength,
                  float *const plane[3]) {
    const int reach = (int)(2.0f * radius) + 1;
    for (int j = (int)y - reach; j <= (int)y + reach; j++)
        for (int i = (int)x - reach; i <= (int)x + reach; i++) {
            const float dx = (float)i + 0.5f - x, dy = (float)j + 0.5f - y;
            const float q = 1.0f - (dx * dx + dy * dy) / (4.0f * radius * radius);
            if (q > 0.0f) blend(s, i, j, strength * q * q, 0.98f, plane);
        }
}

void reel_weather_draw(const reel_stage *s, float time_s, float *const plane[3]) {
    const bool rain = s->scene->weather == REEL_WEATHER_RAIN;
    if (!rain && s->scene->weather != REEL_WEATHER_SNOWFALL) return;
    const float w = (float)s->width, h = (float)s->height;
    const float wide = reel_f32_max(w / h, 1.0f); /* as dense in a wide picture */
    const int n = (int)((float)(rain ? DROPS : FLAKES) * wide);
    for (int i = 0; i < n; i++) {
        float u[4];
        reel_rng_fill_uniform(s->scene->seed ^ 0x77656174u, s->scene->index, 4 * (uint64_t)i, 4, u);
        const float near = 0.6f + 0.4f * u[2]; /* nearer ones are larger and faster */
        if (rain) {
            const float fallen = wrap(u[1] + 2.3f * near * time_s);
            const float y = (fallen * 1.3f - 0.15f) * h;
            const float x = (u[0] * 1.2f - 0.1f) * w - 0.12f * (y - 0.5f * h);
            streak(s, x, y, 0.13f * near * h, 0.34f * near, plane);
        } else {
            const float fallen = wrap(u[1] + 0.30f * near * time_s);
            const float sway = 0.02f * sinf(6.2831853f * (0.5f * time_s + u[3]));
            const float x = wrap(u[0] + sway + 0.03f * time_s) * 1.1f * w - 0.05f * w;
            flake(s, x, (fallen * 1.1f - 0.05f) * h, reel_f32_max(0.0082f * near * h, 0.6f),
                  0.55f + 0.4f * near, plane);
        }
    }
}
