#include "world/layout.h"

#include <string.h>

#include "world/kinds.h"

/* Extents of an object in metres. */
static float width_of(const reel_scene_object *o) {
    return reel_kind_shape_of(o->kind)->half_width * o->scale;
}
static float depth_of(const reel_scene_object *o) {
    const reel_kind_shape *shape = reel_kind_shape_of(o->kind);
    return (o->lying ? shape->rest : shape->half_depth) * o->scale;
}
/* What it covers when it turns about y. */
static float reach_of(const reel_scene_object *o) {
    return reel_f32_max(width_of(o), depth_of(o));
}

static void describe(const reel_attributes *a, int i, reel_draw *draw, reel_scene_object *o) {
    static const float sizes[] = {0.7f, 1.0f, 1.4f};
    o->kind = (reel_kind)a->object[i][REEL_ATTRIBUTE_KIND];
    o->color = (reel_color)a->object[i][REEL_ATTRIBUTE_COLOR];
    o->size = (reel_size)a->object[i][REEL_ATTRIBUTE_SIZE];
    o->material = (reel_material)a->object[i][REEL_ATTRIBUTE_MATERIAL];
    o->motion = (reel_motion)a->object[i][REEL_ATTRIBUTE_MOTION];
    o->heading = (reel_heading)a->object[i][REEL_ATTRIBUTE_HEADING];
    const bool tall =
        o->kind == REEL_KIND_TREE || o->kind == REEL_KIND_ROCKET || o->kind == REEL_KIND_SNOWMAN;
    o->scale = sizes[o->size] * (tall ? 0.85f : 1.0f) * (a->n_objects > 1 ? 0.88f : 1.0f);
    o->lying = o->kind == REEL_KIND_CYLINDER && o->motion == REEL_MOTION_ROLL;
    const reel_kind_shape *shape = reel_kind_shape_of(o->kind);
    o->rest_y = (o->lying ? shape->half_width : shape->rest) * o->scale;
    if (o->kind == REEL_KIND_BOAT) o->rest_y -= 0.12f * o->scale; /* the water's line */
    if (a->ground == REEL_GROUND_WATER && o->kind != REEL_KIND_BOAT) o->rest_y *= 0.72f;
    o->start = reel_vec3_of(0, o->rest_y, 0);
    const bool faces = o->kind == REEL_KIND_RING || o->kind >= REEL_KIND_HOUSE;
    o->yaw = reel_draw_range(draw, -1, 1) * (faces ? 0.35f : 0.7f);
}

/* A run along x through the middle; object 0. */
static void lay_run(reel_scene_object *o, float way, float seconds, reel_draw *draw) {
    const float dir = o->heading == REEL_HEADING_LEFT ? -1.0f : 1.0f;
    o->start.x = -dir * 0.5f * way + reel_draw_range(draw, -0.2f, 0.2f);
    o->start.z = reel_draw_range(draw, -0.3f, 0.3f);
    const bool slows = o->motion == REEL_MOTION_SLIDE;
    /* What slides begins faster and stands at the end: v t / 2 = way. */
    o->velocity = reel_vec3_of(dir * way / seconds * (slows ? 2.0f : 1.0f), 0, 0);
    o->friction = slows ? 2.0f * way / (seconds * seconds) : 0.0f;
    o->yaw = o->kind == REEL_KIND_RING || o->kind == REEL_KIND_BALL ? 0.0f : o->yaw * 0.3f;
    if (dir < 0.0f && (o->kind == REEL_KIND_CAR || o->kind == REEL_KIND_BOAT)) o->yaw += 3.1415927f;
}

static void lay_flight(reel_scene_object *o, float seconds, reel_draw *draw) {
    o->start.x = reel_draw_range(draw, -0.4f, 0.4f);
    o->start.z = reel_draw_range(draw, -0.3f, 0.3f);
    if (o->motion == REEL_MOTION_BOUNCE || o->motion == REEL_MOTION_FALL) {
        const bool bounce = o->motion == REEL_MOTION_BOUNCE;
        const float height =
            bounce ? reel_draw_range(draw, 1.5f, 2.1f) : reel_draw_range(draw, 2.0f, 2.6f);
        const float impact = seconds * (bounce ? reel_draw_range(draw, 0.2f, 0.27f)
                                               : reel_draw_range(draw, 0.5f, 0.7f));
        o->gravity = 2.0f * height / (impact * impact);
        o->restitution = bounce ? reel_draw_range(draw, 0.76f, 0.86f) : 0.22f;
        o->start.y += height;
    } else if (o->motion == REEL_MOTION_RISE) {
        o->velocity = reel_vec3_of(0, reel_draw_range(draw, 1.9f, 2.5f) / seconds, 0);
    } else { /* takes off: 2.2 to 3 m by the end */
        o->event_s = seconds * reel_draw_range(draw, 0.15f, 0.3f);
        const float burning = seconds - o->event_s;
        o->gravity = 2.0f * reel_draw_range(draw, 2.2f, 3.0f) / (burning * burning);
    }
}

/* Runs into object 1: momentum is kept, restitution says how much speed comes back. */
static void lay_collision(reel_scene *s, float seconds, reel_draw *draw) {
    reel_scene_object *a = &s->object[0], *b = &s->object[1];
    const float dir = a->heading == REEL_HEADING_LEFT ? -1.0f : 1.0f;
    if (b->kind == REEL_KIND_SNOWMAN) b->yaw = 0.1f;
    a->yaw = a->kind == REEL_KIND_CAR && dir < 0.0f ? 3.1415927f : 0.0f;
    if (b->kind == REEL_KIND_CUBE || b->kind == REEL_KIND_PYRAMID) b->yaw = 0.0f;
    b->start.x = dir * reel_draw_range(draw, 0.0f, 0.3f);
    const float gap = reel_draw_range(draw, 1.7f, 2.3f);
    a->start.x = b->start.x - dir * (gap + width_of(a) + width_of(b));
    a->event_s = b->event_s = seconds * reel_draw_range(draw, 0.36f, 0.5f);
    const float v = dir * gap / a->event_s;
    a->velocity = reel_vec3_of(v, 0, 0);
    const float ma = a->scale * a->scale * a->scale * 1.5f, mb = b->scale * b->scale * b->scale;
    a->restitution = b->restitution = 0.25f;
    a->after = reel_vec3_of(v * (ma - 0.25f * mb) / (ma + mb), 0, 0);
    b->after = reel_vec3_of(v * 1.25f * ma / (ma + mb), 0, 0);
    /* Both come to rest about when the clip ends. */
    const float left = seconds - a->event_s;
    a->friction = fabsf(a->after.x) / left;
    b->friction = fabsf(b->after.x) / left;
}

static void lay_passing(reel_scene *s, float seconds) {
    reel_scene_object *a = &s->object[0], *b = &s->object[1];
    const float dir = a->heading == REEL_HEADING_LEFT ? -1.0f : 1.0f;
    b->start.z = -0.6f;
    a->start.z = b->start.z + depth_of(a) + reach_of(b) + 0.35f;
    const float way = 2.0f * (width_of(a) + width_of(b) * 1.15f + 0.45f);
    a->start.x = -0.5f * dir * way;
    a->velocity = reel_vec3_of(dir * way / seconds, 0, 0);
    a->yaw =
        dir < 0.0f && (a->kind == REEL_KIND_CAR || a->kind == REEL_KIND_BOAT) ? 3.1415927f : 0.0f;
}

static void lay_orbit(reel_scene *s, float seconds, reel_draw *draw) {
    reel_scene_object *a = &s->object[0];
    const float radius = reach_of(a) + reach_of(&s->object[1]) + reel_draw_range(draw, 0.3f, 0.6f);
    const float sense = reel_draw_sign(draw), angle = reel_draw_range(draw, 2.6f, 3.7f);
    a->start.x = radius * cosf(angle);
    a->start.z = radius * sinf(angle);
    a->spin = sense * reel_draw_range(draw, 0.7f, 1.0f) / seconds;
    /* The nose along the way: the object's x is the tangent. */
    a->yaw = angle + sense * 1.5707963f;
}

static void lay_relation(reel_scene *s, reel_draw *draw) {
    reel_scene_object *a = &s->object[0], *b = &s->object[1];
    if (s->relation == REEL_RELATION_LEFT_OF) {
        const float gap = reel_draw_range(draw, 0.3f, 0.7f),
                    apart = reach_of(a) + reach_of(b) + gap;
        a->start.x = -0.5f * apart;
        b->start.x = 0.5f * apart;
        b->start.z = reel_draw_range(draw, -0.2f, 0.2f);
    } else if (s->relation == REEL_RELATION_BEHIND) {
        const float side = reel_draw_sign(draw) * 0.62f * (reach_of(a) + reach_of(b));
        a->start.x += 0.5f * side;
        b->start.x -= 0.5f * side;
        a->start.z = 0.5f * (reach_of(a) + reach_of(b)) + 0.6f;
        b->start.z = -0.5f * (reach_of(a) + reach_of(b)) - 0.3f;
    } else {
        const float lift = reel_kind_shape_of(b->kind)->top * b->scale + b->rest_y;
        a->start = reel_vec3_of(b->start.x, a->start.y + lift, b->start.z);
        a->rest_y += lift;
    }
}

/* Object 2, and object 1 where no relation says where it is: behind the path of object 0. */
static void lay_bystander(reel_scene *s, int i, reel_draw *draw) {
    reel_scene_object *o = &s->object[i];
    const float side = i == 1 ? reel_draw_sign(draw) : s->object[1].start.x > 0.0f ? -1.0f : 1.0f;
    if (s->relation != REEL_RELATION_NONE) { /* on the right end of the row */
        float edge = -10.0f;
        for (int k = 0; k < i; k++)
            edge = reel_f32_max(edge, s->object[k].start.x + reach_of(&s->object[k]));
        o->start.x = edge + reach_of(o) + reel_draw_range(draw, 0.25f, 0.5f);
        o->start.z = reel_draw_range(draw, -0.3f, 0.6f);
        return;
    }
    o->start.x = side * reel_draw_range(draw, 1.0f, 1.8f);
    o->start.z = s->object[0].start.z + depth_of(&s->object[0]) + reach_of(o) +
                 reel_draw_range(draw, 0.4f, 0.9f);
    if (s->object[0].motion == REEL_MOTION_ORBIT || s->object[0].motion == REEL_MOTION_PASS_BEHIND)
        o->start.z += 2.0f * reach_of(&s->object[1]);
}

static void lay_other_motion(reel_scene_object *o, float seconds, reel_draw *draw) {
    if (o->motion == REEL_MOTION_SPIN)
        o->spin = reel_draw_sign(draw) * reel_draw_range(draw, 0.6f, 0.9f) / seconds;
    if (o->motion != REEL_MOTION_BOUNCE) return;
    const float height = reel_draw_range(draw, 0.9f, 1.5f);
    const float impact = seconds * reel_draw_range(draw, 0.2f, 0.27f);
    o->gravity = 2.0f * height / (impact * impact);
    o->restitution = reel_draw_range(draw, 0.76f, 0.86f);
    o->start.y += height;
}

static bool apart(const reel_scene *s) {
    for (int i = 0; i < s->n_objects; i++)
        for (int k = 0; k < i; k++) {
            if (i == 1 && s->relation == REEL_RELATION_ON_TOP_OF) continue;
            const float dx = s->object[i].start.x - s->object[k].start.x;
            const float dz = s->object[i].start.z - s->object[k].start.z;
            const float least = 0.9f * (width_of(&s->object[i]) + width_of(&s->object[k]));
            if (dx * dx + dz * dz < least * least &&
                fabsf(dz) < depth_of(&s->object[i]) + depth_of(&s->object[k]))
                return false;
        }
    return true;
}

/* The middle of what is there at the beginning goes to x = 0. */
static float centre(reel_scene *s) {
    float low = 10.0f, high = -10.0f;
    for (int i = 0; i < s->n_objects; i++) {
        const reel_scene_object *o = &s->object[i];
        low = reel_f32_min(low, o->start.x - reach_of(o));
        high = reel_f32_max(high, o->start.x + reach_of(o));
    }
    const bool runs = s->object[0].velocity.x != 0.0f;
    if (!runs && s->object[0].motion != REEL_MOTION_ORBIT)
        for (int i = 0; i < s->n_objects; i++)
            s->object[i].start.x -= 0.5f * (low + high);
    return runs ? reel_f32_max(-low, high) : 0.5f * (high - low);
}

static void lay_camera(reel_scene *s, float half, int attempt, reel_draw *draw) {
    static const float amounts[REEL_CAMERA_COUNT] = {
        [REEL_CAMERA_PAN_LEFT] = 0.42f,   [REEL_CAMERA_PAN_RIGHT] = 0.42f,
        [REEL_CAMERA_TILT_UP] = 0.36f,    [REEL_CAMERA_TILT_DOWN] = 0.36f,
        [REEL_CAMERA_ZOOM_IN] = 0.75f,    [REEL_CAMERA_ZOOM_OUT] = 0.75f,
        [REEL_CAMERA_DOLLY_IN] = 0.65f,   [REEL_CAMERA_DOLLY_OUT] = 0.65f,
        [REEL_CAMERA_ORBIT_LEFT] = 0.95f, [REEL_CAMERA_ORBIT_RIGHT] = 0.95f,
    };
    reel_scene_camera *c = &s->camera;
    const reel_motion motion = s->object[0].motion;
    const bool high = motion == REEL_MOTION_RISE || motion == REEL_MOTION_TAKE_OFF ||
                      motion == REEL_MOTION_FALL || motion == REEL_MOTION_BOUNCE ||
                      s->relation == REEL_RELATION_ON_TOP_OF;
    c->half_tan = 0.45f;
    c->distance = reel_f32_max(5.9f, half / 0.40f) + reel_draw_range(draw, 0.0f, 0.6f);
    c->height = reel_draw_range(draw, 1.7f, 2.4f);
    c->target_y = high ? reel_draw_range(draw, 1.35f, 1.6f) : reel_draw_range(draw, 0.9f, 1.2f);
    c->yaw = reel_draw_range(draw, -0.2f, 0.2f);
    const float gentle = 1.0f - 0.04f * (float)(attempt < 12 ? attempt : 12);
    c->amount = amounts[c->move] * reel_draw_range(draw, 0.9f, 1.1f) * gentle;
}

bool reel_scene_lay_out(const reel_attributes *a, float duration_s, int attempt, reel_draw *draw,
                        reel_scene *scene) {
    reel_scene s;
    memset(&s, 0, sizeof s);
    s.duration_s = duration_s;
    s.n_objects = a->n_objects;
    s.relation = (reel_relation)a->relation;
    s.ground = (reel_ground)a->ground;
    s.sky = (reel_sky)a->sky;
    s.weather = (reel_weather)a->weather;
    s.camera.move = (reel_camera_move)a->camera;
    s.sun_side = reel_draw_sign(draw);
    for (int i = 0; i < s.n_objects; i++)
        describe(a, i, draw, &s.object[i]);
    reel_scene_object *o = &s.object[0];
    switch (o->motion) {
    case REEL_MOTION_ROLL:
    case REEL_MOTION_SLIDE:
    case REEL_MOTION_DRIVE:
    case REEL_MOTION_SAIL:
        lay_run(o, reel_draw_range(draw, 2.5f, 3.3f), duration_s, draw);
        break;
    case REEL_MOTION_SPIN:
        lay_other_motion(o, duration_s, draw);
        break;
    case REEL_MOTION_ORBIT:
        lay_orbit(&s, duration_s, draw);
        break;
    case REEL_MOTION_COLLIDE:
        lay_collision(&s, duration_s, draw);
        break;
    case REEL_MOTION_PASS_BEHIND:
        lay_passing(&s, duration_s);
        break;
    case REEL_MOTION_STILL:
        break;
    default:
        lay_flight(o, duration_s, draw);
        break;
    }
    int placed = 1;
    if (s.relation != REEL_RELATION_NONE) lay_relation(&s, draw);
    if (s.relation != REEL_RELATION_NONE || reel_motion_needs_partner(o->motion)) placed = 2;
    for (int i = placed; i < s.n_objects; i++)
        lay_bystander(&s, i, draw);
    for (int i = 1; i < s.n_objects; i++)
        lay_other_motion(&s.object[i], duration_s, draw);
    if (!apart(&s)) return false;
    lay_camera(&s, centre(&s), attempt, draw);
    *scene = s;
    return true;
}
