/* The color of a point on an object: paint, pattern, light, shadow of others, reflection, haze. */
#include "world/stage.h"

/* Share of the second tone at a point; blur softens its edges, in the object's units. */
static float pattern_at(reel_pattern pattern, reel_vec3 p, float blur) {
    float away; /* from the edge, inside the second tone */
    switch (pattern) {
    case REEL_PATTERN_BEACH:
    case REEL_PATTERN_SECTORS: {
        const float rho = sqrtf(p.x * p.x + p.z * p.z) + 1e-6f, s = p.z / rho;
        /* sin 3a */
        const float wide = pattern == REEL_PATTERN_BEACH ? 0.25f : 0.45f;
        away = (s * (3.0f - 4.0f * s * s) - wide) * rho * (1.0f / 3.0f);
        break;
    }
    case REEL_PATTERN_TUBE: {
        const float rho = sqrtf(p.x * p.x + p.y * p.y) + 1e-6f, s = p.y / rho, c = p.x / rho;
        away = (4.0f * s * c * (c * c - s * s) - 0.3f) * rho * 0.25f; /* sin 4a */
        break;
    }
    case REEL_PATTERN_BAND:
        away = 0.19f - fabsf(p.x);
        break;
    case REEL_PATTERN_HALVES:
        away = p.x * p.z / (fabsf(p.x) + fabsf(p.z) + 1e-6f);
        break;
    case REEL_PATTERN_STRIPE:
        away = 0.16f - fabsf(p.y);
        break;
    default:
        return 0.0f;
    }
    return reel_clamp01(0.5f + 0.5f * away / blur);
}

/* How much of the light another object's bounding sphere takes, softly. */
static float blocked(const reel_moment *m, const reel_scene *scene, int object, reel_vec3 point,
                     reel_vec3 toward) {
    float open = 1.0f;
    for (int i = 0; i < scene->n_objects; i++) {
        if (i == object) continue;
        const reel_vec3 to = reel_vec3_sub(m->body[i].pose.position, point);
        const float along = reel_vec3_dot(to, toward);
        if (along <= 0.0f) continue;
        const float r = m->body[i].radius;
        const float off = (reel_vec3_dot(to, to) - along * along) / (r * r);
        open = reel_f32_min(open, reel_smoothstep(0.25f, 0.85f, off));
    }
    return 1.0f - open;
}

/* What a mirror sees: the sky's gradient, or the ground. */
static reel_vec3 surroundings(const reel_palette *p, reel_vec3 d) {
    const reel_vec3 ground = reel_vec3_mix(p->ground[0], p->ground[1], 0.5f);
    if (d.y < 0.0f) return reel_vec3_mix(p->horizon, ground, reel_smoothstep(0.0f, 0.25f, -d.y));
    return reel_sky_gradient(p, d.y);
}

/* Mixed with ambient light: white metal is to be white at night, too. */
static reel_vec3 metal(const reel_palette *p, reel_vec3 paint, reel_vec3 lit, reel_vec3 mirrored) {
    const float shine = reel_f32_max(reel_vec3_dot(mirrored, p->toward), 0.0f);
    float tight = shine * shine;
    tight *= tight;
    tight *= tight;
    tight *= tight * tight; /* shine^24 */
    const reel_vec3 tinted = reel_vec3_mul(
        reel_vec3_mix(surroundings(p, mirrored), p->ambient, 0.35f),
        reel_vec3_add(reel_vec3_scale(paint, 0.85f), reel_vec3_of(0.15f, 0.15f, 0.15f)));
    const reel_vec3 c = reel_vec3_mix(lit, tinted, 0.42f);
    return reel_vec3_add(c, reel_vec3_of(0.75f * tight, 0.75f * tight, 0.72f * tight));
}

reel_vec3 reel_shade(const reel_stage *s, const reel_moment *m, int object, const reel_ray *ray,
                     const reel_hit *hit, float blur) {
    const reel_palette *p = &s->palette;
    const reel_scene_object *o = &s->scene->object[object];
    const reel_body *body = &m->body[object];
    const reel_paint paint = body->shape->primitive[hit->primitive].paint;
    reel_vec3 c = s->tone[object][paint];
    const reel_vec3 n = hit->normal, eye = reel_vec3_unit(ray->along);
    if (paint == REEL_PAINT_FLAME) {
        const float hot = reel_clamp01(0.5f + (hit->local.y + 1.6f));
        return reel_vec3_mix(reel_vec3_of(1.0f, 0.45f, 0.1f), reel_vec3_of(1, 0.95f, 0.6f), hot);
    }
    if (paint == REEL_PAINT_BODY && body->shape->pattern != REEL_PATTERN_PLAIN)
        c = reel_vec3_mix(c, s->tone[object][REEL_PAINT_LIGHT],
                          pattern_at(body->shape->pattern, hit->local, blur / body->scale + 1e-4f));
    const reel_vec3 point = reel_vec3_add(ray->from, reel_vec3_scale(ray->along, hit->t));
    const float facing = reel_vec3_dot(n, p->toward);
    float direct = reel_f32_max(0.75f * facing + 0.25f, 0.0f); /* wraps a little around the edge */
    if (s->scene->n_objects > 1) direct *= 1.0f - blocked(m, s->scene, object, point, p->toward);
    const float open = (0.80f + 0.20f * n.y) * (0.80f + 0.20f * reel_clamp01(point.y * 2.5f));
    const reel_vec3 light =
        reel_vec3_add(reel_vec3_scale(p->ambient, open), reel_vec3_scale(p->light, direct));
    reel_vec3 lit = reel_vec3_mul(c, light);
    const reel_vec3 mirrored = reel_vec3_sub(eye, reel_vec3_scale(n, 2.0f * reel_vec3_dot(eye, n)));
    const bool shiny = o->material == REEL_MATERIAL_METAL &&
                       (paint <= REEL_PAINT_LIGHT || paint == REEL_PAINT_GLASS);
    if (shiny) {
        lit = metal(p, c, lit, mirrored);
    } else {
        const float shine = reel_f32_max(reel_vec3_dot(mirrored, p->toward), 0.0f);
        const float wide = shine * shine * shine * shine;
        lit = reel_vec3_add(lit, reel_vec3_scale(p->light, 0.10f * wide * wide));
    }
    /* Less haze than on the ground at that depth: the color is to be read. */
    return reel_vec3_mix(lit, p->haze, 0.8f * reel_stage_haze(p, hit->t));
}
