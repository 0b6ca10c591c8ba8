#include "world/palette.h"

#include <string.h>

#include "base/rng.h"

/* What a sky looks like and how it lights what is below. Ambient stays above 0.45 at night: darker
 * objects lose their color at 64 pixels. */
typedef struct sky_row {
    reel_vec3 horizon, middle, zenith, hills, cloud, disc, glow;
    reel_vec3 ambient, light;
    float ground; /* brightness of the ground under it */
    float low;    /* height of the light: y of the direction towards it before it is made unit */
    float shadow, clouds, disc_cosine;
    int stars;
} sky_row;

static const sky_row skies[REEL_SKY_COUNT] = {
    [REEL_SKY_DAY] = {.horizon = {0.80f, 0.91f, 0.98f},
                      .middle = {0.46f, 0.72f, 0.97f},
                      .zenith = {0.22f, 0.50f, 0.90f},
                      .hills = {0.56f, 0.72f, 0.80f},
                      .cloud = {1.0f, 1.0f, 1.0f},
                      .ambient = {0.52f, 0.55f, 0.60f},
                      .light = {0.62f, 0.58f, 0.50f},
                      .ground = 1.0f,
                      .low = 1.0f,
                      .shadow = 0.42f,
                      .clouds = 0.75f},
    [REEL_SKY_SUNSET] = {.horizon = {1.0f, 0.72f, 0.40f},
                         .middle = {0.96f, 0.50f, 0.46f},
                         .zenith = {0.44f, 0.30f, 0.58f},
                         .hills = {0.56f, 0.33f, 0.46f},
                         .cloud = {1.0f, 0.62f, 0.52f},
                         .disc = {1.0f, 0.93f, 0.66f},
                         .glow = {0.34f, 0.24f, 0.06f},
                         .ambient = {0.70f, 0.66f, 0.67f},
                         .light = {0.46f, 0.36f, 0.26f},
                         .ground = 0.84f,
                         .low = 0.5f,
                         .shadow = 0.36f,
                         .clouds = 0.55f,
                         .disc_cosine = 0.9925f},
    [REEL_SKY_NIGHT] = {.horizon = {0.25f, 0.29f, 0.50f},
                        .middle = {0.13f, 0.16f, 0.36f},
                        .zenith = {0.06f, 0.08f, 0.23f},
                        .hills = {0.13f, 0.15f, 0.31f},
                        .disc = {0.97f, 0.96f, 0.84f},
                        .glow = {0.08f, 0.08f, 0.10f},
                        .ambient = {0.50f, 0.53f, 0.64f},
                        .light = {0.30f, 0.33f, 0.42f},
                        .ground = 0.50f,
                        .low = 0.9f,
                        .shadow = 0.34f,
                        .disc_cosine = 0.9945f,
                        .stars = 12},
    [REEL_SKY_OVERCAST] = {.horizon = {0.80f, 0.82f, 0.84f},
                           .middle = {0.67f, 0.70f, 0.74f},
                           .zenith = {0.54f, 0.58f, 0.64f},
                           .hills = {0.64f, 0.67f, 0.71f},
                           .cloud = {0.76f, 0.78f, 0.81f},
                           .ambient = {0.82f, 0.83f, 0.86f},
                           .light = {0.24f, 0.24f, 0.22f},
                           .ground = 0.80f,
                           .low = 1.4f,
                           .shadow = 0.26f,
                           .clouds = 0.5f},
};

static const reel_vec3 grounds[REEL_GROUND_COUNT][3] = {
    [REEL_GROUND_GRASS] = {{0.50f, 0.72f, 0.27f}, {0.38f, 0.60f, 0.21f}, {0.44f, 0.66f, 0.24f}},
    [REEL_GROUND_SAND] = {{0.95f, 0.84f, 0.60f}, {0.86f, 0.72f, 0.47f}, {0.90f, 0.78f, 0.54f}},
    [REEL_GROUND_SNOW] = {{0.97f, 0.98f, 1.00f}, {0.80f, 0.87f, 0.96f}, {0.90f, 0.94f, 0.98f}},
    [REEL_GROUND_WATER] = {{0.16f, 0.50f, 0.62f}, {0.08f, 0.34f, 0.52f}, {0.12f, 0.42f, 0.57f}},
    [REEL_GROUND_STONE] = {{0.66f, 0.63f, 0.60f}, {0.57f, 0.55f, 0.54f}, {0.40f, 0.38f, 0.38f}},
    [REEL_GROUND_CHECKERBOARD] = {{0.92f, 0.90f, 0.84f},
                                  {0.42f, 0.48f, 0.58f},
                                  {0.67f, 0.69f, 0.71f}},
};

static void set_weather(reel_weather weather, reel_sky sky, reel_palette *p) {
    p->haze_depth = 48.0f;
    if (weather == REEL_WEATHER_RAIN || weather == REEL_WEATHER_SNOWFALL) {
        p->haze_depth = 26.0f;
        p->shadow *= 0.6f;
        p->stars = 0;
        p->clouds *= 0.5f;
        if (weather == REEL_WEATHER_RAIN && sky == REEL_SKY_OVERCAST) {
            p->zenith = reel_vec3_scale(p->zenith, 0.82f);
            p->middle = reel_vec3_scale(p->middle, 0.86f);
            p->horizon = reel_vec3_scale(p->horizon, 0.92f);
        }
    } else if (weather == REEL_WEATHER_FOG) {
        p->haze_depth = sky == REEL_SKY_NIGHT ? 12.0f : 9.5f;
        p->shadow *= 0.45f;
        p->stars = 0;
        p->clouds *= 0.2f;
        p->hill_height = 0.0f;
        /* Fog lies over the lower sky: the horizon's color reaches up. */
        p->middle = reel_vec3_mix(p->middle, p->horizon, 0.75f);
        p->zenith = reel_vec3_mix(p->zenith, p->horizon, 0.35f);
    }
    p->haze = p->horizon;
}

void reel_palette_of(const reel_scene *scene, reel_palette *palette) {
    const sky_row *row = &skies[scene->sky];
    reel_palette p;
    memset(&p, 0, sizeof p);
    p.horizon = row->horizon;
    p.middle = row->middle;
    p.zenith = row->zenith;
    p.hills = row->hills;
    p.hill_height = 0.035f;
    p.cloud = row->cloud;
    p.clouds = row->clouds;
    p.disc = row->disc;
    p.disc_cosine = row->disc_cosine;
    p.glow = row->glow;
    p.stars = row->stars;
    p.ambient = row->ambient;
    p.light = row->light;
    p.shadow = row->shadow;
    const float side = scene->sun_side;
    p.toward = reel_vec3_unit(reel_vec3_of(0.8f * side, row->low, -0.45f));
    p.disc_toward = scene->sky == REEL_SKY_SUNSET
                        ? reel_vec3_unit(reel_vec3_of(0.26f * side, 0.075f, 1.0f))
                        : reel_vec3_unit(reel_vec3_of(0.24f * side, 0.27f, 1.0f));
    set_weather(scene->weather, scene->sky, &p);
    for (int i = 0; i < 8; i++)
        p.phase[i] = reel_rng_uniform(scene->seed ^ 0x70616c65u, scene->index, (uint64_t)i);
    /* The ground takes on the light's tint, at the brightness the sky gives it. */
    const reel_vec3 lit = reel_vec3_add(p.ambient, reel_vec3_scale(p.light, p.toward.y));
    const float level = row->ground * 3.0f / (lit.x + lit.y + lit.z);
    const reel_vec3 tint = reel_vec3_scale(lit, level);
    for (int i = 0; i < 3; i++)
        p.ground[i] = reel_vec3_mul(grounds[scene->ground][i], tint);
    *palette = p;
}

void reel_palette_paints(reel_color color, reel_vec3 tone[REEL_PAINT_COUNT]) {
    static const reel_vec3 colors[REEL_COLOR_COUNT] = {
        [REEL_COLOR_RED] = {0.88f, 0.10f, 0.10f},    [REEL_COLOR_ORANGE] = {0.98f, 0.50f, 0.05f},
        [REEL_COLOR_YELLOW] = {0.99f, 0.86f, 0.10f}, [REEL_COLOR_GREEN] = {0.04f, 0.55f, 0.26f},
        [REEL_COLOR_BLUE] = {0.10f, 0.28f, 0.90f},   [REEL_COLOR_PURPLE] = {0.50f, 0.18f, 0.74f},
        [REEL_COLOR_PINK] = {0.99f, 0.48f, 0.70f},   [REEL_COLOR_BROWN] = {0.46f, 0.26f, 0.12f},
        [REEL_COLOR_BLACK] = {0.09f, 0.09f, 0.11f},  [REEL_COLOR_WHITE] = {0.97f, 0.97f, 0.96f},
    };
    /* Lighter, not paler: a brown that fades to grey is no brown. */
    static const reel_vec3 seconds[REEL_COLOR_COUNT] = {
        [REEL_COLOR_RED] = {0.98f, 0.58f, 0.48f},    [REEL_COLOR_ORANGE] = {1.00f, 0.80f, 0.50f},
        [REEL_COLOR_YELLOW] = {1.00f, 0.96f, 0.66f}, [REEL_COLOR_GREEN] = {0.50f, 0.84f, 0.58f},
        [REEL_COLOR_BLUE] = {0.52f, 0.70f, 1.00f},   [REEL_COLOR_PURPLE] = {0.78f, 0.58f, 0.95f},
        [REEL_COLOR_PINK] = {1.00f, 0.80f, 0.88f},   [REEL_COLOR_BROWN] = {0.76f, 0.57f, 0.38f},
        [REEL_COLOR_BLACK] = {0.42f, 0.42f, 0.46f},  [REEL_COLOR_WHITE] = {0.78f, 0.82f, 0.88f},
    };
    tone[REEL_PAINT_BODY] = tone[REEL_PAINT_PLAIN] = colors[color];
    tone[REEL_PAINT_LIGHT] = seconds[color];
    tone[REEL_PAINT_TRUNK] = reel_vec3_of(0.42f, 0.28f, 0.18f);
    tone[REEL_PAINT_ROOF] = reel_vec3_of(0.36f, 0.34f, 0.38f);
    tone[REEL_PAINT_GLASS] = reel_vec3_of(0.55f, 0.76f, 0.86f);
    tone[REEL_PAINT_TYRE] = reel_vec3_of(0.14f, 0.14f, 0.16f);
    tone[REEL_PAINT_CARROT] = reel_vec3_of(0.98f, 0.52f, 0.12f);
    tone[REEL_PAINT_COAL] = color == REEL_COLOR_BLACK ? reel_vec3_of(0.85f, 0.85f, 0.88f)
                                                      : reel_vec3_of(0.12f, 0.12f, 0.14f);
    tone[REEL_PAINT_FLAME] = reel_vec3_of(1.0f, 0.72f, 0.20f);
}
