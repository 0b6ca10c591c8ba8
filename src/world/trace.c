#include "world/trace.h"

/* A ray in the coordinates of one primitive. */
typedef struct probe {
    reel_vec3 o, d;
    float near, far;
} probe;

typedef struct touch {
    float t;
    int face;
    reel_vec3 n; /* any length */
} touch;

static bool trace_ellipsoid(const reel_primitive *p, const probe *r, touch *out) {
    const reel_vec3 k = {1.0f / p->size.x, 1.0f / p->size.y, 1.0f / p->size.z};
    const reel_vec3 o = reel_vec3_mul(r->o, k), d = reel_vec3_mul(r->d, k);
    const float a = reel_vec3_dot(d, d), b = reel_vec3_dot(o, d), c = reel_vec3_dot(o, o) - 1.0f;
    const float disc = b * b - a * c;
    if (disc <= 0.0f) return false;
    const float t = (-b - sqrtf(disc)) / a;
    if (t <= r->near || t >= r->far) return false;
    const reel_vec3 at = reel_vec3_add(o, reel_vec3_scale(d, t));
    *out = (touch){t, 0, reel_vec3_mul(at, k)};
    return true;
}

/* Clips [*enter, *leave] by the half space n.p <= w; *face is where the ray came in. */
static bool clip(float along, float inside, int face, float *enter, float *leave, int *in) {
    /* along = n.d, inside = w - n.o */
    if (along < 0.0f) {
        const float t = inside / along;
        if (t > *enter) {
            *enter = t;
            *in = face;
        }
    } else if (along > 0.0f) {
        const float t = inside / along;
        if (t < *leave) *leave = t;
    } else if (inside < 0.0f) {
        return false;
    }
    return *enter < *leave;
}

static bool trace_box(const reel_primitive *p, const probe *r, touch *out) {
    float enter = r->near, leave = r->far;
    int in = -1;
    if (!clip(r->d.x, p->size.x - r->o.x, 0, &enter, &leave, &in)) return false;
    if (!clip(-r->d.x, p->size.x + r->o.x, 1, &enter, &leave, &in)) return false;
    if (!clip(r->d.y, p->size.y - r->o.y, 2, &enter, &leave, &in)) return false;
    if (!clip(-r->d.y, p->size.y + r->o.y, 3, &enter, &leave, &in)) return false;
    if (!clip(r->d.z, p->size.z - r->o.z, 4, &enter, &leave, &in)) return false;
    if (!clip(-r->d.z, p->size.z + r->o.z, 5, &enter, &leave, &in)) return false;
    if (in < 0) return false;
    const float sign = in & 1 ? -1.0f : 1.0f;
    const reel_vec3 n = {in < 2 ? sign : 0.0f, in / 2 == 1 ? sign : 0.0f, in > 3 ? sign : 0.0f};
    *out = (touch){enter, in, n};
    return true;
}

static bool trace_convex(const reel_primitive *p, const probe *r, touch *out) {
    float enter = r->near, leave = r->far;
    int in = -1;
    for (int i = 0; i < p->n_planes; i++) {
        const reel_plane *w = &p->plane[i];
        const reel_vec3 n = {w->x, w->y, w->z};
        if (!clip(reel_vec3_dot(n, r->d), w->w - reel_vec3_dot(n, r->o), i, &enter, &leave, &in))
            return false;
    }
    if (in < 0) return false;
    *out = (touch){enter, in, {p->plane[in].x, p->plane[in].y, p->plane[in].z}};
    return true;
}

/* Turns coordinates so that the axis of a frustum is y. */
static reel_vec3 turned(reel_vec3 v, int axis) {
    if (axis == 0) return reel_vec3_of(v.y, v.x, v.z);
    return axis == 2 ? reel_vec3_of(v.x, v.z, v.y) : v;
}

/* Radius a + b y: x^2 + z^2 = (a + b y)^2 for |y| <= h, and two caps. */
static bool trace_frustum(const reel_primitive *p, const probe *r, touch *out) {
    const reel_vec3 o = turned(r->o, p->axis), d = turned(r->d, p->axis);
    const float h = p->size.y;
    const float a = 0.5f * (p->size.x + p->size.z), b = (p->size.z - p->size.x) / (2.0f * h);
    bool found = false;
    float best = r->far;
    const float radius_o = a + b * o.y, radius_d = b * d.y;
    const float qa = d.x * d.x + d.z * d.z - radius_d * radius_d;
    const float qb = o.x * d.x + o.z * d.z - radius_o * radius_d;
    const float qc = o.x * o.x + o.z * o.z - radius_o * radius_o;
    const float disc = qb * qb - qa * qc;
    if (disc > 0.0f && (qa > 1e-9f || qa < -1e-9f)) {
        const float root = sqrtf(disc);
        for (int side = 0; side < 2; side++) {
            const float t = (-qb + (side ? root : -root)) / qa;
            const float y = o.y + t * d.y;
            if (t <= r->near || t >= best || y > h || y < -h) continue;
            const float radius = a + b * y;
            if (radius < 0.0f) continue;
            *out = (touch){t, 0, {o.x + t * d.x, -b * radius, o.z + t * d.z}};
            best = t;
            found = true;
        }
    }
    if (d.y != 0.0f) {
        const float end = d.y > 0.0f ? -h : h; /* the cap that faces the ray */
        const float t = (end - o.y) / d.y;
        const float x = o.x + t * d.x, z = o.z + t * d.z, radius = a + b * end;
        if (t > r->near && t < best && x * x + z * z <= radius * radius) {
            *out = (touch){t, end > 0.0f ? 1 : 2, {0.0f, end, 0.0f}};
            found = true;
        }
    }
    if (found) out->n = turned(out->n, p->axis);
    return found;
}

/* Sphere tracing of |(|xy| - R, z)| - r, from where the ray enters the slab and sphere around it.
 */
static bool trace_torus(const reel_primitive *p, const probe *r, touch *out) {
    const float big = p->size.x, small = p->size.y, outer = big + small + 0.01f;
    const float a = reel_vec3_dot(r->d, r->d), b = reel_vec3_dot(r->o, r->d);
    const float disc = b * b - a * (reel_vec3_dot(r->o, r->o) - outer * outer);
    if (disc <= 0.0f) return false;
    const float root = sqrtf(disc), step = 1.0f / sqrtf(a);
    float enter = reel_f32_max((-b - root) / a, r->near),
          leave = reel_f32_min((-b + root) / a, r->far);
    int in = -1;
    const float slab = small + 0.01f;
    if (!clip(r->d.z, slab - r->o.z, 0, &enter, &leave, &in)) return false;
    if (!clip(-r->d.z, slab + r->o.z, 1, &enter, &leave, &in)) return false;
    float t = enter;
    for (int i = 0; i < 32 && t < leave; i++) {
        const reel_vec3 at = reel_vec3_add(r->o, reel_vec3_scale(r->d, t));
        const float from_axis = sqrtf(at.x * at.x + at.y * at.y), q = from_axis - big;
        const float away = sqrtf(q * q + at.z * at.z) - small;
        if (away < 0.004f) {
            const float k = from_axis > 1e-6f ? q / from_axis : 0.0f;
            *out = (touch){t, 0, {at.x * k, at.y * k, at.z}};
            return t > r->near;
        }
        t += away * step;
    }
    return false;
}

static bool trace_primitive(const reel_primitive *p, const probe *r, touch *out) {
    switch (p->shape) {
    case REEL_ELLIPSOID:
        return trace_ellipsoid(p, r, out);
    case REEL_BOX:
        return trace_box(p, r, out);
    case REEL_FRUSTUM:
        return trace_frustum(p, r, out);
    case REEL_CONVEX:
        return trace_convex(p, r, out);
    case REEL_TORUS:
        return trace_torus(p, r, out);
    }
    return false;
}

/* The ray in the object's own units; false when it misses the sphere around the object. */
static bool to_local(const reel_body *body, const reel_ray *ray, reel_vec3 *o, reel_vec3 *d) {
    const reel_vec3 from = reel_vec3_sub(ray->from, body->pose.position);
    const float a = reel_vec3_dot(ray->along, ray->along), b = reel_vec3_dot(from, ray->along);
    const float c = reel_vec3_dot(from, from) - body->radius * body->radius;
    if (b * b <= a * c) return false;
    const float k = 1.0f / body->scale;
    const reel_vec3 *axis = body->pose.axis;
    *o = reel_vec3_of(reel_vec3_dot(from, axis[0]) * k, reel_vec3_dot(from, axis[1]) * k,
                      reel_vec3_dot(from, axis[2]) * k);
    *d =
        reel_vec3_of(reel_vec3_dot(ray->along, axis[0]) * k, reel_vec3_dot(ray->along, axis[1]) * k,
                     reel_vec3_dot(ray->along, axis[2]) * k);
    return true;
}

bool reel_body_trace(const reel_body *body, const reel_ray *ray, float near, reel_hit *hit) {
    reel_vec3 o, d;
    if (!to_local(body, ray, &o, &d)) return false;
    touch best = {.t = hit->t};
    int which = -1;
    for (int i = 0; i < body->shape->n; i++) {
        const reel_primitive *p = &body->shape->primitive[i];
        if (p->paint == REEL_PAINT_FLAME && body->pose.flame <= 0.0f) continue;
        const probe r = {reel_vec3_sub(o, p->at), d, near, best.t};
        if (trace_primitive(p, &r, &best)) which = i;
    }
    if (which < 0) return false;
    const reel_vec3 *axis = body->pose.axis;
    const reel_vec3 n = reel_vec3_add(
        reel_vec3_scale(axis[0], best.n.x),
        reel_vec3_add(reel_vec3_scale(axis[1], best.n.y), reel_vec3_scale(axis[2], best.n.z)));
    *hit = (reel_hit){best.t, (int16_t)which, (int16_t)best.face,
                      reel_vec3_add(o, reel_vec3_scale(d, best.t)), reel_vec3_unit(n)};
    return true;
}

bool reel_body_blocks(const reel_body *body, const reel_ray *ray) {
    reel_vec3 o, d;
    if (!to_local(body, ray, &o, &d)) return false;
    touch any;
    for (int i = 0; i < body->shape->n; i++) {
        const reel_primitive *p = &body->shape->primitive[i];
        if (p->paint == REEL_PAINT_FLAME) continue;
        const probe r = {reel_vec3_sub(o, p->at), d, 0.0f, 1e30f};
        if (trace_primitive(p, &r, &any)) return true;
    }
    return false;
}
