/* Where objects are: closed forms in time, so that any frame is as near as the first. */
#include "world/kinds.h"
#include "world/world.h"

static const float two_pi = 6.2831853f;

/* An object turned by yaw about y, then by roll about the world's z. */
static void set_axes(reel_pose *pose, float yaw, float roll, bool lying) {
    reel_vec3 axis[3] = {{cosf(yaw), 0, sinf(yaw)}, {0, 1, 0}, {-sinf(yaw), 0, cosf(yaw)}};
    if (lying) { /* its y along the world's z */
        axis[0] = reel_vec3_of(1, 0, 0);
        axis[1] = reel_vec3_of(0, 0, 1);
        axis[2] = reel_vec3_of(0, -1, 0);
    }
    const float c = cosf(roll), s = sinf(roll);
    for (int i = 0; i < 3; i++) {
        const reel_vec3 a = axis[i];
        pose->axis[i] = reel_vec3_of(c * a.x - s * a.y, s * a.x + c * a.y, a.z);
    }
}

/* How far an object has gone after t with speed v and deceleration a. */
static float glide(float v, float a, float t) {
    const float stop = a > 0.0f ? v / a : t;
    const float moving = reel_f32_min(t, stop);
    return v * moving - 0.5f * a * moving * moving;
}

/* start + the way along velocity, slowed down by friction. */
static reel_vec3 slide(reel_vec3 start, reel_vec3 velocity, float friction, float t) {
    const float v = sqrtf(reel_vec3_dot(velocity, velocity));
    if (v <= 0.0f) return start;
    return reel_vec3_add(start, reel_vec3_scale(velocity, glide(v, friction, t) / v));
}

/* Height above rest at t of what falls from h: free fall, and rebounds that keep restitution of
 * the speed, until they are too small to see. */
static float fall(float h, float gravity, float restitution, float t) {
    const float first = sqrtf(2.0f * h / gravity);
    if (t < first) return h - 0.5f * gravity * t * t;
    t -= first;
    float v = gravity * first * restitution;
    for (int i = 0; i < 32 && v * v > 0.04f * gravity; i++) {
        const float flight = 2.0f * v / gravity;
        if (t < flight) return v * t - 0.5f * gravity * t * t;
        t -= flight;
        v *= restitution;
    }
    return 0.0f;
}

/* Waves under what floats. */
static void bob(const reel_scene *scene, int object, float t, reel_pose *pose) {
    const float phase = 0.37f * (float)object;
    pose->position.y += 0.035f * sinf(two_pi * (0.45f * t + phase));
    const float roll = 0.03f * sinf(two_pi * (0.38f * t + phase));
    (void)scene;
    for (int i = 0; i < 3; i++) {
        const reel_vec3 a = pose->axis[i];
        pose->axis[i] = reel_vec3_unit(reel_vec3_of(a.x - roll * a.y, roll * a.x + a.y, a.z));
    }
}

static void orbit(const reel_scene *scene, const reel_scene_object *o, float t, reel_pose *pose) {
    const reel_vec3 middle = scene->object[1].start;
    const reel_vec3 arm = reel_vec3_sub(o->start, middle);
    const float angle = two_pi * o->spin * t, c = cosf(angle), s = sinf(angle);
    pose->position.x = middle.x + c * arm.x - s * arm.z;
    pose->position.z = middle.z + s * arm.x + c * arm.z;
    set_axes(pose, o->yaw + angle, 0, false);
}

static void collide(const reel_scene_object *o, float t, reel_pose *pose) {
    pose->position = slide(o->start, o->velocity, 0, reel_f32_min(t, o->event_s));
    if (t > o->event_s)
        pose->position = slide(pose->position, o->after, o->friction, t - o->event_s);
}

static bool rolls(const reel_scene_object *o) {
    if (o->kind == REEL_KIND_RING || o->lying)
        return o->motion == REEL_MOTION_ROLL || o->motion == REEL_MOTION_PASS_BEHIND;
    return o->kind == REEL_KIND_BALL &&
           (reel_motion_heads(o->motion) || o->motion == REEL_MOTION_PUSHED);
}

reel_pose reel_scene_pose(const reel_scene *scene, int object, float time_s) {
    const reel_scene_object *o = &scene->object[object];
    reel_pose pose = {.position = o->start};
    float yaw = o->yaw;
    switch (o->motion) {
    case REEL_MOTION_ROLL:
    case REEL_MOTION_SLIDE:
    case REEL_MOTION_DRIVE:
    case REEL_MOTION_SAIL:
    case REEL_MOTION_RISE:
    case REEL_MOTION_PASS_BEHIND:
        pose.position = slide(o->start, o->velocity, o->friction, time_s);
        break;
    case REEL_MOTION_BOUNCE:
    case REEL_MOTION_FALL:
        pose.position.y =
            o->rest_y + fall(o->start.y - o->rest_y, o->gravity, o->restitution, time_s);
        break;
    case REEL_MOTION_SPIN:
        yaw += two_pi * o->spin * time_s;
        break;
    case REEL_MOTION_TAKE_OFF: {
        const float burning = reel_f32_max(time_s - o->event_s, 0.0f);
        pose.position.y += 0.5f * o->gravity * burning * burning;
        pose.flame = time_s > o->event_s ? 1.0f : 0.0f;
        break;
    }
    case REEL_MOTION_COLLIDE:
    case REEL_MOTION_PUSHED:
        collide(o, time_s, &pose);
        break;
    default:
        break;
    }
    const float moved = pose.position.x - o->start.x;
    set_axes(&pose, yaw, rolls(o) ? -moved / o->rest_y : 0.0f, o->lying);
    if (o->motion == REEL_MOTION_ORBIT) orbit(scene, o, time_s, &pose);
    if (scene->ground == REEL_GROUND_WATER && o->motion != REEL_MOTION_RISE)
        bob(scene, object, time_s, &pose);
    return pose;
}

/* ---- the camera ---- */

reel_eye reel_scene_eye(const reel_scene *scene, float time_s) {
    const reel_scene_camera *c = &scene->camera;
    /* From -1/2 to 1/2 over the clip: the middle of the move is the plain view. */
    const float along = reel_clamp01(time_s / scene->duration_s) - 0.5f;
    const float sweep = c->amount * along;
    float place = c->yaw, look = c->yaw, distance = c->distance, half_tan = c->half_tan;
    float pitch = atanf((c->height - c->target_y) / c->distance);
    switch (c->move) {
    case REEL_CAMERA_PAN_LEFT:
        look -= sweep;
        break;
    case REEL_CAMERA_PAN_RIGHT:
        look += sweep;
        break;
    case REEL_CAMERA_TILT_UP:
        pitch -= sweep;
        break;
    case REEL_CAMERA_TILT_DOWN:
        pitch += sweep;
        break;
    case REEL_CAMERA_ZOOM_IN:
        half_tan *= expf(-sweep);
        break;
    case REEL_CAMERA_ZOOM_OUT:
        half_tan *= expf(sweep);
        break;
    case REEL_CAMERA_DOLLY_IN:
        distance *= expf(-sweep);
        break;
    case REEL_CAMERA_DOLLY_OUT:
        distance *= expf(sweep);
        break;
    case REEL_CAMERA_ORBIT_LEFT:
        look = place += sweep;
        break;
    case REEL_CAMERA_ORBIT_RIGHT:
        look = place -= sweep;
        break;
    default:
        break;
    }
    const float sa = sinf(look), ca = cosf(look), sp = sinf(pitch), cp = cosf(pitch);
    return (reel_eye){
        .position = {-distance * sinf(place), c->height, -distance * cosf(place)},
        .right = {ca, 0, -sa},
        .up = {sa * sp, cp, ca * sp},
        .forward = {sa * cp, -sp, ca * cp},
        .half_tan = half_tan,
    };
}

reel_vec3 reel_eye_project(const reel_eye *eye, reel_vec3 point) {
    const reel_vec3 p = reel_vec3_sub(point, eye->position);
    const float depth = reel_vec3_dot(p, eye->forward);
    const float k = 1.0f / (depth * eye->half_tan);
    return reel_vec3_of(reel_vec3_dot(p, eye->right) * k, -reel_vec3_dot(p, eye->up) * k, depth);
}
